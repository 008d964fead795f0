//! What goes wrong with single requests, and when.

use bytes::Bytes;
use std::collections::BTreeMap;

/// The kinds of request that can be made to go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Request {
    Read,
    Length,
    Create,
    Begin,
    Part,
    Finish,
    Remove,
    List,
}

impl Request {
    /// Whether what lies there may be another thing afterwards.
    pub(super) fn is_change(self) -> bool {
        matches!(self, Request::Create | Request::Part | Request::Finish | Request::Remove)
    }
}

/// What becomes of one request instead of what should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The answer is an error, and nothing was done.
    Refused,
    /// The answer is an error, and it was done all the same.
    Unheard,
    /// The answer isn't true.
    Lie(Lie),
}

/// What an answer says that isn't true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// That it was done, when nothing was; that an object isn't there, when it is.
    Nothing,
    /// That all was stored or given, when it was only the first half.
    Half,
    /// That all was stored or given as it should be, when one byte is wrong.
    Altered,
}

/// The bytes that are stored or given where these should be; nothing if none are.
pub(super) fn told(lie: Option<Lie>, bytes: Bytes) -> Option<Bytes> {
    match lie {
        None => Some(bytes),
        Some(Lie::Nothing) => None,
        Some(Lie::Half) => Some(bytes.slice(..bytes.len() / 2)),
        Some(Lie::Altered) => Some(changed(&bytes, bytes.len() / 2)),
    }
}

pub(super) fn changed(bytes: &Bytes, at: usize) -> Bytes {
    let mut bytes = bytes.to_vec();
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 1;
    }
    bytes.into()
}

/// Of each kind of request how many are still answered well before one isn't.
#[derive(Debug, Default)]
pub(super) struct Plan(BTreeMap<Request, (u64, Fault)>);

impl Plan {
    pub fn fail_nth(&mut self, request: Request, n: u64, fault: Fault) {
        self.0.insert(request, (n.max(1), fault));
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// The fault of this request, if the plan has one for it.
    pub fn strike(&mut self, request: Request) -> Option<Fault> {
        let (left, fault) = self.0.get_mut(&request)?;
        *left -= 1;
        let fault = (*left == 0).then_some(*fault)?;
        self.0.remove(&request);
        Some(fault)
    }
}
