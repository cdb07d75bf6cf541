//! Random small float networks of everything that readers make.

use super::Numbers;
use crate::hlil::compose::{self, Border, Reduction, TransposedConv};
use crate::hlil::{Graph, Op, Tensor, ValueId};
use crate::{Error, Result};
use sci_core::geometry::{ConvGeometry, ConvSpec, LinearGeometry, PoolSpec, Window, spatial};

/// The most elements of any value.
const MAX_ELEMENTS: usize = 300;

struct Networks {
    numbers: Numbers,
    graph: Graph,
}

/// A network with one to three spatial axes, convolutional at first, perhaps with a product at the end.
///
/// # Errors
/// [`Error::Misuse`] if the generator made something ill-typed: a defect.
pub fn random_network(seed: u64) -> Result<Graph> {
    let mut networks = Networks { numbers: Numbers::new(seed ^ 0xca11), graph: Graph::default() };
    networks.generate().map_err(|e| Error::Misuse(format!("network {seed}: {e}")))?;
    Ok(networks.graph)
}

impl Networks {
    fn generate(&mut self) -> Result<()> {
        let n = &mut self.numbers;
        let axes = n.within(1, 3);
        let longest = [6, 5, 3][axes - 1];
        let mut shape = vec![n.within(1, 2), n.within(1, 3)];
        shape.extend((0..axes).map(|_| n.within(2, longest)));
        let mut last = self.graph.push("x", Op::Input { shape }, &[])?;
        let wanted = self.numbers.within(2, 4);
        let (mut done, mut tries) = (0, 0);
        while done < wanted && tries < 60 {
            tries += 1;
            let before = self.graph.clone();
            match self.layer(last) {
                Ok(id) if self.shape(id)?.iter().product::<usize>() <= MAX_ELEMENTS => {
                    last = id;
                    done += 1;
                }
                _ => self.graph = before,
            }
        }
        if self.numbers.within(0, 1) == 0 {
            last = self.linear(last)?;
        }
        self.graph.set_output(last);
        self.graph.check()
    }

    fn shape(&self, id: ValueId) -> Result<Vec<usize>> {
        Ok(self.graph.node(id)?.shape.clone())
    }

    /// A number in -2..2.
    fn number(&mut self) -> f32 {
        self.numbers.within(0, 4000) as f32 / 1000.0 - 2.0
    }

    fn tensor(&mut self, shape: Vec<usize>) -> Result<Tensor> {
        let len = shape.iter().product();
        Tensor::new(shape, (0..len).map(|_| self.number()).collect())
    }

    fn constant(&mut self, shape: Vec<usize>) -> Result<ValueId> {
        let tensor = self.tensor(shape)?;
        self.graph.push("w", Op::Constant(tensor), &[])
    }

    /// A constant that is repeated along some axes.
    fn repeated(&mut self, x: ValueId) -> Result<ValueId> {
        let mut shape = self.shape(x)?;
        for n in &mut shape {
            *n = if self.numbers.within(0, 1) == 0 { 1 } else { *n };
        }
        self.constant(shape)
    }

    fn list(&mut self, len: usize, low: usize, high: usize) -> Vec<usize> {
        (0..len).map(|_| self.numbers.within(low, high)).collect()
    }

    /// Something that may be applicable.
    fn layer(&mut self, x: ValueId) -> Result<ValueId> {
        match self.numbers.within(0, 17) {
            0..=2 => self.conv(x),
            3 | 4 => self.transposed(x),
            5 => self.batch_norm(x),
            6 => {
                let slope = self.number();
                compose::leaky_relu(&mut self.graph, "leaky", x, slope)
            }
            7 => {
                let slopes = self.repeated(x)?;
                compose::p_relu(&mut self.graph, "prelu", x, slopes)
            }
            8 => {
                let low = Some(self.number()).filter(|v| *v < 0.0);
                compose::clip(&mut self.graph, "clip", x, low.or(Some(0.0)), Some(2.5))
            }
            9 => {
                let y = self.repeated(x)?;
                let least = self.numbers.within(0, 1) == 0;
                let join = if least { compose::minimum } else { compose::maximum };
                join(&mut self.graph, "extremum", x, y)
            }
            10 => compose::absolute(&mut self.graph, "abs", x),
            11 => self.graph.push("relu", Op::Relu, &[x]),
            12 => self.product(x),
            13 => self.residual(x),
            14 => self.pool(x),
            15 => self.reduce(x),
            16 => self.pad(x),
            _ => self.pick(x),
        }
    }

    fn conv(&mut self, x: ValueId) -> Result<ValueId> {
        let shape = self.shape(x)?;
        let [batch, channels, axes @ ..] = shape.as_slice() else { return Err(unfit()) };
        let n = axes.len();
        let groups = if self.numbers.within(0, 1) == 0 { *channels } else { 1 };
        let out_channels = groups * self.numbers.within(1, 2);
        let kernel = self.list(n, 1, 3);
        let window = Window::new(spatial("kernel", &kernel, 1)?)
            .with_stride(spatial("stride", &self.list(n, 1, 2), 1)?)
            .with_dilation(spatial("dilation", &self.list(n, 1, 2), 1)?)
            .with_pads(
                spatial("pads", &self.list(n, 0, 2), 0)?,
                spatial("pads", &self.list(n, 0, 2), 0)?,
            );
        let geometry = ConvGeometry::new(ConvSpec {
            batch: *batch,
            in_channels: *channels,
            out_channels,
            groups,
            input: spatial("input", axes, 1)?,
            window,
        })?;
        let filters = [&[out_channels, channels / groups], kernel.as_slice()].concat();
        let mut inputs = vec![x, self.constant(filters)?];
        if self.numbers.within(0, 1) == 0 {
            inputs.push(self.constant(vec![out_channels])?);
        }
        self.graph.push("conv", Op::Conv { geometry }, &inputs)
    }

    fn transposed(&mut self, x: ValueId) -> Result<ValueId> {
        let shape = self.shape(x)?;
        let [_, channels, axes @ ..] = shape.as_slice() else { return Err(unfit()) };
        let groups = if self.numbers.within(0, 1) == 0 { *channels } else { 1 };
        let n = axes.len();
        let (kernel, stride) = (self.list(n, 1, 3), self.list(n, 1, 3));
        let (dilation, cut) = (self.list(n, 1, 2), self.list(n, 0, 1));
        let lengths = axes.iter().zip(&kernel).zip(stride.iter().zip(&dilation).zip(&cut));
        let output = lengths
            .map(|((n, k), ((s, d), cut))| ((n - 1) * s + (k - 1) * d + 1).saturating_sub(*cut));
        let spec = TransposedConv {
            groups,
            output: output.collect(),
            stride: stride.clone(),
            dilation: dilation.clone(),
            pad_before: cut.clone(),
        };
        let filters = [&[*channels, self.numbers.within(1, 2)], kernel.as_slice()].concat();
        let group_out = filters.get(1).copied().unwrap_or(1);
        let weights = self.tensor(filters)?;
        let bias = self.tensor(vec![group_out * groups])?;
        let bias = Some(("b", &bias)).filter(|_| self.numbers.within(0, 1) == 0);
        compose::conv_transpose(&mut self.graph, "up", x, ("w", &weights), bias, &spec)
    }

    fn batch_norm(&mut self, x: ValueId) -> Result<ValueId> {
        let channels = self.shape(x)?.get(1).copied().ok_or_else(unfit)?;
        let mut inputs = vec![x];
        for _ in 0..3 {
            inputs.push(self.constant(vec![channels])?);
        }
        let variance = self.tensor(vec![channels])?.map(|v| v.abs() + 0.5);
        inputs.push(self.graph.push("variance", Op::Constant(variance), &[])?);
        self.graph.push("norm", Op::BatchNorm { epsilon: 0.25 }, &inputs)
    }

    /// A product or sum with a constant.
    fn product(&mut self, x: ValueId) -> Result<ValueId> {
        let y = self.repeated(x)?;
        let op = match self.numbers.within(0, 2) {
            0 => Op::Mul,
            1 => Op::Add,
            _ => Op::Sub,
        };
        self.graph.push("constant", op, &[x, y])
    }

    /// A sum or difference with an earlier value of the same shape.
    fn residual(&mut self, x: ValueId) -> Result<ValueId> {
        let shape = self.shape(x)?;
        let fits = |i: &usize| {
            let node = self.graph.nodes().get(*i);
            node.is_some_and(|y| y.shape == shape && !matches!(y.op, Op::Constant(_)))
        };
        let other = (0..x.index()).rev().find(fits).map_or(x, ValueId);
        let op = if self.numbers.within(0, 1) == 0 { Op::Add } else { Op::Sub };
        self.graph.push("residual", op, &[x, other])
    }

    fn pool(&mut self, x: ValueId) -> Result<ValueId> {
        let shape = self.shape(x)?;
        let [batch, channels, axes @ ..] = shape.as_slice() else { return Err(unfit()) };
        let n = axes.len();
        let window = Window::new(spatial("kernel", &self.list(n, 1, 3), 1)?)
            .with_stride(spatial("stride", &self.list(n, 1, 3), 1)?)
            .with_pads(
                spatial("pads", &self.list(n, 0, 1), 0)?,
                spatial("pads", &self.list(n, 0, 1), 0)?,
            );
        let spec = PoolSpec {
            batch: *batch,
            channels: *channels,
            input: spatial("input", axes, 1)?,
            window,
            count_include_pad: self.numbers.within(0, 1) == 0,
        };
        let (ceil, max) = (self.numbers.within(0, 1) == 0, self.numbers.within(0, 1) == 0);
        compose::pool(&mut self.graph, "pool", x, spec, ceil, |geometry| match max {
            true => Op::MaxPool { geometry },
            false => Op::AvgPool { geometry },
        })
    }

    fn reduce(&mut self, x: ValueId) -> Result<ValueId> {
        let rank = self.shape(x)?.len();
        let axes: Vec<usize> = (0..rank).filter(|_| self.numbers.within(0, 2) == 0).collect();
        let reduction =
            if self.numbers.within(0, 1) == 0 { Reduction::Mean } else { Reduction::Max };
        compose::reduce(&mut self.graph, "reduce", x, &axes, true, reduction)
    }

    fn pad(&mut self, x: ValueId) -> Result<ValueId> {
        let rank = self.shape(x)?.len();
        let border = match self.numbers.within(0, 3) {
            0 => Border::Constant(self.number()),
            1 => Border::Edge,
            2 => Border::Reflect,
            _ => Border::Wrap,
        };
        let mut pads = || -> Vec<i64> {
            (0..rank)
                .map(|a| if a < 2 { 0 } else { self.numbers.within(0, 2) as i64 - 1 })
                .collect()
        };
        let (before, after) = (pads(), pads());
        compose::pad(&mut self.graph, "pad", x, &before, &after, border)
    }

    fn pick(&mut self, x: ValueId) -> Result<ValueId> {
        let shape = self.shape(x)?;
        let axis = self.numbers.within(0, shape.len() - 1);
        let n = shape.get(axis).copied().unwrap_or(1);
        let count = self.numbers.within(1, 4);
        let positions = self.list(count, 0, n - 1);
        compose::pick(&mut self.graph, "pick", x, axis, &positions)
    }

    /// A product with a matrix over all but the batch.
    fn linear(&mut self, x: ValueId) -> Result<ValueId> {
        let shape = self.shape(x)?;
        let rows = shape.first().copied().unwrap_or(1);
        let inner = shape.iter().skip(1).product();
        let flat = self.graph.push("flat", Op::Reshape { shape: vec![rows, inner] }, &[x])?;
        let outer = self.numbers.within(2, 5);
        let geometry = LinearGeometry::new(rows, inner, outer)?;
        let weights = self.constant(vec![outer, inner])?;
        self.graph.push("fc", Op::Linear { geometry }, &[flat, weights])
    }
}

/// The generator tries something else.
fn unfit() -> Error {
    Error::Misuse("no spatial axes".into())
}
