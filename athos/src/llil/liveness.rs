//! When a tensor is needed for the last time.

use super::{Fusion, Instruction, Op};

/// For every tensor: which storage holds it and when that storage may be freed.
///
/// A Reshape shares the storage of what it reads, so the two are one here; so does a truncation that a ReLU before it
/// has done ([`Fusion`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Liveness {
    storage: Vec<usize>,
    dying: Vec<Vec<usize>>,
    peak_elements: u64,
}

impl Liveness {
    /// Of a checked program, instruction by instruction.
    pub fn of(instructions: &[Instruction]) -> Self {
        Self::fused(instructions, &Fusion::none())
    }

    /// Of a checked program some of whose truncations are done before.
    pub fn fused(instructions: &[Instruction], fusion: &Fusion) -> Self {
        let mut storage: Vec<usize> = Vec::with_capacity(instructions.len());
        let mut last_use = Vec::with_capacity(instructions.len());
        for (i, instruction) in instructions.iter().enumerate() {
            let inputs = instruction.inputs.iter().filter_map(|x| storage.get(x.index()).copied());
            for root in inputs.clone() {
                if let Some(last) = last_use.get_mut(root) {
                    *last = i;
                }
            }
            let shared = matches!(instruction.op, Op::Reshape { .. }) || fusion.done_before(i);
            let root = inputs.clone().next().filter(|_| shared).unwrap_or(i);
            storage.push(root);
            last_use.push(i);
        }
        // The output outlives the program.
        if let Some(last) = storage.last().and_then(|&root| last_use.get_mut(root)) {
            *last = instructions.len();
        }
        let mut dying = vec![Vec::new(); instructions.len()];
        for (root, (&holder, &last)) in storage.iter().zip(&last_use).enumerate() {
            if let Some(dying) = dying.get_mut(last).filter(|_| holder == root) {
                dying.push(root);
            }
        }
        let elements = |i: &usize| instructions.get(*i).map_or(0, |x| x.output.len() as u64);
        let (mut live, mut peak_elements) = (0, 0);
        for (i, (&holder, dying)) in storage.iter().zip(&dying).enumerate() {
            live += if holder == i { elements(&i) } else { 0 };
            peak_elements = live.max(peak_elements);
            live -= dying.iter().map(elements).sum::<u64>();
        }
        Self { storage, dying, peak_elements }
    }

    /// The instruction whose result holds tensor `i`.
    pub fn storage(&self, i: usize) -> usize {
        self.storage.get(i).copied().unwrap_or(i)
    }

    /// The storages that instruction `i` is the last to touch.
    pub fn dies_after(&self, i: usize) -> &[usize] {
        self.dying.get(i).map_or(&[], Vec::as_slice)
    }

    /// The most elements alive at one time.
    pub fn peak_elements(&self) -> u64 {
        self.peak_elements
    }
}
