//! Patterns of names: `*` is anything within a folder, `**` anything at all, `?` one character.
//!
//! No other character is special, so that `photo[1].jpg` means just that name. A star can't be escaped: commands have
//! `--raw` for names that hold one.

use std::collections::{BTreeSet, HashSet};
use std::ops::Range;

/// A pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    tokens: Vec<Token>,
    /// Whether the pattern is compared with whole paths, because it has a slash or `**`.
    is_path: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Char(char),
    One,
    Within,
    Anything,
}

impl Token {
    fn is_star(&self) -> bool {
        matches!(self, Token::Within | Token::Anything)
    }

    fn takes(&self, char: char) -> bool {
        match self {
            Token::Char(wanted) => *wanted == char,
            Token::One | Token::Within => char != '/',
            Token::Anything => true,
        }
    }

    /// Whether both take some one character.
    fn shares(&self, other: &Token) -> bool {
        match (self, other) {
            (Token::Char(char), other) | (other, Token::Char(char)) => other.takes(*char),
            _ => true,
        }
    }
}

impl Glob {
    /// Reads a pattern. Every text is one.
    pub fn new(text: &str) -> Glob {
        let mut tokens = Vec::new();
        let mut chars = text.chars().peekable();
        while let Some(char) = chars.next() {
            tokens.push(match char {
                '*' if chars.next_if_eq(&'*').is_some() => Token::Anything,
                '*' => Token::Within,
                '?' => Token::One,
                char => Token::Char(char),
            });
        }
        let is_path = tokens.contains(&Token::Char('/')) || tokens.contains(&Token::Anything);
        Glob { tokens, is_path }
    }

    /// Whether a text has a `*` or a `?`, and so means more than itself.
    pub fn is_pattern(text: &str) -> bool {
        Glob::new(text).tokens.iter().any(|token| !matches!(token, Token::Char(_)))
    }

    /// What every text that fits begins with.
    pub fn prefix(&self) -> String {
        let plain = self.tokens.iter().map_while(|token| match token {
            Token::Char(char) => Some(*char),
            _ => None,
        });
        plain.collect()
    }

    /// Whether all of a text fits.
    pub fn fits(&self, text: &str) -> bool {
        let text: Vec<char> = text.chars().collect();
        // Where to go on after a mismatch: behind the last star, with one character more taken by it.
        let (mut token, mut at) = (0, 0);
        let mut stars: Vec<(usize, usize)> = Vec::new();
        loop {
            let next = text.get(at);
            match (self.tokens.get(token), next) {
                (None, None) => return true,
                (Some(Token::Within | Token::Anything), _) => {
                    // A `**` may take all that the earlier stars may, and a `*` all that an earlier `*` may, so those
                    // needn't be tried again.
                    if self.tokens[token] == Token::Anything {
                        stars.clear();
                    } else {
                        stars.retain(|(star, _)| self.tokens[*star] == Token::Anything);
                    }
                    stars.push((token, at));
                    token += 1;
                    continue;
                }
                (Some(Token::One), Some(char)) if *char != '/' => {}
                (Some(Token::Char(wanted)), Some(char)) if wanted == char => {}
                _ => {
                    // Goes back to the last star that can take one more character.
                    loop {
                        let Some((star, taken)) = stars.pop() else { return false };
                        let takes = match text.get(taken) {
                            None => false,
                            Some('/') => self.tokens[star] == Token::Anything,
                            Some(_) => true,
                        };
                        if takes {
                            stars.push((star, taken + 1));
                            (token, at) = (star + 1, taken + 1);
                            break;
                        }
                    }
                    continue;
                }
            }
            token += 1;
            at += 1;
        }
    }

    /// Whether some name fits both behind `from` and behind `to`. If one does, a copy under the same name from `from`
    /// to `to` fits the pattern again.
    pub fn fits_again(&self, from: &str, to: &str) -> bool {
        let (from, to) = (self.after(from), self.after(to));
        let mut waiting: Vec<(usize, usize)> =
            from.iter().flat_map(|one| to.iter().map(move |other| (*one, *other))).collect();
        let mut seen: HashSet<(usize, usize)> = waiting.iter().copied().collect();
        while let Some((one, other)) = waiting.pop() {
            let next: Vec<_> = match (self.tokens.get(one), self.tokens.get(other)) {
                (None, None) => return true,
                (Some(first), Some(second)) if first.shares(second) => {
                    let (ones, others) = (self.past(one), self.past(other));
                    ones.flat_map(|one| others.clone().map(move |other| (one, other))).collect()
                }
                _ => Vec::new(),
            };
            waiting.extend(next.into_iter().filter(|pair| seen.insert(*pair)));
        }
        false
    }

    /// The positions of the tokens that may come next once `text` has been taken. The position behind the last token
    /// is the pattern's end.
    fn after(&self, text: &str) -> BTreeSet<usize> {
        let mut at: BTreeSet<usize> = self.reached(0).collect();
        for char in text.chars() {
            let takes = |token: &usize| self.tokens.get(*token).is_some_and(|token| token.takes(char));
            at = at.into_iter().filter(takes).flat_map(|token| self.past(token)).collect();
        }
        at
    }

    /// The positions that may come next once the token has taken a character.
    fn past(&self, token: usize) -> Range<usize> {
        match self.tokens.get(token) {
            Some(star) if star.is_star() => self.reached(token),
            _ => self.reached(token + 1),
        }
    }

    /// A token's own position, and those that are reached from it without a character, because the stars between take
    /// none.
    fn reached(&self, token: usize) -> Range<usize> {
        let stars = self.tokens.iter().skip(token).take_while(|token| token.is_star()).count();
        token..token + stars + 1
    }

    /// Whether a path fits. A pattern without slashes is compared with the path's last name alone.
    pub fn fits_path(&self, path: &str) -> bool {
        match self.is_path {
            true => self.fits(path),
            false => self.fits(path.rsplit('/').next().unwrap_or(path)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stay_in_their_folder_and_double_ones_dont() {
        for (pattern, text, fits) in [
            ("*.gz", "a.gz", true),
            ("*.gz", "d/a.gz", false),
            ("**.gz", "d/a.gz", true),
            ("d/*/x", "d/e/x", true),
            ("d/*/x", "d/e/f/x", false),
            ("d/**/x", "d/e/f/x", true),
            ("a?c", "abc", true),
            ("a?c", "a/c", false),
            ("a?c", "ac", false),
            ("photo[1].jpg", "photo[1].jpg", true),
            ("photo[1].jpg", "photo1.jpg", false),
            ("a\\*", "a\\b", true),
            ("*a*b*c", "xaxbxbxc", true),
            ("*a*b*c", "xaxbxbx", false),
            ("**/a*b/c", "x/ab/ab/c", true),
            ("*x/**y", "ax/b/xy", true),
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("ü?", "üé", true),
        ] {
            assert_eq!(Glob::new(pattern).fits(text), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn a_pattern_without_slashes_is_about_the_last_name() {
        assert!(Glob::new("*.tmp").fits_path("a/b/c.tmp") && !Glob::new("a/*.tmp").fits_path("a/b/c.tmp"));
        assert!(Glob::new("a/**").fits_path("a/b/c.tmp"));
    }

    #[test]
    fn a_copy_is_found_again_where_some_name_fits_in_both_places() {
        for (pattern, from, to, again) in [
            ("**", "", "copy/", true),
            ("**.gz", "", "gz/", true),
            ("*.gz", "", "gz/", false),
            ("d/**", "d/", "d/e/", true),
            ("d/**", "d/", "e/", false),
            ("d/*", "d/", "d/e/", false),
            ("d/*/x", "d/", "d/e/", false),
            ("d/**/x", "d/", "d/e/", true),
            ("*/x", "", "d/", false),
            ("*/**x", "", "d/", true),
            ("d/a*", "d/", "d/", true),
            ("d?/**", "", "dd/", true),
            ("**b", "", "a/", true),
            ("a**", "", "b/", false),
        ] {
            assert_eq!(Glob::new(pattern).fits_again(from, to), again, "{pattern} {from} {to}");
        }
    }

    #[test]
    fn a_hostile_pattern_ends() {
        assert!(!Glob::new(&"*a".repeat(400)).fits_again("", "b/"));
        assert!(Glob::new(&"**a".repeat(400)).fits_again("", "b/"));
        let pattern = "*a".repeat(40) + "b";
        assert!(!Glob::new(&pattern).fits(&"a".repeat(2000)));
        assert!(!Glob::new(&"**a*a".repeat(20)).fits(&"a/".repeat(500)));
    }

    #[test]
    fn a_prefix_is_what_comes_before_the_first_star() {
        assert_eq!(Glob::new("logs/2024-*/x").prefix(), "logs/2024-");
        assert!(Glob::is_pattern("a*") && !Glob::is_pattern("a\\[x]{y}"));
    }
}
