//! The form of a bucket's default retention.

use super::{Filled, form};
use crate::form::Fields;
use crate::frame::{Tone, field, notice, text_field};
use crate::trouble::Trouble;
use crate::visit::Visit;
use maud::{Markup, html};
use serde::Deserialize;

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Configuration {
    rule: Option<Rule>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Rule {
    default_retention: Retention,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Retention {
    mode: String,
    days: Option<u64>,
    years: Option<u64>,
}

const YEARS: &str = "Years";
const DAYS: &str = "Days";

pub fn shown(visit: &Visit, filled: &Filled<'_>) -> Markup {
    let set = filled.read::<Configuration>().rule.unwrap_or_default().default_retention;
    let (period, unit) = match (set.days, set.years) {
        (_, Some(years)) => (years.to_string(), YEARS),
        (Some(days), None) => (days.to_string(), DAYS),
        (None, None) => (String::new(), DAYS),
    };
    let (mode, unit) = (filled.text("mode", set.mode), filled.text("unit", unit));
    html! {
        @if filled.set.is_none() {
            (notice(Tone::Careful, html! { p { "This bucket has no object lock. Saving gives it one, which can't be taken back, and needs a bucket that keeps versions." } }))
        }
        (form(visit, html! {
            (field("mode", "New versions are kept", "Governance can be lifted by who may bypass it, compliance by nobody.", html! {
                select id="mode" name="mode" {
                    option value="" selected[mode.is_empty()] { "only where their request says so" }
                    option value="GOVERNANCE" selected[mode == "GOVERNANCE"] { "under governance" }
                    option value="COMPLIANCE" selected[mode == "COMPLIANCE"] { "under compliance" }
                }
            }))
            div.pair {
                (text_field("period", "For", "", &filled.text("period", period)))
                (field("unit", "Days or years", "", html! {
                    select id="unit" name="unit" {
                        option value=(DAYS) selected[unit == DAYS] { "days" }
                        option value=(YEARS) selected[unit == YEARS] { "years" }
                    }
                }))
            }
            button.primary type="submit" { "Save" }
        }))
    }
}

pub fn made(fields: &Fields) -> Result<String, Trouble> {
    let period = fields.number("period", "The time for which versions are kept")?;
    let rule = match (fields.get("mode"), period) {
        ("", None) => String::new(),
        ("", Some(_)) => {
            return Err(Trouble::wrong(
                "Choose how new versions are kept for that time, or leave the time empty.",
            ));
        }
        (mode @ ("GOVERNANCE" | "COMPLIANCE"), Some(period)) => {
            let unit = if fields.get("unit") == YEARS { YEARS } else { DAYS };
            format!(
                "<Rule><DefaultRetention><Mode>{mode}</Mode><{unit}>{period}</{unit}></DefaultRetention></Rule>"
            )
        }
        ("GOVERNANCE" | "COMPLIANCE", None) => {
            return Err(Trouble::wrong("Say for how long new versions are kept."));
        }
        _ => return Err(Trouble::wrong("Versions are kept under governance or compliance.")),
    };
    Ok(format!(
        "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled>{rule}</ObjectLockConfiguration>"
    ))
}
