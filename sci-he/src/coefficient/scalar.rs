//! Products by single weights: sums of multiples of shifted requests.
//!
//! Where few weights make up a polynomial (1x1 kernels with few channels in a request), a product is a
//! sum of w·(X^e·x) over them. The shifts are the same for every filter and made once for each request;
//! then a weight costs one multiply-accumulate of a vector, and no transform. Which layers do so follows
//! from their shape alone.

use super::Layer;
use super::weights::Weights;
use crate::cipher::Ciphertext;
use crate::kernels::{self, FILTERS};
use crate::params::LAZY;
use crate::workers::Workers;
use sci_core::Domain;
use std::ops::Range;
use zeroize::Zeroizing;

/// Coefficients of a pass that serves all filters: the shifted requests of it stay in the cache.
const SPAN: usize = 1024;

/// The shifts of all requests.
#[derive(Debug)]
pub(super) struct ScalarInbox {
    /// `[request][shift]`.
    shifted: Vec<Vec<Ciphertext>>,
}

/// The places of one polynomial that may hold a weight: filter m, channel c, tap.
fn places<D: Domain>(layer: &Layer<D>) -> Vec<(usize, usize, usize)> {
    let layout = &layer.layout;
    let Some(phase) = layout.phases.first() else { return Vec::new() };
    let mut all = Vec::new();
    for m in 0..layout.filters {
        for c in 0..layout.channels {
            all.extend((0..phase.taps.len()).map(|i| (m, c, i)));
        }
    }
    all
}

impl ScalarInbox {
    pub(super) fn new<D: Domain>(
        layer: &Layer<D>,
        workers: &Workers,
        requests: &[Ciphertext],
    ) -> Self {
        let (layout, context) = (&layer.layout, &*layer.context);
        let n = context.n();
        let Some(phase) = layout.phases.first() else { return Self { shifted: Vec::new() } };
        let monomials = places(layer).into_iter().map(|(m, c, i)| {
            let (at, negative) = layout.exponent(m, c, phase.taps[i].0, n);
            let mut small = vec![0i8; n];
            small[at] = if negative { -1 } else { 1 };
            context.transform_small(&small)
        });
        let monomials: Vec<_> = monomials.collect();
        let shifted = workers.map(requests.len(), |i| {
            monomials.iter().map(|monomial| requests[i].times(context, monomial)).collect()
        });
        Self { shifted }
    }

    /// The sums of these leaves: `[prime][half][leaf][N]`, written to `sums`.
    pub(super) fn sums<D: Domain>(
        &self,
        layer: &Layer<D>,
        workers: &Workers,
        weights: &Weights,
        leaves: Range<usize>,
        sums: &mut Vec<u32>,
    ) {
        let (layout, context) = (&layer.layout, &*layer.context);
        let (n, count) = (context.n(), leaves.len());
        // Leaves of one tile in fours; the last four of a tile may be fewer.
        let mut fours: Vec<Range<usize>> = Vec::new();
        for leaf in leaves.clone() {
            let tile = |leaf: usize| (layout.leaf(leaf).image, layout.leaf(leaf).tile);
            match fours.last_mut() {
                Some(four) if four.len() < FILTERS && tile(four.start) == tile(leaf) => {
                    four.end += 1;
                }
                _ => fours.push(leaf..leaf + 1),
            }
        }
        let places = places(layer);
        sums.resize(2 * context.moduli.len() * count * n, 0);
        workers.chunks(sums, count * n, |task, out| {
            let (prime, half) = (task / 2, task % 2);
            let Some(c) = context.moduli.get(prime) else { return };
            let weights: Vec<_> = fours
                .iter()
                .map(|four| self.residues(layer, &places, weights, four, |w| c.weight(w)))
                .collect();
            let mut spare = Zeroizing::new([[0u32; SPAN]; FILTERS]);
            let mut gathered: Vec<u32> = Vec::new();
            for span in (0..n).step_by(SPAN) {
                let mut held = None;
                for (four, weights) in fours.iter().zip(&weights) {
                    let leaf = layout.leaf(four.start);
                    let first = layout.request_index(leaf.image, leaf.tile, 0);
                    if held != Some(first) {
                        held = Some(first);
                        let requests = &self.shifted[first..first + layout.channel_blocks()];
                        gathered.clear();
                        for at in (span..span + SPAN).step_by(kernels::STEP) {
                            let range = prime * n + at..prime * n + at + kernels::STEP;
                            for x in requests.iter().flatten() {
                                let half = if half == 0 { &x.c0 } else { &x.c1 };
                                gathered.extend_from_slice(&half[range.clone()]);
                            }
                        }
                    }
                    let own = &mut out[(four.start - leaves.start) * n..][..four.len() * n];
                    let mut places = own
                        .chunks_exact_mut(n)
                        .map(|leaf| &mut leaf[span..span + SPAN])
                        .chain(spare.iter_mut().map(|spare| &mut spare[..]));
                    let four: [Option<&mut [u32]>; FILTERS] = [(); FILTERS].map(|()| places.next());
                    if let [Some(b0), Some(b1), Some(b2), Some(b3)] = four {
                        kernels::scalar_dot(&c.m, LAZY, weights, &gathered, [b0, b1, b2, b3]);
                    }
                }
            }
        });
    }

    /// The weights of four filters' blocks in the order of the shifted requests.
    fn residues<D: Domain>(
        &self,
        layer: &Layer<D>,
        places: &[(usize, usize, usize)],
        weights: &Weights,
        four: &Range<usize>,
        residue: impl Fn(i32) -> u32,
    ) -> Zeroizing<Vec<[u64; FILTERS]>> {
        let layout = &layer.layout;
        let Some(phase) = layout.phases.first() else { return Zeroizing::new(Vec::new()) };
        let mut all = Zeroizing::new(Vec::with_capacity(layout.channel_blocks() * places.len()));
        for channel_block in 0..layout.channel_blocks() {
            for &(m, c, i) in places {
                let mut row = [0; FILTERS];
                for (row, leaf) in row.iter_mut().zip(four.clone()) {
                    let block = layout.leaf(leaf).block;
                    let at = layout.weight_index((block, m), (channel_block, c), phase.taps[i].1);
                    *row = at.map_or(0, |at| u64::from(residue(weights.values[at])));
                }
                all.push(row);
            }
        }
        all
    }
}
