//! What an operation of S3 is: how a request names it, which parameters and which body it takes, and which rights it
//! needs.
//!
//! The table in `operations` has every operation with its handler.

/// The HTTP methods that S3 has operations for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    Get,
    Head,
    Put,
    Post,
    Delete,
    Options,
}

/// What an operation's path names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    Service,
    Bucket,
    Object,
    /// The path of WriteGetObjectResponse, which names no bucket and no object.
    ObjectResponse,
}

/// What selects an operation among those that share its method, scope and subresource.
#[derive(Clone, Copy, Debug)]
pub enum Qualifier {
    /// A query parameter that the request must have, with any value.
    Parameter(&'static str),
    /// A query parameter that the request must have with this value.
    Value(&'static str, &'static str),
    /// A header that the request must have.
    Header(&'static str),
}

/// A right that an operation needs: an action, by its name in policies, and the resource that it is a right to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// The right to what the path names.
    Here(&'static str),
    /// The right to the object that is copied.
    OfSource(&'static str),
    /// The right to each object that the body names.
    OfEach(&'static str),
}

/// What a request needs beside its operation's own rights, and because of what.
#[derive(Clone, Copy, Debug)]
pub struct Brings {
    pub by: Bearer,
    pub needs: &'static [Need],
    pub because: Because,
}

/// What in a request brings a need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bearer {
    /// A header, with a value such as the example's. The idle value, if there is one, says what is so without it and brings nothing.
    Header { name: &'static str, example: &'static str, idle: Option<&'static str> },
    /// The document, where it is such as this one.
    Document(&'static str),
    /// The object that is copied, where it has tags.
    TaggedSource,
}

/// Why it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Because {
    /// It gives to what is made what takes a right to give.
    Gives,
    /// It lets others in, where lists are in use. Who will own what is written may, unless a policy denies it.
    LetsIn,
    /// It asks what the object is, and the answer tells. That there is one at all (`*`) isn't that.
    Asks,
    /// It lifts what would keep the request from being done. Without the right it lifts nothing, and what it lifts refuses.
    Lifts,
}

impl Brings {
    /// The actions that it takes to what the path names.
    pub fn actions(&self) -> impl Iterator<Item = &'static str> {
        self.needs.iter().filter_map(|need| match need {
            Need::Here(action) => Some(*action),
            Need::OfSource(_) | Need::OfEach(_) => None,
        })
    }
}

impl Bearer {
    /// Whether it is this header of a request.
    pub fn is_header(&self, header: &str, value: &[u8]) -> bool {
        match self {
            Bearer::Header { name, idle, .. } if *name == header => {
                !idle.is_some_and(|idle| idle.as_bytes().eq_ignore_ascii_case(value))
            }
            Bearer::Header { .. } | Bearer::Document(_) | Bearer::TaggedSource => false,
        }
    }
}

/// What the body of a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    None,
    /// An XML or JSON document, read whole.
    Document,
    /// Bytes that are stored, or a form that has them as its file.
    Payload,
}

/// An operation of S3.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    /// The name in S3's API reference.
    pub name: &'static str,
    /// The name that S3 gave the operation before, where SDKs still use it.
    pub former_name: Option<&'static str>,
    pub method: Method,
    pub scope: Scope,
    /// The query parameter that names a part of the bucket or object, such as `acl`; none where the request is about
    /// the bucket or object itself.
    pub subresource: Option<&'static str>,
    pub qualifiers: &'static [Qualifier],
    /// The query parameters that the operation takes, besides those that select it.
    pub parameters: &'static [&'static str],
    pub needs: &'static [Need],
    /// What a request for it can bring beside, which takes more rights.
    pub brings: &'static [&'static [Brings]],
    pub body: Body,
}

impl Operation {
    /// Whether the operation may change something, judged by its method.
    pub fn is_write(&self) -> bool {
        matches!(self.method, Method::Put | Method::Post | Method::Delete)
    }

    /// All that a request for it can bring.
    pub fn brings(&self) -> impl Iterator<Item = &'static Brings> {
        self.brings.iter().copied().flatten()
    }

    /// The rights that it needs to what its path names, or to a version of it that the request names.
    pub fn actions(&self, names_version: bool) -> impl Iterator<Item = &'static str> {
        self.needs.iter().filter_map(move |need| match need {
            Need::Here(action) => Some(on(action, names_version)),
            Need::OfSource(_) | Need::OfEach(_) => None,
        })
    }

    /// The actions that the operation needs the right to, on the object that is copied, or on the version of it that
    /// the request names.
    pub fn source_actions(&self, names_version: bool) -> impl Iterator<Item = &'static str> {
        self.needs.iter().filter_map(move |need| match need {
            Need::OfSource(action) => Some(on(action, names_version)),
            Need::Here(_) | Need::OfEach(_) => None,
        })
    }

    /// The actions that the operation needs the right to, on each object that the body names, or on the version of it
    /// that the body names.
    pub fn actions_on_each(&self, names_version: bool) -> impl Iterator<Item = &'static str> {
        self.needs.iter().filter_map(move |need| match need {
            Need::OfEach(action) => Some(on(action, names_version)),
            Need::Here(_) | Need::OfSource(_) => None,
        })
    }
}

/// The action that a request needs the right to: S3 has another action where the request names a version than where
/// it is about the current one.
pub fn on(action: &'static str, names_version: bool) -> &'static str {
    match action {
        _ if !names_version => action,
        "s3:GetObject" => "s3:GetObjectVersion",
        "s3:GetObjectAttributes" => "s3:GetObjectVersionAttributes",
        "s3:GetObjectAcl" => "s3:GetObjectVersionAcl",
        "s3:GetObjectTagging" => "s3:GetObjectVersionTagging",
        "s3:PutObjectAcl" => "s3:PutObjectVersionAcl",
        "s3:PutObjectTagging" => "s3:PutObjectVersionTagging",
        "s3:DeleteObject" => "s3:DeleteObjectVersion",
        "s3:DeleteObjectTagging" => "s3:DeleteObjectVersionTagging",
        other => other,
    }
}

impl Method {
    pub fn of(method: &http::Method) -> Option<Self> {
        Some(match *method {
            http::Method::GET => Method::Get,
            http::Method::HEAD => Method::Head,
            http::Method::PUT => Method::Put,
            http::Method::POST => Method::Post,
            http::Method::DELETE => Method::Delete,
            http::Method::OPTIONS => Method::Options,
            _ => return None,
        })
    }

    /// The method's name in HTTP.
    pub fn name(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Put => "PUT",
            Method::Post => "POST",
            Method::Delete => "DELETE",
            Method::Options => "OPTIONS",
        }
    }
}

impl Scope {
    /// The scope's name in the `ResourceType` of S3's errors.
    pub fn name(self) -> &'static str {
        match self {
            Scope::Service => "SERVICE",
            Scope::Bucket => "BUCKET",
            Scope::Object => "OBJECT",
            Scope::ObjectResponse => "OBJECT_RESPONSE",
        }
    }
}
