//! Forms for the documents that people change most. A form makes its document of what was entered and of the document
//! that is set, so that what it doesn't know of stays as it is.

mod lifecycle;
mod notifications;
mod public_access;
mod retention;

use super::document::Document;
use crate::form::Fields;
use crate::frame::{Tone, notice, token};
use crate::names;
use crate::trouble::Trouble;
use crate::visit::Visit;
use maud::{Markup, html};
use quick_xml::Reader;
use quick_xml::events::Event;
use serde::de::DeserializeOwned;

/// The form of a kind of document.
#[derive(Clone, Copy)]
pub enum Form {
    Lifecycle,
    Notifications,
    PublicAccess,
    Retention,
}

/// What a form shows beside its labels.
#[derive(Clone, Copy)]
pub struct Filled<'a> {
    /// The document that is set.
    set: Option<&'a str>,
    /// What was entered and refused.
    tried: Option<&'a Fields>,
}

impl<'a> Filled<'a> {
    pub fn new(set: Option<&'a str>, tried: Option<&'a Fields>) -> Filled<'a> {
        Filled { set, tried }
    }

    /// The document that is set, as far as the form knows it.
    fn read<T: DeserializeOwned + Default>(&self) -> T {
        self.set.and_then(|text| quick_xml::de::from_str(text).ok()).unwrap_or_default()
    }

    /// What a field holds: what was entered, or else what is set.
    fn text(&self, name: &str, set: impl Into<String>) -> String {
        self.tried.map_or_else(|| set.into(), |tried| tried.get(name).to_owned())
    }

    fn is_on(&self, name: &str, set: bool) -> bool {
        self.tried.map_or(set, |tried| tried.has(name))
    }

    /// Whether one of several values of that name was chosen.
    fn chose(&self, name: &str, value: &str) -> bool {
        self.tried.is_some_and(|tried| tried.all(name).any(|chosen| chosen == value))
    }
}

/// The document that a form made.
pub enum Made {
    Document(String),
    /// Nothing is left of it.
    Nothing,
}

impl Form {
    pub fn shown(self, visit: &Visit, filled: &Filled<'_>) -> Markup {
        match self {
            Form::Lifecycle => lifecycle::shown(visit, filled),
            Form::Notifications => notifications::shown(visit, filled),
            Form::PublicAccess => public_access::shown(visit, filled),
            Form::Retention => retention::shown(visit, filled),
        }
    }

    /// The document that the fields make of the one that is set.
    ///
    /// # Errors
    /// What can't be made a document of.
    pub fn made(self, document: &Document, set: Option<&str>, fields: &Fields) -> Result<Made, Trouble> {
        let rules = || Rules::of(document, set);
        match self {
            Form::Lifecycle => lifecycle::made(rules()?, fields),
            Form::Notifications => notifications::made(rules()?, fields),
            Form::PublicAccess => Ok(Made::Document(public_access::made(fields))),
            Form::Retention => retention::made(fields).map(Made::Document),
        }
    }
}

/// A form about the document that the page is about.
fn form(visit: &Visit, content: Markup) -> Markup {
    let action = names::of_bucket(&visit.bucket, &format!("/settings/{}/form", visit.item));
    html! { form method="post" action=(action) { (token(&visit.session)) (content) } }
}

/// The button that takes one rule out of a list of rules.
fn removal(visit: &Visit, id: &str) -> Markup {
    form(
        visit,
        html! {
            input type="hidden" name="remove" value=(id);
            button.danger type="submit" { "Remove" span.hidden { " rule " (id) } }
        },
    )
}

/// Says of a rule that only the document tells all of it.
fn unread() -> Markup {
    notice(Tone::Plain, html! { p { "There is a rule that this table can't show. The XML below has it." } })
}

/// The rules of a document, each as it is written.
struct Rules<'a> {
    document: &'a Document,
    rules: Vec<&'a str>,
}

impl<'a> Rules<'a> {
    fn of(document: &'a Document, set: Option<&'a str>) -> Result<Rules<'a>, Trouble> {
        let unreadable = || Trouble::wrong("The document that is set can't be read. Edit it as XML.");
        let rules = set.map_or(Some(Vec::new()), children).ok_or_else(unreadable)?;
        Ok(Rules { document, rules })
    }

    /// The document with another rule.
    fn with(&self, rule: &str) -> Made {
        Made::Document(self.document.holding(&[self.rules.concat().as_str(), rule].concat()))
    }

    /// The document without those rules of which `is_meant` says so.
    ///
    /// # Errors
    /// There is no such rule.
    fn without(&self, is_meant: impl Fn(&str) -> bool) -> Result<Made, Trouble> {
        let left: Vec<&str> = self.rules.iter().copied().filter(|rule| !is_meant(rule)).collect();
        match left.len() {
            all if all == self.rules.len() => {
                Err(Trouble::wrong("There is no such rule any more. The table shows those that there are."))
            }
            0 => Ok(Made::Nothing),
            _ => Ok(Made::Document(self.document.holding(&left.concat()))),
        }
    }
}

/// The elements directly within the root of a document, as they are written. None if it can't be read.
fn children(text: &str) -> Option<Vec<&str>> {
    let mut reader = Reader::from_str(text);
    let (mut children, mut depth, mut from, mut begins) = (Vec::new(), 0_usize, 0, 0);
    loop {
        let event = reader.read_event().ok()?;
        let to = usize::try_from(reader.buffer_position()).ok()?;
        match event {
            Event::Eof => return (depth == 0).then_some(children),
            Event::Start(_) => {
                if depth == 1 {
                    begins = from;
                }
                depth += 1;
            }
            Event::End(_) => {
                depth = depth.checked_sub(1)?;
                if depth == 1 {
                    children.push(text.get(begins..to)?);
                }
            }
            Event::Empty(_) if depth == 1 => children.push(text.get(from..to)?),
            _ => {}
        }
        from = to;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_taken_as_they_are_written() {
        let text = "<?xml version=\"1.0\"?><A xmlns=\"x\"> <R><I> 1 &amp; </I><R/></R>\n<!-- c --><R/><S a=\"b\"></S></A>";
        assert_eq!(children(text).unwrap(), ["<R><I> 1 &amp; </I><R/></R>", "<R/>", "<S a=\"b\"></S>"]);
        assert_eq!(children("<A/>"), Some(vec![]));
        assert_eq!((children("<A><B></A>"), children("<A>")), (None, None));
    }
}
