//! A remote store in memory, which can be slow, gone, lying or forgetful: for tests and simulations.

use super::{Answer, Listed, ObjectStore, PartialObject, RemoteError};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tracing_mutex::parkinglot::Mutex;

/// How many names a page of a listing has: few, so that tests see several.
const PAGE: usize = 4;

/// What is wrong with the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ailment {
    #[default]
    None,
    /// Every answer is an error.
    Gone,
    /// Every answer takes that long.
    Slow(Duration),
    /// What is written from now on isn't what is stored, and every answer says that it is.
    Lying,
}

/// The store. Cheap handles of the same one.
#[derive(Clone, Debug, Default)]
pub struct SimulatedStore {
    contents: Arc<Mutex<Contents>>,
}

#[derive(Debug, Default)]
struct Contents {
    objects: BTreeMap<String, Bytes>,
    ailment: Ailment,
    /// How often a range was asked for.
    reads: u64,
}

impl SimulatedStore {
    /// From now on that is wrong with it.
    pub fn ail(&self, ailment: Ailment) {
        self.contents.lock().ailment = ailment;
    }

    /// The names of its objects.
    pub fn names(&self) -> Vec<String> {
        self.contents.lock().objects.keys().cloned().collect()
    }

    /// Forgets an object.
    pub fn lose(&self, name: &str) {
        self.contents.lock().objects.remove(name);
    }

    /// Puts the same bytes under another name, too.
    pub fn copy(&self, from: &str, to: &str) {
        let objects = &mut self.contents.lock().objects;
        if let Some(object) = objects.get(from).cloned() {
            objects.insert(to.into(), object);
        }
    }

    /// Changes a byte of an object.
    pub fn rot(&self, name: &str, at: usize) {
        if let Some(object) = self.contents.lock().objects.get_mut(name) {
            *object = changed(object, at);
        }
    }

    /// How often a range was asked for since the last time this was asked.
    pub fn reads(&self) -> u64 {
        std::mem::take(&mut self.contents.lock().reads)
    }

    /// Does something with the contents, as the store now is.
    async fn answer<T>(
        &self,
        with: impl FnOnce(&mut Contents) -> Result<T, RemoteError>,
    ) -> Result<T, RemoteError> {
        let ailment = self.contents.lock().ailment;
        match ailment {
            Ailment::Gone => return Err(RemoteError::Unavailable("it is gone".into())),
            Ailment::Slow(time) => tokio::time::sleep(time).await,
            Ailment::None | Ailment::Lying => {}
        }
        with(&mut self.contents.lock())
    }
}

fn changed(bytes: &Bytes, at: usize) -> Bytes {
    let mut bytes = bytes.to_vec();
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 1;
    }
    bytes.into()
}

impl Contents {
    fn find(&self, name: &str) -> Result<&Bytes, RemoteError> {
        self.objects.get(name).ok_or_else(|| RemoteError::Missing(name.into()))
    }
}

impl ObjectStore for SimulatedStore {
    fn get<'a>(&'a self, name: &'a str, range: Range<u64>) -> Answer<'a, Bytes> {
        Box::pin(self.answer(move |contents| {
            contents.reads += 1;
            let object = contents.find(name)?;
            let end = (range.end as usize).min(object.len());
            Ok(object.slice((range.start as usize).min(end)..end))
        }))
    }

    fn length<'a>(&'a self, name: &'a str) -> Answer<'a, u64> {
        Box::pin(self.answer(move |contents| Ok(contents.find(name)?.len() as u64)))
    }

    fn create<'a>(&'a self, name: &'a str, bytes: Bytes) -> Answer<'a, bool> {
        Box::pin(self.answer(move |contents| {
            let is_new = !contents.objects.contains_key(name);
            if is_new {
                contents.objects.insert(name.into(), bytes);
            }
            Ok(is_new)
        }))
    }

    fn upload<'a>(&'a self, name: &'a str) -> Answer<'a, Box<dyn PartialObject>> {
        let parts = Parts { store: self.clone(), name: name.into(), bytes: Vec::new() };
        Box::pin(self.answer(move |_| Ok(Box::new(parts) as Box<dyn PartialObject>)))
    }

    fn delete<'a>(&'a self, name: &'a str) -> Answer<'a, ()> {
        Box::pin(self.answer(move |contents| {
            contents.objects.remove(name);
            Ok(())
        }))
    }

    fn list<'a>(&'a self, folder: &'a str, after: Option<&'a str>) -> Answer<'a, Vec<Listed>> {
        Box::pin(self.answer(move |contents| {
            let listed = |(name, bytes): (&String, &Bytes)| Listed {
                name: name.clone(),
                length: bytes.len() as u64,
                modified: 0,
            };
            let prefix = format!("{folder}/");
            let names = contents.objects.iter().filter(|(name, _)| {
                name.starts_with(&prefix) && after.is_none_or(|after| name.as_str() > after)
            });
            Ok(names.take(PAGE).map(listed).collect())
        }))
    }

    fn place(&self) -> String {
        "a store in memory".into()
    }
}

struct Parts {
    store: SimulatedStore,
    name: String,
    bytes: Vec<u8>,
}

impl PartialObject for Parts {
    fn part(&mut self, bytes: Bytes) -> Answer<'_, ()> {
        let store = self.store.clone();
        Box::pin(async move {
            store.answer(|_| Ok(())).await?;
            self.bytes.extend_from_slice(&bytes);
            Ok(())
        })
    }

    fn finish(&mut self) -> Answer<'_, ()> {
        let (store, name) = (self.store.clone(), self.name.clone());
        let bytes = Bytes::from(std::mem::take(&mut self.bytes));
        Box::pin(async move {
            let put = |contents: &mut Contents| {
                let is_kept = contents.ailment != Ailment::Lying;
                let bytes = if is_kept { bytes } else { changed(&bytes, bytes.len() / 2) };
                contents.objects.insert(name, bytes);
                Ok(())
            };
            store.answer(put).await
        })
    }

    fn give_up(&mut self) -> Answer<'_, ()> {
        self.bytes.clear();
        Box::pin(std::future::ready(Ok(())))
    }
}
