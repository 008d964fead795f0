//! The caller and the request, from which the condition keys and variables of policies get their values.

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
use stratum_auth::{Mechanism, Place, Timestamp, Version};
use stratum_metadata::ReadView;
use stratum_metadata::record::BucketRecord;
use stratum_policy::{Key, Requester, Value, Values};
use stratum_storage::ambient::UnixMillis;

/// The longest text of a request that is compared with a policy, in bytes. A longer one counts as absent. No object's
/// key and no value with a meaning is that long.
const MAX_ASKED_BYTES: usize = 4 << 10;

/// The caller of a request, and what the request has that a decision may depend on.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    pub store: &'a Store,
    pub view: &'a ReadView,
    pub caller: &'a Caller,
    pub account: &'a Account,
    /// How the request was signed; none where nobody signed it.
    pub mechanism: Option<Mechanism>,
    pub query: &'a Query,
    pub headers: &'a HeaderMap,
    pub scheme: &'a Scheme,
    pub tls: Option<Tls>,
    /// For a write of an object: whether this request makes the object, as an upload of a part doesn't. None for any
    /// other request.
    pub creates: Option<bool>,
    pub peer: Option<IpAddr>,
    pub now: UnixMillis,
    /// Notes the decisions for the audit.
    pub trail: &'a Trail,
    /// The tags and the lock that the body gives, once it has been read.
    pub said: Option<&'a Said>,
    /// What a request to IAM or STS says; none for any other request.
    pub iam: Option<&'a IamSaid<'a>>,
}

/// What a request to IAM or STS says that policies may ask about.
#[derive(Clone, Debug)]
pub struct IamSaid<'a> {
    pub form: &'a Query,
    /// The ARN of the permissions boundary that the request gives, or else of the one that the user or the role it is
    /// about has.
    pub boundary: Option<String>,
    /// The tags that the request gives.
    pub tags: Tags,
    /// The keys of the tags that it gives or takes away.
    pub tag_keys: Vec<String>,
    /// The keys of the tags that the sessions that are begun from the new one are to have, too.
    pub transitive_tag_keys: Vec<String>,
}

impl IamSaid<'_> {
    /// The value of the tag with that key. As in the keys of a principal's tags, case doesn't matter.
    fn tag(&self, key: &str) -> Option<&str> {
        let mut named = self.tags.iter().filter(|(known, _)| known.eq_ignore_ascii_case(key));
        named.next().map(|(_, value)| value.as_str())
    }
}

/// The tags and the lock that a request gives to a version, by its headers or its body. Policies have condition keys
/// for them.
#[derive(Clone, Debug, Default)]
pub struct Said {
    pub tags: Tags,
    pub lock: Lock,
}

impl Said {
    /// The tags and the lock that the headers give. The operation refuses headers that can't be read.
    pub(super) fn of(headers: &HeaderMap, now: UnixMillis) -> Said {
        let tags = tags::of_header(headers).ok().flatten().unwrap_or_default();
        Said { tags, lock: Lock::of(headers, now).unwrap_or_default() }
    }

    /// Whether the operation of this action gives tags or a lock in its body.
    pub(super) fn by(action: &str) -> bool {
        matches!(
            action,
            "s3:PutObjectTagging"
                | "s3:PutObjectVersionTagging"
                | "s3:PutObjectRetention"
                | "s3:PutObjectLegalHold"
        )
    }

    /// Whether a condition key is about such tags or such a lock.
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

    /// The end of the retention, in milliseconds since the epoch.
    fn retained_until(&self) -> Option<i64> {
        self.lock.retention.map(|retention| retention.until.cast_signed())
    }

    /// How many days the retention lasts from `now`; a day that has begun counts whole.
    fn remaining_days(&self, now: UnixMillis) -> Option<i64> {
        const DAY_MILLIS: i64 = 24 * 3_600 * 1_000;
        let left = self.retained_until()?.checked_sub(now.cast_signed())?;
        Some(left.div_euclid(DAY_MILLIS) + i64::from(left.rem_euclid(DAY_MILLIS) > 0))
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
    /// The caller of a request to S3.
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
            iam: None,
        }
    }

    pub(super) fn requester(&self) -> Requester<'a> {
        match self.caller {
            Caller::User(user, _) => Requester::User { account: &user.id, name: &user.display_name },
            Caller::Member(member) => Requester::Member { account: &member.account.id, names: &member.names },
            Caller::Nobody => Requester::Nobody,
        }
    }

    /// The text of a header. Bytes that aren't UTF-8 become the replacement character.
    fn header(&self, name: impl AsHeaderName) -> Option<Cow<'a, str>> {
        let value = self.headers.get(name).filter(|value| value.len() <= MAX_ASKED_BYTES)?;
        Some(String::from_utf8_lossy(value.as_bytes()))
    }

    /// How long ago the request was signed, in milliseconds; `None` where the signature doesn't say when it was made,
    /// as one of version 2 in a URL doesn't.
    fn signature_age(&self) -> Option<i64> {
        let header = |name| self.headers.get(name).and_then(|value| value.to_str().ok());
        let parameter = || self.query.iter().find(|(name, _)| name.eq_ignore_ascii_case("X-Amz-Date"));
        let text = match self.mechanism?.place {
            Place::Header => header("x-amz-date").or_else(|| header("date"))?,
            Place::Query => parameter()?.1,
            Place::Form => header("x-amz-date")?,
        };
        let signed = Timestamp::parse(text).or_else(|| Timestamp::parse_http(text))?.unix();
        i64::try_from(self.now).ok()?.checked_sub(signed.checked_mul(1000)?)
    }
}

/// What one question about a request may depend on.
pub(super) struct Facts<'a> {
    pub asker: &'a Asker<'a>,
    /// The bucket that the question is about, if it is about one.
    pub bucket: Option<&'a BucketRecord>,
    pub version: Option<&'a str>,
    /// The tags that the object has.
    pub tags: Option<&'a Tags>,
    /// The prefix that is to be listed, where it isn't the request's own.
    pub prefix: Option<&'a str>,
}

impl stratum_policy::Facts for Facts<'_> {
    fn values(&self, key: &Key) -> Values<'_> {
        let asker = self.asker;
        // The owner of the caller's account; none where nobody signed the request.
        let user = asker.caller.owner();
        let member = match asker.caller {
            Caller::Member(member) => Some(member.as_ref()),
            Caller::User(..) | Caller::Nobody => None,
        };
        let parameter = |name: &str| short(asker.query.get(name));
        // A parameter of a form to IAM or STS.
        let field = |name: &str| short(asker.iam.and_then(|said| said.form.get(name)));
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
            // Nobody has a second factor here, so that it is false for a session. For an access key without an end
            // the key is absent, as at Amazon.
            Key::MultiFactorAuthPresent => match asker.caller.session_began() {
                Some(_) => Values::One(Value::Flag(false)),
                None => Values::None,
            },
            Key::TokenIssueTime => match asker.caller.session_began() {
                Some(issued) => Values::One(Value::Time(issued.cast_signed())),
                None => Values::None,
            },
            Key::PermissionsBoundary => short(asker.iam.and_then(|said| said.boundary.as_deref())),
            Key::RequestTag(tag) => Values::from(asker.iam.and_then(|said| said.tag(tag))),
            Key::TagKeys => texts(asker.iam.map(|said| said.tag_keys.as_slice())),
            Key::TransitiveTagKeys => texts(asker.iam.map(|said| said.transitive_tag_keys.as_slice())),
            Key::ExternalId => field("ExternalId"),
            Key::RoleSessionName => field("RoleSessionName"),
            Key::PrincipalAccount => Values::from(user.map(|user| user.id.as_str())),
            Key::RequestedRegion => Values::from(Some(asker.store.settings.region.as_str())),
            // Only requests that another service of Amazon's sends have these, and no such request comes here.
            Key::SourceArn | Key::SourceAccount | Key::Elsewhere | Key::OfOtherService => Values::None,
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
            Key::VersionId => short(self.version),
            // The location constraint stands in the body of CreateBucket, which isn't read yet when this is asked.
            Key::LocationConstraint => Values::None,
            Key::ExistingObjectTag(tag) => {
                Values::from(self.tags.and_then(|tags| tags.get(tag.as_ref())).map(String::as_str))
            }
            Key::RequestObjectTag(tag) => owned(self.said().tags.remove(tag.as_ref())),
            Key::RequestObjectTagKeys => match self.said().tags {
                tags if tags.is_empty() => Values::None,
                tags => Values::Many(tags.into_keys().map(|key| Value::Text(key.into())).collect()),
            },
            // A request of the console isn't signed. It counts as signed by version 4, so that a policy that denies
            // version 2 doesn't deny the console.
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

/// A text of the request; none where it is too long to be compared.
fn short(text: Option<&str>) -> Values<'_> {
    Values::from(text.filter(|text| text.len() <= MAX_ASKED_BYTES))
}

fn texts(all: Option<&[String]>) -> Values<'_> {
    match all.unwrap_or_default() {
        [] => Values::None,
        all => Values::Many(all.iter().map(|text| Value::Text(text.as_str().into())).collect()),
    }
}

fn told(text: Option<Cow<'_, str>>) -> Values<'_> {
    text.map_or(Values::None, |text| Values::One(Value::Text(text)))
}

impl<'a> Facts<'a> {
    /// For a question about a resource that belongs to no bucket.
    pub(super) fn of_account(asker: &'a Asker<'a>) -> Facts<'a> {
        Facts { asker, bucket: None, version: None, tags: None, prefix: None }
    }

    /// The tags and the lock that the body gives, if it has been read, or else those that the headers give.
    fn said(&self) -> Said {
        self.asker.said.cloned().unwrap_or_else(|| Said::of(self.asker.headers, self.asker.now))
    }
}
