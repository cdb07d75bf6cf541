//! Which truncations a ReLU does at once.
//!
//! A protocol may compute floor(ReLU(x) / 2^s) cheaper than the two one after the other
//! ([`crate::Backend::relu_truncate`]). This is a matter of who executes a program, not of what it means: the program keeps
//! both instructions, cleartext runs and observations see both, and an executor whose backend asks for it runs
//! the ReLU with the shift and takes the truncation for done.
//!
//! A truncation behind a Concat, or whatever else only moves elements, can be done by the ReLUs in front: they are
//! where its operand comes from, if nothing else reads it on the way and zeros that a Pad puts in stay
//! zeros. Both must look at the same bits. Then x mod 2^k is not negative after the ReLU, whatever x is, and the two agree
//! on every input.

use super::{Instruction, Op, TensorId};

/// For every instruction: by how much it truncates, if it is a ReLU that does, and whether it is done already.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fusion {
    shifts: Vec<Option<u32>>,
    done: Vec<bool>,
}

impl Fusion {
    /// Every instruction by itself.
    pub fn none() -> Self {
        Self::default()
    }

    /// Of a checked program.
    pub fn of(instructions: &[Instruction]) -> Self {
        let mut reads = vec![0usize; instructions.len()];
        let inputs = instructions.iter().flat_map(|x| &x.inputs);
        inputs.for_each(|x| reads.get_mut(x.index()).into_iter().for_each(|reads| *reads += 1));
        let mut fusion =
            Self { shifts: vec![None; instructions.len()], done: vec![false; instructions.len()] };
        for (i, truncation) in instructions.iter().enumerate() {
            let (&Op::Truncate { shift, .. }, [x]) = (&truncation.op, &truncation.inputs[..])
            else {
                continue;
            };
            let Some(relus) = relus_behind(instructions, &reads, *x) else { continue };
            let precision = |relu: usize| instructions.get(relu).map(|x| x.precision);
            if relus.iter().any(|&relu| precision(relu) != Some(truncation.precision)) {
                continue;
            }
            for relu in relus {
                fusion.shifts.get_mut(relu).into_iter().for_each(|place| *place = Some(shift));
            }
            fusion.done.get_mut(i).into_iter().for_each(|done| *done = true);
        }
        fusion
    }

    /// By how many bits the ReLU of this number truncates what it returns.
    pub fn shift(&self, i: usize) -> Option<u32> {
        self.shifts.get(i).copied().flatten()
    }

    /// Whether the operand of this instruction is its result already.
    pub fn done_before(&self, i: usize) -> bool {
        self.done.get(i) == Some(&true)
    }
}

/// The ReLUs that a tensor's elements come from, if all do and nothing else reads them.
fn relus_behind(instructions: &[Instruction], reads: &[usize], x: TensorId) -> Option<Vec<usize>> {
    let (mut relus, mut open) = (Vec::new(), vec![x]);
    while let Some(x) = open.pop() {
        let instruction =
            instructions.get(x.index()).filter(|_| reads.get(x.index()) == Some(&1))?;
        match instruction.op {
            Op::Relu => relus.push(x.index()),
            Op::Reshape { .. }
            | Op::Concat { .. }
            | Op::Transpose { .. }
            | Op::Pad { .. }
            | Op::Slice { .. } => open.extend(&instruction.inputs),
            _ => return None,
        }
    }
    Some(relus)
}
