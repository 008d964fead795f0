//! The newest requests that failed by the server's fault, each with the id under which the log tells more.

use crate::pages::browser::visible;
use crate::shown::span;
use crate::trouble::Trouble;
use crate::visit::Visit;
use http::Method;
use maud::{Markup, html};
use serde::Deserialize;

#[derive(Deserialize)]
struct Failure {
    seconds_ago: u64,
    id: String,
    operation: String,
    path: String,
    status: u16,
    code: Option<String>,
    cause: Option<String>,
}

/// The section, or none if no request failed.
pub async fn section(visit: &Visit) -> Result<Option<Markup>, Trouble> {
    let failures: Vec<Failure> = visit.ask().operator(Method::GET, "/failures").json().await?;
    if failures.is_empty() {
        return Ok(None);
    }
    Ok(Some(html! {
        section.card { h2 { "Failed lately" }
            div.scroll tabindex="0" role="region" aria-label="Failed lately" {
                table {
                    thead { tr { th scope="col" { "When" } th scope="col" { "What" } th scope="col" { "Answer" } th scope="col" { "Why" } th scope="col" { "In the log" } } }
                    tbody { @for failure in &failures { (line(failure)) } }
                }
            }
        }
    }))
}

fn line(failure: &Failure) -> Markup {
    let Failure { seconds_ago, id, operation, path, status, code, cause } = failure;
    html! {
        tr {
            td.muted { (span(seconds_ago.saturating_mul(1_000))) " ago" }
            th.name scope="row" { (operation) " " code.wrap { (visible(path)) } }
            td { (status) @if let Some(code) = code { " " (code) } }
            td { (cause.as_deref().unwrap_or("-")) }
            td { code { (id) } }
        }
    }
}
