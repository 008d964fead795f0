#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| stratum_cli::fuzzing::answer(bytes));
