//! Random small programs, weights and inputs, for tests that compare a backend with
//! [`crate::cleartext`]. Everything derives from a seed; nothing here is for secrets.

mod network;

pub use network::random_network;

use crate::compile::{CompileOptions, compile_graph};
use crate::domain::{bits, signed_range};
use crate::llil::WeightRole;
use crate::llil::range::Ranges;
use crate::llil::{Builder, Op, Precision, Sign, TensorId, WeightId, WeightInfo};
use crate::program::{Limits, OutputForm, Program, PublicProgram, WeightData, Weights};
use crate::{Error, Result};
use sci_core::AnyDomain;
use sci_core::geometry::{
    ConvGeometry, ConvSpec, LinearGeometry, PoolGeometry, PoolSpec, Window, spatial,
};

/// The most elements of any tensor of a random program.
const MAX_ELEMENTS: usize = 300;

/// A sequence of well-mixed numbers (SplitMix64).
#[derive(Clone, Debug)]
pub struct Numbers(u64);

impl Numbers {
    /// The sequence of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next one, uniform.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    /// One of `low..=high`; the bias of the remainder does not matter here.
    pub fn within(&mut self, low: usize, high: usize) -> usize {
        low + (self.next_u64() % (high - low + 1) as u64) as usize
    }

    /// A signed number of `bits` bits, often an extreme one.
    pub fn signed(&mut self, bits: u32) -> i64 {
        let shift = 64 - bits.clamp(1, 64);
        match self.within(0, 7) {
            0 => i64::MIN >> shift,
            1 => i64::MAX >> shift,
            2 => 0,
            _ => (self.next_u64() as i64) >> shift,
        }
    }
}

struct Generator {
    numbers: Numbers,
    builder: Builder,
    weights: Vec<WeightData>,
    weight_bits: u32,
    scale: u32,
}

/// A program over a domain of at least 2 bits that passes its check, with its weights: for every third
/// seed a compiled [`random_network`] if it fits the domain, otherwise random instructions. Operations
/// that the domain is too small for do not occur in it.
///
/// # Errors
/// [`Error::Misuse`] if the generator made something ill-typed: a defect.
pub fn random_program(seed: u64, domain: AnyDomain) -> Result<Program> {
    if seed.is_multiple_of(3)
        && let Some(program) = compiled(seed, domain)?
    {
        return Ok(program);
    }
    random_instructions(seed, domain)
}

/// A random network over a domain, if its numbers fit.
fn compiled(seed: u64, domain: AnyDomain) -> Result<Option<Program>> {
    let mut numbers = Numbers::new(seed);
    let scale = numbers.within(1, (bits(domain) as usize / 5).clamp(1, 8)) as u32;
    let mut options = CompileOptions::new(domain, scale);
    options.name = format!("random {seed}");
    options.output =
        if numbers.within(0, 1) == 0 { OutputForm::Logits } else { OutputForm::ArgMax };
    match compile_graph(random_network(seed)?, &options) {
        Ok(program) => Ok(Some(program)),
        // Too small a domain, or a single class.
        Err(Error::Overflow { .. } | Error::Invalid { .. }) => Ok(None),
        Err(other) => Err(other),
    }
}

fn random_instructions(seed: u64, domain: AnyDomain) -> Result<Program> {
    let mut numbers = Numbers::new(seed);
    let scale = numbers.within(0, (bits(domain) as usize / 3).min(8)) as u32;
    let weight_bits = numbers.within(1, (bits(domain) as usize).min(12)) as u32;
    let builder = Builder::new(domain, Vec::new());
    let mut generator = Generator { numbers, builder, weights: Vec::new(), weight_bits, scale };
    let logits = generator.generate()?;
    let (instructions, weights) = generator.builder.finish();
    let program = Program {
        public: PublicProgram {
            name: format!("random {seed}"),
            domain,
            scale,
            weight_bits,
            instructions,
            weights,
            output_form: if logits { OutputForm::Logits } else { OutputForm::ArgMax },
            preprocess: None,
        },
        weights: Weights::new(generator.weights),
    };
    program.check(&Limits::default()).map_err(|e| Error::Misuse(e.to_string()))?;
    Ok(program)
}

/// An input for a program: uniform over the domain, with extreme values among it.
///
/// # Errors
/// [`Error::Invalid`] for a program without input.
pub fn random_input(seed: u64, program: &PublicProgram) -> Result<Vec<i64>> {
    let mut numbers = Numbers::new(seed ^ 0x5eed);
    let (low, high) = signed_range(program.domain);
    let clamp = |v: i64| i128::from(v).clamp(low, high) as i64;
    let len = program.input()?.len();
    Ok((0..len).map(|_| clamp(numbers.signed(bits(program.domain)))).collect())
}

impl Generator {
    /// Appends the instructions; whether the output is the last tensor itself.
    fn generate(&mut self) -> Result<bool> {
        let n = &mut self.numbers;
        let shape = vec![n.within(1, 2), n.within(1, 4), n.within(2, 5), n.within(2, 6)];
        let op = Op::Input { shape, scale: self.scale };
        let mut last = self.builder.push("input", op, &[])?;
        let wanted = self.numbers.within(3, 9);
        let mut tries = 0;
        while self.builder.instructions().len() < wanted && tries < 200 {
            tries += 1;
            let Some((op, inputs)) = self.propose(last)? else { continue };
            let before = self.builder.clone();
            let name = format!("{}{}", op.name().to_lowercase(), before.instructions().len());
            let precision = self.precision();
            match self.builder.push_narrow(&name, op, precision, &inputs) {
                Ok(id) if self.builder.info(id)?.len() <= MAX_ELEMENTS && self.certain() => {
                    last = id
                }
                _ => self.builder = before,
            }
        }
        if self.numbers.within(0, 1) == 0 {
            return Ok(true);
        }
        let axis = self.numbers.within(0, self.shape(last)?.len() - 1);
        let before = self.builder.clone();
        let precision = self.precision();
        let index = self.builder.push_narrow("argmax", Op::ArgMax { axis }, precision, &[last]);
        // Too many indices for a tiny domain: the program ends with the tensor itself.
        if index.is_err() || !self.certain() {
            self.builder = before;
            return Ok(true);
        }
        Ok(false)
    }

    /// Fewer bits in a third of the cases.
    fn precision(&mut self) -> Precision {
        let bits = bits(self.builder.domain()) as usize;
        match self.numbers.within(0, 2) {
            0 => Precision::Bits(self.numbers.within(1, bits) as u32),
            _ => Precision::Full,
        }
    }

    /// Whether what the last instruction promises follows from the program.
    fn certain(&self) -> bool {
        let (domain, instructions) = (self.builder.domain(), self.builder.instructions());
        Ranges::of(domain, self.weight_bits, instructions).is_ok()
    }

    fn shape(&self, id: TensorId) -> Result<Vec<usize>> {
        Ok(self.builder.info(id)?.shape.clone())
    }

    fn weight(&mut self, shape: Vec<usize>, scale: u32, role: WeightRole) -> Result<WeightId> {
        let domain = self.builder.domain();
        let (low, high) = signed_range(domain);
        let bits = match role {
            WeightRole::Factor => self.weight_bits,
            WeightRole::Addend => bits(domain),
        };
        let len: usize = shape.iter().product();
        let values: Vec<i64> = (0..len)
            .map(|_| i128::from(self.numbers.signed(bits)).clamp(low, high) as i64)
            .collect();
        let name = format!("weight{}", self.weights.len());
        self.weights.push(WeightData::new(&name, &values, bits)?);
        self.builder.declare(WeightInfo { name, shape, scale, role })
    }

    /// A bias in half of the cases.
    fn bias(&mut self, len: usize, scale: u32) -> Result<Option<WeightId>> {
        match self.numbers.within(0, 1) {
            0 => Ok(None),
            _ => Ok(Some(self.weight(vec![len], scale, WeightRole::Addend)?)),
        }
    }

    fn window(&mut self, axes: usize) -> Result<Window> {
        let n = &mut self.numbers;
        let mut list = |low: usize, high: usize| -> Vec<usize> {
            (0..axes).map(|_| n.within(low, high)).collect()
        };
        let (kernel, stride, dilation) = (list(1, 3), list(1, 2), list(1, 2));
        let (before, after) = (list(0, 1), list(0, 2));
        Ok(Window::new(spatial("kernel", &kernel, 1)?)
            .with_stride(spatial("stride", &stride, 1)?)
            .with_dilation(spatial("dilation", &dilation, 1)?)
            .with_pads(spatial("pads", &before, 0)?, spatial("pads", &after, 0)?))
    }

    /// Something that may be applicable.
    fn propose(&mut self, last: TensorId) -> Result<Option<(Op, Vec<TensorId>)>> {
        let shape = self.shape(last)?;
        let scale = self.builder.info(last)?.scale;
        let domain_bits = bits(self.builder.domain());
        let rank = shape.len();
        let op = match self.numbers.within(0, 20) {
            0..=2 => return self.conv(last, &shape, scale),
            3 => self.linear(&shape, scale)?,
            4 => return self.pair(last),
            5 => Op::ScaleUp { shift: self.numbers.within(1, 4) as u32 },
            6 => {
                let scale = self.numbers.within(0, 2) as u32;
                Op::MulPublic { factor: self.numbers.signed(domain_bits), scale }
            }
            7 => {
                let shape = self.repeated(&shape);
                Op::AddWeight { weight: self.weight(shape, scale, WeightRole::Addend)? }
            }
            8 => {
                let shape = self.repeated(&shape);
                Op::MulWeight { weight: self.weight(shape, self.scale, WeightRole::Factor)? }
            }
            9 | 10 => Op::Relu,
            11 | 18..=20 => return self.pool(last, &shape, scale),
            12 | 13 => self.truncation(scale.min(domain_bits - 1)),
            14 => Op::Reshape { shape: vec![shape[0], shape[1..].iter().product()] },
            15 => Op::Concat { axis: self.numbers.within(0, rank - 1) },
            16 => Op::Pad { before: vec![self.numbers.within(0, 1); rank], after: vec![1; rank] },
            _ => self.slice_or_transpose(&shape),
        };
        let twice = matches!(op, Op::Concat { .. });
        Ok(Some((op, vec![last; 1 + usize::from(twice)])))
    }

    fn conv(
        &mut self,
        last: TensorId,
        shape: &[usize],
        scale: u32,
    ) -> Result<Option<(Op, Vec<TensorId>)>> {
        let [batch, channels, axes @ ..] = shape else { return Ok(None) };
        if axes.is_empty() || axes.len() > 3 {
            return Ok(None);
        }
        let window = self.window(axes.len())?;
        let groups = if self.numbers.within(0, 2) == 0 { *channels } else { 1 };
        let out_channels = groups * self.numbers.within(1, if groups == 1 { 4 } else { 2 });
        let spec = ConvSpec {
            batch: *batch,
            in_channels: *channels,
            out_channels,
            groups,
            input: spatial("input", axes, 1)?,
            window,
        };
        let Ok(geometry) = ConvGeometry::new(spec) else { return Ok(None) };
        let kernel = window.kernel[3 - axes.len()..].to_vec();
        let filters = [vec![out_channels, channels / groups], kernel].concat();
        let weight = self.weight(filters, self.scale, WeightRole::Factor)?;
        let bias = self.bias(out_channels, scale + self.scale)?;
        Ok(Some((Op::Conv { weight, bias, geometry }, vec![last])))
    }

    fn linear(&mut self, shape: &[usize], scale: u32) -> Result<Op> {
        let inner = shape.last().copied().unwrap_or(1);
        let rows = shape.iter().product::<usize>() / inner;
        let outer = self.numbers.within(1, 6);
        let geometry = LinearGeometry::new(rows, inner, outer)?;
        let weight = self.weight(vec![outer, inner], self.scale, WeightRole::Factor)?;
        let bias = self.bias(outer, scale + self.scale)?;
        Ok(Op::Linear { weight, bias, geometry })
    }

    /// A sum or difference with an earlier tensor of the same type.
    fn pair(&mut self, last: TensorId) -> Result<Option<(Op, Vec<TensorId>)>> {
        let info = self.builder.info(last)?;
        let same = self.builder.instructions().iter().position(|x| x.output == *info);
        let other = TensorId(same.unwrap_or(last.index()) as u32);
        let op = if self.numbers.within(0, 1) == 0 { Op::Add } else { Op::Sub };
        Ok(Some((op, vec![last, other])))
    }

    /// A shape that is repeated along random axes.
    fn repeated(&mut self, shape: &[usize]) -> Vec<usize> {
        shape.iter().map(|&n| if self.numbers.within(0, 1) == 0 { 1 } else { n }).collect()
    }

    fn pool(
        &mut self,
        last: TensorId,
        shape: &[usize],
        scale: u32,
    ) -> Result<Option<(Op, Vec<TensorId>)>> {
        let [batch, channels, axes @ ..] = shape else { return Ok(None) };
        if axes.is_empty() || axes.len() > 3 {
            return Ok(None);
        }
        let spec = PoolSpec {
            batch: *batch,
            channels: *channels,
            input: spatial("input", axes, 1)?,
            window: self.window(axes.len())?,
            count_include_pad: self.numbers.within(0, 1) == 0,
        };
        let Ok(geometry) = PoolGeometry::new(spec) else { return Ok(None) };
        let max = self.numbers.within(0, 1) == 0;
        // A truncation on top in half of the cases.
        let half = self.numbers.within(0, 1) as u32;
        let shift = half * self.numbers.within(0, scale as usize) as u32;
        let sign = self.sign();
        let op = if max { Op::MaxPool { geometry } } else { Op::AvgPool { geometry, shift, sign } };
        Ok(Some((op, vec![last])))
    }

    fn truncation(&mut self, most: u32) -> Op {
        let shift = self.numbers.within(1, (most as usize).max(1)) as u32;
        Op::Truncate { shift, sign: self.sign() }
    }

    /// A promise; what does not follow is refused and proposed anew.
    fn sign(&mut self) -> Sign {
        if self.numbers.within(0, 1) == 0 { Sign::Unknown } else { Sign::NonNegative }
    }

    fn slice_or_transpose(&mut self, shape: &[usize]) -> Op {
        let n = &mut self.numbers;
        if n.within(0, 1) == 0 {
            let turn = n.within(0, shape.len() - 1);
            let mut permutation: Vec<usize> = (0..shape.len()).collect();
            permutation.rotate_left(turn);
            return Op::Transpose { permutation };
        }
        let mut slice = (Vec::new(), Vec::new(), Vec::new());
        for &axis in shape {
            let (start, step) = (n.within(0, axis - 1), n.within(1, 2));
            slice.0.push(start);
            slice.1.push(step);
            slice.2.push((axis - start).div_ceil(step));
        }
        Op::Slice { start: slice.0, step: slice.1, shape: slice.2 }
    }
}
