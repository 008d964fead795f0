//! A pool of buffers: stripes and fragments are large and short-lived, and asking the kernel for zeroed pages each
//! time would cost as much as coding them.
//!
//! They begin at page boundaries, so that a drive can take them past the page cache. A buffer's bytes are whatever its
//! last user left there. Idle ones are given up step by step ([`Buffers::shrink`]).

use crate::format::layout::PAGE;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Weak};
use tracing_mutex::parkinglot::Mutex;

/// A pool of equally large buffers.
#[derive(Debug)]
pub struct Buffers {
    size: usize,
    free: Mutex<Vec<Pages>>,
}

impl Buffers {
    /// Buffers of `size` bytes.
    pub fn new(size: usize) -> Arc<Buffers> {
        Arc::new(Buffers { size, free: Mutex::default() })
    }

    /// A buffer of `len` bytes with arbitrary content. One that is far smaller than `size`, or larger, doesn't come
    /// from the pool.
    pub fn take(self: &Arc<Self>, len: usize) -> Buffer {
        if len > self.size || len < self.size / 2 {
            return Buffer { pages: Pages::new(len), len, home: Weak::new() };
        }
        let pages = self.free.lock().pop().unwrap_or_else(|| Pages::new(self.size));
        Buffer { pages, len, home: Arc::downgrade(self) }
    }

    /// Gives half of the idle buffers back to the machine.
    pub fn shrink(&self) {
        let mut free = self.free.lock();
        let keep = free.len() / 2;
        free.truncate(keep);
    }

    /// Bytes in idle buffers.
    pub fn idle(&self) -> usize {
        self.free.lock().len() * self.size
    }
}

/// Memory that begins at a page boundary, somewhat inside of what was allocated.
#[derive(Debug, Default)]
struct Pages {
    memory: Vec<u8>,
    start: usize,
}

impl Pages {
    fn new(len: usize) -> Pages {
        let memory = vec![0; len + PAGE as usize];
        let start = memory.as_ptr().align_offset(PAGE as usize).min(PAGE as usize);
        Pages { memory, start }
    }
}

/// A buffer on loan; dropping it gives it back.
#[derive(Debug)]
pub struct Buffer {
    pages: Pages,
    len: usize,
    home: Weak<Buffers>,
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.pages.memory[self.pages.start..][..self.len]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.pages.memory[self.pages.start..][..self.len]
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl AsMut<[u8]> for Buffer {
    fn as_mut(&mut self) -> &mut [u8] {
        self
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(home) = self.home.upgrade() {
            home.free.lock().push(std::mem::take(&mut self.pages));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[test]
    fn a_buffer_comes_back_when_its_last_slice_goes() {
        let buffers = Buffers::new(1000);
        let mut buffer = buffers.take(900);
        buffer[0] = 7;
        assert_eq!(buffer.len(), 900);
        assert!(buffer.as_ptr().addr().is_multiple_of(4096));
        let bytes = Bytes::from_owner(buffer);
        let slice = bytes.slice(0..1);
        drop(bytes);
        assert_eq!(buffers.idle(), 0);
        drop(slice);
        assert_eq!(buffers.idle(), 1000);
        assert_eq!(buffers.take(1000)[0], 7, "the same one");
    }

    #[test]
    fn odd_sizes_and_idle_ones_are_not_kept() {
        let buffers = Buffers::new(1000);
        drop((buffers.take(10), buffers.take(2000)));
        assert_eq!(buffers.idle(), 0);
        drop((buffers.take(600), buffers.take(600), buffers.take(600)));
        assert_eq!(buffers.idle(), 3000);
        buffers.shrink();
        buffers.shrink();
        assert_eq!(buffers.idle(), 0);
    }
}
