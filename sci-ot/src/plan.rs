//! How a batch is cut into chunks: a public function of public sizes, so that both parties agree.

use sci_core::{Cost, Party};
use std::ops::Range;

/// Chunks end on multiples of this, so that packed messages of all but the last end on bytes and
/// bit planes on words.
const GRAIN: usize = 64;
/// Below this many bytes of OT rows a batch stays whole: latency, not work, decides.
const WHOLE_BYTES: usize = 2 << 20;
/// Bytes of OT rows that a chunk may fill: a few lanes of it stay far below the memory goal, and a
/// chunk is long enough to cover a round trip.
const CHUNK_BYTES: usize = 8 << 20;

/// A batch in chunks of equal size (the last may be shorter). Leaders alternate, so that both parties
/// lead about as much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    total: usize,
    chunk: usize,
}

impl Plan {
    /// Cuts `total` elements that each take `bytes_per_element` of OT rows.
    pub fn new(total: usize, bytes_per_element: usize) -> Self {
        let bytes_per_element = bytes_per_element.max(1);
        if total.saturating_mul(bytes_per_element) <= WHOLE_BYTES {
            return Self::whole(total);
        }
        let limit = (CHUNK_BYTES / bytes_per_element).max(GRAIN);
        let chunks = total.div_ceil(limit).next_multiple_of(2);
        Self { total, chunk: total.div_ceil(chunks).next_multiple_of(GRAIN) }
    }

    /// Pieces of `chunk` elements.
    pub fn pieces(total: usize, chunk: usize) -> Self {
        Self { total, chunk: chunk.max(1) }
    }

    /// One chunk of everything.
    pub fn whole(total: usize) -> Self {
        Self { total, chunk: total.max(1) }
    }

    /// Number of elements.
    pub fn total(&self) -> usize {
        self.total
    }

    /// The chunks in order. None for an empty batch.
    pub fn chunks(&self) -> impl ExactSizeIterator<Item = Range<usize>> + Clone + use<> {
        let Self { total, chunk } = *self;
        (0..total.div_ceil(chunk)).map(move |i| i * chunk..((i + 1) * chunk).min(total))
    }

    /// Which party leads a chunk: they alternate, so that both directions of the link carry the same.
    pub fn leader(index: usize) -> Party {
        if index.is_multiple_of(2) { Party::Server } else { Party::Client }
    }

    /// The cost of all chunks: lanes overlap, so rounds are those of the longest.
    pub fn cost(&self, mut chunk: impl FnMut(usize, Party) -> Cost) -> Cost {
        self.chunks().enumerate().fold(Cost::ZERO, |sum, (index, range)| {
            sum.beside(chunk(range.len(), Self::leader(index)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_cover_the_batch_and_end_on_the_grain() {
        for total in [0, 1, 7, 1000, 4096, 4097, 5000, 8192, 1 << 20, (1 << 20) + 17] {
            for bytes in [16, 500, 4000, 1 << 24] {
                let plan = Plan::new(total, bytes);
                let mut next = 0;
                for range in plan.chunks() {
                    assert_eq!(range.start, next);
                    assert!(!range.is_empty());
                    assert!(range.end == total || range.end % GRAIN == 0);
                    next = range.end;
                }
                assert_eq!(next, total);
            }
        }
    }

    #[test]
    fn large_batches_are_led_by_both_parties() {
        let plan = Plan::new(1 << 20, 500);
        assert!(plan.chunks().len() >= 32, "{plan:?}");
        assert!(plan.chunks().all(|r| r.len() * 500 <= 2 * CHUNK_BYTES), "{plan:?}");
        // A wide row (ArgMax over a thousand classes) must not make a huge chunk.
        assert!(Plan::new(4096, 250_000).chunks().all(|r| r.len() <= 64));
    }
}
