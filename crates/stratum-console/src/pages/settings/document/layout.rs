//! Lays out an XML document as people edit it: elements on lines of their own. What is laid out may be saved again, so
//! that no character of any text changes. Only between elements that have nothing but elements beside them is anything
//! written.

use quick_xml::Reader;
use quick_xml::events::Event;

const INDENT: &str = "  ";

/// A piece of the document as it is written there.
enum Piece<'a> {
    Start(&'a str, Inner),
    End(&'a str),
    /// Whatever needs a line of its own beside elements: an empty element, a comment, an instruction.
    Whole(&'a str),
    /// Text, and references and sections in it.
    Text(&'a str),
}

/// What an element holds directly.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inner {
    Nothing,
    Elements,
    Text,
}

/// The document with elements on lines of their own. One that can't be read stays as it is.
pub fn laid_out(text: &str) -> String {
    let Some(pieces) = pieces(text) else { return text.to_owned() };
    let mut written = String::with_capacity(text.len() * 2);
    let mut open: Vec<Inner> = Vec::new();
    let own_line = |written: &mut String, depth: usize| {
        if !written.is_empty() {
            written.push('\n');
        }
        written.push_str(&INDENT.repeat(depth));
    };
    for piece in pieces {
        let is_apart = open.last().is_none_or(|within| *within == Inner::Elements);
        match piece {
            Piece::Start(tag, holds) => {
                if is_apart {
                    own_line(&mut written, open.len());
                }
                written.push_str(tag);
                open.push(holds);
            }
            Piece::End(tag) => {
                if open.pop() == Some(Inner::Elements) {
                    own_line(&mut written, open.len());
                }
                written.push_str(tag);
            }
            Piece::Whole(tag) => {
                if is_apart {
                    own_line(&mut written, open.len());
                }
                written.push_str(tag);
            }
            Piece::Text(text) => written.push_str(text),
        }
    }
    written
}

/// The pieces of the document, without its declaration and without blanks outside its root element.
fn pieces(text: &str) -> Option<Vec<Piece<'_>>> {
    let mut reader = Reader::from_str(text);
    let mut pieces = Vec::new();
    // Where the elements begin in the list that aren't closed yet.
    let mut open: Vec<usize> = Vec::new();
    let mut from = 0;
    loop {
        let event = reader.read_event().ok()?;
        let to = usize::try_from(reader.buffer_position()).ok()?;
        let piece = text.get(from..to)?;
        from = to;
        let held = match &event {
            Event::Text(_) | Event::CData(_) | Event::GeneralRef(_) => Inner::Text,
            Event::End(_) => Inner::Nothing,
            _ => Inner::Elements,
        };
        if let Some(Piece::Start(_, holds)) = open.last().and_then(|at| pieces.get_mut(*at))
            && held != Inner::Nothing
            && *holds != Inner::Text
        {
            *holds = held;
        }
        match event {
            Event::Eof => return open.is_empty().then_some(pieces),
            Event::Decl(_) => {}
            Event::Text(_) | Event::CData(_) | Event::GeneralRef(_) if open.is_empty() => {
                if !piece.trim().is_empty() {
                    return None;
                }
            }
            Event::Text(_) | Event::CData(_) | Event::GeneralRef(_) => pieces.push(Piece::Text(piece)),
            Event::Start(_) => {
                open.push(pieces.len());
                pieces.push(Piece::Start(piece, Inner::Nothing));
            }
            Event::End(_) => {
                open.pop()?;
                pieces.push(Piece::End(piece));
            }
            Event::Empty(_) | Event::Comment(_) | Event::PI(_) | Event::DocType(_) => {
                pieces.push(Piece::Whole(piece));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_get_lines_of_their_own() {
        let text = "<?xml version=\"1.0\"?>\n<A xmlns=\"x\"><B><C>1</C><D/></B><B></B></A>";
        let laid = "<A xmlns=\"x\">\n  <B>\n    <C>1</C>\n    <D/>\n  </B>\n  <B></B>\n</A>";
        assert_eq!(laid_out(text), laid);
        assert_eq!(laid_out(laid), laid, "what was laid out by somebody stays as it is");
    }

    #[test]
    fn no_text_changes() {
        for element in [
            "<Prefix> a</Prefix>",
            "<Prefix>a &amp; b</Prefix>",
            "<Prefix>  </Prefix>",
            "<Prefix>a\nb\t</Prefix>",
            "<Prefix> &#32;&lt; </Prefix>",
            "<Prefix><![CDATA[ x ]]> </Prefix>",
            "<Prefix>a<b/> c</Prefix>",
            "<Prefix><b/> </Prefix>",
        ] {
            let laid = laid_out(&format!("<A><B>{element}<C>1</C></B></A>"));
            assert_eq!(laid, format!("<A>\n  <B>\n    {element}\n    <C>1</C>\n  </B>\n</A>"), "{element}");
        }
        for broken in ["<A><B></A>", "<A>", "text", "<A/>text", ""] {
            assert_eq!(laid_out(broken), broken);
        }
    }
}
