//! The cleartext engine against the definitions, written again with plain loops over big integers.

use athos::llil::{Op, Precision, TensorInfo};
use athos::testing::{random_input, random_program};
use athos::{OutputForm, Program, cleartext};
use sci_core::geometry::{PoolGeometry, Window};
use sci_core::{AnyDomain, Field};
use std::collections::BTreeMap;

/// Z_n on big integers: the representative in 0..n and the signed view.
#[derive(Clone, Copy)]
struct Domain {
    n: i128,
}

impl Domain {
    fn of(domain: AnyDomain) -> Self {
        match domain {
            AnyDomain::Ring(ring) => Self { n: i128::from(ring.mask()) + 1 },
            AnyDomain::Field(field) => Self { n: field.n().into() },
        }
    }

    fn wrap(self, x: i128) -> i128 {
        x.rem_euclid(self.n)
    }

    fn signed(self, x: i128) -> i128 {
        if x < (self.n + 1) / 2 { x } else { x - self.n }
    }

    /// The signed view of the low bits.
    fn view(self, x: i128, precision: Precision) -> i128 {
        match precision {
            Precision::Full => self.signed(x),
            Precision::Bits(k) => {
                let low = x % (1 << k);
                if low < 1 << (k - 1) { low } else { low - (1 << k) }
            }
        }
    }

    fn relu(self, x: i128, precision: Precision) -> i128 {
        if self.view(x, precision) < 0 { 0 } else { x }
    }

    fn max(self, x: i128, y: i128, precision: Precision) -> i128 {
        self.wrap(y + self.relu(self.wrap(x - y), precision))
    }

    /// The definition by recursion over levels: pairs from the left, an odd last one goes up.
    fn tree(self, items: Vec<(i128, usize)>, precision: Precision) -> (i128, usize) {
        if let [only] = items[..] {
            return only;
        }
        let next = items.chunks(2).map(|pair| match *pair {
            [(x, i), (y, j)] => {
                let left = self.view(self.wrap(x - y), precision) >= 0;
                (self.max(x, y, precision), if left { i } else { j })
            }
            _ => pair[0],
        });
        self.tree(next.collect(), precision)
    }
}

/// Row-major coordinates of every element.
fn coordinates(shape: &[usize]) -> Vec<Vec<usize>> {
    shape.iter().fold(vec![vec![]], |all, &n| {
        let extend = |c: Vec<usize>| (0..n).map(move |i| [&c[..], &[i]].concat());
        all.into_iter().flat_map(extend).collect()
    })
}

fn at(shape: &[usize], index: &[usize]) -> usize {
    assert_eq!(shape.len(), index.len());
    shape.iter().zip(index).fold(0, |offset, (n, i)| offset * n + i)
}

/// Input coordinates of a tap, or nothing where there is padding.
fn tap(window: &Window, input: &[usize], out: &[usize], tap: &[usize]) -> Option<Vec<usize>> {
    let skip = 3 - input.len();
    (0..input.len())
        .map(|a| {
            let i = out[a] * window.stride[skip + a] + tap[a] * window.dilation[skip + a];
            i.checked_sub(window.pad_before[skip + a]).filter(|&i| i < input[a])
        })
        .collect()
}

fn pool(
    x: &[i128],
    info: &TensorInfo,
    out: &[usize],
    geometry: &PoolGeometry,
    reduce: impl Fn(Vec<(i128, usize)>, usize) -> i128,
) -> Vec<i128> {
    let window = geometry.window();
    let kernel = &window.kernel[3 - (out.len() - 2)..];
    let one = |index: Vec<usize>| {
        let members: Vec<(i128, usize)> = coordinates(kernel)
            .iter()
            .filter_map(|t| tap(window, &info.shape[2..], &index[2..], t))
            .map(|i| (x[at(&info.shape, &[&index[..2], &i].concat())], 0))
            .collect();
        let include = geometry.spec().count_include_pad;
        let divisor = if include { kernel.iter().product() } else { members.len() };
        reduce(members, divisor)
    };
    coordinates(out).into_iter().map(one).collect()
}

fn reference(program: &Program, input: &[i64]) -> Vec<i128> {
    let d = Domain::of(program.public.domain);
    let instructions = &program.public.instructions;
    let mut tensors: Vec<Vec<i128>> = Vec::new();
    for instruction in instructions {
        let infos: Vec<&TensorInfo> =
            instruction.inputs.iter().map(|id| &instructions[id.index()].output).collect();
        let xs: Vec<&Vec<i128>> =
            instruction.inputs.iter().map(|id| &tensors[id.index()]).collect();
        let out = &instruction.output.shape;
        let weight = |id: athos::WeightId| -> Vec<i128> {
            let data = program.weights.get(id).unwrap().to_signed();
            data.into_iter().map(i128::from).collect()
        };
        let repeated = |id: athos::WeightId, index: &[usize]| {
            let shape = &program.public.weights[id.index()].shape;
            let index: Vec<usize> =
                index.iter().zip(shape).map(|(&i, &n)| if n == 1 { 0 } else { i }).collect();
            weight(id)[at(shape, &index)]
        };
        let precision = instruction.precision;
        let value: Vec<i128> = match &instruction.op {
            Op::Input { .. } => input.iter().map(|&x| d.wrap(x.into())).collect(),
            Op::Conv { weight: w, bias, geometry } => {
                let w = weight(*w);
                let window = geometry.window();
                let kernel = &window.kernel[3 - (out.len() - 2)..];
                let filters = [&[out[1], geometry.group_in()], kernel].concat();
                let one = |index: Vec<usize>| {
                    let group = index[1] / geometry.group_out();
                    let mut sum = bias.map_or(0, |b| weight(b)[index[1]]);
                    for c in 0..geometry.group_in() {
                        for t in coordinates(kernel) {
                            let Some(i) = tap(window, &infos[0].shape[2..], &index[2..], &t) else {
                                continue;
                            };
                            let channel = group * geometry.group_in() + c;
                            let i = [&[index[0], channel], &i[..]].concat();
                            let f = [&[index[1], c], &t[..]].concat();
                            sum += w[at(&filters, &f)] * xs[0][at(&infos[0].shape, &i)];
                        }
                    }
                    d.wrap(sum)
                };
                coordinates(out).into_iter().map(one).collect()
            }
            Op::Linear { weight: w, bias, geometry } => {
                let w = weight(*w);
                let (inner, outer) = (geometry.inner(), geometry.outer());
                let one = |i: usize| {
                    let (row, column) = (i / outer, i % outer);
                    let bias = bias.map_or(0, |b| weight(b)[column]);
                    let products =
                        (0..inner).map(|k| w[column * inner + k] * xs[0][row * inner + k]);
                    d.wrap(products.sum::<i128>() + bias)
                };
                (0..out.iter().product()).map(one).collect()
            }
            Op::Add => xs[0].iter().zip(xs[1]).map(|(x, y)| d.wrap(x + y)).collect(),
            Op::Sub => xs[0].iter().zip(xs[1]).map(|(x, y)| d.wrap(x - y)).collect(),
            Op::ScaleUp { shift } => xs[0].iter().map(|x| d.wrap(x << shift)).collect(),
            Op::MulPublic { factor, .. } => {
                let factor = d.wrap((*factor).into());
                xs[0].iter().map(|&x| mul(d, x, factor)).collect()
            }
            Op::AddWeight { weight } => {
                let pairs = coordinates(out).into_iter().zip(xs[0]);
                pairs.map(|(i, x)| d.wrap(x + repeated(*weight, &i))).collect()
            }
            Op::MulWeight { weight } => {
                let pairs = coordinates(out).into_iter().zip(xs[0]);
                pairs.map(|(i, x)| d.wrap(x * repeated(*weight, &i))).collect()
            }
            Op::Relu => xs[0].iter().map(|&x| d.relu(x, precision)).collect(),
            Op::MaxPool { geometry } => {
                pool(xs[0], infos[0], out, geometry, |members, _| d.tree(members, precision).0)
            }
            Op::AvgPool { geometry, shift, .. } => {
                pool(xs[0], infos[0], out, geometry, |members, divisor| {
                    let divisor = (divisor as i128) << shift;
                    let sum = d.view(d.wrap(members.iter().map(|(x, _)| x).sum()), precision);
                    d.wrap(if sum < 0 { -((-sum + divisor - 1) / divisor) } else { sum / divisor })
                })
            }
            Op::Truncate { shift, .. } => xs[0]
                .iter()
                .map(|&x| {
                    let (x, d2) = (d.view(x, precision), 1i128 << shift);
                    d.wrap((x - (x % d2 + d2) % d2) / d2)
                })
                .collect(),
            Op::Reshape { .. } => xs[0].clone(),
            Op::Concat { axis } => coordinates(out)
                .into_iter()
                .map(|mut index| {
                    let mut part = 0;
                    while index[*axis] >= infos[part].shape[*axis] {
                        index[*axis] -= infos[part].shape[*axis];
                        part += 1;
                    }
                    xs[part][at(&infos[part].shape, &index)]
                })
                .collect(),
            Op::Transpose { permutation } => coordinates(out)
                .into_iter()
                .map(|index| {
                    let mut source = vec![0; index.len()];
                    for (o, &i) in permutation.iter().enumerate() {
                        source[i] = index[o];
                    }
                    xs[0][at(&infos[0].shape, &source)]
                })
                .collect(),
            Op::Pad { before, .. } => coordinates(out)
                .into_iter()
                .map(|index| {
                    let source: Option<Vec<usize>> = (0..index.len())
                        .map(|a| {
                            let i = index[a].checked_sub(before[a])?;
                            (i < infos[0].shape[a]).then_some(i)
                        })
                        .collect();
                    source.map_or(0, |i| xs[0][at(&infos[0].shape, &i)])
                })
                .collect(),
            Op::Slice { start, step, .. } => coordinates(out)
                .into_iter()
                .map(|index| {
                    let source: Vec<usize> =
                        (0..index.len()).map(|a| start[a] + index[a] * step[a]).collect();
                    xs[0][at(&infos[0].shape, &source)]
                })
                .collect(),
            Op::ArgMax { axis } => {
                let shape = &infos[0].shape;
                let one = |index: Vec<usize>| {
                    let items = (0..shape[*axis]).map(|k| {
                        let full = [&index[..*axis], &[k], &index[*axis..]].concat();
                        (xs[0][at(shape, &full)], k)
                    });
                    d.tree(items.collect(), precision).1 as i128
                };
                coordinates(out).into_iter().map(one).collect()
            }
        };
        tensors.push(value);
    }
    let output = tensors.pop().unwrap();
    match program.public.output_form {
        OutputForm::ArgMax => output,
        OutputForm::Logits => output.into_iter().map(|x| d.signed(x)).collect(),
    }
}

/// a·b mod n by doubling: n may have 64 bits, products then do not fit.
fn mul(d: Domain, a: i128, b: i128) -> i128 {
    (0..64).rev().fold(0, |sum, bit| {
        let doubled = d.wrap(2 * sum);
        d.wrap(doubled + if b >> bit & 1 == 1 { a } else { 0 })
    })
}

#[test]
fn random_programs_compute_their_definition() {
    let mut domains: Vec<AnyDomain> =
        [2, 5, 8, 16, 21, 32, 37, 41, 63, 64].map(|bits| AnyDomain::ring(bits).unwrap()).to_vec();
    for n in [7, 97, 1000, 65537, 137438822401, 1 << 40, (1 << 62) - 57] {
        domains.push(AnyDomain::Field(Field::new(n).unwrap()));
    }
    let mut seen = BTreeMap::new();
    for domain in domains {
        for seed in 0..60 {
            let program = random_program(seed, domain).unwrap();
            for instruction in &program.public.instructions {
                let name = match instruction.op {
                    Op::AvgPool { shift, .. } if shift > 0 => "AvgPool with a shift",
                    _ => instruction.op.name(),
                };
                *seen.entry(name).or_insert(0) += 1;
            }
            let input = random_input(seed, &program.public).unwrap();
            let got = cleartext::run(&program, &input).unwrap();
            let got: Vec<i128> = got.into_iter().map(i128::from).collect();
            assert_eq!(got, reference(&program, &input), "seed {seed}:\n{}", program.public);
        }
    }
    assert_eq!(seen.len(), 20, "every operation occurs: {seen:?}");
    assert!(seen.values().all(|&n| n >= 20), "often enough: {seen:?}");
}
