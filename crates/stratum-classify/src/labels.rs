//! The model's labels as content classes.
//!
//! Source: Magika's `content_types_kb.min.json`, which says of each label what it stands for and whether it is text.
//! Whether a kind shrinks was found by compressing files of it with zstd.

use stratum_tiering::content::{ContentClass, Shrinks};

use ContentClass::{
    Archive, Audio, Data, Database, DiskImage, Document, Executable, Font, Image, Source, Table, Text,
    Unknown, Video,
};
use Made::{OfBytes, OfCharacters};
use Shrinks::{Hardly, Perhaps, Well};

/// Whether files of a kind are text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    OfCharacters,
    OfBytes,
}

/// What a label stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    pub class: ContentClass,
    pub shrinks: Shrinks,
    pub made: Made,
}

impl Kind {
    /// The kind of a label that this server doesn't know, as a later model may have.
    const UNKNOWN: Kind = Kind { class: Unknown, shrinks: Perhaps, made: OfBytes };

    pub fn of(label: &str) -> Kind {
        let of_row =
            |row: &&(ContentClass, Shrinks, Made, &str)| row.3.split(' ').any(|known| known == label);
        let row = LABELS.iter().find(of_row);
        row.map_or(Kind::UNKNOWN, |&(class, shrinks, made, _)| Kind { class, shrinks, made })
    }
}

#[rustfmt::skip]
const LABELS: &[(ContentClass, Shrinks, Made, &str)] = &[
    (Unknown, Perhaps, OfBytes, "applebplist cat empty lnk randombytes torrent unknown"),
    (Text, Perhaps, OfBytes, "crt"),
    (Text, Well, OfCharacters, "appleplist bib diff gitattributes gitmodules htaccess ics ignorefile ini internetshortcut json m3u mum pem po randomtxt rdf sgml srt sum textproto toml txt vtt winregistry xml yaml"),
    (Source, Well, OfCharacters, "aidl asm asp autohotkey autoit awk batch bazel c clojure cmake cobol coffeescript cpp cs csproj css dart dm dockerfile elixir erb erlang fortran gemfile gemspec go gradle groovy handlebars haskell hcl ipynb java javascript jinja julia kotlin lisp lua m4 makefile matlab objectivec ocaml pascal perl php powershell prolog proto python r ruby rust scala scss shell smali solidity sql swift tcl twig typescript vba vcxproj verilog vhdl vue yara zig"),
    (Table, Hardly, OfBytes, "ods xlsb xlsx"),
    (Table, Perhaps, OfBytes, "parquet xls"),
    (Table, Well, OfCharacters, "csv jsonl tsv"),
    (Document, Hardly, OfBytes, "docx epub odp odt pptx"),
    (Document, Perhaps, OfBytes, "ai chm doc hlp one outlook pdf ppt"),
    (Document, Perhaps, OfCharacters, "eml mht"),
    (Document, Well, OfBytes, "postscript"),
    (Document, Well, OfCharacters, "html latex markdown rst rtf"),
    (Image, Hardly, OfBytes, "gif jp2 jpeg png webp"),
    (Image, Perhaps, OfBytes, "bmp dwg emf icns ico psd stlbinary tga tiff wmf"),
    (Image, Well, OfCharacters, "dxf stltext svg"),
    (Video, Hardly, OfBytes, "3gp flv mkv mp4 qt webm"),
    (Audio, Hardly, OfBytes, "flac mp3 ogg"),
    (Audio, Perhaps, OfBytes, "midi wav"),
    (Archive, Hardly, OfBytes, "ace bzip cab deb gzip jar lha mscompress nupkg rar rpm sevenzip snap xar xpi xz zip zlibstream"),
    (Archive, Perhaps, OfBytes, "msi tar"),
    (DiskImage, Perhaps, OfBytes, "dmg iso squashfs"),
    (Database, Perhaps, OfBytes, "dsstore pdb sqlite thumbsdb"),
    (Data, Hardly, OfBytes, "npz"),
    (Data, Perhaps, OfBytes, "dicom h5 npy onnx pcap pickle pytorch"),
    (Data, Perhaps, OfCharacters, "proteindb"),
    (Executable, Hardly, OfBytes, "apk"),
    (Executable, Perhaps, OfBytes, "coff crx dex elf javabytecode macho pebin pythonbytecode swf wasm"),
    (Font, Hardly, OfBytes, "woff woff2"),
    (Font, Perhaps, OfBytes, "otf ttf"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ModelConfig;
    use std::collections::BTreeMap;

    #[test]
    fn every_label_of_the_model_stands_for_one_kind() {
        let mut rows: BTreeMap<&str, usize> = BTreeMap::new();
        LABELS.iter().flat_map(|row| row.3.split(' ')).for_each(|label| *rows.entry(label).or_default() += 1);
        let model = ModelConfig::built_in().unwrap();
        assert_eq!(model.labels().len(), 214);
        for label in model.labels().iter().map(String::as_str).chain(["unknown", "empty"]) {
            assert_eq!(rows.remove(label), Some(1), "{label}");
        }
        assert_eq!(rows, BTreeMap::new(), "labels that no model gives");
    }

    #[test]
    fn what_is_compressed_is_known_for_it() {
        for label in ["mp4", "jpeg", "zip", "docx", "woff2", "flac"] {
            assert_eq!(Kind::of(label).shrinks, Hardly, "{label}");
        }
        for label in ["txt", "csv", "python", "html"] {
            assert_eq!((Kind::of(label).shrinks, Kind::of(label).made), (Well, OfCharacters), "{label}");
        }
        // A body of zeros has the label of a disk image.
        assert_eq!(Kind::of("iso").shrinks, Perhaps);
        assert_eq!(Kind::of("a later model's"), Kind::UNKNOWN);
    }
}
