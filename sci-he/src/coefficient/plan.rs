//! The choice of a layout: of all tiles, pitches and packings the one that costs least.

use super::layout::Layout;
use super::scalar::shifted_bytes;
use crate::params::{Demand, MAX_LEVELS, Params, Privacy, SECURITY};
use crate::phases::{phases, too_wide};
use sci_core::geometry::ConvGeometry;
use sci_core::pack::packed_len;
use sci_core::{Domain, Result};
use std::collections::HashMap;

/// Requests times monomials for scalar products take at most this many bytes.
const MAX_COPIES: usize = 320 << 20;

/// What a nanosecond of one core is worth in bytes: a link of 64 Mbit/s.
const BYTES_PER_NANOSECOND: f64 = 0.008;

/// A layout with its parameters, and how its products are made.
#[derive(Debug)]
pub(super) struct Plan<D: Domain> {
    pub(super) layout: Layout,
    pub(super) params: Params<D>,
    /// Multiples of shifted requests by single weights, not transformed polynomials of weights.
    pub(super) scalar: bool,
    /// CPU seconds of both parties together.
    pub(super) seconds: f64,
}

/// Nanoseconds of the parts for one prime at N = 8192, as measured on one core with AVX-512; N scales
/// them all. They decide between layouts, never what is computed.
mod nanoseconds {
    pub(super) const TRANSFORM: f64 = 12_000.0;
    /// A pointwise product with both halves, weights from memory.
    pub(super) const PRODUCT: f64 = 3_000.0;
    /// The same with one short weight.
    pub(super) const SCALAR: f64 = 900.0;
    /// Weights to coefficients and residues.
    pub(super) const PLACE: f64 = 3_000.0;
    /// Sampling, expansion, rescaling and packing of bits, each.
    pub(super) const PASS: f64 = 15_000.0;
}

struct Candidate {
    degree: usize,
    tile: [usize; 3],
    channels: usize,
    pitch: usize,
    filters: usize,
    levels: u32,
    /// Of one image.
    tiles: usize,
    outputs: usize,
}

/// The distinct values of ceil(n / k), k = 1, 2, ..., from n down to 1.
fn block_sizes(n: usize) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(n), move |&size| {
        // The next number of blocks that lowers the size.
        (size > 1).then(|| n.div_ceil((n - 1) / (size - 1) + 1))
    })
}

pub(super) fn best<D: Domain>(
    geometry: &ConvGeometry,
    domain: D,
    weight_bound: u64,
    privacy: Privacy,
) -> Result<Plan<D>> {
    let (phases, reach) = phases(geometry)?;
    let all_channels = geometry.in_channels() * phases.len();
    let mut best: Option<(Score, Candidate, Params<D>)> = None;
    let mut refused = None;
    for (degree, _) in SECURITY {
        if degree > 8192 && best.is_some() {
            break;
        }
        let mut known: HashMap<(usize, u32), Option<Params<D>>> = HashMap::new();
        let mut params = |filters: usize, levels: u32| {
            let found = known.entry((filters, levels)).or_insert_with(|| {
                let terms = (filters * geometry.patch_len()) as u64;
                let demand = Demand { domain, weight_bound, terms, privacy };
                Params::with_packing(demand, degree, levels)
                    .map_err(|error| refused = Some(error))
                    .ok()
            });
            found.clone()
        };
        for_each(geometry, all_channels, reach, degree, |mut candidate| {
            loop {
                if let Some(params) = params(candidate.filters, candidate.levels) {
                    let score = score(geometry, all_channels, phases.len(), &candidate, &params);
                    if best.as_ref().is_none_or(|(least, ..)| score.total() < least.total()) {
                        best = Some((score, candidate, params));
                    }
                    break;
                }
                if candidate.levels == 0 {
                    break;
                }
                candidate.levels -= 1;
            }
        });
    }
    match (best, refused) {
        (Some((Score { scalar, seconds, .. }, candidate, params)), _) => {
            let Candidate { tile, channels, pitch, filters, levels, .. } = candidate;
            let geometry = *geometry;
            let layout = Layout {
                geometry,
                phases,
                reach,
                tile,
                channels,
                pitch,
                filters,
                levels,
                by_tile: scalar,
            };
            let params = params.cheapest_for(
                layout.requests(),
                layout.responses(),
                layout.geometry().output_len(),
            );
            Ok(Plan { layout, params, scalar, seconds })
        }
        (None, Some(error)) => Err(error),
        (None, None) => Err(too_wide(geometry)),
    }
}

/// Every sensible layout for one degree: tiles of equal size, every number of blocks of channels, the
/// pitch rounded up to a multiple of each power of two, as many filters as the rest of the coefficients
/// holds, and as many levels of packing as the pitch allows and the leaves can use.
fn for_each(
    geometry: &ConvGeometry,
    all_channels: usize,
    reach: [usize; 3],
    degree: usize,
    mut visit: impl FnMut(Candidate),
) {
    let output = geometry.output();
    let mut pitches: Vec<usize> = Vec::new();
    for channels in block_sizes(all_channels).filter(|&c| c <= degree) {
        pitches.extend((0..=MAX_LEVELS).map(|e| channels.next_multiple_of(1 << e)));
    }
    pitches.sort_unstable();
    pitches.dedup();
    for tile_d in block_sizes(output[0]) {
        for tile_h in block_sizes(output[1]) {
            for tile_w in block_sizes(output[2]) {
                let tile = [tile_d, tile_h, tile_w];
                let plane: usize = (0..3).map(|axis| tile[axis] + reach[axis]).product();
                let tiles: usize = (0..3).map(|axis| output[axis].div_ceil(tile[axis])).product();
                let planes = degree / plane;
                for &pitch in pitches.iter().take_while(|&&pitch| pitch <= planes) {
                    let blocks = all_channels.div_ceil(pitch.min(all_channels));
                    let channels = all_channels.div_ceil(blocks);
                    let filters = (planes / pitch).min(geometry.out_channels());
                    let blocks = geometry.out_channels().div_ceil(filters);
                    let filters = geometry.out_channels().div_ceil(blocks);
                    let leaves = geometry.batch() * tiles * blocks;
                    let levels = pitch
                        .trailing_zeros()
                        .min(leaves.next_power_of_two().trailing_zeros())
                        .min(MAX_LEVELS);
                    let outputs = geometry.output_len();
                    visit(Candidate {
                        degree,
                        tile,
                        channels,
                        pitch,
                        filters,
                        levels,
                        tiles,
                        outputs,
                    });
                }
            }
        }
    }
}

/// What a candidate costs.
struct Score {
    bytes: usize,
    /// On one core, both parties together.
    seconds: f64,
    /// Whether single weights are the cheaper way to multiply.
    scalar: bool,
}

impl Score {
    /// Bytes, and time in bytes.
    fn total(&self) -> f64 {
        self.bytes as f64 + BYTES_PER_NANOSECOND * 1e9 * self.seconds
    }
}

fn score<D: Domain>(
    geometry: &ConvGeometry,
    all_channels: usize,
    phases: usize,
    candidate: &Candidate,
    params: &Params<D>,
) -> Score {
    let n = candidate.degree;
    let scale = n as f64 / 8192.0;
    let primes = params.primes().len();
    let images = geometry.batch() * candidate.tiles;
    let channel_blocks = all_channels.div_ceil(candidate.channels);
    let filter_blocks = geometry.out_channels().div_ceil(candidate.filters);
    let requests = images * channel_blocks;
    let leaves = images * filter_blocks;
    let responses = leaves.div_ceil(1 << candidate.levels);
    let bytes = requests * (16 + n * params.request_bits() as usize / 8)
        + responses * packed_len(n, params.c1_bits())
        + packed_len(candidate.outputs, params.c0_bits());
    // Blocks of channels that share a group with a block of filters.
    let groups = geometry.groups();
    let touched = candidate.filters.div_ceil(geometry.group_out()).min(groups);
    let met =
        (touched * (all_channels / groups)).div_ceil(candidate.channels) + usize::from(groups > 1);
    let polynomials = (filter_blocks * met.min(channel_blocks)) as f64;
    let products = polynomials * images as f64;
    let taps = geometry.window().taps() * candidate.channels * candidate.filters;
    let copies = shifted_bytes(requests, taps, n * primes);
    use nanoseconds::{PASS, PLACE, PRODUCT, SCALAR, TRANSFORM};
    let pointwise = polynomials * (TRANSFORM + PLACE) + products * PRODUCT;
    let multiples = products * taps as f64 * SCALAR;
    let scalar = phases == 1 && groups == 1 && copies <= MAX_COPIES && multiples < pointwise;
    let digits = params.packing().map_or(0, |packing| packing.primes().len() - 1) as f64;
    let joins =
        (leaves - responses) as f64 * (digits + 1.0) * ((digits + 2.0) * TRANSFORM + 2.0 * PASS);
    let prime = primes as f64;
    let time = prime * if scalar { multiples } else { pointwise }
        + requests as f64 * prime * (2.0 * TRANSFORM + 5.0 * PASS)
        + leaves as f64 * prime * (3.0 * TRANSFORM + 2.0 * PASS)
        + joins
        + responses as f64 * 6.0 * (TRANSFORM + PASS);
    Score { bytes, seconds: 1e-9 * scale * time, scalar }
}
