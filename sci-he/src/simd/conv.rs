//! Convolutions in slots, channels interleaved.
//!
//! *Strides.* A convolution of stride s is a sum of convolutions of stride 1: the taps with
//! k·dilation = r mod s see only every s-th position of the input. Such a phase of a channel is a
//! channel of its own here, whose tap k has the offset floor(k·dilation/s). Phases without a tap are
//! not sent; stride, dilation and padding are gone after this (zeros around an image are in its box).
//!
//! *Slots.* The output is cut into tiles; a tile reads a box of P positions of a channel, its outputs
//! plus the largest offset on each axis. A request holds 2C channels of a tile, C a power of two with
//! P·C <= N/2: position p of channel r·C + c in slot p·C + c of row r. Output o of filter r·C + c stands in
//! slot lin(o)·C + c + shift of row r, lin(.) being the row-major index in the box.
//!
//! *Products.* Filter c' reads channel c at offset d in the slot lin(d)·C + c - c' - shift further. All
//! pairs with this distance meet in one product, whose plaintext is their weights: it depends on the
//! slot only through c', so that it repeats with period C and is a polynomial in X^(N/2C). With shift
//! the least distance no rotation is negative. Of a giant step, a multiple of g below C, the
//! plaintext is moved the other way beforehand.
//!
//! Gazelle packs each channel in one piece instead. Its plaintexts are then dense polynomials, which
//! cost a transform of size N for each product or the memory to keep them, and 2^13 times the error
//! where ours have 2C coefficients; in return its rotations by channels are cyclic, and ours meet
//! C - 1 distances more for every run of neighbouring taps.

use super::circuit::{Circuit, Packing, Product, lines};
use crate::phases::{Phase, phases};
use sci_core::Result;
use sci_core::geometry::ConvGeometry;
use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;

/// The phases that have a tap, and the largest offset on each axis: the same for all packings.
pub(super) struct Phases {
    phases: Arc<Vec<Phase>>,
    reach: [usize; 3],
}

impl Phases {
    /// # Errors
    /// As [`phases`].
    pub(super) fn of(geometry: &ConvGeometry) -> Result<Self> {
        let (phases, reach) = phases(geometry)?;
        Ok(Self { phases: Arc::new(phases), reach })
    }
}

/// A rotation distance, and whether it goes to the other row.
type Distance = (bool, i64);

/// The packing of a convolution.
#[derive(Debug)]
pub(super) struct ConvPacking {
    geometry: ConvGeometry,
    phases: Arc<Vec<Phase>>,
    reach: [usize; 3],
    /// Outputs of a tile on each axis.
    tile: [usize; 3],
    /// C.
    half: usize,
    /// The least distance.
    shift: i64,
    circuit: Circuit,
}

impl ConvPacking {
    /// Every sensible packing for rows of `row` slots.
    pub(super) fn for_each(
        geometry: &ConvGeometry,
        Phases { phases, reach }: &Phases,
        row: usize,
        mut visit: impl FnMut(Self),
    ) {
        let reach = *reach;
        let channels = geometry.in_channels() * phases.len();
        let needed = channels.max(geometry.out_channels()).div_ceil(2).next_power_of_two();
        let whole: usize = (0..3).map(|axis| geometry.output()[axis] + reach[axis]).product();
        // As many channels as fit beside each other in whole images, or more in smaller tiles.
        let least = (row / whole).checked_ilog2().map_or(1, |bits| 1 << bits).min(needed);
        let mut half = least;
        while half <= needed.min(4 * least) {
            for tile in tiles(geometry.output(), reach, row / half) {
                let mut packing = Self {
                    geometry: *geometry,
                    phases: Arc::clone(phases),
                    reach,
                    tile,
                    half,
                    shift: 0,
                    circuit: Circuit {
                        row,
                        requests: channels.div_ceil(2 * half),
                        period: 2 * half,
                        lines: Vec::new(),
                        step: 0,
                        giants: 0,
                        swap: false,
                        folds: Vec::new(),
                        fold_rows: false,
                        products: Vec::new(),
                    },
                };
                let distances = packing.distances();
                let mut step = half;
                while step > 0 {
                    packing.plan(&distances, step);
                    let circuit = packing.circuit.clone();
                    visit(Self { phases: Arc::clone(phases), circuit, ..packing });
                    step /= 2;
                }
            }
            half *= 2;
        }
    }

    fn channels(&self) -> usize {
        self.geometry.in_channels() * self.phases.len()
    }

    /// The input channel and the phase that a channel stands for: group by group, and phase by phase
    /// within a group, so that most requests hold one phase and meet its taps only.
    fn source(&self, channel: usize) -> (usize, usize) {
        let group_in = self.geometry.group_in();
        let per_group = group_in * self.phases.len();
        let within = channel % per_group;
        (channel / per_group * group_in + within % group_in, within / group_in)
    }

    fn box_shape(&self) -> [usize; 3] {
        [0, 1, 2].map(|axis| self.tile[axis] + self.reach[axis])
    }

    fn linear(&self, [d, h, w]: [usize; 3]) -> usize {
        let [_, height, width] = self.box_shape();
        (d * height + h) * width + w
    }

    fn tiles_along(&self) -> [usize; 3] {
        let output = self.geometry.output();
        [0, 1, 2].map(|axis| output[axis].div_ceil(self.tile[axis]))
    }

    fn tile_count(&self) -> usize {
        self.tiles_along().iter().product()
    }

    /// The outputs of a tile on each axis.
    fn tile_outputs(&self, tile: usize) -> [Range<usize>; 3] {
        let [_, h, w] = self.tiles_along();
        let at = [tile / (h * w), tile / w % h, tile % w];
        [0, 1, 2].map(|axis| {
            let first = at[axis] * self.tile[axis];
            first..(first + self.tile[axis]).min(self.geometry.output()[axis])
        })
    }

    /// Channels (or filters) of a block, by their number in it.
    fn members(&self, block: usize, all: usize) -> usize {
        (all - block * 2 * self.half).min(2 * self.half)
    }

    /// The distances between the channels of each request and the filters of each response, response
    /// by response.
    fn distances(&self) -> Vec<Vec<Arc<Vec<Distance>>>> {
        let (all, filters) = (self.channels(), self.geometry.out_channels());
        let block = 2 * self.half;
        // Without groups, blocks of one phase differ only in how many members they have.
        let mut known: HashMap<[usize; 4], Arc<Vec<Distance>>> = HashMap::new();
        (0..filters.div_ceil(block))
            .map(|response| {
                (0..all.div_ceil(block))
                    .map(|request| {
                        if self.geometry.groups() > 1 {
                            return Arc::new(self.pair_distances(response, request));
                        }
                        let (members, first) = (self.members(request, all), request * block);
                        let (_, phase) = self.source(first);
                        let (_, last) = self.source(first + members - 1);
                        let mixed = if phase == last { 0 } else { first + 1 };
                        let key = [self.members(response, filters), members, phase, mixed];
                        let found = known
                            .entry(key)
                            .or_insert_with(|| Arc::new(self.pair_distances(response, request)));
                        Arc::clone(found)
                    })
                    .collect()
            })
            .collect()
    }

    /// Phase by phase: the pairs of a channel and a filter that share a group, then the taps at their
    /// distances.
    fn pair_distances(&self, response: usize, request: usize) -> Vec<Distance> {
        let (half, geometry) = (self.half, &self.geometry);
        let (group_in, group_out) = (geometry.group_in(), geometry.group_out());
        let (first, above) = (request * 2 * half, response * 2 * half);
        let end = first + self.members(request, self.channels());
        let last_filter = above + self.members(response, geometry.out_channels());
        // Runs of channels of one phase of one group.
        let runs = first / group_in..(end - 1) / group_in + 1;
        // By row exchange and channel distance.
        let mut seen = vec![false; 2 * (2 * half - 1)];
        let mut met = Vec::new();
        let mut distances = BTreeSet::new();
        for start in runs.clone().take(self.phases.len()) {
            for run in (start..runs.end).step_by(self.phases.len()) {
                let group = run / self.phases.len();
                let channels = first.max(run * group_in)..end.min((run + 1) * group_in);
                let filters =
                    above.max(group * group_out)..last_filter.min((group + 1) * group_out);
                for place in filters.map(|filter| filter - above) {
                    for from in channels.clone().map(|channel| channel - first) {
                        let swap = usize::from(from / half != place / half);
                        let distance = from % half + half - 1 - place % half;
                        let at = swap * (2 * half - 1) + distance;
                        if !std::mem::replace(&mut seen[at], true) {
                            met.push((at, swap, distance));
                        }
                    }
                }
            }
            for (at, swap, distance) in met.drain(..) {
                seen[at] = false;
                for &(offset, _) in &self.phases[start % self.phases.len()].taps {
                    let amount = (self.linear(offset) * half + distance) as i64 - (half as i64 - 1);
                    distances.insert((swap == 1, amount));
                }
            }
        }
        distances.into_iter().collect()
    }

    /// Splits all distances into copies and giant steps of `step`.
    fn plan(&mut self, distances: &[Vec<Arc<Vec<Distance>>>], step: usize) {
        let every = || distances.iter().flatten().flat_map(|pair| pair.iter());
        let least = every().map(|&(_, amount)| amount).min().unwrap_or(0);
        self.shift = least;
        let circuit = &mut self.circuit;
        circuit.swap = every().any(|&(swap, _)| swap);
        circuit.step = step;
        let half = self.half;
        let giant = |amount: i64| (amount - least) as usize % half / step;
        let copy = |amount: i64| (amount - least) as usize - giant(amount) * step;
        circuit.giants = every().map(|&(_, amount)| giant(amount) + 1).max().unwrap_or(1);
        let copies: BTreeSet<usize> = every().map(|&(_, amount)| copy(amount)).collect();
        let index: HashMap<usize, usize> =
            copies.iter().enumerate().map(|(i, &amount)| (amount, i)).collect();
        let giants = circuit.giants;
        circuit.products = distances
            .iter()
            .map(|requests| {
                let mut products: Vec<Product> = requests
                    .iter()
                    .enumerate()
                    .flat_map(|(request, pair)| {
                        pair.iter().map(move |&(swap, amount)| (request, swap, amount))
                    })
                    .map(|(request, swap, amount)| Product {
                        request,
                        copy: index[&copy(amount)],
                        group: giant(amount) + giants * usize::from(swap),
                        amount,
                    })
                    .collect();
                products.sort_by_key(|product| product.group);
                products
            })
            .collect();
        let width = self.tile[2] + self.reach[2];
        self.circuit.lines = lines(&copies, width * half);
    }

    /// The slot of an output of a filter of a row.
    fn output_slot(&self, row: usize, place: usize, position: usize) -> usize {
        let slots = self.circuit.row as i64;
        let at = (position * self.half + place) as i64 + self.shift;
        row * self.circuit.row + at.rem_euclid(slots) as usize
    }
}

/// The numbers of outputs on each axis of tiles whose box holds at most `most` positions: for every
/// number of cuts in depth and height, as few in width as do.
fn tiles(output: [usize; 3], reach: [usize; 3], most: usize) -> Vec<[usize; 3]> {
    let sizes = |n: usize| {
        std::iter::successors(Some(n), move |&size| {
            // The next number of parts that lowers the size.
            (size > 1).then(|| n.div_ceil((n - 1) / (size - 1) + 1))
        })
    };
    let mut best: Option<(usize, usize)> = None;
    let mut found = Vec::new();
    for d in sizes(output[0]) {
        for h in sizes(output[1]) {
            let area = (d + reach[0]) * (h + reach[1]);
            let Some(w) = sizes(output[2]).find(|w| area * (w + reach[2]) <= most) else {
                continue;
            };
            let count: usize = [d, h, w].iter().zip(output).map(|(t, n)| n.div_ceil(*t)).product();
            let key = (count, area * (w + reach[2]));
            if best.is_none_or(|best| key < best) {
                best = Some(key);
                found = vec![[d, h, w]];
            }
        }
    }
    found
}

impl Packing for ConvPacking {
    fn circuit(&self) -> &Circuit {
        &self.circuit
    }

    fn units(&self) -> usize {
        self.geometry.batch() * self.tile_count()
    }

    fn lengths(&self) -> [usize; 3] {
        [self.geometry.input_len(), self.geometry.weight_len(), self.geometry.output_len()]
    }

    fn fill(&self, unit: usize, request: usize, x: &[u64], slots: &mut [u64]) {
        let geometry = &self.geometry;
        let (window, input) = (geometry.window(), geometry.input());
        let (image, tile) = (unit / self.tile_count(), unit % self.tile_count());
        let [_, height, width] = self.box_shape();
        let first = self.tile_outputs(tile).map(|range| range.start);
        for place in 0..self.members(request, self.channels()) {
            let channel = request * 2 * self.half + place;
            let (channel, phase) = self.source(channel);
            let shift = self.phases[phase].shift;
            let plane = image * geometry.in_channels() + channel;
            let source = &x[plane * geometry.input_plane()..][..geometry.input_plane()];
            let coordinate = |axis: usize, i: usize| {
                ((first[axis] + i) * window.stride[axis] + shift[axis])
                    .checked_sub(window.pad_before[axis])
                    .filter(|&i| i < input[axis])
            };
            let base = place / self.half * self.circuit.row + place % self.half;
            for line in 0..self.box_shape()[0] * height {
                let (d, h) = (coordinate(0, line / height), coordinate(1, line % height));
                let Some((d, h)) = d.zip(h) else { continue };
                let row = &source[(d * input[1] + h) * input[2]..][..input[2]];
                for j in 0..width {
                    if let Some(w) = coordinate(2, j) {
                        slots[base + (line * width + j) * self.half] = row[w];
                    }
                }
            }
        }
    }

    fn plaintext(&self, response: usize, product: &Product, weights: &[u64], out: &mut [u64]) {
        let (half, geometry) = (self.half, &self.geometry);
        let giants = self.circuit.giants;
        let (swap, giant) = (product.group / giants, product.group % giants);
        let [_, height, width] = self.box_shape();
        out.fill(0);
        for place in 0..self.members(response, geometry.out_channels()) {
            let filter = response * 2 * half + place;
            let (row, place) = (place / half, place % half);
            // In lin(d)·C + c - c' the channel is what is left over.
            let sum = product.amount + place as i64;
            let (base, from) = (sum.div_euclid(half as i64), sum.rem_euclid(half as i64));
            let Ok(base) = usize::try_from(base) else { continue };
            let channel = request_channel(product.request, half, row ^ swap, from as usize);
            let (channel, phase) = self.source(channel);
            let Some(within) = channel
                .checked_sub(filter / geometry.group_out() * geometry.group_in())
                .filter(|&within| within < geometry.group_in())
            else {
                continue;
            };
            let offset = [base / (height * width), base / width % height, base % width];
            let Some(&(_, tap)) = self.phases[phase].taps.iter().find(|(at, _)| *at == offset)
            else {
                continue;
            };
            let taps = geometry.window().taps();
            // The sum stands giant·step slots further until that rotation is made, and in the other
            // row if rows are exchanged after it.
            let class = (place as i64 + self.shift + (giant * self.circuit.step) as i64)
                .rem_euclid(half as i64) as usize;
            out[(row ^ swap) * half + class] =
                weights[(filter * geometry.group_in() + within) * taps + tap];
        }
    }

    fn outputs(&self, unit: usize, response: usize, visit: &mut dyn FnMut(usize, usize)) {
        let geometry = &self.geometry;
        let (image, tile) = (unit / self.tile_count(), unit % self.tile_count());
        let [_, height, width] = geometry.output();
        let [ds, hs, ws] = self.tile_outputs(tile);
        for place in 0..self.members(response, geometry.out_channels()) {
            let filter = response * 2 * self.half + place;
            let plane = image * geometry.out_channels() + filter;
            for d in ds.clone() {
                for h in hs.clone() {
                    for w in ws.clone() {
                        let at = self.linear([d - ds.start, h - hs.start, w - ws.start]);
                        visit(
                            self.output_slot(place / self.half, place % self.half, at),
                            plane * geometry.positions() + (d * height + h) * width + w,
                        );
                    }
                }
            }
        }
    }

    fn repeats(&self) -> Option<usize> {
        None
    }
}

/// The channel in a slot of class `place` of a row of a request.
fn request_channel(request: usize, half: usize, row: usize, place: usize) -> usize {
    request * 2 * half + row * half + place
}

#[cfg(test)]
mod tests {
    use super::*;
    use sci_core::geometry::{ConvSpec, Window};

    /// Every pair of a channel and a filter of one group at every tap of the channel's phase.
    #[test]
    fn distances_are_those_of_all_pairs() {
        let strided = Window::new([1, 3, 4]).with_stride([1, 2, 3]);
        for ([in_channels, out_channels, groups], window) in [
            ([6, 5, 1], Window::new([1, 3, 3])),
            ([5, 7, 1], strided),
            ([12, 8, 4], strided),
            ([9, 9, 9], strided.with_dilation([1, 1, 2])),
            ([40, 20, 2], Window::new([1, 2, 1]).with_stride([1, 2, 1])),
        ] {
            let input = [1, 40, 41];
            let spec = ConvSpec { batch: 1, in_channels, out_channels, groups, input, window };
            let geometry = ConvGeometry::new(spec).unwrap();
            let phases = Phases::of(&geometry).unwrap();
            ConvPacking::for_each(&geometry, &phases, 2048, |packing| {
                let (all, block, half) =
                    (packing.channels(), 2 * packing.half, packing.half as i64);
                for response in 0..out_channels.div_ceil(block) {
                    for request in 0..all.div_ceil(block) {
                        let mut expected = BTreeSet::new();
                        for to in 0..packing.members(response, out_channels) {
                            for from in 0..packing.members(request, all) {
                                let (channel, phase) = packing.source(request * block + from);
                                let filter = response * block + to;
                                if channel / geometry.group_in() != filter / geometry.group_out() {
                                    continue;
                                }
                                let swap = from / packing.half != to / packing.half;
                                for &(offset, _) in &packing.phases[phase].taps {
                                    let at = packing.linear(offset) as i64 * half;
                                    let place = |member: usize| member as i64 % half;
                                    expected.insert((swap, at + place(from) - place(to)));
                                }
                            }
                        }
                        let got = packing.pair_distances(response, request);
                        assert!(got.into_iter().eq(expected), "{spec:?}");
                    }
                }
            });
        }
    }
}
