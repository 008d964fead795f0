//! `stratum presign` and `stratum share`: make a presigned URL. `share` also looks whether the object is there, and
//! says how long the URL holds.

use super::With;
use crate::connection::ConnectArgs;
use crate::output::OutputArgs;
use crate::place::Url;
use crate::problem::Problem;
use crate::quantity::{machine_moment, moment, shown_moment, span};
use crate::sources::head;
use clap::Args;
use http::Method;
use serde_json::json;
use std::time::Duration;

/// How long a presigned URL may hold at most, by S3's rules.
const LONGEST_EXPIRY: Duration = Duration::from_secs(7 * 86_400);

/// What `stratum presign` takes.
#[derive(Args)]
pub struct PresignArgs {
    /// s3://BUCKET/KEY
    #[arg(value_parser = Url::parse_object)]
    url: Url,
    /// How long the URL is valid: 90s, 15m, 12h, up to 7d.
    #[arg(long, short, value_name = "TIME", value_parser = expiry, default_value = "1h")]
    expires: Duration,
    /// Let the URL write the object by a PUT, not read it.
    #[arg(long, conflicts_with = "version_id")]
    put: bool,
    /// This version.
    #[arg(long, value_name = "ID")]
    version_id: Option<String>,
    #[command(flatten)]
    pub connect: ConnectArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

/// What `stratum share` takes.
#[derive(Args)]
pub struct ShareArgs {
    /// s3://BUCKET/KEY
    #[arg(value_parser = Url::parse_object)]
    url: Url,
    /// How long the URL is valid: 90s, 15m, 12h, up to 7d.
    #[arg(long, short, value_name = "TIME", value_parser = expiry, default_value = "7d")]
    expires: Duration,
    /// This version.
    #[arg(long, value_name = "ID")]
    version_id: Option<String>,
    #[command(flatten)]
    pub connect: ConnectArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

fn expiry(text: &str) -> Result<Duration, String> {
    match span(text)? {
        span if span <= LONGEST_EXPIRY => Ok(span),
        _ => Err("a signature holds 7 days at most".into()),
    }
}

/// Prints the URL alone. The endpoint isn't asked, so that a URL of an object that isn't there yet can be made, too.
pub async fn presign(args: &PresignArgs, with: &With) -> Result<(), Problem> {
    let method = if args.put { Method::PUT } else { Method::GET };
    let (url, until) = signed(&args.url, method, args.version_id.as_deref(), args.expires, with)?;
    match with.output.is_json() {
        true => with.output.object(&json!({ "url": url, "until": machine_moment(until) })),
        false => with.output.line(url),
    }
}

/// Prints the URL of an object that is there, and until when it holds.
pub async fn share(args: &ShareArgs, with: &With) -> Result<(), Problem> {
    let object = head(&with.sessions, &args.url, args.version_id.as_deref()).await?;
    let (url, until) = signed(&args.url, Method::GET, args.version_id.as_deref(), args.expires, with)?;
    if with.output.is_json() {
        let until = machine_moment(until);
        return with.output.object(&json!({ "url": url, "until": until, "size": object.size }));
    }
    with.output.line(url)?;
    with.output.flush()?;
    with.output.note(format_args!(
        "Whoever has this URL can read it until {} UTC, or until the key that signed it is deleted.",
        shown_moment(until)
    ));
    Ok(())
}

fn signed(
    url: &Url,
    method: Method,
    version: Option<&str>,
    expires: Duration,
    with: &With,
) -> Result<(String, time::OffsetDateTime), Problem> {
    let client = with.sessions.client(&url.site)?;
    if client.connection().keys.is_none() {
        return Err(Problem::Usage("only an access key can sign".into()));
    }
    let signed = client.presign(method, &url.bucket, &url.key, version, expires).map_err(Problem::s3(url))?;
    let now = moment((with.sessions.machine().now)());
    Ok((signed, now + expires))
}
