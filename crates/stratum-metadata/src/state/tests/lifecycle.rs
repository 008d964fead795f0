//! What a lifecycle asks for is done as long as it is the bucket's lifecycle.

use super::*;
use crate::command::{BucketChange, LifecycleAction};

const CHANGED: Outcome = Outcome::Refused(Refusal::LifecycleChanged);

impl Store {
    /// Puts a document, or removes it; returns the entry that put the lifecycle that the bucket then has.
    fn document(&mut self, kind: DocumentKind, text: Option<&str>) -> Option<Index> {
        let document = text.map(|text| BucketDocument(text.into()));
        let change = BucketChange::Document { kind, document };
        match self.apply(Command::ConfigureBucket { bucket: BUCKET, change }) {
            Outcome::Bucket(bucket) => bucket.configuration.documents.get(&DocumentKind::Lifecycle).copied(),
            other => panic!("{other}"),
        }
    }
}

#[test]
fn what_a_lifecycle_asked_for_that_was_replaced_or_removed_is_refused() {
    let mut store = Store::new();
    store.apply(Command::SetLevel(Level::SECOND));
    store.apply(put("a", 1, small(), WriteCondition::default()));
    store.apply(put("b", 1, small(), WriteCondition::default()));
    store.apply(create_upload(7, "c"));
    let object = store.object("b").unwrap();
    let (version, modified) = (object.version, object.modified);
    let (bucket, class) = (BUCKET, StorageClass::Glacier);
    let actions = [
        LifecycleAction::Delete(Deletion::of(BUCKET, b"a".to_vec(), 5_000)),
        LifecycleAction::Transition { bucket, key: b"b".to_vec(), version, class, modified },
        LifecycleAction::AbortUpload { bucket, key: b"c".to_vec(), upload: UploadId(7) },
    ];
    let follow = |put, action: &LifecycleAction| Command::FollowLifecycle { put, action: action.clone() };
    let removed = store.document(DocumentKind::Lifecycle, Some("rules")).unwrap();
    assert_eq!(store.document(DocumentKind::Lifecycle, None), None);
    let replaced = store.document(DocumentKind::Lifecycle, Some("rules")).unwrap();
    let now = store.document(DocumentKind::Lifecycle, Some("rules")).unwrap();
    for action in &actions {
        for before in [removed, replaced] {
            assert_eq!(store.apply(follow(before, action)), CHANGED, "though the text is the same");
        }
    }
    assert!(store.object("a").is_some());
    assert_eq!(store.object("b").unwrap().storage_class, StorageClass::Standard);
    // Another document doesn't matter.
    assert_eq!(store.document(DocumentKind::Cors, Some("other")), Some(now));
    let done = actions.each_ref().map(|action| store.apply(follow(now, action)));
    assert!(
        matches!(done, [Outcome::Deleted(Deleted::Current), Outcome::Object(_), Outcome::Done]),
        "{done:?}"
    );
    assert!(store.object("a").is_none());
    assert_eq!(store.object("b").unwrap().storage_class, class);
    store.check();
}
