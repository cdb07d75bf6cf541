//! A program as a list of statements, the form in which the CrypTFlow paper shows its programs.

use super::{Instruction, Op, TensorId, WeightId};
use crate::hlil::Names;
use crate::program::PublicProgram;
use std::fmt;

/// Shows a program as `y = Operation(x, W);`, a truncation of what nothing else reads as
/// `ScaleDown(x, s);` in its place, the last operation as `output(...)`.
#[derive(Clone, Copy, Debug)]
pub struct Statements<'a>(pub &'a PublicProgram);

impl fmt::Display for Statements<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(program) = self;
        let instructions = &program.instructions;
        let reads = |id: TensorId| {
            instructions.iter().flat_map(|x| &x.inputs).filter(|input| **input == id).count()
        };
        let mut unique = Names::default();
        let weights: Vec<String> = program.weights.iter().map(|x| unique.unique(&x.name)).collect();
        let mut names: Vec<String> = Vec::with_capacity(instructions.len());
        for (i, instruction) in instructions.iter().enumerate() {
            let name = |id: &TensorId| names.get(id.index()).map_or("?", String::as_str);
            let arguments: Vec<&str> = instruction.inputs.iter().map(name).collect();
            let call = call(instruction, &arguments, &weights);
            let last = i + 1 == instructions.len();
            let in_place = instruction.inputs.first().copied().filter(|&x| {
                matches!(instruction.op, Op::Truncate { .. }) && reads(x) == 1 && x.index() > 0
            });
            let own = match in_place {
                Some(x) => names.get(x.index()).cloned().unwrap_or_default(),
                None => unique.unique(&instruction.name),
            };
            match &instruction.op {
                _ if last && in_place.is_none() => writeln!(f, "output({call});")?,
                Op::Input { .. } => {}
                _ if in_place.is_some() => writeln!(f, "{call};")?,
                _ => writeln!(f, "{own} = {call};")?,
            }
            if last && in_place.is_some() {
                writeln!(f, "output({own});")?;
            }
            names.push(own);
        }
        Ok(())
    }
}

/// The operation in the paper's words.
fn call(instruction: &Instruction, arguments: &[&str], weights: &[String]) -> String {
    let joined = arguments.join(", ");
    let weight = |id: &WeightId| weights.get(id.index()).map_or("?", String::as_str);
    let with_bias = |call: String, bias: &Option<WeightId>| match bias {
        Some(bias) => format!("MatAdd({call}, {})", weight(bias)),
        None => call,
    };
    match &instruction.op {
        Op::Linear { weight: w, bias, .. } => {
            with_bias(format!("MatMul({joined}, {})", weight(w)), bias)
        }
        Op::Conv { weight: w, bias, .. } => {
            with_bias(format!("Conv({joined}, {})", weight(w)), bias)
        }
        Op::Add => format!("MatAdd({joined})"),
        Op::Sub => format!("MatSub({joined})"),
        Op::AddWeight { weight: w } => format!("MatAdd({joined}, {})", weight(w)),
        Op::MulWeight { weight: w } => format!("ElemWiseMul({joined}, {})", weight(w)),
        Op::MulPublic { factor, .. } => format!("ScalarMul({joined}, {factor})"),
        Op::ScaleUp { shift } => format!("ScaleUp({joined}, {shift})"),
        Op::Truncate { shift, .. } => format!("ScaleDown({joined}, {shift})"),
        Op::AvgPool { shift, .. } if *shift > 0 => format!("ScaleDown(AvgPool({joined}), {shift})"),
        op => format!("{}({joined})", op.name()),
    }
}
