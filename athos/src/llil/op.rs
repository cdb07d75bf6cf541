//! Operations, tensors and weights.

use crate::{Error, Result};
use sci_core::geometry::{ConvGeometry, LinearGeometry, PoolGeometry};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A tensor, by the number of the instruction that defines it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TensorId(pub u32);

impl TensorId {
    /// The instruction that defines it.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for TensorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{}", self.0)
    }
}

/// A tensor that only the server has, by its place in the weight table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct WeightId(pub u32);

impl WeightId {
    /// Place in the weight table.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for WeightId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "w{}", self.0)
    }
}

/// What is certain of every element before a truncation or a division.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Sign {
    /// Nothing.
    Unknown,
    /// The signed view is at least 0: a cheaper protocol.
    NonNegative,
}

/// How many low bits an operation looks at when it reads a sign, compares or truncates.
///
/// `Bits(k)` over Z_2^l reads x̂ as the signed view of x mod 2^k. For |x̂| < 2^(k-1) that is the same
/// number; beyond, the operation is still the function that this says, for every backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Precision {
    /// All of the domain.
    #[default]
    Full,
    /// That many, at least 1 and fewer than l; of Z_2^l alone.
    Bits(u32),
}

/// What a weight is used for, which decides how many bits it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum WeightRole {
    /// It is multiplied with secrets: within the program's `weight_bits`.
    Factor,
    /// It is added (a bias): within the domain.
    Addend,
}

/// What both parties know of a weight tensor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WeightInfo {
    /// Where it comes from in the model.
    pub name: String,
    /// Its axes.
    pub shape: Vec<usize>,
    /// Bits after the binary point.
    pub scale: u32,
    /// Factor or addend.
    pub role: WeightRole,
}

/// What both parties know of a tensor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TensorInfo {
    /// Its axes.
    pub shape: Vec<usize>,
    /// Bits after the binary point.
    pub scale: u32,
}

impl TensorInfo {
    /// Number of elements. Checked programs keep it below [`sci_core::geometry::MAX_ELEMENTS`].
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there are none (in no checked program).
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// An operation. All arithmetic wraps in the domain; x̂ is the signed view of x, or what the
/// [`Precision`] of the instruction leaves of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    /// The client's input.
    Input {
        /// Its axes.
        shape: Vec<usize>,
        /// Its scale.
        scale: u32,
    },
    /// Cross-correlation with the server's filters plus a bias for each output channel.
    Conv {
        /// Filters `[C_o, C_i/g, kernel]`.
        weight: WeightId,
        /// `[C_o]`, at the scale of the output.
        bias: Option<WeightId>,
        /// Shapes.
        geometry: ConvGeometry,
    },
    /// x·W^T plus a bias for each column, over the last axis.
    Linear {
        /// `[outer, inner]`.
        weight: WeightId,
        /// `[outer]`, at the scale of the output.
        bias: Option<WeightId>,
        /// Shapes.
        geometry: LinearGeometry,
    },
    /// x + y.
    Add,
    /// x - y.
    Sub,
    /// x·2^shift; the scale grows by as much.
    ScaleUp {
        /// 1..=62.
        shift: u32,
    },
    /// x·factor; the scale grows by that of the factor.
    MulPublic {
        /// A public integer.
        factor: i64,
        /// Its bits after the binary point.
        scale: u32,
    },
    /// x + w, w repeated along the axes where it has length 1.
    AddWeight {
        /// Of the same rank as x.
        weight: WeightId,
    },
    /// x·w, w repeated along the axes where it has length 1; the scales add up.
    MulWeight {
        /// Of the same rank as x.
        weight: WeightId,
    },
    /// x if x̂ >= 0, else 0.
    Relu,
    /// The maximum of every window by max(x, y) = y + ReLU(x - y), neighbours left to right in a
    /// tree, an odd last element carried up; padding takes no part.
    MaxPool {
        /// Windows.
        geometry: PoolGeometry,
    },
    /// The sum of every window (it wraps), then floor(ŝ / (d·2^shift)), ŝ the signed view of the sum and d
    /// the window's divisor; the scale shrinks by the shift. In fewer bits than is certain of the sums
    /// only where [`divides_by_shifting`] allows it.
    AvgPool {
        /// Windows and divisors.
        geometry: PoolGeometry,
        /// By how many bits the average is truncated on top; 0 for the average alone.
        shift: u32,
        /// What is certain of the sums.
        sign: Sign,
    },
    /// floor(x̂ / 2^shift); the scale shrinks by as much.
    Truncate {
        /// At least 1.
        shift: u32,
        /// What is known of x̂.
        sign: Sign,
    },
    /// The same elements with other axes.
    Reshape {
        /// The new axes.
        shape: Vec<usize>,
    },
    /// Inputs one after another along an axis.
    Concat {
        /// Which.
        axis: usize,
    },
    /// Output axis i is input axis `permutation[i]`.
    Transpose {
        /// A permutation of the axes.
        permutation: Vec<usize>,
    },
    /// Zeros before and after every axis.
    Pad {
        /// How many before.
        before: Vec<usize>,
        /// How many after.
        after: Vec<usize>,
    },
    /// Every `step`-th element from `start`, `shape` many, along every axis.
    Slice {
        /// First.
        start: Vec<usize>,
        /// Distance, at least 1.
        step: Vec<usize>,
        /// How many.
        shape: Vec<usize>,
    },
    /// The index (representative in 0..n, scale 0) of the maximum along an axis, which disappears. By
    /// pairs (x, i), (y, j): the left one if the signed view of x - y is at least 0, with the value
    /// y + ReLU(x - y); neighbours left to right in a tree, an odd last element carried up. Only as
    /// the last instruction.
    ArgMax {
        /// Which.
        axis: usize,
    },
}

impl Op {
    /// A short name for statistics and prints.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Input { .. } => "Input",
            Self::Conv { .. } => "Conv",
            Self::Linear { .. } => "Linear",
            Self::Add => "Add",
            Self::Sub => "Sub",
            Self::ScaleUp { .. } => "ScaleUp",
            Self::MulPublic { .. } => "MulPublic",
            Self::AddWeight { .. } => "AddWeight",
            Self::MulWeight { .. } => "MulWeight",
            Self::Relu => "Relu",
            Self::MaxPool { .. } => "MaxPool",
            Self::AvgPool { .. } => "AvgPool",
            Self::Truncate { .. } => "Truncate",
            Self::Reshape { .. } => "Reshape",
            Self::Concat { .. } => "Concat",
            Self::Transpose { .. } => "Transpose",
            Self::Pad { .. } => "Pad",
            Self::Slice { .. } => "Slice",
            Self::ArgMax { .. } => "ArgMax",
        }
    }
}

/// One step of a program; the i-th defines tensor i.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instruction {
    /// The layer it belongs to, after the model's node.
    pub name: String,
    /// What it does.
    pub op: Op,
    /// What it reads.
    pub inputs: Vec<TensorId>,
    /// How many bits it looks at: of the input of a ReLU or a truncation, of the differences of a
    /// MaxPool or an ArgMax, of the sums of an AvgPool, where it has to be certain that they suffice unless
    /// [`divides_by_shifting`] holds.
    pub precision: Precision,
    /// What it defines.
    pub output: TensorInfo,
}

/// Whether an AvgPool over Z_2^l divides every sum by a power of two that is not 1. This is a truncation,
/// which any number of low bits defines; other quotients are those of numbers known to fit their bits.
pub fn divides_by_shifting(geometry: &PoolGeometry, shift: u32) -> bool {
    let divided = shift > 0 || geometry.uniform_divisor().is_some_and(|d| d > 1);
    divided && geometry.divides_by_powers_of_two()
}

/// One axis of a tensor seen as `[outer, len, inner]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AxisGeometry {
    /// Product of the axes before.
    pub outer: usize,
    /// Length of the axis.
    pub len: usize,
    /// Product of the axes after: the distance between neighbours along the axis.
    pub inner: usize,
}

impl AxisGeometry {
    /// Splits a shape at an axis.
    ///
    /// # Errors
    /// [`Error::Invalid`] if there is no such axis.
    pub fn new(shape: &[usize], axis: usize) -> Result<Self> {
        let (before, rest) = shape.split_at_checked(axis).unwrap_or((shape, &[]));
        let [len, after @ ..] = rest else {
            let expected = format!("below {}", shape.len());
            return Err(Error::invalid("axis", expected, axis));
        };
        Ok(Self { outer: before.iter().product(), len: *len, inner: after.iter().product() })
    }
}

/// How a weight tensor is repeated over a tensor of the same rank: along the axes where it has
/// length 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broadcast {
    shape: Vec<usize>,
    strides: Vec<usize>,
    weight_len: usize,
}

impl Broadcast {
    /// # Errors
    /// [`Error::Invalid`] if the shapes do not fit.
    pub fn new(shape: &[usize], weight: &[usize]) -> Result<Self> {
        let fits = shape.len() == weight.len()
            && shape.iter().zip(weight).all(|(&n, &w)| w == n || w == 1);
        if !fits {
            let expected = format!("an axis of 1 or that of {shape:?} everywhere");
            return Err(Error::invalid("broadcast", expected, format_args!("{weight:?}")));
        }
        let mut strides = vec![0; weight.len()];
        let mut stride = 1;
        for (s, &axis) in strides.iter_mut().zip(weight).rev() {
            *s = if axis == 1 { 0 } else { stride };
            stride *= axis;
        }
        Ok(Self { shape: shape.to_vec(), strides, weight_len: stride })
    }

    /// Elements of the tensor.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Elements of the weight tensor.
    pub fn weight_len(&self) -> usize {
        self.weight_len
    }

    /// The weight for every element of the tensor.
    ///
    /// # Errors
    /// [`Error::Misuse`] if `weight` has another length.
    pub fn expand<T: Copy>(&self, weight: &[T]) -> Result<Vec<T>> {
        if weight.len() != self.weight_len {
            return Err(Error::Misuse(format!("{} weights for {self:?}", weight.len())));
        }
        let offset = super::rearrange::offsets(&self.shape, &self.strides, 0);
        Ok(offset.filter_map(|i| weight.get(i).copied()).collect())
    }
}
