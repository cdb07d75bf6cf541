//! A compiled model: what both parties know, and what only the server has.
//!
//! The public part is one length-bounded blob whose SHA-256 digest the parties agree on before any
//! secret moves. It holds the architecture, the shapes, the domain, the scale, the bound of the
//! weights, the preprocessing and the class names, and no weight. The secret part is a table of
//! integers. Whoever holds a [`PublicProgram`] that came out of [`PublicProgram::from_blob`] or
//! [`PublicProgram::check`] may execute it: no instruction fails for its shapes.

#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod counts;
mod weights;

pub use counts::{Counts, Reading};
pub use weights::{WeightData, Weights};

use crate::domain::{bits, modulus};
use crate::llil::range::Ranges;
use crate::llil::{Context, Instruction, Liveness, Op, TensorInfo, WeightInfo, infer};
use crate::preprocess::Preprocess;
use crate::{Error, Result};
use sci_core::AnyDomain;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Version of the blob.
pub const VERSION: u32 = 3;

const MAGIC: &[u8; 8] = b"SCI\0prog";

/// What the client learns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum OutputForm {
    /// The index of the largest output.
    #[default]
    ArgMax,
    /// All outputs, in fixed point.
    Logits,
}

/// What a party accepts from a file or a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the public blob.
    pub max_blob_bytes: usize,
    /// Instructions and weight tensors.
    pub max_instructions: usize,
    /// Elements of one tensor.
    pub max_elements: usize,
    /// Elements alive at one time, of all tensors.
    pub max_live_elements: u64,
    /// Elements of all weights.
    pub max_weights: u64,
    /// Members of all windows of one pooling.
    pub max_window_members: u64,
}

impl Default for Limits {
    /// Generous for image classifiers: 2^28 elements, 2^29 alive, 2^30 weights, 2^29 members of windows.
    fn default() -> Self {
        Self {
            max_blob_bytes: 16 << 20,
            max_instructions: 1 << 16,
            max_elements: 1 << 28,
            max_live_elements: 1 << 29,
            max_weights: 1 << 30,
            max_window_members: 1 << 29,
        }
    }
}

/// The part that both parties know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicProgram {
    /// What the model is called.
    pub name: String,
    /// Where all integers live.
    #[serde(with = "crate::domain")]
    pub domain: AnyDomain,
    /// Bits after the binary point of inputs and weights.
    pub scale: u32,
    /// Every weight that is multiplied lies in -2^(b-1)..2^(b-1).
    pub weight_bits: u32,
    /// Instruction i defines tensor i.
    pub instructions: Vec<Instruction>,
    /// The server's tensors, by what is public about them.
    pub weights: Vec<WeightInfo>,
    /// What the client learns.
    pub output_form: OutputForm,
    /// How an input becomes a tensor, and what the classes are called.
    pub preprocess: Option<Preprocess>,
}

impl PublicProgram {
    /// The tensor that the client gives.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a program without one.
    pub fn input(&self) -> Result<&TensorInfo> {
        let first = self.instructions.first();
        let input = first.filter(|x| matches!(x.op, Op::Input { .. })).map(|x| &x.output);
        input.ok_or_else(|| Error::invalid("program", "an input as first instruction", "none"))
    }

    /// The tensor that the client gets.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an empty program.
    pub fn output(&self) -> Result<&TensorInfo> {
        let last = self.instructions.last().map(|x| &x.output);
        last.ok_or_else(|| Error::invalid("program", "at least one instruction", "none"))
    }

    /// What the classes are called; the index is the class. Empty if the model does not say.
    pub fn class_names(&self) -> &[String] {
        self.preprocess.as_ref().map_or(&[], |p| &p.classes)
    }

    /// Checks everything that executing it relies on.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::Overflow`] naming the instruction or field.
    pub fn check(&self, limits: &Limits) -> Result<()> {
        let count = |what: &str, max: usize, got: usize| {
            if got > max {
                return Err(Error::invalid(what, format_args!("at most {max}"), got));
            }
            Ok(())
        };
        count("instructions", limits.max_instructions, self.instructions.len())?;
        count("weights", limits.max_instructions, self.weights.len())?;
        if !(1..=bits(self.domain)).contains(&self.weight_bits) {
            let expected = format!("1..={}", bits(self.domain));
            return Err(Error::invalid("weight bits", expected, self.weight_bits));
        }
        self.check_weights(limits)?;
        let context = Context { domain: self.domain, weights: &self.weights };
        let last = self.instructions.len().saturating_sub(1);
        let mut ranges = Ranges::new(self.domain, self.weight_bits);
        for (i, instruction) in self.instructions.iter().enumerate() {
            let place = || format!("instruction {i} ({})", instruction.name);
            let inputs: Option<Vec<&TensorInfo>> = instruction
                .inputs
                .iter()
                .map(|id| self.instructions.get(id.index()).filter(|_| id.index() < i))
                .map(|x| x.map(|x| &x.output))
                .collect();
            let inputs = inputs.ok_or_else(|| {
                Error::invalid(place(), "inputs defined before", "another tensor number")
            })?;
            let inferred = infer(context, &instruction.op, &inputs).map_err(|e| e.at(&place()))?;
            if inferred != instruction.output {
                let (expected, got) = (inferred, &instruction.output);
                return Err(Error::invalid(
                    format!("{}: output", place()),
                    format_args!("{expected:?}"),
                    format_args!("{got:?}"),
                ));
            }
            ranges.push(instruction).map_err(|e| e.at(&place()))?;
            if let Op::MaxPool { geometry } | Op::AvgPool { geometry, .. } = &instruction.op
                && geometry.members_len() > limits.max_window_members
            {
                let max = limits.max_window_members;
                return Err(Error::invalid(
                    format!("{}: members of all windows", place()),
                    format_args!("at most {max}"),
                    geometry.members_len(),
                ));
            }
            count(&format!("{}: elements", place()), limits.max_elements, inferred.len())?;
            if matches!(instruction.op, Op::Input { .. }) != (i == 0) {
                return Err(Error::invalid(
                    place(),
                    "one input, at the start",
                    instruction.op.name(),
                ));
            }
            if matches!(instruction.op, Op::ArgMax { .. }) && i != last {
                return Err(Error::invalid(place(), "ArgMax only at the end", "one before it"));
            }
        }
        self.input()?;
        let ends = self.instructions.last().is_some_and(|x| matches!(x.op, Op::ArgMax { .. }));
        if ends != (self.output_form == OutputForm::ArgMax) {
            let expected = format!("what {:?} says", self.output_form);
            return Err(Error::invalid("last instruction", expected, "another"));
        }
        let peak = Liveness::of(&self.instructions).peak_elements();
        if peak > limits.max_live_elements {
            let max = limits.max_live_elements;
            return Err(Error::invalid("elements alive", format_args!("at most {max}"), peak));
        }
        match &self.preprocess {
            Some(preprocess) => preprocess.check().map_err(|e| e.at("preprocess")),
            None => Ok(()),
        }
    }

    fn check_weights(&self, limits: &Limits) -> Result<()> {
        let mut total = 0u64;
        for info in &self.weights {
            let n = sci_core::geometry::elements("weight", &info.shape)
                .map_err(|e| Error::from(e).at(&info.name))?;
            total = total.saturating_add(n as u64);
        }
        if total > limits.max_weights {
            let max = limits.max_weights;
            return Err(Error::invalid("weights in all", format_args!("at most {max}"), total));
        }
        Ok(())
    }

    /// The canonical bytes: version, then the fields in order.
    ///
    /// # Errors
    /// [`Error::Misuse`] if the encoder fails, which it does for no value of this type.
    pub fn to_blob(&self) -> Result<Vec<u8>> {
        postcard::to_allocvec(&(VERSION, self)).map_err(|e| Error::Misuse(e.to_string()))
    }

    /// Reads and checks what [`PublicProgram::to_blob`] wrote.
    ///
    /// # Errors
    /// [`Error::Invalid`] for anything but the canonical bytes of a program that passes
    /// [`PublicProgram::check`].
    pub fn from_blob(blob: &[u8], limits: &Limits) -> Result<Self> {
        if blob.len() > limits.max_blob_bytes {
            let expected = format!("at most {} bytes", limits.max_blob_bytes);
            return Err(Error::invalid("public program", expected, blob.len()));
        }
        let malformed = |got: String| Error::invalid("public program", "an encoded program", got);
        let (version, body) =
            postcard::take_from_bytes::<u32>(blob).map_err(|e| malformed(e.to_string()))?;
        if version != VERSION {
            return Err(Error::invalid(
                "public program",
                format_args!("version {VERSION}"),
                version,
            ));
        }
        let (program, rest) =
            postcard::take_from_bytes::<Self>(body).map_err(|e| malformed(e.to_string()))?;
        if !rest.is_empty() {
            return Err(malformed(format!("{} bytes too many", rest.len())));
        }
        if program.to_blob()? != blob {
            return Err(malformed("another encoding of the same program".into()));
        }
        program.check(limits)?;
        Ok(program)
    }

    /// SHA-256 of the blob.
    ///
    /// # Errors
    /// As [`PublicProgram::to_blob`].
    pub fn digest(&self) -> Result<[u8; 32]> {
        Ok(Sha256::digest(self.to_blob()?).into())
    }

    /// How many bits a weight of this role may have.
    pub fn bits_of(&self, info: &WeightInfo) -> u32 {
        match info.role {
            crate::llil::WeightRole::Factor => self.weight_bits,
            crate::llil::WeightRole::Addend => bits(self.domain),
        }
    }

    /// Multiplications by weights.
    pub fn macs(&self) -> u64 {
        let macs = |x: &Instruction| match &x.op {
            Op::Conv { geometry, .. } => geometry.macs(),
            Op::Linear { geometry, .. } => geometry.macs(),
            Op::MulWeight { .. } => x.output.len() as u64,
            _ => 0,
        };
        self.instructions.iter().map(macs).sum()
    }

    /// 2^l or n.
    pub fn modulus(&self) -> u128 {
        modulus(self.domain)
    }
}

/// Both parts: what the server loads.
#[derive(Debug)]
pub struct Program {
    /// What the client may see.
    pub public: PublicProgram,
    /// What it may not.
    pub weights: Weights,
}

impl Program {
    /// Checks both parts and that they fit.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::Overflow`] naming what does not.
    pub fn check(&self, limits: &Limits) -> Result<()> {
        self.public.check(limits)?;
        self.weights.check(&self.public)
    }

    /// One file: magic, length of the blob, blob, weight table.
    ///
    /// # Errors
    /// As [`PublicProgram::to_blob`].
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let blob = self.public.to_blob()?;
        let mut bytes = MAGIC.to_vec();
        bytes.extend((blob.len() as u64).to_le_bytes());
        bytes.extend(blob);
        self.weights.write(&mut bytes);
        Ok(bytes)
    }

    /// Whether a file claims to be one of these.
    pub fn recognise(bytes: &[u8]) -> bool {
        bytes.starts_with(MAGIC)
    }

    /// Reads and checks what [`Program::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`Error::Invalid`] for any other file.
    pub fn from_bytes(bytes: &[u8], limits: &Limits) -> Result<Self> {
        let malformed = |got: &str| Error::invalid("program file", "a compiled program", got);
        let rest = bytes.strip_prefix(MAGIC).ok_or_else(|| malformed("another kind of file"))?;
        let (len, rest) = rest.split_first_chunk().ok_or_else(|| malformed("a truncated file"))?;
        let len = usize::try_from(u64::from_le_bytes(*len)).unwrap_or(usize::MAX);
        let (blob, table) =
            rest.split_at_checked(len).ok_or_else(|| malformed("a truncated file"))?;
        let public = PublicProgram::from_blob(blob, limits)?;
        let weights = Weights::read(table, &public)?;
        Ok(Self { public, weights })
    }
}
