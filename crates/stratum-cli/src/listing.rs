//! Listings as streams. The next page is asked for while the one before is still being worked on.

use crate::place::Url;
use crate::problem::Problem;
use crate::s3::{Client, Entry, Listed, OpenUpload, S3Error, Version};
use futures_util::{Stream, StreamExt, stream};
use std::sync::Arc;
use tokio::sync::mpsc;

/// How many pages may wait for the stream's reader.
const PAGES_AHEAD: usize = 2;

/// Something in a listing.
pub enum Item<T> {
    Entry(T),
    /// A common prefix.
    Folder(String),
}

/// Whatever a listing shows by its key.
pub trait Keyed {
    fn key(&self) -> &str;
}

impl Keyed for Entry {
    fn key(&self) -> &str {
        &self.key
    }
}

impl Keyed for Version {
    fn key(&self) -> &str {
        &self.key
    }
}

impl Keyed for OpenUpload {
    fn key(&self) -> &str {
        &self.key
    }
}

impl<T: Keyed> Item<T> {
    pub fn key(&self) -> &str {
        match self {
            Item::Entry(entry) => entry.key(),
            Item::Folder(prefix) => prefix,
        }
    }
}

/// All objects whose keys begin with `prefix`.
pub fn objects(
    client: &Arc<Client>,
    url: &Url,
    prefix: &str,
) -> impl Stream<Item = Result<Entry, Problem>> + use<> {
    entries(items(client, url, prefix, false))
}

/// All versions and delete markers of keys that begin with `prefix`.
pub fn versions(
    client: &Arc<Client>,
    url: &Url,
    prefix: &str,
) -> impl Stream<Item = Result<Version, Problem>> + use<> {
    entries(version_items(client, url, prefix, false))
}

/// All objects whose keys begin with `prefix`. With `is_one_folder`, what lies in folders below is given as those
/// folders.
pub fn items(
    client: &Arc<Client>,
    url: &Url,
    prefix: &str,
    is_one_folder: bool,
) -> impl Stream<Item = Result<Item<Entry>, Problem>> + use<> {
    let (client, bucket, prefix) = (client.clone(), url.bucket.clone(), prefix.to_owned());
    paged(url, move |next| {
        let (client, bucket, prefix) = (client.clone(), bucket.clone(), prefix.clone());
        async move { client.list(&bucket, &prefix, is_one_folder.then_some("/"), next.as_ref()).await }
    })
}

/// The same as [`items`], of versions and delete markers.
pub fn version_items(
    client: &Arc<Client>,
    url: &Url,
    prefix: &str,
    is_one_folder: bool,
) -> impl Stream<Item = Result<Item<Version>, Problem>> + use<> {
    let (client, bucket, prefix) = (client.clone(), url.bucket.clone(), prefix.to_owned());
    paged(url, move |next| {
        let (client, bucket, prefix) = (client.clone(), bucket.clone(), prefix.clone());
        async move { client.list_versions(&bucket, &prefix, is_one_folder.then_some("/"), next.as_ref()).await }
    })
}

/// Multipart uploads that are neither completed nor aborted.
pub fn uploads(
    client: &Arc<Client>,
    url: &Url,
    prefix: &str,
) -> impl Stream<Item = Result<OpenUpload, Problem>> + use<> {
    let (client, bucket, prefix) = (client.clone(), url.bucket.clone(), prefix.to_owned());
    entries(paged(url, move |next| {
        let (client, bucket, prefix) = (client.clone(), bucket.clone(), prefix.clone());
        async move { client.list_uploads(&bucket, &prefix, next.as_ref()).await }
    }))
}

fn entries<T>(items: impl Stream<Item = Result<Item<T>, Problem>>) -> impl Stream<Item = Result<T, Problem>> {
    items.filter_map(async |item| match item {
        Ok(Item::Entry(entry)) => Some(Ok(entry)),
        Ok(Item::Folder(_)) => None,
        Err(problem) => Some(Err(problem)),
    })
}

type Next = Option<(String, String)>;

fn paged<T, F, P>(url: &Url, page: F) -> impl Stream<Item = Result<Item<T>, Problem>> + use<T, F, P>
where
    T: Keyed + Send + 'static,
    F: Fn(Next) -> P + Send + 'static,
    P: Future<Output = Result<Listed<T>, S3Error>> + Send,
{
    let (sender, receiver) = mpsc::channel(PAGES_AHEAD);
    let url = url.with_key("");
    tokio::spawn(async move {
        let mut next = None;
        loop {
            let listed = page(next).await.map_err(Problem::s3(&url));
            next = listed.as_ref().ok().and_then(|listed| listed.next.clone());
            if sender.send(listed.map(merged)).await.is_err() || next.is_none() {
                return;
            }
        }
    });
    let pages = stream::unfold(receiver, async |mut receiver| Some((receiver.recv().await?, receiver)));
    pages.flat_map(|page| match page {
        Ok(items) => stream::iter(items.into_iter().map(Ok).collect::<Vec<_>>()),
        Err(problem) => stream::iter(vec![Err(problem)]),
    })
}

/// Entries and folders of a page, in the order of their keys.
fn merged<T: Keyed>(listed: Listed<T>) -> Vec<Item<T>> {
    let folders = listed.prefixes.into_iter().map(Item::Folder);
    let mut items: Vec<Item<T>> = listed.entries.into_iter().map(Item::Entry).chain(folders).collect();
    // The sort is stable, so that the versions of one key keep the order in which the endpoint lists them.
    items.sort_by(|one, other| one.key().cmp(other.key()));
    items
}
