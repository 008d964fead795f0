//! How long it takes until a group of 4 KiB is durable on three files, by three lanes.
//!
//!     cargo run --release -p stratum-storage --example group_commit -- DIR
//!
//! To files that were written over with zeros before, as the journal's segments are, and to files that grow: the
//! difference is why segments are recycled. Beside them, what one such file takes without a lane: the difference is
//! what the lanes cost.

use bytes::Bytes;
use std::io;
use std::path::Path;
use std::sync::Arc;
use stratum_storage::ambient::{Clock, System};
use stratum_storage::drive::lane::{Lane, Stopwatch, Work, Write, promise};
use stratum_storage::drive::real::RealDrive;
use stratum_storage::drive::{DriveIo, FileIo, OpenHow};

const LANES: usize = 3;
const GROUP: usize = 4096;
const ROUNDS: u64 = 3000;
const FILE: usize = 32 << 20;

fn main() -> io::Result<()> {
    let folder = std::env::args().nth(1).ok_or_else(|| io::Error::other("name a directory to write to"))?;
    let drive = RealDrive::create(Path::new(&folder))?;
    for (name, zeroed) in [("written over", true), ("growing", false)] {
        let files = (0..LANES).map(|lane| make(&drive, &format!("group-commit-{lane}"), zeroed));
        let files = files.collect::<io::Result<Vec<_>>>()?;
        report(&format!("{name}, three lanes"), measure(&files)?);
        report(&format!("{name}, one file, no lane"), measure_alone(files[0].as_ref())?);
        for lane in 0..LANES {
            drive.remove(&format!("group-commit-{lane}"))?;
        }
    }
    Ok(())
}

fn make(drive: &RealDrive, name: &str, zeroed: bool) -> io::Result<Arc<dyn FileIo>> {
    let file = drive.open(name, OpenHow::CreateNew)?;
    if zeroed {
        file.write_at(&[&vec![0; FILE]], 0)?;
    }
    file.sync()?;
    drive.sync_dir("")?;
    Ok(file)
}

fn report(name: &str, mut micros: Vec<u128>) {
    micros.sort_unstable();
    let at = |percent: usize| micros[micros.len() * percent / 100];
    println!("{name}: p50 {} us, p90 {} us, p99 {} us", at(50), at(90), at(99));
}

fn measure_alone(file: &dyn FileIo) -> io::Result<Vec<u128>> {
    (0..ROUNDS)
        .map(|round| {
            let began = System.monotonic();
            file.write_at(&[&[8; GROUP]], (ROUNDS + round) * GROUP as u64)?;
            file.sync()?;
            Ok((System.monotonic() - began).as_micros())
        })
        .collect()
}

fn measure(files: &[Arc<dyn FileIo>]) -> io::Result<Vec<u128>> {
    let stopwatch = Stopwatch::new(Arc::new(System));
    let lanes: Vec<Lane> = (0..files.len())
        .map(|lane| Lane::spawn(&format!("lane {lane}"), stopwatch.clone(), Arc::new(|_| {})))
        .collect();
    let bytes = Bytes::from(vec![7; GROUP]);
    (0..ROUNDS)
        .map(|round| {
            let began = System.monotonic();
            let answers: Vec<_> = lanes
                .iter()
                .zip(files)
                .map(|(lane, file)| {
                    let (done, answer) = promise();
                    let (file, offset, bufs) = (file.clone(), round * GROUP as u64, vec![bytes.clone()]);
                    lane.submit(Work::Write(Write { file, offset, bufs, sync: true, done }));
                    answer
                })
                .collect();
            answers.into_iter().try_for_each(|answer| answer.wait())?;
            Ok((System.monotonic() - began).as_micros())
        })
        .collect()
}
