//! Where something is: in a bucket, in a file, or in the pipe that a command reads or writes.
//!
//! A URL's scheme says whom to ask: `s3://` the endpoint that flags, environment and `~/.aws` name, and `NAME://` the one
//! that `stratum alias set NAME` keeps. What follows the bucket is the key as it is: nothing in it is decoded, so that
//! every key can be named. A path has no scheme, and is never taken for anything else.

use std::fmt;
use std::path::PathBuf;

/// Which endpoint a URL means.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Site {
    /// `s3://`
    Default,
    /// A name that `stratum alias` keeps.
    Alias(String),
}

/// A bucket or something in one. Without a bucket it is all buckets, without a key the whole bucket.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Url {
    pub site: Site,
    pub bucket: String,
    pub key: String,
}

/// Something that can be read or written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    Remote(Url),
    Local(PathBuf),
    /// `-`
    Pipe,
}

impl Url {
    /// Reads `s3://BUCKET/KEY`.
    ///
    /// # Errors
    /// Why the text is no such URL, in words.
    pub fn parse(text: &str) -> Result<Url, String> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(format!("\"{}\" is no URL such as s3://bucket/key", text.escape_debug()));
        };
        let site = match scheme {
            "s3" => Site::Default,
            name => Site::Alias(alias_name(name)?),
        };
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        let is_plain = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '.' | '_');
        if !bucket.chars().all(is_plain) {
            return Err(format!("\"{}\" can't be a bucket's name", bucket.escape_debug()));
        }
        if bucket.is_empty() && !key.is_empty() {
            return Err(format!("\"{}\" names a key and no bucket", text.escape_debug()));
        }
        Ok(Url { site, bucket: bucket.to_owned(), key: key.to_owned() })
    }

    /// A URL of a bucket, or of what is in one.
    pub fn parse_in_bucket(text: &str) -> Result<Url, String> {
        let url = Url::parse(text)?;
        if url.bucket.is_empty() {
            return Err(format!("\"{}\" names no bucket", text.escape_debug()));
        }
        Ok(url)
    }

    /// A URL of an object.
    pub fn parse_object(text: &str) -> Result<Url, String> {
        let url = Url::parse_in_bucket(text)?;
        if url.key.is_empty() {
            return Err(format!("\"{}\" names no object", text.escape_debug()));
        }
        Ok(url)
    }

    /// A URL of a bucket and of nothing in it.
    pub fn parse_bucket(text: &str) -> Result<Url, String> {
        let url = Url::parse_in_bucket(text)?;
        if !url.key.is_empty() {
            return Err(format!("\"{}\" names more than a bucket", text.escape_debug()));
        }
        Ok(url)
    }

    /// Another key of the same bucket.
    pub fn with_key(&self, key: impl Into<String>) -> Url {
        Url { site: self.site.clone(), bucket: self.bucket.clone(), key: key.into() }
    }

    /// Whether the URL means all that lies under it rather than one object: its key is empty or ends with a slash.
    pub fn is_folder(&self) -> bool {
        self.key.is_empty() || self.key.ends_with('/')
    }

    /// What all keys under the URL begin with: `logs` means `logs/...` and never `logs2`.
    pub fn folder(&self) -> String {
        if self.is_folder() { self.key.clone() } else { format!("{}/", self.key) }
    }

    /// The URL as it was typed, with nothing escaped: for programs.
    pub fn plain(&self) -> String {
        let scheme = match &self.site {
            Site::Default => "s3",
            Site::Alias(name) => name,
        };
        let slash = if self.key.is_empty() { "" } else { "/" };
        format!("{scheme}://{}{slash}{}", self.bucket, self.key)
    }

    /// What follows the last slash of the key.
    pub fn file_name(&self) -> &str {
        self.key.rsplit('/').next().unwrap_or_default()
    }
}

impl Place {
    /// Reads whatever a command line names.
    pub fn parse(text: &str) -> Result<Place, String> {
        match text {
            "" => Err("an empty name names nothing".into()),
            "-" => Ok(Place::Pipe),
            text if text.contains("://") => Url::parse_in_bucket(text).map(Place::Remote),
            path => Ok(Place::Local(PathBuf::from(path))),
        }
    }
}

/// Checks the name of an alias: it must be able to stand before `://`, and be no scheme that means something else.
pub fn alias_name(name: &str) -> Result<String, String> {
    let is_plain = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == '-';
    let is_name = name.starts_with(|first: char| first.is_ascii_lowercase()) && name.chars().all(is_plain);
    if !is_name || matches!(name, "s3" | "http" | "https" | "file") {
        return Err(format!(
            "\"{}\" can't be an alias: a-z, 0-9 and -, beginning with a letter, and not s3, http, https or file",
            name.escape_debug()
        ));
    }
    Ok(name.to_owned())
}

/// The URL as it was typed, with what would disturb a terminal escaped.
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        shown(&self.plain()).fmt(f)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Remote(url) => url.fmt(f),
            Place::Local(path) => shown(&path.to_string_lossy()).fmt(f),
            Place::Pipe => f.write_str("-"),
        }
    }
}

/// A name with its control characters escaped, and nothing else.
pub fn shown(name: &str) -> impl fmt::Display + '_ {
    struct Shown<'a>(&'a str);
    impl fmt::Display for Shown<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            use fmt::Write;
            self.0.chars().try_for_each(|char| match char {
                char if disturbs(char) => write!(f, "{}", char.escape_default()),
                char => f.write_char(char),
            })
        }
    }
    Shown(name)
}

/// Control characters, and those that turn the direction of what follows.
fn disturbs(char: char) -> bool {
    char.is_control()
        || matches!(
            char,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(site: Site, bucket: &str, key: &str) -> Url {
        Url { site, bucket: bucket.into(), key: key.into() }
    }

    #[test]
    fn places_are_read_as_typed() {
        let home = || Site::Alias("home".into());
        for (text, place) in [
            ("-", Place::Pipe),
            ("a/b", Place::Local("a/b".into())),
            ("s3:/b", Place::Local("s3:/b".into())),
            ("s3://b", Place::Remote(url(Site::Default, "b", ""))),
            ("s3://b/", Place::Remote(url(Site::Default, "b", ""))),
            ("s3://b//x/../%41 ü?", Place::Remote(url(Site::Default, "b", "/x/../%41 ü?"))),
            ("home://b/k", Place::Remote(url(home(), "b", "k"))),
        ] {
            assert_eq!(Place::parse(text), Ok(place), "{text}");
        }
        for text in ["", "s3://", "s3:///k", "s3://a b/k", "http://host/x", "A://b/k", "://b", "s3://b?x/k"] {
            assert!(Place::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_folders_prefix_ends_with_a_slash() {
        let folder = |text: &str| Url::parse(text).unwrap().folder();
        assert_eq!([folder("s3://b"), folder("s3://b/logs"), folder("s3://b/logs/")], ["", "logs/", "logs/"]);
    }

    #[test]
    fn what_disturbs_a_terminal_is_escaped() {
        let told = Url::parse("s3://b/a\u{1b}[2J\nü\"\u{202e}").unwrap().to_string();
        assert_eq!(told, "s3://b/a\\u{1b}[2J\\nü\"\\u{202e}");
        assert_eq!(shown("\u{61c}\u{2028}").to_string(), "\\u{61c}\\u{2028}");
    }
}
