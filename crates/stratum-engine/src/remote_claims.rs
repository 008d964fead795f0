//! Remembers which claims this store made to its remote store, on its own drives.
//!
//! A copy of the drives has what was claimed before they were copied, and no later claim: so it knows that it is the copy.

use std::io;
use std::sync::Arc;
use stratum_storage::remote::{Claim, ClaimMemory};
use stratum_storage::set::{Set, SetError};

/// The name of the replicated file on the hot drives.
pub const FILE: &str = "remote-claims";

/// The memory of a set. The file has a claim on each line.
#[derive(Debug)]
pub struct ClaimsOnDrives(pub Arc<Set>);

impl ClaimMemory for ClaimsOnDrives {
    /// All claims that any hot drive knows of: of a writing that a crash cut short and the one after it either may have counted.
    fn read(&self) -> io::Result<Vec<Claim>> {
        let copies = self.0.read_all_replicated(FILE).map_err(told)?;
        let mut claims = Vec::new();
        for content in copies {
            claims.extend(parse(&content).ok_or_else(|| io::Error::other(format!("{FILE} makes no sense")))?);
        }
        Ok(claims)
    }

    fn write(&self, claims: &[Claim]) -> io::Result<()> {
        let text: String = claims.iter().map(|claim| format!("{claim}\n")).collect();
        self.0.write_replicated(FILE, text.as_bytes()).map_err(told)
    }
}

fn parse(content: &[u8]) -> Option<Vec<Claim>> {
    std::str::from_utf8(content).ok()?.lines().map(Claim::parse).collect()
}

fn told(error: SetError) -> io::Error {
    io::Error::other(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_are_read_as_they_are_written_and_nothing_else() {
        let text = format!("{}\n{}\n", Claim(7), Claim(u128::MAX));
        assert_eq!(parse(text.as_bytes()), Some(vec![Claim(7), Claim(u128::MAX)]));
        assert_eq!(parse(b""), Some(Vec::new()));
        for wrong in ["7\n", "000000000000000000000000000000zz", "\u{e9}", "\n"] {
            assert_eq!(parse(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
