//! The evaluator's side: active labels of a tile at a time, from the frames as they arrive.

use crate::circuit::{Output, Step};
use crate::garbler::colours;
use crate::gate::{GateHash, TABLE_BYTES, TILE};
use crate::protocol::Batch;
use sci_core::prg::SecretBlocks;
use sci_core::{Bits, Block, Result};
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
    let words = n.div_ceil(TILE);
    let mut choices = Bits::default();
    for plane in inputs.chunks_exact(words.max(1)) {
        choices.extend(&Bits::from_words(n, plane.to_vec())?);
    }
    lane.recv.extend_cot(&mut lane.stream, &choices)?;
    let mut out = Zeroizing::new(vec![0; words * circuit.outputs()]);
    let mut slots = SecretBlocks::zeros(circuit.slots() * TILE);
    let slots = slots.as_chunks_mut::<TILE>().0;
    let mut work = Zeroizing::new([[Block::ZERO; TILE]; 2]);
    let [first, second] = &mut *work;
    let mut hash = GateHash::new(batch.start);
    for (at, m) in batch.tiles() {
        let mut labels = batch.labels(at);
        let frame = lane.stream.recv("garbled tables", batch.frame_bytes(m))?;
        let (corrections, tables) = frame.split_at(m * batch.correction_bytes());
        let corrections = corrections.as_chunks::<16>().0;
        for (i, slot) in circuit.evaluator.iter().enumerate() {
            let bits = inputs[i * words + at];
            let active = &mut slots[*slot][..m];
            lane.recv.cot_pads(i * n + at * TILE, active);
            for (j, (label, bytes)) in active.iter_mut().zip(&corrections[i * m..]).enumerate() {
                *label ^= Block::from_bytes(*bytes).and_mask((bits >> j & 1).wrapping_neg());
            }
        }
        for slot in &circuit.garbler {
            labels.fill_blocks(&mut slots[*slot][..m]);
        }
        let mut tables = tables.as_chunks::<TABLE_BYTES>().0.chunks_exact(m);
        let mut ands = 0;
        for step in &circuit.steps {
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
                    hash.evaluate(tweak, [&first[..m], &second[..m]], out, table);
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
        for (i, output) in circuit.outputs.iter().enumerate() {
            out[i * words + at] = match *output {
                Output::Constant(bit) => u64::from(bit).wrapping_neg() & valid,
                Output::Slot { slot, inverted } => {
                    colours(&slots[slot][..m]) ^ (u64::from(inverted).wrapping_neg() & valid)
                }
            };
        }
    }
    Ok(out)
}
