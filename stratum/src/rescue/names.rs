//! The path of the file of each key. Every possible key has a path, and no two keys have the same one.
//!
//! A key is any bytes, while the parts of a path can't be empty, `.`, `..`, or longer than 255 bytes. Whatever can't be
//! written literally begins with `%`:
//!
//! - `%0A` and the like stands for a byte,
//! - a lone `%` for an empty part,
//! - `%file` follows a key that is a folder for other keys, too,
//! - `%version-` and an id follow the key of a version that isn't current,
//! - `%~` and a digest replace the end of a part that is too long.
//!
//! A `%` of the key itself is written `%25`, so nothing is ambiguous.

use sha2::{Digest, Sha256};
use std::path::PathBuf;
use stratum_metadata::record::VersionId;

/// The longest part of a path that filesystems allow.
const MAX_PART_BYTES: usize = 255;
/// The longest path below the target folder. A key with a longer path gets a path made from its digest.
const MAX_PATH_BYTES: usize = 2_048;
/// How much is kept of a part that is too long.
const CUT_PART_BYTES: usize = 160;

/// The folder of a bucket.
pub fn bucket(name: Option<&str>, id: u64) -> String {
    match name {
        // The manifest lies beside the folders of the buckets, and a bucket may have its name.
        Some(name) if name == super::manifest::NAME => format!("%{:02X}{}", name.as_bytes()[0], &name[1..]),
        Some(name) => part(name.as_bytes()),
        None => format!("%bucket-{id}"),
    }
}

/// The path of a key's file in its bucket's folder. `is_folder` says that other keys begin with this key and a `/`.
pub fn object(key: &[u8], is_folder: bool) -> PathBuf {
    suffixed(key, if is_folder { "%file" } else { "" })
}

/// The path of the file of a version that isn't current, in a folder of the bucket that holds only such versions.
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

/// The part of a path, shortened if it is too long. A shortened part ends with the digest of `of`, the bytes that it
/// stands for, so that it differs from all others.
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
    fn a_plain_key_is_its_own_path() {
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
    fn long_names_are_shortened_and_still_differ() {
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
