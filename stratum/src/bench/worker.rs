//! One connection's share of a load.
//!
//! A worker owns the keys that it wrote: no other worker overwrites or deletes them, so it knows what a GET must give
//! without asking the other workers. Keys are numbers scrambled into hexadecimal names, so that they are written in no
//! order.

use super::body::SplitMix;
use super::name::name;
use super::tally::{Kind, Tally};
use super::{Op, Plan};
use crate::client::connection::{Connection, Expected};
use crate::client::sign::{PayloadHash, Request, Signer, hash};
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use stratum_storage::ambient::{Clock, System};

/// How many keys one list request asks for.
const PAGE_KEYS: usize = 1000;

/// What the workers do at the moment.
#[derive(Clone, Copy, Debug)]
pub(super) enum Phase {
    /// Write the objects that the load needs.
    Preload,
    /// The load itself, until this moment of the monotonic clock.
    Load { until: Duration },
    /// Delete the objects.
    Clean,
}

impl Phase {
    pub fn name(self) -> &'static str {
        match self {
            Phase::Preload => "writing",
            Phase::Load { .. } => "load",
            Phase::Clean => "cleaning",
        }
    }
}

/// One connection and the keys it wrote.
#[derive(Debug)]
pub(super) struct Worker {
    plan: Arc<Plan>,
    signer: Signer,
    connection: Connection,
    random: SplitMix,
    /// The number of the next key to write. The numbers are dealt to the workers in turn.
    next: u32,
    /// The names of this worker's objects that exist.
    own: Vec<u32>,
    tally: Tally,
    empty: PayloadHash,
    head: Vec<u8>,
    path: String,
    page: Vec<u8>,
}

impl Worker {
    pub fn new(plan: &Arc<Plan>, number: u32) -> Worker {
        Worker {
            signer: Signer::new(&plan.credentials, System.now()),
            connection: Connection::new(&plan.endpoint),
            random: SplitMix(plan.seed ^ u64::from(number) << 32),
            next: number,
            own: Vec::new(),
            tally: Tally::default(),
            empty: hash(b""),
            head: Vec::with_capacity(1024),
            path: String::new(),
            page: Vec::new(),
            plan: plan.clone(),
        }
    }

    /// Takes its share of an earlier run's objects as its own.
    pub fn adopt(&mut self) {
        while self.next < self.plan.keys {
            self.own.push(name(self.plan.seed, self.next));
            self.next += self.plan.concurrency;
        }
    }

    pub fn take_tally(&mut self) -> Tally {
        std::mem::take(&mut self.tally)
    }

    /// Makes the bucket, unless it exists and belongs to whoever signs.
    pub async fn make_bucket(&mut self) -> Result<(), String> {
        self.path = format!("/{}", self.plan.bucket);
        let request = request("PUT", &self.plan, &self.path, "", &self.empty, Some(0));
        self.signer.write_head(request, System.now(), &mut self.head);
        let answer = self.connection.exchange(&self.head, b"", Expected::Collected(&mut self.page)).await;
        let answer = answer.map_err(|failure| failure.to_string())?;
        let text = String::from_utf8_lossy(&answer.error);
        match answer.status {
            200 => Ok(()),
            409 if text.contains("<Code>BucketAlreadyOwnedByYou</Code>") => Ok(()),
            status => Err(format!("{status} {text}")),
        }
    }

    /// Runs to the end of a phase. Each phase has a runtime of its own and a connection belongs to the runtime that
    /// opened it, so a new connection is opened.
    pub async fn run(&mut self, phase: Phase) {
        self.connection = Connection::new(&self.plan.endpoint);
        match phase {
            Phase::Preload => {
                while self.next < self.plan.keys {
                    self.put_next().await;
                    self.plan.done.fetch_add(1, Ordering::Relaxed);
                }
            }
            Phase::Load { until } => {
                while System.monotonic() < until {
                    let Some(kind) = self.choose() else { return };
                    self.step(kind).await;
                }
            }
            Phase::Clean => {
                while !self.own.is_empty() {
                    self.step(Kind::Delete).await;
                }
            }
        }
    }

    /// The kind of the next request; nothing when the kind needs an object and none is left.
    fn choose(&mut self) -> Option<Kind> {
        let kind = match self.plan.op {
            Op::Put => return Some(Kind::Put),
            Op::Overwrite => Kind::Put,
            Op::List => return Some(Kind::List),
            Op::Get => Kind::Get,
            Op::Head => Kind::Head,
            Op::Delete => Kind::Delete,
            Op::Mixed if self.own.is_empty() => return Some(Kind::Put),
            Op::Mixed => match self.random.below(100) {
                0..45 => Kind::Get,
                45..75 => Kind::Head,
                75..90 => Kind::Put,
                _ => Kind::Delete,
            },
        };
        (!self.own.is_empty()).then_some(kind)
    }

    async fn step(&mut self, kind: Kind) {
        match kind {
            Kind::Put if self.plan.op == Op::Overwrite => {
                let index = self.random.below(self.own.len());
                self.put_over(index).await;
            }
            Kind::Put => self.put_next().await,
            Kind::List => self.list().await,
            Kind::Delete => {
                if let Some(key) = self.own.pop() {
                    self.ask(Kind::Delete, key).await;
                }
            }
            Kind::Get | Kind::Head => {
                let key = self.own[self.random.below(self.own.len())];
                self.ask(kind, key).await;
            }
        }
        self.plan.done.fetch_add(1, Ordering::Relaxed);
    }

    async fn put_next(&mut self) {
        let key = name(self.plan.seed, self.next);
        // A key whose PUT failed is not used again: whether it holds the object can't be known.
        self.next += self.plan.concurrency;
        if self.put(key).await {
            self.own.push(key);
        }
    }

    /// Overwrites one of its own objects. An object for which that failed is no longer its own, since what it holds
    /// can't be known.
    async fn put_over(&mut self, index: usize) {
        if !self.put(self.own[index]).await {
            self.own.swap_remove(index);
        }
    }

    /// Sends a PUT; gives whether the object was written.
    async fn put(&mut self, key: u32) -> bool {
        self.set_path(key);
        let plan = self.plan.clone();
        let body = plan.bodies.of(key);
        let head = request("PUT", &plan, &self.path, "", plan.bodies.hash_of(key), Some(body.len()));
        let start = System.monotonic();
        self.signer.write_head(head, System.now(), &mut self.head);
        let answer = self.connection.exchange(&self.head, body, Expected::Collected(&mut self.page)).await;
        self.page.clear();
        match answer {
            Ok(answer) if answer.status == 200 => {
                self.tally.success(Kind::Put, System.monotonic() - start, body.len());
                return true;
            }
            Ok(answer) => self.tally.refused(&answer),
            Err(failure) => self.tally.failed(&failure),
        }
        false
    }

    /// Sends a GET, a HEAD or a DELETE of a key that exists.
    async fn ask(&mut self, kind: Kind, key: u32) {
        self.set_path(key);
        let plan = self.plan.clone();
        let body = plan.bodies.of(key);
        let (method, status, expected, moved) = match kind {
            Kind::Get => ("GET", 200, Expected::Exactly(body), body.len()),
            Kind::Head => ("HEAD", 200, Expected::Nothing, 0),
            _ => ("DELETE", 204, Expected::Nothing, 0),
        };
        let start = System.monotonic();
        let head = request(method, &plan, &self.path, "", &self.empty, None);
        self.signer.write_head(head, System.now(), &mut self.head);
        match self.connection.exchange(&self.head, b"", expected).await {
            Ok(answer) if kind == Kind::Head && answer.length != Some(body.len() as u64) => {
                self.tally.refused(&answer);
            }
            Ok(answer) if answer.status == status => {
                self.tally.success(kind, System.monotonic() - start, moved);
            }
            Ok(answer) => self.tally.refused(&answer),
            Err(failure) => self.tally.failed(&failure),
        }
    }

    /// Lists one page from a random key on, and checks the answer by its first key and the number of its keys.
    async fn list(&mut self) {
        let plan = self.plan.clone();
        let after = self.random.below(plan.listing.len());
        self.path = format!("/{}", plan.bucket);
        let query = format!("list-type=2&max-keys={PAGE_KEYS}&start-after={:08x}", plan.listing[after]);
        let start = System.monotonic();
        let head = request("GET", &plan, &self.path, &query, &self.empty, None);
        self.signer.write_head(head, System.now(), &mut self.head);
        self.page.clear();
        match self.connection.exchange(&self.head, b"", Expected::Collected(&mut self.page)).await {
            Ok(answer) if answer.status == 200 => {
                let took = System.monotonic() - start;
                if page_is(&self.page, &plan.listing[after + 1..]) {
                    self.tally.success(Kind::List, took, self.page.len());
                } else {
                    self.tally.count("a list that differs from what was written".to_owned());
                }
            }
            Ok(answer) => self.tally.refused(&answer),
            Err(failure) => self.tally.failed(&failure),
        }
    }

    fn set_path(&mut self, key: u32) {
        self.path.clear();
        let _ = write!(self.path, "/{}/{key:08x}", self.plan.bucket); // writing to a String cannot fail
    }
}

/// Whether a page of a list begins with the first of these keys and has as many keys as it should.
fn page_is(page: &[u8], rest: &[u32]) -> bool {
    let text = std::str::from_utf8(page).unwrap_or_default();
    let mut keys = text.split("<Key>").skip(1);
    let first = keys.next().map(|key| key.get(..8).unwrap_or_default().to_owned());
    let count = first.iter().len() + keys.count();
    first == rest.first().map(|key| format!("{key:08x}")) && count == rest.len().min(PAGE_KEYS)
}

fn request<'a>(
    method: &'static str,
    plan: &'a Plan,
    path: &'a str,
    query: &'a str,
    payload: &'a PayloadHash,
    length: Option<usize>,
) -> Request<'a> {
    Request { method, host: &plan.endpoint.host, path, query, payload, length, content_type: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_all_different_and_in_no_order() {
        let names: Vec<u32> = (0..10_000).map(|number| name(1, number)).collect();
        let different: std::collections::HashSet<_> = names.iter().collect();
        assert_eq!(different.len(), names.len());
        assert!(!names.is_sorted());
    }

    #[test]
    fn two_seeds_have_no_name_in_common() {
        let names = |seed: u64| (0..10_000).map(move |number| name(seed, number));
        let first: std::collections::HashSet<u32> = names(1).collect();
        for seed in [0, 2, 3, 4, 7, 1 << 24] {
            assert!(!names(seed).any(|name| first.contains(&name)), "{seed}");
        }
    }

    #[test]
    fn a_page_is_checked_by_its_first_key_and_its_count() {
        let page = b"<R><Key>0000000a</Key><Key>0000000b</Key></R>";
        assert!(page_is(page, &[10, 11]));
        assert!(!page_is(page, &[10]) && !page_is(page, &[9, 11]) && !page_is(page, &[]));
        assert!(page_is(b"<R></R>", &[]));
    }
}
