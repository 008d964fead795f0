//! The tier map of a bucket: each prefix is a surface as large as what lies under it, striped in the colours of its
//! tiers; and what tiering saves.
//!
//! The figures of a whole bucket are those of the last walk. The objects under a prefix are counted for the page, but
//! no more of them than a page has time for.

mod treemap;

use crate::ask::if_allowed;
use crate::frame::{Part, Tone, laid_out, notice, shares, tier};
use crate::names;
use crate::pages::browser::{Tab, head, shown_name, visible};
use crate::pages::listing::{self, Mark, Row};
use crate::pages::report::{Held, Month, PerTier, Report, page_under, report};
use crate::shown::{bytes, count, counted, dollars, moment, percent};
use crate::trouble::Trouble;
use crate::visit::{Page, Visit, shown};
use maud::{Markup, html};
use treemap::{Tile, squarify};

/// How many surfaces a map has at most.
const MOST_SURFACES: usize = 24;
/// How many pages of the report are asked for to make one map, over all its prefixes.
const COUNTED_PAGES: usize = 60;
const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 420.0;

/// What lies under one prefix, or all objects that lie beside the prefixes.
struct Piece {
    name: String,
    /// The address that its surface links to.
    address: String,
    held: Held,
    is_all: bool,
}

/// `GET /b/{bucket}/tiers?prefix=...`
pub async fn map(visit: Visit) -> Page {
    let prefix = visit.query.get("prefix").to_owned();
    let whole = if_allowed(report(&visit.ask(), &visit.bucket).await)?.unwrap_or_default();
    let (pieces, is_all) = pieces(&visit, &prefix).await?;
    let mut held = Held::default();
    pieces.iter().for_each(|piece| held.add(&piece.held));
    let content = html! {
        (head(&visit.bucket, Tab::Tiers))
        (figures(&whole))
        section.card {
            h2 { "What lies where" @if !prefix.is_empty() { " under " code.wrap { (visible(&prefix)) } } }
            @if !prefix.is_empty() {
                p { a href=(address(&visit.bucket, names::parent(&prefix))) { "Up to " @if names::parent(&prefix).is_empty() { (visit.bucket) } @else { (visible(names::parent(&prefix))) } } }
            }
            @if held.bytes.all() == 0 { p.muted { "Nothing that takes room lies here." } }
            @else { (treemap(&pieces)) (legend(&held)) (table(&pieces)) }
            @if !is_all { (notice(Tone::Plain, html! { p { "There is more here than a page can count: the map shows a part of it. Folders within are counted by themselves." } })) }
        }
        @if let Some(month) = whole.month.as_ref().filter(|month| !month.moved.is_empty()) { (moved(month)) }
    };
    shown(visit.frame().page(Part::Buckets, &format!("Tiers of {}", visit.bucket), content))
}

fn address(bucket: &str, prefix: &str) -> String {
    names::of_bucket(bucket, &format!("/tiers?{}", names::query([("prefix", prefix)])))
}

/// The folders and objects directly under a prefix, counted as far as there is time, and whether all of them are.
async fn pieces(visit: &Visit, prefix: &str) -> Result<(Vec<Piece>, bool), Trouble> {
    let list = listing::objects(&visit.ask(), &visit.bucket, (prefix, ""), &Mark::default()).await?;
    let (mut pieces, mut is_all, mut left) = (Vec::new(), list.next.is_none(), COUNTED_PAGES);
    let mut files = Held::default();
    let mut file_count = 0;
    for row in list.rows {
        match row {
            Row::Folder(folder) => {
                let (counted, whole) = count_under(visit, &folder, &mut left).await?;
                is_all &= whole;
                let name = format!("{}/", shown_name(&folder));
                pieces.push(Piece {
                    name,
                    address: address(&visit.bucket, &folder),
                    held: counted,
                    is_all: whole,
                });
            }
            Row::Object(_) => file_count += 1,
        }
    }
    if file_count > 0 {
        // The objects beside the folders: all that is under the prefix without what is in the folders.
        let (all, whole) = count_under(visit, prefix, &mut left).await?;
        files.add(&all);
        pieces.iter().for_each(|piece| files = without(files, piece.held));
        is_all &= whole;
        let address = crate::pages::browser::Place {
            bucket: &visit.bucket,
            folder: prefix,
            begins: "",
            versions: false,
        };
        let name = counted(files.objects.all(), "object");
        pieces.push(Piece { name, address: address.address(None), held: files, is_all: whole });
    }
    pieces.retain(|piece| piece.held.bytes.all() > 0);
    pieces.sort_by_key(|piece| std::cmp::Reverse(piece.held.bytes.all()));
    is_all &= pieces.len() <= MOST_SURFACES;
    pieces.truncate(MOST_SURFACES);
    Ok((pieces, is_all))
}

fn without(all: Held, some: Held) -> Held {
    let less = |all: PerTier, some: PerTier| PerTier {
        hot: all.hot.saturating_sub(some.hot),
        warm: all.warm.saturating_sub(some.warm),
        cold: all.cold.saturating_sub(some.cold),
    };
    Held { objects: less(all.objects, some.objects), bytes: less(all.bytes, some.bytes) }
}

async fn count_under(visit: &Visit, prefix: &str, left: &mut usize) -> Result<(Held, bool), Trouble> {
    let (mut held, mut after) = (Held::default(), String::new());
    while *left > 0 {
        *left -= 1;
        let page = match prefix.is_empty() && after.is_empty() {
            true => report(&visit.ask(), &visit.bucket).await?,
            false => page_under(&visit.ask(), &visit.bucket, prefix, &after).await?,
        };
        held.add(&page.held);
        match page.after {
            Some(next) => after = next,
            None => return Ok((held, true)),
        }
    }
    Ok((held, false))
}

fn figures(whole: &Report) -> Markup {
    let Some(as_of) = whole.as_of else {
        return notice(
            Tone::Plain,
            html! { p { "Nobody has looked over this bucket yet; the store's figures come with its next walk." } },
        );
    };
    let less = whole.month_cost_in_hot - whole.month_cost;
    html! {
        div.cards {
            div.figure { h2 { "Holds" } p.value { (bytes(whole.held.bytes.all())) } p.muted { (counted(whole.held.objects.all(), "object")) ", " (moment(as_of)) } }
            div.figure { h2 { "A month of storage" } p.value { (dollars(whole.month_cost)) } p.muted { "all in hot: " (dollars(whole.month_cost_in_hot)) } }
            div.figure { h2 { "Tiering saves" } p.value { (dollars(less)) " a month" } p.muted { (percent(less, whole.month_cost_in_hot)) " of all in hot" } }
            @if let Some(month) = &whole.month {
                div.figure { h2 { "This month so far" } p.value { (dollars(month.saved)) " saved" } p.muted { (dollars(month.spent)) " spent on moves" } }
            }
        }
    }
}

/// Why objects were moved to other tiers this month.
fn moved(month: &Month) -> Markup {
    html! {
        section.card {
            h2 { "What was moved this month, and why" }
            table {
                thead { tr { th scope="col" { "Reason" } th.number scope="col" { "Objects" } th.number scope="col" { "Size" } } }
                tbody { @for (reason, (objects, size)) in &month.moved {
                    tr { th scope="row" { (reason.replace(['-', '_'], " ")) } td.number { (count(*objects)) } td.number { (bytes(*size)) } }
                } }
            }
        }
    }
}

fn legend(held: &Held) -> Markup {
    let all = held.bytes.all() as f64;
    html! {
        ul.legend {
            @for (name, part) in held.bytes.named() { li { (tier(name)) " " (bytes(part)) ", " (percent(part as f64, all)) } }
        }
    }
}

fn table(pieces: &[Piece]) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="By prefix" {
            table {
                thead { tr { th scope="col" { "Prefix" } th.number scope="col" { "Objects" } th.number scope="col" { "Size" } th.tiers scope="col" { "Tiers" } } }
                tbody {
                    @for piece in pieces {
                        tr {
                            th scope="row" { a href=(piece.address) { (piece.name) } }
                            td.number { @if !piece.is_all { "at least " } (count(piece.held.objects.all())) }
                            td.number { (bytes(piece.held.bytes.all())) }
                            td.tiers { (shares(&piece.held.bytes.shares())) span.hidden { (piece.held.bytes.in_words()) } }
                        }
                    }
                }
            }
        }
    }
}

/// The tier in which most of the bytes lie.
fn most(held: &Held) -> &'static str {
    let most = held.bytes.named().into_iter().max_by_key(|(_, part)| *part);
    most.map_or("other", |(name, _)| name)
}

fn treemap(pieces: &[Piece]) -> Markup {
    let sizes: Vec<f64> = pieces.iter().map(|piece| piece.held.bytes.all() as f64).collect();
    let tiles = squarify(&sizes, Tile { x: 0.0, y: 0.0, width: WIDTH, height: HEIGHT });
    html! {
        svg.map viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="group" aria-label="Tier map: each surface is as large as what lies under its prefix" {
            @for (piece, tile) in pieces.iter().zip(tiles) { (surface(piece, &tile)) }
        }
    }
}

/// The surface of a piece, with a stripe for each tier.
fn surface(piece: &Piece, tile: &Tile) -> Markup {
    let told = format!(
        "{} {}, mostly {} ({})",
        piece.name,
        bytes(piece.held.bytes.all()),
        most(&piece.held),
        piece.held.bytes.in_words()
    );
    let fits = tile.width > 70.0 && tile.height > 26.0;
    let letters = ((tile.width - 16.0) / 8.2) as usize;
    html! {
        a href=(piece.address) {
            title { (told) }
            @for (name, at, length) in laid_out(&piece.held.bytes.shares()) {
                rect.(name) x=(px(tile.x)) y=(px(tile.y + at * tile.height)) width=(px(tile.width)) height=(px(length * tile.height)) {}
            }
            rect.frame x=(px(tile.x)) y=(px(tile.y)) width=(px(tile.width)) height=(px(tile.height)) {}
            @if fits {
                text x=(px(tile.x + 9.0)) y=(px(tile.y + 20.0)) { (cut(&piece.name, letters)) }
                @if tile.height > 46.0 { text.small x=(px(tile.x + 9.0)) y=(px(tile.y + 37.0)) { (bytes(piece.held.bytes.all())) } }
            }
        }
    }
}

fn px(at: f64) -> String {
    format!("{at:.1}")
}

fn cut(name: &str, letters: usize) -> String {
    match name.chars().count() > letters {
        true => format!("{}...", name.chars().take(letters.saturating_sub(2)).collect::<String>()),
        false => name.to_owned(),
    }
}
