//! Uploads: by a form, whose files are streamed to the store as they arrive, or by the script, which sends parts to
//! presigned addresses and goes on with an upload that was cut off.
//!
//! The form works without scripts. Its token stands before its files, so that no file of a form which isn't the
//! session's is taken.

use crate::ask::{PartList, UploadBegun};
use crate::door::Link;
use crate::form::{Fields, TOKEN};
use crate::names;
use crate::pages::browser::{Done, Place};
use crate::pages::documents;
use crate::trouble::Trouble;
use crate::visit::{Page, Visit, not_ours, to};
use axum::Json;
use axum::body::Body;
use axum::response::IntoResponse;
use futures_util::TryStreamExt;
use http::Method;
use http::header::CONTENT_TYPE;
use multer::{Field, Multipart};
use serde_json::json;
use std::time::Duration;

/// How long a presigned part may take to begin.
const PART_SECONDS: u32 = 6 * 3_600;
/// How many parts one answer signs addresses for.
const PARTS_AT_ONCE: u32 = 64;
/// The longest text field of a form with files, in bytes.
const MOST_TEXT_BYTES: usize = 4 << 10;
const PIECE_TIMEOUT: Duration = Duration::from_secs(30);

/// `POST /b/{bucket}/upload`: `token`, `prefix`, and files.
pub async fn of_form(visit: Visit, body: Body) -> Page {
    let kind = visit.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let boundary =
        multer::parse_boundary(kind).map_err(|_| Trouble::wrong("This takes a form with files."))?;
    let mut parts = Multipart::new(body.into_data_stream(), boundary);
    let mut prefix = String::new();
    let (mut is_ours, mut files) = (false, 0_u64);
    while let Some(field) = next(&mut parts).await? {
        match (field.name().unwrap_or_default(), field.file_name().map(str::to_owned)) {
            (TOKEN, None) => is_ours = visit.session.is_its_form(&text(field).await?),
            _ if !is_ours => return Err(not_ours()),
            ("prefix", None) => prefix = text(field).await?,
            ("file", Some(name)) if !name.is_empty() => {
                put(&visit, &prefix, &name, field).await?;
                files += 1;
            }
            _ => {}
        }
    }
    if !is_ours {
        return Err(not_ours());
    }
    if files == 0 {
        return Err(Trouble::wrong("No file was chosen."));
    }
    let place = Place { bucket: &visit.bucket, folder: &prefix, begins: "", versions: false };
    to(&Done::Uploaded(files).at(&place.address(None)))
}

async fn next<'a>(parts: &mut Multipart<'a>) -> Result<Option<Field<'a>>, Trouble> {
    match tokio::time::timeout(PIECE_TIMEOUT, parts.next_field()).await {
        Ok(field) => field.map_err(|_| Trouble::wrong("The form was cut off, or can't be read.")),
        Err(_) => Err(Trouble::wrong("The form took too long to arrive.")),
    }
}

async fn text(mut field: Field<'_>) -> Result<String, Trouble> {
    let mut bytes = Vec::new();
    let wrong = || Trouble::wrong("The form can't be read.");
    while let Some(piece) = field.chunk().await.map_err(|_| wrong())? {
        bytes.extend_from_slice(&piece);
        if bytes.len() > MOST_TEXT_BYTES {
            return Err(wrong());
        }
    }
    String::from_utf8(bytes).map_err(|_| wrong())
}

/// Writes one file to the store as it arrives.
async fn put(visit: &Visit, prefix: &str, name: &str, field: Field<'static>) -> Result<(), Trouble> {
    // Some browsers send the path on their machine.
    let name = name.rsplit(['/', '\\']).next().unwrap_or(name);
    if name.is_empty() {
        return Err(Trouble::wrong("A file came without a name. It and those after it were not uploaded."));
    }
    let kind = field.content_type().map(ToString::to_string).unwrap_or_default();
    let asked = visit.ask().object(Method::PUT, &visit.bucket, &format!("{prefix}{name}"));
    let body = Body::from_stream(field.map_err(std::io::Error::other));
    asked.header("content-type", kind).stream(body).done().await.map(drop)
}

/// The key that an upload goes to. Without one, the path would be that of the bucket.
fn key(fields: &Fields) -> Result<&str, Trouble> {
    match fields.get("key") {
        "" => Err(Trouble::wrong("An object has a name.")),
        key => Ok(key),
    }
}

/// `POST /b/{bucket}/upload/begin`: `key`, `type`, and whether it has `parts`. Answers with the address to send a
/// small file to, or with the id of a multipart upload.
pub async fn begin(visit: Visit, fields: Fields) -> Page {
    let (key, kind) = (key(&fields)?, fields.get("type"));
    if names::has_steps(key) {
        let problem =
            "A browser can't send to a name with the part \".\" or \"..\": use the form without script.";
        return Err(Trouble::wrong(problem));
    }
    if fields.get("parts") != "yes" {
        let path = names::object_path(&visit.bucket, key);
        let link = Link { method: "PUT", host: visit.host(), path: &path, query: "", seconds: PART_SECONDS };
        return Ok(Json(json!({ "url": visit.ask().link(&link).await? })).into_response());
    }
    let asked = visit.ask().object(Method::POST, &visit.bucket, key).query("uploads");
    let begun: UploadBegun = asked.header("content-type", kind).xml().await?;
    Ok(Json(json!({ "upload": begun.upload_id })).into_response())
}

/// `POST /b/{bucket}/upload/parts`: answers with addresses for the parts `from` to `to`, and with `known` also with
/// the parts that the store has.
pub async fn parts(visit: Visit, fields: Fields) -> Page {
    let (key, upload) = (key(&fields)?, fields.get("upload"));
    let number = |name: &str| fields.get(name).parse::<u32>().unwrap_or(1);
    let (from, to) = (number("from"), number("to"));
    let mut there = Vec::new();
    if fields.get("known") == "yes" {
        let mut after = String::new();
        loop {
            let asked = visit.ask().object(Method::GET, &visit.bucket, key);
            let list: PartList =
                asked.with([("uploadId", upload), ("part-number-marker", &after)]).xml().await?;
            there.extend(
                list.part
                    .iter()
                    .map(|part| json!({ "number": part.part_number, "etag": part.etag, "size": part.size })),
            );
            if !list.is_truncated {
                break;
            }
            after = list.next_part_number_marker;
        }
    }
    let path = names::object_path(&visit.bucket, key);
    let mut urls = serde_json::Map::new();
    for part in from..=to.min(from.saturating_add(PARTS_AT_ONCE - 1)) {
        let query = names::query([("partNumber", part.to_string().as_str()), ("uploadId", upload)]);
        let link =
            Link { method: "PUT", host: visit.host(), path: &path, query: &query, seconds: PART_SECONDS };
        urls.insert(part.to_string(), json!(visit.ask().link(&link).await?));
    }
    Ok(Json(json!({ "urls": urls, "there": there })).into_response())
}

/// `POST /b/{bucket}/upload/complete`: a `part` for each part, with its number and ETag, as `1 "..."`.
pub async fn complete(visit: Visit, fields: Fields) -> Page {
    let parts: Option<Vec<(u32, &str)>> = fields
        .all("part")
        .map(|part| part.split_once(' ').and_then(|(number, tag)| Some((number.parse().ok()?, tag))))
        .collect();
    let parts = parts.ok_or_else(|| Trouble::wrong("A part is a number and a tag."))?;
    let asked = visit.ask().object(Method::POST, &visit.bucket, key(&fields)?);
    let asked = asked.with([("uploadId", fields.get("upload"))]).text_body(documents::complete(parts));
    asked.text().await?;
    Ok(Json(json!({ "done": true })).into_response())
}

/// `POST /b/{bucket}/upload/abort`
pub async fn abort(visit: Visit, fields: Fields) -> Page {
    let asked = visit.ask().object(Method::DELETE, &visit.bucket, key(&fields)?);
    asked.with([("uploadId", fields.get("upload"))]).done().await?;
    Ok(Json(json!({ "done": true })).into_response())
}
