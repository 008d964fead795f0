//! Where a key's file lies: paths that any key has, and no two keys share.
//!
//! A key is bytes; a path has parts that can't be empty, `.`, `..`, or over 255 bytes. A `%` begins whatever isn't
//! taken literally: `%2F` and the like for a byte, a lone `%` for an empty part, `%file` after a key that is also a
//! folder, `%version-` and an id after one of a version that isn't current, `%~` and a digest for what is cut off. A `%` of the key itself is `%25`, so nothing is ambiguous.

use sha2::{Digest, Sha256};
use std::path::PathBuf;
use stratum_metadata::record::VersionId;

/// The longest part that filesystems take.
const MAX_PART_BYTES: usize = 255;
/// The longest path under the target folder; what is longer is named by its digest.
const MAX_PATH_BYTES: usize = 2_048;
/// What is kept of a part that is cut.
const CUT_PART_BYTES: usize = 160;

/// The folder of a bucket.
pub fn bucket(name: Option<&str>, id: u64) -> String {
    match name {
        // The one name of the target folder that a bucket could have, too.
        Some(name) if name == super::manifest::NAME => format!("%{:02X}{}", name.as_bytes()[0], &name[1..]),
        Some(name) => part(name.as_bytes()),
        None => format!("%bucket-{id}"),
    }
}

/// The file of a key under its bucket's folder. `is_folder` says that other keys begin with this one and a `/`.
pub fn object(key: &[u8], is_folder: bool) -> PathBuf {
    suffixed(key, if is_folder { "%file" } else { "" })
}

/// The file of a version of a key that isn't current, under a folder of the bucket's that holds nothing else.
pub fn version(key: &[u8], version: VersionId) -> PathBuf {
    suffixed(key, &format!("%version-{version}"))
}

fn suffixed(key: &[u8], suffix: &str) -> PathBuf {
    let of = [key, suffix.as_bytes()].concat();
    let mut parts: Vec<String> = key.split(|byte| *byte == b'/').map(part).collect();
    if let Some(last) = parts.last_mut().filter(|_| !suffix.is_empty()) {
        *last = fitting(format!("{last}{suffix}"), &of);
    }
    let path: PathBuf = parts.iter().collect();
    match path.as_os_str().len() <= MAX_PATH_BYTES {
        true => path,
        false => PathBuf::from("%long").join(digest(&of)),
    }
}

fn part(bytes: &[u8]) -> String {
    let literal = match bytes {
        b"" => "%".to_owned(),
        b"." => "%2E".to_owned(),
        b".." => "%2E%2E".to_owned(),
        _ => bytes.utf8_chunks().fold(String::new(), |mut text, chunk| {
            for letter in chunk.valid().chars() {
                match letter {
                    '%' | '\\' | '\0'..='\x1f' | '\x7f' => text.push_str(&escaped(letter as u8)),
                    _ => text.push(letter),
                }
            }
            chunk.invalid().iter().for_each(|byte| text.push_str(&escaped(*byte)));
            text
        }),
    };
    fitting(literal, bytes)
}

fn escaped(byte: u8) -> String {
    format!("%{byte:02X}")
}

/// The part, cut if it must be; then the digest of what it stands for keeps it apart from others.
fn fitting(part: String, of: &[u8]) -> String {
    if part.len() <= MAX_PART_BYTES {
        return part;
    }
    let end = (0..=CUT_PART_BYTES).rev().find(|end| part.is_char_boundary(*end)).unwrap_or(0);
    format!("{}%~{}", &part[..end], digest(of))
}

fn digest(bytes: &[u8]) -> String {
    hex::encode(&Sha256::digest(bytes)[..20])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::Component;

    fn text(key: &[u8]) -> String {
        object(key, false).display().to_string()
    }

    #[test]
    fn plain_keys_are_their_paths() {
        assert_eq!(text(b"photos/2024/a b.jpg"), "photos/2024/a b.jpg");
        assert_eq!(text("ä/ö".as_bytes()), "ä/ö");
    }

    #[test]
    fn what_a_path_cannot_hold_is_escaped() {
        assert_eq!(text(b"../../etc/passwd"), "%2E%2E/%2E%2E/etc/passwd");
        assert_eq!(text(b"/a//b/"), "%/a/%/b/%");
        assert_eq!(text(b"100%\n\xff"), "100%25%0A%FF");
        assert_eq!(object(b"a", true).display().to_string(), "a%file");
        assert_eq!(bucket(Some("manifest.jsonl"), 1), "%6Danifest.jsonl");
        assert_eq!(bucket(None, 7), "%bucket-7");
    }

    #[test]
    fn long_names_are_cut_and_stay_apart() {
        let (one, other) =
            ([b"x".repeat(600), b"1".to_vec()].concat(), [b"x".repeat(600), b"2".to_vec()].concat());
        assert!(text(&one).len() <= MAX_PART_BYTES && text(&one) != text(&other));
        let deep = [b"\x01/".repeat(500), b"e".to_vec()].concat();
        assert!(object(&b"\x01".repeat(1024), false).as_os_str().len() <= MAX_PATH_BYTES);
        assert!(object(&deep, false).as_os_str().len() <= MAX_PATH_BYTES);
        assert!(object(&b"\x01".repeat(90), true).as_os_str().len() <= MAX_PART_BYTES);
    }

    fn key() -> impl Strategy<Value = Vec<u8>> {
        let byte =
            prop_oneof![Just(b'/'), Just(b'.'), Just(b'%'), Just(b'2'), Just(b'E'), Just(b'a'), any::<u8>()];
        proptest::collection::vec(byte, 1..8)
    }

    proptest! {
        #[test]
        fn a_path_stays_below_its_folder_and_belongs_to_one_key(one in key(), other in key()) {
            let path = object(&one, false);
            prop_assert!(path.components().all(|part| matches!(part, Component::Normal(_))));
            prop_assert!(!path.to_string_lossy().contains(['\0', '\n']));
            prop_assert_eq!(path == object(&other, false), one == other);
            prop_assert_ne!(&path, &object(&other, true));
            let null = version(&one, VersionId::NULL);
            prop_assert_eq!(null == version(&other, VersionId::NULL), one == other);
            prop_assert_ne!(&null, &version(&other, VersionId(7)));
            prop_assert_ne!(&null, &path);
        }
    }
}
