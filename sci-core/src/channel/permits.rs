//! A counting semaphore for the cores a party may use.

use parking_lot::{Condvar, Mutex};
use std::fmt;
use std::sync::Arc;

/// The right of T threads to compute at a time. A lane that waits for the link gives its permit
/// back, so that with more lanes than permits the cores stay busy.
pub struct Permits {
    free: Mutex<usize>,
    freed: Condvar,
    total: usize,
}

impl Permits {
    /// `total` permits, at least one.
    pub fn new(total: usize) -> Arc<Self> {
        let total = total.max(1);
        Arc::new(Self { free: Mutex::new(total), freed: Condvar::new(), total })
    }

    /// How many there are.
    pub fn total(&self) -> usize {
        self.total
    }

    /// How many are free just now.
    pub fn available(&self) -> usize {
        *self.free.lock()
    }

    /// Waits for a permit.
    pub fn acquire(self: &Arc<Self>) -> Permit {
        let mut free = self.free.lock();
        while *free == 0 {
            self.freed.wait(&mut free);
        }
        *free -= 1;
        Permit(Arc::clone(self))
    }
}

impl fmt::Debug for Permits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Permits({} of {} free)", self.available(), self.total)
    }
}

/// One permit, given back when dropped: an error or a panic cannot lose it.
#[derive(Debug)]
pub struct Permit(Arc<Permits>);

impl Drop for Permit {
    fn drop(&mut self) {
        *self.0.free.lock() += 1;
        self.0.freed.notify_one();
    }
}
