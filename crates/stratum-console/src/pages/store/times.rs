//! Two small charts of how long requests took in the last hour, as the server has measured it.

use crate::shown::count;
use crate::trouble::Trouble;
use crate::visit::Visit;
use http::Method;
use maud::{Markup, html};
use serde::Deserialize;

const WIDTH: f64 = 600.0;
const HEIGHT: f64 = 96.0;

#[derive(Deserialize)]
struct Recent {
    step_seconds: u64,
    steps: Vec<Step>,
}

#[derive(Deserialize)]
struct Step {
    ended_seconds_ago: u64,
    reads: Times,
    writes: Times,
    failed: u64,
}

#[derive(Deserialize, Clone, Copy)]
struct Times {
    requests: u64,
    median_seconds: Option<f64>,
    p99_seconds: Option<f64>,
}

/// Chooses the times that a chart draws.
type Picked = fn(&Step) -> Times;

pub async fn section(visit: &Visit) -> Result<Markup, Trouble> {
    let recent: Recent = visit.ask().operator(Method::GET, "/latencies").json().await?;
    let failed: u64 = recent.steps.iter().map(|step| step.failed).sum();
    Ok(html! {
        section.card { h2 { "Requests in the last hour" }
            div.halves {
                (picture("Reads", &recent, |step| step.reads))
                (picture("Writes", &recent, |step| step.writes))
            }
            p.muted { @if failed == 0 { "None" } @else { (count(failed)) } " failed on the server's side. From a request's head to its answer's head; the line is what 99 of 100 stay below, the surface what half do." }
        }
    })
}

/// The chart of one kind of requests. The longest time is as high as the chart.
fn picture(title: &str, recent: &Recent, picked: Picked) -> Markup {
    let all: Vec<Times> = recent.steps.iter().map(picked).collect();
    let requests: u64 = all.iter().map(|times| times.requests).sum();
    let highest = all.iter().filter_map(|times| times.p99_seconds).fold(0.0, f64::max);
    let last = recent.steps.iter().rev().map(|step| (step.ended_seconds_ago, picked(step)));
    let lately = last.into_iter().find(|(_, times)| times.requests > 0);
    let said = match lately {
        None => format!("No {} in the last hour", title.to_lowercase()),
        Some((_, times)) => format!(
            "{} {}, lately {:.1} a second, half within {} and 99 of 100 within {}; at most {}",
            count(requests),
            title.to_lowercase(),
            times.requests as f64 / recent.step_seconds.max(1) as f64,
            time(times.median_seconds),
            time(times.p99_seconds),
            time(Some(highest)),
        ),
    };
    html! {
        figure.times {
            figcaption { strong { (title) } p.muted { (said) } }
            @if requests > 0 {
                p.scale.muted aria-hidden="true" { span { (time(Some(highest))) } }
                svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" role="img" aria-label=(said) {
                    @for run in runs(&all, highest, |times| times.median_seconds) { path.half d=(under(&run)) {} }
                    @for run in runs(&all, highest, |times| times.p99_seconds) { path.most d=(along(&run)) {} }
                }
                p.axis.muted { span { (minutes(recent)) " ago" } span { "now" } }
            }
        }
    }
}

fn minutes(recent: &Recent) -> String {
    let minutes = recent.steps.len() as u64 * recent.step_seconds / 60;
    format!("{} min", minutes.max(1))
}

/// A time as people read it, with its unit.
pub fn time(seconds: Option<f64>) -> String {
    match seconds {
        None => "-".into(),
        Some(seconds) if seconds < 0.001 => format!("{:.0} µs", seconds * 1e6),
        Some(seconds) if seconds < 0.01 => format!("{:.1} ms", seconds * 1e3),
        Some(seconds) if seconds < 1.0 => format!("{:.0} ms", seconds * 1e3),
        Some(seconds) => format!("{seconds:.1} s"),
    }
}

/// The stretches of successive steps that have a value, as points from left to right.
fn runs(all: &[Times], highest: f64, value: impl Fn(&Times) -> Option<f64>) -> Vec<Vec<(f64, f64)>> {
    let width = WIDTH / all.len().max(1) as f64;
    let mut runs: Vec<Vec<(f64, f64)>> = vec![Vec::new()];
    for (at, times) in all.iter().enumerate() {
        match (value(times), runs.last_mut()) {
            (Some(seconds), Some(run)) => {
                let y = HEIGHT - 2.0 - (HEIGHT - 4.0) * seconds / highest.max(f64::MIN_POSITIVE);
                // A step is drawn over its whole width, so that a single one is seen.
                run.extend([(at as f64 * width, y), ((at + 1) as f64 * width, y)]);
            }
            (None, _) => runs.push(Vec::new()),
            _ => {}
        }
    }
    runs.retain(|run| !run.is_empty());
    runs
}

fn along(run: &[(f64, f64)]) -> String {
    let points: Vec<String> = run.iter().map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
    format!("M{}", points.join(" L"))
}

fn under(run: &[(f64, f64)]) -> String {
    let edge = |point: Option<&(f64, f64)>| point.map_or(0.0, |(x, _)| *x);
    format!("{} L{:.1} {HEIGHT} L{:.1} {HEIGHT} Z", along(run), edge(run.last()), edge(run.first()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_without_requests_leave_a_gap_and_nothing_leaves_the_picture() {
        let of = |seconds: Option<f64>| Times { requests: 1, median_seconds: seconds, p99_seconds: seconds };
        let all = [of(Some(0.5)), of(None), of(Some(1.0)), of(Some(0.0))];
        let runs = runs(&all, 1.0, |times| times.p99_seconds);
        assert_eq!(runs.iter().map(Vec::len).collect::<Vec<_>>(), [2, 4]);
        for (x, y) in runs.iter().flatten() {
            assert!((0.0..=WIDTH).contains(x) && (0.0..=HEIGHT).contains(y), "{x} {y}");
        }
        assert!(under(&runs[0]).ends_with("L150.0 96 L0.0 96 Z"), "{}", under(&runs[0]));
    }

    #[test]
    fn times_are_written_with_their_unit() {
        for (seconds, text) in [(0.000_05, "50 µs"), (0.002, "2.0 ms"), (0.25, "250 ms"), (3.0, "3.0 s")] {
            assert_eq!(time(Some(seconds)), text);
        }
    }
}
