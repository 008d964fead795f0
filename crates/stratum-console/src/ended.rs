//! Remembers which sessions were ended before their time.
//!
//! A sealed cookie is valid for some hours, and somebody may have a copy of it; so a session that was signed out is
//! remembered until then. Of each holder (a user, or a role) a few ended sessions are remembered one by one. If there
//! are more, the oldest are forgotten and the holder's `through` is raised: all sessions of the holder that began by
//! then count as ended. So somebody who signs out again and again may have to sign in anew elsewhere, and no other
//! user must. The holders of an account are bounded in the same way, by the account's `through`, and the
//! configuration bounds the accounts. So the record stays small, no ended session comes back, and only what is done
//! within an account ends its sessions.

use crate::door::Holder;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How long a session lasts, in milliseconds.
pub const SESSION_MILLIS: u64 = 12 * 3_600 * 1_000;
/// How many ended sessions of a holder are remembered one by one.
const MOST_SESSIONS: usize = 16;
/// How many holders of an account are remembered.
const MOST_HOLDERS: usize = 1_024;

/// What a session's cookie says by which it is known whether the session has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    pub holder: Holder,
    pub id: u64,
    /// Milliseconds of Unix time.
    pub began: u64,
}

/// Which sessions are to end.
#[derive(Clone, Copy, Debug)]
pub enum Ending<'a> {
    /// This session.
    One(&'a Mark),
    /// All sessions of this one's holder.
    OfHolder(&'a Mark),
    /// All sessions of everybody, this one among them.
    All(&'a Mark),
}

/// Which sessions have ended. A `through` is a time in milliseconds: sessions that began then or earlier have ended.
/// 0 means none.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    through: u64,
    accounts: BTreeMap<String, Account>,
}

#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Account {
    through: u64,
    holders: BTreeMap<String, Own>,
}

#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Own {
    through: u64,
    /// When the ended sessions began, by their ids.
    sessions: BTreeMap<u64, u64>,
}

impl Ended {
    /// Reads what was kept. If that is damaged, all sessions that began by `now` count as ended.
    pub fn read(kept: &[u8], now: u64) -> Ended {
        if kept.is_empty() {
            return Ended::default();
        }
        serde_json::from_slice(kept).unwrap_or_else(|error| {
            tracing::warn!(%error, "which sessions of the console were signed out can't be read, so all have ended");
            Ended { through: now, ..Ended::default() }
        })
    }

    /// The bytes to be kept.
    pub fn bytes(&self) -> Result<Vec<u8>, String> {
        serde_json::to_vec(self).map_err(|error| error.to_string())
    }

    pub fn has(&self, mark: &Mark) -> bool {
        let one_by_one = self.own(&mark.holder).is_some_and(|own| own.sessions.contains_key(&mark.id));
        one_by_one || mark.began <= self.through(&mark.holder)
    }

    /// The time at which a session that begins now is said to begin. It is later than every `through` that applies to
    /// the holder, even if the clock was set back, so that the new session hasn't ended already.
    pub fn earliest(&self, holder: &Holder, now: u64) -> u64 {
        now.max(self.through(holder).saturating_add(1))
    }

    pub fn end(&mut self, ending: Ending<'_>, now: u64) {
        self.forget(now.saturating_sub(SESSION_MILLIS));
        match ending {
            Ending::One(mark) => self.change(&mark.holder, |own| {
                own.sessions.insert(mark.id, mark.began);
            }),
            Ending::OfHolder(mark) => self.change(&mark.holder, |own| own.raise(now.max(mark.began))),
            Ending::All(mark) => {
                let through = now.max(mark.began).max(self.latest());
                *self = Ended { through, ..Ended::default() };
            }
        }
    }

    /// The latest time at which a session that has ended began.
    fn latest(&self) -> u64 {
        self.accounts.values().map(Account::latest).max().unwrap_or_default().max(self.through)
    }

    fn own(&self, holder: &Holder) -> Option<&Own> {
        self.accounts.get(&holder.account)?.holders.get(&holder.id)
    }

    fn through(&self, holder: &Holder) -> u64 {
        let account = self.accounts.get(&holder.account).map_or(0, |account| account.through);
        let own = self.own(holder).map_or(0, |own| own.through);
        self.through.max(account).max(own)
    }

    fn change(&mut self, holder: &Holder, change: impl FnOnce(&mut Own)) {
        let account = self.accounts.entry(holder.account.clone()).or_default();
        let own = account.holders.entry(holder.id.clone()).or_default();
        change(own);
        own.bound();
        account.bound();
    }

    /// Forgets sessions that began by `over`, whose cookies have expired by themselves.
    fn forget(&mut self, over: u64) {
        for account in self.accounts.values_mut() {
            account.holders.values_mut().for_each(|own| own.sessions.retain(|_, began| *began > over));
            account.holders.retain(|_, own| own.latest() > over);
        }
        self.accounts.retain(|_, account| account.through > over || !account.holders.is_empty());
    }
}

impl Account {
    fn latest(&self) -> u64 {
        self.holders.values().map(Own::latest).max().unwrap_or_default().max(self.through)
    }

    fn bound(&mut self) {
        while self.holders.len() > MOST_HOLDERS {
            let oldest = self.holders.values().map(Own::latest).min().unwrap_or_default();
            self.through = self.through.max(oldest);
            self.holders.retain(|_, own| own.latest() > oldest);
        }
    }
}

impl Own {
    fn raise(&mut self, through: u64) {
        self.through = self.through.max(through);
        self.sessions.retain(|_, began| *began > through);
    }

    fn bound(&mut self) {
        while self.sessions.len() > MOST_SESSIONS {
            self.raise(self.sessions.values().copied().min().unwrap_or_default());
        }
    }

    fn latest(&self) -> u64 {
        self.sessions.values().copied().max().unwrap_or_default().max(self.through)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_795_961_109_000;

    fn mark(account: &str, holder: &str, id: u64, began: u64) -> Mark {
        let holder = Holder { account: account.into(), id: holder.into(), is_role: false };
        Mark { holder, id, began }
    }

    #[test]
    fn a_session_that_is_signed_out_has_ended_and_no_other_has() {
        let mut ended = Ended::default();
        let (one, other) = (mark("root", "root", 1, NOW), mark("root", "root", 2, NOW));
        ended.end(Ending::One(&one), NOW + 5);
        assert!(ended.has(&one) && !ended.has(&other));
        let kept = Ended::read(&ended.bytes().unwrap(), NOW + 6);
        assert_eq!(kept, ended);
        assert!(!kept.has(&mark("other", "root", 1, NOW)) && !kept.has(&mark("root", "ada", 1, NOW)));
    }

    #[test]
    fn all_sessions_of_a_holder_end_and_a_new_one_begins_after_them_whatever_the_clock_says() {
        let mut ended = Ended::default();
        let (one, other, late) =
            (mark("a", "ada", 1, NOW), mark("a", "bob", 2, NOW), mark("a", "ada", 3, NOW + 9));
        ended.end(Ending::OfHolder(&one), NOW + 9);
        assert!(ended.has(&one) && ended.has(&late) && !ended.has(&other));
        assert_eq!(ended.earliest(&one.holder, NOW - 1_000), NOW + 10);
        assert_eq!(ended.earliest(&other.holder, NOW - 1_000), NOW - 1_000);
        ended.end(Ending::All(&one), NOW + 20);
        assert!(ended.has(&other) && !ended.has(&mark("a", "bob", 4, ended.earliest(&other.holder, NOW))));
    }

    #[test]
    fn a_damaged_record_ends_all_sessions_that_there_were() {
        let ended = Ended::read(b"{\"through\":", NOW);
        assert!(ended.has(&mark("a", "ada", 1, NOW)) && !ended.has(&mark("a", "ada", 1, NOW + 1)));
        assert_eq!(Ended::read(b"", NOW), Ended::default());
    }

    /// A user who signs out again and again takes bounded room and ends nobody else's session, and no session of
    /// theirs comes back.
    #[test]
    fn the_record_is_bounded_and_ends_no_sessions_but_those_of_the_account_that_signs_out() {
        let mut ended = Ended::default();
        let bystanders = [mark("a", "bob", 1, NOW), mark("b", "ada", 1, NOW)];
        let all: Vec<Mark> = (0..200).map(|id| mark("a", "ada", id, NOW + id % 7 * 100)).collect();
        for (signed_out, mark) in all.iter().enumerate() {
            ended.end(Ending::One(mark), NOW + 1_000);
            assert!(all[..=signed_out].iter().all(|before| ended.has(before)), "{signed_out}");
        }
        assert!(ended.own(&all[0].holder).unwrap().sessions.len() <= MOST_SESSIONS);
        assert!(bystanders.iter().all(|mark| !ended.has(mark)));
        assert!(!ended.has(&mark("a", "ada", 5_000, NOW + 1_000)), "one that began later lasts");
        // More holders of the account than are remembered.
        let holders: Vec<Mark> = (0..1_500).map(|at| mark("a", &format!("u{at}"), at, NOW + at)).collect();
        holders.iter().for_each(|mark| ended.end(Ending::One(mark), NOW + 5_000));
        assert!(holders.iter().chain(&all).all(|mark| ended.has(mark)));
        assert_eq!(ended.accounts["a"].holders.len(), MOST_HOLDERS);
        assert!(!ended.has(&bystanders[1]), "it is another account's");
        assert!(ended.bytes().unwrap().len() < 100 << 10);
    }

    #[test]
    fn sessions_whose_cookies_have_expired_are_forgotten() {
        let mut ended = Ended::default();
        ended.end(Ending::One(&mark("a", "ada", 1, NOW)), NOW);
        ended.end(Ending::OfHolder(&mark("a", "bob", 1, NOW)), NOW);
        let late = mark("b", "carl", 3, NOW + SESSION_MILLIS);
        ended.end(Ending::One(&late), NOW + SESSION_MILLIS);
        assert_eq!(ended.accounts.keys().collect::<Vec<_>>(), ["b"]);
    }
}
