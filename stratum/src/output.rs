//! The standard output of commands.
//!
//! A reader that closes the pipe early (`stratum status | head -1`) is no failure: the rest of the output is discarded,
//! and the command goes on to its end and keeps its exit code, since it may be doing more than printing. Any other
//! error of writing the output ends the command.

use std::fmt::Display;
use std::io::{ErrorKind, Write};

const EXIT_FAILED: i32 = 2;

/// Prints text as it is.
pub fn print(text: impl Display) {
    let mut out = std::io::stdout().lock();
    match write!(out, "{text}").and_then(|()| out.flush()) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
        Err(error) => {
            eprintln!("stratum: the output can't be written: {error}");
            std::process::exit(EXIT_FAILED);
        }
    }
}

/// The program's name as it was started, for commands that people are told to type: the program needn't be on `PATH`.
pub fn program() -> String {
    std::env::args().next().map_or_else(|| "stratum".to_owned(), |name| quoted(&name))
}

/// A word in the quotation marks that a shell needs, if any.
fn quoted(word: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+".contains(letter);
    if word.chars().all(is_plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

/// Prints a line.
pub fn line(text: impl Display) {
    print(format_args!("{text}\n"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_with_special_characters_is_quoted_for_the_shell() {
        assert_eq!(quoted("target/release/stratum"), "target/release/stratum");
        assert_eq!(quoted("/my own/it's"), r"'/my own/it'\''s'");
    }
}
