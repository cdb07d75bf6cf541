//! Products by single weights: sums of multiples of shifted requests.
//!
//! Where few weights make up a polynomial (1x1 kernels with few channels in a request), a product is a
//! sum of w·(X^e·x) over them. The shifts are the same for every filter and made once for each request;
//! then a weight costs one multiply-accumulate of a vector by a [short integer](crate::kernels::pairs), and no
//! transform. Which layers do so follows from their shape alone.

use super::Layer;
use super::weights::Weights;
use crate::cipher::Ciphertext;
use crate::kernels::{
    self,
    pairs::{self, FILTERS, PAIR, SPAN, STEP, Sums},
};
use crate::workers::Workers;
use sci_core::Domain;
use std::ops::Range;
use zeroize::{Zeroize, Zeroizing};

/// Leaves of one tile that share a pass over its requests.
type Group = Range<usize>;

/// The shifts of all requests.
#[derive(Debug)]
pub(super) struct ScalarInbox {
    /// Pairs of shifts in a tile.
    pairs: usize,
    /// For each tile of each image `[prime][half][step][pair][PAIR]`.
    tiles: Vec<Vec<u32>>,
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

/// Bytes that the shifts of so many requests take.
pub(super) fn shifted_bytes(requests: usize, places: usize, poly_len: usize) -> usize {
    requests * places * 8 * poly_len
}

impl ScalarInbox {
    /// From the requests in the order of sending.
    pub(super) fn new<D: Domain>(
        layer: &Layer<D>,
        workers: &Workers,
        requests: &[Ciphertext],
    ) -> Self {
        let (layout, context) = (&layer.layout, &*layer.context);
        let n = context.n();
        let Some(phase) = layout.phases.first() else {
            return Self { pairs: 0, tiles: Vec::new() };
        };
        // `None` for the shift by nothing.
        let monomials = places(layer).into_iter().map(|(m, c, i)| {
            let (at, negative) = layout.exponent(m, c, phase.taps[i].0, n);
            if (at, negative) == (0, false) {
                return None;
            }
            let mut small = vec![0i8; n];
            small[at] = if negative { -1 } else { 1 };
            Some(context.transform_small(&small))
        });
        let monomials: Vec<_> = monomials.collect();
        let blocks = layout.channel_blocks();
        let shifts = blocks * monomials.len();
        let pairs = shifts.div_ceil(2);
        let task_len = n / STEP * pairs * PAIR;
        let tiles = requests.chunks(blocks.max(1)).map(|requests| {
            let mut tile = vec![0; 2 * context.moduli.len() * task_len];
            workers.chunks(&mut tile, task_len, |task, out| {
                let (prime, half) = (task / 2, task % 2);
                let Some(c) = context.moduli.get(prime) else { return };
                let range = prime * n..(prime + 1) * n;
                let mut two = [(); 2].map(|()| vec![0; n]);
                for pair in 0..pairs {
                    for (side, shifted) in two.iter_mut().enumerate() {
                        let at = 2 * pair + side;
                        let Some(x) = requests.get(at / monomials.len()) else {
                            // An odd number of shifts leaves half a pair.
                            shifted.fill(0);
                            continue;
                        };
                        let x = if half == 0 { &x.c0 } else { &x.c1 };
                        let x = &x[range.clone()];
                        match &monomials[at % monomials.len()] {
                            None => shifted.copy_from_slice(x),
                            Some(monomial) => {
                                let monomial = &monomial[range.clone()];
                                kernels::multiply(&c.m, c.one, x, monomial, shifted);
                            }
                        }
                    }
                    pairs::place(&two[0], &two[1], pairs * PAIR, &mut out[pair * PAIR..]);
                }
            });
            tile
        });
        Self { pairs, tiles: tiles.collect() }
    }

    /// Whether it can be that of a layer.
    pub(super) fn fits<D: Domain>(&self, layer: &Layer<D>) -> bool {
        let (layout, context) = (&layer.layout, &*layer.context);
        let len = 2 * context.poly_len() / STEP * self.pairs * PAIR;
        self.tiles.len() == layout.geometry.batch() * layout.tiles()
            && 2 * self.pairs >= layout.channel_blocks() * places(layer).len()
            && self.tiles.iter().all(|tile| tile.len() == len)
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
        let tile_of = |leaf: usize| {
            let leaf = layout.leaf(leaf);
            layout.request_index(leaf.image, leaf.tile, 0) / layout.channel_blocks().max(1)
        };
        let mut groups: Vec<Group> = Vec::new();
        for leaf in leaves.clone() {
            match groups.last_mut() {
                Some(group) if group.len() < FILTERS && tile_of(group.start) == tile_of(leaf) => {
                    group.end += 1;
                }
                _ => groups.push(leaf..leaf + 1),
            }
        }
        let bound = context.params().demand().weight_bound;
        let (limbs, most) = (pairs::limbs(bound), pairs::pairs_at_once(bound));
        let places = places(layer);
        let columns: Vec<Vec<_>> = groups
            .iter()
            .map(|group| {
                let limb =
                    |k| self.columns(layer, &places, weights, group, |w| pairs::limb(w, k, limbs));
                (0..limbs).map(limb).collect()
            })
            .collect();
        sums.resize(2 * context.moduli.len() * count * n, 0);
        let task_len = n / STEP * self.pairs * PAIR;
        workers.chunks(sums, count * n, |task, out| {
            let Some(c) = context.moduli.get(task / 2) else { return };
            let mut held: Box<Sums> = Box::new([[[0; SPAN]; 2]; FILTERS]);
            for at in (0..n).step_by(SPAN) {
                for (group, columns) in groups.iter().zip(&columns) {
                    let Some(tile) = self.tiles.get(tile_of(group.start)) else { continue };
                    let span = task * task_len + at / STEP * self.pairs * PAIR;
                    let x = &tile[span..span + SPAN / STEP * self.pairs * PAIR];
                    let own = &mut out[(group.start - leaves.start) * n..][..group.len() * n];
                    let mut keep = 0;
                    for (k, weights) in columns.iter().enumerate() {
                        let scaler = c.m.scaler((pairs::limb_weight(k) % u64::from(c.m.p)) as u32);
                        for (number, weights) in weights.chunks(most).enumerate() {
                            pairs::sums(weights, number * most, x, self.pairs, &mut held);
                            for (out, held) in own.chunks_exact_mut(n).zip(&*held) {
                                pairs::fold(&c.m, scaler, held, keep, &mut out[at..at + SPAN]);
                            }
                            keep = u32::MAX;
                        }
                    }
                }
            }
            held.as_flattened_mut().as_flattened_mut().zeroize();
        });
    }

    /// The short weights of a group's blocks in the order of the pairs.
    fn columns<D: Domain>(
        &self,
        layer: &Layer<D>,
        places: &[(usize, usize, usize)],
        weights: &Weights,
        group: &Group,
        short: impl Fn(i32) -> i16,
    ) -> Zeroizing<Vec<[u32; FILTERS]>> {
        let layout = &layer.layout;
        let mut columns = Zeroizing::new(vec![[0; FILTERS]; self.pairs]);
        let Some(phase) = layout.phases.first() else { return columns };
        for (f, leaf) in group.clone().enumerate() {
            let block = layout.leaf(leaf).block;
            let weight = |shift: usize| {
                let &(m, c, i) = places.get(shift % places.len())?;
                let channel = (shift / places.len(), c);
                let at = layout.weight_index((block, m), channel, phase.taps[i].1)?;
                weights.values.get(at).copied()
            };
            for (pair, column) in columns.iter_mut().enumerate() {
                // There is none for half a pair, nor beyond the last channel.
                let [first, second] =
                    [2 * pair, 2 * pair + 1].map(|shift| weight(shift).map_or(0, &short));
                column[f] = pairs::pair(first, second);
            }
        }
        columns
    }
}
