//! The evaluator's side: active labels of a tile at a time, from the frames as they arrive.

use crate::circuit::{Circuit, Output, Step};
use crate::garbler::colours;
use crate::gate::{EvaluateGate, Labels, TILE};
use crate::protocol::Batch;
use sci_core::prg::SecretBlocks;
use sci_core::{Bits, Block, Prg, Result};
use sci_ot::Lane;
use zeroize::Zeroizing;

/// Evaluates the instances of a batch. `inputs` are the planes of the evaluator's input bits; the result
/// are planes of the outputs xor the colours that the garbler has.
///
/// Sends one flight, receives one.
pub(crate) fn evaluate(
    lane: &mut Lane,
    batch: &Batch<'_>,
    inputs: &[u64],
) -> Result<Zeroizing<Vec<u64>>> {
    let Batch { circuit, n, .. } = *batch;
    choose(lane, n, inputs)?;
    let mut tile = Tile::new(batch);
    for (at, m) in batch.tiles() {
        let mut labels = batch.labels(at);
        let frame = lane.stream.recv("garbled tables", batch.frame_bytes(m))?;
        let (corrections, tables) = frame.split_at(m * batch.correction_bytes());
        for (i, slot) in circuit.evaluator.iter().enumerate() {
            let active = &mut tile.slots()[*slot][..m];
            own_labels(lane, batch, [i, at], inputs, corrections, active);
        }
        for slot in &circuit.garbler {
            labels.fill_blocks(&mut tile.slots()[*slot][..m]);
        }
        tile.run(at, m, batch, &mut labels, tables);
    }
    Ok(tile.out)
}

/// Enters the choices of the OTs: one flight.
pub(crate) fn choose(lane: &mut Lane, n: usize, inputs: &[u64]) -> Result<()> {
    let mut choices = Bits::default();
    for plane in inputs.chunks_exact(n.div_ceil(TILE).max(1)) {
        choices.extend(&Bits::from_words(n, plane.to_vec())?);
    }
    lane.recv.extend_cot(&mut lane.stream, &choices)
}

/// The active labels of one of the evaluator's inputs in a tile, from the pads of its OTs and the corrections of
/// the tile's frame.
pub(crate) fn own_labels(
    lane: &Lane,
    batch: &Batch<'_>,
    [input, at]: [usize; 2],
    inputs: &[u64],
    corrections: &[u8],
    active: &mut [Block],
) {
    let (n, m) = (batch.n, active.len());
    let bits = inputs[input * n.div_ceil(TILE) + at];
    lane.recv.cot_pads(input * n + at * TILE, active);
    let corrections = &corrections.as_chunks::<16>().0[input * m..];
    for (j, (label, bytes)) in active.iter_mut().zip(corrections).enumerate() {
        *label ^= Block::from_bytes(*bytes).and_mask((bits >> j & 1).wrapping_neg());
    }
}

/// The evaluation of one tile after another.
pub(crate) struct Tile<'a> {
    circuit: &'a Circuit,
    gate: Box<dyn EvaluateGate>,
    /// Active labels.
    slots: SecretBlocks,
    /// Copies of the labels that a step reads, since its output may take their slot.
    work: Zeroizing<[Labels; 2]>,
    /// Planes of the outputs xor the garbler's colours.
    pub(crate) out: Zeroizing<Vec<u64>>,
    /// Words of a plane.
    words: usize,
}

impl<'a> Tile<'a> {
    pub(crate) fn new(batch: &Batch<'a>) -> Self {
        let Batch { circuit, n, start, gates, .. } = *batch;
        let words = n.div_ceil(TILE);
        Self {
            circuit,
            gate: gates.evaluator(start),
            slots: SecretBlocks::zeros(circuit.slots() * TILE),
            work: Zeroizing::new([[Block::ZERO; TILE]; 2]),
            out: Zeroizing::new(vec![0; words * circuit.outputs()]),
            words,
        }
    }

    pub(crate) fn slots(&mut self) -> &mut [Labels] {
        self.slots.as_chunks_mut::<TILE>().0
    }

    /// From the active labels of all inputs, which are in their slots, and the tables; `labels` goes on where the
    /// garbler's masks come from.
    pub(crate) fn run(
        &mut self,
        at: usize,
        m: usize,
        batch: &Batch<'_>,
        labels: &mut Prg,
        tables: &[u8],
    ) {
        let slots = self.slots.as_chunks_mut::<TILE>().0;
        let [first, second] = &mut *self.work;
        let mut tables = tables.chunks_exact(batch.gates.table_bytes(m));
        let mut ands = 0;
        for step in &self.circuit.steps {
            match *step {
                Step::Xor { inputs: [a, b], out } => {
                    *first = slots[a];
                    first[..m].iter_mut().zip(&slots[b]).for_each(|(x, y)| *x ^= *y);
                    slots[out] = *first;
                }
                Step::And { inputs: [a, b], out, .. } => {
                    (*first, *second) = (slots[a], slots[b]);
                    let tweak = batch.tweak(at, m, ands);
                    let table = tables.next().unwrap_or_default();
                    let out = &mut slots[out][..m];
                    self.gate.evaluate(tweak, [&first[..m], &second[..m]], out, table);
                    ands += 1;
                }
                Step::Mask { input, out } => {
                    labels.fill_blocks(&mut second[..m]);
                    *first = slots[input];
                    first[..m].iter_mut().zip(&*second).for_each(|(x, y)| *x ^= *y);
                    slots[out] = *first;
                }
            }
        }
        let valid = u64::MAX >> (TILE - m);
        for (i, output) in self.circuit.outputs.iter().enumerate() {
            self.out[i * self.words + at] = match *output {
                Output::Constant(bit) => u64::from(bit).wrapping_neg() & valid,
                Output::Slot { slot, inverted } => {
                    colours(&slots[slot][..m]) ^ (u64::from(inverted).wrapping_neg() & valid)
                }
            };
        }
    }
}
