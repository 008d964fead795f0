//! What works in the background, a sentence a task: how far it is, how long it still takes, and what it waits for.

use super::status::{Balance, Compaction, Found, Heal, Quarantine, Scrub, ScrubPhase, Status, Tiers};
use super::{act, status};
use crate::frame::{Tone, badge, notice};
use crate::shown::{bytes, count, counted, moment, span};
use crate::visit::Visit;
use maud::{Markup, html};

pub fn section(visit: &Visit, status: &Status, tiers: &Tiers) -> Markup {
    let background = &status.background;
    let is_scrubbing = !matches!(status.scrub.phase, ScrubPhase::Idle | ScrubPhase::Paused);
    html! {
        table {
            thead.hidden { tr { th scope="col" { "Task" } th scope="col" { "How far it is" } } }
            tbody { @for (task, class, said) in sentences(status, tiers) {
                tr { th scope="row" { (task) } td {
                    @if background.tasks.iter().any(|work| work.task == class && work.paused) { (badge(Tone::Careful, "paused")) " " }
                    (said)
                } }
            } }
        }
        @for task in status.tasks.iter().filter(|task| task.failures > 0) {
            (notice(Tone::Careful, html! {
                p { (task.name) " failed " (counted(task.failures, "time")) " since the start, and was begun again each time" @if let Some(over) = &task.last_failure { "; last over: " (over) } }
            }))
        }
        p.muted {
            @if background.hurried { "As fast as it can." }
            @else { "At most " (bytes(background.bytes_per_second)) " a second, and requests go first." }
        }
        div.actions {
            @if is_scrubbing { (act(visit, "scrub-pause", "", "Pause scrub", "")) }
            @else { (act(visit, "scrub-start", "", if status.scrub.phase == ScrubPhase::Paused { "Resume scrub" } else { "Start scrub" }, "")) }
            @if background.hurried { (act(visit, "steady", "", "Steady", "")) } @else { (act(visit, "hurry", "", "Hurry", "")) }
        }
    }
}

/// Each task by what people call it and by the name of its class, with its sentence.
fn sentences(status: &Status, tiers: &Tiers) -> Vec<(&'static str, &'static str, String)> {
    let mut all = vec![
        ("Heal", "heal", heal(&status.heal)),
        ("Scrub", "scrub", scrub(&status.scrub)),
        ("Moves between tiers", "transition", moves(tiers)),
        ("Balance", "balance", balance(&status.balance)),
        ("Compaction", "compact", compaction(&status.compaction)),
    ];
    let draining: Vec<_> = status::disks(&status.drives)
        .into_iter()
        .filter(|disk| disk.is_draining() && !disk.is_drained())
        .collect();
    if !draining.is_empty() {
        let left: u64 = draining.iter().map(status::Disk::used).fold(0, u64::saturating_add);
        let time = at_least(left, status.background.bytes_per_second);
        all.push((
            "Drain",
            "evacuate",
            sentence(&[Some(format!("{} still to be moved", bytes(left))), time]),
        ));
    }
    if let Some(said) = quarantine(&status.quarantine) {
        all.push(("Quarantine", "quarantine", said));
    }
    all
}

/// The parts that there are, as one sentence.
fn sentence(parts: &[Option<String>]) -> String {
    let parts: Vec<&str> = parts.iter().flatten().map(String::as_str).collect();
    let text = parts.join(", ");
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", chars.as_str())
}

fn left(seconds: Option<u64>) -> Option<String> {
    seconds.map(|seconds| match seconds {
        0 => "less than a second left".to_owned(),
        seconds => format!("{} left", span(seconds.saturating_mul(1_000))),
    })
}

/// How long so many bytes take at that rate, at the least.
pub fn at_least(size: u64, bytes_per_second: u64) -> Option<String> {
    size.checked_div(bytes_per_second).map(|seconds| match seconds {
        0 => "about a second".to_owned(),
        seconds => format!("at least {}", span(seconds.saturating_mul(1_000))),
    })
}

fn heal(heal: &Heal) -> String {
    if heal.bytes_to_do == 0 {
        let done = (heal.bytes_done > 0)
            .then(|| format!("{} read and written since the start", bytes(heal.bytes_done)));
        return sentence(&[Some("nothing is missing".into()), done]);
    }
    let rate = (heal.bytes_per_second > 0).then(|| format!("{} a second", bytes(heal.bytes_per_second)));
    let time = left(heal.seconds_left.filter(|_| rate.is_some()));
    let waits = heal.waiting_because.as_ref().map(|why| format!("waits: {why}"));
    sentence(&[Some(format!("{} to do", bytes(heal.bytes_to_do))), rate, time, waits])
}

fn scrub(scrub: &Scrub) -> String {
    let last = match scrub.finished_at {
        0 => "no pass has ended yet".to_owned(),
        at => format!("the last pass ended {} UTC", moment(at)),
    };
    let read = scrub.found.bytes;
    let whole = read.saturating_add(scrub.bytes_to_do);
    let far = || format!("{} of {} read", bytes(read), bytes(whole));
    match scrub.phase {
        ScrubPhase::Idle => sentence(&[Some(last), (scrub.finished_at > 0).then(|| found(&scrub.found))]),
        ScrubPhase::Paused => sentence(&[Some(format!("paused, {}", far())), Some(found(&scrub.found))]),
        ScrubPhase::Asked => sentence(&[Some(far()), left(scrub.seconds_left), Some(found(&scrub.found))]),
        ScrubPhase::Spread => {
            let spread = scrub
                .seconds_left
                .map(|seconds| format!("spread over the next {}", span(seconds.saturating_mul(1_000))));
            sentence(&[Some(far()), spread, Some(found(&scrub.found))])
        }
    }
}

fn found(found: &Found) -> String {
    let Found { bad_fragments, bad_files, parity_disagrees, unreadable, mended, .. } = found;
    let some = [
        (bad_fragments, "bad fragment"),
        (bad_files, "bad file"),
        (parity_disagrees, "stripe of which the parity disagrees"),
        (unreadable, "unreadable stripe"),
    ];
    let mut words: Vec<String> = some
        .into_iter()
        .filter(|(number, _)| **number > 0)
        .map(|(number, what)| counted(*number, what))
        .collect();
    if *mended > 0 {
        words.push(format!("{} mended", count(*mended)));
    }
    if words.is_empty() { "found nothing wrong".into() } else { format!("found {}", words.join(", ")) }
}

fn moves(tiers: &Tiers) -> String {
    let moved = match tiers.moving.objects {
        0 => "none since the start".to_owned(),
        objects => format!("{} ({}) since the start", counted(objects, "object"), bytes(tiers.moving.bytes)),
    };
    let walk = tiers.deciding.last_walk.as_ref().map(|walk| {
        let waiting = walk.put_off.saturating_add(walk.waiting_for_room);
        let begun = match walk.decided {
            0 => "no move".to_owned(),
            moves => counted(moves, "move"),
        };
        let begun = format!("the last look at {} began {begun}", counted(walk.objects, "object"));
        if waiting > 0 { format!("{begun}, and {} wait", count(waiting)) } else { begun }
    });
    let waits = tiers.moving.waiting.iter().map(|(tier, why)| format!("{tier} takes nothing: {why}"));
    let waits: Vec<String> = waits.collect();
    sentence(&[Some(moved), walk, (!waits.is_empty()).then(|| waits.join("; "))])
}

fn balance(balance: &Balance) -> String {
    if balance.bytes_to_do == 0 {
        let done =
            (balance.bytes_done > 0).then(|| format!("{} moved since the start", bytes(balance.bytes_done)));
        return sentence(&[Some("the drives are evenly filled".into()), done]);
    }
    let waits = balance.waits_for.as_ref().map(|what| format!("waits for {what}"));
    sentence(&[
        Some(format!("{} to be moved", bytes(balance.bytes_to_do))),
        left(balance.seconds_left),
        waits,
    ])
}

fn compaction(compaction: &Compaction) -> String {
    let now = compaction.moving.as_ref().map(|what| format!("at work on {what}"));
    let now = now.unwrap_or_else(|| "nothing to do".into());
    let given = (compaction.reclaimed > 0)
        .then(|| format!("{} given back since the start", bytes(compaction.reclaimed)));
    let waits = compaction.waits_for.as_ref().map(|what| format!("waits for {what}"));
    let failed = compaction.last_error.as_ref().map(|why| format!("failed last over: {why}"));
    sentence(&[Some(now), given, waits, failed])
}

fn quarantine(quarantine: &Quarantine) -> Option<String> {
    let files = quarantine.files.len() as u64;
    let held =
        (files > 0).then(|| format!("{} that no record names, kept for a while", counted(files, "file")));
    let removed =
        (quarantine.removed > 0).then(|| format!("{} removed since the start", count(quarantine.removed)));
    let back =
        quarantine.held_back.then(|| "none is removed before the restored state is accepted".to_owned());
    (held.is_some() || removed.is_some()).then(|| sentence(&[held, removed, back]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found_of(bytes: u64) -> Found {
        Found { bytes, bad_fragments: 0, bad_files: 0, parity_disagrees: 0, unreadable: 0, mended: 0 }
    }

    #[test]
    fn heal_and_balance_say_how_long_they_take() {
        let idle = Heal {
            bytes_to_do: 0,
            bytes_done: 0,
            bytes_per_second: 9,
            seconds_left: Some(0),
            waiting_because: None,
        };
        assert_eq!(heal(&idle), "Nothing is missing.");
        let busy = Heal {
            bytes_to_do: 3 << 30,
            bytes_done: 1,
            bytes_per_second: 5 << 20,
            seconds_left: Some(600),
            ..idle
        };
        assert_eq!(heal(&busy), "3.0 GiB to do, 5.0 MiB a second, 10 minutes left.");
        let waits = Heal { bytes_per_second: 0, waiting_because: Some("no drive".into()), ..busy };
        assert_eq!(heal(&waits), "3.0 GiB to do, waits: no drive.");
        let uneven = Balance { bytes_to_do: 1 << 20, bytes_done: 0, seconds_left: Some(0), waits_for: None };
        assert_eq!(balance(&uneven), "1.0 MiB to be moved, less than a second left.");
    }

    #[test]
    fn scrub_says_what_the_last_pass_found_and_how_far_this_one_is() {
        let mut pass = Scrub {
            phase: ScrubPhase::Idle,
            finished_at: 1_795_961_109_000,
            bytes_to_do: 0,
            seconds_left: None,
            found: found_of(7),
        };
        assert_eq!(scrub(&pass), "The last pass ended 2026-11-29 14:05 UTC, found nothing wrong.");
        pass = Scrub {
            phase: ScrubPhase::Asked,
            bytes_to_do: 3 << 30,
            seconds_left: Some(180),
            found: found_of(1 << 30),
            ..pass
        };
        assert_eq!(scrub(&pass), "1.0 GiB of 4.0 GiB read, 3 minutes left, found nothing wrong.");
        pass.found = Found { bad_fragments: 2, mended: 1, ..found_of(1 << 30) };
        pass.phase = ScrubPhase::Paused;
        assert_eq!(scrub(&pass), "Paused, 1.0 GiB of 4.0 GiB read, found 2 bad fragments, 1 mended.");
    }

    #[test]
    fn a_time_at_the_least_needs_a_rate() {
        assert_eq!(at_least(10, 0), None);
        assert_eq!(at_least(10, 100).unwrap(), "about a second");
        assert_eq!(at_least(600 << 20, 1 << 20).unwrap(), "at least 10 minutes");
    }
}
