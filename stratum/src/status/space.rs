//! The part of the status about what the store holds and how much space it takes and has.

use crate::shown::{bytes, counted, duration};
use serde::{Deserialize, Serialize};

/// What a count over all objects found. The count is fresh, unless it takes long and the store has changed since: then
/// it may be up to thirty times as old as the time that it took.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct HeldStatus {
    /// How old the count is; 0 if the store hasn't changed since.
    #[serde(default)]
    pub counted_seconds_ago: u64,
    /// The bytes of all versions of all objects, as clients see them.
    pub logical: u64,
    /// How many objects are current under their keys.
    pub objects: u64,
    /// How many versions of objects aren't current.
    pub versions: u64,
    pub delete_markers: u64,
    pub buckets: u64,
    /// The bytes of payload in volumes that no record names and whose space wasn't given back to the filesystem yet.
    pub garbage: u64,
}

impl HeldStatus {
    fn to_text(self) -> String {
        let HeldStatus { logical, objects, versions, delete_markers, buckets, counted_seconds_ago, .. } =
            self;
        let older = match (versions, delete_markers) {
            (0, 0) => String::new(),
            (versions, markers) => {
                let (versions, markers) =
                    (counted(versions, "older version"), counted(markers, "delete marker"));
                format!(" (and {versions}, {markers})")
            }
        };
        let when = match counted_seconds_ago {
            0 => String::new(),
            seconds => format!(", counted {} ago", duration(seconds)),
        };
        let (objects, buckets) = (counted(objects, "object"), counted(buckets, "bucket"));
        format!("{objects}{older} of {} in {buckets}{when}", bytes(logical))
    }
}

/// What the store holds, and its space in bytes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Space {
    /// What the store holds; nothing until the first count since the start has ended.
    #[serde(flatten)]
    pub held: Option<HeldStatus>,
    /// The payload in volumes that a record names.
    pub live: u64,
    /// What all files of the store take on the drives.
    pub used: u64,
    /// What is free on the devices of all healthy drives.
    pub free: u64,
}

impl Space {
    /// The line of the space in the text of the status.
    pub fn to_text(&self) -> String {
        let Space { held, live, used, free } = self;
        let (objects, garbage) = match held {
            Some(held) => (held.to_text(), bytes(held.garbage)),
            None => ("objects are being counted".to_owned(), "unknown".to_owned()),
        };
        let (live, used, free) = (bytes(*live), bytes(*used), bytes(*free));
        format!("{objects}; in volumes {live} live, {garbage} garbage; {used} used, {free} free")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_of_objects_is_told_with_its_age() {
        let page = |held: Option<HeldStatus>| Space { held, ..Space::default() }.to_text();
        assert!(page(None).contains("objects are being counted;"));
        let held = HeldStatus { objects: 1, logical: 5, buckets: 2, ..HeldStatus::default() };
        assert!(page(Some(held)).contains("1 object of 5 B in 2 buckets; "));
        let old = HeldStatus { counted_seconds_ago: 200, ..held };
        assert!(page(Some(old)).contains("1 object of 5 B in 2 buckets, counted 3 min ago; "));
        // The status of an older server, which doesn't say how old the count is.
        let held = serde_json::json!({"logical": 5, "objects": 1, "versions": 0, "delete_markers": 0, "buckets": 2, "garbage": 0});
        assert!(serde_json::from_value::<Space>(held).unwrap().held.is_some());
    }
}
