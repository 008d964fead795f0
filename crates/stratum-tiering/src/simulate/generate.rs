//! Made-up traces, from a seed: shapes of use on which to try a policy where no real trace is at hand.

use super::trace::{Trace, TraceRead};
use std::f64::consts::TAU;

/// 2024-01-01, a Monday, in milliseconds of Unix time.
const START_MILLIS: u64 = 1_704_067_200_000;
const DAY_MILLIS: f64 = 86_400_000.0;
const MIB: u64 = 1 << 20;

/// The shape of a made-up trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Reads that come by day and not by night, more of a few objects than of others.
    Diurnal,
    /// Objects that nobody reads, until suddenly everybody reads one for some hours.
    Spike,
    /// A walk through everything, once a month.
    Scan,
    /// Logs that are read a lot when they are new, and less from day to day.
    CoolingLogs,
    /// Films: large objects, played in parts, a few of them popular for some weeks.
    Video,
    /// Folders that are worked through for some days, and again after weeks or months.
    Campaigns,
    /// Reports, each of which is opened at its hour of its weekday, almost every week.
    Weekly,
    /// Reads at random: nothing can be foreseen.
    Noise,
}

impl Shape {
    pub const ALL: [(&str, Shape); 8] = [
        ("diurnal", Shape::Diurnal),
        ("spike", Shape::Spike),
        ("scan", Shape::Scan),
        ("cooling-logs", Shape::CoolingLogs),
        ("video", Shape::Video),
        ("campaigns", Shape::Campaigns),
        ("weekly", Shape::Weekly),
        ("noise", Shape::Noise),
    ];

    pub fn named(name: &str) -> Option<Shape> {
        Self::ALL.into_iter().find(|(known, _)| *known == name).map(|(_, shape)| shape)
    }

    /// Makes a trace of about so many objects over so many days; equal seeds make equal traces. `None` if either
    /// number is 0.
    pub fn generate(self, objects: u32, days: u32, seed: u64) -> Option<Trace> {
        let mut maker =
            Maker { random: fastrand::Rng::with_seed(seed), days: days.into(), reads: Vec::new() };
        let sizes: Vec<u64> = (0..objects).map(|_| maker.size(self)).collect();
        match self {
            Shape::Campaigns => maker.campaigns(&sizes),
            _ => sizes.iter().enumerate().for_each(|(object, size)| maker.object(self, object as u32, *size)),
        }
        maker.finish(sizes)
    }
}

struct Maker {
    random: fastrand::Rng,
    days: f64,
    reads: Vec<TraceRead>,
}

impl Maker {
    fn size(&mut self, shape: Shape) -> u64 {
        match shape {
            Shape::Video => MIB * self.random.u64(200..2_000),
            Shape::CoolingLogs => MIB * self.random.u64(4..64),
            // From 64 KiB to 64 MiB, evenly in the logarithm.
            _ => (65_536.0 * (self.random.f64() * 10.0).exp2()) as u64,
        }
    }

    fn object(&mut self, shape: Shape, object: u32, size: u64) {
        match shape {
            Shape::Diurnal => self.diurnal(object, size),
            Shape::Spike => self.spike(object, size),
            Shape::Scan => self.scan(object, size),
            Shape::CoolingLogs => self.cooling(object, size),
            Shape::Video => self.video(object, size),
            Shape::Weekly => self.weekly(object, size),
            Shape::Campaigns | Shape::Noise => self.noise(object, size),
        }
    }

    fn diurnal(&mut self, object: u32, size: u64) {
        let daily = 2.0 / f64::from(1 + object % 97);
        let mut day = self.pause(daily);
        while day < self.days {
            let by_day = 0.5 - 0.5 * (day * TAU).cos();
            if self.random.f64() < by_day * 2.0 {
                self.push(day, object, size);
            }
            day += self.pause(daily);
        }
    }

    fn spike(&mut self, object: u32, size: u64) {
        let first = self.random.f64();
        self.push(first, object, size);
        if self.random.u32(0..4) == 0 {
            let start = self.random.f64() * self.days;
            (0..40).for_each(|_| {
                let day = start + self.random.f64() * 0.25;
                self.push(day, object, size);
            });
        }
    }

    fn scan(&mut self, object: u32, size: u64) {
        let mut day = f64::from(object) / 50_000.0;
        while day < self.days {
            self.push(day, object, size);
            day += 30.0;
        }
    }

    fn cooling(&mut self, object: u32, size: u64) {
        let written = self.random.f64() * self.days;
        let mut age = 0.0;
        while written + age < self.days {
            self.push(written + age, object, size);
            age += self.pause(3.0 / (1.0 + age * age));
        }
    }

    fn video(&mut self, object: u32, size: u64) {
        let premiere = self.random.f64() * self.days;
        let (weeks, popular) = (f64::from(self.random.u32(1..8)), f64::from(self.random.u32(1..40)) / 10.0);
        let mut age = 0.0;
        while premiere + age < self.days {
            let part = size / self.random.u64(1..20);
            self.push(premiere + age, object, part.max(1));
            age += self.pause(popular * (-age / (weeks * 7.0)).exp() + 0.005);
        }
    }

    fn weekly(&mut self, object: u32, size: u64) {
        const MISSED: f64 = 0.05;
        let hour = f64::from(self.random.u32(7..19));
        let mut day = f64::from(self.random.u32(0..7)) + hour / 24.0;
        while day < self.days {
            if self.random.f64() >= MISSED {
                (0..self.random.u32(1..4)).for_each(|_| {
                    let minutes = self.random.f64() * 50.0;
                    self.push(day + minutes / (24.0 * 60.0), object, size);
                });
            }
            day += 7.0;
        }
    }

    fn noise(&mut self, object: u32, size: u64) {
        let daily = 1.0 / f64::from(self.random.u32(1..120));
        let mut day = self.pause(daily);
        while day < self.days {
            self.push(day, object, size);
            day += self.pause(daily);
        }
    }

    /// Folders of up to 200 objects; each campaign reads most of one over some days, then the folder rests.
    fn campaigns(&mut self, sizes: &[u64]) {
        for (folder, members) in sizes.chunks(200).enumerate() {
            let mut start = self.random.f64() * self.days / 3.0;
            while start < self.days {
                let lasts = 0.5 + self.random.f64() * 6.0;
                let keen = 0.3 + self.random.f64() * 0.7;
                for (member, size) in members.iter().enumerate() {
                    if self.random.f64() < keen {
                        let reads = self.random.u32(1..5);
                        (0..reads).for_each(|_| {
                            let day = start + lasts * self.random.f64();
                            self.push(day, (folder * 200 + member) as u32, *size);
                        });
                    }
                }
                start += 3.0 + self.pause(1.0 / 60.0);
            }
        }
    }

    /// A random pause, in days, between reads of which `daily` come a day on average.
    fn pause(&mut self, daily: f64) -> f64 {
        -(1.0 - self.random.f64()).ln() / daily
    }

    fn push(&mut self, day: f64, object: u32, bytes: u64) {
        if day < self.days {
            // Whole seconds, as in a server's log.
            let time = START_MILLIS + ((day * DAY_MILLIS) as u64 / 1_000) * 1_000;
            self.reads.push(TraceRead { time, object, bytes });
        }
    }

    /// The trace, sorted by time, with the objects numbered in the order of their first reads.
    fn finish(mut self, sizes: Vec<u64>) -> Option<Trace> {
        self.reads.sort_by_key(|read| (read.time, read.object));
        Trace::new(self.reads, sizes)?.between(0.0, f64::INFINITY)
    }
}
