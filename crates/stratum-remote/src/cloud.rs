//! What storage asks of a remote store, done with a store of the `object_store` crate.

use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    Error, GetOptions, GetRange, MultipartUpload, ObjectMeta, ObjectStoreExt, PutMode, PutOptions, PutPayload,
};
use std::error::Error as _;
use std::fmt::Write;
use std::ops::Range;
use std::sync::Arc;
use stratum_storage::remote::{Answer, Listed, ObjectStore, PartialObject, RemoteError};

/// Names a page of a listing has: as many as S3 gives at a time.
const PAGE_NAMES: usize = 1000;

/// A prefix of a bucket, as a remote store.
#[derive(Debug)]
pub struct Cloud {
    store: Arc<dyn object_store::ObjectStore>,
    /// With a slash at its end, or empty.
    prefix: String,
    place: String,
}

impl Cloud {
    /// `place` is what people are told.
    pub fn new(store: Arc<dyn object_store::ObjectStore>, prefix: &str, place: String) -> Cloud {
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        Cloud { store, prefix, place }
    }

    fn path(&self, name: &str) -> Path {
        Path::from(format!("{}{name}", self.prefix))
    }

    fn listed(&self, meta: ObjectMeta) -> Option<Listed> {
        let name = meta.location.as_ref().strip_prefix(&self.prefix)?.to_owned();
        let modified = u64::try_from(meta.last_modified.timestamp_millis()).unwrap_or_default();
        Some(Listed { name, length: meta.size, modified })
    }

    async fn head(&self, name: &str) -> Result<u64, RemoteError> {
        let meta = self.store.head(&self.path(name)).await.map_err(|error| told(name, &error))?;
        Ok(meta.size)
    }
}

impl ObjectStore for Cloud {
    fn get<'a>(&'a self, name: &'a str, range: Range<u64>) -> Answer<'a, Bytes> {
        Box::pin(async move {
            let options =
                GetOptions { range: Some(GetRange::Bounded(range.clone())), ..GetOptions::default() };
            let read = async { self.store.get_opts(&self.path(name), options).await?.bytes().await };
            match read.await {
                Ok(bytes) => Ok(bytes),
                // A range behind the end is refused, in words that differ from store to store.
                Err(error) => match (told(name, &error), self.head(name).await) {
                    (RemoteError::Unavailable(_), Ok(length)) if length <= range.start => Ok(Bytes::new()),
                    (error, _) => Err(error),
                },
            }
        })
    }

    fn length<'a>(&'a self, name: &'a str) -> Answer<'a, u64> {
        Box::pin(self.head(name))
    }

    fn create<'a>(&'a self, name: &'a str, bytes: Bytes) -> Answer<'a, bool> {
        Box::pin(async move {
            let options = PutOptions::from(PutMode::Create);
            match self.store.put_opts(&self.path(name), PutPayload::from(bytes), options).await {
                Ok(_) => Ok(true),
                Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(false),
                Err(error) => Err(told(name, &error)),
            }
        })
    }

    fn replace<'a>(&'a self, name: &'a str, bytes: Bytes) -> Answer<'a, ()> {
        Box::pin(async move {
            let written = self.store.put(&self.path(name), PutPayload::from(bytes)).await;
            written.map(drop).map_err(|error| told(name, &error))
        })
    }

    fn upload<'a>(&'a self, name: &'a str) -> Answer<'a, Box<dyn PartialObject>> {
        Box::pin(async move {
            let upload =
                self.store.put_multipart(&self.path(name)).await.map_err(|error| told(name, &error))?;
            Ok(Box::new(Parts { upload, name: name.to_owned() }) as Box<dyn PartialObject>)
        })
    }

    fn delete<'a>(&'a self, name: &'a str) -> Answer<'a, ()> {
        Box::pin(async move {
            match self.store.delete(&self.path(name)).await {
                Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
                Err(error) => Err(told(name, &error)),
            }
        })
    }

    fn list<'a>(&'a self, folder: &'a str, after: Option<&'a str>) -> Answer<'a, Vec<Listed>> {
        Box::pin(async move {
            let folder = self.path(folder);
            let after = after.map(|after| self.path(after));
            let metas = match &after {
                Some(after) => self.store.list_with_offset(Some(&folder), after),
                None => self.store.list(Some(&folder)),
            };
            let metas: Vec<ObjectMeta> = behind(metas, after)
                .take(PAGE_NAMES)
                .try_collect()
                .await
                .map_err(|error: Error| told(folder.as_ref(), &error))?;
            let mut listed: Vec<Listed> = metas.into_iter().filter_map(|meta| self.listed(meta)).collect();
            listed.sort_by(|one, other| one.name.cmp(&other.name));
            Ok(listed)
        })
    }

    fn place(&self) -> String {
        self.place.clone()
    }
}

/// What a listing has behind a name. Not every store heeds where a listing is to begin (Azurite doesn't), and whoever pages
/// through one that begins anew each time would never come to its end.
fn behind<S>(metas: S, after: Option<Path>) -> impl Stream<Item = Result<ObjectMeta, Error>>
where
    S: Stream<Item = Result<ObjectMeta, Error>>,
{
    metas
        .try_filter(move |meta| std::future::ready(after.as_ref().is_none_or(|after| meta.location > *after)))
}

struct Parts {
    upload: Box<dyn MultipartUpload>,
    name: String,
}

impl PartialObject for Parts {
    fn part(&mut self, bytes: Bytes) -> Answer<'_, ()> {
        let part = self.upload.put_part(PutPayload::from(bytes));
        Box::pin(async { part.await.map_err(|error| told(&self.name, &error)) })
    }

    fn finish(&mut self) -> Answer<'_, ()> {
        Box::pin(async { self.upload.complete().await.map(drop).map_err(|error| told(&self.name, &error)) })
    }

    fn give_up(&mut self) -> Answer<'_, ()> {
        Box::pin(async { self.upload.abort().await.map_err(|error| told(&self.name, &error)) })
    }
}

fn told(name: &str, error: &Error) -> RemoteError {
    match error {
        Error::NotFound { .. } => RemoteError::Missing(name.to_owned()),
        error => RemoteError::Unavailable(words(error)),
    }
}

/// An error in one line, with what is behind it.
pub fn words(error: &Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        if !words.contains(&more) {
            // Writing to a text doesn't fail.
            let _ = write!(words, ": {more}");
        }
        source = error.source();
    }
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::memory::InMemory;

    fn cloud(prefix: &str) -> Cloud {
        Cloud::new(Arc::new(InMemory::new()), prefix, "memory".into())
    }

    async fn write(cloud: &Cloud, name: &str, parts: &[&'static [u8]]) {
        let mut upload = cloud.upload(name).await.unwrap();
        for part in parts {
            upload.part(Bytes::from_static(part)).await.unwrap();
        }
        upload.finish().await.unwrap();
    }

    #[tokio::test]
    async fn objects_are_written_in_parts_and_read_by_ranges() {
        for prefix in ["", "a/b"] {
            let cloud = cloud(prefix);
            write(&cloud, "volumes/one", &[b"01234", b"56789"]).await;
            assert_eq!(cloud.length("volumes/one").await, Ok(10));
            assert_eq!(cloud.get("volumes/one", 3..7).await.unwrap(), "3456");
            assert_eq!(cloud.get("volumes/one", 8..20).await.unwrap(), "89", "what there is of it");
            assert_eq!(cloud.get("volumes/one", 10..20).await.unwrap(), "");
            assert_eq!(cloud.get("volumes/two", 0..1).await, Err(RemoteError::Missing("volumes/two".into())));
            cloud.delete("volumes/one").await.unwrap();
            assert!(matches!(cloud.length("volumes/one").await, Err(RemoteError::Missing(_))));
        }
    }

    #[tokio::test]
    async fn what_is_given_up_leaves_nothing() {
        let cloud = cloud("x");
        let mut upload = cloud.upload("volumes/one").await.unwrap();
        upload.part(Bytes::from_static(b"half")).await.unwrap();
        upload.give_up().await.unwrap();
        assert!(cloud.list("volumes", None).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_name_is_created_once() {
        let cloud = cloud("");
        assert_eq!(cloud.create("marker", Bytes::from_static(b"one")).await, Ok(true));
        assert_eq!(cloud.create("marker", Bytes::from_static(b"two")).await, Ok(false));
        assert_eq!(cloud.get("marker", 0..100).await.unwrap(), "one");
        cloud.replace("marker", Bytes::from_static(b"three")).await.unwrap();
        assert_eq!(cloud.get("marker", 0..100).await.unwrap(), "three");
    }

    #[tokio::test]
    async fn a_listing_goes_on_behind_a_name_and_knows_its_folder_alone() {
        let cloud = cloud("mine");
        for name in ["volumes/a", "volumes/b", "volumes/c", "marker", "volumesx/d"] {
            write(&cloud, name, &[b"x"]).await;
        }
        let names = |listed: Vec<Listed>| listed.into_iter().map(|listed| listed.name).collect::<Vec<_>>();
        assert_eq!(
            names(cloud.list("volumes", None).await.unwrap()),
            ["volumes/a", "volumes/b", "volumes/c"]
        );
        assert_eq!(
            names(cloud.list("volumes", Some("volumes/a")).await.unwrap()),
            ["volumes/b", "volumes/c"]
        );
        let listed = cloud.list("volumes", Some("volumes/b")).await.unwrap();
        assert!(listed[0].length == 1 && listed[0].modified > 1_600_000_000_000);
    }

    #[tokio::test]
    async fn a_page_has_nothing_of_the_one_before_from_a_store_that_begins_anew_each_time() {
        let store = InMemory::new();
        for name in ["v/a", "v/b", "v/c"] {
            store.put(&Path::from(name), "x".into()).await.unwrap();
        }
        let metas = object_store::ObjectStore::list(&store, None);
        let names: Vec<Path> =
            behind(metas, Some(Path::from("v/b"))).map_ok(|meta| meta.location).try_collect().await.unwrap();
        assert_eq!(names, [Path::from("v/c")]);
    }
}
