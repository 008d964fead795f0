//! What the store holds, and the space that there is.

use crate::shown::{bytes, counted, duration};
use serde::{Deserialize, Serialize};

/// What a walk over all objects found: what is so now or, where it takes long and something was changed since, what was so up
/// to thirty times as long ago as it took.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct HeldStatus {
    /// How long ago it was so. 0 also where nothing was changed since.
    #[serde(default)]
    pub counted_seconds_ago: u64,
    /// Of all objects, those that aren't current among them, as clients see them, in bytes.
    pub logical: u64,
    pub objects: u64,
    /// Versions of objects that aren't current, and delete markers.
    pub versions: u64,
    pub delete_markers: u64,
    pub buckets: u64,
    /// Payload in volumes that nothing names and that isn't punched, in bytes.
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

/// Bytes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Space {
    /// Nothing while it is counted for the first time since the start.
    #[serde(flatten)]
    pub held: Option<HeldStatus>,
    /// Payload in volumes that something names.
    pub live: u64,
    /// What all our files take of the drives.
    pub used: u64,
    pub free: u64,
}

impl Space {
    /// The line on the page for people.
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
    fn what_is_held_is_told_with_how_long_ago_it_was_counted() {
        let page = |held: Option<HeldStatus>| Space { held, ..Space::default() }.to_text();
        assert!(page(None).contains("objects are being counted;"));
        let held = HeldStatus { objects: 1, logical: 5, buckets: 2, ..HeldStatus::default() };
        assert!(page(Some(held)).contains("1 object of 5 B in 2 buckets; "));
        let old = HeldStatus { counted_seconds_ago: 200, ..held };
        assert!(page(Some(old)).contains("1 object of 5 B in 2 buckets, counted 3 min ago; "));
        // What an older server says.
        let held = serde_json::json!({"logical": 5, "objects": 1, "versions": 0, "delete_markers": 0, "buckets": 2, "garbage": 0});
        assert!(serde_json::from_value::<Space>(held).unwrap().held.is_some());
    }
}
