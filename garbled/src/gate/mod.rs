//! AND gates in up to [`TILE`] instances of a circuit, by one scheme or another.

mod half_gates;
mod three_halves;

use half_gates::HalfGates;
use sci_core::Block;
use sci_core::hash::Tweak;

/// Instances of a circuit that are garbled together: one word of a bit plane.
pub(crate) const TILE: usize = 64;

/// The labels of one wire in all instances of a tile.
pub(crate) type Labels = [Block; TILE];

/// How AND gates are garbled. XOR and NOT are free in either scheme.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Gates {
    /// Two ciphertexts of 128 bits an AND gate, four hashes to garble and two to evaluate (Zahur, Rosulek, Evans,
    /// EUROCRYPT 2015).
    #[default]
    HalfGates,
    /// Three ciphertexts of 64 bits and 5 bits an AND gate, six hashes to garble and three to evaluate (Rosulek and
    /// Roy, "Three halves make a whole?", CRYPTO 2021).
    ThreeHalves,
}

impl Gates {
    /// Bytes of one gate in `m` instances.
    pub(crate) fn table_bytes(self, m: usize) -> usize {
        match self {
            Self::HalfGates => half_gates::TABLE_BYTES * m,
            Self::ThreeHalves => three_halves::table_bytes(m),
        }
    }

    /// Bytes of one gate in `n` instances, tile by tile.
    pub(crate) fn bytes(self, n: usize) -> usize {
        n / TILE * self.table_bytes(TILE) + self.table_bytes(n % TILE)
    }

    /// Keys of the hash that a gate takes in an instance.
    pub(crate) fn keys(self) -> usize {
        match self {
            Self::HalfGates => 2,
            Self::ThreeHalves => 3,
        }
    }

    /// Hashes of a gate: the garbler's and the evaluator's.
    pub(crate) fn hashes(self) -> [u64; 2] {
        [2, 1].map(|each| each * self.keys() as u64)
    }

    /// Garbles gates with the hash of a start point; `dice` is a secret seed.
    pub(crate) fn garbler(self, start: Block, dice: Block) -> Box<dyn GarbleGate> {
        match self {
            Self::HalfGates => Box::new(HalfGates::new(start)),
            Self::ThreeHalves => Box::new(three_halves::Garbler::new(start, dice)),
        }
    }

    /// Evaluates gates with the hash of a start point.
    pub(crate) fn evaluator(self, start: Block) -> Box<dyn EvaluateGate> {
        match self {
            Self::HalfGates => Box::new(HalfGates::new(start)),
            Self::ThreeHalves => Box::new(three_halves::Evaluator::new(start)),
        }
    }
}

/// The garbler of one AND gate after another.
pub(crate) trait GarbleGate {
    /// Garbles `out.len()` instances, at most [`TILE`], from the zero labels of both inputs: `out` becomes the zero
    /// labels, `table` what the evaluator needs.
    fn garble(
        &mut self,
        tweak: Tweak,
        delta: Block,
        inputs: [&[Block]; 2],
        out: &mut [Block],
        table: &mut [u8],
    );
}

/// The evaluator of one AND gate after another.
pub(crate) trait EvaluateGate {
    /// Evaluates `out.len()` instances from the active labels of both inputs.
    fn evaluate(&mut self, tweak: Tweak, inputs: [&[Block]; 2], out: &mut [Block], table: &[u8]);
}

fn mask(bit: bool) -> u64 {
    u64::from(bit).wrapping_neg()
}

#[cfg(test)]
mod tests {
    use super::*;
    use sci_core::Prg;

    /// Every size of a tile that matters, with random labels: all four pairs of bits evaluate to the label of their AND.
    fn evaluates_what_it_garbles(gates: Gates) {
        let mut prg = Prg::new(Block::from(1));
        let (start, dice) = (prg.next_block(), prg.next_block());
        let delta = Block([prg.next_u64() | 1, prg.next_u64()]);
        let (mut garbler, mut evaluator) = (gates.garbler(start, dice), gates.evaluator(start));
        for (call, m) in [1, 2, 7, 8, 9, 31, 32, 33, 63, 64].into_iter().enumerate() {
            let draw = |prg: &mut Prg| -> Vec<Block> { (0..m).map(|_| prg.next_block()).collect() };
            let (a, b) = (draw(&mut prg), draw(&mut prg));
            // Both inputs may be one wire, or one the other's complement.
            let complement: Vec<Block> = a.iter().map(|&a| a ^ delta).collect();
            for (i, b) in [&b, &a, &complement].into_iter().enumerate() {
                let tweak = Tweak::new(call as u64, 1000 * i as u64);
                let mut out = vec![Block::ZERO; m];
                let mut table = vec![0; gates.table_bytes(m)];
                garbler.garble(tweak, delta, [&a, b], &mut out, &mut table);
                for (x, y) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                    let active = |labels: &[Block], bit: u64| -> Vec<Block> {
                        labels.iter().map(|&l| l ^ delta.and_mask(bit.wrapping_neg())).collect()
                    };
                    let mut got = vec![Block::ZERO; m];
                    evaluator.evaluate(tweak, [&active(&a, x), &active(b, y)], &mut got, &table);
                    assert!(got == active(&out, x & y), "{gates:?}, {m}, {i}: {x} AND {y}");
                }
            }
        }
    }

    #[test]
    fn every_scheme_evaluates_what_it_garbles() {
        evaluates_what_it_garbles(Gates::HalfGates);
        evaluates_what_it_garbles(Gates::ThreeHalves);
    }

    #[test]
    fn sizes() {
        assert_eq!(8 * Gates::HalfGates.bytes(128), 128 * 256);
        assert_eq!(8 * Gates::ThreeHalves.bytes(128), 128 * (128 + 64 + 5));
        // The five bits fill whole bytes in a last tile.
        assert_eq!(Gates::ThreeHalves.bytes(65), 65 * 24 + 5 * 8 + 5);
        assert_eq!(Gates::ThreeHalves.bytes(0), 0);
    }
}
