//! The JSON of policies: a small tree that refuses an object in which a name stands twice.
//!
//! `serde_json`'s own tree keeps only the last of two equal names, and so would lose a statement silently.

use crate::error::{Malformed, quoted};
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// A value of JSON.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Json {
    Null,
    Text(String),
    /// A number or a truth value, as the text that it would be in quotes.
    Bare(String),
    List(Vec<Json>),
    Object(Vec<(String, Json)>),
}

/// How the message begins of the one error that isn't a syntax error.
const TWICE: &str = "twice: ";

impl Json {
    /// # Errors
    /// [`Malformed::NotJson`], [`Malformed::Twice`].
    pub fn parse(text: &[u8]) -> Result<Json, Malformed> {
        if text.first() != Some(&b'{') {
            return Err(Malformed::NotJson);
        }
        serde_json::from_slice(text).map_err(|error| {
            let message = error.to_string();
            // serde_json adds the line and column.
            let name = message.strip_prefix(TWICE).and_then(|rest| rest.rsplit_once(" at line "));
            name.map_or(Malformed::NotJson, |(name, _)| Malformed::Twice(quoted(name)))
        })
    }

    /// The values of a list, or the one value: for elements that may hold either.
    pub fn one_or_many(&self) -> &[Json] {
        match self {
            Json::List(all) => all,
            one => std::slice::from_ref(one),
        }
    }

    pub fn text(&self) -> Option<&str> {
        match self {
            Json::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Build)
    }
}

struct Build;

impl<'de> Visitor<'de> for Build {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value of JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bare(value.to_string()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Bare(value.to_string()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Bare(value.to_string()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Bare(value.to_string()))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Json, A::Error> {
        let mut all = Vec::new();
        while let Some(value) = list.next_element()? {
            all.push(value);
        }
        Ok(Json::List(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut all: Vec<(String, Json)> = Vec::new();
        let mut names = std::collections::HashSet::new();
        while let Some((name, value)) = map.next_entry::<String, Json>()? {
            if !names.insert(name.clone()) {
                return Err(A::Error::custom(format_args!("{TWICE}{name}")));
            }
            all.push((name, value));
        }
        Ok(Json::Object(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_stands_twice_is_told() {
        assert_eq!(Json::parse(br#"{"a":1,"a":2}"#), Err(Malformed::Twice("a".into())));
        assert_eq!(
            Json::parse(br#"{"a":{"b at line 1":1,"b at line 1":2}}"#),
            Err(Malformed::Twice("b at line 1".into()))
        );
        let once = Json::parse(br#"{"a":[true,1.5,-1,null,"x"]}"#).unwrap();
        let bare = |text: &str| Json::Bare(text.into());
        let list = vec![bare("true"), bare("1.5"), bare("-1"), Json::Null, Json::Text("x".into())];
        assert_eq!(once, Json::Object(vec![("a".into(), Json::List(list))]));
    }

    #[test]
    fn what_is_no_object_is_no_policy() {
        for text in ["", " {}", "[]", "\"a\"", "{", "{}x", "null", "\u{feff}{}"] {
            assert_eq!(Json::parse(text.as_bytes()), Err(Malformed::NotJson), "{text}");
        }
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
        assert_eq!(Json::parse(deep.as_bytes()), Err(Malformed::NotJson));
    }
}
