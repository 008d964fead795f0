//! Waiting for the drives of a volume, and not for ever.
//!
//! A drive that hangs in the kernel answers nothing, not even an error. Where others have answered, one that stays
//! silent is latched failed and its shard counts as lost, as if the write had failed: what it was to hold is made
//! again elsewhere. Where all share a device, all are as slow, and whoever waits goes on waiting, until somebody else has
//! given the drive up. A drive that is latched already isn't waited for: a body asks each of its drives many times, and
//! waits for one that hangs once.

use super::handle::Volume;
use crate::drive::lane::{Answer, Work, promise};
use crate::drive::{Domain, Drive};
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// How long a drive may be silent after one on another device has answered.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// How often whoever waits looks whether a drive was latched meanwhile. A divisor of [`ANSWER_TIMEOUT`].
const LATCH_POLL_INTERVAL: Duration = Duration::from_secs(1);

/// What a shard's drive was asked.
#[derive(Debug)]
pub(crate) struct AskedShard {
    pub shard: u8,
    pub drive: Arc<Drive>,
    pub answer: Answer,
}

/// What all of them said, in no order.
pub(crate) async fn outcomes(asked: Vec<AskedShard>) -> Vec<(u8, io::Result<()>)> {
    let mut waiting = PendingAnswers { asked, domains: Vec::new(), outcomes: Vec::new() };
    while waiting.domains.is_empty() && !waiting.asked.is_empty() {
        let first = poll_fn(|cx| waiting.poll_first(cx));
        // When the time is out, the next round leaves those that were latched meanwhile.
        let _ = tokio::time::timeout(LATCH_POLL_INTERVAL, first).await;
    }
    while !waiting.asked.is_empty() {
        // From here on somebody is late.
        if silent(|cx| waiting.poll_all(cx)).await {
            waiting.give_up();
        }
    }
    waiting.outcomes
}

/// Whether not all have answered after too long a time.
async fn silent(mut answers: impl FnMut(&mut Context<'_>) -> Poll<()>) -> bool {
    for _ in 0..ANSWER_TIMEOUT.as_secs() / LATCH_POLL_INTERVAL.as_secs() {
        if tokio::time::timeout(LATCH_POLL_INTERVAL, poll_fn(&mut answers)).await.is_ok() {
            return false;
        }
    }
    true
}

/// Runs a task for every shard that isn't lost on its drive's volume lane, and waits for all of them.
pub(crate) async fn each_shard<T>(
    volume: &Volume,
    mut task: impl FnMut(&Arc<Drive>, u8, &str) -> T,
) -> Vec<(u8, io::Result<()>)>
where
    T: FnOnce() -> io::Result<()> + Send + 'static,
{
    let mut asked = Vec::new();
    for (shard, file) in volume.shards().filter(|(_, file)| !file.is_lost()) {
        let Some(drive) = &file.drive else { continue };
        let (done, answer) = promise();
        let task = task(drive, shard, &file.path);
        drive.volume_lane().submit(Work::Run(Box::new(move || done(task()))));
        asked.push(AskedShard { shard, drive: drive.clone(), answer });
    }
    outcomes(asked).await
}

/// Whether an error says that a device is full: not a failure of the drive.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

struct PendingAnswers {
    asked: Vec<AskedShard>,
    /// Of the drives that have answered.
    domains: Vec<Domain>,
    outcomes: Vec<(u8, io::Result<()>)>,
}

impl PendingAnswers {
    /// Ready as soon as one has answered, or when there is nobody to wait for.
    fn poll_first(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.poll_all(cx) {
            Poll::Pending if self.domains.is_empty() => Poll::Pending,
            _ => Poll::Ready(()),
        }
    }

    /// Ready when all have answered. Leaves those that haven't, and are latched.
    fn poll_all(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut at = 0;
        while let Some(asked) = self.asked.get_mut(at) {
            match Pin::new(&mut asked.answer).poll(cx) {
                Poll::Pending if asked.drive.is_healthy() => at += 1,
                Poll::Pending => {
                    let asked = self.asked.swap_remove(at);
                    self.leave(&asked);
                }
                Poll::Ready(outcome) => {
                    let AskedShard { shard, drive, .. } = self.asked.swap_remove(at);
                    self.domains.push(drive.domain());
                    self.outcomes.push((shard, outcome));
                }
            }
        }
        if self.asked.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Latches those that are silent although another device answered.
    fn give_up(&mut self) {
        let answered = |domain: Domain| self.domains.iter().any(|other| *other != domain);
        let (silent, patient) =
            std::mem::take(&mut self.asked).into_iter().partition(|asked| answered(asked.drive.domain()));
        self.asked = patient;
        let silent: Vec<AskedShard> = silent;
        for asked in &silent {
            asked
                .drive
                .fail(&format!("it did not answer within {} s, and others did", ANSWER_TIMEOUT.as_secs()));
            self.leave(asked);
        }
    }

    /// Goes on without an answer: the shard counts as lost.
    fn leave(&mut self, asked: &AskedShard) {
        self.outcomes.push((asked.shard, Err(ErrorKind::TimedOut.into())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ambient::Simulated;
    use crate::blob::Tier;
    use crate::drive::lane::Done;
    use crate::drive::simulated::SimulatedDrive;
    use crate::drive::{DriveId, Threads};

    fn asked(devices: &[u64]) -> (Vec<AskedShard>, Vec<Done>) {
        let ask = |(shard, device): (usize, &u64)| {
            let io = SimulatedDrive::new("bay", *device, &Arc::default()).attach();
            let clock = Arc::new(Simulated::new(0, 0));
            let drive = Drive::new(DriveId(shard as u128), Tier::Hot, 0, io, Threads::Caller, clock);
            let (done, answer) = promise();
            (AskedShard { shard: shard as u8, drive: Arc::new(drive), answer }, done)
        };
        devices.iter().enumerate().map(ask).unzip()
    }

    #[tokio::test(start_paused = true)]
    async fn a_drive_that_is_silent_while_another_device_answers_is_given_up() {
        let (asked, dones) = asked(&[1, 1, 2]);
        let drives: Vec<Arc<Drive>> = asked.iter().map(|asked| asked.drive.clone()).collect();
        let mut dones = dones.into_iter();
        let (silent, other) = (dones.next().unwrap(), dones.next().unwrap());
        other(Ok(()));
        dones.next().unwrap()(Err(ErrorKind::StorageFull.into()));
        let mut outcomes = outcomes(asked).await;
        outcomes.sort_by_key(|(shard, _)| *shard);
        let kinds: Vec<Option<ErrorKind>> =
            outcomes.iter().map(|(_, outcome)| outcome.as_ref().err().map(io::Error::kind)).collect();
        assert_eq!(kinds, [Some(ErrorKind::TimedOut), None, Some(ErrorKind::StorageFull)]);
        assert_eq!(drives.iter().map(|drive| drive.is_healthy()).collect::<Vec<_>>(), [false, true, true]);
        silent(Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn on_one_device_all_are_waited_for() {
        let (asked, dones) = asked(&[5, 5]);
        let drives: Vec<Arc<Drive>> = asked.iter().map(|asked| asked.drive.clone()).collect();
        let mut dones = dones.into_iter();
        dones.next().unwrap()(Ok(()));
        let late = dones.next().unwrap();
        tokio::spawn(async move {
            tokio::time::sleep(ANSWER_TIMEOUT * 3).await;
            late(Ok(()));
        });
        assert!(outcomes(asked).await.iter().all(|(_, outcome)| outcome.is_ok()));
        assert!(drives.iter().all(|drive| drive.is_healthy()));
        assert!(outcomes(Vec::new()).await.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_drive_that_somebody_else_gave_up_is_not_waited_for() {
        let (asked, _dones) = asked(&[5, 5]);
        let drives: Vec<Arc<Drive>> = asked.iter().map(|asked| asked.drive.clone()).collect();
        tokio::spawn(async move {
            tokio::time::sleep(ANSWER_TIMEOUT * 3).await;
            drives.iter().for_each(|drive| drive.fail("the watch gave it up"));
        });
        let outcomes = outcomes(asked).await;
        assert!(outcomes.len() == 2 && outcomes.iter().all(|(_, outcome)| outcome.is_err()));
    }

    /// Time stands still but for what is waited for: see `start_paused`.
    async fn waited(asked: Vec<AskedShard>) -> (Duration, Vec<(u8, bool)>) {
        let began = tokio::time::Instant::now();
        let outcomes = outcomes(asked).await;
        let mut outcomes: Vec<_> =
            outcomes.into_iter().map(|(shard, outcome)| (shard, outcome.is_ok())).collect();
        outcomes.sort_unstable();
        (began.elapsed(), outcomes)
    }

    #[tokio::test(start_paused = true)]
    async fn a_drive_that_is_latched_is_left_at_once_however_often_it_is_asked() {
        let (first, dones) = asked(&[1, 2]);
        let hanging = first[0].drive.clone();
        let mut dones = dones.into_iter();
        let (_silent, other) = (dones.next().unwrap(), dones.next().unwrap());
        other(Ok(()));
        let (elapsed, outcomes) = waited(first).await;
        assert!(elapsed >= ANSWER_TIMEOUT && elapsed < ANSWER_TIMEOUT * 2, "{elapsed:?}");
        assert_eq!(outcomes, [(0, false), (1, true)]);
        assert!(!hanging.is_healthy());
        for answers in [true, false] {
            let (mut again, dones) = asked(&[1, 2]);
            again[0].drive = hanging.clone();
            let mut dones = dones.into_iter();
            let (_silent, other) = (dones.next().unwrap(), dones.next().unwrap());
            if answers {
                other(Ok(()));
            } else {
                again.pop();
            }
            let (elapsed, outcomes) = waited(again).await;
            assert_eq!((elapsed, outcomes[0]), (Duration::ZERO, (0, false)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_drive_that_is_latched_in_the_middle_is_left_then() {
        for others_answer in [true, false] {
            let (asked, dones) = asked(&[1, 1, 2]);
            let hanging: Vec<Arc<Drive>> = asked[..2].iter().map(|asked| asked.drive.clone()).collect();
            let mut dones = dones;
            let other = dones.pop().unwrap();
            let late = match others_answer {
                true => {
                    other(Ok(()));
                    Duration::ZERO
                }
                false => {
                    tokio::spawn(async move {
                        tokio::time::sleep(ANSWER_TIMEOUT * 2).await;
                        other(Ok(()));
                    });
                    ANSWER_TIMEOUT * 2
                }
            };
            tokio::spawn(async move {
                tokio::time::sleep(late + Duration::from_secs(3)).await;
                hanging.iter().for_each(|drive| drive.fail("the watch gave it up"));
            });
            let (elapsed, outcomes) = waited(asked).await;
            assert!(elapsed < late + Duration::from_secs(3) + 2 * LATCH_POLL_INTERVAL, "{elapsed:?}");
            assert_eq!(outcomes, [(0, false), (1, false), (2, true)]);
        }
    }
}
