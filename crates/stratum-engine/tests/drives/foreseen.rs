//! What the classifier saw in an object's bytes spares a probe when the object is moved, or spares coding it.

use crate::evacuation::random;
use crate::store::{BUCKET, key};
use crate::tiers::{Machine, Tiered, in_virtual_time};
use bytes::Bytes;
use stratum_storage::blob::{Form, Tier};
use stratum_tiering::content::{ContentClass, Seen, Shrinks};

const VIDEO: Seen = Seen { class: ContentClass::Video, shrinks: Shrinks::Hardly, confidence: 99 };
const LOG: Seen = Seen { class: ContentClass::Log, shrinks: Shrinks::Well, confidence: 60 };

fn lines(count: usize) -> Bytes {
    b"GET /index.html HTTP/1.1 200\n".repeat(count).into()
}

async fn put(store: &Tiered, number: u64, body: &Bytes, seen: Option<Seen>) {
    store.put(number, body).await;
    if let Some(seen) = seen {
        let key = String::from_utf8(key(number)).unwrap();
        store.usage.note_seen(BUCKET.0, &key, store.object(number).modified, seen);
    }
}

#[test]
fn what_was_seen_decides_whether_a_body_is_coded() {
    in_virtual_time(async {
        let store = Machine::new().form().await;
        // Only the first bytes of this body don't shrink.
        let late: Bytes = [random(7, 400_000), lines(30_000)].concat().into();
        let unsure = Seen { confidence: 80, ..VIDEO };
        let (large, small) = (lines(20_000), lines(200));
        for (number, body, seen, form) in [
            (1, &large, None, Form::Frames),
            (2, &large, Some(VIDEO), Form::Plaintext),
            (3, &large, Some(unsure), Form::Frames),
            (4, &late, None, Form::Plaintext),
            (5, &late, Some(LOG), Form::Frames),
            (6, &small, None, Form::Frames),
            (7, &small, Some(VIDEO), Form::Plaintext),
        ] {
            put(&store, number, body, seen).await;
            store.wish([number], Tier::Warm).await;
            store.step().await;
            assert_eq!((store.tier(number), store.blob(number).form), (Some(Tier::Warm), form), "{number}");
            assert!(store.read(number).await == *body, "{number}");
        }
    });
}

#[test]
fn what_was_seen_in_a_replaced_object_does_not_count() {
    in_virtual_time(async {
        let store = Machine::new().form().await;
        let body = lines(20_000);
        store.put(1, &body).await;
        let key = String::from_utf8(key(1)).unwrap();
        store.usage.note_seen(BUCKET.0, &key, store.object(1).modified + 1_000, VIDEO);
        store.wish([1], Tier::Warm).await;
        store.step().await;
        assert_eq!(store.blob(1).form, Form::Frames);
    });
}
