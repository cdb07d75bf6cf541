//! Walks a program over a backend and frees tensors that nothing needs any more.

#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::backend::Backend;
use crate::llil::{
    AxisGeometry, Broadcast, Fusion, Instruction, Liveness, Op, Rearrange, TensorInfo,
};
use crate::program::PublicProgram;
use crate::{Error, WeightId};

/// What [`execute`] tells after every instruction.
#[derive(Debug)]
pub struct Step<'a, S> {
    /// Number of the instruction.
    pub index: usize,
    /// How many there are.
    pub total: usize,
    /// The instruction.
    pub instruction: &'a Instruction,
    /// What it defined.
    pub value: &'a S,
}

/// What a ReLU is called that truncates, too.
const FUSED: &str = "ReluTruncate";

/// Runs a checked program and returns its output; `observe` is called after every instruction.
///
/// # Errors
/// What the backend returns, and [`Error::Misuse`] for a program that did not pass its check.
pub fn execute<B: Backend>(
    program: &PublicProgram,
    backend: &mut B,
    mut observe: impl FnMut(Step<'_, B::Secret>),
) -> Result<B::Secret, B::Error> {
    let instructions = &program.instructions;
    let fusion = match backend.fuses_truncation() {
        true => Fusion::of(instructions),
        false => Fusion::none(),
    };
    let liveness = Liveness::fused(instructions, &fusion);
    let mut tensors: Vec<Option<B::Secret>> = instructions.iter().map(|_| None).collect();
    let unchecked = |i: usize| Error::Misuse(format!("instruction {i} of an unchecked program"));
    for (i, instruction) in instructions.iter().enumerate() {
        let shift = fusion.shift(i);
        let name = if shift.is_some() { FUSED } else { instruction.op.name() };
        backend.enter_layer(i, &instruction.name, name)?;
        if liveness.storage(i) == i {
            let mut inputs = Vec::with_capacity(instruction.inputs.len());
            let mut infos = Vec::with_capacity(instruction.inputs.len());
            for id in &instruction.inputs {
                let held = tensors.get(liveness.storage(id.index())).and_then(Option::as_ref);
                inputs.push(held.ok_or_else(|| unchecked(i))?);
                infos.push(&instructions.get(id.index()).ok_or_else(|| unchecked(i))?.output);
            }
            let value = match (shift, &inputs[..]) {
                (Some(shift), [x]) => backend.relu_truncate(x, shift, instruction.precision)?,
                _ => apply(program, backend, instruction, &inputs, &infos)?,
            };
            *tensors.get_mut(i).ok_or_else(|| unchecked(i))? = Some(value);
        }
        let value = tensors.get(liveness.storage(i)).and_then(Option::as_ref);
        let value = value.ok_or_else(|| unchecked(i))?;
        observe(Step { index: i, total: instructions.len(), instruction, value });
        for &dead in liveness.dies_after(i) {
            if let Some(tensor) = tensors.get_mut(dead) {
                *tensor = None;
            }
        }
    }
    let output = liveness.storage(instructions.len().saturating_sub(1));
    let output = tensors.get_mut(output).and_then(Option::take);
    Ok(output.ok_or_else(|| unchecked(instructions.len()))?)
}

fn apply<B: Backend>(
    program: &PublicProgram,
    backend: &mut B,
    instruction: &Instruction,
    inputs: &[&B::Secret],
    infos: &[&TensorInfo],
) -> Result<B::Secret, B::Error> {
    let misuse = || Error::Misuse(format!("operands of {}", instruction.name));
    let broadcast = |weight: WeightId| -> Result<Broadcast, Error> {
        let weight = program.weights.get(weight.index()).ok_or_else(misuse)?;
        Broadcast::new(&infos.first().ok_or_else(misuse)?.shape, &weight.shape)
    };
    let precision = instruction.precision;
    match (&instruction.op, inputs) {
        (Op::Input { shape, .. }, []) => backend.input(shape),
        (Op::Conv { weight, bias, geometry }, [x]) => backend.conv(x, *weight, *bias, geometry),
        (Op::Linear { weight, bias, geometry }, [x]) => backend.linear(x, *weight, *bias, geometry),
        (Op::Add, [x, y]) => backend.add(x, y),
        (Op::Sub, [x, y]) => backend.sub(x, y),
        (Op::ScaleUp { shift }, [x]) => backend.scale_up(x, *shift),
        (Op::MulPublic { factor, .. }, [x]) => backend.mul_public(x, *factor),
        (Op::AddWeight { weight }, [x]) => backend.add_weight(x, *weight, &broadcast(*weight)?),
        (Op::MulWeight { weight }, [x]) => backend.mul_weight(x, *weight, &broadcast(*weight)?),
        (Op::Relu, [x]) => backend.relu(x, precision),
        (Op::MaxPool { geometry }, [x]) => backend.max_pool(x, geometry, precision),
        (Op::AvgPool { geometry, shift, sign }, [x]) => {
            backend.avg_pool(x, geometry, *shift, *sign, precision)
        }
        (Op::Truncate { shift, sign }, [x]) => backend.truncate(x, *shift, *sign, precision),
        (Op::ArgMax { axis }, [x]) => {
            let info = infos.first().ok_or_else(misuse)?;
            backend.arg_max(x, &AxisGeometry::new(&info.shape, *axis)?, precision)
        }
        (op, _) => {
            let rearrange = Rearrange::of(op, infos, &instruction.output).ok_or_else(misuse)?;
            backend.rearrange(inputs, &rearrange)
        }
    }
}
