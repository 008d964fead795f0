//! What the store must hold: a map, and for each key that a failed write left open, everything that it may hold.
//!
//! A write whose outcome is unknown adds one possibility to its key. The next life decides which one it is, and from
//! then on it must stay so.

use crate::identities::Identities;
use crate::versions::Versions;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet};
use stratum_metadata::record::{ETag, Level, UploadId};
use stratum_storage::ambient::{Entropy, Simulated};
use stratum_storage::blob::{Tier, VolumeId};

/// One piece in this many shrinks when it is coded.
const SHRINKING: u64 = 3;

/// Bytes that are generated from a number when they are needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    pub id: u64,
    pub len: usize,
}

impl Piece {
    pub fn bytes(self) -> Bytes {
        let simulated = Simulated::new(0, self.id.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        if self.id.is_multiple_of(SHRINKING) {
            let mut words = [0; 64];
            simulated.fill(&mut words);
            return words.into_iter().cycle().take(self.len).collect();
        }
        let mut bytes = vec![0; self.len];
        simulated.fill(&mut bytes);
        bytes.into()
    }

    /// Sixteen bytes that stand for an MD5.
    pub fn md5(self) -> [u8; 16] {
        (u128::from(self.id) << 64 | self.len as u128).to_be_bytes()
    }

    /// The bytes that these stand for.
    pub fn of_md5(md5: [u8; 16]) -> Piece {
        let both = u128::from_be_bytes(md5);
        Piece { id: (both >> 64) as u64, len: both as u64 as usize }
    }
}

/// An object's bytes: one piece, or the parts of an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    pub pieces: Vec<Piece>,
    pub etag: ETag,
}

impl Content {
    pub fn plain(piece: Piece) -> Content {
        Content { pieces: vec![piece], etag: ETag::Md5(piece.md5()) }
    }

    pub fn of_parts(pieces: Vec<Piece>) -> Content {
        let md5 = pieces
            .iter()
            .fold(0u128, |sum, piece| sum.wrapping_mul(31).wrapping_add(u128::from_be_bytes(piece.md5())));
        let etag = ETag::Multipart { md5: md5.to_be_bytes(), parts: pieces.len() as u16 };
        Content { pieces, etag }
    }

    pub fn len(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.len as u64).sum()
    }

    pub fn bytes(&self) -> Bytes {
        match self.pieces.as_slice() {
            [only] => only.bytes(),
            several => several.iter().flat_map(|piece| piece.bytes()).collect(),
        }
    }
}

/// Everything that may be true of something: one possibility, unless a failure left it open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open<T>(Vec<T>);

impl<T: Clone + PartialEq> Open<T> {
    pub fn known(value: T) -> Open<T> {
        Open(vec![value])
    }

    /// Adds a possibility.
    pub fn or(&mut self, value: T) {
        if !self.0.contains(&value) {
            self.0.push(value);
        }
    }

    pub fn allows(&self, value: &T) -> bool {
        self.0.contains(value)
    }

    /// The value, if it is known.
    pub fn certain(&self) -> Option<&T> {
        match self.0.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }

    /// The value is one of these.
    pub fn one_of(values: impl IntoIterator<Item = T>) -> Open<T> {
        let mut open = Open(Vec::new());
        values.into_iter().for_each(|value| open.or(value));
        open
    }

    /// Settles the value: it has turned out to be this.
    pub fn is(&mut self, value: T) {
        *self = Open::known(value);
    }

    pub fn possibilities(&self) -> &[T] {
        &self.0
    }
}

/// An upload that may still be under way.
#[derive(Clone, Debug)]
pub struct Upload {
    pub key: Vec<u8>,
    pub expires: u64,
    pub parts: BTreeMap<u16, Open<Option<Piece>>>,
    /// Whether it is there, as far as is known.
    pub there: Open<bool>,
}

/// What the store must hold.
#[derive(Clone, Debug)]
pub struct Model {
    pub level: Open<Level>,
    pub objects: BTreeMap<Vec<u8>, Open<Option<Content>>>,
    pub uploads: BTreeMap<UploadId, Upload>,
    /// For objects about which a tier was decided, the tier in which they belong.
    tiers: BTreeMap<Vec<u8>, Open<Option<Tier>>>,
    /// Set if the store was restored from a backup since the last life: the objects whose bytes are lost.
    pub restored: Option<BTreeSet<Vec<u8>>>,
    /// Then, too: objects that are whole again as soon as these volumes were found in the remote store.
    pub found_again: BTreeMap<Vec<u8>, BTreeSet<VolumeId>>,
    pub versions: Versions,
    pub identities: Identities,
    pieces: u64,
}

impl Model {
    /// An empty store that begins at that level.
    pub fn new(level: Level, identities: Identities) -> Model {
        let (objects, uploads, tiers, versions, found_again) = Default::default();
        let (level, restored, pieces) = (Open::known(level), None, 0);
        Model { level, objects, uploads, tiers, restored, found_again, versions, identities, pieces }
    }

    /// The model as it was at a backup; bytes that were written since are not used a second time.
    pub fn back_to(&self, then: &Model) -> Model {
        Model { pieces: self.pieces, restored: None, found_again: BTreeMap::new(), ..then.clone() }
    }

    /// Bytes that were never written before.
    pub fn piece(&mut self, len: usize) -> Piece {
        self.pieces += 1;
        Piece { id: self.pieces, len }
    }

    pub fn object(&self, key: &[u8]) -> Open<Option<Content>> {
        self.objects.get(key).cloned().unwrap_or(Open::known(None))
    }

    /// Records that a write was acknowledged.
    pub fn set(&mut self, key: &[u8], content: Option<Content>) {
        self.is(key, content);
        self.tiers.remove(key);
    }

    /// Records what has turned out to be there.
    pub fn is(&mut self, key: &[u8], content: Option<Content>) {
        self.objects.insert(key.to_vec(), Open::known(content));
    }

    /// The tier in which an object belongs.
    pub fn tier(&self, key: &[u8]) -> Open<Option<Tier>> {
        self.tiers.get(key).cloned().unwrap_or(Open::known(None))
    }

    /// Records that a tier was decided.
    pub fn belongs(&mut self, key: &[u8], tier: Tier) {
        self.is_to_lie(key, Some(tier));
    }

    /// Records that a tier may have been decided.
    pub fn may_belong(&mut self, key: &[u8], tier: Tier) {
        let mut open = self.tier(key);
        open.or(Some(tier));
        self.tiers.insert(key.to_vec(), open);
    }

    /// Records which decision has turned out to be made.
    pub fn is_to_lie(&mut self, key: &[u8], tier: Option<Tier>) {
        self.tiers.insert(key.to_vec(), Open::known(tier));
    }

    /// Records that a write failed, and may have taken effect all the same.
    pub fn may_be(&mut self, key: &[u8], content: Option<Content>) {
        let mut open = self.object(key);
        open.or(content);
        self.objects.insert(key.to_vec(), open);
        // About the new object nothing was decided.
        if let Some(tier) = self.tiers.get_mut(key) {
            tier.or(None);
        }
    }
}
