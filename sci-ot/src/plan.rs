//! How a batch is cut into chunks: a public function of public sizes, so that both parties agree.

use sci_core::{Cost, Party};
use std::ops::Range;

/// Chunks end on multiples of this, so that packed messages of all but the last end on bytes and
/// bit planes on words.
const GRAIN: usize = 64;
/// Below this many bytes of OT rows a batch stays whole: latency, not work, decides.
const WHOLE_ROWS: usize = 2 << 20;
/// Bytes of OT rows from which on a chunk of its own is worth it.
const CHUNK_ROWS: usize = 4 << 20;
/// Bytes that a chunk may hold at a time: four lanes of it stay below the memory goal.
const CHUNK_HELD: usize = 16 << 20;
/// The lanes of a session, unless it has others. More chunks than that make lanes go through all rounds of the
/// operation more than once: over a distant peer that is what the time goes to.
const LANES: usize = 4;

/// What an element of an operation takes, by public sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Bytes of OT rows, which stand for its work.
    pub rows: usize,
    /// Bytes that are held at a time.
    pub held: usize,
}

impl Load {
    /// Rows that are all held at a time.
    pub fn held(bytes: usize) -> Self {
        Self { rows: bytes, held: bytes }
    }

    /// With so many bytes of further rows, held as well.
    #[must_use]
    pub fn and(self, bytes: usize) -> Self {
        Self { rows: self.rows + bytes, held: self.held + bytes }
    }

    /// So many at a time.
    #[must_use]
    pub fn times(self, n: usize) -> Self {
        Self { rows: self.rows * n, held: self.held * n }
    }

    /// The greater of both: one operation after another.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self { rows: self.rows.max(other.rows), held: self.held.max(other.held) }
    }
}

/// A batch in chunks of equal size (the last may be shorter). Leaders alternate, so that both parties
/// lead about as much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    total: usize,
    chunk: usize,
}

impl Plan {
    /// Cuts `total` elements of a load: an even number of chunks, as many as there are lanes for much work, and a
    /// multiple of that only where they would hold too much.
    pub fn new(total: usize, each: Load) -> Self {
        let (rows, held) = (total.saturating_mul(each.rows), total.saturating_mul(each.held));
        if rows <= WHOLE_ROWS {
            return Self::whole(total);
        }
        let by_work = rows.div_ceil(CHUNK_ROWS).next_multiple_of(2).min(LANES);
        let by_memory = match held.div_ceil(CHUNK_HELD) {
            few @ 0..LANES => few,
            many => many.next_multiple_of(LANES),
        };
        let chunks = by_work.max(by_memory);
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

    /// Which party leads a chunk: they alternate, so that both directions of the link carry the same. The client leads
    /// the first: in a batch of a single chunk the server then chooses first, and behind a product by lattice encryption,
    /// whose result the client must still decrypt, its choices leave with that.
    pub fn leader(index: usize) -> Party {
        if index.is_multiple_of(2) { Party::Client } else { Party::Server }
    }

    /// The cost of all chunks: none depends on another, so rounds are those of the longest. (More chunks than lanes
    /// still take their turns.)
    pub fn cost(&self, mut chunk: impl FnMut(usize, Party) -> Cost) -> Cost {
        let (whole, rest) = (self.total / self.chunk, self.total % self.chunk);
        // Those of one size and leader cost the same: their numbers, by the first of them.
        let kinds = [
            (0, self.chunk, whole.div_ceil(2)),
            (1, self.chunk, whole / 2),
            (whole, rest, usize::from(rest > 0)),
        ];
        let kinds = kinds.into_iter().filter(|&(.., count)| count > 0);
        kinds.fold(Cost::ZERO, |sum, (first, len, count)| {
            let each = chunk(len, Self::leader(first));
            sum.beside((each * count as u64).in_rounds(each.rounds))
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
                let plan = Plan::new(total, Load { rows: bytes, held: bytes.div_ceil(5) });
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
    fn the_cost_is_that_of_all_chunks() {
        let chunk = |len: usize, leader: Party| Cost {
            cots: (len * len) as u64,
            ..Cost::message(leader, 8 * len as u64).in_rounds(2 + u32::from(len < 50))
        };
        for total in [0, 1, 49, 50, 51, 100, 130, 150, 200, 201] {
            let plan = Plan::pieces(total, 50);
            let one_by_one = plan.chunks().enumerate().fold(Cost::ZERO, |sum, (index, range)| {
                sum.beside(chunk(range.len(), Plan::leader(index)))
            });
            assert_eq!(plan.cost(chunk), one_by_one, "{total}");
        }
    }

    #[test]
    fn large_batches_are_led_by_both_parties() {
        let load = Load { rows: 600, held: 120 };
        let plan = Plan::new(1 << 20, load);
        assert!(plan.chunks().len() == 8 && plan.chunks().all(|r| r.len() <= 1 << 17), "{plan:?}");
        assert!(plan.chunks().all(|r| r.len() * load.held <= CHUNK_HELD), "{plan:?}");
        for (total, chunks) in [(3000, 1), (4000, 2), (13_000, 2), (20_000, 4), (500_000, 4)] {
            assert_eq!(Plan::new(total, load).chunks().len(), chunks, "{total}");
        }
        // A wide row (ArgMax over a thousand classes) must not make a huge chunk.
        let wide = Plan::new(4096, Load::held(250_000));
        assert!(wide.chunks().all(|r| r.len() <= 64));
    }
}
