//! The time at which a request was signed, in the form in which Signature Version 4 writes it.

use std::fmt;

use time::format_description::well_known::Rfc2822;
use time::{Date, Month, OffsetDateTime, PrimitiveDateTime, Time};

/// A second in UTC, written `20130524T000000Z`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp {
    unix: i64,
    text: [u8; 16],
}

impl Timestamp {
    /// Reads `YYYYMMDDTHHMMSSZ`, as in `x-amz-date`. `None` if it has another shape or names no real second.
    pub fn parse(text: &str) -> Option<Self> {
        let text: [u8; 16] = text.as_bytes().try_into().ok()?;
        let [y0, y1, y2, y3, m0, m1, d0, d1, b'T', h0, h1, n0, n1, s0, s1, b'Z'] = text else {
            return None;
        };
        let year = i32::from(two(y0, y1)?) * 100 + i32::from(two(y2, y3)?);
        let month = Month::try_from(two(m0, m1)?).ok()?;
        let date = Date::from_calendar_date(year, month, two(d0, d1)?).ok()?;
        let time = Time::from_hms(two(h0, h1)?, two(n0, n1)?, two(s0, s1)?).ok()?;
        let unix = PrimitiveDateTime::new(date, time).assume_utc().unix_timestamp();
        Some(Self { unix, text })
    }

    /// Reads the `Date` header's shape: `Fri, 24 May 2013 00:00:00 GMT`.
    pub fn parse_http(text: &str) -> Option<Self> {
        Self::from_unix(OffsetDateTime::parse(text, &Rfc2822).ok()?.unix_timestamp())
    }

    /// The timestamp of Unix second `unix`; `None` outside the years 0 to 9999.
    pub fn from_unix(unix: i64) -> Option<Self> {
        let at = OffsetDateTime::from_unix_timestamp(unix).ok().filter(|at| at.year() >= 0)?;
        let (month, day) = (u8::from(at.month()), at.day());
        let (hour, minute, second) = at.to_hms();
        Self::parse(&format!("{:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z", at.year()))
    }

    /// Seconds since 1970.
    pub fn unix(self) -> i64 {
        self.unix
    }

    /// `20130524T000000Z`.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text).unwrap_or_default()
    }

    /// `20130524`, the day that a credential scope names.
    pub fn day(&self) -> &str {
        self.as_str().get(..8).unwrap_or_default()
    }
}

fn two(tens: u8, ones: u8) -> Option<u8> {
    let digit = |byte: u8| byte.is_ascii_digit().then(|| byte - b'0');
    Some(digit(tens)? * 10 + digit(ones)?)
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms_of_a_second_agree() {
        let at = Timestamp::parse("20130524T000000Z").expect("a timestamp");
        assert_eq!((at.unix(), at.day()), (1_369_353_600, "20130524"));
        assert_eq!(Timestamp::parse_http("Fri, 24 May 2013 00:00:00 GMT"), Some(at));
        assert_eq!(Timestamp::from_unix(1_369_353_600), Some(at));
    }

    #[test]
    fn a_time_that_names_no_second_is_refused() {
        for text in ["", "20130524", "20130524T000000", "20131324T000000Z", "20130230T000000Z"] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
        for text in ["20130524T240000Z", "20130524 000000Z", "2013052:T000000Z", "+0130524T000000Z"] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
        assert_eq!(Timestamp::parse_http("yesterday"), None);
        assert_eq!(Timestamp::from_unix(i64::MAX), None);
        assert_eq!(Timestamp::from_unix(-80_000_000_000), None);
    }
}
