//! What kind of data an object's bytes are: what a classifier saw in them, what the client declared, and which of the
//! two counts.
//!
//! A [`ContentClass`] is only as fine as tiering needs: whether coding would shrink the bytes, and what a person
//! calls them. A [`Sample`] holds the first and last bytes of an object, which the classifier needs; [`Samples`] is
//! the queue of objects that wait for it. The classifier itself is not in this crate.

mod declared;
mod meet;
mod sample;
mod samples;

pub use declared::declared;
pub use meet::{Content, Unseen};
pub use sample::{Sample, Sampler, WINDOW_BYTES};
pub use samples::{Samples, Waiting, What};

use serde::{Deserialize, Serialize};

/// What the bytes of an object are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ContentClass {
    #[default]
    Unknown,
    /// Text of a kind that has no class of its own.
    Text,
    /// Lines that each hold a time.
    Log,
    Source,
    /// Rows: comma-separated values, spreadsheets, columnar files.
    Table,
    Document,
    Image,
    Video,
    Audio,
    /// Many files in one, compressed or not, and single files that are compressed.
    Archive,
    /// File systems and images of disks.
    DiskImage,
    /// Pages of a database.
    Database,
    /// Arrays of numbers, and trained models.
    Data,
    Executable,
    Font,
}

impl ContentClass {
    pub const ALL: [ContentClass; 15] = [
        ContentClass::Unknown,
        ContentClass::Text,
        ContentClass::Log,
        ContentClass::Source,
        ContentClass::Table,
        ContentClass::Document,
        ContentClass::Image,
        ContentClass::Video,
        ContentClass::Audio,
        ContentClass::Archive,
        ContentClass::DiskImage,
        ContentClass::Database,
        ContentClass::Data,
        ContentClass::Executable,
        ContentClass::Font,
    ];

    pub fn name(self) -> &'static str {
        match self {
            ContentClass::Unknown => "unknown",
            ContentClass::Text => "text",
            ContentClass::Log => "log",
            ContentClass::Source => "source",
            ContentClass::Table => "table",
            ContentClass::Document => "document",
            ContentClass::Image => "image",
            ContentClass::Video => "video",
            ContentClass::Audio => "audio",
            ContentClass::Archive => "archive",
            ContentClass::DiskImage => "disk_image",
            ContentClass::Database => "database",
            ContentClass::Data => "data",
            ContentClass::Executable => "executable",
            ContentClass::Font => "font",
        }
    }

    /// The class's name, to stand behind "the bytes of".
    pub fn in_words(self) -> &'static str {
        match self {
            ContentClass::Unknown => "something unknown",
            ContentClass::Text => "a text",
            ContentClass::Log => "a log",
            ContentClass::Source => "source code",
            ContentClass::Table => "a table",
            ContentClass::Document => "a document",
            ContentClass::Image => "an image",
            ContentClass::Video => "a video",
            ContentClass::Audio => "audio",
            ContentClass::Archive => "an archive",
            ContentClass::DiskImage => "a disk's image",
            ContentClass::Database => "a database",
            ContentClass::Data => "data",
            ContentClass::Executable => "an executable",
            ContentClass::Font => "a font",
        }
    }

    /// Whether bytes of this class are characters.
    fn is_textual(self) -> bool {
        matches!(self, ContentClass::Text | ContentClass::Log | ContentClass::Source)
    }
}

impl std::fmt::Display for ContentClass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// Whether coding makes the bytes much shorter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shrinks {
    /// Not known: only a probe tells.
    #[default]
    Perhaps,
    /// Usually yes.
    Well,
    /// No: the bytes are compressed already.
    Hardly,
}

/// What the classifier saw in an object's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    pub class: ContentClass,
    pub shrinks: Shrinks,
    /// How sure the classifier is, in percent.
    pub confidence: u8,
}

/// How sure the classifier must be, in percent, that bytes are compressed already, before coding isn't even tried. If
/// it is wrong, space is wasted for good; a needless try only costs some processor time.
const SURE_PERCENT: u8 = 90;

impl Seen {
    /// Whether coding makes the bytes shorter, as far as the classifier is sure enough of it to spare a probe.
    pub fn shrinks(&self) -> Shrinks {
        match self.shrinks {
            Shrinks::Hardly if self.confidence < SURE_PERCENT => Shrinks::Perhaps,
            shrinks => shrinks,
        }
    }
}

/// [`ContentClass`] and [`Shrinks`] together in one byte, as they are stored.
impl Seen {
    /// The class takes the lower five bits, [`Shrinks`] the upper ones.
    pub(crate) fn to_byte(self) -> u8 {
        let class = ContentClass::ALL.iter().position(|class| *class == self.class).unwrap_or_default() as u8;
        let shrinks = match self.shrinks {
            Shrinks::Perhaps => 0,
            Shrinks::Well => 1,
            Shrinks::Hardly => 2,
        };
        class | shrinks << 5
    }

    /// A class that this server doesn't know is read as [`ContentClass::Unknown`]: a later server may have written
    /// it.
    pub(crate) fn from_byte(byte: u8, confidence: u8) -> Seen {
        let class = ContentClass::ALL.get(usize::from(byte & 31)).copied().unwrap_or_default();
        let shrinks = match byte >> 5 {
            1 => Shrinks::Well,
            2 => Shrinks::Hardly,
            _ => Shrinks::Perhaps,
        };
        Seen { class, shrinks, confidence: confidence.min(100) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_comes_back_and_no_byte_makes_nonsense() {
        for class in ContentClass::ALL {
            for shrinks in [Shrinks::Perhaps, Shrinks::Well, Shrinks::Hardly] {
                let seen = Seen { class, shrinks, confidence: 77 };
                assert_eq!(Seen::from_byte(seen.to_byte(), 77), seen);
            }
        }
        for byte in 0..=255 {
            assert!(Seen::from_byte(byte, 255).confidence == 100);
        }
    }

    #[test]
    fn an_unsure_classifier_spares_no_probe() {
        let seen = |shrinks, confidence| Seen { class: ContentClass::Video, shrinks, confidence }.shrinks();
        assert_eq!([89, 90].map(|sure| seen(Shrinks::Hardly, sure)), [Shrinks::Perhaps, Shrinks::Hardly]);
        assert_eq!(seen(Shrinks::Well, 50), Shrinks::Well);
    }
}
