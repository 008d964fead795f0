//! Pages of lists.
//!
//! An account may have thousands of users, groups, roles and policies, with many megabytes of documents. Nothing reads
//! all of them into memory: a list goes through the records one by one, keeps what its page tells of them, and ends the
//! page when it has as many entries as were asked for, or as much text as a page may have. IAM lets a page have fewer
//! entries than were asked for.

use super::call::Call;
use super::error::{Fault, IamError};
use super::marker;
use crate::admission::{Admitted, Turn};
use crate::number;
use std::ops::ControlFlow;
use stratum_metadata::record::{IdentityDetail, IdentityKind, IdentityRecord};

/// How many entries a page of a list has where the caller doesn't say, and at most.
const USUAL_ITEMS: usize = 100;
const MOST_ITEMS: usize = 1_000;

/// How much a page may hold, in bytes: a thousand entries without long texts.
const PAGE_BYTES: usize = 1 << 20;
/// What an entry counts for beside its document, in bytes: names, a path, and the elements around them.
const ENTRY_BYTES: usize = 1 << 10;
/// A document's bytes when it is written into an answer, for each of its own: it is percent-encoded.
const ENCODING_FACTOR: usize = 3;
/// What a page takes while it is made, in bytes: its records, the result's text, and the answer around that.
const PAGE_MEMORY_BYTES: u64 = 3 * PAGE_BYTES as u64;

/// Which page of a list a form asks for.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The name of the last entry of the page before.
    after: Option<String>,
    most: usize,
}

/// A page of a list.
#[derive(Debug)]
pub struct Listed<T> {
    pub items: Vec<T>,
    /// The marker from which the next page begins, if there is one.
    pub marker: Option<String>,
}

/// What a page has of the records that a list goes through.
#[derive(Debug)]
pub struct Gathered<T> {
    pub items: Vec<T>,
    /// Whether there is more than the page may have.
    pub is_cut: bool,
    bytes: usize,
    most: usize,
}

/// Leave to make a page of what lies in the state: memory for it, and a turn of the caller's. Keep it until the page is
/// written.
#[derive(Debug)]
#[must_use = "the memory is given back on drop"]
pub struct Leave {
    _admitted: Admitted,
    _turn: Turn,
}

impl Wanted {
    /// # Errors
    /// `ValidationError` for a number of entries that isn't allowed, and for a marker that no answer to this action
    /// gave.
    pub fn of(call: &Call) -> Result<Self, IamError> {
        let wrong = || Fault::ValidationError.because("MaxItems must be a number from 1 to 1000.");
        let most = match call.form.get("MaxItems") {
            Some(text) => {
                number::parse(text).filter(|most| (1..=MOST_ITEMS).contains(most)).ok_or_else(wrong)?
            }
            None => USUAL_ITEMS,
        };
        let unknown =
            || Fault::ValidationError.because("The Marker was not given by an answer to this action.");
        let read = |given| marker::read(call.row.name, given).ok_or_else(unknown);
        Ok(Wanted { after: call.form.get("Marker").map(read).transpose()?, most })
    }

    /// After which name the page begins; all names come after the empty one.
    pub fn after(&self) -> &str {
        self.after.as_deref().unwrap_or_default()
    }

    /// The same for a part of a list that has several: the names of its entries are `PART/NAME`, and the parts come in
    /// the order of their names. None where the page begins after the whole part.
    pub fn after_in(&self, part: &str) -> Option<&str> {
        let (first, rest) = self.after().split_once('/').unwrap_or_default();
        match first.cmp(part) {
            std::cmp::Ordering::Less => Some(""),
            std::cmp::Ordering::Equal => Some(rest),
            std::cmp::Ordering::Greater => None,
        }
    }

    /// A page of nothing yet.
    pub fn begin<T>(&self) -> Gathered<T> {
        Gathered { items: Vec::new(), is_cut: false, bytes: 0, most: self.most }
    }

    /// The page of these entries, which are in the order of their names and all come after the marker's; `is_cut` says
    /// whether there are more behind them.
    pub fn page<T>(
        &self,
        call: &Call,
        mut items: Vec<T>,
        is_cut: bool,
        name: impl Fn(&T) -> String,
    ) -> Listed<T> {
        let is_last = items.len() <= self.most && !is_cut;
        items.truncate(self.most);
        let marker = items.last().filter(|_| !is_last).map(|last| marker::write(call.row.name, &name(last)));
        Listed { items, marker }
    }
}

impl<T> Gathered<T> {
    /// Takes an entry with so many bytes of documents, unless the page is full.
    pub fn take(&mut self, item: T, document_bytes: usize) -> ControlFlow<()> {
        self.is_cut = self.items.len() >= self.most || self.bytes >= PAGE_BYTES;
        if self.is_cut {
            return ControlFlow::Break(());
        }
        self.bytes += ENTRY_BYTES + document_bytes * ENCODING_FACTOR;
        self.items.push(item);
        ControlFlow::Continue(())
    }
}

impl Call {
    /// The page of a list that the form asks for: the entries whose `name` comes after the marker's. `all` is in the
    /// order of those names, and is no longer than one record may be.
    ///
    /// # Errors
    /// As [`Wanted::of`].
    pub fn page<T>(&self, all: Vec<T>, name: impl Fn(&T) -> String) -> Result<Listed<T>, IamError> {
        let wanted = Wanted::of(self)?;
        let follows = |item: &T| wanted.after.as_ref().is_none_or(|after| name(item) > *after);
        let items = all.into_iter().filter(follows).collect();
        Ok(wanted.page(self, items, false, name))
    }

    /// Takes the memory that a page of the account's records takes, and waits for a turn to read it.
    ///
    /// # Errors
    /// `SlowDown` where the caller's share of the memory is used up.
    pub async fn leave(&self) -> Result<Leave, IamError> {
        let admitted = self.memory.admit(PAGE_MEMORY_BYTES)?;
        Ok(Leave { _admitted: admitted, _turn: self.memory.turn().await })
    }

    /// The page that the form asks for of the account's users, groups or roles that `is_meant` chooses. What no list
    /// tells of an identity is left out of the records: policies, permissions boundary and tags. The caller has leave.
    ///
    /// # Errors
    /// As [`Wanted::of`]; failures of the store.
    pub async fn identities(
        &self,
        kind: IdentityKind,
        is_meant: impl Fn(&IdentityRecord) -> bool + Send + 'static,
    ) -> Result<Listed<IdentityRecord>, IamError> {
        let wanted = Wanted::of(self)?;
        let page = wanted.begin();
        let Gathered { items, is_cut, .. } = self.gather(kind, wanted.after(), page, is_meant).await?;
        Ok(wanted.page(self, items, is_cut, |record| record.name.to_ascii_lowercase()))
    }

    /// Adds to a page the account's identities of a kind whose names come after `after`. The caller has leave.
    ///
    /// # Errors
    /// Failures of the store.
    pub async fn gather(
        &self,
        kind: IdentityKind,
        after: &str,
        page: Gathered<IdentityRecord>,
        is_meant: impl Fn(&IdentityRecord) -> bool + Send + 'static,
    ) -> Result<Gathered<IdentityRecord>, IamError> {
        let visit = move |page: &mut Gathered<_>, record: IdentityRecord| match is_meant(&record) {
            true => {
                let documents = document_bytes(&record.detail);
                page.take(for_a_list(record), documents)
            }
            false => ControlFlow::Continue(()),
        };
        Ok(self.view.visit_identities(kind, self.account_id(), after, page, visit).await?)
    }
}

/// A record without what no list tells of an identity.
fn for_a_list(mut record: IdentityRecord) -> IdentityRecord {
    (record.inline, record.attached, record.tags) = ([].into(), [].into(), [].into());
    match &mut record.detail {
        IdentityDetail::User { boundary, .. } | IdentityDetail::Role { boundary, .. } => *boundary = None,
        IdentityDetail::Group => {}
    }
    record
}

/// How many bytes a list tells of a document, and of what may be as long.
fn document_bytes(detail: &IdentityDetail) -> usize {
    match detail {
        IdentityDetail::Role { trust, description, .. } => {
            trust.len() + description.as_ref().map_or(0, String::len)
        }
        IdentityDetail::User { .. } | IdentityDetail::Group => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(after: &str, most: usize) -> Wanted {
        Wanted { after: (!after.is_empty()).then(|| after.to_owned()), most }
    }

    #[test]
    fn a_page_ends_with_its_entries_or_its_bytes() {
        let filled = |most, document_bytes| {
            let mut page = wanted("", most).begin();
            while page.take((), document_bytes).is_continue() {
                assert!(page.items.len() <= MOST_ITEMS, "it ends");
            }
            assert!(page.is_cut);
            page.items.len()
        };
        assert_eq!((filled(7, 0), filled(MOST_ITEMS, 0)), (7, MOST_ITEMS));
        // The last entry may go over the bound, and no other.
        assert_eq!(filled(MOST_ITEMS, PAGE_BYTES), 1);
        assert_eq!(
            filled(MOST_ITEMS, 16 << 10),
            PAGE_BYTES.div_ceil((16 << 10) * ENCODING_FACTOR + ENTRY_BYTES)
        );
        let mut page = wanted("", 2).begin();
        assert!(page.take((), 0).is_continue() && page.take((), 0).is_continue());
        assert!(!page.is_cut, "whether there is a third isn't known");
    }

    #[test]
    fn a_part_of_a_list_begins_where_the_page_before_ended() {
        for (after, group, role) in [
            ("", Some(""), Some("")),
            ("group/ann", Some("ann"), Some("")),
            ("role/bob", None, Some("bob")),
            ("user/carl", None, None),
        ] {
            let wanted = wanted(after, 1);
            assert_eq!((wanted.after_in("group"), wanted.after_in("role")), (group, role), "{after}");
        }
    }
}
