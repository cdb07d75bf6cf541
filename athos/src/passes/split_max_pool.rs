//! Pools maxima along one axis after another where that takes fewer comparisons, on integer programs.
//!
//! A window is a product of intervals, also where padding cuts it or dilation thins it, so that the maximum
//! over a window is the maximum along the columns of the maxima along its rows: 3x3 windows with stride 2
//! take 8 comparisons an output at once, but 2 for each of the two rows that an output adds, and 2 more:
//! 6. With stride 1 it is 4. Where windows do not overlap nothing is saved and nothing changes.
//!
//! The number of comparisons of every order of the axes, several at a time included, is computed
//! exactly; the smallest wins if it takes no more rounds, that is, no deeper trees, and no tensor in
//! between is larger than both input and output. Padding still takes no part.
//!
//! As long as no difference wraps, a maximum is the same in whatever order neighbours are compared. Where
//! one wraps the order is part of the meaning, and after this pass it is this one. Behind
//! [`super::sink_truncation`], so that a truncation finds the whole MaxPool in one piece, and in front of
//! [`super::narrow`], which gives each part its own number of bits.

#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::llil::{Builder, Instruction, Op, Precision, TensorId, WeightInfo};
use crate::{Error, Result};
use sci_core::AnyDomain;
use sci_core::geometry::{PoolGeometry, PoolSpec, Window};

/// The program with every MaxPool taken apart where that is cheaper. What looks at fewer bits than all
/// stays as it is.
///
/// # Errors
/// Those of the typing rules, for a program that does not satisfy them.
pub fn split_max_pool(
    domain: AnyDomain,
    instructions: &[Instruction],
    weights: Vec<WeightInfo>,
) -> Result<(Vec<Instruction>, Vec<WeightInfo>)> {
    let mut new = Builder::new(domain, weights);
    let mut places: Vec<TensorId> = Vec::with_capacity(instructions.len());
    for Instruction { name, op, inputs, precision, .. } in instructions {
        let place = |id: &TensorId| {
            let place = places.get(id.index()).copied();
            place.ok_or_else(|| Error::Misuse(format!("no tensor {id}")))
        };
        let inputs = inputs.iter().map(place).collect::<Result<Vec<_>>>()?;
        let id = match (op, inputs.as_slice()) {
            (Op::MaxPool { geometry }, &[x]) if *precision == Precision::Full => split(geometry)
                .into_iter()
                .try_fold(x, |x, geometry| new.push(name, Op::MaxPool { geometry }, &[x]))?,
            _ => new.push_narrow(name, op.clone(), *precision, &inputs)?,
        };
        places.push(id);
    }
    Ok(new.finish())
}

/// Axes that are pooled together: bit a stands for axis a of depth, height, width.
type Axes = u8;

/// Every way to pool some axes, then others: those that take more at a time first, rows before columns.
fn orders(left: Axes) -> Vec<Vec<Axes>> {
    if left == 0 {
        return vec![Vec::new()];
    }
    let subsets = (1..=left).rev().filter(|axes| axes & !left == 0);
    subsets
        .flat_map(|axes| {
            let rest = orders(left & !axes).into_iter();
            rest.map(move |rest| [vec![axes], rest].concat())
        })
        .collect()
}

/// The poolings, one after another, that compute a pooling with the fewest comparisons.
fn split(whole: &PoolGeometry) -> Vec<PoolGeometry> {
    let window = whole.window();
    let changed = |axis: &Axes| along(window, *axis) != Window::new([1; 3]);
    let pooled = [1, 2, 4].into_iter().filter(changed).sum();
    let mut best = (comparisons(whole), vec![*whole]);
    for order in orders(pooled) {
        let Some(steps) = steps(whole, &order) else { continue };
        let cost = steps.iter().map(comparisons).sum();
        if cost < best.0 && steps.iter().map(rounds).sum::<u32>() <= rounds(whole) {
            best = (cost, steps);
        }
    }
    best.1
}

/// The poolings of an order; none if a tensor between them is too large.
fn steps(whole: &PoolGeometry, order: &[Axes]) -> Option<Vec<PoolGeometry>> {
    let mut spec = *whole.spec();
    let mut steps = Vec::with_capacity(order.len());
    for &axes in order {
        spec.window = along(whole.window(), axes);
        let step = PoolGeometry::new(spec).ok()?;
        if step.output_len() > whole.input_len().max(whole.output_len()) {
            return None;
        }
        spec.input = step.output();
        steps.push(step);
    }
    Some(steps)
}

/// Numbers of some axes, another one for the rest.
fn chosen(axes: Axes, all: [usize; 3], other: usize) -> [usize; 3] {
    let [depth, height, width] = all;
    let pick = |axis: Axes, n: usize| if axes & axis == 0 { other } else { n };
    [pick(1, depth), pick(2, height), pick(4, width)]
}

/// A window along some axes; a single tap along the others.
fn along(window: &Window, axes: Axes) -> Window {
    let chosen = |all, other| chosen(axes, all, other);
    Window::new(chosen(window.kernel, 1))
        .with_stride(chosen(window.stride, 1))
        .with_dilation(chosen(window.dilation, 1))
        .with_pads(chosen(window.pad_before, 0), chosen(window.pad_after, 0))
}

/// How many elements the windows of one axis have, over all positions of the others.
fn members(geometry: &PoolGeometry, axis: Axes) -> Vec<usize> {
    let mut spec = PoolSpec { batch: 1, channels: 1, ..*geometry.spec() };
    spec.window = along(&spec.window, axis);
    spec.input = chosen(axis, spec.input, 1);
    // One axis of a checked shape is one, too.
    let line = PoolGeometry::new(spec);
    line.map_or_else(|_| Vec::new(), |x| (0..x.positions()).map(|p| x.member_count(p)).collect())
}

/// Comparisons of a pooling: one fewer than members for every window.
fn comparisons(geometry: &PoolGeometry) -> u128 {
    let axes = [1, 2, 4].map(|axis| members(geometry, axis).into_iter().sum::<usize>() as u128);
    let members: u128 = axes.into_iter().product();
    (members * geometry.planes() as u128).saturating_sub(geometry.output_len() as u128)
}

/// Depth of the tree of the largest window.
fn rounds(geometry: &PoolGeometry) -> u32 {
    let largest = |axis| members(geometry, axis).into_iter().max().unwrap_or(1);
    let members: usize = [1, 2, 4].map(largest).into_iter().product();
    members.next_power_of_two().trailing_zeros()
}
