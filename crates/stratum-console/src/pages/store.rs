//! The page of the store: its drives, redundancy and background work, and the few actions that are done by hand.
//!
//! Its sections come anew every few seconds. A script asks for them, since a browser that loads a whole page again takes
//! it from under whoever reads it; without the script the browser does.

mod actions;
mod failures;
mod status;
mod tasks;
mod times;

pub use actions::act_on;

use crate::form::Fields;
use crate::frame::{Part, Tone, badge, gauge, notice, tier, token};
use crate::shown::{bytes, count, counted, percent, span};
use crate::trouble::Trouble;
use crate::visit::{Page, Visit, shown};
use maud::{Markup, html};
use status::{Disk, Redundancy, Status, disks};

fn tone(state: &str) -> Tone {
    match state {
        "well" | "healthy" => Tone::Good,
        "attention" | "draining" | "drained" | "degraded" | "stale" | "blank" => Tone::Careful,
        _ => Tone::Bad,
    }
}

/// `GET /store`
pub async fn show(visit: Visit) -> Page {
    let sections = sections(&visit).await?;
    let content = html! {
        div.head { h1 { "Store" } }
        @if let Some(done) = actions::done(&visit) { (notice(Tone::Good, html! { p { (done) } })) }
        div #live.live data-address={ (crate::ROOT) "/store/live" } data-token=(visit.session.form_token()) { (sections) }
    };
    shown(visit.frame().page_live(Part::Store, "Store", content))
}

/// `POST /store/live`: the sections of the page as they are now. A page is given to no script, so the script sends the
/// session's token, as uploads do.
pub async fn live(visit: Visit, _: Fields) -> Page {
    sections(&visit).await.and_then(shown)
}

async fn sections(visit: &Visit) -> Result<Markup, Trouble> {
    let (status, tiers) = (status::read(visit).await?, status::tiers(visit).await?);
    let (times, failures) = (times::section(visit).await?, failures::section(visit).await?);
    let words = match status.state.as_str() {
        "well" => "All is well",
        "attention" => "Everything is there; something wants attention",
        "degraded" => "Redundancy is reduced; everything can be read",
        "full" => "New data is refused for want of space; everything can be read",
        _ => "Something can't be read or written",
    };
    Ok(html! {
        div #state { (notice(tone(&status.state), html! {
            p { strong { (words) "." } }
            @if !status.notes.is_empty() { ul { @for note in &status.notes { li { (note) } } } }
        })) }
        p #since.muted { "Stratum " (status.version) ", up " (span(status.uptime_seconds.saturating_mul(1_000))) }
        div #figures { (figures(&status)) }
        div #times { (times) }
        div #failures { @if let Some(failures) = failures { (failures) } }
        section #drives.card { h2 { "Drives" } (drives(visit, &status)) }
        div #work.columns {
            section.card { h2 { "What works in the background" } (tasks::section(visit, &status, &tiers)) }
            section.card { h2 { "Redundancy" } (redundancy(&status)) }
        }
    })
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
                thead { tr { th scope="col" { "Disk" } th scope="col" { "State" } th scope="col" { "Tiers" } th.number scope="col" { "Used" } th.number scope="col" { "Free" } th.number scope="col" title="99 of 100 reads lately took no longer" { "Reads within" } th.number scope="col" title="Pieces that were read since the start and were wrong, and were computed from others" { "Bad pieces" } th scope="col" { "Remarks" } th scope="col" { span.hidden { "What can be done" } } } }
                tbody { @for disk in disks(&status.drives) { (disk_line(visit, &disk)) } }
            }
        }
    }
}

fn disk_line(visit: &Visit, disk: &Disk<'_>) -> Markup {
    let mut states: Vec<&str> = disk.drives.iter().map(|drive| drive.state.as_str()).collect();
    states.sort_unstable();
    states.dedup();
    let remarks = disk.remarks();
    html! {
        tr {
            th scope="row" { code.wrap { (disk.name) } }
            td { @for state in &states { (badge(tone(state), state)) " " } }
            td { @for (name, drives) in disk.tiers() { (tier(name)) @if drives > 1 { span.muted { " x " (drives) } } " " } }
            td.number { (bytes(disk.used())) }
            td.number { @if disk.is_lost() { "-" } @else { (bytes(disk.free())) } }
            td.number { @match disk.read_p99() {
                Some(_) => (times::time(disk.read_p99())),
                None => span.muted title="Too few reads lately to tell" { "few reads" },
            } }
            td.number { (count(disk.bad_pieces())) }
            td { @if remarks.is_empty() { span.muted { "none" } } @for remark in &remarks { p { (remark) } } }
            td.acts {
                @if disk.is_drained() { (act(visit, "remove", disk.name, "Take out", disk.name)) }
                @if disk.is_draining() { (act(visit, "keep", disk.name, "Keep", disk.name)) }
                @else if !disk.is_lost() { (act(visit, "drain", disk.name, "Drain", disk.name)) }
                (act(visit, "replace", disk.name, "Replace", disk.name))
            }
        }
    }
}

fn redundancy(status: &Status) -> Markup {
    let Redundancy { missing_fragments, unreadable_objects, stripes_by_missing_shards } = &status.redundancy;
    html! {
        dl.pairs {
            dt { "Missing fragments" } dd { (count(*missing_fragments)) }
            dt { "Unreadable objects" } dd { (count(*unreadable_objects)) }
            @for (missing, stripes) in stripes_by_missing_shards.iter().enumerate() {
                @if *stripes > 0 {
                    dt { @if missing == 0 { "Whole stripes" } @else { "Stripes that lack " (counted(missing as u64, "fragment")) } }
                    dd { (count(*stripes)) }
                }
            }
        }
    }
}
