//! The readable form of a float graph: shapes, never values.

use super::{Graph, Op};
use crate::llil::{Shape, ShowPool, ShowWindow};
use crate::text::Name;
use std::fmt;

impl fmt::Display for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, node) in self.nodes.iter().enumerate() {
            write!(f, "%{i} = {}", node.op.name())?;
            for (k, x) in node.inputs.iter().enumerate() {
                write!(f, "{}%{}", if k == 0 { " " } else { ", " }, x.0)?;
            }
            match &node.op {
                Op::Conv { geometry } => {
                    write!(f, " {}", ShowWindow(geometry.window()))?;
                    if geometry.groups() != 1 {
                        write!(f, " groups {}", geometry.groups())?;
                    }
                }
                Op::MulPublic { factor } => write!(f, " by {factor}")?,
                Op::BatchNorm { epsilon } => write!(f, " epsilon {epsilon}")?,
                Op::MaxPool { geometry } | Op::AvgPool { geometry } => {
                    write!(f, " {}", ShowPool(geometry))?;
                }
                Op::Concat { axis }
                | Op::Softmax { axis }
                | Op::LogSoftmax { axis }
                | Op::ArgMax { axis } => write!(f, " axis {axis}")?,
                Op::Transpose { permutation } => write!(f, " {permutation:?}")?,
                Op::Pad { before, after } => write!(f, " {before:?}..{after:?}")?,
                Op::Slice { start, step, .. } => write!(f, " from {start:?} by {step:?}")?,
                Op::Input { .. }
                | Op::Constant(_)
                | Op::Linear { .. }
                | Op::Add
                | Op::Sub
                | Op::Mul
                | Op::Relu
                | Op::Reshape { .. } => {}
            }
            writeln!(f, " : {}  ; {}", Shape(&node.shape), Name(&node.name))?;
        }
        match self.output {
            Some(output) => writeln!(f, "output %{}", output.0),
            None => Ok(()),
        }
    }
}
