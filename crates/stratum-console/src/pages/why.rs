//! The page *Why is it here?* of an object: the sentence that explains its tier, when it was read and moved, what a
//! month costs in each tier, and what would change the decision.

mod timeline;

use crate::frame::{Part, Tone, badge, gauge, notice, tier, tier_class};
use crate::names;
use crate::pages::browser::{shown_name, visible};
use crate::pages::object::way;
use crate::shown::{bytes, dollars, moment, percent, span};
use crate::trouble::Trouble;
use crate::visit::{Page, Visit, shown};
use http::Method;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use timeline::Axis;

/// The explanation that the operator's API gives of an object, as far as the page shows it.
#[derive(Deserialize, Default, Debug)]
#[serde(default)]
pub struct Explanation {
    tier: String,
    since: u64,
    sentence: String,
    bytes: BTreeMap<String, u64>,
    moving_to: Option<String>,
    pin: Option<Pinned>,
    decision: Option<Decision>,
    rules: Vec<(String, Value)>,
    terms: Option<Terms>,
    signals: Option<Use>,
    group: Option<Group>,
    class: Option<String>,
    class_confidence: Option<f64>,
    class_because: Option<String>,
    costs: Option<BTreeMap<String, f64>>,
    changes: Vec<String>,
    next_review: Option<u64>,
    not_deciding: Option<String>,
    history: Vec<Moved>,
}

#[derive(Deserialize, Default, Debug)]
#[serde(default)]
struct Pinned {
    tier: String,
    by: String,
    since: u64,
    until: Option<u64>,
}

#[derive(Deserialize, Default, Debug)]
#[serde(default)]
struct Decision {
    tier: String,
    by: Value,
}

/// How the object is used, as far as the store remembers it.
#[derive(Deserialize, Default, Debug)]
#[serde(default)]
struct Use {
    reads: u64,
    last: Option<u64>,
    gap_days: Option<f64>,
    /// Rates of reads and bytes a day. Each is of a count in which a read counts half after `half_life_days`.
    half_life_days: Vec<f64>,
    daily_reads: Vec<f64>,
    daily_bytes: Vec<f64>,
    /// The shares of the hours of the day and of the weekdays, Monday first.
    hours: Vec<f64>,
    weekdays: Vec<f64>,
    spikes: bool,
}

#[derive(Deserialize, Default, Debug)]
#[serde(default)]
struct Group {
    prefix: String,
}

#[derive(Deserialize, Default, Debug)]
#[serde(default)]
struct Moved {
    tier: String,
    since: u64,
    reason: String,
    sentence: String,
}

/// The figures by which tiers are compared.
#[derive(Deserialize, Default, Debug)]
#[serde(default)]
struct Terms {
    now: u64,
    day: u64,
    size: u64,
    last: u64,
    group_last: u64,
    is_read: bool,
    monthly_reads: f64,
    share: f64,
    storage_month: BTreeMap<String, f64>,
    read: BTreeMap<String, f64>,
    put: BTreeMap<String, f64>,
    get: BTreeMap<String, f64>,
}

/// Asks for the explanation of an object or a version.
pub async fn explanation(visit: &Visit, key: &str, version: &str) -> Result<Explanation, Trouble> {
    let path = format!("/objects{}", names::object_path(&visit.bucket, key));
    visit.ask().operator(Method::GET, &path).with([("versionId", version)]).json().await
}

/// The sentence alone, for the page of the object.
pub fn summary(visit: &Visit, key: &str, version: &str, explained: &Explanation) -> Markup {
    html! {
        section.why aria-label="Why is it here?" {
            (tier(&explained.tier))
            p { (explained.sentence) }
            a.button href=(names::of_object(&visit.bucket, "why", key, version)) { "Why is it here?" }
        }
    }
}

/// `GET /b/{bucket}/why?key=...&version=...`
pub async fn show(visit: Visit) -> Page {
    let query = visit.query.clone();
    let (key, version) = (query.get("key"), query.get("version"));
    let explained = explanation(&visit, key, version).await?;
    let object = names::of_object(&visit.bucket, "object", key, version);
    let axis = Axis::of(explained.terms.as_ref(), visit.now());
    let content = html! {
        (way(&visit.bucket, key))
        div.head {
            h1 { "Why is " em { (shown_name(key)) } " here?" }
            div.actions { a.button href=(object) { "The object" } }
        }
        section.verdict.(tier_class(&explained.tier)) {
            p.where { (tier(&explained.tier)) " since " (moment(explained.since)) " UTC, " (axis.ago(explained.since))
                @if let Some(to) = &explained.moving_to { ", on its way to " (tier(to)) } }
            p.sentence { (explained.sentence) }
            @if let Some(day) = axis.other_day() { p.muted { "A day of this store lasts " (span(day)) ": spans of time are told in such days, times by the clock." } }
            @if let Some(why) = &explained.not_deciding { p.muted { "Nothing is decided by use: " (why) } }
        }
        div.columns {
            div {
                @if let Some(costs) = &explained.costs { (cost_bars(&explained, costs)) }
                section.card { h2 { "Accesses and moves" } (pin(&explained)) (timeline::timeline(&explained, &axis)) }
                @if let Some(used) = &explained.signals { section.card { h2 { "When it is read" } (timeline::habits(used)) } }
            }
            div {
                @if !explained.changes.is_empty() {
                    section.card {
                        h2 { "What would change it" }
                        ul.changes { @for change in &explained.changes { li { (change) } } }
                        @if let Some(review) = explained.next_review { p.muted { "Looked at again " (moment(review)) " UTC, " (axis.ahead(review)) ", if nothing happens before." } }
                    }
                }
                @if let Some(terms) = &explained.terms { section.card { h2 { "How it is used" } (usage(&explained, terms, &axis)) } }
                section.card { h2 { "What it is" } (contents(&explained)) }
                @if !explained.rules.is_empty() { section.card { h2 { "Who had a say" } (rules(&explained)) } }
            }
        }
    };
    shown(visit.frame().page(Part::Buckets, "Why is it here?", content))
}

/// The costs of a month in each tier: of keeping the object, and of reading it.
fn cost_bars(explained: &Explanation, costs: &BTreeMap<String, f64>) -> Markup {
    let order = ["hot", "warm", "cold"];
    let tiers = || order.iter().filter_map(|name| costs.get(*name).map(|cost| (*name, *cost)));
    let most = tiers().map(|(_, cost)| cost).fold(0.0, f64::max);
    let least = tiers().map(|(_, cost)| cost).fold(f64::INFINITY, f64::min);
    html! {
        section.card {
            h2 { "What a month costs" }
            table.bars {
                caption.hidden { "The cost of a month in each tier, as the object is used now" }
                thead.hidden {
                    tr { th scope="col" { "Tier" } th scope="col" { "Bar" } th scope="col" { "Month" } th scope="col" { "of which" } }
                }
                tbody {
                    @for (name, cost) in tiers() {
                        @let kept = explained.terms.as_ref().and_then(|terms| terms.storage_month.get(name)).copied().unwrap_or(cost).min(cost);
                        tr.here[name == explained.tier] {
                            th scope="row" { (tier(name)) }
                            td.bar { (cost_bar(name, kept, cost, most)) }
                            td.number { (dollars(cost)) @if cost <= least { " " (badge(Tone::Good, "least")) } }
                            td.muted { (dollars(kept)) " kept, " (dollars(cost - kept)) " read" }
                        }
                    }
                }
            }
            @if let Some(terms) = &explained.terms { (way_back(terms)) }
        }
    }
}

fn cost_bar(name: &str, kept: f64, cost: f64, most: f64) -> Markup {
    let width = |part: f64| format!("{:.2}%", if most > 0.0 { part / most * 100.0 } else { 0.0 });
    html! {
        svg.cost aria-hidden="true" width="100%" height="18" {
            rect.track x="0" y="0" width="100%" height="18" rx="3" {}
            rect.(tier_class(name)) x="0" y="0" width=(width(kept)) height="18" rx="3" {}
            rect.(tier_class(name)).faint x=(width(kept)) y="0" width=(width(cost - kept)) height="18" {}
        }
    }
}

fn way_back(terms: &Terms) -> Markup {
    let one = |prices: &BTreeMap<String, f64>, tier: &str| prices.get(tier).copied().unwrap_or_default();
    html! {
        p.muted {
            "Going down to cold costs " (dollars(one(&terms.get, "hot") + one(&terms.put, "cold")))
            ", coming back " (dollars(one(&terms.get, "cold") + one(&terms.put, "hot")))
            "; one read from cold costs " (dollars(one(&terms.read, "cold"))) ", from hot " (dollars(one(&terms.read, "hot"))) "."
        }
    }
}

fn pin(explained: &Explanation) -> Markup {
    html! {
        @if let Some(pin) = &explained.pin {
            p { (badge(Tone::Careful, "pinned")) " to " (tier(&pin.tier)) " by " (pin.by) " since " (moment(pin.since))
                @if let Some(until) = pin.until { ", until " (moment(until)) } "." }
        }
    }
}

fn usage(explained: &Explanation, terms: &Terms, axis: &Axis) -> Markup {
    let has_reads = explained.signals.is_some();
    html! {
        dl.pairs {
            dt { @if terms.is_read { "Last read" } @else { "Written" } } dd { (axis.ago(terms.last)) }
            dt { "Reads a month" } dd { (format!("{:.1}", terms.monthly_reads)) @if !has_reads { span.muted { " (none yet)" } } }
            @if has_reads { dt { "Share that a read takes" } dd { (percent(terms.share, 1.0)) } }
            dt { "Size" } dd { (bytes(terms.size)) }
            @if let Some(group) = &explained.group {
                dt { "Its group" } dd { @if group.prefix.is_empty() { "the whole bucket" } @else { code.wrap { (visible(&group.prefix)) } } }
                dt { "Last use in its group" } dd { (axis.ago(terms.group_last)) }
            }
        }
    }
}

fn contents(explained: &Explanation) -> Markup {
    let all: u64 = explained.bytes.values().sum();
    html! {
        dl.pairs {
            @if let Some(class) = &explained.class {
                dt { "Content" } dd { (class)
                    @if let Some(sure) = explained.class_confidence { span.muted { " (" (percent(sure, 1.0)) " sure)" } } }
            }
            @if let Some(because) = &explained.class_because { dt { "Because" } dd { (because) } }
            @for (name, part) in &explained.bytes {
                dt { "In " (tier(name)) }
                dd { (bytes(*part)) (gauge(*part as f64 / all.max(1) as f64, tier_class(name))) }
            }
        }
    }
}

/// The rules in their order. The first one that wants a tier decides.
fn rules(explained: &Explanation) -> Markup {
    let decided = explained.decision.as_ref().and_then(|decision| decision.by.as_str()).unwrap_or_default();
    let wants = |verdict: &Value| verdict.pointer("/wants/tier").and_then(Value::as_str).map(str::to_owned);
    html! {
        @if let Some(decision) = &explained.decision { p { "Now decided: " (tier(&decision.tier)) } }
        ol.rules {
            @for (rule, verdict) in &explained.rules {
                @if let Some(name) = wants(verdict) {
                    li.decides[rule == decided] {
                        (rule.replace('-', " ")) " " (tier(&name))
                        @if rule == decided { " " (badge(Tone::Good, "decides")) }
                    }
                }
            }
        }
        @let silent: Vec<String> = explained.rules.iter().filter(|(_, verdict)| wants(verdict).is_none()).map(|(rule, _)| rule.replace('-', " ")).collect();
        @if silent.len() == explained.rules.len() { (notice(Tone::Plain, html! { p { "No rule says anything." } })) }
        @else if !silent.is_empty() { p.muted { "Nothing said: " (silent.join(", ")) "." } }
    }
}
