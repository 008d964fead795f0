//! The texts that `stratum tier` and `stratum explain` print.

use crate::operator::explain::{Explanation, Moved};
use crate::operator::report::Report;
use crate::operator::tiers::TierStatus;
use crate::shown::{bytes, counted};
use std::fmt::Write;
use stratum_engine::StateCopyStatus;
use stratum_engine::tiering::{Month, TieringStatus};
use stratum_metadata::TransitionStatus;
use stratum_storage::ambient::UnixMillis;
use stratum_storage::remote::RemoteUse;
use stratum_storage::upload::UploadStatus;
use stratum_tiering::prices::dollars;
use stratum_tiering::tier::Tier;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// The length of a full bar, in characters.
const BAR_CHARS: usize = 40;

/// The text of an explanation.
pub(super) fn explanation(why: &Explanation) -> String {
    let mut text = format!("{}\n", why.sentence);
    if why.bytes.len() > 1 {
        let parts: Vec<String> =
            why.bytes.iter().map(|(tier, bytes)| format!("{bytes} bytes in {tier}")).collect();
        let _ = writeln!(text, "The object has {}.", parts.join(", "));
    }
    if let Some(pin) = &why.pin {
        let until = pin.until.map_or_else(String::new, |until| format!(" until {}", moment(until)));
        let _ = writeln!(text, "{} pinned it to {} on {}{until}.", pin.by, pin.tier, moment(pin.since));
    }
    if let Some(why_not) = &why.not_deciding {
        let _ = writeln!(text, "Nothing is moved by its use: {why_not}.");
    }
    for change in &why.changes {
        let _ = writeln!(text, "{change}");
    }
    if let Some(costs) = &why.costs {
        let of = |tier: Tier| Some(format!("{tier} {}", dollars(*costs.by_tier.get(tier.name())?)));
        let tiers: Vec<String> = Tier::ALL.into_iter().filter_map(of).collect();
        let _ =
            writeln!(text, "A month costs {}, as it is used now: {}.", dollars(costs.now), tiers.join(", "));
    }
    if let Some(group) = why.group.as_ref().filter(|group| group.used.is_some()) {
        let _ = match group.prefix.as_str() {
            "" => writeln!(text, "Its group is the whole bucket."),
            prefix => writeln!(text, "Its group are those whose keys begin with \"{prefix}\"."),
        };
    }
    if let (Some(class), Some(because)) = (&why.class, &why.class_because) {
        let _ = writeln!(text, "Its class is {class}: {because}.");
    }
    if let Some(review) = why.foreseen_review() {
        let _ = writeln!(text, "It is looked at again at {}.", moment(review));
    }
    for Moved { since, sentence, .. } in &why.history {
        let _ = writeln!(text, "{}  {sentence}", moment(*since));
    }
    text
}

/// The text of the status of tiering.
pub(super) fn status(status: &TierStatus, now: UnixMillis) -> String {
    let TierStatus { deciding, moving, remote, state_copy, refusing } = status;
    let TransitionStatus { objects, bodies, bytes: moved, unreadable, waiting, .. } = moving;
    let mut text =
        format!("since the start {objects} objects came where they belong: {bodies} bodies, {moved} bytes\n");
    if *unreadable > 0 {
        let _ = writeln!(text, "{unreadable} bodies could not be read; the log names them");
    }
    for why in refusing.values() {
        let _ = writeln!(text, "{why}");
    }
    for (tier, why) in waiting {
        let _ = writeln!(text, "what belongs in {tier} waits: {why}");
    }
    text += &remote.as_ref().map(self::remote).unwrap_or_default();
    text += &state_copy.as_ref().map(self::state_copy).unwrap_or_default();
    text += &of_deciding(deciding, now);
    text
}

/// The lines about the remote store.
pub(super) fn remote(status: &UploadStatus) -> String {
    let UploadStatus { place, volumes, waiting, uploaded, missing, .. } = status;
    let place = if place.is_empty() { "the remote store" } else { place };
    let mut text = format!(
        "{place} holds {volumes} volumes, {}; {uploaded} were uploaded since the start\n",
        bytes(status.bytes)
    );
    if *waiting > 0 || status.uploading.is_some() {
        let _ = writeln!(
            text,
            "{waiting} more volumes with {} wait on the drives for their upload",
            bytes(status.waiting_bytes)
        );
    }
    if status.sealing > 0 {
        let _ = writeln!(
            text,
            "{} with {} that took bodies until now: sealed first, and sent then",
            counted(status.sealing, "more volume"),
            bytes(status.sealing_bytes)
        );
    }
    if let Some(error) = &status.last_error {
        let _ = writeln!(text, "{} uploads failed, last: {error}", status.failed);
    }
    if *missing > 0 {
        let _ = writeln!(
            text,
            "{missing} volumes aren't there any more: `stratum fsck` names whose bytes they were"
        );
    }
    if let Some(why) = &status.refusal {
        let away = status.away_since.map_or_else(String::new, |since| format!(" since {}", moment(since)));
        let _ = match status.usable_for {
            RemoteUse::ReadOnly => writeln!(text, "nothing goes there: {why}"),
            _ => writeln!(text, "it can't be used{away}: {why}"),
        };
    }
    text
}

/// The lines about the copies of the state in the remote store.
fn state_copy(status: &StateCopyStatus) -> String {
    let mut text = match (status.entry, status.at) {
        (Some(entry), Some(at)) => format!(
            "a copy of the state as of entry {entry} of {} lies there, {}\n",
            moment(at),
            bytes(status.bytes)
        ),
        _ => "no copy of the state is known to lie there\n".to_owned(),
    };
    if status.found_bad > 0 {
        let _ = writeln!(
            text,
            "{} of its files were gone or changed since the start, {} of them are still to be sent again",
            status.found_bad, status.bad
        );
    }
    if let Some(error) = &status.last_error {
        let _ = writeln!(text, "the last try to upload a newer copy failed: {error}");
    }
    if status.put_back > 0 {
        let _ = writeln!(
            text,
            "{} blocks of the index that no drive gave were put back from it since the start",
            status.put_back
        );
    }
    if let Some(why) = &status.not_put_back {
        let _ = writeln!(text, "what is lost of the index can't be put back from it: {why}");
    }
    text
}

/// The lines about decisions and walks of the tiering policy.
fn of_deciding(deciding: &TieringStatus, now: UnixMillis) -> String {
    let mut text = String::new();
    if let Some(why_not) = deciding.standing.why_not() {
        let _ = writeln!(text, "nothing is moved by its use: {why_not}");
    }
    if let Some(walked) = &deciding.last_walk {
        let ago = now.saturating_sub(walked.at) / 1_000;
        let _ = writeln!(
            text,
            "the last walk ended {ago} s ago: {} objects in {:.1} s, {} of them sent to another tier",
            walked.objects, walked.seconds, walked.decided
        );
        let left = walked.put_off + walked.waiting_for_room;
        if left > 0 {
            let _ = writeln!(
                text,
                "{left} more objects belong in another tier: {} are moved by later walks, {} wait for room",
                walked.put_off, walked.waiting_for_room
            );
        }
        if walked.damaged > 0 {
            let _ = writeln!(text, "{} records can't be read: see `stratum fsck`", walked.damaged);
        }
    }
    if let Some(objects) = deciding.walking {
        let _ = writeln!(text, "a walk is under way: {objects} objects so far");
    }
    for (tier, note) in &deciding.full {
        let _ = writeln!(text, "the {tier} tier: {note}");
    }
    if deciding.clock_leaps > 0 {
        let _ = writeln!(text, "the clock leapt {} times since the start", deciding.clock_leaps);
    }
    for warming in &deciding.warming_up {
        let _ = writeln!(text, "{} is watched until {}", warming.bucket, moment(warming.ends));
    }
    for recent in &deciding.recent {
        let _ = writeln!(
            text,
            "{}  {} to {} ({}): {}",
            moment(recent.at),
            recent.from,
            recent.to,
            recent.reason,
            recent.key
        );
    }
    text
}

/// The text of a report, with a bar for each tier.
pub(super) fn report(report: &Report) -> String {
    let Report { as_of, held, month_cost, month_cost_in_hot, month, .. } = report;
    let Some(as_of) = as_of else {
        return "no walk has come by this bucket yet; eight a day go over all objects. Those below a prefix are counted \
                at once: stratum tier report s3://BUCKET/PREFIX\n"
            .into();
    };
    let mut text = String::new();
    let all: u64 = Tier::ALL.into_iter().map(|tier| held.bytes[tier]).sum();
    for tier in Tier::ALL {
        let part = held.bytes[tier] as f64 / all.max(1) as f64;
        let length = (part * BAR_CHARS as f64).round() as usize;
        let bar = format!("{}{}", "█".repeat(length), "░".repeat(BAR_CHARS.saturating_sub(length)));
        let (objects, size) = (held.objects[tier], bytes(held.bytes[tier]));
        let _ = writeln!(text, "{tier:<5} {bar} {:>5.1} %  {size:>10}  {objects} objects", part * 100.0);
    }
    let saved = month_cost_in_hot - month_cost;
    let _ = writeln!(
        text,
        "a month of storage costs {}; all in hot it would cost {}, {} more",
        dollars(*month_cost),
        dollars(*month_cost_in_hot),
        dollars(saved)
    );
    if let Some(month) = month {
        text += &of_month(month);
    }
    let _ = writeln!(text, "as of {}", moment(*as_of));
    text
}

fn of_month(month: &Month) -> String {
    let Month { begins, saved, spent, moved } = month;
    let mut text = format!(
        "in the month since {}: saved {} of storage, spent {} on moves and on reads that hot would have served for less\n",
        moment(*begins),
        dollars(*saved),
        dollars(*spent)
    );
    for (reason, (objects, size)) in moved {
        let _ = writeln!(text, "moved by {reason}: {objects} objects, {}", bytes(*size));
    }
    text
}

/// A time in UTC, as RFC 3339 has it.
fn moment(millis: UnixMillis) -> String {
    let seconds = i64::try_from(millis / 1000).unwrap_or_default();
    let time = OffsetDateTime::from_unix_timestamp(seconds).ok();
    time.and_then(|time| time.format(&Rfc3339).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use stratum_engine::tiering::Held;

    #[test]
    fn a_report_has_a_bar_for_each_tier() {
        let mut held = Held::default();
        held.count(Tier::Hot, 1 << 20);
        held.count(Tier::Cold, 3 << 20);
        let report =
            Report { as_of: Some(0), held, month_cost: 1.0, month_cost_in_hot: 3.0, ..Report::default() };
        let text = super::report(&report);
        let bar = format!("cold  {}{}  75.0 %", "█".repeat(30), "░".repeat(10));
        assert!(text.contains(&bar) && text.contains("all in hot it would cost $3.00, $2.00 more"), "{text}");
    }
}
