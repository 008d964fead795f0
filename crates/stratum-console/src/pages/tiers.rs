//! The tier map of a bucket: each prefix is a surface as large as what lies under it, or as what that costs, striped in
//! the colours of its tiers; and what tiering saves.
//!
//! The figures of a whole bucket, and of prefixes under which much lies, are those of the last walk. The objects under
//! others are counted for the page, but no more of them than a page has time for.

mod treemap;

use crate::ask::if_allowed;
use crate::frame::{Part, Tone, laid_out, notice, shares, tier};
use crate::names;
use crate::pages::browser::{Place, Tab, head, shown_name, visible};
use crate::pages::listing::{self, Row};
use crate::pages::report::{Beside, Held, Month, PerTier, Report, page_under, report};
use crate::shown::{bytes, count, counted, dollars, moment, percent};
use crate::trouble::Trouble;
use crate::visit::{Page, Visit, shown};
use maud::{Markup, html};
use treemap::{Tile, squarify};

/// How many surfaces a map has at most.
const MOST_SURFACES: usize = 24;
/// For how long the objects under the prefixes are counted for one map, in milliseconds: so that the page comes at once, and
/// where somebody asks for the whole.
const MILLIS_AT_ONCE: u64 = 50;
const MILLIS_OF_PATIENCE: u64 = 5_000;
/// How many of them are counted by a page each, however long that takes.
const SURELY_COUNTED: usize = 16;
const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 420.0;

/// What lies under one prefix, or all objects that lie beside the prefixes.
struct Piece {
    name: String,
    /// The address that its surface links to.
    address: String,
    held: Held,
    /// What a month of storage costs, in dollars.
    month: f64,
    is_all: bool,
}

/// What the area of a surface stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Area {
    Size,
    Cost,
}

impl Area {
    const ALL: [Area; 2] = [Area::Size, Area::Cost];

    fn named(name: &str) -> Area {
        if name == "cost" { Area::Cost } else { Area::Size }
    }

    /// The area's name in addresses, where size, as what is usual, has none.
    fn name(self) -> &'static str {
        match self {
            Area::Size => "",
            Area::Cost => "cost",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Area::Size => "By size",
            Area::Cost => "By what a month costs",
        }
    }

    fn of(self, piece: &Piece) -> f64 {
        match self {
            Area::Size => piece.held.bytes.all() as f64,
            Area::Cost => piece.month,
        }
    }

    /// What the second line of a surface says.
    fn figure(self, piece: &Piece) -> String {
        match self {
            Area::Size => bytes(piece.held.bytes.all()),
            Area::Cost => format!("{} a month", dollars(piece.month)),
        }
    }
}

/// `GET /b/{bucket}/tiers?prefix=...&by=cost&count=all`
pub async fn map(visit: Visit) -> Page {
    let (prefix, area) = (visit.query.get("prefix").to_owned(), Area::named(visit.query.get("by")));
    let whole = if_allowed(report(&visit.ask(), &visit.bucket).await)?.unwrap_or_default();
    let is_patient = visit.query.get("count") == "all";
    let millis = if is_patient { MILLIS_OF_PATIENCE } else { MILLIS_AT_ONCE };
    let (pieces, is_all) = pieces(&visit, &prefix, area, millis).await?;
    let mut held = Held::default();
    pieces.iter().for_each(|piece| held.add(&piece.held));
    let content = html! {
        (head(&visit.bucket, Tab::Tiers))
        (figures(&whole))
        section.card {
            h2 { "What lies where" @if !prefix.is_empty() { " under " code.wrap { (visible(&prefix)) } } }
            @if !prefix.is_empty() {
                p { a href=(address(&visit.bucket, names::parent(&prefix), area)) { "Up to " @if names::parent(&prefix).is_empty() { (visit.bucket) } @else { (visible(names::parent(&prefix))) } } }
            }
            @if held.bytes.all() == 0 { p.muted { "Nothing that takes room lies here." } }
            @else { (switch(&visit.bucket, &prefix, area)) (treemap(&pieces, area)) (legend(&held)) (table(&pieces)) }
            @if !is_all { (notice(Tone::Plain, html! { p { "There is more here than could be counted in a moment: the map shows a part of it. "
                @if is_patient { "Folders within are counted by themselves." }
                @else { a href={ (address(&visit.bucket, &prefix, area)) "&count=all" } { "Count for longer" } }
            } })) }
        }
        @if let Some(month) = whole.month.as_ref().filter(|month| !month.moved.is_empty()) { (moved(month)) }
    };
    shown(visit.frame().page(Part::Buckets, &format!("Tiers of {}", visit.bucket), content))
}

fn address(bucket: &str, prefix: &str, area: Area) -> String {
    let query = names::query([("prefix", prefix), ("by", area.name())]);
    names::of_bucket(bucket, &format!("/tiers?{query}"))
}

/// Lets choose what the areas stand for.
fn switch(bucket: &str, prefix: &str, area: Area) -> Markup {
    html! {
        nav.switch aria-label="What the areas stand for" {
            @for one in Area::ALL {
                a.button href=(address(bucket, prefix, one)) aria-current=[(one == area).then_some("true")] { (one.words()) }
            }
        }
    }
}

/// The folders and objects directly under a prefix, counted as far as there is time, and whether all of them are.
async fn pieces(visit: &Visit, prefix: &str, area: Area, millis: u64) -> Result<(Vec<Piece>, bool), Trouble> {
    let list = listing::first(&visit.ask(), &visit.bucket, prefix).await?;
    let has_files = list.rows.iter().any(|row| matches!(row, Row::Object(_)));
    let folders = list.rows.into_iter().filter_map(|row| match row {
        Row::Folder(folder) => Some(Counting::new(folder)),
        Row::Object(_) => None,
    });
    // All that is under the prefix, without what is in the folders, are the objects beside them.
    let whole = has_files.then(|| Counting::new(prefix.to_owned()));
    let mut counted: Vec<Counting> = whole.into_iter().chain(folders).collect();
    // A page of each in turn, so that a large one leaves time for the others. The map of a few small folders is whole
    // on a slow machine, too.
    let ends = visit.monotonic().saturating_add(millis);
    for one in counted.iter_mut().take(SURELY_COUNTED) {
        one.go_on(visit).await?;
    }
    while visit.monotonic() < ends && counted.iter().any(|one| !one.is_all()) {
        for one in counted.iter_mut().filter(|one| !one.is_all()) {
            if visit.monotonic() < ends {
                one.go_on(visit).await?;
            }
        }
    }
    // Of what is counted in part nobody can say what is beside it.
    let is_all_counted = counted.iter().all(Counting::is_all);
    let mut is_all = list.next.is_none() && is_all_counted;
    let files = has_files.then(|| counted.remove(0));
    let folder = |one: &Counting| {
        let (name, address) =
            (format!("{}/", shown_name(&one.prefix)), address(&visit.bucket, &one.prefix, area));
        one.piece(name, address)
    };
    let mut pieces: Vec<Piece> = counted.iter().map(folder).collect();
    if let Some(mut files) = files.filter(|files| files.beside.is_some() || is_all_counted) {
        match files.beside {
            Some(Beside { held, month_cost }) => (files.held, files.month) = (held, month_cost),
            None => {
                for piece in &pieces {
                    files.held = without(files.held, piece.held);
                    files.month = (files.month - piece.month).max(0.0);
                }
            }
        }
        let place = Place { bucket: &visit.bucket, folder: prefix, begins: "", versions: false };
        pieces.push(
            files.piece(crate::shown::counted(files.held.objects.all(), "object"), place.address(None)),
        );
    }
    pieces.retain(|piece| piece.held.bytes.all() > 0);
    pieces.sort_by(|one, other| area.of(other).total_cmp(&area.of(one)));
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

/// What was counted under a prefix so far.
struct Counting {
    prefix: String,
    held: Held,
    month: f64,
    beside: Option<Beside>,
    next: Next,
}

/// Where counting goes on.
enum Next {
    Begin,
    After(String),
    /// All is counted.
    Nowhere,
}

impl Counting {
    fn new(prefix: String) -> Counting {
        Counting { prefix, held: Held::default(), month: 0.0, beside: None, next: Next::Begin }
    }

    fn is_all(&self) -> bool {
        matches!(self.next, Next::Nowhere)
    }

    /// Counts a page more.
    async fn go_on(&mut self, visit: &Visit) -> Result<(), Trouble> {
        let after = match &self.next {
            Next::Begin => "",
            Next::After(after) => after.as_str(),
            Next::Nowhere => return Ok(()),
        };
        let page = page_under(&visit.ask(), &visit.bucket, &self.prefix, after).await?;
        self.held.add(&page.held);
        self.beside = page.beside;
        self.month += page.month_cost;
        self.next = page.after.map_or(Next::Nowhere, Next::After);
        Ok(())
    }

    fn piece(&self, name: String, address: String) -> Piece {
        Piece { name, address, held: self.held, month: self.month, is_all: self.is_all() }
    }
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
                thead { tr { th scope="col" { "Prefix" } th.number scope="col" { "Objects" } th.number scope="col" { "Size" } th.number scope="col" { "A month" } th.tiers scope="col" { "Tiers" } } }
                tbody {
                    @for piece in pieces {
                        tr {
                            th scope="row" { a href=(piece.address) { (piece.name) } }
                            td.number { @if !piece.is_all { "at least " } (count(piece.held.objects.all())) }
                            td.number { (bytes(piece.held.bytes.all())) }
                            td.number { (dollars(piece.month)) }
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

fn treemap(pieces: &[Piece], area: Area) -> Markup {
    let sizes: Vec<f64> = pieces.iter().map(|piece| area.of(piece)).collect();
    let tiles = squarify(&sizes, Tile { x: 0.0, y: 0.0, width: WIDTH, height: HEIGHT });
    let means = match area {
        Area::Size => "what lies under its prefix",
        Area::Cost => "what a month of storage under its prefix costs",
    };
    html! {
        svg.map viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="group" aria-label={ "Tier map: each surface is as large as " (means) } {
            @for (piece, tile) in pieces.iter().zip(tiles) { (surface(piece, &tile, area)) }
        }
    }
}

/// The surface of a piece, with a stripe for each tier, the largest on top.
fn surface(piece: &Piece, tile: &Tile, area: Area) -> Markup {
    let told = format!(
        "{} {}, {} a month, mostly {} ({})",
        piece.name,
        bytes(piece.held.bytes.all()),
        dollars(piece.month),
        most(&piece.held),
        piece.held.bytes.in_words()
    );
    let mut stripes = piece.held.bytes.shares();
    stripes.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    html! {
        a href=(piece.address) {
            title { (told) }
            @for (name, at, length) in laid_out(&stripes) {
                rect.(name) x=(px(tile.x)) y=(px(tile.y + at * tile.height)) width=(px(tile.width)) height=(px(length * tile.height)) {}
            }
            rect.frame x=(px(tile.x)) y=(px(tile.y)) width=(px(tile.width)) height=(px(tile.height)) {}
            @if tile.width > 70.0 && tile.height > 30.0 { (label(piece, tile, area)) }
        }
    }
}

const LETTER_WIDTH: f64 = 8.2;

/// The name of a piece, and its figure where there is room, on a ground of their own: a stripe may end behind them.
fn label(piece: &Piece, tile: &Tile, area: Area) -> Markup {
    let letters = ((tile.width - 20.0) / LETTER_WIDTH) as usize;
    let has_figure = tile.height > 50.0;
    let lines = [
        cut(&piece.name, letters),
        if has_figure { cut(&area.figure(piece), letters) } else { String::new() },
    ];
    let longest = lines.iter().map(|line| line.chars().count()).max().unwrap_or_default() as f64;
    let [name, figure] = &lines;
    html! {
        rect.plate x=(px(tile.x + 4.0)) y=(px(tile.y + 4.0)) width=(px(longest * LETTER_WIDTH + 10.0)) height=(if has_figure { "39" } else { "22" }) rx="4" {}
        text x=(px(tile.x + 9.0)) y=(px(tile.y + 20.0)) { (name) }
        @if has_figure { text.small x=(px(tile.x + 9.0)) y=(px(tile.y + 37.0)) { (figure) } }
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
