//! Outputs at hand, in order.

use sci_core::Block;
use sci_core::prg::SecretBlocks;
use std::collections::VecDeque;
use std::ops::Range;

/// Buffers that are kept to be used again.
const SPARE: usize = 16;

/// A queue of batches. Some buffers are used again; all are wiped at the end.
#[derive(Default)]
pub(super) struct Stock {
    batches: VecDeque<Batch>,
    spare: Vec<SecretBlocks>,
    len: usize,
}

struct Batch {
    outputs: SecretBlocks,
    unused: Range<usize>,
}

impl Stock {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The place of `n` more, which the caller fills.
    pub(super) fn add(&mut self, n: usize) -> &mut [Block] {
        let mut outputs = self.spare.pop().unwrap_or_default();
        outputs.grow(n);
        self.len += n;
        self.batches.push_back(Batch { outputs, unused: 0..n });
        match self.batches.back_mut() {
            Some(last) => &mut last.outputs[..n],
            None => &mut [],
        }
    }

    /// Moves as many as there are and `out` holds to its start; returns how many.
    pub(super) fn take(&mut self, out: &mut [Block]) -> usize {
        let mut taken = 0;
        while let Some(batch) = self.batches.front_mut() {
            let n = batch.unused.len().min(out.len() - taken);
            let first = batch.unused.start;
            out[taken..taken + n].copy_from_slice(&batch.outputs[first..first + n]);
            batch.unused.start += n;
            taken += n;
            if !batch.unused.is_empty() {
                break;
            }
            if let Some(empty) = self.batches.pop_front()
                && self.spare.len() < SPARE
            {
                self.spare.push(empty.outputs);
            }
        }
        self.len -= taken;
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_in_comes_out_once_in_order() {
        let mut stock = Stock::default();
        let (mut next_in, mut next_out) = (0u128, 0u128);
        for (added, taken) in [(0, 3), (5, 2), (1, 1), (100, 0), (7, 60), (0, 500), (3, 3)] {
            for place in stock.add(added) {
                *place = Block::from(next_in);
                next_in += 1;
            }
            let mut out = vec![Block::ZERO; taken];
            let before = stock.len();
            let got = stock.take(&mut out);
            assert_eq!((got, stock.len()), (taken.min(before), before - got));
            for block in &out[..got] {
                assert!(*block == Block::from(next_out));
                next_out += 1;
            }
        }
        assert_eq!(next_out + stock.len() as u128, next_in);
    }
}
