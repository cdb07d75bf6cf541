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
//! *Coefficients.* A request holds C channels of a tile, a response F filters, C·F·P <= N. With
//! lin(.) the row-major index in the box and R = lin(largest offset),
//!
//! ```text
//! position i of channel c:                 X^(c·P + i)
//! tap at offset d of filter m, channel c:  X^(m·C·P + (C-1-c)·P + R - lin(d))
//! output o of filter m:                    X^(m·C·P + (C-1)·P + R + lin(o))
//! ```
//!
//! A product of two coefficients lands at an output of filter m exactly if it belongs to it: the
//! exponent difference is (m'-m)·C·P + (c-c')·P + (i - lin(d) - lin(o)) with the last term strictly
//! between -P and P, since lin(d) + lin(o) < P; and it reaches N, where the sign turns, only outside
//! of the outputs, since it is below F·C·P.
//!
//! *Groups.* A filter of another group has no coefficients at a channel; only the products of a
//! filter block with channel blocks that share a group are made.

use sci_core::geometry::ConvGeometry;
use std::ops::Range;

/// One residue class of the taps.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Phase {
    shift: [usize; 3],
    /// Offset and index in the kernel.
    taps: Vec<([usize; 3], usize)>,
}

/// The layout of one convolution for one ring degree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    geometry: ConvGeometry,
    phases: Vec<Phase>,
    /// The largest offset on each axis.
    reach: [usize; 3],
    /// Outputs of a tile on each axis.
    tile: [usize; 3],
    channels: usize,
    filters: usize,
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

/// Coordinates of a response: its place in the order of sending is that of the fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Response {
    /// Block of filters.
    pub block: usize,
    /// Image of the batch.
    pub image: usize,
    /// Tile, row-major.
    pub tile: usize,
}

/// The distinct values of ceil(n / k), k = 1, 2, ..., from n down to 1.
fn block_sizes(n: usize) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(n), move |&size| {
        // The next number of blocks that lowers the size.
        (size > 1).then(|| n.div_ceil((n - 1) / (size - 1) + 1))
    })
}

impl Layout {
    /// Every sensible layout for degree `n`: tiles of equal size, the channels of a request, and as
    /// many filters as the rest of the coefficients holds.
    pub(super) fn for_each(geometry: &ConvGeometry, n: usize, mut visit: impl FnMut(Self)) {
        let (phases, reach) = phases(geometry);
        let [d, h, w] = geometry.output();
        let all_channels = geometry.in_channels() * phases.len();
        for tile_d in block_sizes(d) {
            for tile_h in block_sizes(h) {
                for tile_w in block_sizes(w) {
                    let tile = [tile_d, tile_h, tile_w];
                    let plane: usize = (0..3).map(|axis| tile[axis] + reach[axis]).product();
                    let planes = n / plane;
                    for channels in block_sizes(all_channels).filter(|&c| c <= planes) {
                        let filters = (planes / channels).min(geometry.out_channels());
                        let filters = geometry
                            .out_channels()
                            .div_ceil(geometry.out_channels().div_ceil(filters));
                        let phases = phases.clone();
                        let geometry = *geometry;
                        visit(Self { geometry, phases, reach, tile, channels, filters });
                    }
                }
            }
        }
    }

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

    /// The plaintext coefficients that accumulate into one response coefficient, at most.
    pub fn terms(&self) -> usize {
        self.filters * self.geometry.patch_len()
    }

    fn all_channels(&self) -> usize {
        self.geometry.in_channels() * self.phases.len()
    }

    fn channel_blocks(&self) -> usize {
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

    /// Responses of a run.
    pub fn responses(&self) -> usize {
        self.geometry.batch() * self.tiles() * self.filter_blocks()
    }

    /// Products of a run.
    pub fn products(&self) -> usize {
        self.geometry.batch() * self.tiles() * self.polynomials()
    }

    /// Polynomials of weights.
    pub fn polynomials(&self) -> usize {
        (0..self.filter_blocks()).map(|block| self.channel_range(block).len()).sum()
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

    /// The responses in the order of sending.
    pub fn response_order(&self) -> impl Iterator<Item = Response> + use<> {
        let (images, tiles, blocks) = (self.geometry.batch(), self.tiles(), self.filter_blocks());
        (0..blocks).flat_map(move |block| {
            (0..images)
                .flat_map(move |image| (0..tiles).map(move |tile| Response { block, image, tile }))
        })
    }

    /// Where request `block` of an image and tile stands among all requests.
    pub(super) fn request_index(&self, image: usize, tile: usize, block: usize) -> usize {
        (image * self.tiles() + tile) * self.channel_blocks() + block
    }

    /// Wanted coefficients of each response, in the order of sending.
    pub fn response_sizes(&self) -> impl Iterator<Item = usize> {
        self.response_order().map(|response| {
            let outputs: usize =
                self.tile_outputs(response.tile).iter().map(|range| range.len()).product();
            outputs * self.filter_range(response.block).len()
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
        let mut out = vec![0; channels.len() * plane];
        for (channel, out) in channels.zip(out.chunks_exact_mut(plane)) {
            let shift = self.phases[channel % self.phases.len()].shift;
            let image = request.image * geometry.in_channels() + channel / self.phases.len();
            let source = &x[image * geometry.input_plane()..][..geometry.input_plane()];
            let coordinate = |axis: usize, i: usize| {
                ((first[axis] + i) * window.stride[axis] + shift[axis])
                    .checked_sub(window.pad_before[axis])
                    .filter(|&i| i < input[axis])
            };
            for (i, line) in out.chunks_exact_mut(width).enumerate() {
                let (d, h) = (coordinate(0, i / height), coordinate(1, i % height));
                let Some((d, h)) = d.zip(h) else { continue };
                let row = &source[(d * input[1] + h) * input[2]..][..input[2]];
                for (j, slot) in line.iter_mut().enumerate() {
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
        let plane: usize = self.box_shape().iter().product();
        let taps = geometry.window().taps();
        let reach = self.linear(self.reach);
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
                let base = (m * self.channels + self.channels - 1 - c) * plane + reach;
                for &(offset, tap) in &phase.taps {
                    out[base - self.linear(offset)] = kernel[tap];
                }
            }
        }
    }

    /// The coefficients of a response that are outputs, and the index of each in the output tensor.
    pub fn wanted(&self, response: Response) -> (Vec<usize>, Vec<usize>) {
        let geometry = &self.geometry;
        let plane: usize = self.box_shape().iter().product();
        let [_, height, width] = geometry.output();
        let [ds, hs, ws] = self.tile_outputs(response.tile);
        let base = (self.channels - 1) * plane + self.linear(self.reach);
        let (mut coefficients, mut outputs) = (Vec::new(), Vec::new());
        for (m, filter) in self.filter_range(response.block).enumerate() {
            let channel = response.image * geometry.out_channels() + filter;
            for d in ds.clone() {
                for h in hs.clone() {
                    for w in ws.clone() {
                        let within = self.linear([d - ds.start, h - hs.start, w - ws.start]);
                        coefficients.push(m * self.channels * plane + base + within);
                        outputs.push(channel * geometry.positions() + (d * height + h) * width + w);
                    }
                }
            }
        }
        (coefficients, outputs)
    }
}

/// The phases that have a tap, and the largest offset on each axis.
fn phases(geometry: &ConvGeometry) -> (Vec<Phase>, [usize; 3]) {
    let window = geometry.window();
    let [kd, kh, kw] = window.kernel;
    let mut phases: Vec<Phase> = Vec::new();
    let mut reach = [0; 3];
    for tap in 0..kd * kh * kw {
        let at = [tap / (kh * kw), tap / kw % kh, tap % kw];
        let position = [0, 1, 2].map(|axis| at[axis] * window.dilation[axis]);
        let shift = [0, 1, 2].map(|axis| position[axis] % window.stride[axis]);
        let offset = [0, 1, 2].map(|axis| position[axis] / window.stride[axis]);
        reach = [0, 1, 2].map(|axis| reach[axis].max(offset[axis]));
        match phases.iter_mut().find(|phase| phase.shift == shift) {
            Some(phase) => phase.taps.push((offset, tap)),
            None => phases.push(Phase { shift, taps: vec![(offset, tap)] }),
        }
    }
    (phases, reach)
}
