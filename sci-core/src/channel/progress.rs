//! When a link stands still.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Bytes per second below which a link counts as standing still.
pub const MINIMUM_RATE: usize = 10_000;

/// The longest that so many bytes may take.
pub(crate) fn slowest(bytes: usize) -> Duration {
    Duration::from_nanos(nanos(bytes))
}

fn nanos(bytes: usize) -> u64 {
    (bytes as u64).saturating_mul(1_000_000_000 / MINIMUM_RATE as u64)
}

/// Up to when one direction of a link has not stood still: who waits gives up a timeout later.
///
/// Bytes move it by what they take at [`MINIMUM_RATE`], but not beyond the present. So a link that is fast enough is at
/// the present all the time, a trickle leaves it behind, and a burst is no excuse for what follows it. Progress
/// of the protocol, which the public program bounds, moves it to the present at once.
pub(super) struct Progress {
    origin: Instant,
    /// In nanoseconds.
    at: AtomicU64,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self { origin: Instant::now(), at: AtomicU64::new(0) }
    }

    /// The protocol went on.
    pub(super) fn step(&self) {
        self.at.fetch_max(self.now(), Ordering::Relaxed);
    }

    /// So many bytes have moved. To be called by one thread.
    pub(super) fn moved(&self, bytes: usize) {
        self.moved_by(self.now(), bytes);
    }

    fn moved_by(&self, now: u64, bytes: usize) {
        let at = self.at.load(Ordering::Relaxed).saturating_add(nanos(bytes));
        // Another thread may have seen a step meanwhile.
        self.at.fetch_max(at.min(now), Ordering::Relaxed);
    }

    /// So many bytes may move now without our seeing it.
    pub(super) fn allow(&self, bytes: usize) {
        self.at.fetch_max(self.now().saturating_add(nanos(bytes)), Ordering::Relaxed);
    }

    pub(super) fn time(&self) -> Instant {
        self.origin + Duration::from_nanos(self.at.load(Ordering::Relaxed))
    }

    fn now(&self) -> u64 {
        u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn at(progress: &Progress) -> u64 {
        progress.at.load(Ordering::Relaxed)
    }

    #[test]
    fn a_trickle_falls_behind_and_a_slow_link_does_not() {
        let (trickle, slow) = (Progress::new(), Progress::new());
        for second in 1..=1000 {
            trickle.moved_by(second * SECOND, 1);
            slow.moved_by(second * SECOND, MINIMUM_RATE);
            assert_eq!(at(&slow), second * SECOND);
        }
        assert_eq!(at(&trickle), SECOND / 10);
    }

    #[test]
    fn a_burst_is_not_saved_up() {
        let progress = Progress::new();
        progress.moved_by(SECOND, 1 << 30);
        assert_eq!(at(&progress), SECOND);
        progress.moved_by(60 * SECOND, 1);
        assert!(at(&progress) < 2 * SECOND);
        progress.moved_by(60 * SECOND, usize::MAX);
        assert_eq!(at(&progress), 60 * SECOND);
    }

    #[test]
    fn a_step_is_never_taken_back() {
        let progress = Progress::new();
        progress.allow(100 * MINIMUM_RATE);
        let allowed = progress.time();
        progress.step();
        progress.moved(1 << 20);
        assert_eq!(progress.time(), allowed);
    }
}
