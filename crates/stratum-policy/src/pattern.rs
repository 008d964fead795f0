//! Text with wildcards (`*` for anything, `?` for one character) and policy variables (`${aws:username}`).
//!
//! A pattern is cut at its `*`s into runs of characters. The first run must stand at the text's beginning, the last
//! at its end, and the others in between, each as far to the left as it fits. Nothing is ever tried again, so no
//! pattern takes longer than its length times the text's, and one without `?` no longer than the sum of the two. What a
//! policy may have of what takes as long as the text is bounded when it is put ([`Pattern::searches`]).

use crate::error::{Malformed, quoted};
use crate::key::Key;
use crate::value::Facts;
use std::borrow::Cow;

/// A pattern that a value is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// At least one.
    runs: Box<[Run]>,
    folded: bool,
    has_variables: bool,
}

/// A pattern without variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wildcards(Pattern);

/// How a pattern is to be read.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reading {
    pub wildcards: bool,
    pub variables: bool,
    /// Case doesn't matter.
    pub folded: bool,
}

/// The characters between two `*`.
type Run = Box<[Piece]>;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(Box<str>),
    OneCharacter,
    Variable { key: Key, otherwise: Option<Box<str>> },
}

impl Wildcards {
    pub fn parse(text: &str) -> Self {
        let mut runs = Runs::default();
        text.chars().for_each(|char| runs.push(char, true));
        Wildcards(runs.finish(false))
    }

    pub fn matches(&self, text: &str) -> bool {
        all_fit(&self.0.runs, text)
    }
}

impl Pattern {
    /// # Errors
    /// [`Malformed::Variable`] for a variable that isn't closed or that asks for an unknown key.
    pub(crate) fn parse(text: &str, reading: Reading) -> Result<Self, Malformed> {
        let folded = if reading.folded { Cow::Owned(text.to_lowercase()) } else { Cow::Borrowed(text) };
        let mut runs = Runs::default();
        let mut rest: &str = &folded;
        while let Some(char) = rest.chars().next() {
            match rest.strip_prefix("${").filter(|_| reading.variables) {
                Some(variable) => {
                    let unclosed = || Malformed::Variable(quoted(text));
                    let (name, after) = variable.split_once('}').ok_or_else(unclosed)?;
                    runs.variable(name)?;
                    rest = after;
                }
                None => {
                    runs.push(char, reading.wildcards);
                    rest = &rest[char.len_utf8()..];
                }
            }
        }
        Ok(runs.finish(reading.folded))
    }

    /// Whether the pattern matches the text. A variable without a value matches no text at all.
    pub fn matches(&self, text: &str, facts: &dyn Facts) -> bool {
        Pattern::any_matches(std::slice::from_ref(self), text, facts)
    }

    /// Whether any of some patterns matches the text. Those for which case doesn't matter share a text in lower case.
    pub(crate) fn any_matches(patterns: &[Pattern], text: &str, facts: &dyn Facts) -> bool {
        let folded = patterns.iter().any(|pattern| pattern.folded).then(|| text.to_lowercase());
        let text_for = |pattern: &Pattern| match &folded {
            Some(folded) if pattern.folded => folded.as_str(),
            _ => text,
        };
        patterns.iter().any(|pattern| pattern.fits(text_for(pattern), facts))
    }

    /// Whether the pattern matches the text, which is in lower case if case doesn't matter.
    fn fits(&self, text: &str, facts: &dyn Facts) -> bool {
        match self.has_variables {
            false => all_fit(&self.runs, text),
            true => self.resolved(facts).is_some_and(|runs| all_fit(&runs, text)),
        }
    }

    /// Whether it matches exactly one text: it has no wildcard and no variable.
    pub(crate) fn is_fixed(&self) -> bool {
        let is_text = |piece: &Piece| matches!(piece, Piece::Text(_));
        matches!(&*self.runs, [run] if run.iter().all(is_text))
    }

    /// What of it takes as long as the text is: each `?`, since its run is compared at every position, each run
    /// between two `*`, which is searched for, and each variable, whose value is copied.
    pub(crate) fn searches(&self) -> usize {
        let pieces = self.runs.iter().flat_map(|run| run.iter());
        let long = pieces.filter(|piece| !matches!(piece, Piece::Text(_))).count();
        let between = self.runs.iter().skip(1).rev().skip(1);
        long + between.filter(|run| !run.is_empty()).count()
    }

    /// The keys for which its variables ask.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.runs.iter().flat_map(|run| run.iter()).filter_map(|piece| match piece {
            Piece::Variable { key, .. } => Some(key),
            Piece::Text(_) | Piece::OneCharacter => None,
        })
    }

    fn resolved(&self, facts: &dyn Facts) -> Option<Vec<Run>> {
        let value = |key: &Key, otherwise: Option<&str>| -> Option<Box<str>> {
            let text = match (facts.values(key).as_slice(), otherwise) {
                ([value], _) => value.text().into_owned(),
                ([], otherwise) => otherwise?.to_owned(),
                // A key with several values can't stand for one text.
                _ => return None,
            };
            Some(if self.folded { text.to_lowercase() } else { text }.into())
        };
        let piece = |piece: &Piece| match piece {
            Piece::Variable { key, otherwise } => value(key, otherwise.as_deref()).map(Piece::Text),
            other => Some(other.clone()),
        };
        self.runs.iter().map(|run| run.iter().map(piece).collect()).collect()
    }
}

/// A pattern while it is parsed.
#[derive(Default)]
struct Runs {
    done: Vec<Run>,
    run: Vec<Piece>,
    text: String,
    has_variables: bool,
}

impl Runs {
    fn push(&mut self, char: char, wildcards: bool) {
        match char {
            '*' if wildcards => {
                self.end_text();
                self.done.push(std::mem::take(&mut self.run).into());
            }
            '?' if wildcards => self.piece(Piece::OneCharacter),
            other => self.text.push(other),
        }
    }

    fn piece(&mut self, piece: Piece) {
        self.end_text();
        self.run.push(piece);
    }

    /// Takes what stands between `${` and `}`: a key, perhaps with `, 'text'` as its default, or one of the
    /// characters that have a meaning outside of it.
    fn variable(&mut self, name: &str) -> Result<(), Malformed> {
        if let "*" | "?" | "$" = name {
            self.text.push_str(name);
            return Ok(());
        }
        let wrong = || Malformed::Variable(quoted(name));
        let (name, otherwise) = match name.split_once(',') {
            Some((name, text)) => {
                let text = text
                    .trim()
                    .strip_prefix('\'')
                    .and_then(|text| text.strip_suffix('\''))
                    .ok_or_else(wrong)?;
                (name.trim_end(), Some(text.into()))
            }
            None => (name, None),
        };
        let key = Key::named(name).ok_or_else(wrong)?;
        self.has_variables = true;
        self.piece(Piece::Variable { key, otherwise });
        Ok(())
    }

    fn end_text(&mut self) {
        if !self.text.is_empty() {
            self.run.push(Piece::Text(std::mem::take(&mut self.text).into()));
        }
    }

    fn finish(mut self, folded: bool) -> Pattern {
        self.end_text();
        self.done.push(self.run.into());
        Pattern { runs: self.done.into(), folded, has_variables: self.has_variables }
    }
}

/// Whether the runs stand in the text one after the other, with nothing before the first and nothing after the last.
fn all_fit(runs: &[Run], text: &str) -> bool {
    let Some((first, others)) = runs.split_first() else { return false };
    let Some(mut rest) = after(first, text) else { return false };
    let Some((last, middle)) = others.split_last() else { return rest.is_empty() };
    for run in middle {
        match after_leftmost(run, rest) {
            Some(after) => rest = after,
            None => return false,
        }
    }
    ends_with(last, rest)
}

/// What follows the run, if the text begins with it.
fn after<'t>(run: &[Piece], text: &'t str) -> Option<&'t str> {
    run.iter().try_fold(text, |text, piece| match piece {
        Piece::Text(literal) => text.strip_prefix(literal.as_ref()),
        Piece::OneCharacter => {
            let mut chars = text.chars();
            chars.next().map(|_| chars.as_str())
        }
        // Variables are replaced by their values before runs are compared.
        Piece::Variable { .. } => None,
    })
}

fn after_leftmost<'t>(run: &[Piece], text: &'t str) -> Option<&'t str> {
    match run {
        [] => Some(text),
        [Piece::Text(literal)] => text.split_once(literal.as_ref()).map(|(_, rest)| rest),
        run => {
            let fitting = text.char_indices().find_map(|(at, _)| after(run, &text[at..]));
            fitting.filter(|_| !run.is_empty())
        }
    }
}

fn ends_with(run: &[Piece], text: &str) -> bool {
    if let [Piece::Text(literal)] = run {
        return text.ends_with(literal.as_ref());
    }
    let length = |piece: &Piece| match piece {
        Piece::Text(literal) => literal.chars().count(),
        Piece::OneCharacter | Piece::Variable { .. } => 1,
    };
    let characters: usize = run.iter().map(length).sum();
    let Some(before) = text.chars().count().checked_sub(characters) else { return false };
    let end = text.char_indices().nth(before).map_or("", |(at, _)| &text[at..]);
    after(run, end).is_some_and(str::is_empty)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Values;
    use proptest::prelude::*;

    struct User(&'static str);

    impl Facts for User {
        fn values(&self, key: &Key) -> Values<'_> {
            Values::from((*key == Key::Username && !self.0.is_empty()).then_some(self.0))
        }
    }

    const ALL: Reading = Reading { wildcards: true, variables: true, folded: false };

    fn matches(pattern: &str, text: &str) -> bool {
        Pattern::parse(pattern, ALL).unwrap().matches(text, &User("ann"))
    }

    #[test]
    fn wildcards_mean_anything_and_one_character() {
        for (pattern, text) in [
            ("", ""),
            ("*", ""),
            ("*", "a/b"),
            ("a*", "a"),
            ("a*c", "abc"),
            ("a*c", "ac"),
            ("a*b*c", "axbxbxc"),
            ("?", "é"),
            ("*?", "é"),
            ("a?c", "aéc"),
            ("*é", "aé"),
            ("**", "a"),
            ("a*?c", "abc"),
            ("*ab", "aab"),
            ("a*a", "aa"),
            ("${*}", "*"),
            ("a${?}", "a?"),
            ("${$}{", "${"),
            ("${aws:username}/*", "ann/x"),
            ("*${AWS:UserName}", "xann"),
            ("${aws:username, 'all'}", "ann"),
            ("${aws:referer, 'all'}", "all"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [
            ("", "a"),
            ("a", ""),
            ("a*a", "a"),
            ("?", ""),
            ("?", "ab"),
            ("a*c", "abcd"),
            ("a?c", "ac"),
            ("*b*c", "acb"),
            ("${*}", "x"),
            ("${aws:username}", "bob"),
            ("*${aws:referer}*", "anything"),
            ("A", "a"),
        ] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }

    #[test]
    fn a_variable_s_value_is_no_pattern() {
        let pattern = Pattern::parse("${aws:username}/a", ALL).unwrap();
        assert!(pattern.matches("*/a", &User("*")) && !pattern.matches("x/a", &User("*")));
        assert!(!pattern.matches("/a", &User("")));
    }

    #[test]
    fn variables_that_nobody_can_answer_are_refused() {
        for text in
            ["${", "${aws:username", "${aws:moon}", "${}", "${aws:username, all}", "${aws:username,'}"]
        {
            assert!(matches!(Pattern::parse(text, ALL), Err(Malformed::Variable(_))), "{text}");
        }
        let literal = Reading { variables: false, ..ALL };
        assert!(Pattern::parse("${a}", literal).unwrap().matches("${a}", &User("ann")));
    }

    #[test]
    fn what_takes_as_long_as_the_text_is_counted() {
        for (pattern, searches) in [
            ("a*", 0),
            ("*a", 0),
            ("a*b", 0),
            ("*a*", 1),
            ("**", 0),
            ("*a*b*c", 2),
            ("a?*?", 2),
            ("${aws:username}/*", 1),
            ("*${aws:username}x*", 2),
        ] {
            assert_eq!(Pattern::parse(pattern, ALL).unwrap().searches(), searches, "{pattern}");
        }
    }

    #[test]
    fn folding_takes_in_what_variables_hold() {
        let folded = Reading { wildcards: false, variables: true, folded: true };
        let pattern = Pattern::parse("Home/${aws:username}*", folded).unwrap();
        assert!(pattern.matches("HOME/ANN*", &User("Ann")) && !pattern.matches("home/annx", &User("Ann")));
        assert!(!pattern.is_fixed() && Pattern::parse("a*", folded).unwrap().is_fixed());
    }

    /// A matcher that is obviously right, and slow.
    fn plainly(pattern: &[char], text: &[char]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some(('*', rest)), _) => (0..=text.len()).any(|skipped| plainly(rest, &text[skipped..])),
            (Some(('?', rest)), Some((_, text))) => plainly(rest, text),
            (Some((char, rest)), Some((found, text))) => char == found && plainly(rest, text),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn matching_agrees_with_the_obvious_matcher(pattern in "[ab*?é]{0,8}", text in "[abé]{0,10}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(matches(&pattern, &text), plainly(&chars(&pattern), &chars(&text)));
            prop_assert_eq!(Wildcards::parse(&pattern).matches(&text), matches(&pattern, &text));
        }

        #[test]
        fn nothing_panics(pattern in "\\PC*", text in "\\PC*") {
            if let Ok(pattern) = Pattern::parse(&pattern, ALL) {
                let _ = pattern.matches(&text, &User("ann"));
            }
        }
    }
}
