//! Names of buckets and objects in addresses. A name may hold any character, so it is encoded such that no character
//! of it has a meaning in the address.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use url::form_urlencoded;

/// What isn't encoded in the path of a request to S3: unreserved characters and the slash.
const IN_KEY: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');
const IN_SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The path of a bucket in S3.
pub fn bucket_path(bucket: &str) -> String {
    format!("/{}", utf8_percent_encode(bucket, IN_SEGMENT))
}

/// The path of an object in S3.
pub fn object_path(bucket: &str, key: &str) -> String {
    format!("{}/{}", bucket_path(bucket), utf8_percent_encode(key, IN_KEY))
}

/// One segment of a path.
pub fn segment(text: &str) -> String {
    utf8_percent_encode(text, IN_SEGMENT).to_string()
}

/// A query of those parameters that have a value.
pub fn query<'a>(parameters: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut query = String::new();
    for (name, value) in parameters.into_iter().filter(|(_, value)| !value.is_empty()) {
        let separator = if query.is_empty() { "" } else { "&" };
        query.push_str(&format!("{separator}{name}={}", utf8_percent_encode(value, IN_SEGMENT)));
    }
    query
}

/// An encoded form, as IAM takes it.
pub fn form<'a>(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
}

/// The address of a page about a bucket: `/b/NAME` and `rest`.
pub fn of_bucket(bucket: &str, rest: &str) -> String {
    format!("{}/b/{}{rest}", crate::ROOT, segment(bucket))
}

/// The address of a page about an object. The key stands in the query, since a browser would change `..` in a path.
pub fn of_object(bucket: &str, page: &str, key: &str, version: &str) -> String {
    let query = query([("key", key), ("version", version)]);
    format!("{}/b/{}/{page}?{query}", crate::ROOT, segment(bucket))
}

/// The last part of a key, or of a prefix that ends with a slash.
pub fn last(key: &str) -> &str {
    let whole = key.strip_suffix('/').unwrap_or(key);
    let last = whole.rsplit('/').next().unwrap_or(whole);
    if last.is_empty() { key } else { last }
}

/// The prefix that a key lies under, with its slash.
pub fn parent(key: &str) -> &str {
    let whole = key.strip_suffix('/').unwrap_or(key);
    whole.rfind('/').and_then(|at| key.get(..=at)).unwrap_or_default()
}

/// To how many of the folders that a key lies in a page links. A key may lie in five hundred, and each link is as long
/// as the key until there.
const LINKED_FOLDERS: usize = 8;

/// The innermost folders that a key lies in, each as a prefix with its slash; and whether there are others above them.
pub fn folders(key: &str) -> (Vec<&str>, bool) {
    let above = parent(key);
    let mut folders: Vec<&str> =
        above.rmatch_indices('/').filter_map(|(at, _)| above.get(..=at)).take(LINKED_FOLDERS + 1).collect();
    let are_cut = folders.len() > LINKED_FOLDERS;
    folders.truncate(LINKED_FOLDERS);
    folders.reverse();
    (folders, are_cut)
}

/// The address, if a browser that is led to it asks for `below` or for something below that. It would take `.` and `..`
/// out of a path, also encoded ones, and so come to any object at this origin.
pub fn ours<'a>(address: &'a str, below: &str) -> Option<&'a str> {
    let rest = address.strip_prefix(below)?;
    let path = address.split(['?', '#']).next().unwrap_or_default();
    let is_plain = address.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let is_below = rest.is_empty() || rest.starts_with(['/', '?', '#']);
    let decoded = percent_decode_str(path).decode_utf8_lossy();
    (is_plain && is_below && !has_steps(&decoded)).then_some(address)
}

/// Whether the key has a part `.` or `..`, so that no browser can ask for it by its path.
pub fn has_steps(key: &str) -> bool {
    key.split('/').any(|segment| segment == "." || segment == "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_character_of_a_key_has_a_meaning_in_an_address() {
        for (key, path) in [
            ("a/b c", "/b/a/b%20c"),
            ("?a=b&c#d", "/b/%3Fa%3Db%26c%23d"),
            ("100%", "/b/100%25"),
            ("/x//y/../z", "/b//x//y/../z"),
            ("\"><script>\n", "/b/%22%3E%3Cscript%3E%0A"),
            ("\u{20ac}\0", "/b/%E2%82%AC%00"),
        ] {
            assert_eq!(object_path("b", key), path);
        }
        assert_eq!(
            of_object("b", "object", "a/../b?&=+ %\"", "1"),
            "/_stratum/console/b/b/object?key=a%2F..%2Fb%3F%26%3D%2B%20%25%22&version=1"
        );
        assert_eq!(query([("a", ""), ("b", "1"), ("c", "&")]), "b=1&c=%26");
    }

    #[test]
    fn no_address_of_ours_leads_elsewhere() {
        let is_ours = |rest: &str| ours(&format!("{}{rest}", crate::ROOT), crate::ROOT).is_some();
        for rest in ["/buckets", "/b/media?prefix=../x&begins=%2e%2e", "/b/a..b/c%20d", "/b/media#..", ""] {
            assert!(is_ours(rest), "{rest}");
        }
        for rest in [
            "/../../public/page.html",
            "/..",
            "/%2e%2e/%2E%2e/public/page.html",
            "/.%2e/x",
            "/%2e/x",
            "/b/..%2f..%2fx",
            "/b/x\\..\\..",
            "/b/x y",
            "x/b",
            ".evil.example/",
        ] {
            assert!(!is_ours(rest), "{rest}");
        }
        assert_eq!((ours("https://evil.example/", crate::ROOT), ours("//evil/", crate::ROOT)), (None, None));
        assert!(ours("/c/b/media2", "/c/b/media").is_none() && ours("/c/b/media?x", "/c/b/media").is_some());
    }

    #[test]
    fn a_key_has_a_last_part_and_a_parent() {
        for (key, last_part, above) in [
            ("a/b/c", "c", "a/b/"),
            ("a/b/", "b", "a/"),
            ("a", "a", ""),
            ("/", "/", ""),
            ("/a", "a", "/"),
            ("a//", "a//", "a/"),
            ("", "", ""),
        ] {
            assert_eq!((last(key), parent(key)), (last_part, above), "{key}");
        }
        assert_eq!(folders("a/b/c"), (vec!["a/", "a/b/"], false));
        assert_eq!((folders("a/b/"), folders("a")), ((vec!["a/"], false), (vec![], false)));
        let deep = "a/".repeat(20);
        let (some, are_cut) = folders(&deep);
        assert_eq!((some.len(), some.last().copied(), are_cut), (LINKED_FOLDERS, deep.get(..38), true));
        assert!(has_steps("a/../b") && has_steps(".") && !has_steps("a/..b/c.."));
    }
}
