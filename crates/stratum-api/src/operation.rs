//! What there is to say of an operation of S3: how a request names it, what it takes, and which rights it needs.
//!
//! What does it is said beside it in the table of `operations`.

/// The methods that S3 gives a meaning.
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
    /// The one path of S3 that names none of them.
    ObjectResponse,
}

/// What selects an operation among those that share its method, scope and subresource.
#[derive(Clone, Copy, Debug)]
pub enum Qualifier {
    /// A query parameter that has to be there.
    Parameter(&'static str),
    /// A query parameter with this value.
    Value(&'static str, &'static str),
    /// A header that has to be there.
    Header(&'static str),
}

/// A right that an operation needs, by the name of its action in a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// To what the path names.
    Here(&'static str),
    /// To the object that is copied.
    OfSource(&'static str),
    /// To each object that the body names.
    OfEach(&'static str),
}

/// What the body of a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    None,
    /// An XML or JSON document, read whole.
    Document,
    /// Bytes to be kept, or a form that holds them.
    Payload,
}

/// An operation of S3.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    /// The name in S3's API reference.
    pub name: &'static str,
    /// A name that S3 gave the same request before, which SDKs still have.
    pub former_name: Option<&'static str>,
    pub method: Method,
    pub scope: Scope,
    /// The query parameter that says which side of what the path names is meant, such as `acl`; none for the thing itself.
    pub subresource: Option<&'static str>,
    pub qualifiers: &'static [Qualifier],
    /// The query parameters that it knows besides those that select it.
    pub parameters: &'static [&'static str],
    pub needs: &'static [Need],
    pub body: Body,
}

impl Operation {
    /// Whether it may change something, by its method.
    pub fn is_write(&self) -> bool {
        matches!(self.method, Method::Put | Method::Post | Method::Delete)
    }

    /// The rights that it needs to what its path names, or to a version of it that the request names.
    pub fn actions(&self, names_version: bool) -> impl Iterator<Item = &'static str> {
        self.needs.iter().filter_map(move |need| match need {
            Need::Here(action) => Some(on(action, names_version)),
            Need::OfSource(_) | Need::OfEach(_) => None,
        })
    }

    /// The rights that it needs to the object that is copied, or to a version of it that is named.
    pub fn source_actions(&self, names_version: bool) -> impl Iterator<Item = &'static str> {
        self.needs.iter().filter_map(move |need| match need {
            Need::OfSource(action) => Some(on(action, names_version)),
            Need::Here(_) | Need::OfEach(_) => None,
        })
    }

    /// The rights that it needs to an object that its body names, or to a version of it that is named there.
    pub fn actions_on_each(&self, names_version: bool) -> impl Iterator<Item = &'static str> {
        self.needs.iter().filter_map(move |need| match need {
            Need::OfEach(action) => Some(on(action, names_version)),
            Need::Here(_) | Need::OfSource(_) => None,
        })
    }
}

/// The right by the name of its action; to a version that is named it is another than to what is current.
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

    /// As the wire has it.
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
    /// As S3's errors have it.
    pub fn name(self) -> &'static str {
        match self {
            Scope::Service => "SERVICE",
            Scope::Bucket => "BUCKET",
            Scope::Object => "OBJECT",
            Scope::ObjectResponse => "OBJECT_RESPONSE",
        }
    }
}
