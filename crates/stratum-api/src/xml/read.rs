//! Reads XML that strangers send into a tree of elements, within limits.
//!
//! A document may have no DTD, and no entities but the five of XML itself. Its depth and the number of its elements
//! are bounded; the caller bounds the bytes. Namespaces and prefixes are ignored, as S3 does. The spaces of texts are
//! kept, since a key may be nothing but spaces.

use crate::error::{Code, S3Error};
use crate::text::is_char;
use quick_xml::Reader;
use quick_xml::events::{BytesDecl, BytesRef, BytesStart, Event};

/// How deep elements may be nested: deeper than in any request document of S3, by far.
const MAX_DEPTH: usize = 16;

/// How many elements a document may have. The largest is that of CompleteMultipartUpload: 10,000 parts, each with
/// `Part`, `PartNumber`, `ETag` and a checksum, and perhaps with the `Size` and `LastModified` of ListParts.
const MAX_ELEMENTS: usize = 64 * 1024;

/// How many characters of an element's name an error repeats.
const MAX_TOLD_CHARS: usize = 64;

/// Why a document was refused; all but the first are S3's `MalformedXML`.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum Malformed {
    /// S3's `MissingRequestBodyError`.
    #[error("the request has no document")]
    Missing,
    #[error("the document is not UTF-8")]
    NotUtf8,
    #[error("the document is not well-formed XML")]
    NotWellFormed,
    #[error("the document has no root element, or more than one")]
    NotOneRoot,
    #[error("document type declarations and entities are not accepted")]
    Entities,
    #[error("the document is nested too deeply or has too many elements")]
    TooLarge,
    #[error("the document is not the one that this operation takes")]
    WrongDocument,
    #[error("a required element is missing, or two elements are there that don't go together")]
    WrongElements,
    #[error("the element \"{0}\" is not allowed where it stands")]
    Unknown(String),
    #[error("the element \"{0}\" is there twice, and may be there only once")]
    Twice(String),
    #[error("an element's text is not what it should be")]
    WrongText,
    #[error("the list has no entries, or more than are allowed")]
    WrongCount,
}

/// S3 has one message for all that is malformed. The reason is added to it, for the author of the document.
impl From<Malformed> for S3Error {
    fn from(malformed: Malformed) -> Self {
        if malformed == Malformed::Missing {
            return Code::MissingRequestBodyError.into();
        }
        let message = format!("{} ({malformed})", Code::MalformedXML.message());
        S3Error::new(Code::MalformedXML).message(message).because(malformed)
    }
}

/// The name of an element as an error repeats it.
fn told(name: &str) -> String {
    name.chars().take(MAX_TOLD_CHARS).collect()
}

/// An element: its name without prefix, its own text (CDATA included), its children in order.
#[derive(Debug, PartialEq, Eq)]
pub struct Element {
    pub name: String,
    text: String,
    pub children: Vec<Element>,
}

impl Element {
    /// The children of that name.
    pub fn all<'a>(&'a self, name: &'static str) -> impl Iterator<Item = &'a Element> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// Refuses children with any other name than these, so that nothing that a client asks for is ignored.
    pub fn only(&self, names: &[&str]) -> Result<(), Malformed> {
        self.only_where(|name| names.contains(&name))
    }

    /// As [`Element::only`], where a function says which names are known.
    pub fn only_where(&self, is_known: impl Fn(&str) -> bool) -> Result<(), Malformed> {
        match self.children.iter().find(|child| !is_known(&child.name)) {
            None => Ok(()),
            Some(child) => Err(Malformed::Unknown(told(&child.name))),
        }
    }

    /// The child of that name, if there is one. Two of them are an error.
    pub fn at_most_one(&self, name: &str) -> Result<Option<&Element>, Malformed> {
        let mut found = self.children.iter().filter(|child| child.name == name);
        match (found.next(), found.next()) {
            (first, None) => Ok(first),
            _ => Err(Malformed::Twice(told(name))),
        }
    }

    /// The element's text. An element that is read for its text may have no others in it, which would be ignored.
    pub fn text(&self) -> Result<&str, Malformed> {
        self.only(&[])?;
        Ok(&self.text)
    }

    /// The text of the child of that name, with the spaces around it, which count in keys.
    pub fn text_of(&self, name: &str) -> Result<Option<&str>, Malformed> {
        self.at_most_one(name)?.map(Element::text).transpose()
    }

    /// The text of the child of that name, without the spaces around it.
    pub fn trimmed(&self, name: &str) -> Result<Option<&str>, Malformed> {
        Ok(self.text_of(name)?.map(str::trim))
    }
}

/// Reads a document whose root must have that name.
pub fn document(bytes: &[u8], root: &str) -> Result<Element, Malformed> {
    if bytes.is_empty() {
        return Err(Malformed::Missing);
    }
    let element = parse(bytes)?;
    if element.name == root { Ok(element) } else { Err(Malformed::WrongDocument) }
}

fn parse(bytes: &[u8]) -> Result<Element, Malformed> {
    let text = std::str::from_utf8(bytes).map_err(|_| Malformed::NotUtf8)?;
    if !text.chars().all(is_char) {
        return Err(Malformed::NotWellFormed);
    }
    let mut reader = Reader::from_str(text);
    let mut tree = Tree::default();
    loop {
        match reader.read_event().map_err(|_| Malformed::NotWellFormed)? {
            Event::Start(start) => tree.open(&start)?,
            Event::Empty(start) => {
                tree.open(&start)?;
                tree.close()?;
            }
            Event::End(_) => tree.close()?,
            // By the rules of XML 1.0. By those of 1.1 a U+2028 or U+0085 in a key would become a line end.
            Event::Text(text) => tree.text(&text.xml10_content().map_err(|_| Malformed::NotUtf8)?)?,
            Event::CData(text) => tree.text(&text.xml10_content().map_err(|_| Malformed::NotUtf8)?)?,
            Event::GeneralRef(reference) => tree.text(resolve(&reference)?.encode_utf8(&mut [0; 4]))?,
            Event::DocType(_) => return Err(Malformed::Entities),
            Event::Decl(declared) if !text.is_ascii() && !is_utf8(&declared) => {
                return Err(Malformed::NotUtf8);
            }
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
            Event::Eof => return tree.finish(),
        }
    }
}

/// Whether a document's declaration names UTF-8, or no encoding. In another encoding the same bytes would be other
/// texts.
fn is_utf8(declared: &BytesDecl<'_>) -> bool {
    match declared.encoding() {
        None => true,
        Some(Ok(name)) => name.eq_ignore_ascii_case(b"utf-8") || name.eq_ignore_ascii_case(b"utf8"),
        Some(Err(_)) => false,
    }
}

/// A character reference or one of XML's own five entities.
fn resolve(reference: &BytesRef<'_>) -> Result<char, Malformed> {
    if let Some(character) = reference.resolve_char_ref().map_err(|_| Malformed::WrongText)? {
        return if is_char(character) { Ok(character) } else { Err(Malformed::WrongText) };
    }
    match &**reference {
        b"lt" => Ok('<'),
        b"gt" => Ok('>'),
        b"amp" => Ok('&'),
        b"apos" => Ok('\''),
        b"quot" => Ok('"'),
        _ => Err(Malformed::Entities),
    }
}

/// Checks an element's attributes. They mean nothing in a request, but a document that has in them what XML forbids
/// isn't well-formed. That no two have the same name isn't checked, since the time for that grows with the square of
/// their number.
fn check_attributes(start: &BytesStart<'_>) -> Result<(), Malformed> {
    for attribute in start.attributes().with_checks(false) {
        let value = attribute.map_err(|_| Malformed::NotWellFormed)?;
        let value = value.unescape_value().map_err(|_| Malformed::Entities)?;
        if !value.chars().all(is_char) {
            return Err(Malformed::WrongText);
        }
    }
    Ok(())
}

/// The tree while it is being built: the elements that are still open, the outermost first; the root, once it is
/// closed; and how many elements there have been.
#[derive(Default)]
struct Tree {
    open: Vec<Element>,
    root: Option<Element>,
    elements: usize,
}

impl Tree {
    fn open(&mut self, start: &BytesStart<'_>) -> Result<(), Malformed> {
        if self.root.is_some() {
            return Err(Malformed::NotOneRoot);
        }
        self.elements += 1;
        check_attributes(start)?;
        if self.open.len() >= MAX_DEPTH || self.elements > MAX_ELEMENTS {
            return Err(Malformed::TooLarge);
        }
        let name =
            std::str::from_utf8(start.local_name().into_inner()).map_err(|_| Malformed::NotUtf8)?.to_owned();
        self.open.push(Element { name, text: String::new(), children: Vec::new() });
        Ok(())
    }

    fn close(&mut self) -> Result<(), Malformed> {
        let element = self.open.pop().ok_or(Malformed::NotWellFormed)?;
        match self.open.last_mut() {
            Some(parent) => parent.children.push(element),
            None => self.root = Some(element),
        }
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), Malformed> {
        match self.open.last_mut() {
            Some(element) => element.text.push_str(text),
            // Around the root only white space may stand (and a byte order mark, which some clients send).
            None if text.trim_start_matches('\u{feff}').trim().is_empty() => {}
            None => return Err(Malformed::NotOneRoot),
        }
        Ok(())
    }

    fn finish(self) -> Result<Element, Malformed> {
        if !self.open.is_empty() {
            return Err(Malformed::NotWellFormed);
        }
        self.root.ok_or(Malformed::NotOneRoot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn text_is_kept_and_prefixes_are_ignored() {
        let xml = br#"<?xml version="1.0"?><!-- hello --><a:Delete xmlns:a="urn:x"><a:Key> &lt;b&#32;&#x41;<![CDATA[ & ]]></a:Key><Quiet/></a:Delete>"#;
        let root = document(xml, "Delete").expect("parses");
        assert_eq!(root.children[0].text, " <b A & ");
        assert_eq!(root.trimmed("Quiet"), Ok(Some("")));
        assert_eq!(root.trimmed("Absent"), Ok(None));
    }

    #[test]
    fn a_document_in_another_encoding_is_not_read_as_utf8() {
        let declared = |encoding, text| {
            parse(format!("<?xml version=\"1.0\" encoding=\"{encoding}\"?><a>{text}</a>").as_bytes())
        };
        assert_eq!(declared("ISO-8859-1", "caf\u{e9}"), Err(Malformed::NotUtf8));
        assert_eq!(declared("utf-8", "caf\u{e9}").expect("parses").text, "caf\u{e9}");
        assert_eq!(declared("ISO-8859-1", "cafe").expect("parses").text, "cafe");
    }

    #[test]
    fn only_the_line_ends_of_xml_1_0_are_line_ends() {
        for (xml, text) in [
            ("<a>b\u{2028}c\u{85}d</a>", "b\u{2028}c\u{85}d"),
            ("<a><![CDATA[b\u{2028}c\u{85}d]]></a>", "b\u{2028}c\u{85}d"),
            ("<a>b\r\nc\rd&#13;e</a>", "b\nc\nd\re"),
        ] {
            assert_eq!(parse(xml.as_bytes()).expect("parses").text, text);
        }
    }

    #[test]
    fn what_is_read_for_its_text_has_no_elements_in_it() {
        let root = parse(b"<a><b> c </b><d>e<f/></d></a>").expect("parses");
        assert_eq!((root.text_of("b"), root.trimmed("b")), (Ok(Some(" c ")), Ok(Some("c"))));
        assert_eq!(root.trimmed("d"), Err(Malformed::Unknown("f".into())));
        assert_eq!((root.trimmed("e"), root.text().is_err()), (Ok(None), true));
    }

    #[test]
    fn entities_deep_documents_and_wide_ones_are_refused() {
        let bomb = br#"<!DOCTYPE d [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><Delete>&b;</Delete>"#;
        assert_eq!(parse(bomb), Err(Malformed::Entities));
        assert_eq!(parse(b"<Delete>&b;</Delete>"), Err(Malformed::Entities));
        assert_eq!(parse("<a>".repeat(17).as_bytes()), Err(Malformed::TooLarge));
        let wide = format!("<a>{}</a>", "<b/>".repeat(MAX_ELEMENTS));
        assert_eq!(parse(wide.as_bytes()), Err(Malformed::TooLarge));
        assert_eq!(parse(b"<a>\xff</a>"), Err(Malformed::NotUtf8));
    }

    #[test]
    fn what_xml_1_0_forbids_is_refused_raw_and_as_a_reference() {
        let forbidden =
            ['\u{0}', '\u{1}', '\u{8}', '\u{b}', '\u{c}', '\u{10}', '\u{1f}', '\u{fffe}', '\u{ffff}'];
        for char in forbidden {
            let code = u32::from(char);
            let raw = [
                format!("<a>{char}</a>"),
                format!("<a b=\"{char}\"/>"),
                format!("<!--{char}--><a/>"),
                format!("<a><![CDATA[{char}]]></a>"),
            ];
            let references = [
                format!("<a>&#{code};</a>"),
                format!("<a>&#x{code:x};</a>"),
                format!("<a>&#x{code:X};</a>"),
                format!("<a b=\"&#{code};\"/>"),
            ];
            for xml in raw.iter().chain(&references) {
                assert!(parse(xml.as_bytes()).is_err(), "{xml:?}");
            }
        }
        for surrogate in ["<a>&#xD800;</a>", "<a>&#xDFFF;</a>", "<a>&#x110000;</a>"] {
            assert!(parse(surrogate.as_bytes()).is_err(), "{surrogate}");
        }
        for allowed in ["\t", "\u{7f}", "\u{85}", "\u{d7ff}", "\u{e000}", "\u{fffd}", "\u{10ffff}"] {
            assert_eq!(parse(format!("<a>{allowed}</a>").as_bytes()).expect("parses").text, allowed);
        }
    }

    #[test]
    fn broken_documents_are_refused() {
        for xml in
            ["", " ", "<a>", "<a></b>", "</a>", "<a/><b/>", "x<a/>", "<a/>x", "<a", "<a>&</a>", "<a>&#0;</a>"]
        {
            assert!(parse(xml.as_bytes()).is_err(), "{xml}");
        }
        assert_eq!(document(b"<a/>", "b"), Err(Malformed::WrongDocument));
    }

    #[test]
    fn one_element_may_not_stand_twice() {
        let root = parse(b"<a><k>1</k><k>2</k></a>").expect("parses");
        assert_eq!(root.at_most_one("k"), Err(Malformed::Twice("k".into())));
        assert_eq!(root.all("k").count(), 2);
        let long = "k".repeat(1000);
        let root = parse(format!("<a><b/><{long}/></a>").as_bytes()).expect("parses");
        assert_eq!(root.only(&["b"]), Err(Malformed::Unknown("k".repeat(MAX_TOLD_CHARS))));
    }

    proptest! {
        #[test]
        fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn nothing_panics_on_markup(parts in proptest::collection::vec("<a>|</a>|<b/>|&amp;|&x;|&#65;|<!\\[CDATA\\[|\\]\\]>|<!--|-->|<!DOCTYPE|\\?>|<\\?|t", 0..30)) {
            let _ = parse(parts.concat().as_bytes());
        }

        #[test]
        fn escaped_text_is_read_back(text in "\\PC*") {
            let escaped = quick_xml::escape::escape(text.as_str());
            let root = parse(format!("<a>{escaped}</a>").as_bytes()).expect("parses");
            prop_assert_eq!(root.text, text);
        }
    }
}
