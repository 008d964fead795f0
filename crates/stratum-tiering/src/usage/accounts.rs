//! What tiering saved and spent, by bucket and month.

use std::collections::{BTreeMap, BTreeSet};

/// Accounts that are kept, at most; those of the oldest months go first. One takes some 100 bytes.
const MOST_ACCOUNTS: usize = 50_000;

/// What tiering saved and spent for a bucket in a month, in dollars.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Account {
    /// Compared with keeping all objects in hot.
    pub saved: f64,
    /// For moves, and for retrievals and requests that cost more than in hot.
    pub spent: f64,
}

/// Which account: of which bucket, and for which month.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AccountName {
    /// Months since the beginning of 1970.
    pub month: u32,
    pub bucket: u64,
}

#[derive(Debug, Default)]
pub(super) struct Accounts {
    accounts: BTreeMap<AccountName, Account>,
    changed: BTreeSet<AccountName>,
}

impl Accounts {
    pub fn get(&self, name: AccountName) -> Account {
        self.accounts.get(&name).copied().unwrap_or_default()
    }

    pub fn set(&mut self, name: AccountName, account: Account) {
        self.accounts.insert(name, account);
        self.changed.insert(name);
        if self.accounts.len() > MOST_ACCOUNTS
            && let Some((oldest, _)) = self.accounts.pop_first()
        {
            self.changed.remove(&oldest);
        }
    }

    pub fn len(&self) -> usize {
        self.accounts.len()
    }

    pub fn mark_all(&mut self) {
        self.changed = self.accounts.keys().copied().collect();
    }

    pub fn take_changed(&mut self) -> Vec<(AccountName, Account)> {
        let changed = std::mem::take(&mut self.changed);
        changed.into_iter().map(|name| (name, self.get(name))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_months_go_first_and_each_change_is_told_once() {
        let mut accounts = Accounts::default();
        for month in 0..MOST_ACCOUNTS as u32 + 10 {
            accounts.set(AccountName { month, bucket: 1 }, Account { saved: 1.0, spent: 0.5 });
        }
        let of = |month| AccountName { month, bucket: 1 };
        assert_eq!((accounts.get(of(9)), accounts.get(of(10)).saved), (Account::default(), 1.0));
        assert_eq!((accounts.take_changed().len(), accounts.take_changed().len()), (MOST_ACCOUNTS, 0));
    }
}
