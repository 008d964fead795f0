//! Asks several drives at once, and waits for all of them.
//!
//! A drive is given up on only when one on another device has answered: where all share a device, a stall is the
//! device's, and there is nobody better to go on with. One that somebody else has given up isn't waited for, either:
//! what hangs in it may never return.

use crate::ambient::Clock;
use crate::drive::{Domain, Drive};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// How often it is seen whether a drive that is waited for has been given up elsewhere.
const HEALTH_POLL_INTERVAL: Duration = Duration::from_secs(1);

/// A drive that is asked.
#[derive(Clone, Debug)]
pub(super) struct AskedDrive {
    pub(super) drive: Arc<Drive>,
    pub(super) domain: Domain,
}

/// Where a drive's answer goes; dropping it is an answer, too.
pub(super) struct Reply<T> {
    place: usize,
    sender: Sender<(usize, io::Result<T>)>,
    answered: bool,
}

impl<T> Reply<T> {
    pub(super) fn send(mut self, answer: io::Result<T>) {
        self.answered = true;
        // The round may have given up on this drive.
        let _ = self.sender.try_send((self.place, answer));
    }
}

impl<T> Drop for Reply<T> {
    fn drop(&mut self) {
        if !self.answered {
            let _ =
                self.sender.try_send((self.place, Err(io::Error::other("the drive's lane gave no answer"))));
        }
    }
}

/// Submits work for each drive, and waits until each has answered, failed or been given up on. The answers are in
/// the order of `asked`.
pub(super) fn ask<T>(
    asked: &[AskedDrive],
    timeout: Duration,
    clock: &dyn Clock,
    mut submit: impl FnMut(usize, Reply<T>),
) -> Vec<io::Result<T>> {
    let (sender, receiver) = bounded(asked.len());
    for place in 0..asked.len() {
        submit(place, Reply { place, sender: sender.clone(), answered: false });
    }
    drop(sender);
    wait(asked, timeout, clock, &receiver)
}

fn wait<T>(
    asked: &[AskedDrive],
    timeout: Duration,
    clock: &dyn Clock,
    receiver: &Receiver<(usize, io::Result<T>)>,
) -> Vec<io::Result<T>> {
    let mut answers: Vec<Option<io::Result<T>>> = asked.iter().map(|_| None).collect();
    let mut deadline = None;
    while answers.iter().any(Option::is_none) {
        let may_give_up = (0..asked.len()).any(|place| is_alone_slow(asked, &answers, place));
        let patience = match may_give_up {
            true => {
                let now = clock.monotonic();
                deadline.get_or_insert(now + timeout).saturating_sub(now)
            }
            false => HEALTH_POLL_INTERVAL,
        };
        match receiver.recv_timeout(patience) {
            Ok((place, answer)) => {
                if let Some(slot) = answers.get_mut(place) {
                    *slot = Some(answer);
                }
            }
            Err(RecvTimeoutError::Timeout) if may_give_up => give_up(asked, &mut answers, timeout),
            Err(RecvTimeoutError::Timeout) => leave_those_that_are_out(asked, &mut answers),
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    let gone = || Err(io::Error::other("the drive's lane gave no answer"));
    answers.into_iter().map(|answer| answer.unwrap_or_else(gone)).collect()
}

fn leave_those_that_are_out<T>(asked: &[AskedDrive], answers: &mut [Option<io::Result<T>>]) {
    for (asked, answer) in asked.iter().zip(answers) {
        if answer.is_none() && !asked.drive.is_healthy() {
            *answer = Some(Err(io::ErrorKind::TimedOut.into()));
        }
    }
}

/// Looks whether all of these drives are still what was opened, each on its own thread. One that isn't, or that doesn't
/// answer while others do, is latched.
pub(super) fn are_there(asked: &[AskedDrive], timeout: Duration, clock: &dyn Clock) -> bool {
    let answers = ask(asked, timeout, clock, |place, reply| {
        let drive = asked[place].drive.clone();
        let look = move || {
            let is_there = drive.check();
            reply.send(if is_there { Ok(()) } else { Err(io::ErrorKind::NotConnected.into()) });
        };
        asked[place].drive.put(look);
    });
    for (asked, answer) in asked.iter().zip(&answers) {
        if let Err(error) = answer {
            // Where the drive is latched already, the first reason counts.
            asked.drive.fail(&format!("it can't be looked at: {error}"));
        }
    }
    answers.iter().all(Result::is_ok)
}

/// It has not answered, and one on another device has.
fn is_alone_slow<T>(asked: &[AskedDrive], answers: &[Option<io::Result<T>>], place: usize) -> bool {
    let answered_elsewhere =
        |other: usize| matches!(answers[other], Some(Ok(_))) && asked[other].domain != asked[place].domain;
    answers[place].is_none() && (0..asked.len()).any(answered_elsewhere)
}

fn give_up<T>(asked: &[AskedDrive], answers: &mut [Option<io::Result<T>>], timeout: Duration) {
    let late: Vec<usize> = (0..asked.len()).filter(|&place| is_alone_slow(asked, answers, place)).collect();
    for place in late {
        asked[place].drive.fail(&format!("it did not answer the journal within {} s", timeout.as_secs_f32()));
        answers[place] = Some(Err(io::ErrorKind::TimedOut.into()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ambient::System;
    use crate::blob::Tier;
    use crate::drive::simulated::SimulatedDrive;
    use crate::drive::{DriveId, Threads};

    /// Where all share a device nobody is given up here; but somebody else may know better.
    #[test]
    fn a_drive_that_was_given_up_elsewhere_is_not_waited_for() {
        let drive = |place: u16| {
            let io = SimulatedDrive::new("bay", 7, &Arc::default()).attach();
            let (id, clock) = (DriveId(place.into()), Arc::new(System));
            let drive = Arc::new(Drive::new(id, Tier::Hot, place, io, Threads::Caller, clock));
            AskedDrive { domain: drive.domain(), drive }
        };
        let asked = [drive(0), drive(1)];
        let mut silent = Vec::new();
        let late = asked[1].drive.clone();
        let giving_up = std::thread::spawn(move || late.fail("the watch gave it up"));
        let answers = ask(&asked, Duration::from_secs(3600), &System, |place, reply| match place {
            0 => reply.send(Ok(())),
            _ => silent.push(reply),
        });
        assert!(answers[0].is_ok() && answers[1].is_err());
        giving_up.join().expect("no panic");
    }
}
