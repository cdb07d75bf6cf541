//! The server's integers.

use super::PublicProgram;
use crate::domain::signed_range;
use crate::llil::{WeightId, WeightInfo, WeightRole};
use crate::{Error, Result};
use sci_core::Domain;
use std::fmt;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// One tensor in the narrowest of four widths that its declared bound allows.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub enum WeightData {
    /// Up to 8 bits.
    I8(Vec<i8>),
    /// Up to 16 bits.
    I16(Vec<i16>),
    /// Up to 32 bits.
    I32(Vec<i32>),
    /// Up to 64 bits.
    I64(Vec<i64>),
}

/// Runs an expression on the vector of whatever width.
macro_rules! each_width {
    ($data:expr, $values:ident => $body:expr) => {
        match $data {
            WeightData::I8($values) => $body,
            WeightData::I16($values) => $body,
            WeightData::I32($values) => $body,
            WeightData::I64($values) => $body,
        }
    };
}

fn widened<T: Copy + Into<i64>>(values: &[T]) -> impl Iterator<Item = i64> {
    values.iter().map(|&v| v.into())
}

impl WeightData {
    /// Stores integers of at most `bits` bits.
    ///
    /// # Errors
    /// [`Error::Overflow`] naming `name` if one does not fit, without telling which value.
    pub fn new(name: &str, values: &[i64], bits: u32) -> Result<Self> {
        let overflow = |_| Error::Overflow {
            tensor: name.to_owned(),
            what: format!("a weight needs more than the declared {bits} bits"),
            bitwidth: None,
        };
        let half = 1i128 << (bits.clamp(1, 64) - 1);
        if values.iter().any(|&v| !(-half..half).contains(&i128::from(v))) {
            return Err(overflow(()));
        }
        Ok(match bits {
            0..=8 => Self::I8(values.iter().map(|&v| v as i8).collect()),
            9..=16 => Self::I16(values.iter().map(|&v| v as i16).collect()),
            17..=32 => Self::I32(values.iter().map(|&v| v as i32).collect()),
            _ => Self::I64(values.to_vec()),
        })
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        each_width!(self, values => values.len())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bits of the storage type.
    pub fn storage_bits(&self) -> u32 {
        match self {
            Self::I8(_) => 8,
            Self::I16(_) => 16,
            Self::I32(_) => 32,
            Self::I64(_) => 64,
        }
    }

    /// The integers. The caller zeroizes them.
    pub fn to_signed(&self) -> Vec<i64> {
        each_width!(self, values => widened(values).collect())
    }

    /// Their representatives in a domain. The caller zeroizes them.
    pub fn to_domain<D: Domain>(&self, domain: D) -> Vec<u64> {
        each_width!(self, values => widened(values).map(|v| domain.from_signed(v)).collect())
    }

    fn write(&self, out: &mut Vec<u8>) {
        each_width!(self, values => out.extend(values.iter().flat_map(|v| v.to_le_bytes())));
    }

    fn read(bytes: &[u8], bits: u32) -> Self {
        macro_rules! read {
            ($kind:ident, $t:ty) => {
                Self::$kind(
                    bytes.as_chunks().0.iter().map(|raw| <$t>::from_le_bytes(*raw)).collect(),
                )
            };
        }
        match bits {
            0..=8 => read!(I8, i8),
            9..=16 => read!(I16, i16),
            17..=32 => read!(I32, i32),
            _ => read!(I64, i64),
        }
    }
}

impl fmt::Debug for WeightData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} weights of up to {} bits", self.len(), self.storage_bits())
    }
}

fn storage_bytes(bits: u32) -> usize {
    match bits {
        0..=8 => 1,
        9..=16 => 2,
        17..=32 => 4,
        _ => 8,
    }
}

/// The weight table: place i holds the tensor that the public part declares at place i.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Weights {
    tensors: Vec<WeightData>,
}

impl Weights {
    /// From tensors in the order of their ids.
    pub fn new(tensors: Vec<WeightData>) -> Self {
        Self { tensors }
    }

    /// A tensor.
    ///
    /// # Errors
    /// [`Error::Misuse`] if there is none of that id.
    pub fn get(&self, id: WeightId) -> Result<&WeightData> {
        self.tensors.get(id.index()).ok_or_else(|| Error::Misuse(format!("no weight {id}")))
    }

    /// Number of tensors.
    pub fn len(&self) -> usize {
        self.tensors.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.tensors.is_empty()
    }

    /// Checks number, lengths and bounds against what is declared.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::Overflow`] naming the weight.
    pub fn check(&self, public: &PublicProgram) -> Result<()> {
        let (expected, got) = (public.weights.len(), self.tensors.len());
        if expected != got {
            return Err(Error::invalid("weight table", format_args!("{expected} tensors"), got));
        }
        for (info, data) in public.weights.iter().zip(&self.tensors) {
            let len: usize = info.shape.iter().product();
            if data.len() != len {
                let expected = format!("{len} values");
                return Err(Error::invalid(info.name.clone(), expected, data.len()));
            }
            let (low, high) = bounds(public, info);
            let fits = |v: i64| (low..=high).contains(&i128::from(v));
            if !each_width!(data, values => widened(values).all(fits)) {
                return Err(Error::Overflow {
                    tensor: info.name.clone(),
                    what: format!("a weight needs more than {} bits", public.bits_of(info)),
                    bitwidth: None,
                });
            }
        }
        Ok(())
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        for tensor in &self.tensors {
            tensor.write(out);
        }
    }

    /// The table as bytes: little-endian integers, each tensor in the width of its bound.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    /// Reads and checks a table for a checked program.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::Overflow`] if it is not one for this program.
    pub fn read(bytes: &[u8], public: &PublicProgram) -> Result<Self> {
        let mut rest = bytes;
        let mut tensors = Vec::with_capacity(public.weights.len());
        for info in &public.weights {
            let bits = public.bits_of(info);
            let wanted =
                info.shape.iter().try_fold(storage_bytes(bits), |n, &axis| n.checked_mul(axis));
            let (raw, tail) = wanted.and_then(|n| rest.split_at_checked(n)).ok_or_else(|| {
                Error::invalid("weight table", format_args!("the bytes of {}", info.name), "fewer")
            })?;
            tensors.push(WeightData::read(raw, bits));
            rest = tail;
        }
        if !rest.is_empty() {
            let got = format!("{} bytes too many", rest.len());
            return Err(Error::invalid("weight table", "the declared tensors", got));
        }
        let weights = Self { tensors };
        weights.check(public)?;
        Ok(weights)
    }
}

fn bounds(public: &PublicProgram, info: &WeightInfo) -> (i128, i128) {
    match info.role {
        WeightRole::Factor => {
            let half = 1i128 << (public.weight_bits.clamp(1, 64) - 1);
            (-half, half - 1)
        }
        WeightRole::Addend => signed_range(public.domain),
    }
}
