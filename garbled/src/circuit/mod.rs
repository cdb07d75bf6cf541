//! Boolean circuits as straight-line programs over a small register file.
//!
//! A [`Builder`] offers the gates; constants and negations are folded as they appear, since neither costs
//! anything. [`Builder::finish`] drops what no output depends on and assigns slots by the last use of
//! each wire, so that the memory of a run is the largest number of wires that live at a time.

mod float;
mod words;

pub use float::SINGLE_BITS;
pub use words::constant;

use std::collections::BTreeMap;

/// A bit of a circuit under construction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bit {
    /// Known to everybody.
    Constant(bool),
    /// A wire, or its negation.
    Wire {
        /// Number of the wire.
        wire: u32,
        /// Whether the bit is the negation.
        inverted: bool,
    },
}

/// 0.
pub const ZERO: Bit = Bit::Constant(false);
/// 1.
pub const ONE: Bit = Bit::Constant(true);

impl Bit {
    fn inverted_if(self, condition: bool) -> Self {
        match self {
            Self::Constant(bit) => Self::Constant(bit ^ condition),
            Self::Wire { wire, inverted } => Self::Wire { wire, inverted: inverted ^ condition },
        }
    }
}

impl std::ops::Not for Bit {
    type Output = Self;
    fn not(self) -> Self {
        self.inverted_if(true)
    }
}

/// A number of bits, lowest first.
pub type Word = Vec<Bit>;

#[derive(Clone, Copy)]
enum Node {
    Garbler,
    Evaluator,
    Xor(u32, u32),
    /// Wires, and whether each is negated.
    And([(u32, bool); 2]),
    Mask(u32),
}

impl Node {
    fn inputs(self) -> [Option<u32>; 2] {
        match self {
            Self::Garbler | Self::Evaluator => [None; 2],
            Self::Xor(a, b) | Self::And([(a, _), (b, _)]) => [Some(a), Some(b)],
            Self::Mask(a) => [Some(a), None],
        }
    }
}

/// One step of a circuit, on slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Xor {
        inputs: [usize; 2],
        out: usize,
    },
    And {
        inputs: [usize; 2],
        inverted: [bool; 2],
        out: usize,
    },
    /// XOR with a random bit of the garbler's, which makes the colour of the output its value.
    Mask {
        input: usize,
        out: usize,
    },
}

/// Where an output is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    Constant(bool),
    Slot { slot: usize, inverted: bool },
}

/// A circuit, ready to be run.
#[derive(Clone, Debug)]
pub struct Circuit {
    pub(crate) garbler: Vec<usize>,
    pub(crate) evaluator: Vec<usize>,
    pub(crate) steps: Vec<Step>,
    pub(crate) outputs: Vec<Output>,
    pub(crate) slots: usize,
    ands: usize,
    masks: usize,
}

impl Circuit {
    /// AND gates: two ciphertexts each.
    pub fn ands(&self) -> usize {
        self.ands
    }

    /// Input bits of the garbler.
    pub fn garbler_inputs(&self) -> usize {
        self.garbler.len()
    }

    /// Input bits of the evaluator: an OT each.
    pub fn evaluator_inputs(&self) -> usize {
        self.evaluator.len()
    }

    /// Random bits that the garbler adds.
    pub fn masks(&self) -> usize {
        self.masks
    }

    /// Output bits.
    pub fn outputs(&self) -> usize {
        self.outputs.len()
    }

    /// Wires that live at a time.
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// The meaning: outputs for given inputs and masks. For tests and for those who check a circuit.
    ///
    /// # Panics
    /// If there are not as many inputs and masks as the circuit has.
    pub fn evaluate_plain(
        &self,
        garbler: &[bool],
        evaluator: &[bool],
        masks: &[bool],
    ) -> Vec<bool> {
        assert_eq!(
            [garbler.len(), evaluator.len(), masks.len()],
            [self.garbler.len(), self.evaluator.len(), self.masks],
            "inputs and masks"
        );
        let mut slots = vec![false; self.slots];
        for (slot, bit) in self.garbler.iter().zip(garbler) {
            slots[*slot] = *bit;
        }
        for (slot, bit) in self.evaluator.iter().zip(evaluator) {
            slots[*slot] = *bit;
        }
        let mut masks = masks.iter();
        for step in &self.steps {
            match *step {
                Step::Xor { inputs: [a, b], out } => slots[out] = slots[a] ^ slots[b],
                Step::And { inputs: [a, b], inverted, out } => {
                    slots[out] = (slots[a] ^ inverted[0]) & (slots[b] ^ inverted[1]);
                }
                Step::Mask { input, out } => {
                    slots[out] = slots[input] ^ masks.next().is_some_and(|bit| *bit);
                }
            }
        }
        let outputs = self.outputs.iter().map(|output| match *output {
            Output::Constant(bit) => bit,
            Output::Slot { slot, inverted } => slots[slot] ^ inverted,
        });
        outputs.collect()
    }
}

/// Builds a [`Circuit`]. All inputs first, in the order in which they are given later.
///
/// ```
/// use garbled::circuit::Builder;
/// let mut builder = Builder::default();
/// let (a, b) = (builder.garbler_word(2), builder.evaluator_word(2));
/// let greater = builder.greater(&a, &b);
/// let circuit = builder.finish(&[greater]);
/// assert_eq!(circuit.ands(), 2);
/// assert_eq!(circuit.evaluate_plain(&[false, true], &[true, false], &[]), [true]);
/// ```
#[derive(Default)]
pub struct Builder {
    nodes: Vec<Node>,
}

impl Builder {
    fn push(&mut self, node: Node) -> Bit {
        self.nodes.push(node);
        Bit::Wire { wire: (self.nodes.len() - 1) as u32, inverted: false }
    }

    /// The next input bit of the garbler.
    pub fn garbler_bit(&mut self) -> Bit {
        self.push(Node::Garbler)
    }

    /// The next `width` input bits of the garbler.
    pub fn garbler_word(&mut self, width: u32) -> Word {
        (0..width).map(|_| self.garbler_bit()).collect()
    }

    /// The next `width` input bits of the evaluator.
    pub fn evaluator_word(&mut self, width: u32) -> Word {
        (0..width).map(|_| self.push(Node::Evaluator)).collect()
    }

    /// a xor b: free.
    pub fn xor(&mut self, a: Bit, b: Bit) -> Bit {
        match (a, b) {
            (Bit::Constant(bit), other) | (other, Bit::Constant(bit)) => other.inverted_if(bit),
            (Bit::Wire { wire: a, inverted: x }, Bit::Wire { wire: b, inverted: y }) => {
                let sum = if a == b { ZERO } else { self.push(Node::Xor(a, b)) };
                sum.inverted_if(x ^ y)
            }
        }
    }

    /// a and b: one garbled gate, unless one is a constant.
    pub fn and(&mut self, a: Bit, b: Bit) -> Bit {
        match (a, b) {
            (Bit::Constant(true), other) | (other, Bit::Constant(true)) => other,
            (Bit::Constant(false), _) | (_, Bit::Constant(false)) => ZERO,
            (Bit::Wire { wire: a, inverted: x }, Bit::Wire { wire: b, inverted: y }) => {
                self.push(Node::And([(a, x), (b, y)]))
            }
        }
    }

    /// a xor a fresh uniform bit that only the garbler knows. The result may be shown to the evaluator, to
    /// whom its colour tells the value: an output that needs no decoding table.
    ///
    /// # Panics
    /// For a constant, which has no label.
    pub fn mask(&mut self, a: Bit) -> Bit {
        match a {
            Bit::Wire { wire, inverted } => self.push(Node::Mask(wire)).inverted_if(inverted),
            Bit::Constant(_) => panic!("a constant has no label to mask"),
        }
    }

    /// The circuit with these outputs.
    pub fn finish(self, outputs: &[Bit]) -> Circuit {
        let nodes = &self.nodes;
        // From the back: what is needed, and where it is used last.
        let mut last_use: Vec<Option<usize>> = vec![None; nodes.len()];
        for output in outputs {
            if let Bit::Wire { wire, .. } = output {
                last_use[*wire as usize] = Some(usize::MAX);
            }
        }
        for (at, node) in nodes.iter().enumerate().rev() {
            if last_use[at].is_some() {
                for input in node.inputs().into_iter().flatten() {
                    last_use[input as usize].get_or_insert(at);
                }
            }
        }
        let mut slots = Slots::default();
        let mut circuit = Circuit {
            garbler: Vec::new(),
            evaluator: Vec::new(),
            steps: Vec::new(),
            outputs: Vec::new(),
            slots: 0,
            ands: 0,
            masks: 0,
        };
        for (at, node) in nodes.iter().enumerate() {
            let input = matches!(node, Node::Garbler | Node::Evaluator);
            if last_use[at].is_none() && !input {
                continue;
            }
            let mut place = |wire: u32| {
                let slot = slots.of(wire);
                if last_use[wire as usize] == Some(at) {
                    slots.release(wire);
                }
                slot
            };
            // An output may take the slot of an input that ends here: every step reads first.
            match *node {
                Node::Garbler => circuit.garbler.push(slots.take(at)),
                Node::Evaluator => circuit.evaluator.push(slots.take(at)),
                Node::Xor(a, b) => {
                    let inputs = [place(a), place(b)];
                    circuit.steps.push(Step::Xor { inputs, out: slots.take(at) });
                }
                Node::And([(a, x), (b, y)]) => {
                    let inputs = [place(a), place(b)];
                    let out = slots.take(at);
                    circuit.steps.push(Step::And { inputs, inverted: [x, y], out });
                    circuit.ands += 1;
                }
                Node::Mask(a) => {
                    let input = place(a);
                    circuit.steps.push(Step::Mask { input, out: slots.take(at) });
                    circuit.masks += 1;
                }
            }
        }
        circuit.outputs.extend(outputs.iter().map(|output| match *output {
            Bit::Constant(bit) => Output::Constant(bit),
            Bit::Wire { wire, inverted } => Output::Slot { slot: slots.of(wire), inverted },
        }));
        circuit.slots = slots.count;
        circuit
    }
}

/// Slots of live wires.
#[derive(Default)]
struct Slots {
    of_wire: BTreeMap<u32, usize>,
    free: Vec<usize>,
    count: usize,
}

impl Slots {
    fn take(&mut self, wire: usize) -> usize {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.count += 1;
            self.count - 1
        });
        self.of_wire.insert(wire as u32, slot);
        slot
    }

    fn of(&self, wire: u32) -> usize {
        // A step's inputs come before it and live until it: `finish` asks for no others. The second input
        // of a gate may have been released with the first, if both are the same wire.
        self.of_wire.get(&wire).copied().unwrap_or_else(|| panic!("wire {wire} has no slot"))
    }

    fn release(&mut self, wire: u32) {
        if let Some(slot) = self.of_wire.get(&wire)
            && !self.free.contains(slot)
        {
            self.free.push(*slot);
        }
    }
}

#[cfg(test)]
mod tests;
