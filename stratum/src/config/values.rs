//! How single values are written, and which of them have a meaning.

use crate::quantity;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Duration;
use stratum_metadata::record::ObjectOwnership;
use stratum_storage::blob::Geometry;
use toml::Spanned;

/// The lowest limit that may be set for what background work reads and writes in a second: the bytes of a fragment or
/// two.
const LEAST_BACKGROUND_BYTES: u64 = 64 << 10;

/// A codec of the frames of bodies, by its name in the configuration.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum CodecName {
    None,
    Lz4,
    Zstd,
}

/// A geometry as people write it: `4+2`.
#[derive(Clone, Copy, Debug)]
pub struct GeometryText(pub Geometry);

impl<'de> Deserialize<'de> for GeometryText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_geometry(&text).map(GeometryText).ok_or_else(|| {
            D::Error::custom(format!(
                "geometry \"{text}\" is not k+m with k from 1 to 8 and m from 0 to 4, such as \"4+2\""
            ))
        })
    }
}

fn parse_geometry(text: &str) -> Option<Geometry> {
    let (k, m) = text.split_once('+')?;
    let geometry = Geometry { k: k.trim().parse().ok()?, m: m.trim().parse().ok()? };
    ((1..=8).contains(&geometry.k) && geometry.m <= 4).then_some(geometry)
}

/// A secret: neither `Debug` nor an error of parsing shows it.
#[derive(Clone)]
pub struct Secret(pub String);

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Deserializing a String directly would make serde quote a value of another type in its error.
        match toml::Value::deserialize(deserializer) {
            Ok(toml::Value::String(text)) if !text.is_empty() => Ok(Secret(text)),
            Ok(toml::Value::String(_)) => Err(D::Error::custom("is empty")),
            _ => Err(D::Error::custom("is not text in quotes")),
        }
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("<secret>")
    }
}

pub(super) fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    crate::address::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

pub(super) fn region<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !text.is_empty() && text.len() <= 64 && text.bytes().all(fits) {
        return Ok(text);
    }
    Err(D::Error::custom(format!(
        "\"{text}\" is no region: lower-case letters, digits and '-', such as us-east-1"
    )))
}

pub(super) fn ownership<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectOwnership, D::Error> {
    let text = String::deserialize(deserializer)?;
    ObjectOwnership::named(&text).ok_or_else(|| {
        let names = ObjectOwnership::ALL.map(ObjectOwnership::name).join(", ");
        D::Error::custom(format!("\"{text}\" is no object ownership: one of {names}"))
    })
}

pub(super) fn domains<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let all = Vec::<String>::deserialize(deserializer)?;
    if let Some(wrong) = all.iter().find(|text| !is_domain(text)) {
        return Err(D::Error::custom(format!(
            "\"{wrong}\" is no domain: a name such as s3.example.com, without scheme, port and path"
        )));
    }
    let mut seen = HashSet::new();
    match all.iter().find(|text| !seen.insert(text.to_ascii_lowercase())) {
        None => Ok(all),
        Some(twice) => Err(D::Error::custom(format!("\"{twice}\" is named twice: name each once"))),
    }
}

pub(super) fn website_domain<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Spanned<String>>, D::Error> {
    let text = Spanned::<String>::deserialize(deserializer)?;
    match is_domain(text.get_ref()) {
        true => Ok(Some(text)),
        false => Err(D::Error::custom(format!(
            "\"{}\" is no domain: a name such as web.example.com, without scheme, port and path",
            text.get_ref()
        ))),
    }
}

/// Whether a text is a domain name: labels of letters, digits and `-`, separated by dots (RFC 1123). The last label of an
/// IP address has digits alone, and that of a name hasn't.
fn is_domain(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let ends_in_a_number =
        text.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    text.len() <= 253 && text.split('.').all(is_label) && !ends_in_a_number
}

/// A filter of the log. It is parsed here as well, so that a mistake in it is told with its line.
pub(super) fn filter<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(deserializer)?;
    match tracing_subscriber::EnvFilter::try_new(&text) {
        Ok(_) if text.trim().is_empty() => Err(D::Error::custom("is empty: write \"off\" for a silent log")),
        Ok(_) => match bare_target(&text).map(str::to_owned) {
            None => Ok(Some(text)),
            Some(word) => Err(D::Error::custom(format!(
                "\"{word}\" is no level: write off, error, warn, info, debug or trace, or TARGET=LEVEL"
            ))),
        },
        Err(error) => Err(D::Error::custom(format!("\"{text}\" is no filter of the log: {error}"))),
    }
}

/// A word of a filter that stands alone and is no level. It would be taken for the only target whose lines are written,
/// so that a misspelt level silences the log.
fn bare_target(filter: &str) -> Option<&str> {
    let mut directives = filter.split(',').map(str::trim).filter(|directive| !directive.is_empty());
    let is_level = |word: &str| word.parse::<tracing_subscriber::filter::LevelFilter>().is_ok();
    // Fields in brackets may hold commas, and have a target or a level beside them.
    directives.find(|directive| !directive.contains(['=', '[', ']', '{', '}']) && !is_level(directive))
}

pub(super) fn size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    quantity::bytes(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

/// A limit too low to mend anything is refused: `stratum pace pause` is the way to have background work rest.
pub(super) fn bytes_per_second<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    match size(deserializer)? {
        bytes if bytes >= LEAST_BACKGROUND_BYTES => Ok(bytes),
        _ => Err(D::Error::custom("is too little to mend anything: write \"64KiB\" or more")),
    }
}

pub(super) fn operations_per_second<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    match u64::deserialize(deserializer)? {
        0 => Err(D::Error::custom("is too little to mend anything: write 1 or more")),
        operations => Ok(operations),
    }
}

/// A duration with its unit. A number without a unit, which the command line takes as seconds, is refused: in a file it
/// leaves readers guessing.
pub(super) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.ends_with(|last: char| last.is_ascii_digit()) {
        return Err(D::Error::custom(format!("\"{text}\" has no unit: write {text}s or {text}m")));
    }
    quantity::duration(&text).map_err(D::Error::custom)
}

/// How long heal waits before it narrows. With no time at all every drive that is restarted would have its bodies written
/// anew.
pub(super) fn narrow_after<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let time = duration(deserializer)?;
    match time.is_zero() {
        true => Err(D::Error::custom("is no time: write \"1s\" or more")),
        false => Ok(time),
    }
}
