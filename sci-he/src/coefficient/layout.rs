//! Which tensor element is which coefficient.
//!
//! *Phases.* A convolution of stride s reads the padded input at o·s + k·dilation. The taps with
//! k·dilation = r mod s see only every s-th position: phase r of a channel is a channel of its own
//! whose tap k has the offset floor(k·dilation/s) at stride 1. Phases without a tap are not sent.
//! Stride, dilation and padding are gone after this; below, channel means such a phase.
//!
//! *Tiles.* The output is cut into tiles; a tile reads a box of P positions of a channel, its outputs
//! plus the largest offset on each axis.
//!
//! *Coefficients.* A request holds C channels of a tile. With lin(.) the row-major index in the box, R =
//! lin(largest offset), a pitch p >= C, F filters in one product and S = F·p, P·S <= N,
//!
//! ```text
//! position i of channel c:                 X^(i·S + c)
//! tap at offset d of filter m, channel c:  X^((R - lin(d))·S + m·p - c)
//! output o of filter m:                    X^((R + lin(o))·S + m·p)
//! ```
//!
//! where X^-1 = -X^(N-1). A product of two coefficients lands at an output of filter m exactly if it
//! belongs to it: the exponent difference is (i - lin(d) - lin(o))·S + (m'-m)·p + (c-c'), of which the
//! last two are below S together and the first is a multiple of S strictly between -P·S and P·S, since
//! lin(d) + lin(o) < P; so all of it stays below N and vanishes only if i = lin(d) + lin(o), which is
//! injective in the box, m' = m and c' = c.
//!
//! *Packing.* All outputs stand at multiples of gcd(p, S) = p. If 2^d divides p, up to 2^d such
//! products, here called leaves, are [packed](crate::packing) into one response.
//!
//! *Groups.* A filter of another group has no coefficients at a channel; only the products of a
//! filter block with channel blocks that share a group are made.

use crate::packing::reversed;
use crate::phases::Phase;
use sci_core::geometry::ConvGeometry;
use std::ops::Range;

/// The layout of one convolution for one ring degree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    pub(super) geometry: ConvGeometry,
    pub(super) phases: Vec<Phase>,
    /// The largest offset on each axis.
    pub(super) reach: [usize; 3],
    /// Outputs of a tile on each axis.
    pub(super) tile: [usize; 3],
    pub(super) channels: usize,
    pub(super) pitch: usize,
    pub(super) filters: usize,
    pub(super) levels: u32,
    /// Whether the leaves of a tile follow each other, not those of a block of filters.
    pub(super) by_tile: bool,
}

/// Coordinates of a request: its place in the order of sending is that of the fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// Image of the batch.
    pub image: usize,
    /// Tile, row-major.
    pub tile: usize,
    /// Block of channels.
    pub block: usize,
}

/// What one sum of products gives: the outputs of a block of filters at a tile of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// Block of filters.
    pub block: usize,
    /// Image of the batch.
    pub image: usize,
    /// Tile, row-major.
    pub tile: usize,
}

impl Layout {
    /// The shape.
    pub fn geometry(&self) -> &ConvGeometry {
        &self.geometry
    }

    /// F.
    pub fn filters_per_response(&self) -> usize {
        self.filters
    }

    /// C.
    pub fn channels_per_request(&self) -> usize {
        self.channels
    }

    /// d: up to 2^d leaves share a response.
    pub fn levels(&self) -> u32 {
        self.levels
    }

    /// The plaintext coefficients that accumulate into one response coefficient, at most.
    pub fn terms(&self) -> usize {
        self.filters * self.geometry.patch_len()
    }

    pub(super) fn all_channels(&self) -> usize {
        self.geometry.in_channels() * self.phases.len()
    }

    pub(super) fn channel_blocks(&self) -> usize {
        self.all_channels().div_ceil(self.channels)
    }

    /// Blocks of filters.
    pub fn filter_blocks(&self) -> usize {
        self.geometry.out_channels().div_ceil(self.filters)
    }

    fn tiles_along(&self) -> [usize; 3] {
        let output = self.geometry.output();
        [0, 1, 2].map(|axis| output[axis].div_ceil(self.tile[axis]))
    }

    /// Tiles of one image.
    pub fn tiles(&self) -> usize {
        self.tiles_along().iter().product()
    }

    /// Requests of a run.
    pub fn requests(&self) -> usize {
        self.geometry.batch() * self.tiles() * self.channel_blocks()
    }

    /// Leaves of a run.
    pub fn leaves(&self) -> usize {
        self.geometry.batch() * self.tiles() * self.filter_blocks()
    }

    /// Responses of a run.
    pub fn responses(&self) -> usize {
        self.leaves().div_ceil(1 << self.levels)
    }

    /// Products of a run.
    pub fn products(&self) -> usize {
        self.geometry.batch() * self.tiles() * self.polynomials()
    }

    /// Polynomials of weights.
    pub fn polynomials(&self) -> usize {
        (0..self.filter_blocks()).map(|block| self.channel_range(block).len()).sum()
    }

    /// Polynomials of weights of the blocks before this one.
    pub(super) fn polynomials_before(&self, block: usize) -> usize {
        if self.geometry.groups() == 1 {
            return block * self.channel_blocks();
        }
        (0..block).map(|block| self.channel_range(block).len()).sum()
    }

    /// Wanted coefficients as a share of all coefficients of the responses.
    pub fn fill(&self, degree: usize) -> f64 {
        self.geometry.output_len() as f64 / (self.responses() * degree) as f64
    }

    /// The requests in the order of sending.
    pub fn request_order(&self) -> impl Iterator<Item = Request> + use<> {
        let (images, tiles, blocks) = (self.geometry.batch(), self.tiles(), self.channel_blocks());
        (0..images).flat_map(move |image| {
            (0..tiles)
                .flat_map(move |tile| (0..blocks).map(move |block| Request { image, tile, block }))
        })
    }

    /// Leaf number `index`.
    pub fn leaf(&self, index: usize) -> Leaf {
        let (images, tiles, blocks) = (self.geometry.batch(), self.tiles(), self.filter_blocks());
        match self.by_tile {
            true => Leaf {
                image: index / blocks / tiles,
                tile: index / blocks % tiles,
                block: index % blocks,
            },
            false => Leaf {
                block: index / tiles / images,
                image: index / tiles % images,
                tile: index % tiles,
            },
        }
    }

    /// The leaves of a response.
    pub fn leaf_range(&self, response: usize) -> Range<usize> {
        let first = response << self.levels;
        first..(first + (1 << self.levels)).min(self.leaves())
    }

    /// Where request `block` of an image and tile stands among all requests.
    pub(super) fn request_index(&self, image: usize, tile: usize, block: usize) -> usize {
        (image * self.tiles() + tile) * self.channel_blocks() + block
    }

    /// Wanted coefficients of a leaf.
    pub(super) fn leaf_len(&self, leaf: Leaf) -> usize {
        let outputs: usize = self.tile_outputs(leaf.tile).iter().map(|range| range.len()).product();
        outputs * self.filter_range(leaf.block).len()
    }

    /// Wanted coefficients of each response, in the order of sending.
    pub fn response_sizes(&self) -> impl Iterator<Item = usize> {
        (0..self.responses()).map(|response| {
            self.leaf_range(response).map(|index| self.leaf_len(self.leaf(index))).sum()
        })
    }

    fn filter_range(&self, block: usize) -> Range<usize> {
        let first = block * self.filters;
        first..(first + self.filters).min(self.geometry.out_channels())
    }

    /// The channel blocks that share a group with a block of filters.
    pub(super) fn channel_range(&self, filter_block: usize) -> Range<usize> {
        let filters = self.filter_range(filter_block);
        let per_group = self.geometry.group_in() * self.phases.len();
        let first = filters.start / self.geometry.group_out() * per_group;
        let end = ((filters.end - 1) / self.geometry.group_out() + 1) * per_group;
        first / self.channels..end.div_ceil(self.channels)
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

    fn box_shape(&self) -> [usize; 3] {
        [0, 1, 2].map(|axis| self.tile[axis] + self.reach[axis])
    }

    fn linear(&self, [d, h, w]: [usize; 3]) -> usize {
        let [_, height, width] = self.box_shape();
        (d * height + h) * width + w
    }

    /// The coefficients of a request from one party's share of the input.
    pub fn input_coefficients(&self, request: Request, x: &[u64]) -> Vec<u64> {
        let geometry = &self.geometry;
        let (window, input) = (geometry.window(), geometry.input());
        let [depth, height, width] = self.box_shape();
        let plane = depth * height * width;
        let first = self.tile_outputs(request.tile).map(|range| range.start);
        let channels = request.block * self.channels
            ..((request.block + 1) * self.channels).min(self.all_channels());
        let step = self.pitch * self.filters;
        let mut out = vec![0; plane * step];
        for (c, channel) in channels.enumerate() {
            let shift = self.phases[channel % self.phases.len()].shift;
            let image = request.image * geometry.in_channels() + channel / self.phases.len();
            let source = &x[image * geometry.input_plane()..][..geometry.input_plane()];
            let coordinate = |axis: usize, i: usize| {
                ((first[axis] + i) * window.stride[axis] + shift[axis])
                    .checked_sub(window.pad_before[axis])
                    .filter(|&i| i < input[axis])
            };
            for (i, line) in out.chunks_exact_mut(width * step).enumerate() {
                let (d, h) = (coordinate(0, i / height), coordinate(1, i % height));
                let Some((d, h)) = d.zip(h) else { continue };
                let row = &source[(d * input[1] + h) * input[2]..][..input[2]];
                for (j, slot) in line.iter_mut().skip(c).step_by(step).enumerate() {
                    if let Some(w) = coordinate(2, j) {
                        *slot = row[w];
                    }
                }
            }
        }
        out
    }

    /// The coefficients of the weights of a filter block at a channel block.
    pub(super) fn weight_coefficients(
        &self,
        filter_block: usize,
        channel_block: usize,
        weights: &[i32],
        out: &mut [i32],
    ) {
        let geometry = &self.geometry;
        let taps = geometry.window().taps();
        out.fill(0);
        for (m, filter) in self.filter_range(filter_block).enumerate() {
            let group = filter / geometry.group_out();
            for c in 0..self.channels {
                let channel = channel_block * self.channels + c;
                let phase = &self.phases[channel % self.phases.len()];
                let Some(within) = (channel / self.phases.len())
                    .checked_sub(group * geometry.group_in())
                    .filter(|&within| within < geometry.group_in())
                else {
                    continue;
                };
                let kernel = &weights[(filter * geometry.group_in() + within) * taps..][..taps];
                for &(offset, tap) in &phase.taps {
                    let (at, negative) = self.exponent(m, c, offset, out.len());
                    out[at] = if negative { -kernel[tap] } else { kernel[tap] };
                }
            }
        }
    }

    /// Where the tap of filter m and channel c at an offset stands in a polynomial of degree n, and
    /// whether it is negated there.
    pub(super) fn exponent(
        &self,
        m: usize,
        c: usize,
        offset: [usize; 3],
        n: usize,
    ) -> (usize, bool) {
        let step = self.pitch * self.filters;
        let at = (self.linear(self.reach) - self.linear(offset)) * step + m * self.pitch;
        if at >= c { (at - c, false) } else { (n + at - c, true) }
    }

    /// The index of the weight of filter m of a block and channel c of a block at a tap, if there is one.
    pub(super) fn weight_index(
        &self,
        (filter_block, m): (usize, usize),
        (channel_block, c): (usize, usize),
        tap: usize,
    ) -> Option<usize> {
        let geometry = &self.geometry;
        let filter = filter_block * self.filters + m;
        let channel = (channel_block * self.channels + c) / self.phases.len();
        let group = (filter < geometry.out_channels()).then_some(filter / geometry.group_out())?;
        let within = channel.checked_sub(group * geometry.group_in())?;
        (within < geometry.group_in())
            .then(|| (filter * geometry.group_in() + within) * geometry.window().taps() + tap)
    }

    /// The wanted coefficients of a leaf and the places of their values in the output.
    pub(super) fn wanted(&self, leaf: Leaf) -> (Vec<usize>, Vec<usize>) {
        let geometry = &self.geometry;
        let [_, height, width] = geometry.output();
        let [ds, hs, ws] = self.tile_outputs(leaf.tile);
        let (base, step) = (self.linear(self.reach), self.pitch * self.filters);
        let (mut coefficients, mut outputs) = (Vec::new(), Vec::new());
        for (m, filter) in self.filter_range(leaf.block).enumerate() {
            let channel = leaf.image * geometry.out_channels() + filter;
            for d in ds.clone() {
                for h in hs.clone() {
                    for w in ws.clone() {
                        let within = self.linear([d - ds.start, h - hs.start, w - ws.start]);
                        coefficients.push((base + within) * step + m * self.pitch);
                        outputs.push(channel * geometry.positions() + (d * height + h) * width + w);
                    }
                }
            }
        }
        (coefficients, outputs)
    }

    /// The wanted coefficients of a whole response and the places of their values.
    pub fn wanted_of(&self, response: usize) -> (Vec<usize>, Vec<usize>) {
        let (mut coefficients, mut outputs) = (Vec::new(), Vec::new());
        for (j, index) in self.leaf_range(response).enumerate() {
            let (at, places) = self.wanted(self.leaf(index));
            coefficients.extend(at.iter().map(|at| at + reversed(j, self.levels)));
            outputs.extend(places);
        }
        (coefficients, outputs)
    }
}
