//! An event is recorded if and only if what it is about happens, and a bounded number of events waits.

use super::*;
use crate::command::{BucketChange, Proposed};

impl Store {
    fn tell(&mut self, command: Command, kinds: &[EventKind]) -> Outcome {
        self.tell_of("owner", command, kinds)
    }

    fn tell_of(&mut self, owner: &str, command: Command, kinds: &[EventKind]) -> Outcome {
        let to =
            kinds.iter().map(|kind| Addressee { kind: *kind, target: "hook".into(), rule: "rule".into() });
        let about = Happening {
            bucket: "bucket-1".into(),
            owner: owner.into(),
            region: "us-east-1".into(),
            key: b"a".to_vec(),
            version: None,
            time: 5,
            by: "bob".into(),
            source: "192.0.2.1".into(),
            request: "1".into(),
        };
        let notice = Some(Box::new(Notice { to: to.collect(), about }));
        let mut view = View::new(&self.memory);
        self.index += 1;
        let outcome = apply(&mut view, self.index, Proposed::telling(command, notice)).unwrap();
        let changes: Vec<_> =
            view.changes().map(|change| (change.key.to_vec(), change.after.cloned())).collect();
        drop(view);
        self.memory.apply(changes.iter().map(|(key, value)| (key.as_slice(), value.as_ref())));
        outcome
    }

    fn events(&self) -> Vec<EventRecord> {
        self.all::<EventRecord>(Tag::Event).into_iter().map(|(_, event)| event).collect()
    }

    fn queue(&self) -> EventQueue {
        let value = self.memory.get(&keys::event_queue("hook")).unwrap();
        value.map_or(EventQueue::default(), |value| decode(&value).unwrap())
    }

    fn of_events() -> Store {
        let mut store = Store::new();
        store.apply(Command::SetLevel(Level::SECOND));
        store
    }
}

const PUT: [EventKind; 1] = [EventKind::ObjectCreatedPut];
const REMOVED: [EventKind; 2] = [EventKind::ObjectRemovedDelete, EventKind::ObjectRemovedDeleteMarkerCreated];

#[test]
fn what_is_refused_is_not_told() {
    let mut store = Store::of_events();
    store.tell(put("a", 1, small(), only_if_absent()), &PUT);
    let [event] = store.events().try_into().unwrap();
    assert_eq!((event.kind, event.sequencer, event.object.unwrap().size), (PUT[0], store.index, 10));
    assert_eq!(store.tell(put("a", 2, small(), only_if_absent()), &PUT), failed(Condition::IfNoneMatch));
    assert_eq!(store.tell(delete("b"), &REMOVED), Outcome::Deleted(Deleted::Nothing));
    assert_eq!((store.events().len(), store.queue()), (1, EventQueue { waiting: 1, lost: 0 }));
}

#[test]
fn a_deletion_is_told_as_what_it_came_to() {
    let mut store = Store::of_events();
    store.apply(put("a", 1, small(), WriteCondition::default()));
    store.tell(delete("a"), &REMOVED);
    let change = BucketChange::Versioning(Versioning::Enabled);
    store.apply(Command::ConfigureBucket { bucket: BUCKET, change });
    store.apply(put("a", 1, small(), WriteCondition::default()));
    let Outcome::Deleted(Deleted::Marked(marker)) = store.tell(delete("a"), &REMOVED) else { panic!() };
    let told: Vec<_> = store.events().into_iter().map(|event| (event.kind, event.about.version)).collect();
    assert_eq!(told, [(REMOVED[0], None), (REMOVED[1], Some(marker))]);
}

#[test]
fn what_was_delivered_goes_and_what_finds_no_room_is_counted() {
    let mut store = Store::of_events();
    for _ in 0..4 {
        store.tell(put("a", 1, small(), WriteCondition::default()), &PUT);
    }
    // In tests there is room for four, and one owner leaves as much as they take.
    assert_eq!(store.queue(), EventQueue { waiting: 2, lost: 2 });
    store.tell_of("other", put("a", 1, small(), WriteCondition::default()), &PUT);
    assert_eq!(store.queue(), EventQueue { waiting: 3, lost: 2 }, "there is room for somebody else");
    let events: Vec<_> = store.events().iter().map(|event| event.sequencer).collect();
    let forget = |events: &[Index]| Command::ForgetEvents { target: "hook".into(), events: events.to_vec() };
    assert_eq!(store.apply(forget(&events[..2])), Outcome::Count(2));
    assert_eq!(store.apply(forget(&events[..2])), Outcome::Count(0), "it was delivered twice");
    assert_eq!(store.queue(), EventQueue { waiting: 1, lost: 2 });
    store.tell(put("a", 1, small(), WriteCondition::default()), &PUT);
    assert_eq!((store.events().len(), store.queue().waiting), (2, 2));
    let events: Vec<_> = store.events().iter().map(|event| event.sequencer).collect();
    store.apply(forget(&events));
    assert!(store.all::<EventQueue>(Tag::EventQueue).is_empty());
    assert!(store.all::<EventShare>(Tag::EventShare).is_empty());
}
