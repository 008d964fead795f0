//! Questions to drives, each of which may hang in the system: whether they are still what was opened, and what is free on
//! them.
//!
//! Each drive has a thread for the questions put to it, so that one that hangs holds up nobody but whoever asks it, and
//! that for a moment only. An answer that is late is done without once a drive on another device has answered; where all
//! share a device, a stall is the device's, and there is nobody better to go on with. A drive that owes an answer isn't
//! asked again before it has given it.

use super::readers::Readers;
use super::{Drive, Threads};
use crate::ambient::Clock;
use crate::blocking;
use crossbeam_channel::{select, tick, unbounded};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;

/// How long answers are waited for, before it is seen whether those that are late can be done without.
const ANSWER_PATIENCE: Duration = Duration::from_secs(2);

/// What a drive was asked and has not answered.
#[derive(Debug)]
pub(super) struct Questions {
    answerer: Readers,
    open: Arc<AtomicUsize>,
    /// Somebody went on without an answer that is still open.
    is_late: AtomicBool,
}

/// A question that is open until this is dropped, whatever becomes of it.
struct OpenQuestion(Arc<AtomicUsize>);

impl Drop for OpenQuestion {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Questions {
    pub(super) fn new(label: &str, threads: Threads, clock: Arc<dyn Clock>) -> Questions {
        let answerer = Readers::new(&format!("{label} look"), 1, threads, clock);
        Questions { answerer, open: Arc::default(), is_late: AtomicBool::new(false) }
    }

    /// Has the drive's own thread do something that may block; each does after the one before.
    pub(super) fn put(&self, question: impl FnOnce() + Send + 'static) {
        if self.open.fetch_add(1, Ordering::AcqRel) == 0 {
            self.is_late.store(false, Ordering::Release);
        }
        let open = OpenQuestion(self.open.clone());
        let answer = move || {
            let _open = open;
            question();
            Ok(())
        };
        // The answer comes by a way of the question's own.
        drop(self.answerer.run(answer));
    }

    fn owes_an_answer(&self) -> bool {
        self.is_late.load(Ordering::Acquire) && self.open.load(Ordering::Acquire) > 0
    }

    fn go_on_without(&self) {
        self.is_late.store(true, Ordering::Release);
    }
}

/// What each of the drives answers, in their order; `None` of those that are late. `question` may block.
pub async fn ask<T: Send + 'static>(
    drives: &[Arc<Drive>],
    question: impl Fn(&Arc<Drive>) -> T + Clone + Send + 'static,
) -> Vec<Option<T>> {
    let (sender, mut answers) = mpsc::unbounded_channel();
    let mut round = Round::begin(drives, question, move |answer| drop(sender.send(answer)));
    while let Ok(answer) = answers.try_recv() {
        round.take(answer);
    }
    if round.is_waiting() {
        let mut late = pin!(tokio::time::sleep(ANSWER_PATIENCE));
        while round.is_waiting() {
            tokio::select! {
                biased;
                answer = answers.recv() => match answer {
                    Some(answer) => round.take(answer),
                    None => break,
                },
                () = &mut late => {
                    if round.may_end() {
                        break;
                    }
                    late.set(tokio::time::sleep(ANSWER_PATIENCE));
                }
            }
        }
    }
    round.end()
}

/// [`ask`], for those who may block; on an async thread the others go on elsewhere meanwhile.
pub fn ask_in_place<T: Send + 'static>(
    drives: &[Arc<Drive>],
    question: impl Fn(&Arc<Drive>) -> T + Clone + Send + 'static,
) -> Vec<Option<T>> {
    let (sender, answers) = unbounded();
    let mut round = Round::begin(drives, question, move |answer| drop(sender.send(answer)));
    while let Ok(answer) = answers.try_recv() {
        round.take(answer);
    }
    if round.is_waiting() {
        blocking::in_place(|| {
            let late = tick(ANSWER_PATIENCE);
            while round.is_waiting() {
                select! {
                    recv(answers) -> answer => match answer {
                        Ok(answer) => round.take(answer),
                        Err(_) => break,
                    },
                    recv(late) -> _ => if round.may_end() {
                        break;
                    },
                }
            }
        });
    }
    round.end()
}

/// The answers of one question to all, so far.
struct Round<'a, T> {
    drives: &'a [Arc<Drive>],
    answers: Vec<Asked<T>>,
}

enum Asked<T> {
    /// It owes an answer to another question.
    Not,
    Waiting,
    Answered(T),
}

impl<'a, T: Send + 'static> Round<'a, T> {
    fn begin(
        drives: &'a [Arc<Drive>],
        question: impl Fn(&Arc<Drive>) -> T + Clone + Send + 'static,
        tell: impl Fn((usize, T)) + Clone + Send + 'static,
    ) -> Round<'a, T> {
        let ask = |(place, drive): (usize, &Arc<Drive>)| {
            if drive.questions.owes_an_answer() {
                return Asked::Not;
            }
            let (asked, question, tell) = (drive.clone(), question.clone(), tell.clone());
            drive.questions.put(move || tell((place, question(&asked))));
            Asked::Waiting
        };
        Round { drives, answers: drives.iter().enumerate().map(ask).collect() }
    }

    fn take(&mut self, (place, answer): (usize, T)) {
        if let Some(asked) = self.answers.get_mut(place) {
            *asked = Asked::Answered(answer);
        }
    }

    fn is_waiting(&self) -> bool {
        self.answers.iter().any(|asked| matches!(asked, Asked::Waiting))
    }

    fn those(&self, wanted: fn(&Asked<T>) -> bool) -> impl Iterator<Item = &Arc<Drive>> {
        self.drives.iter().zip(&self.answers).filter(move |(_, asked)| wanted(asked)).map(|(drive, _)| drive)
    }

    /// Whether those that are late can be done without: a drive on another device has answered, or somebody has given
    /// them up already.
    fn may_end(&self) -> bool {
        let answers_elsewhere = |late: &Arc<Drive>| {
            self.those(|asked| matches!(asked, Asked::Answered(_)))
                .any(|drive| drive.domain() != late.domain())
        };
        self.those(|asked| matches!(asked, Asked::Waiting))
            .all(|late| !late.is_healthy() || answers_elsewhere(late))
    }

    fn end(self) -> Vec<Option<T>> {
        self.those(|asked| matches!(asked, Asked::Waiting)).for_each(|late| {
            late.questions.go_on_without();
            tracing::warn!(
                drive = late.label(),
                "a drive doesn't answer; what was to be done goes on without it"
            );
        });
        let answer = |asked| match asked {
            Asked::Answered(answer) => Some(answer),
            Asked::Not | Asked::Waiting => None,
        };
        self.answers.into_iter().map(answer).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ambient::System;
    use crate::blob::Tier;
    use crate::drive::simulated::SimulatedDrive;
    use crate::drive::{DriveId, OpenHow};

    const NAME: &str = "a";

    /// Drives on those devices, each with a file.
    fn drives(devices: &[u64]) -> (Vec<Arc<SimulatedDrive>>, Vec<Arc<Drive>>) {
        let disks: Vec<_> =
            devices.iter().map(|device| SimulatedDrive::new("bay", *device, &Arc::default())).collect();
        let drive = |(position, disk): (u16, &Arc<SimulatedDrive>)| {
            let (id, clock) = (DriveId(position.into()), Arc::new(System));
            let drive = Drive::new(id, Tier::Hot, position, disk.attach(), Threads::Own, clock);
            drive.io().open(NAME, OpenHow::CreateNew).unwrap();
            Arc::new(drive)
        };
        let drives = (0..).zip(&disks).map(drive).collect();
        (disks, drives)
    }

    fn has_file(drive: &Arc<Drive>) -> bool {
        drive.io().open(NAME, OpenHow::Read).is_ok()
    }

    #[tokio::test]
    async fn a_drive_that_hangs_is_done_without_and_not_asked_again_before_it_answers() {
        let (disks, drives) = drives(&[1, 2, 3]);
        disks[1].stall_opens(true);
        let without = [Some(true), None, Some(true)];
        assert_eq!(ask(&drives, has_file).await, without);
        let in_place = drives.clone();
        let told = tokio::task::spawn_blocking(move || ask_in_place(&in_place, has_file)).await.unwrap();
        assert_eq!(told, without);
        assert_eq!(disks[1].waiting_opens(), 1);
        assert!(drives[1].is_healthy(), "that it hangs is for others to judge");
        disks[1].stall_opens(false);
        while ask(&drives, has_file).await != [Some(true); 3] {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn where_all_share_a_device_all_are_waited_for_until_they_are_given_up() {
        let (disks, drives) = drives(&[1, 1]);
        disks[0].stall_opens(true);
        let asked = drives.clone();
        let asking = tokio::spawn(async move { ask(&asked, has_file).await });
        while disks[0].waiting_opens() < 1 {
            tokio::task::yield_now().await;
        }
        drives[0].fail("the watch gave it up");
        assert_eq!(asking.await.unwrap(), [None, Some(true)]);
        disks[0].stall_opens(false);
    }

    #[tokio::test]
    async fn a_question_that_panics_is_no_answer_and_leaves_none_open() {
        let (_disks, drives) = drives(&[1, 2]);
        let panics = |drive: &Arc<Drive>| assert!(drive.position() > 0, "by plan");
        assert_eq!(ask(&drives, panics).await, [None, Some(())]);
        // The thread ends the question a moment after it dropped the way for its answer.
        while ask(&drives, has_file).await != [Some(true); 2] {
            tokio::task::yield_now().await;
        }
    }
}
