//! Who asks, and what is known of their request: what a policy's conditions and variables are answered with.

use crate::audit::Trail;
use crate::channel::Tls;
use crate::context::{Account, Caller, Context, Store};
use crate::identities::{Arn, MemberKind};
use crate::lock::{Lock, hold_name, mode_name};
use crate::query::Query;
use crate::source_name;
use crate::tags::{self, Tags};
use http::HeaderMap;
use http::header::{AsHeaderName, IF_MATCH, IF_NONE_MATCH, REFERER, USER_AGENT};
use http::uri::Scheme;
use std::borrow::Cow;
use std::net::IpAddr;
use stratum_auth::{Mechanism, Place, Version};
use stratum_metadata::ReadView;
use stratum_metadata::record::BucketRecord;
use stratum_policy::{Key, Requester, Value, Values};
use stratum_storage::ambient::UnixMillis;

/// A text of the request that a policy may ask about, at most, in bytes: what is longer is compared with nothing. No key and no
/// value that means something is.
const MAX_ASKED: usize = 4 << 10;

/// Who asks, and how.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    pub store: &'a Store,
    pub view: &'a ReadView,
    pub caller: &'a Caller,
    pub account: &'a Account,
    /// How it was signed, if it was.
    pub mechanism: Option<Mechanism>,
    pub query: &'a Query,
    pub headers: &'a HeaderMap,
    pub scheme: &'a Scheme,
    pub tls: Option<Tls>,
    /// Of a write of an object: whether the object comes to be by this very request. A part makes none.
    pub creates: Option<bool>,
    pub peer: Option<IpAddr>,
    pub now: UnixMillis,
    /// What is told of how it was decided.
    pub trail: &'a Trail,
    /// What the body says, once it has been read.
    pub said: Option<&'a Said>,
}

/// What a version is to have, where policies ask about it: it stands in a header, or in the body.
#[derive(Clone, Debug, Default)]
pub struct Said {
    pub tags: Tags,
    pub lock: Lock,
}

impl Said {
    /// What the headers say. What makes no sense is refused by the operation.
    pub(super) fn of(headers: &HeaderMap, now: UnixMillis) -> Said {
        let tags = tags::of_header(headers).ok().flatten().unwrap_or_default();
        Said { tags, lock: Lock::of(headers, now).unwrap_or_default() }
    }

    /// Whether the operation of an action says it in its body.
    pub(super) fn by(action: &str) -> bool {
        matches!(
            action,
            "s3:PutObjectTagging"
                | "s3:PutObjectVersionTagging"
                | "s3:PutObjectRetention"
                | "s3:PutObjectLegalHold"
        )
    }

    /// What it may be asked about.
    pub(super) fn tells(key: &Key) -> bool {
        matches!(
            key,
            Key::RequestObjectTag(_)
                | Key::RequestObjectTagKeys
                | Key::LockMode
                | Key::LockLegalHold
                | Key::LockRetainUntil
                | Key::LockRemainingDays
        )
    }

    /// Milliseconds since the epoch.
    fn retained_until(&self) -> Option<i64> {
        self.lock.retention.map(|retention| retention.until.cast_signed())
    }

    /// For how many days from then, begun ones counted.
    fn remaining_days(&self, now: UnixMillis) -> Option<i64> {
        const DAY: i64 = 24 * 3_600 * 1_000;
        let left = self.retained_until()?.checked_sub(now.cast_signed())?;
        Some(left.div_euclid(DAY) + i64::from(left.rem_euclid(DAY) > 0))
    }
}

fn creates(operation: &str) -> Option<bool> {
    match operation {
        "PutObject" | "CopyObject" | "PostObject" | "CompleteMultipartUpload" => Some(true),
        "CreateMultipartUpload" | "UploadPart" | "UploadPartCopy" => Some(false),
        _ => None,
    }
}

impl<'a> Asker<'a> {
    /// Of a request to S3.
    pub fn of(ctx: &'a Context) -> Self {
        Asker {
            store: &ctx.store,
            view: &ctx.view,
            caller: &ctx.caller,
            account: &ctx.account,
            mechanism: ctx.mechanism,
            query: &ctx.query,
            headers: &ctx.headers,
            scheme: &ctx.scheme,
            tls: ctx.tls,
            creates: creates(ctx.operation.name),
            peer: ctx.peer,
            now: ctx.now,
            trail: &ctx.trail,
            said: None,
        }
    }

    pub(super) fn requester(&self) -> Requester<'a> {
        match self.caller {
            Caller::User(user) => Requester::User { account: &user.id, name: &user.display_name },
            Caller::Member(member) => Requester::Member { account: &member.account.id, names: &member.names },
            Caller::Nobody => Requester::Nobody,
        }
    }

    /// What isn't UTF-8 in it is compared as the replacement character.
    fn header(&self, name: impl AsHeaderName) -> Option<Cow<'a, str>> {
        let value = self.headers.get(name).filter(|value| value.len() <= MAX_ASKED)?;
        Some(String::from_utf8_lossy(value.as_bytes()))
    }

    /// When it was signed, in milliseconds ago.
    fn signature_age(&self) -> Option<i64> {
        let text = self.headers.get("x-amz-date").and_then(|value| value.to_str().ok());
        let of_query = || self.query.iter().find(|(name, _)| name.eq_ignore_ascii_case("X-Amz-Date"));
        let text = text.or_else(|| of_query().map(|(_, value)| value))?;
        let format = time::macros::format_description!("[year][month][day]T[hour][minute][second]Z");
        let signed = time::PrimitiveDateTime::parse(text, format).ok()?.assume_utc().unix_timestamp();
        i64::try_from(self.now).ok()?.checked_sub(signed.checked_mul(1000)?)
    }
}

/// What is known of one question of a request.
pub(super) struct Facts<'a> {
    pub asker: &'a Asker<'a>,
    /// The bucket that it is about, if it is.
    pub bucket: Option<&'a BucketRecord>,
    pub version: Option<&'a str>,
    /// The tags that the object has.
    pub tags: Option<&'a Tags>,
    /// What is to be listed, where it isn't the request's own prefix.
    pub prefix: Option<&'a str>,
}

impl stratum_policy::Facts for Facts<'_> {
    fn values(&self, key: &Key) -> Values<'_> {
        let asker = self.asker;
        // Whoever belongs to the account.
        let user = asker.caller.owner();
        let member = match asker.caller {
            Caller::Member(member) => Some(member.as_ref()),
            Caller::User(_) | Caller::Nobody => None,
        };
        let parameter =
            |name: &str| Values::from(asker.query.get(name).filter(|text| text.len() <= MAX_ASKED));
        let owned =
            |text: Option<String>| text.map_or(Values::None, |text| Values::One(Value::Text(text.into())));
        match key {
            Key::SourceIp => {
                asker.peer.map_or(Values::None, |peer| Values::One(Value::Address(peer.to_canonical())))
            }
            Key::SecureTransport => Values::One(Value::Flag(*asker.scheme == Scheme::HTTPS)),
            Key::CurrentTime => Values::One(Value::Time(asker.now.cast_signed())),
            Key::EpochTime => Values::One(Value::Number((asker.now / 1000).cast_signed())),
            Key::Referer => told(asker.header(REFERER)),
            Key::UserAgent => told(asker.header(USER_AGENT)),
            Key::Username => Values::from(match member.map(|member| &member.kind) {
                Some(MemberKind::User(name)) => Some(name.as_str()),
                Some(MemberKind::Role) => None,
                None => user.map(|user| user.display_name.as_str()),
            }),
            Key::UserId => Values::from(Some(match member {
                Some(member) => member.id.as_str(),
                None => user.map_or("anonymous", |user| &user.id),
            })),
            Key::PrincipalType => Values::from(Some(match member.map(|member| &member.kind) {
                Some(MemberKind::Role) => "AssumedRole",
                Some(MemberKind::User(_)) => "User",
                None => user.map_or("Anonymous", |_| "Account"),
            })),
            Key::PrincipalArn => owned(match member {
                Some(member) => Some(member.principal.to_string()),
                None => user.map(|user| Arn::root(&user.id).to_string()),
            }),
            Key::PrincipalTag(tag) => {
                let tags = member.into_iter().flat_map(|member| &member.tags);
                let mut named = tags.filter(|(name, _)| name.eq_ignore_ascii_case(tag));
                Values::from(named.next().map(|(_, value)| value.as_str()))
            }
            // Nobody has a second factor here; who signs with a lasting key isn't asked for one.
            Key::MultiFactorAuthPresent => match member.and_then(|member| member.issued) {
                Some(_) => Values::One(Value::Flag(false)),
                None => Values::None,
            },
            Key::TokenIssueTime => match member.and_then(|member| member.issued) {
                Some(issued) => Values::One(Value::Time(issued.cast_signed())),
                None => Values::None,
            },
            // Parameters of AssumeRole.
            Key::ExternalId => parameter("ExternalId"),
            Key::RoleSessionName => parameter("RoleSessionName"),
            Key::PrincipalAccount => Values::from(user.map(|user| user.id.as_str())),
            Key::RequestedRegion => Values::from(Some(asker.store.settings.region.as_str())),
            // Of requests of a service, which nobody sends.
            Key::SourceArn | Key::SourceAccount | Key::Elsewhere => Values::None,
            Key::ViaService => Values::One(Value::Flag(false)),
            Key::TlsVersion => Values::from(asker.tls.map(|tls| tls.version)),
            Key::ObjectCreation => {
                asker.creates.map_or(Values::None, |creates| Values::One(Value::Flag(creates)))
            }
            Key::Prefix => {
                self.prefix.map_or_else(|| parameter("prefix"), |prefix| Values::from(Some(prefix)))
            }
            Key::Delimiter => parameter("delimiter"),
            Key::MaxKeys => parameter("max-keys"),
            Key::VersionId => Values::from(self.version.filter(|text| text.len() <= MAX_ASKED)),
            // What stands in the body of CreateBucket, which no bucket's policy judges.
            Key::LocationConstraint => Values::None,
            Key::ExistingObjectTag(tag) => {
                Values::from(self.tags.and_then(|tags| tags.get(tag.as_ref())).map(String::as_str))
            }
            Key::RequestObjectTag(tag) => owned(self.said().tags.remove(tag.as_ref())),
            Key::RequestObjectTagKeys => match self.said().tags {
                tags if tags.is_empty() => Values::None,
                tags => Values::Many(tags.into_keys().map(|key| Value::Text(key.into())).collect()),
            },
            // What the console does counts as what its key would sign, so that a policy against the old version isn't against it.
            Key::SignatureVersion => Values::from(user.map(|_| match asker.mechanism {
                Some(Mechanism { version: Version::V2, .. }) => "AWS",
                Some(Mechanism { version: Version::V4, .. }) | None => "AWS4-HMAC-SHA256",
            })),
            Key::SignatureAge => user
                .and_then(|_| asker.signature_age())
                .map_or(Values::None, |age| Values::One(Value::Number(age))),
            Key::AuthType => Values::from(asker.mechanism.map(|mechanism| match mechanism.place {
                Place::Header => "REST-HEADER",
                Place::Query => "REST-QUERY-STRING",
                Place::Form => "POST",
            })),
            Key::ResourceAccount => Values::from(Some(match self.bucket {
                Some(bucket) => bucket.owner.as_str(),
                None => asker.account.id(),
            })),
            Key::LockMode => {
                Values::from(self.said().lock.retention.map(|retention| mode_name(retention.mode)))
            }
            Key::LockLegalHold => Values::from(self.said().lock.legal_hold.map(hold_name)),
            Key::LockRetainUntil => {
                self.said().retained_until().map_or(Values::None, |until| Values::One(Value::Time(until)))
            }
            Key::LockRemainingDays => {
                let days = self.said().remaining_days(asker.now);
                days.map_or(Values::None, |days| Values::One(Value::Number(days)))
            }
            Key::Header("if-match") => told(asker.header(IF_MATCH)),
            Key::Header("if-none-match") => told(asker.header(IF_NONE_MATCH)),
            Key::Header("x-amz-copy-source") => match source_name::as_policies_name_it(asker.headers) {
                Some(names) => Values::Many(names.into_iter().map(|name| Value::Text(name.into())).collect()),
                None => Values::None,
            },
            Key::Header(name) => told(asker.header(*name)),
        }
    }
}

fn told(text: Option<Cow<'_, str>>) -> Values<'_> {
    text.map_or(Values::None, |text| Values::One(Value::Text(text)))
}

impl<'a> Facts<'a> {
    /// Of what is no bucket's.
    pub(super) fn of_account(asker: &'a Asker<'a>) -> Facts<'a> {
        Facts { asker, bucket: None, version: None, tags: None, prefix: None }
    }

    /// What the body says, or else the headers.
    fn said(&self) -> Said {
        self.asker.said.cloned().unwrap_or_else(|| Said::of(self.asker.headers, self.asker.now))
    }
}
