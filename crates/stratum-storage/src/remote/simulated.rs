//! A remote store in memory, which can be slow, gone, lying or forgetful: for tests and simulations.
//!
//! What is wrong with it for a while is its [`Ailment`]; what is wrong with one request alone is a [`Fault`], at the
//! n-th of its kind from now. It never lies about whose store it is: a marker that lies stops a server, and rightly
//! so. It may hang on the [`Power`] that drives hang on, and then the process can end in any request that changes
//! something there, which may have arrived.

mod faults;

pub use faults::{Fault, Lie, Request};

use super::{Answer, Claim, ClaimMemory, Listed, ObjectStore, PartialObject, RemoteError, VOLUMES};
use crate::drive::simulated::{Current, Op, Power};
use bytes::Bytes;
use faults::{Plan, changed, told};
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tracing_mutex::parkinglot::Mutex;

/// How many names a page of a listing has: few, so that tests see several.
const PAGE_NAMES: usize = 4;

/// A memory of claims that is memory. Cheap handles of the same one.
#[derive(Clone, Debug, Default)]
pub struct SimulatedMemory(Arc<Mutex<Vec<Claim>>>);

impl SimulatedMemory {
    /// A copy that shares nothing with this memory, as where a store's drives are copied.
    pub fn copied(&self) -> SimulatedMemory {
        SimulatedMemory(Arc::new(Mutex::new(self.0.lock().clone())))
    }
}

impl ClaimMemory for SimulatedMemory {
    fn read(&self) -> io::Result<Vec<Claim>> {
        Ok(self.0.lock().clone())
    }

    fn write(&self, claims: &[Claim]) -> io::Result<()> {
        *self.0.lock() = claims.to_owned();
        Ok(())
    }
}

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
    /// A listing shows what lay there when this began.
    Stale,
}

/// How many requests were answered as they shouldn't be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Misled {
    /// Answered with an error.
    pub refused: u64,
    /// Answered that an object isn't there, or not all of it, when it is.
    pub denied: u64,
}

/// The store. Cheap handles of the same one.
#[derive(Clone, Debug, Default)]
pub struct SimulatedStore {
    contents: Arc<Mutex<Contents>>,
}

#[derive(Debug, Default)]
struct Contents {
    objects: BTreeMap<String, Stored>,
    ailment: Ailment,
    /// What a listing shows that isn't true any more.
    stale: Vec<Listed>,
    plan: Plan,
    power: Option<Arc<Power>>,
    /// The folder in which the power fails, and how many changes there are still made before.
    cut: Option<(&'static str, u64)>,
    /// Its clock, in milliseconds of Unix time.
    now: u64,
    /// How often a range was asked for.
    reads: u64,
    misled: Misled,
}

#[derive(Clone, Debug)]
struct Stored {
    bytes: Bytes,
    modified: u64,
}

/// What becomes of a request.
enum Fate {
    Done(Option<Lie>),
    Unheard,
    Refused(&'static str),
}

impl SimulatedStore {
    /// One whose line hangs on that power.
    pub fn on(power: &Arc<Power>) -> SimulatedStore {
        let contents = Contents { power: Some(power.clone()), ..Contents::default() };
        SimulatedStore { contents: Arc::new(Mutex::new(contents)) }
    }

    /// Sets what is wrong with the store from now on.
    pub fn ail(&self, ailment: Ailment) {
        let mut contents = self.contents.lock();
        if ailment == Ailment::Stale {
            contents.stale = contents.listed().collect();
        }
        contents.ailment = ailment;
    }

    pub fn ailment(&self) -> Ailment {
        self.contents.lock().ailment
    }

    /// The `n`-th request of that kind from now (1 is the next) goes wrong. Those that ask whose store it is don't count.
    pub fn fail_nth(&self, request: Request, n: u64, fault: Fault) {
        self.contents.lock().plan.fail_nth(request, n, fault);
    }

    /// The power that it hangs on fails at the `n`-th request from now (1 is the next) that changes something in a folder.
    pub fn cut_nth(&self, folder: &'static str, n: u64) {
        self.contents.lock().cut = Some((folder, n.max(1)));
    }

    /// No single request is to go wrong any more.
    pub fn calm(&self) {
        let mut contents = self.contents.lock();
        contents.plan.clear();
        contents.cut = None;
    }

    /// What was answered as it shouldn't be.
    pub fn misled(&self) -> Misled {
        self.contents.lock().misled
    }

    /// Sets its clock, in milliseconds of Unix time.
    pub fn set_time(&self, now: u64) {
        self.contents.lock().now = now;
    }

    /// The names of its objects.
    pub fn names(&self) -> Vec<String> {
        self.contents.lock().objects.keys().cloned().collect()
    }

    /// What lies there, whatever it tells.
    pub fn listing(&self) -> Vec<Listed> {
        self.contents.lock().listed().collect()
    }

    /// The bytes of an object.
    pub fn bytes_of(&self, name: &str) -> Option<Bytes> {
        Some(self.contents.lock().objects.get(name)?.bytes.clone())
    }

    /// How long an object is, in bytes.
    pub fn length_of(&self, name: &str) -> Option<usize> {
        Some(self.contents.lock().objects.get(name)?.bytes.len())
    }

    /// Forgets an object.
    pub fn lose(&self, name: &str) {
        self.contents.lock().objects.remove(name);
    }

    /// Puts bytes under a name, whatever was there.
    pub fn put(&self, name: &str, bytes: Bytes) {
        self.contents.lock().store(name, Some(bytes));
    }

    /// Puts the same bytes under another name, too, as of now.
    pub fn copy(&self, from: &str, to: &str) {
        let mut contents = self.contents.lock();
        let bytes = contents.objects.get(from).map(|object| object.bytes.clone());
        contents.store(to, bytes);
    }

    /// Changes a byte of an object.
    pub fn rot(&self, name: &str, at: usize) {
        if let Some(object) = self.contents.lock().objects.get_mut(name) {
            object.bytes = changed(&object.bytes, at);
        }
    }

    /// How often a range was asked for since the last time this was asked.
    pub fn reads(&self) -> u64 {
        std::mem::take(&mut self.contents.lock().reads)
    }

    /// Answers a request with what `with` makes of the contents, unless the store ails, or the request is to go
    /// wrong.
    async fn answer<T>(
        &self,
        request: Request,
        name: &str,
        with: impl FnOnce(&mut Contents, Option<Lie>) -> Result<T, RemoteError>,
    ) -> Result<T, RemoteError> {
        let ailment = self.contents.lock().ailment;
        if let Ailment::Slow(time) = ailment {
            tokio::time::sleep(time).await;
        }
        let mut contents = self.contents.lock();
        match contents.fate(request, name) {
            Fate::Done(lie) => with(&mut contents, lie),
            Fate::Unheard => {
                let _ = with(&mut contents, None);
                Err(RemoteError::Unavailable("the answer got lost".into()))
            }
            Fate::Refused(why) => Err(RemoteError::Unavailable(why.into())),
        }
    }
}

impl Contents {
    fn fate(&mut self, request: Request, name: &str) -> Fate {
        if let Some(power) = &self.power {
            if request.is_change()
                && let Some((_, left)) = self.cut.as_mut().filter(|(folder, _)| is_in(folder, name))
            {
                *left -= 1;
                if *left == 0 {
                    power.fail_at(1);
                    self.cut = None;
                }
            }
            match power.draw(if request.is_change() { Op::Write } else { Op::Read }) {
                Current::On => {}
                // Half of what is on its way then arrives.
                Current::Failing if power.steps().is_multiple_of(2) => return Fate::Unheard,
                Current::Failing | Current::Off => return Fate::Refused("the power is off"),
            }
        }
        if self.ailment == Ailment::Gone {
            self.misled.refused += 1;
            return Fate::Refused("it is gone");
        }
        let may_fail = name.starts_with(VOLUMES) || request == Request::Create;
        let fault = if may_fail { self.plan.strike(request) } else { None };
        match fault {
            None if self.ailment == Ailment::Lying && request == Request::Finish => {
                Fate::Done(Some(Lie::Altered))
            }
            None => Fate::Done(None),
            Some(Fault::Lie(lie)) => {
                self.misled.denied += u64::from(lie != Lie::Altered);
                Fate::Done(Some(lie))
            }
            Some(fault) => {
                self.misled.refused += 1;
                if fault == Fault::Unheard { Fate::Unheard } else { Fate::Refused("not this once") }
            }
        }
    }

    fn find(&self, name: &str) -> Result<Bytes, RemoteError> {
        let object = self.objects.get(name).ok_or_else(|| RemoteError::Missing(name.into()))?;
        Ok(object.bytes.clone())
    }

    fn store(&mut self, name: &str, bytes: Option<Bytes>) {
        let modified = self.now;
        self.objects.extend(bytes.map(|bytes| (name.into(), Stored { bytes, modified })));
    }

    fn listed(&self) -> impl Iterator<Item = Listed> {
        self.objects.iter().map(|(name, Stored { bytes, modified })| Listed {
            name: name.clone(),
            length: bytes.len() as u64,
            modified: *modified,
        })
    }
}

fn is_in(folder: &str, name: &str) -> bool {
    name.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

impl ObjectStore for SimulatedStore {
    fn get<'a>(&'a self, name: &'a str, range: Range<u64>) -> Answer<'a, Bytes> {
        Box::pin(self.answer(Request::Read, name, move |contents, lie| {
            contents.reads += 1;
            let object = contents.find(name)?;
            let end = (range.end as usize).min(object.len());
            let bytes = object.slice((range.start as usize).min(end)..end);
            told(lie, bytes).ok_or_else(|| RemoteError::Missing(name.into()))
        }))
    }

    fn length<'a>(&'a self, name: &'a str) -> Answer<'a, u64> {
        Box::pin(self.answer(Request::Length, name, move |contents, lie| {
            let object = told(lie, contents.find(name)?);
            Ok(object.ok_or_else(|| RemoteError::Missing(name.into()))?.len() as u64)
        }))
    }

    fn create<'a>(&'a self, name: &'a str, bytes: Bytes) -> Answer<'a, bool> {
        Box::pin(self.answer(Request::Create, name, move |contents, lie| {
            let is_new = !contents.objects.contains_key(name);
            if is_new {
                contents.store(name, told(lie, bytes));
            }
            Ok(is_new)
        }))
    }

    fn replace<'a>(&'a self, name: &'a str, bytes: Bytes) -> Answer<'a, ()> {
        Box::pin(self.answer(Request::Create, name, move |contents, lie| {
            contents.store(name, told(lie, bytes));
            Ok(())
        }))
    }

    fn upload<'a>(&'a self, name: &'a str) -> Answer<'a, Box<dyn PartialObject>> {
        let parts = Parts { store: self.clone(), name: name.into(), bytes: Vec::new() };
        Box::pin(self.answer(Request::Begin, name, move |_, _| Ok(Box::new(parts) as Box<dyn PartialObject>)))
    }

    fn delete<'a>(&'a self, name: &'a str) -> Answer<'a, ()> {
        Box::pin(self.answer(Request::Remove, name, move |contents, lie| {
            if lie.is_none() {
                contents.objects.remove(name);
            }
            Ok(())
        }))
    }

    fn list<'a>(&'a self, folder: &'a str, after: Option<&'a str>) -> Answer<'a, Vec<Listed>> {
        Box::pin(self.answer(Request::List, folder, move |contents, lie| {
            let all: Vec<Listed> = match contents.ailment {
                Ailment::Stale => contents.stale.clone(),
                _ if lie.is_some() => Vec::new(),
                _ => contents.listed().collect(),
            };
            let prefix = format!("{folder}/");
            let is_on_page = |listed: &Listed| {
                listed.name.starts_with(&prefix) && after.is_none_or(|after| listed.name.as_str() > after)
            };
            Ok(all.into_iter().filter(is_on_page).take(PAGE_NAMES).collect())
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
        let Parts { store, name, bytes: kept } = self;
        Box::pin(store.answer(Request::Part, name, move |_, lie| {
            kept.extend(told(lie, bytes).iter().flatten());
            Ok(())
        }))
    }

    fn finish(&mut self) -> Answer<'_, ()> {
        let bytes = Bytes::from(std::mem::take(&mut self.bytes));
        let Parts { store, name, .. } = &*self;
        Box::pin(store.answer(Request::Finish, name, move |contents, lie| {
            contents.store(name, told(lie, bytes));
            Ok(())
        }))
    }

    fn give_up(&mut self) -> Answer<'_, ()> {
        self.bytes.clear();
        Box::pin(std::future::ready(Ok(())))
    }
}
