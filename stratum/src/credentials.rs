//! Root's credentials: taken from the environment, kept from an earlier start, or generated at the first start.
//!
//! Generated credentials are kept in `meta/root-credentials` (mode 0600), where people look for them, and on every hot
//! drive, so that they survive the loss of `meta`. Where the two differ, the copy on the drives counts.

use crate::{output, private};
use std::path::{Path, PathBuf};
use stratum_storage::ambient::Entropy;
use stratum_storage::blob::Tier;
use stratum_storage::drive::explained;
use stratum_storage::set::content_of_copy;

/// The name of the file with the credentials, both in `meta` and on the drives.
pub const FILE: &str = "root-credentials";

const ACCESS_VARIABLE: &str = "STRATUM_ROOT_ACCESS_KEY";
const SECRET_VARIABLE: &str = "STRATUM_ROOT_SECRET_KEY";
/// The variables with root's credentials.
pub const ROOT_VARIABLES: [&str; 2] = [ACCESS_VARIABLE, SECRET_VARIABLE];
/// The variables that S3 clients read. The server prints at its first start how to export them.
const CLIENT_VARIABLES: [&str; 2] = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];

/// An access key and its secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    pub access_key: String,
    pub secret_key: String,
}

/// Why no credentials can be used.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    #[error("set both {} and {}, or neither", .0[0], .0[1])]
    Half([&'static str; 2]),
    #[error("{ACCESS_VARIABLE} needs at least 3 characters and {SECRET_VARIABLE} at least 8")]
    Short,
    #[error(
        "no credentials: run it with --data where the server keeps its data (they are in <data>/meta/{FILE}), or set \
         {ACCESS_VARIABLE} and {SECRET_VARIABLE} beside the server, or those of any S3 client ({}, {}, AWS_PROFILE)",
        CLIENT_VARIABLES[0], CLIENT_VARIABLES[1]
    )]
    None,
    #[error(
        "{}: it holds no meta/{FILE}, and no hot drive with a copy of it; is it a data folder of a server that made its own?",
        .0.display()
    )]
    NotKept(PathBuf),
    #[error(
        "{host} is no address of this machine, and root's credentials in {origin} sign for no other. To sign for it, set {} and {}, \
         or name a profile of ~/.aws by --profile",
        CLIENT_VARIABLES[0], CLIENT_VARIABLES[1]
    )]
    OfThisMachine { origin: String, host: String },
    #[error("{}: {error}", path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        error: std::io::Error,
    },
    #[error("neither ~/.aws/credentials nor ~/.aws/config has a key and a secret for the profile {0}")]
    NoProfile(String),
    #[error(
        "the profile {0} has a session token, which Stratum doesn't know: take one with a key of its own"
    )]
    Temporary(String),
}

impl Credentials {
    /// The credentials in the variables that S3 clients read, if they are set.
    ///
    /// # Errors
    /// Only one of the two is set.
    pub fn of_a_client() -> Result<Option<Credentials>, CredentialsError> {
        Credentials::of_pair(CLIENT_VARIABLES, CLIENT_VARIABLES.map(variable))
    }

    /// Root's credentials in the variables `STRATUM_ROOT_...`, if they are set.
    pub fn from_environment() -> Result<Option<Credentials>, CredentialsError> {
        match Credentials::of_pair(ROOT_VARIABLES, ROOT_VARIABLES.map(variable))? {
            Some(root) if root.access_key.len() < 3 || root.secret_key.len() < 8 => {
                Err(CredentialsError::Short)
            }
            root => Ok(root),
        }
    }

    fn of_pair(
        names: [&'static str; 2],
        said: [Option<String>; 2],
    ) -> Result<Option<Credentials>, CredentialsError> {
        match said {
            [None, None] => Ok(None),
            [Some(access_key), Some(secret_key)] => Ok(Some(Credentials { access_key, secret_key })),
            _ => Err(CredentialsError::Half(names)),
        }
    }

    /// Generates credentials of the lengths that clients expect: 20 and 40 characters.
    pub fn generate(entropy: &dyn Entropy) -> Credentials {
        const UPPER: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        const ANY: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let text = |length: usize, letters: &[u8]| -> String {
            let mut bytes = vec![0; length];
            entropy.fill(&mut bytes);
            // Both alphabets' lengths divide 256, so no letter is likelier than another.
            bytes.iter().map(|byte| char::from(letters[usize::from(*byte) % letters.len()])).collect()
        };
        Credentials { access_key: format!("STRATUM{}", text(13, UPPER)), secret_key: text(40, ANY) }
    }

    /// The text of the file that keeps the credentials.
    pub fn to_file(&self) -> String {
        format!("access_key = {}\nsecret_key = {}\n", self.access_key, self.secret_key)
    }

    /// Reads what [`Credentials::to_file`] wrote.
    pub fn from_file(text: &str) -> Option<Credentials> {
        let value = |name: &str| {
            text.lines().find_map(|line| {
                let (key, value) = line.split_once('=')?;
                (key.trim() == name).then(|| value.trim().to_owned())
            })
        };
        Some(Credentials { access_key: value("access_key")?, secret_key: value("secret_key")? })
    }

    /// The credentials that a server keeps in a data folder, and their file: `meta` lies in one of the data folders, and
    /// a copy on the hot drive of each.
    ///
    /// # Errors
    /// A file is there and can't be read.
    pub fn kept_in(data: &Path) -> Result<Option<(Credentials, PathBuf)>, CredentialsError> {
        let in_meta = data.join("meta").join(FILE);
        if let Some(bytes) = read_if_there(&in_meta)? {
            let kept = String::from_utf8(bytes).ok().and_then(|text| Credentials::from_file(&text));
            return Ok(kept.map(|credentials| (credentials, in_meta)));
        }
        for copy in copies_in(data) {
            let content = read_if_there(&copy)?.and_then(|bytes| content_of_copy(&bytes));
            let text = content.and_then(|content| String::from_utf8(content).ok());
            if let Some(credentials) = text.and_then(|text| Credentials::from_file(&text)) {
                return Ok(Some((credentials, copy)));
            }
        }
        Ok(None)
    }

    /// Writes the credentials into the folder `meta`, where people look for them.
    ///
    /// # Errors
    /// The file can't be written; the error names it.
    pub fn keep(&self, meta: &Path) -> Result<(), String> {
        let file = meta.join(FILE);
        let written = private::write(&file, self.to_file().as_bytes());
        written.map_err(|error| format!("{}: can't be written: {}", file.display(), explained(meta, error)))
    }

    /// Lines to paste into a shell: they export the credentials, and make a first bucket with an object in it.
    pub fn paste(&self, endpoint: &str, region: &str) -> String {
        let program = output::program();
        format!(
            "export AWS_ACCESS_KEY_ID={} AWS_SECRET_ACCESS_KEY={} AWS_DEFAULT_REGION={region} AWS_ENDPOINT_URL={endpoint}\n\
             {program} mb s3://first\n\
             echo hello | {program} cp - s3://first/hello\n\
             {program} ls s3://first\n",
            self.access_key, self.secret_key
        )
    }
}

/// Where copies of the file may lie on hot drives in a data folder: on the only one, or on numbered ones.
fn copies_in(data: &Path) -> Vec<PathBuf> {
    let hot = data.join(Tier::JOURNAL.name());
    let numbered =
        std::fs::read_dir(&hot).into_iter().flatten().flatten().map(|entry| entry.path().join(FILE));
    let mut numbered: Vec<PathBuf> = numbered.filter(|file| file.is_file()).collect();
    numbered.sort();
    [vec![hot.join(FILE)], numbered].concat()
}

fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, CredentialsError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(CredentialsError::Unreadable { path: path.to_owned(), error }),
    }
}

/// A variable of the environment, without blanks and ends of lines around it: a file that a secret came from may end with one. One that
/// is empty counts as not set.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().and_then(without_padding)
}

fn without_padding(value: String) -> Option<String> {
    let trimmed = value.trim();
    match trimmed.len() {
        0 => None,
        length if length == value.len() => Some(value),
        _ => Some(trimmed.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use stratum_storage::ambient::Simulated;

    #[test]
    fn an_error_of_the_file_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let meta = folder.path().join("no/folder");
        let refused = Credentials::generate(&Simulated::new(0, 7)).keep(&meta).unwrap_err();
        assert!(refused.starts_with(&meta.join(FILE).display().to_string()), "{refused}");
    }

    #[test]
    fn kept_credentials_are_read_back_and_only_their_owner_may_read_them() {
        let folder = tempfile::tempdir().unwrap();
        let made = Credentials::generate(&Simulated::new(0, 7));
        assert_eq!((made.access_key.len(), made.secret_key.len()), (20, 40));
        made.keep(folder.path()).unwrap();
        let path = folder.path().join(FILE);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(Credentials::from_file(&std::fs::read_to_string(path).unwrap()) == Some(made));
    }

    #[test]
    fn the_end_of_a_line_in_a_variable_is_no_part_of_it() {
        for (value, expected) in
            [("KEY", Some("KEY")), (" KEY\r\n", Some("KEY")), ("two words", Some("two words"))]
        {
            assert_eq!(without_padding(value.into()).as_deref(), expected);
        }
        assert_eq!((without_padding("\n".into()), without_padding(String::new())), (None, None));
    }

    #[test]
    fn half_of_a_pair_of_variables_is_refused() {
        let of = |said: [Option<&str>; 2]| {
            Credentials::of_pair(ROOT_VARIABLES, said.map(|said| said.map(str::to_owned)))
        };
        assert!(of([None, None]).unwrap().is_none() && of([Some("KEY"), Some("secret")]).unwrap().is_some());
        for half in [[Some("KEY"), None], [None, Some("secret")]] {
            assert!(of(half).err().unwrap().to_string().starts_with("set both STRATUM_ROOT_ACCESS_KEY and"));
        }
    }

    #[test]
    fn a_file_without_a_secret_key_gives_no_credentials() {
        assert!(Credentials::from_file("access_key = A\n").is_none());
    }
}
