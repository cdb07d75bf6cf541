//! Appending instructions with their types inferred.

use super::{
    Context, Instruction, Op, Precision, TensorId, TensorInfo, WeightId, WeightInfo, infer,
};
use crate::{Error, Result};
use sci_core::AnyDomain;

/// A program in the making.
#[derive(Clone, Debug)]
pub struct Builder {
    domain: AnyDomain,
    instructions: Vec<Instruction>,
    weights: Vec<WeightInfo>,
}

impl Builder {
    /// An empty program over a domain, with these weights declared.
    pub fn new(domain: AnyDomain, weights: Vec<WeightInfo>) -> Self {
        Self { domain, instructions: Vec::new(), weights }
    }

    /// Appends an operation.
    ///
    /// # Errors
    /// Those of [`infer`], with the name in front.
    pub fn push(&mut self, name: &str, op: Op, inputs: &[TensorId]) -> Result<TensorId> {
        self.push_narrow(name, op, Precision::Full, inputs)
    }

    /// Appends an operation that looks at some bits only.
    ///
    /// # Errors
    /// Those of [`infer`], with the name in front.
    pub fn push_narrow(
        &mut self,
        name: &str,
        op: Op,
        precision: Precision,
        inputs: &[TensorId],
    ) -> Result<TensorId> {
        let infos = inputs.iter().map(|id| self.info(*id)).collect::<Result<Vec<_>>>()?;
        let context = Context { domain: self.domain, weights: &self.weights };
        let output = infer(context, &op, &infos).map_err(|e| e.at(name))?;
        let id = TensorId(u32::try_from(self.instructions.len()).map_err(|_| {
            Error::invalid("program", "fewer instructions", self.instructions.len())
        })?);
        let inputs = inputs.to_vec();
        let name = name.to_owned();
        self.instructions.push(Instruction { name, op, inputs, precision, output });
        Ok(id)
    }

    /// Declares a weight.
    ///
    /// # Errors
    /// [`Error::Invalid`] for more than 2^32.
    pub fn declare(&mut self, info: WeightInfo) -> Result<WeightId> {
        let id = u32::try_from(self.weights.len())
            .map_err(|_| Error::invalid("program", "fewer weights", self.weights.len()))?;
        self.weights.push(info);
        Ok(WeightId(id))
    }

    /// Where the integers live.
    pub fn domain(&self) -> AnyDomain {
        self.domain
    }

    /// What is known of a tensor.
    ///
    /// # Errors
    /// [`Error::Misuse`] if it is not defined.
    pub fn info(&self, id: TensorId) -> Result<&TensorInfo> {
        let instruction = self.instructions.get(id.index());
        instruction.map(|x| &x.output).ok_or_else(|| Error::Misuse(format!("no tensor {id}")))
    }

    /// The instructions so far.
    pub fn instructions(&self) -> &[Instruction] {
        &self.instructions
    }

    /// The declared weights.
    pub fn weights(&self) -> &[WeightInfo] {
        &self.weights
    }

    /// Instructions and declared weights.
    pub fn finish(self) -> (Vec<Instruction>, Vec<WeightInfo>) {
        (self.instructions, self.weights)
    }
}
