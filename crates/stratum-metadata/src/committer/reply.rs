//! A command on its way, and the proposer who waits for its fate.
//!
//! Nobody waits for ever, whatever becomes of the thread that works on the command: a reply that was not sent is sent
//! when it is dropped, and what it says follows from how far the command's entry had come.

use super::Fate;
use crate::command::{Command, Proposed};
use crate::fate::{CommitError, NewBytes, NotWritten, UnknownOutcome, give_up, settle};
use crate::log::LogEntry;
use crate::machine::Machine;
use crate::record::Level;
use stratum_storage::journal::MAX_COMMAND_BYTES;
use stratum_storage::volume::{VolumeEvent, WriterId};
use stratum_storage::writepath::ProposedHold;
use tokio::sync::oneshot;

/// Where to send a command's fate, and the hold on its bytes that is settled with it.
pub(super) struct Reply {
    /// Where to send the fate; `None` once it was sent.
    asker: Option<oneshot::Sender<Fate>>,
    hold: Option<ProposedHold>,
    reaches: Reaches,
}

/// How far a command's entry has come.
#[derive(Clone, Copy)]
enum Reaches {
    /// It has not been given to the journal.
    Queue,
    /// It may be in the journal.
    Journal,
}

impl Reply {
    /// From now on the command's entry may be in the journal.
    pub(super) fn journaling(mut self) -> Reply {
        self.reaches = Reaches::Journal;
        self
    }

    /// Settles the hold and sends the fate. If nobody waits for it any more, the command stands all the same.
    pub(super) fn tell(mut self, fate: Fate, state: &Machine) {
        let asker = self.asker.take();
        if let Some(hold) = self.hold.take() {
            settle(hold, &fate, state);
        }
        let _ = asker.map(|asker| asker.send(fate));
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        let Some(asker) = self.asker.take() else { return };
        let error: CommitError = match self.reaches {
            Reaches::Queue => NotWritten::Unavailable("the server failed at it; try again".into()).into(),
            Reaches::Journal => UnknownOutcome("the server failed at it".into()).into(),
        };
        if let Some(hold) = self.hold.take() {
            give_up(hold, &error);
        }
        let _ = asker.send(Err(error));
    }
}

/// Makes a command by the state as it is when that is proposed: of at most so many bytes.
pub(crate) type Late = Box<dyn FnOnce(&Machine, usize) -> Result<Command, NotWritten> + Send>;

/// A command on its way.
pub(super) struct Proposal {
    /// Boxed, since it is large and is passed from thread to thread.
    pub(super) proposed: Box<Proposed>,
    pub(super) entry: LogEntry,
    pub(super) reply: Reply,
    /// Makes the command anew, where that is left to the last moment.
    pub(super) late: Option<Late>,
}

impl Proposal {
    /// Refuses what a state of that level can't hold, and what is too long for the journal: there it would have the whole
    /// group refused that it is in.
    pub(super) fn new(
        mut proposed: Box<Proposed>,
        bytes: NewBytes,
        level: Level,
        writer: WriterId,
    ) -> Result<(Proposal, oneshot::Receiver<Fate>), NotWritten> {
        let (body, hold) = bytes.proposed();
        let fills = hold.is_some() || matches!(proposed.command, Command::Volume(VolumeEvent::Opened { .. }));
        // A command of level 1 names no writer, and none is known when it is replayed.
        proposed.by = (fills && level > Level::FIRST).then_some(writer);
        let encoded = match proposed.encode(level) {
            Ok(command) if command.len() > MAX_COMMAND_BYTES => Err(NotWritten::TooLong),
            Ok(command) => Ok(command),
            Err(takes) => Err(NotWritten::Unavailable(takes.to_string())),
        };
        let command = match encoded {
            Ok(command) => command,
            Err(nothing) => {
                if let Some(hold) = hold {
                    hold.discard(&nothing);
                }
                return Err(nothing);
            }
        };
        let entry = LogEntry { command, body };
        let (asker, fate) = oneshot::channel();
        let reply = Reply { asker: Some(asker), hold, reaches: Reaches::Queue };
        Ok((Proposal { proposed, entry, reply, late: None }, fate))
    }

    /// With the command that the state as it is now makes; else whom to tell why there is none.
    pub(super) fn completed(
        mut self,
        machine: &Machine,
        most: usize,
    ) -> Result<Proposal, (Reply, NotWritten)> {
        let Some(late) = self.late.take() else { return Ok(self) };
        let encoded = late(machine, most).and_then(|command| {
            self.proposed.command = command;
            let encoded = self.proposed.encode(machine.level());
            encoded.map_err(|takes| NotWritten::Unavailable(takes.to_string()))
        });
        match encoded {
            Ok(command) => Ok(Proposal { entry: LogEntry { command, body: self.entry.body }, ..self }),
            Err(why) => Err((self.reply, why)),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.entry.bytes()
    }
}
