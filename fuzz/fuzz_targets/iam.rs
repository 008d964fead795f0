#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| stratum_api::fuzzing::iam(bytes));
