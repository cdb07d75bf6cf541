//! The readable form of a program. It shows nothing that the public part does not hold.

use super::{Instruction, Op, Precision, Sign, WeightRole};
use crate::program::PublicProgram;
use crate::text::Name;
use sci_core::geometry::{PoolGeometry, Window};
use std::fmt;

impl fmt::Display for PublicProgram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, domain, scale, weight_bits, .. } = self;
        let name = Name(name);
        writeln!(f, "program {name} over {domain}, scale {scale}, weights {weight_bits} bits")?;
        for (i, info) in self.weights.iter().enumerate() {
            let (bits, shape) = (self.bits_of(info), Shape(&info.shape));
            let role = match info.role {
                WeightRole::Factor => "factor",
                WeightRole::Addend => "addend",
            };
            writeln!(f, "w{i}: {role} {shape} i{bits} @{}  ; {}", info.scale, Name(&info.name))?;
        }
        for (i, instruction) in self.instructions.iter().enumerate() {
            writeln!(f, "%{i} = {instruction}")?;
        }
        writeln!(f, "output {:?}", self.output_form)
    }
}

/// Axes as `1x3x8x8`.
pub(crate) struct Shape<'a>(pub(crate) &'a [usize]);

impl fmt::Display for Shape<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("scalar");
        }
        for (i, n) in self.0.iter().enumerate() {
            write!(f, "{}{n}", if i == 0 { "" } else { "x" })?;
        }
        Ok(())
    }
}

/// Only what is not the default.
pub(crate) struct ShowWindow<'a>(pub(crate) &'a Window);

impl fmt::Display for ShowWindow<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Window { kernel, stride, dilation, pad_before, pad_after } = self.0;
        write!(f, "kernel {}", Shape(kernel))?;
        if *stride != [1; 3] {
            write!(f, " stride {}", Shape(stride))?;
        }
        if *dilation != [1; 3] {
            write!(f, " dilation {}", Shape(dilation))?;
        }
        if *pad_before != [0; 3] || *pad_after != [0; 3] {
            write!(f, " pad {}..{}", Shape(pad_before), Shape(pad_after))?;
        }
        Ok(())
    }
}

/// A window and what an average divides by.
pub(crate) struct ShowPool<'a>(pub(crate) &'a PoolGeometry);

impl fmt::Display for ShowPool<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counting = self.0.spec().count_include_pad;
        let counting = if counting { " counting padding" } else { "" };
        write!(f, "{}{counting}", ShowWindow(self.0.window()))
    }
}

impl fmt::Display for Instruction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.op.name())?;
        for (i, x) in self.inputs.iter().enumerate() {
            write!(f, "{}{x}", if i == 0 { " " } else { ", " })?;
        }
        let bias = |f: &mut fmt::Formatter<'_>, bias: &Option<super::WeightId>| match bias {
            Some(bias) => write!(f, " + {bias}"),
            None => Ok(()),
        };
        match &self.op {
            Op::Conv { weight, bias: b, geometry } => {
                write!(f, " * {weight}")?;
                bias(f, b)?;
                write!(f, " {}", ShowWindow(geometry.window()))?;
                if geometry.groups() != 1 {
                    write!(f, " groups {}", geometry.groups())?;
                }
            }
            Op::Linear { weight, bias: b, .. } => {
                write!(f, " * {weight}")?;
                bias(f, b)?;
            }
            Op::AddWeight { weight } => write!(f, " + {weight}")?,
            Op::MulWeight { weight } => write!(f, " * {weight}")?,
            Op::ScaleUp { shift } => write!(f, " by {shift}")?,
            Op::MulPublic { factor, scale } => write!(f, " by {factor} @{scale}")?,
            Op::Truncate { shift, sign: Sign::Unknown } => write!(f, " by {shift}")?,
            Op::Truncate { shift, sign: Sign::NonNegative } => write!(f, " by {shift}, x >= 0")?,
            Op::MaxPool { geometry } => write!(f, " {}", ShowPool(geometry))?,
            Op::AvgPool { geometry, shift, sign } => {
                write!(f, " {}", ShowPool(geometry))?;
                if *shift > 0 {
                    write!(f, " by {shift}")?;
                }
                if *sign == Sign::NonNegative {
                    write!(f, ", x >= 0")?;
                }
            }
            Op::Concat { axis } | Op::ArgMax { axis } => write!(f, " axis {axis}")?,
            Op::Transpose { permutation } => write!(f, " {permutation:?}")?,
            Op::Pad { before, after } => write!(f, " {before:?}..{after:?}")?,
            Op::Slice { start, step, .. } => write!(f, " from {start:?} by {step:?}")?,
            Op::Input { .. } | Op::Add | Op::Sub | Op::Relu | Op::Reshape { .. } => {}
        }
        if let Precision::Bits(bits) = self.precision {
            write!(f, " in {bits} bits")?;
        }
        write!(f, " : {} @{}", Shape(&self.output.shape), self.output.scale)?;
        write!(f, "  ; {}", Name(&self.name))
    }
}
