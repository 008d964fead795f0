//! The report as a picture: a bar for each contender, in one colour for each kind of cost.

use super::report::{Outcome, Report};
use std::fmt::Write;

const WIDTH: f64 = 860.0;
const LEFT: f64 = 110.0;
const RIGHT: f64 = 130.0;
const ROW: f64 = 30.0;
const TOP: f64 = 64.0;
const PARTS: [(&str, &str); 4] =
    [("storage", "#4269d0"), ("requests", "#97bbf5"), ("retrieval", "#ff725c"), ("moves", "#efb118")];

/// The report as a complete SVG document.
pub fn svg(report: &Report) -> String {
    let optimum = ("optimum".to_owned(), Outcome { costs: report.optimum, ..Outcome::default() });
    let rows: Vec<&(String, Outcome)> = std::iter::once(&optimum).chain(&report.outcomes).collect();
    let most = rows.iter().map(|(_, outcome)| outcome.costs.total()).fold(f64::MIN_POSITIVE, f64::max);
    let scale = (WIDTH - LEFT - RIGHT) / most;
    let height = TOP + ROW * rows.len() as f64 + 16.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
         font-size=\"13\">\n<rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#fff\"/>\n\
         <text x=\"12\" y=\"22\" font-size=\"15\">Cost by policy: dollars, and multiples of the optimum</text>\n"
    );
    for (index, (name, colour)) in PARTS.iter().enumerate() {
        let x = LEFT + 110.0 * index as f64;
        line(
            &mut svg,
            format_args!("<rect x=\"{x}\" y=\"36\" width=\"12\" height=\"12\" fill=\"{colour}\"/>"),
        );
        line(&mut svg, format_args!("<text x=\"{}\" y=\"47\">{name}</text>", x + 17.0));
    }
    for (index, (name, outcome)) in rows.iter().enumerate() {
        row(&mut svg, TOP + ROW * index as f64, scale, name, outcome, report.ratio(outcome));
    }
    svg.push_str("</svg>\n");
    svg
}

fn row(svg: &mut String, y: f64, scale: f64, name: &str, outcome: &Outcome, ratio: f64) {
    let middle = y + 16.0;
    line(svg, format_args!("<text x=\"{}\" y=\"{middle}\" text-anchor=\"end\">{name}</text>", LEFT - 8.0));
    let costs = &outcome.costs;
    let mut x = LEFT;
    for ((part, colour), paid) in
        PARTS.iter().zip([costs.storage, costs.requests, costs.retrieval, costs.moves])
    {
        let width = paid * scale;
        let title = format_args!("<title>{part}: {paid:.4}</title>");
        line(
            svg,
            format_args!(
                "<rect x=\"{x:.1}\" y=\"{y}\" width=\"{width:.1}\" height=\"22\" fill=\"{colour}\">{title}</rect>"
            ),
        );
        x += width;
    }
    let total = costs.total();
    line(svg, format_args!("<text x=\"{:.1}\" y=\"{middle}\">{total:.2} ({ratio:.2})</text>", x + 6.0));
}

/// Appends a line to the picture; writing to a `String` can't fail.
fn line(svg: &mut String, line: std::fmt::Arguments) {
    let _ = writeln!(svg, "{line}");
}
