//! `stratum tier simulate`: calculates what tiering would cost for a trace of reads, before tiering is switched on.
//! `stratum tier generate`: prints made-up traces to try that with.

use crate::output;
use clap::Args;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use stratum_tiering::policy::Priority;
use stratum_tiering::prices::Prices;
use stratum_tiering::simulate::generate::Shape;
use stratum_tiering::simulate::{AccessLog, Contender, Report, Trace, TraceError, plot, simulate};

const EXIT_FAILED: u8 = 2;

/// The arguments of `stratum tier simulate`.
#[derive(Args)]
pub struct SimulateArgs {
    /// The trace: a CSV file of reads, gzipped or not, in the order of time, with the columns
    /// time_s,object,size_bytes,read_bytes. Or access-log:FILE, a server access log as S3 and this server write them,
    /// or a folder of such logs.
    #[arg(long, value_name = "FILE", value_parser = source)]
    trace: Source,
    /// A TOML file with prices in dollars: [hot], [warm] and [cold], each with storage_gb_month, retrieval_gb, get_1000
    /// and put_1000. [default: a public cloud's list prices]
    #[arg(long, value_name = "FILE")]
    prices: Option<PathBuf>,
    /// A policy to simulate: cost, rules, static-hot, static-warm, static-cold, rule-30-90, cloud-30-90, ski or
    /// idle-10. May be given several times. [default: all of them]
    #[arg(long, value_name = "NAME", value_parser = contender)]
    policy: Vec<Contender>,
    /// Use only the first N days of the trace. [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    days: Option<u32>,
    /// The priority of all objects, as their metadata would say it: latency, balanced or cost. Slow reads cost nothing
    /// in the result, whatever is given here.
    #[arg(long, value_name = "PRIORITY", default_value = "balanced", value_parser = priority)]
    priority: Priority,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
    /// Also draw the result into this file, as SVG.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// The arguments of `stratum tier generate`.
#[derive(Args)]
pub struct GenerateArgs {
    /// The pattern of the reads: diurnal, spike, scan, cooling-logs, video, campaigns, weekly or noise.
    #[arg(value_parser = shape)]
    shape: Shape,
    /// How many objects there are.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    objects: u32,
    /// How many days the trace lasts.
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=3_650))]
    days: u32,
    /// The seed of the random numbers: the same seed makes the same trace.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Where a trace comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    Csv(PathBuf),
    AccessLog(PathBuf),
}

fn source(text: &str) -> Result<Source, String> {
    match text.strip_prefix("access-log:") {
        Some("") => Err("access-log: is to be followed by a file, or by a folder of logs".into()),
        Some(path) => Ok(Source::AccessLog(path.into())),
        None => Ok(Source::Csv(text.into())),
    }
}

fn contender(name: &str) -> Result<Contender, String> {
    Contender::named(name).ok_or_else(|| format!("the policies are {}", Contender::NAMES.join(", ")))
}

fn priority(name: &str) -> Result<Priority, String> {
    match name {
        "latency" => Ok(Priority::Latency),
        "balanced" => Ok(Priority::Balanced),
        "cost" => Ok(Priority::Cost),
        _ => Err("the priorities are latency, balanced, cost".to_owned()),
    }
}

fn shape(name: &str) -> Result<Shape, String> {
    let names = Shape::ALL.map(|(name, _)| name);
    Shape::named(name).ok_or_else(|| format!("the shapes are {}", names.join(", ")))
}

/// Runs `stratum tier simulate`.
pub fn run(args: SimulateArgs) -> ExitCode {
    ended(run_simulate(args))
}

fn ended(done: Result<(), String>) -> ExitCode {
    done.map_or_else(
        |error| {
            eprintln!("stratum tier: {error}");
            ExitCode::from(EXIT_FAILED)
        },
        |()| ExitCode::SUCCESS,
    )
}

fn run_simulate(args: SimulateArgs) -> Result<(), String> {
    let prices = args.prices.as_deref().map_or(Ok(Prices::CLOUD), read_prices)?;
    let trace = read_trace(&args.trace, args.days)?;
    let contenders = if args.policy.is_empty() { Contender::all() } else { args.policy };
    let report = simulate(&trace, &prices, &contenders, args.priority);
    if let Some(path) = &args.svg {
        draw(&report, path)?;
    }
    if args.json {
        output::line(report.json())
    } else {
        output::print(&report)
    }
    Ok(())
}

fn read_prices(path: &Path) -> Result<Prices, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    Prices::parse(&text).map_err(|error| format!("{}: {error}", path.display()))
}

fn read_trace(source: &Source, days: Option<u32>) -> Result<Trace, String> {
    let trace = match source {
        Source::Csv(path) => of_file(path, Trace::read)?,
        Source::AccessLog(path) => read_logs(path)?,
    };
    match days {
        Some(days) => trace.between(0.0, days.into()).ok_or_else(|| "the trace holds no reads".to_owned()),
        None => Ok(trace),
    }
}

fn read_logs(path: &Path) -> Result<Trace, String> {
    let (mut log, mut files) = (AccessLog::default(), Vec::new());
    files_below(path, &mut files)?;
    files.sort();
    for file in &files {
        of_file(file, |input| log.add(input))?;
    }
    let (lines, reads) = log.counted();
    eprintln!("{reads} of {lines} lines tell of reads");
    log.into_trace().map_err(told_of(path))
}

/// Collects a file, or all files below a folder. Hidden files and folders are left out, since they are no logs.
fn files_below(path: &Path, files: &mut Vec<PathBuf>) -> Result<(), String> {
    if !path.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    for entry in std::fs::read_dir(path).map_err(told_of(path))? {
        let entry = entry.map_err(told_of(path))?;
        if !entry.file_name().as_encoded_bytes().starts_with(b".") {
            files_below(&entry.path(), files)?;
        }
    }
    Ok(())
}

fn of_file<T>(path: &Path, read: impl FnOnce(BufReader<File>) -> Result<T, TraceError>) -> Result<T, String> {
    let file = File::open(path).map_err(told_of(path))?;
    read(BufReader::new(file)).map_err(told_of(path))
}

fn told_of<E: std::fmt::Display>(path: &Path) -> impl FnOnce(E) -> String {
    move |error| format!("{}: {error}", path.display())
}

fn draw(report: &Report, path: &Path) -> Result<(), String> {
    std::fs::write(path, plot::svg(report)).map_err(|error| format!("{}: {error}", path.display()))
}

/// Runs `stratum tier generate`.
pub fn generate(args: &GenerateArgs) -> ExitCode {
    ended(make_up(args))
}

fn make_up(args: &GenerateArgs) -> Result<(), String> {
    let trace = args.shape.generate(args.objects, args.days, args.seed);
    let trace = trace.ok_or_else(|| "nothing is read in so short a trace of so few objects".to_owned())?;
    output::print(trace.csv());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn written(text: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text).unwrap();
        file
    }

    #[test]
    fn a_mistake_in_a_file_is_told_with_file_and_line() {
        let trace = written(b"time_s,object,size_bytes,read_bytes\n1,a,10,10\n2,a,10,x\n");
        let csv = |path: &Path| read_trace(&Source::Csv(path.into()), None);
        let refused = csv(trace.path()).unwrap_err();
        assert_eq!(
            refused,
            format!(
                "{}: line 3 of the trace: read_bytes is 'x', and no whole number from 0 up",
                trace.path().display()
            )
        );
        let prices = written(b"[hot]\nstorage_gb_month = -1\nretrieval_gb = 0\nget_1000 = 0\nput_1000 = 0\n");
        let refused = read_prices(prices.path()).unwrap_err();
        assert!(refused.contains("line 2") && refused.contains("storage_gb_month = -1"), "{refused}");
        assert!(csv(Path::new("/nowhere.csv")).unwrap_err().starts_with("/nowhere.csv: "));
    }

    #[test]
    fn a_folder_of_logs_is_one_trace() {
        let folder = tempfile::tempdir().unwrap();
        let line = |second: u32| {
            format!(
                "o b [06/Feb/2019:00:00:{second:02} +0000] - - R REST.GET.OBJECT k \"GET /b/k HTTP/1.1\" 200 - 5 9 1\n"
            )
        };
        std::fs::create_dir(folder.path().join("06")).unwrap();
        std::fs::write(folder.path().join("06/later"), line(9)).unwrap();
        std::fs::write(folder.path().join("zero"), line(3)).unwrap();
        std::fs::write(folder.path().join(".ledger"), "none of a log").unwrap();
        let from =
            |path: &Path| read_trace(&source(&format!("access-log:{}", path.display())).unwrap(), None);
        let trace = from(folder.path()).unwrap();
        assert_eq!((trace.reads().len(), trace.objects(), trace.bytes()), (2, 1, 9));
        assert_eq!(trace.end() - trace.start(), 6_000);
        let ledger = folder.path().join(".ledger");
        let refused = from(&ledger).unwrap_err();
        assert!(
            refused.starts_with(&format!("{}: line 1 of the trace: it has 4 fields", ledger.display())),
            "{refused}"
        );
        assert!(source("access-log:").is_err());
    }

    #[test]
    fn a_trace_is_cut_to_days_and_names_are_checked() {
        let csv = Shape::Noise.generate(20, 30, 1).unwrap().csv();
        let file = written(csv.as_bytes());
        assert!(read_trace(&Source::Csv(file.path().into()), Some(10)).unwrap().days() <= 10.0);
        assert!(contender("costs").unwrap_err().contains("static-cold"));
        assert!(shape("campaign").unwrap_err().contains("campaigns"));
    }
}
