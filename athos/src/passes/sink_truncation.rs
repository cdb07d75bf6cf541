//! Moves truncations to where they are cheaper or fewer, on integer programs.
//!
//! A truncation waits ("pending") until something needs its result:
//!
//! * ReLU(floor(x/2^s)) = floor(ReLU(x)/2^s): after the ReLU the sign is known, which halves its cost
//!   (CrypTFlow2, section 6.2);
//! * floor is monotone, so it waits for a MaxPool as well, if there are fewer elements behind it. The
//!   MaxPool then compares untruncated numbers: differences of those that are not known to be
//!   non-negative have to fit the domain, one bit more than the numbers themselves;
//! * choosing and reordering elements and putting tensors side by side is the same before and after;
//! * x + y with both pending by the same amount is summed first, and the sum truncated once; with one
//!   of them pending in front of a ReLU the other is scaled by 2^s, which is local (CrypTFlow, the
//!   residual block). The sum is then rounded once instead of twice: the one place where numbers
//!   change, by less than 2^-s;
//! * the ArgMax of the output takes the untruncated numbers; they tie no more often.
//!
//! It does not wait for an AvgPool here: untruncated sums of d elements need log2 d more bits, which all layers
//! pay for where the domain has none to spare, and nothing but the program is known yet.
//! [`super::merge_avg_pool`] does this once calibration inputs show that there is room.

#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::Result;
use crate::llil::{Builder, Instruction, Op, Precision, Sign, TensorId, WeightInfo};
use sci_core::AnyDomain;

/// A tensor of the new program, perhaps with a truncation still to be done.
#[derive(Clone, Copy)]
struct Value {
    id: TensorId,
    /// By how many bits, and which old instruction names it.
    pending: Option<(u32, usize)>,
    non_negative: bool,
}

struct Sink<'a> {
    old: &'a [Instruction],
    /// How many instructions read a tensor, and whether a ReLU is among them.
    uses: Vec<usize>,
    feeds_relu: Vec<bool>,
    values: Vec<Value>,
    new: Builder,
}

/// The program with its truncations moved. Every truncation of the result but those of sums computes
/// what it computed before.
///
/// # Errors
/// Those of the typing rules, for a program that does not satisfy them.
pub fn sink_truncation(
    domain: AnyDomain,
    instructions: &[Instruction],
    weights: Vec<WeightInfo>,
) -> Result<(Vec<Instruction>, Vec<WeightInfo>)> {
    let mut uses = vec![0; instructions.len()];
    let mut feeds_relu = vec![false; instructions.len()];
    for (instruction, id) in
        instructions.iter().flat_map(|x| x.inputs.iter().map(move |id| (x, id)))
    {
        if let (Some(n), Some(relu)) = (uses.get_mut(id.index()), feeds_relu.get_mut(id.index())) {
            *n += 1;
            *relu |= instruction.op == Op::Relu;
        }
    }
    let new = Builder::new(domain, weights);
    let mut sink = Sink { old: instructions, uses, feeds_relu, values: Vec::new(), new };
    for (i, instruction) in instructions.iter().enumerate() {
        let value = sink.step(i, instruction)?;
        sink.values.push(value);
    }
    if let Some(last) = instructions.len().checked_sub(1) {
        sink.done(last)?;
    }
    Ok(sink.new.finish())
}

impl Sink<'_> {
    fn value(&self, id: TensorId) -> Result<Value> {
        let value = self.values.get(id.index()).copied();
        value.ok_or_else(|| crate::Error::Misuse(format!("no tensor {id}")))
    }

    /// Whether exactly one instruction reads a tensor.
    fn once(&self, id: TensorId) -> bool {
        self.uses.get(id.index()) == Some(&1)
    }

    /// Whether what reads a tensor is one ReLU and nothing else.
    fn only_feeds_relu(&self, i: usize) -> bool {
        self.uses.get(i) == Some(&1) && self.feeds_relu.get(i) == Some(&true)
    }

    /// The tensor itself, its truncation done.
    fn done(&mut self, i: usize) -> Result<TensorId> {
        let value = self.value(TensorId(i as u32))?;
        let Some((shift, origin)) = value.pending else { return Ok(value.id) };
        let sign = if value.non_negative { Sign::NonNegative } else { Sign::Unknown };
        let name = self.old.get(origin).map_or("", |x| x.name.as_str());
        let id = self.new.push(name, Op::Truncate { shift, sign }, &[value.id])?;
        if let Some(value) = self.values.get_mut(i) {
            *value = Value { id, pending: None, non_negative: value.non_negative };
        }
        Ok(id)
    }

    fn step(&mut self, i: usize, instruction: &Instruction) -> Result<Value> {
        let Instruction { name, op, inputs, precision, .. } = instruction;
        // What looks at fewer bits stays where it is.
        let whole = *precision == Precision::Full;
        match (op, inputs.as_slice()) {
            _ if !whole => {}
            (Op::Truncate { shift, sign }, &[x]) => {
                let id = self.done(x.index())?;
                let known = self.value(x)?.non_negative || *sign == Sign::NonNegative;
                return Ok(Value { id, pending: Some((*shift, i)), non_negative: known });
            }
            (Op::Relu, &[x]) if self.once(x) => {
                let Value { id, pending, .. } = self.value(x)?;
                let id = self.new.push(name, op.clone(), &[id])?;
                return Ok(Value { id, pending, non_negative: true });
            }
            (Op::MaxPool { geometry }, &[x])
                if self.once(x) && geometry.output_len() < geometry.input_len() =>
            {
                let value = self.value(x)?;
                let id = self.new.push(name, op.clone(), &[value.id])?;
                return Ok(Value { id, ..value });
            }
            (Op::Concat { .. }, parts) if self.common(parts)?.is_some() => {
                let values =
                    parts.iter().map(|x| self.value(*x)).collect::<Result<Vec<Value>>>()?;
                let ids: Vec<TensorId> = values.iter().map(|value| value.id).collect();
                let id = self.new.push(name, op.clone(), &ids)?;
                let non_negative = values.iter().all(|value| value.non_negative);
                return Ok(Value { id, pending: self.common(parts)?, non_negative });
            }
            (Op::Reshape { .. } | Op::Transpose { .. } | Op::Slice { .. }, &[x])
                if self.once(x) =>
            {
                let value = self.value(x)?;
                let id = self.new.push(name, op.clone(), &[value.id])?;
                return Ok(Value { id, ..value });
            }
            (Op::ArgMax { .. }, &[x]) if self.once(x) => {
                let id = self.new.push(name, op.clone(), &[self.value(x)?.id])?;
                return Ok(Value { id, pending: None, non_negative: false });
            }
            (Op::Add, &[x, y]) if x != y => {
                if let Some(value) = self.add(i, name, x, y)? {
                    return Ok(value);
                }
            }
            _ => {}
        }
        let ids = inputs.iter().map(|x| self.done(x.index())).collect::<Result<Vec<_>>>()?;
        let keeps_sign = matches!(
            op,
            Op::MaxPool { .. }
                | Op::Reshape { .. }
                | Op::Concat { .. }
                | Op::Transpose { .. }
                | Op::Pad { .. }
                | Op::Slice { .. }
        );
        let mut non_negative =
            (whole && matches!(op, Op::Relu)) || (keeps_sign && !inputs.is_empty());
        for x in inputs.iter().filter(|_| keeps_sign) {
            non_negative &= self.value(*x)?.non_negative;
        }
        let id = self.new.push_narrow(name, op.clone(), *precision, &ids)?;
        Ok(Value { id, pending: None, non_negative })
    }

    /// The truncation that all parts of a Concat wait for, each read by it alone.
    fn common(&self, parts: &[TensorId]) -> Result<Option<(u32, usize)>> {
        let mut common = None;
        for x in parts {
            match (self.value(*x)?.pending.filter(|_| self.once(*x)), common) {
                (Some((shift, _)), Some((all, _))) if shift != all => return Ok(None),
                (None, _) => return Ok(None),
                (pending, None) => common = pending,
                _ => {}
            }
        }
        Ok(common)
    }

    /// A sum before its truncation, if that is cheaper.
    fn add(&mut self, i: usize, name: &str, x: TensorId, y: TensorId) -> Result<Option<Value>> {
        let (left, right) = (self.value(x)?, self.value(y)?);
        let pending = |id: TensorId, value: &Value| value.pending.filter(|_| self.once(id));
        let (id_x, id_y, pending) = match (pending(x, &left), pending(y, &right)) {
            (Some((a, origin)), Some((b, _))) if a == b => (left.id, right.id, (a, origin)),
            (Some((shift, origin)), None) if self.only_feeds_relu(i) => {
                let y = self.done(y.index())?;
                let scaled = self.new.push(name, Op::ScaleUp { shift }, &[y])?;
                (left.id, scaled, (shift, origin))
            }
            (None, Some((shift, origin))) if self.only_feeds_relu(i) => {
                let x = self.done(x.index())?;
                let scaled = self.new.push(name, Op::ScaleUp { shift }, &[x])?;
                (scaled, right.id, (shift, origin))
            }
            _ => return Ok(None),
        };
        let id = self.new.push(name, Op::Add, &[id_x, id_y])?;
        Ok(Some(Value { id, pending: Some(pending), non_negative: false }))
    }
}
