//! Pins: what somebody looked up under one stays until it is let go.
//!
//! Whoever takes something out of a table has it freed when every pin is gone that was there at that moment: a pin
//! that is taken later doesn't find it any more. Each store has pins of its own, for its journal and for its volumes,
//! so that no store waits for another's readers, and what a store was still to free is dropped with the store. A pin
//! may be held while its holder waits for a drive.
//!
//! Pins are counted in two generations, of which one is the present one. A job waits until no pin is left in the
//! other generation, then the two change places, and then it waits until no pin is left in the one that was the
//! present one. Every pin that was there when the job began to wait is in one of the two; a pin that both looks miss
//! was taken after the first, and its holder looked the table up after that. This is how the kernel's SRCU counts.
//! Each thread counts in one of a few counters, so that threads don't contend for a single one.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering, fence};
use tracing_mutex::parkinglot::Mutex;

/// How many counters a generation has; threads share them.
const COUNTERS: usize = 16;

/// The pins of something.
#[derive(Default)]
pub(crate) struct Pins {
    /// How many pins each generation has, by counter.
    counts: [[Count; COUNTERS]; 2],
    /// Which generation is the present one.
    present: AtomicUsize,
    queue: Mutex<Queue>,
    /// Whether anything is in the queue.
    is_waiting: AtomicBool,
}

/// A counter, alone on its cache line and on the one beside it.
#[derive(Default)]
#[repr(align(128))]
struct Count(AtomicUsize);

/// A pin, of the moment when it was taken.
pub struct Pin<'a>(&'a AtomicUsize);

type Job = Box<dyn FnOnce() + Send>;

/// The jobs that wait for pins.
#[derive(Default)]
struct Queue {
    /// Jobs that wait for the pins of both generations.
    new: Vec<Job>,
    /// Jobs that wait only for the pins of the generation that was the present one before.
    half: Vec<Job>,
}

thread_local! {
    static PLACE: usize = {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        NEXT.fetch_add(1, Ordering::Relaxed) % COUNTERS
    };
}

impl Pins {
    /// A pin. It costs some tens of nanoseconds.
    pub(crate) fn pin(&self) -> Pin<'_> {
        // A thread that ends has no place of its own any more.
        let place = PLACE.try_with(|place| *place).unwrap_or_default();
        let generation = &self.counts[self.present.load(Ordering::Relaxed) & 1];
        let count = &generation[place].0;
        count.fetch_add(1, Ordering::SeqCst);
        // What is looked up from now on is looked up after this was counted.
        fence(Ordering::SeqCst);
        Pin(count)
    }

    /// Has a job done when every pin that is there now is gone: at once if there is none, else by a later call of
    /// this or of [`Pins::look`].
    pub(crate) fn when_gone(&self, job: impl FnOnce() + Send + 'static) {
        self.queue.lock().new.push(Box::new(job));
        self.is_waiting.store(true, Ordering::Release);
        self.look();
    }

    /// Does the jobs whose pins are gone.
    pub(crate) fn look(&self) {
        if self.is_waiting.load(Ordering::Acquire) {
            // Without the lock: a job may add another.
            self.due().into_iter().for_each(|job| job());
        }
    }

    fn due(&self) -> Vec<Job> {
        let mut queue = self.queue.lock();
        let mut due = Vec::new();
        // Whatever a job frees was taken out of its table before the pins are counted here.
        fence(Ordering::SeqCst);
        loop {
            let present = self.present.load(Ordering::SeqCst) & 1;
            if self.is_anybody_in(1 - present) {
                break;
            }
            due.append(&mut queue.half);
            if queue.new.is_empty() {
                break;
            }
            queue.half = std::mem::take(&mut queue.new);
            self.present.store(1 - present, Ordering::SeqCst);
            fence(Ordering::SeqCst);
        }
        self.is_waiting.store(!queue.half.is_empty() || !queue.new.is_empty(), Ordering::Release);
        due
    }

    fn is_anybody_in(&self, generation: usize) -> bool {
        self.counts[generation].iter().any(|count| count.0.load(Ordering::SeqCst) > 0)
    }
}

impl Drop for Pin<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Release);
    }
}

impl fmt::Debug for Pins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pins").field("is_waiting", &self.is_waiting).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::thread;
    use tracing_mutex::parkinglot::RwLock;

    /// Has a mark made when the pins are gone.
    fn marked(pins: &Pins) -> Arc<AtomicBool> {
        let mark = Arc::new(AtomicBool::new(false));
        let made = mark.clone();
        pins.when_gone(move || made.store(true, Ordering::Relaxed));
        mark
    }

    fn is_made(pins: &Pins, mark: &AtomicBool) -> bool {
        pins.look();
        mark.load(Ordering::Relaxed)
    }

    #[test]
    fn what_is_freed_waits_for_those_who_were_there_and_for_nobody_else() {
        let pins = Pins::default();
        assert!(is_made(&pins, &marked(&pins)), "nobody is there");
        for _ in 0..3 {
            let first = pins.pin();
            let one = marked(&pins);
            let second = pins.pin();
            let two = marked(&pins);
            assert!(!is_made(&pins, &one));
            drop(first);
            assert!(is_made(&pins, &one), "the second came later");
            assert!(!is_made(&pins, &two));
            drop(second);
            assert!(is_made(&pins, &two));
        }
    }

    #[test]
    fn what_waits_goes_with_its_store() {
        let kept = Arc::new(());
        let pins = Pins::default();
        let held = kept.clone();
        {
            let _pin = pins.pin();
            pins.when_gone(move || drop(held));
        }
        assert_eq!(Arc::strong_count(&kept), 2);
        drop(pins);
        assert_eq!(Arc::strong_count(&kept), 1);
    }

    /// Readers look up what is there and use it; it is exchanged all the time, and marked when it is freed.
    #[test]
    fn nobody_sees_what_was_freed() {
        const ROUNDS: usize = 5_000;
        let pins = Pins::default();
        let table = RwLock::new(Arc::new(AtomicBool::new(false)));
        let (over, looks) = (AtomicBool::new(false), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while !over.load(Ordering::Relaxed) {
                        let _pin = pins.pin();
                        let found = table.read().clone();
                        for _ in 0..50 {
                            assert!(!found.load(Ordering::Relaxed), "it was freed under a pin");
                            std::hint::spin_loop();
                        }
                        looks.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            while looks.load(Ordering::Relaxed) == 0 {
                thread::yield_now();
            }
            for round in 0..ROUNDS {
                let former = std::mem::replace(&mut *table.write(), Arc::new(AtomicBool::new(false)));
                let mark = former.clone();
                pins.when_gone(move || mark.store(true, Ordering::Relaxed));
                // Now and then, so that much is freed while others read, however seldom they run.
                while round % 100 == 0 && !former.load(Ordering::Relaxed) {
                    thread::yield_now();
                    pins.look();
                }
            }
            over.store(true, Ordering::Relaxed);
        });
        pins.look();
        assert!(!pins.is_waiting.load(Ordering::Relaxed), "with nobody there all of it is free");
    }
}
