//! Patterns of names: `*` is anything within a folder, `**` anything at all, `?` one character.
//!
//! Nothing else has a meaning, so that `photo[1].jpg` is itself. Nothing takes a star's meaning away, but commands have `--raw`.

/// A pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    tokens: Vec<Token>,
    /// Whether it is about whole paths: it has a slash.
    is_path: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Char(char),
    One,
    Within,
    Anything,
}

impl Glob {
    /// Every text is one.
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

    /// Whether a text has anything in it that isn't itself.
    pub fn is_pattern(text: &str) -> bool {
        Glob::new(text).tokens.iter().any(|token| !matches!(token, Token::Char(_)))
    }

    /// What everything that fits begins with.
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
                    // An earlier star of the same kind never needs to be tried again.
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
                    // The last star that can take one more.
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

    /// Whether a path fits: one without slashes is about the last name alone.
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
    fn a_hostile_pattern_ends() {
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
