//! How what the classifier saw and what the client declared come to one class, and the sentence that explains it.
//!
//! What was seen counts more than what was declared, since a client may declare anything. Where the classifier saw
//! merely text, or nothing that it knows, the declared class counts. A class that is only declared never spares a
//! probe.

use super::{ContentClass, Seen, Shrinks};

/// What is known of the bytes of an object, from all sources together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    pub class: ContentClass,
    /// How sure the classifier is, in percent; `None` where it didn't look at the bytes.
    pub confidence: Option<u8>,
    pub shrinks: Shrinks,
    /// Which of the sources counts, and why, in words.
    pub because: String,
}

/// What is known of an object whose bytes the classifier didn't look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unseen {
    /// Why it didn't, in words that follow "its bytes were not looked at: ".
    pub why: &'static str,
    /// What was seen of most objects in the same folder with the same file name extension, if most are alike.
    pub siblings: Option<Seen>,
}

impl Content {
    /// `content_type` is the header that the client sent.
    pub fn of(seen: Result<Seen, Unseen>, content_type: Option<&str>) -> Content {
        let content_type = content_type.filter(|declared| !declared.trim().is_empty());
        let declared = content_type.and_then(super::declared);
        match seen {
            Ok(seen) => of_seen(seen, content_type, declared),
            Err(unseen) => of_unseen(unseen, content_type, declared),
        }
    }
}

fn of_seen(seen: Seen, content_type: Option<&str>, declared: Option<ContentClass>) -> Content {
    let looks = match seen.class {
        ContentClass::Unknown => {
            "its first and last bytes are of no kind that the classifier is sure of".to_owned()
        }
        class => format!(
            "its first and last bytes are those of {}, by the classifier, which is {} % sure",
            class.in_words(),
            seen.confidence
        ),
    };
    let (class, rest) = match (declared, content_type) {
        (None, None) => (seen.class, "nothing was declared of them".to_owned()),
        (None, Some(named)) => {
            (seen.class, format!("{}, which was declared, says nothing of them", quoted(named)))
        }
        (Some(class), named) => {
            let named = quoted(named.unwrap_or_default());
            if class == seen.class {
                (class, format!("{named} was declared, which agrees"))
            } else if seen.class == ContentClass::Unknown {
                (class, format!("{named} was declared, which counts where they tell nothing"))
            } else if seen.class == ContentClass::Text && says_what_text(class) {
                (class, format!("{named} was declared, which says what text it is"))
            } else {
                (seen.class, format!("{named} was declared, and bytes count more than words"))
            }
        }
    };
    Content {
        class,
        confidence: Some(seen.confidence),
        shrinks: seen.shrinks(),
        because: format!("{looks}; {rest}"),
    }
}

fn of_unseen(unseen: Unseen, content_type: Option<&str>, declared: Option<ContentClass>) -> Content {
    let Unseen { why, siblings } = unseen;
    let because = format!("its bytes were not looked at: {why}");
    let alike = siblings.filter(|siblings| siblings.class != ContentClass::Unknown);
    match (declared, content_type, alike) {
        (Some(class), named, _) => Content {
            class,
            confidence: None,
            // The siblings' bytes say whether this object's shrink, but only if their class is the declared one.
            shrinks: alike
                .filter(|alike| alike.class == class)
                .map_or(Shrinks::Perhaps, |alike| alike.shrinks()),
            because: format!("{because}; {} was declared", quoted(named.unwrap_or_default())),
        },
        (None, _, Some(alike)) => Content {
            class: alike.class,
            confidence: None,
            shrinks: alike.shrinks(),
            because: format!(
                "{because}; most of the objects beside it whose names end alike have the bytes of {}",
                alike.class.in_words()
            ),
        },
        (None, named, None) => {
            let rest = named.map_or_else(
                || "nothing was declared of them".to_owned(),
                |named| format!("{}, which was declared, says nothing of them", quoted(named)),
            );
            Content {
                class: ContentClass::Unknown,
                confidence: None,
                shrinks: Shrinks::Perhaps,
                because: format!("{because}; {rest}"),
            }
        }
    }
}

/// Whether the class is a kind of text, which the classifier can't always tell from other text.
fn says_what_text(class: ContentClass) -> bool {
    class.is_textual() || matches!(class, ContentClass::Table | ContentClass::Document)
}

/// A header's text, cut to a length that fits into a sentence.
fn quoted(content_type: &str) -> String {
    const MOST_CHARS: usize = 80;
    let escaped = content_type.escape_debug().to_string();
    match escaped.char_indices().nth(MOST_CHARS) {
        None => escaped,
        Some((end, _)) => format!("{}...", escaped.get(..end).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(class: ContentClass, shrinks: Shrinks) -> Result<Seen, Unseen> {
        Ok(Seen { class, shrinks, confidence: 98 })
    }

    fn unseen(siblings: Option<ContentClass>) -> Result<Seen, Unseen> {
        let siblings = siblings.map(|class| Seen { class, shrinks: Shrinks::Hardly, confidence: 95 });
        Err(Unseen { why: "the classifier is off", siblings })
    }

    fn met(seen: Result<Seen, Unseen>, content_type: &str) -> (ContentClass, Shrinks, String) {
        let Content { class, shrinks, because, .. } = Content::of(seen, Some(content_type));
        (class, shrinks, because)
    }

    #[test]
    fn bytes_count_more_than_words() {
        let (class, shrinks, because) = met(seen(ContentClass::Video, Shrinks::Hardly), "text/plain");
        assert_eq!((class, shrinks), (ContentClass::Video, Shrinks::Hardly));
        assert_eq!(
            because,
            "its first and last bytes are those of a video, by the classifier, which is 98 % sure; text/plain was declared, \
             and bytes count more than words"
        );
        let (class, _, because) = met(seen(ContentClass::Video, Shrinks::Hardly), "video/mp4");
        assert!(class == ContentClass::Video && because.ends_with("video/mp4 was declared, which agrees"));
        // Text that is declared a video is text.
        assert_eq!(met(seen(ContentClass::Text, Shrinks::Well), "video/mp4").0, ContentClass::Text);
    }

    #[test]
    fn bytes_that_tell_little_are_what_is_declared_of_them() {
        assert_eq!(met(seen(ContentClass::Text, Shrinks::Well), "text/csv").0, ContentClass::Table);
        assert_eq!(met(seen(ContentClass::Unknown, Shrinks::Perhaps), "video/mp4").0, ContentClass::Video);
        let (class, _, because) = met(seen(ContentClass::Text, Shrinks::Well), "application/octet-stream");
        assert!(class == ContentClass::Text && because.ends_with("says nothing of them"), "{because}");
    }

    #[test]
    fn what_is_only_declared_spares_no_probe() {
        let (class, shrinks, because) = met(unseen(None), "video/mp4");
        assert_eq!((class, shrinks), (ContentClass::Video, Shrinks::Perhaps));
        assert_eq!(because, "its bytes were not looked at: the classifier is off; video/mp4 was declared");
    }

    #[test]
    fn an_object_that_nobody_looked_at_is_taken_for_what_those_beside_it_are() {
        let of = |siblings, content_type| {
            let (class, shrinks, _) = met(unseen(siblings), content_type);
            (class, shrinks)
        };
        let (image, octets) = (Some(ContentClass::Image), "application/octet-stream");
        assert_eq!(of(image, octets), (ContentClass::Image, Shrinks::Hardly));
        assert_eq!(of(image, "image/png"), (ContentClass::Image, Shrinks::Hardly));
        assert_eq!(of(image, "video/mp4"), (ContentClass::Video, Shrinks::Perhaps));
        assert_eq!(of(None, octets), (ContentClass::Unknown, Shrinks::Perhaps));
    }

    #[test]
    fn a_header_is_told_in_a_bearable_length() {
        let because = met(seen(ContentClass::Text, Shrinks::Well), &"\u{7}x".repeat(500)).2;
        assert!(because.len() < 300 && because.contains("\\u{7}x"), "{because}");
    }
}
