//! A counting semaphore for the cores a party may use.

use parking_lot::{Condvar, Mutex, MutexGuard};
use std::fmt;
use std::sync::Arc;

/// The right of T threads to compute at a time. A lane that waits for the link gives its permit
/// back, so that with more lanes than permits the cores stay busy.
pub struct Permits {
    state: Mutex<State>,
    freed: Condvar,
    idle: Condvar,
    total: usize,
}

#[derive(Clone, Copy)]
struct State {
    free: usize,
    /// Threads in [`Permits::acquire`].
    waiting: usize,
}

impl Permits {
    /// `total` permits, at least one.
    pub fn new(total: usize) -> Arc<Self> {
        let total = total.max(1);
        let state = Mutex::new(State { free: total, waiting: 0 });
        Arc::new(Self { state, freed: Condvar::new(), idle: Condvar::new(), total })
    }

    /// How many there are.
    pub fn total(&self) -> usize {
        self.total
    }

    /// How many are free just now.
    pub fn available(&self) -> usize {
        self.state.lock().free
    }

    /// Waits for a permit.
    pub fn acquire(self: &Arc<Self>) -> Permit {
        let mut state = self.state.lock();
        state.waiting += 1;
        while state.free == 0 {
            self.freed.wait(&mut state);
        }
        state.waiting -= 1;
        self.take(state)
    }

    /// Waits for a permit that nobody in [`Permits::acquire`] waits for: for work that can be done at any
    /// time. None once `cancelled`, which is looked at again after every [`Permits::wake_idle`].
    pub fn acquire_idle(self: &Arc<Self>, cancelled: impl Fn() -> bool) -> Option<Permit> {
        let mut state = self.state.lock();
        while !cancelled() {
            if state.free > state.waiting {
                return Some(self.take(state));
            }
            self.idle.wait(&mut state);
        }
        None
    }

    /// Makes those in [`Permits::acquire_idle`] look again.
    pub fn wake_idle(&self) {
        let _state = self.state.lock();
        self.idle.notify_all();
    }

    fn take(self: &Arc<Self>, mut state: MutexGuard<'_, State>) -> Permit {
        state.free -= 1;
        if state.free > state.waiting {
            self.idle.notify_one();
        }
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
        let mut state = self.0.state.lock();
        state.free += 1;
        if state.waiting > 0 {
            self.0.freed.notify_one();
        } else {
            self.0.idle.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn idle_permits_are_those_that_nobody_waits_for() {
        let permits = Permits::new(2);
        let first = permits.acquire();
        let idle = permits.acquire_idle(|| false);
        assert_eq!(permits.available(), 0);
        let cancelled = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let lane = scope.spawn(|| permits.acquire());
            while permits.state.lock().waiting == 0 {
                std::thread::yield_now();
            }
            // One comes free while the lane waits: it is the lane's, whoever asks first.
            let ahead = scope.spawn(|| permits.acquire_idle(|| cancelled.load(Ordering::SeqCst)));
            drop(idle);
            let lane = lane.join().unwrap();
            assert_eq!(permits.available(), 0);
            drop(first);
            assert!(ahead.join().unwrap().is_some());
            drop(lane);
        });
        assert_eq!(permits.available(), 2);
    }

    #[test]
    fn a_cancelled_wait_ends() {
        let permits = Permits::new(1);
        let only = permits.acquire();
        let cancelled = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let ahead = scope.spawn(|| permits.acquire_idle(|| cancelled.load(Ordering::SeqCst)));
            cancelled.store(true, Ordering::SeqCst);
            permits.wake_idle();
            assert!(ahead.join().unwrap().is_none());
        });
        drop(only);
        assert!(permits.acquire_idle(|| false).is_some());
    }
}
