//! The values that a request has under condition keys.

use crate::key::Key;
use std::borrow::Cow;
use std::net::IpAddr;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Looks up the values of the request that is judged.
pub trait Facts {
    fn values(&self, key: &Key) -> Values<'_>;
}

/// All values that a request has under a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Values<'a> {
    /// The request has no value under the key.
    None,
    One(Value<'a>),
    Many(Vec<Value<'a>>),
}

/// One value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    Text(Cow<'a, str>),
    Number(i64),
    /// Milliseconds since the epoch.
    Time(i64),
    Address(IpAddr),
    Flag(bool),
}

impl<'a> Values<'a> {
    pub(crate) fn as_slice(&self) -> &[Value<'a>] {
        match self {
            Values::None => &[],
            Values::One(value) => std::slice::from_ref(value),
            Values::Many(all) => all,
        }
    }
}

impl<'a> From<Option<&'a str>> for Values<'a> {
    fn from(text: Option<&'a str>) -> Self {
        text.map_or(Values::None, |text| Values::One(Value::Text(text.into())))
    }
}

impl Value<'_> {
    pub(crate) fn text(&self) -> Cow<'_, str> {
        match self {
            Value::Text(text) => Cow::Borrowed(text),
            Value::Number(number) => number.to_string().into(),
            Value::Time(millis) => written(*millis).into(),
            Value::Address(address) => address.to_string().into(),
            Value::Flag(flag) => if *flag { "true" } else { "false" }.into(),
        }
    }

    pub(crate) fn number(&self) -> Option<f64> {
        match self {
            Value::Number(number) => Some(*number as f64),
            Value::Text(text) => number(text),
            Value::Time(_) | Value::Address(_) | Value::Flag(_) => None,
        }
    }

    /// Milliseconds since the Unix epoch; a number counts as seconds.
    pub(crate) fn time(&self) -> Option<i64> {
        match self {
            Value::Time(millis) => Some(*millis),
            Value::Number(seconds) => seconds.checked_mul(1000),
            Value::Text(text) => time(text),
            Value::Address(_) | Value::Flag(_) => None,
        }
    }

    pub(crate) fn flag(&self) -> Option<bool> {
        match self {
            Value::Flag(flag) => Some(*flag),
            Value::Text(text) => flag(text),
            Value::Number(_) | Value::Time(_) | Value::Address(_) => None,
        }
    }

    pub(crate) fn address(&self) -> Option<IpAddr> {
        match self {
            Value::Address(address) => Some(address.to_canonical()),
            Value::Text(text) => text.parse::<IpAddr>().ok().map(|address| address.to_canonical()),
            Value::Number(_) | Value::Time(_) | Value::Flag(_) => None,
        }
    }
}

fn written(millis: i64) -> String {
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000);
    at.ok().and_then(|at| at.format(&Rfc3339).ok()).unwrap_or_default()
}

/// A number in decimal digits, whole or not.
pub(crate) fn number(text: &str) -> Option<f64> {
    let is_decimal = |byte: u8| byte.is_ascii_digit() || byte == b'.' || byte == b'-';
    let number: f64 = text.bytes().all(is_decimal).then(|| text.parse().ok())??;
    number.is_finite().then_some(number)
}

pub(crate) fn flag(text: &str) -> Option<bool> {
    match text {
        _ if text.eq_ignore_ascii_case("true") => Some(true),
        _ if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// A date of ISO 8601 in one of W3C's forms, or seconds since the Unix epoch, as milliseconds since the epoch.
pub(crate) fn time(text: &str) -> Option<i64> {
    if !text.is_ascii() {
        return None;
    }
    // A number of more than four digits is in seconds: a year has four.
    if text.len() > 4 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse::<i64>().ok()?.checked_mul(1000);
    }
    let full = match text.len() {
        4 => format!("{text}-01-01T00:00:00Z"),
        7 => format!("{text}-01T00:00:00Z"),
        10 => format!("{text}T00:00:00Z"),
        _ => match text.split_at_checked(16) {
            // Without seconds: the zone follows the minutes.
            Some((minutes, zone)) if !zone.starts_with(':') => format!("{minutes}:00{zone}"),
            _ => text.to_owned(),
        },
    };
    let at = OffsetDateTime::parse(&full, &Rfc3339).ok()?;
    i64::try_from(at.unix_timestamp_nanos() / 1_000_000).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_come_in_many_forms() {
        let new_year = Some(1_735_689_600_000);
        for text in
            ["2025", "2025-01", "2025-01-01", "2025-01-01T00:00Z", "2025-01-01T00:00:00Z", "1735689600"]
        {
            assert_eq!(time(text), new_year, "{text}");
        }
        assert_eq!(time("2025-01-01T02:00+02:00"), new_year);
        assert_eq!(time("2025-01-01T00:00:00.5Z"), Some(1_735_689_600_500));
        for none in
            ["", "25", "2025-13", "2025-1-1", "now", "2025-01-01T00:00", "99999999999999999999", "é025"]
        {
            assert_eq!(time(none), None, "{none}");
        }
        assert_eq!(time(&Value::Time(1_735_689_600_500).text()), Some(1_735_689_600_500));
    }

    #[test]
    fn numbers_are_decimal_digits() {
        assert_eq!((number("10"), number("-1.5")), (Some(10.0), Some(-1.5)));
        for none in ["", "1e3", "0x1", "inf", "NaN", "+1", "1.2.3", "-"] {
            assert_eq!(number(none), None, "{none}");
        }
    }
}
