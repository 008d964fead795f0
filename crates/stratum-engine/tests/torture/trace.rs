//! What happened, for people to read, and its digest, by which two runs of a seed are compared.

/// The steps of a seed.
#[derive(Debug, Default)]
pub struct Trace {
    verbose: bool,
    digest: u64,
    lines: u64,
}

impl Trace {
    pub fn new(verbose: bool) -> Trace {
        Trace { verbose, ..Trace::default() }
    }

    /// Notes an event; `steps` is how many writes, syncs and renames the drives had done by then.
    pub fn note(&mut self, steps: u64, text: impl FnOnce() -> String) {
        let text = text();
        self.lines += 1;
        let line = format!("{steps:>7} {text}");
        self.digest = line.bytes().fold(self.digest ^ self.lines, |sum, byte| {
            (sum ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)
        });
        if self.verbose {
            println!("{line}");
        }
    }

    pub fn digest(&self) -> u64 {
        self.digest
    }
}
