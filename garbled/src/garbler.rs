//! The garbler's side: tables and labels of a tile at a time, written straight into the frame that travels.

use crate::circuit::{Circuit, Output, Step};
use crate::gate::{GarbleGate, Labels, TILE};
use crate::protocol::Batch;
use sci_core::prg::SecretBlocks;
use sci_core::{Block, Prg, Result};
use sci_ot::{Lane, OtSender};
use zeroize::Zeroizing;

/// What the garbler has afterwards, as bit planes: one word of each plane a tile.
pub(crate) struct Garbled {
    /// The colours of the outputs' zero labels.
    pub colours: Zeroizing<Vec<u64>>,
    /// The random bits that the circuit added.
    pub masks: Zeroizing<Vec<u64>>,
}

/// Garbles the instances of a batch. `inputs` are the planes of the garbler's input bits.
///
/// Receives one flight, sends one.
pub(crate) fn garble(lane: &mut Lane, batch: &Batch<'_>, inputs: &[u64]) -> Result<Garbled> {
    let Batch { circuit, n, .. } = *batch;
    lane.send.extend_cot(&mut lane.stream, n * circuit.evaluator_inputs())?;
    let mut garbled = Garbled::new(batch);
    let mut tile = Tile::new(batch, &mut lane.prg);
    for (at, m) in batch.tiles() {
        let mut labels = batch.labels(at);
        let Lane { stream, send, .. } = &mut *lane;
        stream.send_with(batch.frame_bytes(m), |frame| {
            let (corrections, tables) = frame.split_at_mut(m * batch.correction_bytes());
            tile.offer_all(&**send, at, m, n, corrections);
            tile.own_inputs(at, m, inputs, &mut labels);
            tile.run(at, m, batch, &mut labels, tables, &mut garbled);
        })?;
    }
    Ok(garbled)
}

impl Garbled {
    /// Room for those of a batch.
    pub(crate) fn new(batch: &Batch<'_>) -> Self {
        let (circuit, words) = (batch.circuit, batch.n.div_ceil(TILE));
        Self {
            colours: Zeroizing::new(vec![0; words * circuit.outputs()]),
            masks: Zeroizing::new(vec![0; words * circuit.masks()]),
        }
    }
}

/// The garbling of one tile after another.
pub(crate) struct Tile<'a> {
    circuit: &'a Circuit,
    pub(crate) delta: Block,
    gate: Box<dyn GarbleGate>,
    /// Zero labels.
    slots: SecretBlocks,
    /// Both pads of one input bit in all instances.
    pads: SecretBlocks,
    /// Copies of the labels that a step reads, since its output may take their slot.
    work: Zeroizing<[Labels; 2]>,
    /// Words of a plane.
    words: usize,
}

impl<'a> Tile<'a> {
    /// With a Delta of its own.
    pub(crate) fn new(batch: &Batch<'a>, prg: &mut Prg) -> Self {
        let Batch { circuit, n, start, gates, .. } = *batch;
        let Block([low, high]) = prg.next_block();
        Self {
            circuit,
            delta: Block([low | 1, high]),
            gate: gates.garbler(start, prg.next_block()),
            slots: SecretBlocks::zeros(circuit.slots() * TILE),
            pads: SecretBlocks::zeros(2 * TILE),
            work: Zeroizing::new([[Block::ZERO; TILE]; 2]),
            words: n.div_ceil(TILE),
        }
    }

    pub(crate) fn slots(&mut self) -> &mut [Labels] {
        self.slots.as_chunks_mut::<TILE>().0
    }

    /// All inputs of the evaluator, from the OTs of a batch of `n`.
    pub(crate) fn offer_all(
        &mut self,
        send: &dyn OtSender,
        at: usize,
        m: usize,
        n: usize,
        corrections: &mut [u8],
    ) {
        let slots = self.circuit.evaluator.iter();
        for (i, (slot, corrections)) in slots.zip(corrections.chunks_exact_mut(16 * m)).enumerate()
        {
            let pads = &mut self.pads.as_chunks_mut::<2>().0[..m];
            send.cot_pads(i * n + at * TILE, pads);
            self.offer(*slot, m, corrections);
        }
    }

    /// An input of the evaluator: the pad of choice 0 is its zero label, and what travels turns that of choice
    /// 1 into the other.
    fn offer(&mut self, slot: usize, m: usize, corrections: &mut [u8]) {
        let labels = &mut self.slots.as_chunks_mut::<TILE>().0[slot];
        let pads = self.pads.as_chunks::<2>().0;
        let corrections = corrections.as_chunks_mut::<16>().0;
        for ((label, [zero, one]), out) in labels[..m].iter_mut().zip(pads).zip(corrections) {
            *label = *zero;
            *out = (*zero ^ *one ^ self.delta).to_bytes();
        }
    }

    /// The garbler's inputs: the active labels are public, the zero labels follow from the bits.
    fn own_inputs(&mut self, at: usize, m: usize, inputs: &[u64], labels: &mut Prg) {
        let (delta, circuit) = (self.delta, self.circuit);
        let words = self.words;
        for (i, slot) in circuit.garbler.iter().enumerate() {
            let bits = inputs[i * words + at];
            let zero = &mut self.slots()[*slot][..m];
            labels.fill_blocks(zero);
            for (i, label) in zero.iter_mut().enumerate() {
                *label ^= delta.and_mask((bits >> i & 1).wrapping_neg());
            }
        }
    }

    /// From the zero labels of all inputs, which are in their slots.
    pub(crate) fn run(
        &mut self,
        at: usize,
        m: usize,
        batch: &Batch<'_>,
        labels: &mut Prg,
        tables: &mut [u8],
        garbled: &mut Garbled,
    ) {
        let (delta, words) = (self.delta, self.words);
        let slots = self.slots.as_chunks_mut::<TILE>().0;
        let [first, second] = &mut *self.work;
        let mut tables = tables.chunks_exact_mut(batch.gates.table_bytes(m));
        let (mut ands, mut masks) = (0, 0);
        for step in &self.circuit.steps {
            match *step {
                Step::Xor { inputs: [a, b], out } => {
                    *first = slots[a];
                    first[..m].iter_mut().zip(&slots[b]).for_each(|(x, y)| *x ^= *y);
                    slots[out] = *first;
                }
                Step::And { inputs, inverted, out } => {
                    (*first, *second) = (slots[inputs[0]], slots[inputs[1]]);
                    for (labels, inverted) in [&mut *first, &mut *second].into_iter().zip(inverted)
                    {
                        if inverted {
                            labels[..m].iter_mut().for_each(|label| *label ^= delta);
                        }
                    }
                    let tweak = batch.tweak(at, m, ands);
                    let table = tables.next().unwrap_or_default();
                    let out = &mut slots[out][..m];
                    self.gate.garble(tweak, delta, [&first[..m], &second[..m]], out, table);
                    ands += 1;
                }
                Step::Mask { input, out } => {
                    labels.fill_blocks(&mut second[..m]);
                    let mut bits = 0;
                    *first = slots[input];
                    for (i, (label, active)) in first[..m].iter_mut().zip(&*second).enumerate() {
                        *label ^= *active;
                        let bit = label.0[0] & 1;
                        *label ^= delta.and_mask(bit.wrapping_neg());
                        bits |= bit << i;
                    }
                    slots[out] = *first;
                    garbled.masks[masks * words + at] = bits;
                    masks += 1;
                }
            }
        }
        for (i, output) in self.circuit.outputs.iter().enumerate() {
            garbled.colours[i * words + at] = match *output {
                Output::Constant(_) => 0,
                Output::Slot { slot, .. } => colours(&slots[slot][..m]),
            };
        }
    }
}

/// The lowest bits of labels.
pub(crate) fn colours(labels: &[Block]) -> u64 {
    labels.iter().enumerate().fold(0, |word, (i, label)| word | (label.0[0] & 1) << i)
}
