//! A picture of when an object was read and in which tier it lay, on one axis of time, as far as the store remembers
//! it.
//!
//! The store keeps no list of reads. It keeps counts in which a read counts half after an hour, a day, a week or a
//! month, the time of the last read, and the shares of hours and weekdays. So the axis is one of ages, with a column
//! for each of these spans. A column shows how many reads a day its count comes to, and moves stand on the axis at
//! their own times. The picture shows nothing that isn't said in words beside it.

use super::{Explanation, Terms, Use};
use crate::frame::{tier, tier_class};
use crate::shown::{bytes, counted, days, moment, percent};
use maud::{Markup, html};

const DAY_MILLIS: u64 = 24 * 3_600 * 1_000;
/// Heights in pixels: of the columns with the figures above them, of the figures, the top of the bar of tiers, and
/// the height of the whole picture.
const COLUMNS_HEIGHT: f64 = 74.0;
const FIGURES_HEIGHT: f64 = 16.0;
const TIERS_TOP: f64 = 84.0;
const HEIGHT: f64 = 122.0;

/// The ages at which columns end, in days, the newest first: the half-lives of the counts, and a year.
const ENDS: [f64; 5] = [1.0 / 24.0, 1.0, 7.0, 30.0, 365.0];

/// An axis of ages. Now is at its right. All columns are equally wide: that of the last hour as well as that of ages
/// between a month and a year. Ages are told in the store's days, as its sentences tell them.
pub struct Axis {
    now: u64,
    /// How long the store's day lasts, in milliseconds.
    day: u64,
}

impl Axis {
    pub fn of(terms: Option<&Terms>, now: u64) -> Axis {
        let day = terms.map(|terms| terms.day).filter(|day| *day > 0);
        Axis { now: terms.map_or(now, |terms| terms.now), day: day.unwrap_or(DAY_MILLIS) }
    }

    /// `5 days ago`
    pub fn ago(&self, time: u64) -> String {
        format!("{} ago", days(self.age(time)))
    }

    /// `in 5 days`
    pub fn ahead(&self, time: u64) -> String {
        format!("in {}", days(time.saturating_sub(self.now) as f64 / self.day as f64))
    }

    /// How long the store's day lasts in milliseconds, if it isn't a real one.
    pub fn other_day(&self) -> Option<u64> {
        (self.day != DAY_MILLIS).then_some(self.day)
    }

    /// How many days ago a time was.
    fn age(&self, time: u64) -> f64 {
        self.now.saturating_sub(time) as f64 / self.day as f64
    }

    /// Where a time stands, in percent from the left. Times older than a year stand at the left edge.
    fn at(&self, time: u64) -> f64 {
        let age = self.age(time);
        let column = ENDS.iter().position(|end| age <= *end);
        let Some((column, end)) = column.and_then(|column| Some((column, *ENDS.get(column)?))) else {
            return 0.0;
        };
        let within = match column.checked_sub(1).and_then(|newer| ENDS.get(newer)) {
            None => age / end,
            Some(newer) => (age / newer).ln() / (end / newer).ln(),
        };
        100.0 - (column as f64 + within) * 100.0 / ENDS.len() as f64
    }

    /// The left edge and the middle of a column in percent. Column 0 is the newest.
    fn column(column: usize) -> (f64, f64) {
        let width = 100.0 / ENDS.len() as f64;
        let left = 100.0 - (column as f64 + 1.0) * width;
        (left, left + width / 2.0)
    }
}

/// Something that happened to the object.
enum Event<'a> {
    Written(u64),
    Read(u64, &'a Use),
    Moved(&'a super::Moved),
}

impl Event<'_> {
    fn when(&self) -> u64 {
        match self {
            Event::Written(when) | Event::Read(when, _) => *when,
            Event::Moved(moved) => moved.since,
        }
    }
}

/// The picture, and the events in words, the newest first.
pub fn timeline(explained: &Explanation, axis: &Axis) -> Markup {
    let mut events = events(explained, explained.terms.as_ref());
    events.sort_by_key(|event| std::cmp::Reverse(event.when()));
    let when = |time: u64| html! { time { (moment(time)) } ", " (axis.ago(time)) };
    html! {
        (picture(explained, axis))
        @if events.is_empty() { p.muted { "Nothing moved it: it lies where it was put." } }
        ol.timeline {
            @for event in &events {
                @match event {
                    Event::Moved(moved) => { li.(tier_class(&moved.tier)) {
                        p.when { (tier(&moved.tier)) " " (when(moved.since)) }
                        p { (moved.sentence) }
                    } }
                    Event::Read(read, used) => { li.read {
                        p.when { "read last " (when(*read)) }
                        p { (counted_reads(used)) }
                    } }
                    Event::Written(written) => { li {
                        p.when { "written " (when(*written)) }
                        p { "It wasn't read since, as far as is known." }
                    } }
                }
            }
        }
    }
}

fn events<'a>(explained: &'a Explanation, terms: Option<&Terms>) -> Vec<Event<'a>> {
    let read = explained.signals.as_ref().and_then(|used| Some(Event::Read(used.last?, used)));
    let written =
        terms.filter(|terms| !terms.is_read && terms.last > 0).map(|terms| Event::Written(terms.last));
    explained.history.iter().map(Event::Moved).chain(read).chain(written).collect()
}

fn counted_reads(used: &Use) -> String {
    let reads = counted(used.reads, "read");
    match used.gap_days {
        Some(pause) => {
            format!("{reads} are counted. The last pause between two times of reading was {}.", days(pause))
        }
        None if used.reads == 1 => "It is the only read that is counted.".into(),
        None => format!("{reads} are counted, without a pause of half a day between them."),
    }
}

fn picture(explained: &Explanation, axis: &Axis) -> Markup {
    let rates: &[f64] = explained.signals.as_ref().map_or(&[], |used| &used.daily_reads);
    let most = rates.iter().copied().fold(0.0, f64::max);
    let height = |rate: f64| if most > 0.0 { (COLUMNS_HEIGHT - FIGURES_HEIGHT) * rate / most } else { 0.0 };
    let percent = |part: f64| format!("{part:.2}%");
    let width = 100.0 / ENDS.len() as f64;
    html! {
        figure.ages {
            figcaption.muted { "Reads a day, the last read as a dot, and the tier that it belonged in. To the left it is older, to the right there is more room for what is newer." }
            svg aria-hidden="true" width="100%" height=(HEIGHT) {
                @for (column, rate) in rates.iter().enumerate().take(ENDS.len()) {
                    @let (left, middle) = Axis::column(column);
                    @let tall = height(*rate).max(if *rate > 0.0 { 1.0 } else { 0.0 });
                    rect.reads x=(percent(left + width * 0.08)) y=(COLUMNS_HEIGHT - tall) width=(percent(width * 0.84)) height=(tall) rx="2" {}
                    text x=(percent(middle)) y=(COLUMNS_HEIGHT - tall - 4.0) text-anchor="middle" { (rate_shown(*rate)) }
                }
                line.ground x1="0" x2="100%" y1=(COLUMNS_HEIGHT) y2=(COLUMNS_HEIGHT) {}
                @for (from, to, name) in places(explained, axis) {
                    rect.(tier_class(name)) x=(percent(from)) y=(TIERS_TOP) width=(percent(to - from)) height="12" {}
                }
                @for moved in &explained.history {
                    line.move x1=(percent(axis.at(moved.since))) x2=(percent(axis.at(moved.since))) y1=(TIERS_TOP - 4.0) y2=(TIERS_TOP + 16.0) {}
                }
                @if let Some(last) = explained.signals.as_ref().and_then(|used| used.last) {
                    circle.last cx=(percent(axis.at(last))) cy=(COLUMNS_HEIGHT) r="4.5" {}
                }
                @for (column, end) in ENDS.iter().enumerate() {
                    @let (left, _) = Axis::column(column);
                    text x=(percent(left)) y=(HEIGHT - 4.0) text-anchor=(if column + 1 == ENDS.len() { "start" } else { "middle" }) { (age(*end)) }
                }
                text x="100%" y=(HEIGHT - 4.0) text-anchor="end" { "now" }
            }
        }
    }
}

/// The tiers that the object belonged in, each from where to where on the axis in percent. Nothing is known from
/// before the first move that is remembered.
fn places<'a>(explained: &'a Explanation, axis: &Axis) -> Vec<(f64, f64, &'a str)> {
    let put = (explained.since, explained.tier.as_str());
    let moves = explained.history.iter().map(|moved| (moved.since, moved.tier.as_str()));
    let begins: Vec<(u64, &str)> = match explained.history.is_empty() {
        true => vec![put],
        false => moves.collect(),
    };
    let ends = begins.iter().skip(1).map(|(since, _)| *since).chain([axis.now]);
    begins.iter().zip(ends).map(|((since, name), end)| (axis.at(*since), axis.at(end), *name)).collect()
}

/// An age as `1 h`, `24 h` or `7 d`, short enough for the screen of a phone.
fn age(days: f64) -> String {
    let seconds = days * DAY_MILLIS as f64 / 1_000.0;
    match seconds {
        some if some < 60.0 => format!("{some:.0} s"),
        some if some < 3_600.0 => format!("{:.0} min", some / 60.0),
        some if some < 172_800.0 => format!("{:.0} h", some / 3_600.0),
        some if some < 31_536_000.0 => format!("{:.0} d", some / 86_400.0),
        some => format!("{:.0} y", some / 31_536_000.0),
    }
}

/// Reads a day, in a few characters.
fn rate_shown(rate: f64) -> String {
    match rate {
        none if none <= 0.0 => "0".into(),
        some if some < 0.05 => "<0.1".into(),
        some if some < 9.95 => format!("{some:.1}"),
        some if some < 9_999.5 => format!("{some:.0}"),
        some if some < 999_500.0 => format!("{:.0}k", some / 1e3),
        some => format!("{:.0}M", some / 1e6),
    }
}

const WEEKDAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// Tables and charts of how often the object is read, at which hours, and on which days.
pub fn habits(used: &Use) -> Markup {
    let hour = |at: usize| format!("{at:02}:00");
    let weekday = |at: usize| WEEKDAYS.get(at).copied().unwrap_or_default().to_owned();
    let hours: Vec<(String, f64)> =
        used.hours.iter().enumerate().map(|(at, share)| (hour(at), *share)).collect();
    let weekdays: Vec<(String, f64)> =
        used.weekdays.iter().enumerate().map(|(at, share)| (weekday(at), *share)).collect();
    html! {
        table.rates {
            caption.hidden { "How often it is read, by counts that forget at different speeds" }
            thead { tr { th scope="col" { "A read counts half after" } th.number scope="col" { "Reads a day" } th.number scope="col" { "Bytes a day" } } }
            tbody {
                @for ((half, reads), read) in used.half_life_days.iter().zip(&used.daily_reads).zip(&used.daily_bytes) {
                    tr {
                        th scope="row" { (days(*half)) }
                        td.number { (rate_shown(*reads)) }
                        td.number { (bytes(*read as u64)) }
                    }
                }
            }
        }
        @if used.spikes { p { "It is being read far more often than usual just now." } }
        (shares("Hours of the day, UTC", &hours, |at| (at % 6 == 0).then(|| format!("{at} h"))))
        (shares("Days of the week", &weekdays, |at| Some(weekday(at).chars().take(2).collect())))
        details {
            summary { "Shares of its reads as a table" }
            table {
                thead { tr { th scope="col" { "When" } th.number scope="col" { "Share" } } }
                tbody {
                    @for (name, share) in hours.iter().chain(&weekdays).filter(|(_, share)| *share > 0.0) {
                        tr { th scope="row" { (name) } td.number { (percent(*share, 1.0)) } }
                    }
                }
            }
        }
        p.muted { "The store counts reads and keeps no list of them, so single reads can't be shown." }
    }
}

/// A chart of shares as bars. `label` gives the name below a bar, if it is to have one.
fn shares(title: &str, all: &[(String, f64)], label: impl Fn(usize) -> Option<String>) -> Markup {
    const TALL: f64 = 44.0;
    let most =
        all.iter().max_by(|(_, one), (_, other)| one.total_cmp(other)).filter(|(_, share)| *share > 0.0);
    let width = 100.0 / all.len().max(1) as f64;
    let at = |index: usize, within: f64| format!("{:.2}%", (index as f64 + within) * width);
    html! {
        figure.habit {
            figcaption {
                strong { (title) }
                p.muted {
                    @match most {
                        Some((name, share)) => { "Most: " (name) ", " (percent(*share, 1.0)) }
                        None => { "Nothing is known." }
                    }
                }
            }
            @if let Some((_, most)) = most {
                svg aria-hidden="true" width="100%" height=(TALL + 18.0) {
                    @for (index, (_, share)) in all.iter().enumerate() {
                        @let tall = TALL * share / most;
                        rect.reads x=(at(index, 0.1)) y=(TALL - tall) width=(at(0, 0.8)) height=(tall) {}
                        @if let Some(label) = label(index) { text x=(at(index, 0.5)) y=(TALL + 14.0) text-anchor="middle" { (label) } }
                    }
                    line.ground x1="0" x2="100%" y1=(TALL) y2=(TALL) {}
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_795_961_109_000;

    #[test]
    fn the_axis_has_a_column_for_each_span_and_goes_one_way() {
        let axis = Axis { now: NOW, day: DAY_MILLIS };
        let at = |days: f64| axis.at(NOW - (days * DAY_MILLIS as f64) as u64);
        assert_eq!(at(0.0), 100.0);
        for (days, percent) in
            [(1.0 / 24.0, 80.0), (1.0, 60.0), (7.0, 40.0), (30.0, 20.0), (365.0, 0.0), (9_000.0, 0.0)]
        {
            assert!((at(days) - percent).abs() < 0.01, "{days}: {}", at(days));
        }
        let ages = [0.001, 0.01, 0.05, 0.5, 1.5, 6.0, 8.0, 29.0, 31.0, 200.0, 364.0];
        assert!(ages.windows(2).all(|pair| at(pair[0]) > at(pair[1])));
        // A time that is later than now, and a store whose day lasts two seconds.
        assert_eq!(axis.at(NOW + 5), 100.0);
        assert!((Axis { now: NOW, day: 2_000 }.at(NOW - 14_000) - 40.0).abs() < 0.01);
        assert_eq!((age(1.0 / 24.0), age(1.0), age(365.0)), ("1 h".into(), "24 h".into(), "1 y".into()));
    }

    #[test]
    fn tiers_follow_each_other_on_the_axis_until_now() {
        let moved = |tier: &str, days: u64| super::super::Moved {
            tier: tier.into(),
            since: NOW - days * DAY_MILLIS,
            ..Default::default()
        };
        let axis = Axis { now: NOW, day: DAY_MILLIS };
        let explained =
            Explanation { history: vec![moved("warm", 30), moved("cold", 7)], ..Explanation::default() };
        let found = places(&explained, &axis);
        assert_eq!(found.iter().map(|(_, _, tier)| *tier).collect::<Vec<_>>(), ["warm", "cold"]);
        assert!((found[0].1 - found[1].0).abs() < f64::EPSILON && (found[1].1 - 100.0).abs() < f64::EPSILON);
        let put = Explanation { tier: "hot".into(), since: NOW - DAY_MILLIS, ..Explanation::default() };
        assert_eq!(places(&put, &axis).len(), 1);
    }

    #[test]
    fn rates_take_a_few_characters() {
        let shown = [0.0, 0.001, 0.3, 9.99, 340.0, 12_345.0, 2e6].map(rate_shown);
        assert_eq!(shown, ["0", "<0.1", "0.3", "10", "340", "12k", "2M"]);
    }
}
