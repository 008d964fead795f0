//! A browser's form, `multipart/form-data`: its fields are read whole, within a bound, and then its file is streamed.
//!
//! The fields tell who sends the form, so they are read before anybody knows who that is: never much more than
//! [`MOST_AHEAD_BYTES`], and at the pace that every body must keep.

use crate::body::{RequestBody, Unread};
use crate::error::{Code, S3Error};
use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use multer::{Field, Multipart};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The most bytes of all fields before the file: S3's bound.
const MOST_FIELDS_BYTES: usize = 20 * 1024;
/// The most bytes that are read of a form before its file is reached: the fields, the boundaries around them, and as
/// much of the file as comes with them. Whoever reads a form has that much memory admitted.
pub const MOST_AHEAD_BYTES: u64 = 256 * 1024;
/// The most fields before the file, since each takes some memory of its own.
const MOST_FIELDS: usize = 256;

/// A form whose fields were read.
#[derive(Debug)]
pub struct Form {
    /// The names, in lower case, and the values of the fields, in the form's order.
    fields: Vec<(String, String)>,
    pub file: File,
}

/// The file of a form, not yet read.
#[derive(Debug)]
pub struct File {
    field: Field<'static>,
    /// The file's name as the browser gave it, without folders.
    pub name: String,
}

impl Form {
    /// Reads a form up to its file. What comes after the file is ignored, as S3 ignores it.
    ///
    /// # Errors
    /// `PreconditionFailed` for a body that is no form; `MalformedPOSTRequest`; `MaxPostPreDataLengthExceededError`;
    /// `InvalidArgument` without a file, or for a field that comes twice; what reading the body refuses.
    pub async fn read(headers: &HeaderMap, body: RequestBody) -> Result<Form, S3Error> {
        let boundary =
            headers.get(CONTENT_TYPE).and_then(|value| multer::parse_boundary(value.to_str().ok()?).ok());
        let boundary = boundary.ok_or_else(|| {
            let message = "Bucket POST must be of the enclosure-type multipart/form-data";
            S3Error::new(Code::PreconditionFailed).message(message).with("Condition", message)
        })?;
        let is_at_file = Arc::new(AtomicBool::new(false));
        let form = Form::of(Multipart::new(pieces(body, is_at_file.clone()), boundary)).await?;
        is_at_file.store(true, Ordering::Relaxed);
        Ok(form)
    }

    /// Reads the fields of a form up to its file.
    ///
    /// # Errors
    /// As [`Form::read`].
    pub async fn of(mut multipart: Multipart<'static>) -> Result<Form, S3Error> {
        let (mut fields, mut size) = (Vec::new(), 0);
        while let Some(mut field) = multipart.next_field().await.map_err(failed)? {
            let name = field.name().unwrap_or_default().to_ascii_lowercase();
            if name.is_empty() {
                return Err(Code::MalformedPOSTRequest.into());
            }
            if name == "file" {
                let path = field.file_name().unwrap_or_default();
                let name = path.rsplit(['/', '\\']).next().unwrap_or_default().to_owned();
                return Ok(Form { fields, file: File { field, name } });
            }
            let value = text(&mut field, &mut size, name.len()).await?;
            if fields.len() == MOST_FIELDS {
                return Err(Code::MaxPostPreDataLengthExceededError.into());
            }
            if fields.iter().any(|(known, _)| *known == name) {
                return Err(S3Error::invalid_argument(name, value, "A field must be given once."));
            }
            fields.push((name, value));
        }
        Err(S3Error::invalid_argument("file", "0", "POST requires exactly one file upload per request."))
    }

    /// The value of a field, by its name in lower case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The names, in lower case, and the values of all fields.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl File {
    /// The file as a body of its own, that fails once it is longer than `most` bytes.
    pub fn into_body(self, most: u64) -> Body {
        Body::from_stream(stream::unfold((Some(self.field), most), |(field, left)| async move {
            let mut field = field?;
            let piece = match field.chunk().await {
                Ok(piece) => piece?,
                Err(error) => return Some((Err(Unread::of(failed(error))), (None, left))),
            };
            match left.checked_sub(piece.len() as u64) {
                Some(left) => Some((Ok(piece), (Some(field), left))),
                None => Some((Err(Unread::of(Code::EntityTooLarge.into())), (None, left))),
            }
        }))
    }
}

/// Reads the value of a field; `size` counts the bytes of all fields so far.
async fn text(field: &mut Field<'static>, size: &mut usize, name: usize) -> Result<String, S3Error> {
    *size += name;
    let mut value = Vec::new();
    while let Some(piece) = field.chunk().await.map_err(failed)? {
        *size += piece.len();
        if *size > MOST_FIELDS_BYTES {
            return Err(Code::MaxPostPreDataLengthExceededError.into());
        }
        value.extend_from_slice(&piece);
    }
    String::from_utf8(value).map_err(|_| Code::MalformedPOSTRequest.into())
}

/// The body in pieces, for the parser. The parser keeps whatever it can't make sense of yet, however long that is, so
/// it gets no further piece after [`MOST_AHEAD_BYTES`] until the file is reached.
fn pieces(
    body: RequestBody,
    is_at_file: Arc<AtomicBool>,
) -> impl stream::Stream<Item = Result<Bytes, Unread>> + Send + 'static {
    stream::unfold((Some(body), 0), move |(body, given): (Option<RequestBody>, u64)| {
        let is_at_file = is_at_file.clone();
        async move {
            let mut body = body?;
            let is_too_far = given > MOST_AHEAD_BYTES && !is_at_file.load(Ordering::Relaxed);
            let next = match is_too_far {
                true => Err(Code::MaxPostPreDataLengthExceededError.into()),
                false => body.next().await,
            };
            match next {
                Ok(piece) => piece.map(|piece| {
                    let given = given + piece.len() as u64;
                    (Ok(piece), (Some(body), given))
                }),
                Err(error) => Some((Err(Unread::of(error)), (None, given))),
            }
        }
    })
}

fn failed(error: multer::Error) -> S3Error {
    if let multer::Error::StreamReadFailed(inner) = &error
        && let Some(unread) = inner.downcast_ref::<Unread>()
        && let Some(error) = unread.take()
    {
        return error;
    }
    S3Error::new(Code::MalformedPOSTRequest).because(error)
}
