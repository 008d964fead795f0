//! Asks several drives at once, and waits for all of them.
//!
//! A drive is given up on only when one on another device has answered: where all share a device, a stall is the
//! device's, and there is nobody better to go on with.

use crate::ambient::Clock;
use crate::drive::{Domain, Drive};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use std::io;
use std::sync::Arc;
use std::time::Duration;

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
        let received = if may_give_up {
            let now = clock.monotonic();
            let until = *deadline.get_or_insert(now + timeout);
            receiver.recv_timeout(until.saturating_sub(now))
        } else {
            receiver.recv().map_err(|_| RecvTimeoutError::Disconnected)
        };
        match received {
            Ok((place, answer)) => {
                if let Some(slot) = answers.get_mut(place) {
                    *slot = Some(answer);
                }
            }
            Err(RecvTimeoutError::Timeout) => give_up(asked, &mut answers, timeout),
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    let gone = || Err(io::Error::other("the drive's lane gave no answer"));
    answers.into_iter().map(|answer| answer.unwrap_or_else(gone)).collect()
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
        asked[place].drive.fail(&format!("it did not write the journal within {} s", timeout.as_secs_f32()));
        answers[place] = Some(Err(io::ErrorKind::TimedOut.into()));
    }
}
