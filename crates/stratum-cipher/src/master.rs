//! The key service that is this process: master keys that an operator keeps in a file.
//!
//! A line is `NAME:KEY`, the key 32 bytes in base64. The first line's name is the usual one. Of several lines with
//! one name the first wraps, and all of them unwrap: that is how a key is rotated. Blank lines and those that begin
//! with `#` are passed over.
//!
//! Which key wrapped something is told by its *mark*, eight bytes that are derived from the key and nothing else, so
//! that lines may be sorted and files exchanged.

use crate::data_key::DataKey;
use crate::primitives::{KEY_BYTES, Purpose, Salt, Secret, derive};
use crate::service::{Asked, KeyError, KeyService};
use crate::wrapped::Wrapped;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use std::fmt;
use std::future::ready;
use zeroize::Zeroizing;

const MARK: Purpose = Purpose("stratum mark");

/// The longest name of a key, in bytes: it is kept with each object that is encrypted with the key.
const MAX_NAME_BYTES: usize = 128;

/// Master keys with their names, at least one.
pub struct MasterKeys {
    usual: String,
    keys: Vec<MasterKey>,
}

struct MasterKey {
    name: String,
    secret: Secret,
    mark: [u8; 8],
}

/// A master key without its secret: its name, and what tells which key wrapped something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyMark {
    pub name: String,
    pub mark: [u8; 8],
}

/// Why a file can't be used as one of master keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyFileError {
    #[error(
        "holds no key: write NAME:KEY, the key 32 random bytes in base64, as `stratum keys generate` prints it"
    )]
    Empty,
    #[error("line {0} is not NAME:KEY")]
    NotALine(usize),
    #[error("line {0}: a name has 1 to {MAX_NAME_BYTES} letters, digits and any of -_./")]
    Name(usize),
    #[error("line {0}: the key is not 32 bytes in base64")]
    Key(usize),
    #[error("line {0}: the key stands there twice")]
    Twice(usize),
}

impl MasterKeys {
    /// Reads the text of a file. No complaint shows a key.
    ///
    /// # Errors
    /// [`KeyFileError`], with the number of the line.
    pub fn parse(text: &str) -> Result<MasterKeys, KeyFileError> {
        let mut keys: Vec<MasterKey> = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let (number, line) = (at + 1, line.trim());
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, key) = line.split_once(':').ok_or(KeyFileError::NotALine(number))?;
            let key = MasterKey::parse(name.trim(), key.trim(), number)?;
            if keys.iter().any(|known| known.mark == key.mark) {
                return Err(KeyFileError::Twice(number));
            }
            keys.push(key);
        }
        let usual = keys.first().ok_or(KeyFileError::Empty)?.name.clone();
        Ok(MasterKeys { usual, keys })
    }

    /// The line of a new key, of random bytes.
    ///
    /// # Errors
    /// `Name`.
    pub fn line(name: &str, random: &[u8; KEY_BYTES]) -> Result<String, KeyFileError> {
        check_name(name, 1)?;
        Ok(format!("{name}:{}\n", BASE64.encode(random)))
    }

    /// The same keys, with former ones that only unwrap what they wrapped before.
    pub fn and_former(mut self, former: MasterKeys) -> MasterKeys {
        for mut key in former.keys {
            if !self.keys.iter().any(|known| known.mark == key.mark) {
                // No name that anybody could ask for.
                key.name.clear();
                self.keys.push(key);
            }
        }
        self
    }

    /// All these keys, without their secrets.
    pub fn marks(&self) -> Vec<KeyMark> {
        self.keys.iter().map(MasterKey::public).collect()
    }

    /// The marks of the keys that wrap new data keys: of each name the first.
    pub fn wrapping_marks(&self) -> Vec<KeyMark> {
        let wraps =
            |key: &&MasterKey| self.wrapping(Some(&key.name)).is_some_and(|first| first.mark == key.mark);
        self.keys.iter().filter(wraps).map(MasterKey::public).collect()
    }

    /// The key that wraps under a name, or under the usual one.
    fn wrapping(&self, name: Option<&str>) -> Option<&MasterKey> {
        let name = local_name(name.unwrap_or(&self.usual));
        self.keys.iter().find(|key| key.name == name && !name.is_empty())
    }
}

/// A key is also named by its ARN, and by an alias of its own name.
fn local_name(name: &str) -> &str {
    let resource = match name.strip_prefix("arn:aws:kms:").map(|rest| rest.splitn(3, ':')) {
        Some(mut parts) => parts.nth(2).unwrap_or_default(),
        None => name,
    };
    let bare = if resource.len() < name.len() { resource.strip_prefix("key/") } else { None };
    bare.or_else(|| resource.strip_prefix("alias/")).unwrap_or(resource)
}

fn check_name(name: &str, line: usize) -> Result<(), KeyFileError> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
    let is_name = (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(fits);
    if is_name { Ok(()) } else { Err(KeyFileError::Name(line)) }
}

impl MasterKey {
    fn parse(name: &str, key: &str, line: usize) -> Result<MasterKey, KeyFileError> {
        check_name(name, line)?;
        let bytes = BASE64.decode(key).map(Zeroizing::new).map_err(|_| KeyFileError::Key(line))?;
        let secret: [u8; KEY_BYTES] = bytes.as_slice().try_into().map_err(|_| KeyFileError::Key(line))?;
        let mut mark = [0; 8];
        derive(&secret, &[], MARK, &mut mark);
        Ok(MasterKey { name: name.to_owned(), secret: Zeroizing::new(secret), mark })
    }

    fn public(&self) -> KeyMark {
        KeyMark { name: self.name.clone(), mark: self.mark }
    }
}

impl KeyService for MasterKeys {
    fn wrap<'a>(
        &'a self,
        name: Option<&'a str>,
        data: &'a DataKey,
        of: &'a [u8],
        salt: Salt,
    ) -> Asked<'a, Vec<u8>> {
        let wrapped = self
            .wrapping(name)
            .map(|key| Wrapped::by(key.mark, &key.secret, data, of, salt).encode())
            .ok_or_else(|| KeyError::Unknown(name.unwrap_or_default().to_owned()));
        Box::pin(ready(wrapped))
    }

    fn unwrap<'a>(&'a self, wrapped: &'a [u8], of: &'a [u8]) -> Asked<'a, DataKey> {
        let open = || {
            let wrapped = Wrapped::decode(wrapped).ok_or(KeyError::Damaged)?;
            let key = self.keys.iter().find(|key| key.mark == wrapped.above).ok_or(KeyError::NotHere)?;
            wrapped.open(&key.secret, of).map_err(|_| KeyError::Damaged)
        };
        Box::pin(ready(open()))
    }

    fn usual(&self) -> &str {
        &self.usual
    }

    fn is_outdated(&self, name: Option<&str>, wrapped: &[u8]) -> bool {
        let above = Wrapped::decode(wrapped).map(|wrapped| wrapped.above);
        // Where there is no key of that name, what was wrapped stays as it is.
        self.wrapping(name).is_some_and(|key| above.is_some_and(|above| above != key.mark))
    }

    fn has_key_of(&self, wrapped: &[u8]) -> bool {
        let above = Wrapped::decode(wrapped).map(|wrapped| wrapped.above);
        above.is_some_and(|above| self.keys.iter().any(|key| key.mark == above))
    }
}

impl fmt::Debug for MasterKeys {
    /// Their names only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|key| &key.name)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::{Context, Poll, Waker};

    fn now<T>(mut asked: Asked<'_, T>) -> Result<T, KeyError> {
        match asked.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(answer) => answer,
            Poll::Pending => panic!("it answers at once"),
        }
    }

    fn keys(lines: &[(&str, u8)]) -> MasterKeys {
        let lines: String =
            lines.iter().map(|(name, byte)| MasterKeys::line(name, &[*byte; 32]).unwrap()).collect();
        MasterKeys::parse(&lines).unwrap()
    }

    fn wrap(keys: &MasterKeys, name: Option<&str>) -> Result<Vec<u8>, KeyError> {
        now(keys.wrap(name, &DataKey::new([1; 32]), b"of", Salt([2; 32])))
    }

    fn opens(keys: &MasterKeys, wrapped: &[u8]) -> Result<(), KeyError> {
        now(keys.unwrap(wrapped, b"of")).map(|key| assert_eq!(key.bytes(), &[1; 32]))
    }

    #[test]
    fn a_file_is_lines_of_names_and_keys() {
        let parsed = |text: &str| MasterKeys::parse(text).map(|keys| format!("{keys:?}"));
        let key = BASE64.encode([7; 32]);
        assert_eq!(parsed(&format!("# ours\n\n a : {key} \n")), Ok("[\"a\"]".into()));
        assert_eq!(parsed("# none\n"), Err(KeyFileError::Empty));
        assert_eq!(parsed(&format!("a:{key}\nb")), Err(KeyFileError::NotALine(2)));
        assert_eq!(parsed(&format!(":{key}")), Err(KeyFileError::Name(1)));
        assert_eq!(parsed(&format!("a b:{key}")), Err(KeyFileError::Name(1)));
        assert_eq!(parsed(&format!("{}:{key}", "n".repeat(129))), Err(KeyFileError::Name(1)));
        assert_eq!(parsed("a:AAAA"), Err(KeyFileError::Key(1)));
        assert_eq!(parsed("a:no key"), Err(KeyFileError::Key(1)));
        assert_eq!(parsed(&format!("a:{key}\nb:{key}")), Err(KeyFileError::Twice(2)));
    }

    #[test]
    fn what_a_key_wraps_it_opens_and_no_other_does() {
        let both = keys(&[("a", 1), ("b", 2)]);
        let (usual, other) = (wrap(&both, None).unwrap(), wrap(&both, Some("b")).unwrap());
        assert_eq!(both.usual(), "a");
        assert_ne!(usual, other);
        assert_eq!((opens(&both, &usual), opens(&both, &other)), (Ok(()), Ok(())));
        let one = keys(&[("a", 1)]);
        assert_eq!((opens(&one, &usual), opens(&one, &other)), (Ok(()), Err(KeyError::NotHere)));
        assert_eq!(now(one.unwrap(&usual, b"else")).map(drop), Err(KeyError::Damaged));
        assert_eq!(opens(&one, &usual[1..]), Err(KeyError::Damaged));
        assert_eq!(wrap(&one, Some("b")), Err(KeyError::Unknown("b".into())));
        assert_eq!(wrap(&one, Some("")), Err(KeyError::Unknown("".into())));
    }

    #[test]
    fn a_key_is_rotated_by_a_line_before_it() {
        let before = keys(&[("a", 1)]);
        let wrapped = wrap(&before, Some("a")).unwrap();
        assert!(!before.is_outdated(Some("a"), &wrapped) && !before.is_outdated(None, &wrapped));
        let rotated = keys(&[("a", 2), ("a", 1)]);
        assert!(rotated.is_outdated(Some("a"), &wrapped) && rotated.is_outdated(None, &wrapped));
        assert!(rotated.has_key_of(&wrapped) && !keys(&[("a", 2)]).has_key_of(&wrapped));
        assert_eq!(rotated.marks(), [keys(&[("a", 2)]).marks(), before.marks()].concat());
        assert_eq!(rotated.wrapping_marks(), keys(&[("a", 2)]).marks());
        assert_eq!(opens(&rotated, &wrapped), Ok(()));
        let anew = wrap(&rotated, Some("a")).unwrap();
        assert!(!rotated.is_outdated(Some("a"), &anew));
        assert_eq!(opens(&keys(&[("a", 2)]), &anew), Ok(()));
    }

    #[test]
    fn former_keys_open_and_wrap_nothing() {
        let made = keys(&[("stratum", 1)]);
        let wrapped = wrap(&made, None).unwrap();
        let configured = keys(&[("a", 2)]).and_former(made);
        assert_eq!(opens(&configured, &wrapped), Ok(()));
        assert!(configured.is_outdated(None, &wrapped));
        assert_eq!(wrap(&configured, Some("stratum")), Err(KeyError::Unknown("stratum".into())));
    }

    #[test]
    fn a_key_has_the_names_that_s3_knows() {
        for (name, local) in [
            ("a", "a"),
            ("arn:aws:kms:us-east-1:123456789012:key/a", "a"),
            ("arn:aws:kms:us-east-1:123456789012:alias/a", "a"),
            ("alias/a", "a"),
            ("key/a", "key/a"),
            ("arn:aws:kms:a", ""),
        ] {
            assert_eq!(local_name(name), local, "{name}");
        }
    }
}
