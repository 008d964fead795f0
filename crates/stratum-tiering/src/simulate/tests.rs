use super::charges::Costs;
use super::generate::Shape;
use super::*;
use crate::policy::{Policy, Priority, Thresholds};
use crate::tier::{PerTier, Tier};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;

const HEAD: &str = "time_s,object,size_bytes,read_bytes\n";
/// Three objects of a GiB over 100 days: one read once, one again after 60 days, one daily for a while.
const FIXTURE: &str = include_str!("../../fixtures/trace.csv");
const SECONDS: u64 = 86_400;
const GET_HOT: f64 = 0.0004 / 1_000.0;
const GET_COLD: f64 = 0.01 / 1_000.0;
const PUT_COLD: f64 = 0.02 / 1_000.0;
const PUT_HOT: f64 = 0.005 / 1_000.0;

fn parse(text: &str) -> Result<Trace, TraceError> {
    Trace::read(text.as_bytes())
}

fn rows(rows: &str) -> Trace {
    parse(&format!("{HEAD}{rows}")).unwrap()
}

fn replay(trace: &Trace, contender: &Contender) -> Outcome {
    replay::replay(trace, &Prices::CLOUD, contender, Priority::Balanced)
}

fn run(trace: &Trace, name: &str) -> Outcome {
    replay(trace, &Contender::named(name).unwrap())
}

fn close(costs: Costs, storage: f64, requests: f64, retrieval: f64, moves: f64) {
    let expected = Costs { storage, requests, retrieval, moves };
    let pairs = [
        (costs.storage, storage),
        (costs.requests, requests),
        (costs.retrieval, retrieval),
        (costs.moves, moves),
    ];
    assert!(pairs.iter().all(|(a, b)| (a - b).abs() < 1e-9), "{costs:?} where {expected:?} is right");
}

#[test]
fn bad_lines_are_refused_with_their_number_and_their_fault() {
    for (row, said) in [
        ("1,a,10", "it has 3 fields"),
        ("1,a,10,5,6", "it has 5 fields"),
        ("soon,a,10,5", "time_s is 'soon'"),
        ("-1,a,10,5", "time_s is '-1'"),
        ("nan,a,10,5", "time_s is 'nan'"),
        ("99999999999999,a,10,5", "time_s is"),
        ("100,,10,5", "object is empty"),
        ("100,a,ten,5", "size_bytes is 'ten'"),
        ("100,a,10,-5", "read_bytes is '-5'"),
        ("100,a,10,5.5", "read_bytes is '5.5'"),
        ("100,a,18446744073709551615,5", "an object of 18446744073709551615 bytes is larger than any store"),
        ("100,b,1125899906842625,5", "an object of 1125899906842625 bytes"),
        ("100,a,18446744073709551616,5", "no whole number"),
        ("100,a,10,11", "a read of 11 bytes"),
        ("49,a,10,5", "before that of the line above"),
    ] {
        let refused = parse(&format!("{HEAD}50,a,10,10\n\n{row}\n60,b,10,10\n")).unwrap_err().to_string();
        assert!(refused.starts_with("line 4 of the trace: "), "{row}: {refused}");
        assert!(refused.contains(said), "{row}: {refused}");
    }
    assert!(matches!(parse(HEAD), Err(TraceError::Empty)));
    for head in ["", "1,a,10,5\n", "time,object,size,read\n1,a,10,5\n"] {
        assert!(matches!(parse(head), Err(TraceError::Columns)), "{head}");
    }
    let mut foreign = HEAD.as_bytes().to_vec();
    foreign.extend(b"50,a,10,10\n60,\xff,10,10\n");
    assert!(
        Trace::read(&foreign[..]).unwrap_err().to_string().starts_with("line 3 of the trace: it is no UTF-8")
    );
}

#[test]
fn sizes_that_no_store_holds_together_are_refused_where_they_pass_that() {
    // Each object is as large as one may be; the 1025th is the first that is too much.
    let largest = 1u64 << 50;
    let row = |object: u64| format!("{object},{object},{largest},0\n");
    let rows: String = (0..1_024).map(row).collect();
    let whole = parse(&format!("{HEAD}{rows}")).unwrap();
    assert_eq!(whole.bytes(), 1 << 60);
    let report = simulate(&whole, &Prices::CLOUD, &Contender::all(), Priority::Balanced);
    assert!(report.json()["optimum"].as_f64().is_some_and(f64::is_finite));
    let refused = parse(&format!("{HEAD}{rows}{}", row(1_024))).unwrap_err().to_string();
    assert!(refused.starts_with("line 1026 of the trace: with its 1125899906842624 bytes"), "{refused}");
    // What is told of an object again is no other object.
    assert_eq!(parse(&format!("{HEAD}{rows}2000,7,{largest},5\n")).unwrap().bytes(), 1 << 60);
    // Put together, even such traces have a sum.
    let many = Trace::together(&vec![whole; 20], false).unwrap();
    assert_eq!(many.bytes(), u64::MAX);
}

#[test]
fn a_trace_may_be_gzipped_and_a_torn_one_is_refused() {
    let zipped = |text: &str| {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(text.as_bytes()).unwrap();
        gzip.finish().unwrap()
    };
    let whole = zipped(FIXTURE);
    assert_eq!(Trace::read(&whole[..]).unwrap(), parse(FIXTURE).unwrap());
    // Some spreadsheets write a mark before the first line.
    let marked = format!("\u{feff}{FIXTURE}");
    assert_eq!(parse(&marked).unwrap(), parse(FIXTURE).unwrap());
    assert_eq!(Trace::read(&zipped(&marked)[..]).unwrap(), parse(FIXTURE).unwrap());
    let torn = Trace::read(&whole[..whole.len() - 12]).unwrap_err();
    assert!(matches!(torn, TraceError::Unreadable { .. }), "{torn}");
}

#[test]
fn names_are_any_and_an_object_is_as_large_as_ever() {
    let trace = rows("1.5,\"a,b/c\",10,5\n2,d,1,1\n3,\"a,b/c\",20,20\n");
    assert_eq!((trace.objects(), trace.size(0), trace.size(1)), (2, 20, 1));
    assert_eq!(trace.reads()[0].time, 1_500);
    assert_eq!(parse(&format!("\u{feff}{HEAD}1.5,d,1,1\n")).unwrap().objects(), 1, "a spreadsheet's file");
}

#[test]
fn traces_together_have_one_group_or_their_own() {
    let one = Shape::CoolingLogs.generate(40, 60, 1).unwrap();
    let other = Shape::Video.generate(40, 60, 2).unwrap();
    let groups = |trace: &Trace, of: std::ops::Range<u32>| -> std::collections::BTreeSet<u32> {
        of.map(|object| trace.group(object)).collect()
    };
    let mixed = Trace::together(&[one.clone(), other.clone()], false).unwrap();
    let apart = Trace::together(&[one.clone(), other.clone()], true).unwrap();
    assert_eq!((mixed.reads().len(), mixed.objects()), (one.reads().len() + other.reads().len(), 80));
    assert_eq!((mixed.reads(), mixed.size(41)), (apart.reads(), other.size(1)));
    assert!(!groups(&mixed, 0..40).is_disjoint(&groups(&mixed, 40..80)));
    assert!(groups(&apart, 0..40).is_disjoint(&groups(&apart, 40..80)));
}

#[test]
fn objects_first_read_one_after_the_other_are_a_group() {
    let hours = |hours: u64| hours * 3_600;
    let trace = rows(&format!("0,a,1,1\n{},b,1,1\n{},a,1,1\n{},c,1,1\n", hours(6), hours(9), hours(13)));
    assert_eq!([0, 1, 2].map(|object| trace.group(object)), [0, 0, 1]);
    let many: String = (0..1_030).map(|object| format!("0,{object},1,1\n")).collect();
    let many = rows(&many);
    assert_eq!((many.group(1_023), many.group(1_024)), (0, 1));
}

#[test]
fn charges_are_those_of_the_conventions() {
    // One object of a GiB, read whole on days 0 and 60, and a trace that ends on day 121.75: four months.
    let end = 121 * SECONDS + SECONDS * 3 / 4;
    let trace = rows(&format!("0,a,{0},{0}\n{1},a,{0},{0}\n{end},b,0,0\n", 1 << 30, 60 * SECONDS));
    let b = GET_HOT;
    let month = |days: f64| days / 30.4375;
    close(run(&trace, "static-hot").costs, 4.0 * 0.023, 2.0 * GET_HOT + b, 0.0, 0.0);
    // Placed in cold from the start: a put each, and no GET of hot.
    close(run(&trace, "static-cold").costs, 4.0 * 0.004, GET_HOT + GET_COLD + b, 0.03, 2.0 * PUT_COLD);
    // Ten days hot, cold until day 60, up with the read, ten days hot, cold to the end.
    let hot_days = 20.0;
    let storage = month(hot_days) * 0.023 + month(121.75 - hot_days) * 0.004;
    let moves = 2.0 * (PUT_COLD + GET_HOT) + PUT_HOT;
    let idle = run(&trace, "idle-10");
    close(idle.costs, storage, GET_HOT + GET_COLD + b, 0.03, moves);
    assert_eq!((idle.reads.cold, idle.moves.cold, idle.moves.hot), (1, 2, 1));
    // The cloud's own terms: no requests but hot's, a fee for the one object that is large enough.
    let storage = month(30.0 + 30.0) * 0.023 + month(30.0 + 31.75) * 0.0125 + 4.0 * 0.0025 / 1_000.0;
    close(run(&trace, "cloud-30-90").costs, storage, 2.0 * GET_HOT + b, 0.0, 0.0);
}

/// The dynamic program against every possible sequence of placements.
#[test]
fn the_optimum_is_that_of_trying_everything() {
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..200 {
        let size = 1u64 << random.u32(16..32);
        let mut days: Vec<u64> = (0..6).map(|_| random.u64(0..200) * SECONDS).collect();
        days.sort_unstable();
        let text: String =
            days.iter().map(|time| format!("{time},a,{size},{}\n", size / random.u64(1..9))).collect();
        let trace = rows(&text);
        let best = optimum::optimum(&trace, &Prices::CLOUD).total();
        let tried = (0..3usize.pow(6)).map(|plan| planned(&trace, plan)).fold(f64::INFINITY, f64::min);
        assert!((best - tried).abs() < 1e-12, "{best} where {tried} can be had");
    }
}

/// What it costs if the object lies, after each read, in the tier that a digit (base 3) of the plan says.
fn planned(trace: &Trace, mut plan: usize) -> f64 {
    use super::charges::{Moment, moving, storage};
    let (prices, size) = (Prices::CLOUD, trace.size(0));
    let (mut tier, mut cost) = (Tier::Hot, 0.0);
    for (index, read) in trace.reads().iter().enumerate() {
        cost += prices.get(tier) + if index > 0 { prices.retrieval(tier, read.bytes as f64) } else { 0.0 };
        let next = Tier::ALL[plan % 3];
        plan /= 3;
        cost += moving(&prices, tier, next, size, Moment::AfterRead);
        tier = next;
        let until = trace.reads().get(index + 1).map_or(trace.end(), |read| read.time);
        cost += storage(&prices, tier, size, read.time, until);
    }
    cost
}

#[test]
fn nobody_beats_the_optimum_and_parts_make_the_whole() {
    for (name, shape) in Shape::ALL {
        let trace = shape.generate(300, 200, 1).unwrap();
        let report = simulate(&trace, &Prices::CLOUD, &Contender::all(), Priority::Balanced);
        let ours = |(contender, _): &&(String, Outcome)| !contender.starts_with("cloud");
        for (contender, outcome) in report.outcomes.iter().filter(ours) {
            assert!(report.ratio(outcome) >= 1.0 - 1e-9, "{name}, {contender}: {}", report.ratio(outcome));
        }
        let json = report.json();
        for policy in json["policies"].as_object().unwrap().values() {
            let part = |field: &str| policy[field].as_f64().unwrap();
            let sum: f64 = ["storage", "requests", "retrieval", "moves"].into_iter().map(part).sum();
            assert!((part("total") - sum).abs() < 1e-9);
            assert!((part("ratio") - sum / json["optimum"].as_f64().unwrap()).abs() < 1e-9);
        }
    }
}

/// On use in campaigns the default policy costs about as little as the best simple rule, or less.
#[test]
fn the_default_policy_holds_its_own_on_campaigns() {
    for seed in 1..4 {
        let trace = Shape::Campaigns.generate(2_000, 400, seed).unwrap();
        let report = simulate(&trace, &Prices::CLOUD, &Contender::all(), Priority::Balanced);
        let ratio = |name: &str| {
            report.outcomes.iter().find(|(other, _)| other == name).map(|(_, o)| report.ratio(o)).unwrap()
        };
        let best = ["static-hot", "static-cold", "rule-30-90", "ski", "idle-10"]
            .map(ratio)
            .into_iter()
            .fold(9.9, f64::min);
        assert!(ratio("cost") <= best * 1.02, "{} beside {best}", ratio("cost"));
    }
}

/// What is read at its hour of each week isn't read from cold any more once that is known, where slow reads count and
/// bytes cost nothing to move; it costs less storage than they are worth, and nothing where they don't count.
#[test]
fn foreseen_visits_are_served_from_hot_where_that_pays() {
    let own = |storage_gb_month| crate::prices::TierPrices {
        storage_gb_month,
        retrieval_gb: 0.0,
        get_1000: 0.0,
        put_1000: 0.0,
    };
    let prices = Prices::new(PerTier { hot: own(0.023), warm: own(0.0125), cold: own(0.004) }).unwrap();
    let trace = Shape::Weekly.generate(200, 200, 4).unwrap();
    let outcome = |proven_visits, priority| {
        let way = contender::Way::Policy(Policy { proven_visits, ..Policy::COST });
        replay::replay(&trace, &prices, &Contender { name: String::new(), way }, priority)
    };
    let (blind, seeing) = (outcome(u8::MAX, Priority::Latency), outcome(3, Priority::Latency));
    assert!(seeing.reads.cold * 2 < blind.reads.cold, "{seeing:?} for {blind:?}");
    // A slow read is taken to cost 0.0001 dollars.
    let spared = (blind.reads.cold - seeing.reads.cold) as f64 * 0.0001;
    assert!(seeing.costs.total() - blind.costs.total() < spared, "{seeing:?} for {blind:?}");
    assert_eq!(outcome(3, Priority::Balanced).moves, outcome(u8::MAX, Priority::Balanced).moves);
}

#[test]
fn a_replay_tells_the_same_twice_and_the_warm_up_holds_everything() {
    let trace = Shape::Video.generate(200, 100, 3).unwrap();
    assert_eq!(run(&trace, "cost"), run(&trace, "cost"));
    assert_eq!(trace, Shape::Video.generate(200, 100, 3).unwrap());
    let week = trace.between(0.0, 6.9).unwrap();
    assert_eq!(run(&week, "cost"), Outcome { ..run(&week, "static-hot") });
    let watched = Policy { warm_up_days: 1_000.0, ..Policy::COST };
    let watched = Contender { name: "watched".to_owned(), way: contender::Way::Policy(watched) };
    assert_eq!(replay(&trace, &watched), run(&trace, "static-hot"));
}

/// The idle model of the policy costs the same as the simulator's own idle rule.
#[test]
fn the_two_ways_to_a_rule_by_idle_time_agree() {
    let thresholds = Thresholds { warm_days: Some(30.0), cold_days: Some(90.0) };
    let policy = Policy { model: crate::policy::Model::Idle(thresholds), warm_up_days: 0.0, ..Policy::COST };
    let ours = Contender { name: "ours".to_owned(), way: contender::Way::Policy(policy) };
    for (name, shape) in Shape::ALL {
        let trace = shape.generate(200, 300, 5).unwrap();
        let (ours, theirs) = (replay(&trace, &ours), run(&trace, "rule-30-90"));
        assert_eq!(ours.moves, theirs.moves, "{name}");
        assert!((ours.costs.total() / theirs.costs.total() - 1.0).abs() < 1e-9, "{name}");
    }
}

#[test]
fn a_written_trace_reads_back_and_halves_are_whole() {
    let trace = Shape::Noise.generate(50, 60, 2).unwrap();
    assert_eq!(parse(&trace.csv()).unwrap(), trace);
    let middle = trace.days() / 2.0;
    let halves = [(0.0, middle), (middle, f64::INFINITY)].map(|(from, to)| trace.between(from, to).unwrap());
    assert_eq!(halves.iter().map(|half| half.reads().len()).sum::<usize>(), trace.reads().len());
}

#[test]
fn the_picture_has_a_bar_for_everyone() {
    let report = simulate(&parse(FIXTURE).unwrap(), &Prices::CLOUD, &Contender::all(), Priority::Balanced);
    let svg = plot::svg(&report);
    let table = report.to_string();
    for name in Contender::NAMES.into_iter().chain(["optimum"]) {
        assert!(svg.contains(&format!(">{name}</text>")), "{name}");
        assert!(table.lines().any(|line| line.starts_with(name)), "{name}");
    }
    check_tags(&svg);
}

#[test]
fn the_table_of_a_small_trace_shows_what_it_costs() {
    let trace = rows("1,a,1000,1000\n86400,a,1000,1000\n");
    let table = simulate(&trace, &Prices::CLOUD, &Contender::all(), Priority::Balanced).to_string();
    let total = |name: &str| {
        let row = table.lines().find(|line| line.starts_with(name)).unwrap();
        row.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap()
    };
    assert!(total("optimum") > 0.0 && total("static-hot") > 0.0, "{table}");
    let large = rows("1,a,1000000000000,1000\n8640000,a,1000000000000,1000\n");
    let table = simulate(&large, &Prices::CLOUD, &Contender::all(), Priority::Balanced).to_string();
    let optimum = table.lines().find(|line| line.starts_with("optimum")).unwrap();
    assert_eq!(optimum.split_whitespace().nth(1).unwrap().split_once('.').unwrap().1.len(), 4, "{table}");
}

/// Every tag that is opened is closed.
fn check_tags(svg: &str) {
    let opened = svg.matches('<').count() - svg.matches("</").count() - svg.matches("/>").count();
    assert_eq!(opened, svg.matches("</").count());
}
