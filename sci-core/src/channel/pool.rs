//! Recycled buffers. A first touch of fresh memory costs a page fault per 4 KiB, which for a layer
//! of half a gigabyte is more than copying it; in steady state no frame allocates.

use parking_lot::Mutex;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const SMALLEST: usize = 512;
const STEP: usize = 1 << 20;

/// Free buffers by size class (powers of two). All bytes of a buffer are initialised, so that a
/// recycled one needs no clearing before it is overwritten.
pub(crate) struct Pool {
    classes: Vec<Mutex<Vec<Vec<u8>>>>,
    held: AtomicUsize,
    limit: usize,
}

impl Pool {
    /// A pool that keeps at most `limit` free bytes.
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        let classes = (0..usize::BITS).map(|_| Mutex::new(Vec::new())).collect();
        Arc::new(Self { classes, held: AtomicUsize::new(0), limit })
    }

    /// A buffer of `len` bytes with unspecified content: zeros, or bytes of an earlier frame of
    /// the same link. In debug builds it is filled with a pattern.
    pub(crate) fn take(self: &Arc<Self>, len: usize) -> Frame {
        if len == 0 {
            return Frame::empty();
        }
        let mut data = self.recycled(len).unwrap_or_else(|| vec![0; class(len)]);
        if cfg!(debug_assertions) {
            data[..len].fill(0xa5);
        }
        Frame { data, len, pool: Some(Arc::clone(self)) }
    }

    /// A buffer for a frame whose length the peer announced: recycled if there is one, otherwise
    /// it starts with at most 1 MiB and is to be grown as bytes arrive.
    pub(super) fn take_untrusted(self: &Arc<Self>, len: usize) -> Partial {
        let data = self.recycled(len).unwrap_or_else(|| vec![0; class(len).min(STEP)]);
        Partial { frame: Frame { data, len, pool: Some(Arc::clone(self)) }, filled: 0 }
    }

    fn recycled(&self, len: usize) -> Option<Vec<u8>> {
        let data = self.classes[class(len).trailing_zeros() as usize].lock().pop()?;
        self.held.fetch_sub(data.len(), Ordering::Relaxed);
        Some(data)
    }

    fn put(&self, data: Vec<u8>) {
        let size = data.len();
        if !size.is_power_of_two() || size < SMALLEST {
            return;
        }
        if self.held.fetch_add(size, Ordering::Relaxed) + size > self.limit {
            self.held.fetch_sub(size, Ordering::Relaxed);
            return;
        }
        self.classes[size.trailing_zeros() as usize].lock().push(data);
    }
}

/// The size of the buffer that holds `len` bytes.
pub(super) fn class(len: usize) -> usize {
    len.next_power_of_two().max(SMALLEST)
}

/// The payload of one frame. The buffer goes back to the link's pool when it is dropped.
pub struct Frame {
    data: Vec<u8>,
    len: usize,
    pool: Option<Arc<Pool>>,
}

impl Frame {
    /// No bytes.
    pub(crate) fn empty() -> Self {
        Self { data: Vec::new(), len: 0, pool: None }
    }
}

impl Deref for Frame {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.data[..self.len]
    }
}

impl DerefMut for Frame {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.data[..self.len]
    }
}

impl AsRef<[u8]> for Frame {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.take() {
            pool.put(std::mem::take(&mut self.data));
        }
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Frame({} bytes)", self.len)
    }
}

/// A frame that is still arriving.
pub(super) struct Partial {
    frame: Frame,
    filled: usize,
}

impl Partial {
    /// Bytes that have not arrived.
    pub(super) fn missing(&self) -> usize {
        self.frame.len - self.filled
    }

    /// Where the next bytes go: never empty while some are missing. Grows the buffer by at most
    /// what has arrived already.
    pub(super) fn space(&mut self) -> &mut [u8] {
        let have = self.frame.data.len();
        if self.filled == have && have < self.frame.len {
            self.frame.data.resize(class(self.frame.len).min(2 * have), 0);
        }
        let end = self.frame.len.min(self.frame.data.len());
        &mut self.frame.data[self.filled..end]
    }

    /// `count` bytes were written to [`Partial::space`].
    pub(super) fn advance(&mut self, count: usize) {
        self.filled = (self.filled + count).min(self.frame.len);
    }

    /// The frame, once nothing is missing.
    pub(super) fn finish(self) -> Frame {
        debug_assert_eq!(self.missing(), 0);
        self.frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_come_back() {
        let pool = Pool::new(1 << 20);
        let first = pool.take(3000);
        let place = first.as_ptr();
        drop(first);
        let second = pool.take(2100);
        assert_eq!(second.as_ptr(), place);
        assert_eq!(second.len(), 2100);
        assert_ne!(pool.take(2100).as_ptr(), place);
    }

    #[test]
    fn the_pool_keeps_no_more_than_its_limit() {
        let pool = Pool::new(4096);
        let frames: Vec<_> = (0..10).map(|_| pool.take(1024)).collect();
        drop(frames);
        assert_eq!(pool.held.load(Ordering::Relaxed), 4096);
    }

    #[test]
    fn an_announced_length_allocates_nothing_by_itself() {
        let pool = Pool::new(1 << 30);
        let mut partial = pool.take_untrusted(50 << 20);
        let mut total = 0;
        while partial.missing() > 0 {
            assert!(partial.frame.data.len() <= (2 * total).max(STEP));
            let count = partial.space().len();
            assert!(count > 0);
            partial.advance(count);
            total += count;
        }
        assert_eq!(total, 50 << 20);
        let frame = partial.finish();
        let place = frame.as_ptr();
        drop(frame);
        assert_eq!(pool.take_untrusted(50 << 20).finish_for_test().as_ptr(), place);
        // One that was abandoned half way is freed or kept under its own size.
        drop(pool.take_untrusted(33 << 20));
        assert!(pool.held.load(Ordering::Relaxed) <= (64 << 20) + STEP);
    }

    impl Partial {
        fn finish_for_test(self) -> Frame {
            self.frame
        }
    }
}
