//! Expansion ahead of need, on cores that would be idle.
//!
//! What both parties must agree on, the trees of a round and its table, they have agreed on once the
//! round has begun; growing and encoding those trees is local and is what takes the time. A worker does
//! some of it before the outputs are asked for, batch by batch in their order, whenever a permit is free that
//! no lane waits for. It sends nothing and begins no round, so that bytes, rounds and outputs are the same
//! with it and without.
//!
//! It works only while lanes are at work ([`Ahead::open`]): between layers the cores belong to others. Each pool
//! is kept up to [`super::pool::ahead`] outputs ahead: 2 MiB, and up to 16 MiB over links with long flights.
//!
//! What it gains, with two threads a party on two cores that both parties shared, with and without in turn, six
//! times each (`layer_cost -- relu 11 32 4 300 17 2` and `relu 17 32 4 8 17 2 377 1` of the examples of
//! `truncation`): a ReLU of 2^11 elements, which is one lane, 1.6 to 2.0 ms where it took 2.5 to 3.0 (the
//! least of 300); one of 2^17, four lanes, over 377 MB/s and 1 ms 335 where it took 385 (medians, on the
//! machine at its quietest; less in all six pairs). Processor time is the same within 4%.

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
    let (mut seen, mut current) = (0, 0);
    while let Some(news) = bell.wait(seen) {
        let Some(_permit) = permits.acquire_idle(|| bell.is_closed()) else { return };
        match choose(pools, current) {
            Some((index, mut pool)) if bell.is_open() => {
                current = index;
                pool.produce();
                // A lane that waits for this pool comes first.
                MutexGuard::unlock_fair(pool);
            }
            _ => seen = news,
        }
    }
}

/// The pool to work for: the current one until it is full, because its table is in the cache; then the
/// emptiest of those that are at most half full. Pools in use by their lanes are left alone.
fn choose(
    pools: &[SharedProducer],
    current: usize,
) -> Option<(usize, MutexGuard<'_, dyn Producer>)> {
    let wanting = |index: usize| {
        let pool = pools.get(index)?.try_lock()?;
        let level = pool.wants()?;
        Some((level, index, pool))
    };
    if let Some((_, index, pool)) = wanting(current) {
        return Some((index, pool));
    }
    let others = (0..pools.len()).filter_map(wanting);
    let others = others.filter(|(level, ..)| level.at_hand <= level.room / 2);
    others.min_by_key(|(level, ..)| level.at_hand).map(|(_, index, pool)| (index, pool))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::silent::pool::Level;
    use std::sync::mpsc::{Receiver, Sender, channel};

    /// A pool that tells of every batch and has room for three.
    struct Three {
        made: usize,
        tell: Sender<usize>,
    }

    impl Producer for Three {
        fn wants(&self) -> Option<Level> {
            (self.made < 3).then_some(Level { at_hand: self.made, room: 3 })
        }

        fn produce(&mut self) {
            self.made += 1;
            self.tell.send(self.made).unwrap();
        }
    }

    fn workshop(permits: &Arc<Permits>) -> (Ahead, Arc<Mutex<Three>>, Receiver<usize>) {
        let (tell, told) = channel();
        let pool = Arc::new(Mutex::new(Three { made: 0, tell }));
        let shared: SharedProducer = Arc::<Mutex<Three>>::clone(&pool);
        (Ahead::start(Arc::default(), permits, vec![shared]).unwrap(), pool, told)
    }

    #[test]
    fn pools_are_filled_while_lanes_work_and_no_further() {
        let permits = Permits::new(5);
        let (ahead, pool, told) = workshop(&permits);
        assert_eq!(ahead.workers.len(), 2);
        let open = ahead.open();
        assert_eq!(told.iter().take(3).collect::<Vec<_>>(), [1, 2, 3]);
        // Drawn from: it is filled again.
        pool.lock().made = 2;
        ahead.bell.ring();
        assert_eq!(told.recv(), Ok(3));
        drop(open);
        drop(ahead);
        assert_eq!((pool.lock().made, permits.available()), (3, 5));
        assert!(told.try_recv().is_err());
    }

    #[test]
    fn workers_end_without_having_worked() {
        let permits = Permits::new(1);
        // No permit is idle, and no lane at work.
        let lane = permits.acquire();
        let (ahead, pool, _told) = workshop(&permits);
        drop(ahead.open());
        drop(ahead);
        assert_eq!(pool.lock().made, 0);
        drop(lane);
    }
}
