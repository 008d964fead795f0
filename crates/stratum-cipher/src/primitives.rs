//! AES-256-GCM (NIST SP 800-38D) and HKDF-SHA-256 (RFC 5869), as `ring` has them. The one file that names `ring`.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, Tag, UnboundKey};
use ring::hkdf::{self, HKDF_SHA256, KeyType};
use zeroize::Zeroizing;

/// Bytes of every key.
pub const KEY_BYTES: usize = 32;

/// What sealing makes anything longer by, in bytes.
pub const TAG_BYTES: usize = 16;

/// 32 random bytes that tell apart what is made of one secret. Not a secret itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Salt(pub [u8; Salt::BYTES]);

impl Salt {
    pub const BYTES: usize = 32;
}

/// Bytes that are wiped when they go.
pub(crate) type Secret = Zeroizing<[u8; KEY_BYTES]>;

/// What another secret is made for, so that none serves two purposes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Purpose(pub &'static str);

/// How many bytes HKDF is to make.
struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

fn extract(secret: &[u8; KEY_BYTES], salt: &[u8]) -> hkdf::Prk {
    hkdf::Salt::new(HKDF_SHA256, salt).extract(secret)
}

/// Fills `out` with bytes that only a holder of the secret can make: at most 255 times 32 of them.
pub(crate) fn derive(secret: &[u8; KEY_BYTES], salt: &[u8], purpose: Purpose, out: &mut [u8]) {
    let prk = extract(secret, salt);
    let info = [purpose.0.as_bytes()];
    // Neither can fail with so few bytes asked for; what wasn't made would be no secret.
    let made = prk.expand(&info, Length(out.len())).and_then(|okm| okm.fill(out));
    debug_assert!(made.is_ok());
}

/// A key that seals: each nonce is a number that is used once with it.
pub(crate) struct Sealer(LessSafeKey);

impl Sealer {
    /// A key that is made of a secret and a salt for one purpose.
    pub fn derived(secret: &[u8; KEY_BYTES], salt: &Salt, purpose: Purpose) -> Option<Sealer> {
        let prk = extract(secret, &salt.0);
        let info = [purpose.0.as_bytes()];
        let okm = prk.expand(&info, &AES_256_GCM).ok()?;
        Some(Sealer(LessSafeKey::new(UnboundKey::from(okm))))
    }

    /// Seals in place; the tag goes behind it. `None` only for what is far too long.
    pub fn seal(&self, number: u32, authenticated: &[u8], plain: &mut [u8]) -> Option<[u8; TAG_BYTES]> {
        let tag = self.0.seal_in_place_separate_tag(nonce(number), Aad::from(authenticated), plain).ok()?;
        tag.as_ref().try_into().ok()
    }

    /// Opens in place what [`Sealer::seal`] made, with its tag behind it, and gives the plaintext, which is the front
    /// of it. `None` for whatever is something else.
    pub fn open<'a>(&self, number: u32, authenticated: &[u8], sealed: &'a mut [u8]) -> Option<&'a mut [u8]> {
        let length = sealed.len().checked_sub(TAG_BYTES)?;
        let (text, tag) = sealed.split_at_mut_checked(length)?;
        let tag = Tag::try_from(&*tag).ok()?;
        let aad = Aad::from(authenticated);
        self.0.open_in_place_separate_tag(nonce(number), aad, tag, text, 0..).ok()
    }
}

/// 8 zero bytes and the number, big-endian.
fn nonce(number: u32) -> Nonce {
    let mut bytes = [0; 12];
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    Nonce::assume_unique_for_key(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 5869, A.1.
    #[test]
    fn hkdf_is_the_rfcs() {
        let mut made = [0; 42];
        let ikm = [0x0b; 22];
        let salt: Vec<u8> = (0..=0x0c).collect();
        let info: Vec<u8> = (0xf0..=0xf9).collect();
        let prk = hkdf::Salt::new(HKDF_SHA256, &salt).extract(&ikm);
        prk.expand(&[&info], Length(42)).unwrap().fill(&mut made).unwrap();
        assert_eq!(made[..4], [0x3c, 0xb2, 0x5f, 0x25]);
        assert_eq!(made[38..], [0x87, 0x18, 0x58, 0x65]);
    }

    #[test]
    fn what_was_sealed_opens_with_the_same_key_number_and_words_only() {
        let sealer = |secret: u8, salt: u8| {
            Sealer::derived(&[secret; 32], &Salt([salt; 32]), Purpose("test")).unwrap()
        };
        let mut sealed = b"plaintext".to_vec();
        let tag = sealer(1, 2).seal(7, b"words", &mut sealed).unwrap();
        sealed.extend_from_slice(&tag);
        let open = |sealer: Sealer, number, words: &[u8], sealed: &[u8]| {
            let mut sealed = sealed.to_vec();
            sealer.open(number, words, &mut sealed).map(|plain| plain.to_vec())
        };
        assert_eq!(open(sealer(1, 2), 7, b"words", &sealed).unwrap(), b"plaintext");
        assert_eq!(open(sealer(2, 2), 7, b"words", &sealed), None);
        assert_eq!(open(sealer(1, 3), 7, b"words", &sealed), None);
        assert_eq!(open(sealer(1, 2), 8, b"words", &sealed), None);
        assert_eq!(open(sealer(1, 2), 7, b"other", &sealed), None);
        assert_eq!(open(sealer(1, 2), 7, b"words", &sealed[1..]), None);
        assert_eq!(open(sealer(1, 2), 7, b"words", &[1; 15]), None);
        for at in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            assert_eq!(open(sealer(1, 2), 7, b"words", &damaged), None, "{at}");
        }
    }

    #[test]
    fn purposes_and_salts_tell_secrets_apart() {
        let made = |salt: &[u8], purpose| {
            let mut out = [0; 16];
            derive(&[1; 32], salt, Purpose(purpose), &mut out);
            out
        };
        assert_eq!(made(b"a", "x"), made(b"a", "x"));
        assert_ne!(made(b"a", "x"), made(b"b", "x"));
        assert_ne!(made(b"a", "x"), made(b"a", "y"));
    }
}
