//! Expansion ahead of need, on cores that would be idle.
//!
//! What both parties must agree on, the trees of a round and its table, they have agreed on once the
//! round has begun; growing and encoding those trees is local and is what takes the time. A worker does
//! some of it before the outputs are asked for, batch by batch in their order, whenever a permit is free that
//! no lane waits for. It sends nothing and begins no round, so that bytes, rounds and outputs are the same
//! with it and without.
//!
//! It works only while lanes are at work ([`Ahead::open`]): between layers the cores belong to others. Each pool
//! is kept up to [`super::pool::AHEAD`] outputs ahead, the emptiest first.

use super::pool::Producer;
use parking_lot::{Condvar, Mutex, MutexGuard};
use sci_core::channel::Permits;
use sci_core::{Error, Result};
use std::sync::Arc;
use std::thread::JoinHandle;

/// A pool that a lane and a worker share.
pub(crate) type SharedProducer = Arc<Mutex<dyn Producer>>;

/// What the workers wait for.
#[derive(Default)]
pub(crate) struct Bell {
    state: Mutex<State>,
    rung: Condvar,
}

#[derive(Clone, Copy, Default)]
struct State {
    /// How many operations are at work.
    open: usize,
    closed: bool,
    /// How often there has been something new: a pool has been drawn from.
    news: u64,
}

impl Bell {
    /// A pool has been drawn from.
    pub(super) fn ring(&self) {
        self.change(|state| state.news += 1);
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock());
        self.rung.notify_all();
    }

    fn is_closed(&self) -> bool {
        self.state.lock().closed
    }

    fn is_open(&self) -> bool {
        self.state.lock().open > 0
    }

    /// Waits until there is something newer than `seen` while lanes are at work; none at the end.
    fn wait(&self, seen: u64) -> Option<u64> {
        let mut state = self.state.lock();
        while !state.closed && (state.open == 0 || state.news == seen) {
            self.rung.wait(&mut state);
        }
        (!state.closed).then_some(state.news)
    }
}

/// The workers of a party. They end when this is dropped.
pub(crate) struct Ahead {
    bell: Arc<Bell>,
    permits: Arc<Permits>,
    workers: Vec<JoinHandle<()>>,
}

impl Ahead {
    /// Starts workers for the pools that ring this bell.
    ///
    /// # Errors
    /// [`Error::Resource`] if a thread cannot be started.
    pub(crate) fn start(
        bell: Arc<Bell>,
        permits: &Arc<Permits>,
        pools: Vec<SharedProducer>,
    ) -> Result<Self> {
        let mut ahead = Self { bell, permits: Arc::clone(permits), workers: Vec::new() };
        let pools: Arc<[SharedProducer]> = pools.into();
        for index in 0..(permits.total() / 2).max(1) {
            let (bell, permits) = (Arc::clone(&ahead.bell), Arc::clone(permits));
            let pools = Arc::clone(&pools);
            let worker = std::thread::Builder::new()
                .name(format!("silent-ot-{index}"))
                .spawn(move || work(&bell, &permits, &pools))
                .map_err(|e| Error::resource(format!("cannot start a worker of silent OT: {e}")))?;
            ahead.workers.push(worker);
        }
        Ok(ahead)
    }

    /// Lets the workers work until what it returns is dropped.
    pub(crate) fn open(&self) -> Open<'_> {
        self.bell.change(|state| {
            state.open += 1;
            state.news += 1;
        });
        Open(&self.bell)
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        self.bell.change(|state| state.closed = true);
        self.permits.wake_idle();
        for worker in self.workers.drain(..) {
            // A panic in a worker has been printed; the pools that it worked for are gone with this.
            let _ = worker.join();
        }
    }
}

/// While it lives, the workers work.
pub(crate) struct Open<'a>(&'a Bell);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.change(|state| state.open -= 1);
    }
}

fn work(bell: &Bell, permits: &Arc<Permits>, pools: &[SharedProducer]) {
    let mut seen = 0;
    while let Some(news) = bell.wait(seen) {
        let Some(_permit) = permits.acquire_idle(|| bell.is_closed()) else { return };
        match emptiest(pools) {
            Some(mut pool) if bell.is_open() => {
                pool.produce();
                // A lane that waits for this pool comes first.
                MutexGuard::unlock_fair(pool);
            }
            _ => seen = news,
        }
    }
}

/// The pool with the fewest outputs at hand of those that want more and are not in use.
fn emptiest(pools: &[SharedProducer]) -> Option<MutexGuard<'_, dyn Producer>> {
    let wanting = pools.iter().filter_map(|pool| {
        let pool = pool.try_lock()?;
        pool.wants().map(|at_hand| (at_hand, pool))
    });
    wanting.min_by_key(|(at_hand, _)| *at_hand).map(|(_, pool)| pool)
}
