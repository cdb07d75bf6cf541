//! Putting layers one after another, with weights.

use crate::hlil::compose::{self, TransposedConv};
use crate::hlil::{Graph, Op, Tensor, ValueId};
use crate::testing::Numbers;
use crate::{Error, Result};
use sci_core::geometry::{
    ConvGeometry, ConvSpec, LinearGeometry, PoolGeometry, PoolSpec, Window, spatial,
};

/// What the weights of a zoo network are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weights {
    /// All zero: for those who only look at the architecture. Zero pages cost no memory until they
    /// are written.
    Zero,
    /// Random, reproducible from the seed.
    Seeded(u64),
}

/// A network in the making.
pub(super) struct Network {
    graph: Graph,
    numbers: Option<Numbers>,
    last: Option<ValueId>,
}

impl Network {
    pub(super) fn new(weights: Weights) -> Self {
        let numbers = match weights {
            Weights::Zero => None,
            Weights::Seeded(seed) => Some(Numbers::new(seed)),
        };
        Self { graph: Graph::default(), numbers, last: None }
    }

    pub(super) fn finish(mut self) -> Result<Graph> {
        let last = self.last.ok_or_else(|| Error::Misuse("a network without layers".into()))?;
        self.graph.set_output(last);
        self.graph.check()?;
        Ok(self.graph)
    }

    fn push(&mut self, name: &str, op: Op, inputs: &[ValueId]) -> Result<ValueId> {
        let id = self.graph.push(name, op, inputs)?;
        self.last = Some(id);
        Ok(id)
    }

    pub(super) fn shape(&self, x: ValueId) -> Result<Vec<usize>> {
        Ok(self.graph.node(x)?.shape.clone())
    }

    /// The length of an axis.
    fn axis(&self, x: ValueId, axis: usize) -> Result<usize> {
        let length = self.graph.node(x)?.shape.get(axis).copied();
        length.ok_or_else(|| Error::Misuse(format!("axis {axis} of {x:?}")))
    }

    /// Uniform in `centre - radius .. centre + radius`.
    fn tensor(&mut self, name: &str, shape: &[usize], centre: f32, radius: f32) -> Result<ValueId> {
        let tensor = self.numbers(shape, centre, radius)?;
        self.graph.push(name, Op::Constant(tensor), &[])
    }

    fn numbers(&mut self, shape: &[usize], centre: f32, radius: f32) -> Result<Tensor> {
        let n = shape.iter().product();
        let data = match &mut self.numbers {
            None => vec![0.0; n],
            Some(numbers) => {
                // 24 bits are what a float has.
                let unit = |bits: u64| (bits >> 40) as f32 / (1u32 << 23) as f32 - 1.0;
                (0..n).map(|_| centre + radius * unit(numbers.next_u64())).collect()
            }
        };
        Tensor::new(shape.to_vec(), data)
    }

    pub(super) fn input(&mut self, shape: &[usize]) -> Result<ValueId> {
        self.push("input", Op::Input { shape: shape.to_vec() }, &[])
    }

    /// A convolution; `bias` where no batch normalisation follows.
    pub(super) fn conv(
        &mut self,
        name: &str,
        x: ValueId,
        out_channels: usize,
        window: Window,
        bias: bool,
    ) -> Result<ValueId> {
        let shape = self.shape(x)?;
        let (in_channels, axes) = (self.axis(x, 1)?, shape.get(2..).unwrap_or_default());
        let geometry = ConvGeometry::new(ConvSpec {
            batch: self.axis(x, 0)?,
            in_channels,
            out_channels,
            groups: 1,
            input: spatial("input", axes, 1)?,
            window,
        })?;
        let (_, kernel) = window.kernel.split_at(3 - axes.len());
        let radius = (6.0 / geometry.patch_len() as f32).sqrt();
        let shape = [&[out_channels, in_channels], kernel].concat();
        let mut inputs = vec![x, self.tensor(&format!("{name}.weight"), &shape, 0.0, radius)?];
        if bias {
            inputs.push(self.tensor(&format!("{name}.bias"), &[out_channels], 0.0, 0.1)?);
        }
        self.push(name, Op::Conv { geometry }, &inputs)
    }

    /// A transposed convolution whose taps do not overlap, the stride being the kernel; no bias.
    pub(super) fn conv_transpose(
        &mut self,
        name: &str,
        x: ValueId,
        out_channels: usize,
        kernel: [usize; 3],
    ) -> Result<ValueId> {
        let shape = self.shape(x)?;
        let in_channels = self.axis(x, 1)?;
        let axes = shape.get(2..).unwrap_or_default();
        // Each output is reached by one tap of every input channel.
        let radius = (6.0 / in_channels as f32).sqrt();
        let filters = [&[in_channels, out_channels], kernel.as_slice()].concat();
        let weights = self.numbers(&filters, 0.0, radius)?;
        let spec = TransposedConv {
            groups: 1,
            stride: kernel.to_vec(),
            dilation: vec![1; kernel.len()],
            pad_before: vec![0; kernel.len()],
            output: axes.iter().zip(kernel).map(|(n, k)| n * k).collect(),
        };
        let weight_name = format!("{name}.weight");
        let weights = (weight_name.as_str(), &weights);
        let y = compose::conv_transpose(&mut self.graph, name, x, weights, None, &spec)?;
        self.last = Some(y);
        Ok(y)
    }

    /// The middle of every channel, of the spatial shape of another value.
    pub(super) fn crop(&mut self, name: &str, x: ValueId, like: ValueId) -> Result<ValueId> {
        let (mut shape, like) = (self.shape(x)?, self.shape(like)?);
        let mut start = vec![0; shape.len()];
        for ((start, n), m) in start.iter_mut().zip(&mut shape).zip(like).skip(2) {
            *start = n.saturating_sub(m) / 2;
            *n = m;
        }
        let step = vec![1; start.len()];
        self.push(name, Op::Slice { start, step, shape }, &[x])
    }

    /// A batch normalisation whose factors are about `gain`.
    pub(super) fn batch_norm(&mut self, name: &str, x: ValueId, gain: f32) -> Result<ValueId> {
        let channels = [self.axis(x, 1)?];
        let mut inputs = vec![x];
        for (part, centre, radius) in [
            ("gamma", gain, 0.2 * gain),
            ("beta", 0.0, 0.1),
            ("mean", 0.0, 0.1),
            ("variance", 1.0, 0.2),
        ] {
            inputs.push(self.tensor(&format!("{name}.{part}"), &channels, centre, radius)?);
        }
        self.push(name, Op::BatchNorm { epsilon: 1e-5 }, &inputs)
    }

    pub(super) fn relu(&mut self, name: &str, x: ValueId) -> Result<ValueId> {
        self.push(name, Op::Relu, &[x])
    }

    fn windows(&self, x: ValueId, window: Window) -> Result<PoolGeometry> {
        let shape = self.shape(x)?;
        Ok(PoolGeometry::new(PoolSpec {
            batch: self.axis(x, 0)?,
            channels: self.axis(x, 1)?,
            input: spatial("input", shape.get(2..).unwrap_or_default(), 1)?,
            window,
            count_include_pad: false,
        })?)
    }

    pub(super) fn max_pool(&mut self, name: &str, x: ValueId, window: Window) -> Result<ValueId> {
        let geometry = self.windows(x, window)?;
        self.push(name, Op::MaxPool { geometry }, &[x])
    }

    pub(super) fn avg_pool(&mut self, name: &str, x: ValueId, window: Window) -> Result<ValueId> {
        let geometry = self.windows(x, window)?;
        self.push(name, Op::AvgPool { geometry }, &[x])
    }

    /// The mean of every channel, as `[batch, channels]`.
    pub(super) fn global_avg_pool(&mut self, name: &str, x: ValueId) -> Result<ValueId> {
        let shape = self.shape(x)?;
        let kernel = spatial("input", shape.get(2..).unwrap_or_default(), 1)?;
        let mean = self.avg_pool(name, x, Window::new(kernel))?;
        self.flatten(mean)
    }

    /// `[batch, everything else]`.
    pub(super) fn flatten(&mut self, x: ValueId) -> Result<ValueId> {
        let shape = self.shape(x)?;
        let batch = self.axis(x, 0)?;
        let rest = shape.iter().skip(1).product();
        self.push("flatten", Op::Reshape { shape: vec![batch, rest] }, &[x])
    }

    /// A fully connected layer with bias.
    pub(super) fn linear(&mut self, name: &str, x: ValueId, outer: usize) -> Result<ValueId> {
        let (rows, inner) = (self.axis(x, 0)?, self.axis(x, 1)?);
        let geometry = LinearGeometry::new(rows, inner, outer)?;
        let radius = (6.0 / inner as f32).sqrt();
        let weight = self.tensor(&format!("{name}.weight"), &[outer, inner], 0.0, radius)?;
        let bias = self.tensor(&format!("{name}.bias"), &[outer], 0.0, 0.1)?;
        self.push(name, Op::Linear { geometry }, &[x, weight, bias])
    }

    pub(super) fn add(&mut self, name: &str, x: ValueId, y: ValueId) -> Result<ValueId> {
        self.push(name, Op::Add, &[x, y])
    }

    /// Channels one after another.
    pub(super) fn concat(&mut self, name: &str, parts: &[ValueId]) -> Result<ValueId> {
        self.push(name, Op::Concat { axis: 1 }, parts)
    }

    pub(super) fn softmax(&mut self, x: ValueId) -> Result<ValueId> {
        self.push("softmax", Op::Softmax { axis: 1 }, &[x])
    }
}

/// A square kernel on pictures.
pub(super) fn square(kernel: usize, stride: usize, pad: usize) -> Window {
    Window::new([1, kernel, kernel])
        .with_stride([1, stride, stride])
        .with_pads([0, pad, pad], [0, pad, pad])
}
