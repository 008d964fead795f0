//! The parties that requests count for.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// Whom a request counts for: a user, or the address that an unsigned request came from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Party {
    /// The owner of an account, whom the configuration names, by their id.
    User(String),
    /// A user or a role that was made in an account. All sessions of a role are one party, since whoever may assume the
    /// role can make as many sessions as they like.
    Member {
        /// The id of the account's owner.
        account: String,
        /// The ARN of the user or the role.
        principal: String,
    },
    Address(Origin),
}

impl Party {
    /// The kind of the party: `user` or `address`.
    pub fn kind(&self) -> &'static str {
        match self {
            Party::User(_) | Party::Member { .. } => "user",
            Party::Address(_) => "address",
        }
    }

    /// What the party is called: the id of an owner, the ARN of a member, or the address.
    pub fn name(&self) -> String {
        match self {
            Party::User(id) => id.clone(),
            Party::Member { principal, .. } => principal.clone(),
            Party::Address(origin) => origin.to_string(),
        }
    }

    /// The group whose parties share as one does; `None` for an account's owner, who is a party alone.
    pub(super) fn group(&self) -> Option<Group> {
        match self {
            Party::User(_) => None,
            Party::Member { account, .. } => Some(Group::Account(account.clone())),
            Party::Address(_) => Some(Group::Strangers),
        }
    }
}

/// Parties of which anybody can have as many as they like.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Group {
    /// The users and roles that were made in an account, by the id of its owner.
    Account(String),
    /// All addresses that unsigned requests come from.
    Strangers,
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind(), self.name())
    }
}

/// Where a connection comes from, as far as the peer can't choose it: an IPv4 address, or the first 64 bits of an IPv6
/// address, since the peer may vary the other 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Origin(IpAddr);

impl Origin {
    pub fn of(address: IpAddr) -> Self {
        const NETWORK: u128 = !0 << 64;
        Self(match address.to_canonical() {
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & NETWORK).into(),
            address => address,
        })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V6(network) => write!(f, "{network}/64"),
            address => address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_has_one_origin() {
        let origin = |text: &str| Origin::of(text.parse().unwrap());
        assert_eq!(origin("::ffff:192.0.2.1"), origin("192.0.2.1"));
        assert_ne!(origin("192.0.2.2"), origin("192.0.2.1"));
        assert_eq!(origin("2001:db8::1"), origin("2001:db8::ffff:1"));
        assert_ne!(origin("2001:db8:0:1::1"), origin("2001:db8::1"));
        assert_eq!(origin("2001:db8::1").to_string(), "2001:db8::/64");
    }
}
