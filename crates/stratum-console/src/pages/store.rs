//! The page of the store: its drives, redundancy and background work, and the few actions that are done by hand. An
//! action that has consequences is explained before it is done.

mod failures;
mod status;
mod times;

use crate::form::Fields;
use crate::frame::{Part, Tone, badge, gauge, notice, tier, token};
use crate::shown::{bytes, count, counted, percent, span};
use crate::trouble::Trouble;
use crate::visit::{Page, Visit, shown, to};
use http::Method;
use maud::{Markup, html};
use serde_json::Value;
use status::{Disk, Redundancy, Status, disks};

fn tone(state: &str) -> Tone {
    match state {
        "well" | "healthy" => Tone::Good,
        "attention" | "draining" | "drained" | "degraded" | "stale" | "blank" => Tone::Careful,
        _ => Tone::Bad,
    }
}

async fn status(visit: &Visit) -> Result<Status, Trouble> {
    visit.ask().operator(Method::GET, "/status").json().await
}

/// `GET /store`
pub async fn show(visit: Visit) -> Page {
    let status = status(&visit).await?;
    let (times, failures) = (times::section(&visit).await?, failures::section(&visit).await?);
    let words = match status.state.as_str() {
        "well" => "All is well",
        "attention" => "Everything is there; something wants attention",
        "degraded" => "Redundancy is reduced; everything can be read",
        "full" => "New data is refused for want of space; everything can be read",
        _ => "Something can't be read or written",
    };
    let content = html! {
        div.head { h1 { "Store" } p.muted { "Stratum " (status.version) ", up " (span(status.uptime_seconds.saturating_mul(1_000))) } }
        (notice(tone(&status.state), html! {
            p { strong { (words) "." } }
            @if !status.notes.is_empty() { ul { @for note in &status.notes { li { (note) } } } }
        }))
        (figures(&status))
        (times)
        @if let Some(failures) = failures { (failures) }
        section.card { h2 { "Drives" } (drives(&visit, &status)) }
        div.columns {
            section.card { h2 { "What works in the background" } (background(&visit, &status)) }
            section.card { h2 { "Redundancy" } (redundancy(&status)) }
        }
    };
    shown(visit.frame().page(Part::Store, "Store", content))
}

fn figures(status: &Status) -> Markup {
    let Status { space, journal, admission, connections, .. } = status;
    let all = space.used.saturating_add(space.free);
    html! {
        div.cards {
            div.figure {
                h2 { "Objects" }
                @match &space.held {
                    Some(held) => {
                        p.value { (count(held.objects)) }
                        p.muted { (bytes(held.logical)) " in " (counted(held.buckets, "bucket")) @if held.versions > 0 { ", and " (counted(held.versions, "older version")) } }
                        @if held.counted_seconds_ago > 0 { p.muted { "counted " (span(held.counted_seconds_ago.saturating_mul(1_000))) " ago" } }
                    }
                    None => p.muted { "being counted" },
                }
            }
            div.figure {
                h2 { "Space" } p.value { (bytes(space.free)) " free" }
                (gauge(space.used as f64 / all.max(1) as f64, "cold"))
                p.muted { (bytes(space.used)) " used; " (bytes(space.live)) " live" @if let Some(held) = &space.held { ", " (bytes(held.garbage)) " garbage" } }
            }
            div.figure {
                h2 { "Journal" } p.value { (percent(journal.bytes as f64, journal.cap as f64)) }
                (gauge(journal.bytes as f64 / journal.cap.max(1) as f64, "warm"))
                p.muted { (bytes(journal.bytes)) " of " (bytes(journal.cap)) " on each of " (counted(journal.members.len() as u64, "drive")) }
            }
            div.figure {
                h2 { "Memory for requests" } p.value { (percent(admission.used as f64, admission.limit as f64)) }
                (gauge(admission.used as f64 / admission.limit.max(1) as f64, "plain"))
                p.muted { (bytes(admission.used)) " of " (bytes(admission.limit)) "; " (count(admission.refused)) " refused" }
            }
            div.figure {
                h2 { "Connections" } p.value { (count(connections.open)) }
                (gauge(connections.open as f64 / connections.limit.max(1) as f64, "plain"))
                p.muted { "of " (count(connections.limit)) "; " (count(connections.refused)) " refused" }
            }
        }
    }
}

fn act(visit: &Visit, what: &str, path: &str, label: &str, of: &str) -> Markup {
    html! {
        form method="post" action={ (crate::ROOT) "/store/act" } {
            (token(&visit.session))
            input type="hidden" name="what" value=(what);
            @if !path.is_empty() { input type="hidden" name="path" value=(path); }
            button type="submit" { (label) @if !of.is_empty() { span.hidden { " " (of) } } }
        }
    }
}

fn drives(visit: &Visit, status: &Status) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="Drives" {
            table {
                thead { tr { th scope="col" { "Disk" } th scope="col" { "State" } th scope="col" { "Tiers" } th.number scope="col" { "Used" } th.number scope="col" { "Free" } th.number scope="col" title="99 of 100 reads lately took no longer" { "Reads within" } th scope="col" { "Remarks" } th scope="col" { span.hidden { "What can be done" } } } }
                tbody { @for disk in disks(&status.drives) { (disk_line(visit, &disk)) } }
            }
        }
    }
}

fn disk_line(visit: &Visit, disk: &Disk<'_>) -> Markup {
    let mut states: Vec<&str> = disk.drives.iter().map(|drive| drive.state.as_str()).collect();
    states.sort_unstable();
    states.dedup();
    let mut remarks: Vec<String> = disk.drives.iter().flat_map(|drive| drive.remarks()).collect();
    remarks.dedup();
    let is_draining = states.iter().any(|state| matches!(*state, "draining" | "drained"));
    html! {
        tr {
            th scope="row" { code.wrap { (disk.name) } }
            td { @for state in &states { (badge(tone(state), state)) " " } }
            td { @for (name, drives) in disk.tiers() { (tier(name)) @if drives > 1 { span.muted { " x " (drives) } } " " } }
            td.number { (bytes(disk.used())) }
            td.number { (bytes(disk.free())) }
            td.number { (times::time(disk.read_p99())) }
            td { (remarks.join("; ")) }
            td.acts {
                @if is_draining { (act(visit, "keep", disk.name, "Keep", disk.name)) }
                @else { (act(visit, "drain", disk.name, "Drain", disk.name)) }
                (act(visit, "replace", disk.name, "Replace", disk.name))
            }
        }
    }
}

fn background(visit: &Visit, status: &Status) -> Markup {
    let line =
        |name: &str, value: &Value| html! { tr { th scope="row" { (name) } td { (in_words(value)) } } };
    let is_scrubbing = status.scrub.get("phase").and_then(Value::as_str).is_some_and(|phase| phase != "idle");
    html! {
        table {
            thead.hidden { tr { th scope="col" { "Task" } th scope="col" { "How far it is" } } }
            tbody {
                (line("heal", &status.heal)) (line("scrub", &status.scrub)) (line("compaction", &status.compaction))
                (line("balance", &status.balance)) (line("quarantine", &status.quarantine))
                @for work in &status.background.tasks {
                    @if work.bytes > 0 || work.paused { tr { th scope="row" { (work.task) } td { @if work.paused { (badge(Tone::Careful, "paused")) " " } (bytes(work.bytes)) " read and written since the start" } } }
                }
            }
        }
        @for task in status.tasks.iter().filter(|task| task.failures > 0) {
            (notice(Tone::Careful, html! {
                p { (task.name) " failed " (counted(task.failures, "time")) " since the start, and was begun again each time" @if let Some(over) = &task.last_failure { "; last over: " (over) } }
            }))
        }
        p.muted {
            @if status.background.hurried { "As fast as it can." }
            @else { "At most " (bytes(status.background.bytes_per_second)) " a second, and requests go first." }
        }
        div.actions {
            @if is_scrubbing { (act(visit, "scrub-pause", "", "Pause scrub", "")) } @else { (act(visit, "scrub-start", "", "Start scrub", "")) }
            @if status.background.hurried { (act(visit, "steady", "", "Steady", "")) } @else { (act(visit, "hurry", "", "Hurry", "")) }
        }
    }
}

/// The figures of a task, in words; figures that are 0 or empty are left out.
fn in_words(value: &Value) -> String {
    let mut words = Vec::new();
    for (name, value) in value.as_object().into_iter().flatten() {
        let named = name.replace('_', " ");
        words.push(match value {
            Value::Number(number) => match number.as_u64() {
                Some(number @ 1..) => figure(&named, number),
                _ => continue,
            },
            Value::String(text) if !text.is_empty() => format!("{named} {text}"),
            Value::Object(_) => match in_words(value) {
                inner if inner == NOTHING => continue,
                inner => inner,
            },
            _ => continue,
        });
    }
    if words.is_empty() { NOTHING.into() } else { words.join(", ") }
}

/// A figure in words. Names such as `bytes to do`, `seconds left` and `finished at` tell the unit of their number.
fn figure(named: &str, number: u64) -> String {
    if let Some(what) = named.strip_prefix("bytes ") {
        return format!("{} {}", bytes(number), what.replace("per", "a"));
    }
    if let Some(what) = named.strip_prefix("seconds ") {
        return format!("{} {what}", span(number.saturating_mul(1_000)));
    }
    match named.strip_suffix(" at") {
        Some(what) => format!("{what} {}", crate::shown::moment(number)),
        None => format!("{named} {}", count(number)),
    }
}

const NOTHING: &str = "nothing to do";

fn redundancy(status: &Status) -> Markup {
    let Redundancy { missing_fragments, unreadable_objects, stripes_by_missing_shards } = &status.redundancy;
    html! {
        dl.pairs {
            dt { "Missing fragments" } dd { (count(*missing_fragments)) }
            dt { "Unreadable objects" } dd { (count(*unreadable_objects)) }
            @for (missing, stripes) in stripes_by_missing_shards.iter().enumerate() {
                @if *stripes > 0 { dt { "Stripes with " (missing) " missing" } dd { (count(*stripes)) } }
            }
        }
    }
}

/// The title and explanation of an action, if it must be confirmed.
///
/// # Errors
/// The action is about a disk that isn't there.
fn meaning(what: &str, path: &str, status: &Status) -> Result<Option<(&'static str, Markup)>, Trouble> {
    let all = disks(&status.drives);
    let disk = || {
        let found = all.iter().find(|disk| disk.name == path);
        found.ok_or_else(|| Trouble::wrong("The store has no such disk any more."))
    };
    Ok(Some(match what {
        "scrub-start" => (
            "Start a scrub?",
            html! { p { "Every live fragment is read and compared: " (bytes(status.space.live)) " of payload and its parity. Requests go first, and at most "
            (bytes(status.background.bytes_per_second)) " a second are read"
            @if status.background.bytes_per_second > 0 { ", so it takes at least " (span(status.space.live.saturating_mul(1_000) / status.background.bytes_per_second)) }
            "." } },
        ),
        "drain" => {
            let disk = disk()?;
            let others = all.iter().filter(|other| other.name != path).map(Disk::free);
            let elsewhere = others.fold(0, u64::saturating_add);
            (
                "Drain this disk?",
                html! {
                    p { "All that " code { (path) } " holds moves to the others, and nothing new comes to it. It can be taken out when that is done, and kept after all until then." }
                    dl.pairs { dt { "To be moved" } dd { (bytes(disk.used())) } dt { "Free on the others" } dd { (bytes(elsewhere)) } }
                    @if disk.used() > elsewhere { (notice(Tone::Bad, html! { p { "The others have no room for it." } })) }
                },
            )
        }
        "replace" => {
            let disk = disk()?;
            (
                "Replace this disk?",
                html! {
                    p { "A blank disk that is mounted at " code { (path) } " takes the place of the one that was there, and heal fills it from parity while requests go on." }
                    dl.pairs { dt { "To be rebuilt" } dd { "about " (bytes(disk.used())) } }
                    (notice(Tone::Careful, html! { p { "A disk that still holds the store's data is refused. Mount the new one first." } }))
                },
            )
        }
        "hurry" => (
            "Let background work hurry?",
            html! { p { "It works as fast as the drives allow, and requests wait longer meanwhile." } },
        ),
        _ => return Ok(None),
    }))
}

/// `POST /store/act`: `what` is to be done, to the disk at `path`, and `sure` once its explanation was shown.
pub async fn act_on(visit: Visit, fields: Fields) -> Page {
    let (what, path) = (fields.get("what"), fields.get("path"));
    if !fields.has("sure")
        && let Some((title, meaning)) = meaning(what, path, &status(&visit).await?)?
    {
        let content = html! {
            div.narrow {
                h1 { (title) }
                (meaning)
                form method="post" action={ (crate::ROOT) "/store/act" } {
                    (token(&visit.session))
                    input type="hidden" name="what" value=(what);
                    input type="hidden" name="path" value=(path);
                    input type="hidden" name="sure" value="yes";
                    div.actions { button.primary type="submit" { "Go ahead" } a.button href={ (crate::ROOT) "/store" } { "Cancel" } }
                }
            }
        };
        return shown(visit.frame().page(Part::Store, title, content));
    }
    let post = |path: &str| visit.ask().operator(Method::POST, path);
    let asked = match what {
        "scrub-start" => post("/scrub/start"),
        "scrub-pause" => post("/scrub/pause"),
        "hurry" => post("/pace").with([("action", "hurry")]),
        "steady" => post("/pace").with([("action", "steady")]),
        "drain" => post("/drives/drain").with([("path", path)]),
        "keep" => post("/drives/keep").with([("path", path)]),
        "replace" => post("/drives/replace").with([("path", path)]),
        _ => return Err(Trouble::NoPage),
    };
    asked.done().await?;
    to(&format!("{}/store", crate::ROOT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn figures_of_a_task_read_as_sentences() {
        let heal = json!({
            "bytes_to_do": 3_u64 << 30, "bytes_per_second": 5 << 20, "seconds_left": 600, "volumes": [0, 1], "shards_rebuilt": 7,
            "waiting_because": null, "began_at": 1_795_961_109_000_u64, "phase": "mending", "missing_fragments": 0,
        });
        let words = in_words(&heal);
        for part in [
            "3.0 GiB to do",
            "5.0 MiB a second",
            "10 minutes left",
            "shards rebuilt 7",
            "began 2026-11-29 14:05",
            "phase mending",
        ] {
            assert!(words.contains(part), "{part}: {words}");
        }
        assert!(!words.contains("missing") && in_words(&json!({"passes": 0})) == NOTHING, "{words}");
    }
}
