//! Who asks, and what is known of their request: what a policy's conditions and variables are answered with.

use crate::context::{Account, Caller, Context, Store};
use crate::query::Query;
use crate::source_name;
use crate::tags::{self, Tags};
use http::header::{AUTHORIZATION, IF_MATCH, IF_NONE_MATCH, REFERER, USER_AGENT};
use http::uri::Scheme;
use http::{HeaderMap, HeaderName};
use std::net::IpAddr;
use stratum_metadata::ReadView;
use stratum_metadata::record::BucketRecord;
use stratum_policy::{Key, Requester, Value, Values};
use stratum_storage::ambient::UnixMillis;

/// Who asks, and how.
#[derive(Clone, Copy, Debug)]
pub struct Asker<'a> {
    pub store: &'a Store,
    pub view: &'a ReadView,
    pub caller: &'a Caller,
    pub account: &'a Account,
    pub query: &'a Query,
    pub headers: &'a HeaderMap,
    pub scheme: &'a Scheme,
    pub peer: Option<IpAddr>,
    pub now: UnixMillis,
    /// What the body says, once it has been read.
    pub said: Option<&'a Said>,
}

/// What policies ask about that stands in a request's body.
#[derive(Clone, Debug, Default)]
pub struct Said {
    pub tags: Tags,
}

impl Said {
    /// Whether the operation of an action says it in its body.
    pub(super) fn by(action: &str) -> bool {
        matches!(action, "s3:PutObjectTagging" | "s3:PutObjectVersionTagging")
    }

    /// What it may be asked about.
    pub(super) fn tells(key: &Key) -> bool {
        matches!(key, Key::RequestObjectTag(_) | Key::RequestObjectTagKeys)
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
            query: &ctx.query,
            headers: &ctx.headers,
            scheme: &ctx.scheme,
            peer: ctx.peer,
            now: ctx.now,
            said: None,
        }
    }

    pub(super) fn requester(&self) -> Requester<'a> {
        match self.caller {
            Caller::User(user) => Requester::User { account: &user.id, name: &user.display_name },
            Caller::Nobody => Requester::Nobody,
        }
    }

    fn header(&self, name: &HeaderName) -> Option<&'a str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    fn is_presigned(&self) -> bool {
        self.query.iter().any(|(name, _)| name.eq_ignore_ascii_case("X-Amz-Signature"))
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
    pub bucket: &'a BucketRecord,
    pub version: Option<&'a str>,
    /// The tags that the object has.
    pub tags: Option<&'a Tags>,
    /// What is to be listed, where it isn't the request's own prefix.
    pub prefix: Option<&'a str>,
}

impl stratum_policy::Facts for Facts<'_> {
    fn values(&self, key: &Key) -> Values<'_> {
        let asker = self.asker;
        let user = match asker.caller {
            Caller::User(user) => Some(user.as_ref()),
            Caller::Nobody => None,
        };
        let parameter = |name: &str| Values::from(asker.query.get(name));
        let owned =
            |text: Option<String>| text.map_or(Values::None, |text| Values::One(Value::Text(text.into())));
        match key {
            Key::SourceIp => {
                asker.peer.map_or(Values::None, |peer| Values::One(Value::Address(peer.to_canonical())))
            }
            Key::SecureTransport => Values::One(Value::Flag(*asker.scheme == Scheme::HTTPS)),
            Key::CurrentTime => Values::One(Value::Time(asker.now.cast_signed())),
            Key::EpochTime => Values::One(Value::Number((asker.now / 1000).cast_signed())),
            Key::Referer => Values::from(asker.header(&REFERER)),
            Key::UserAgent => Values::from(asker.header(&USER_AGENT)),
            Key::Username => Values::from(user.map(|user| user.display_name.as_str())),
            Key::UserId => Values::from(Some(user.map_or("anonymous", |user| &user.id))),
            Key::PrincipalType => Values::from(Some(user.map_or("Anonymous", |_| "User"))),
            Key::PrincipalArn => {
                owned(user.map(|user| format!("arn:aws:iam::{}:user/{}", user.id, user.display_name)))
            }
            Key::PrincipalAccount => Values::from(user.map(|user| user.id.as_str())),
            Key::RequestedRegion => Values::from(Some(asker.store.settings.region.as_str())),
            // Of requests of a service, which nobody sends.
            Key::SourceArn | Key::SourceAccount => Values::None,
            Key::Prefix => {
                self.prefix.map_or_else(|| parameter("prefix"), |prefix| Values::from(Some(prefix)))
            }
            Key::Delimiter => parameter("delimiter"),
            Key::MaxKeys => parameter("max-keys"),
            Key::VersionId => Values::from(self.version),
            // What stands in the body of CreateBucket, which no bucket's policy judges.
            Key::LocationConstraint => Values::None,
            Key::ExistingObjectTag(tag) => {
                Values::from(self.tags.and_then(|tags| tags.get(tag.as_ref())).map(String::as_str))
            }
            Key::RequestObjectTag(tag) => owned(self.request_tags().remove(tag.as_ref())),
            Key::RequestObjectTagKeys => match self.request_tags() {
                tags if tags.is_empty() => Values::None,
                tags => Values::Many(tags.into_keys().map(|key| Value::Text(key.into())).collect()),
            },
            Key::SignatureVersion => Values::from(user.map(|_| "AWS4-HMAC-SHA256")),
            Key::SignatureAge => user
                .and_then(|_| asker.signature_age())
                .map_or(Values::None, |age| Values::One(Value::Number(age))),
            Key::AuthType => Values::from(match user {
                Some(_) if asker.headers.contains_key(AUTHORIZATION) => Some("REST-HEADER"),
                Some(_) if asker.is_presigned() => Some("REST-QUERY-STRING"),
                Some(_) => Some("POST"),
                None => None,
            }),
            Key::ResourceAccount => Values::from(Some(self.bucket.owner.as_str())),
            Key::LockMode => Values::from(self.lock_header("x-amz-object-lock-mode")),
            Key::LockLegalHold => Values::from(self.lock_header("x-amz-object-lock-legal-hold")),
            Key::LockRetainUntil => Values::from(self.lock_header("x-amz-object-lock-retain-until-date")),
            Key::LockRemainingDays => {
                self.remaining_days().map_or(Values::None, |days| Values::One(Value::Number(days)))
            }
            Key::Header("if-match") => Values::from(asker.header(&IF_MATCH)),
            Key::Header("if-none-match") => Values::from(asker.header(&IF_NONE_MATCH)),
            Key::Header("x-amz-copy-source") => match source_name::as_policies_name_it(asker.headers) {
                Some(names) => Values::Many(names.into_iter().map(|name| Value::Text(name.into())).collect()),
                None => Values::None,
            },
            Key::Header(name) => Values::from(asker.headers.get(*name).and_then(|value| value.to_str().ok())),
        }
    }
}

impl Facts<'_> {
    /// The tags that the request gives in its body or its header. What is no tag is refused by the operation.
    fn request_tags(&self) -> Tags {
        if let Some(said) = self.asker.said {
            return said.tags.clone();
        }
        tags::of_header(self.asker.headers).ok().flatten().unwrap_or_default()
    }

    fn lock_header(&self, name: &str) -> Option<&str> {
        self.asker.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// For how many days the request would retain the object, begun ones counted.
    fn remaining_days(&self) -> Option<i64> {
        const DAY: i64 = 24 * 3_600;
        let until = self.lock_header("x-amz-object-lock-retain-until-date")?;
        let until =
            time::OffsetDateTime::parse(until, &time::format_description::well_known::Rfc3339).ok()?;
        let left = until.unix_timestamp() - (self.asker.now / 1000).cast_signed();
        Some(left.div_euclid(DAY) + i64::from(left.rem_euclid(DAY) > 0))
    }
}
