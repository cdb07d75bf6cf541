//! Products by single weights: sums of multiples of shifted requests.
//!
//! Where few weights make up a polynomial (1x1 kernels with few channels in a request), a product is a
//! sum of w·(X^e·x) over them. The shifts are the same for every filter and made once for each request;
//! then a weight costs one multiply-accumulate of a vector by a [short integer](crate::kernels::pairs), and no
//! transform. Of c0 only the coefficients that will travel are needed, and so it stays as coefficients; c1 is
//! transformed like the public key that is added to it. Which layers do so follows from their shape alone.

use super::Layer;
use super::layout::Leaf;
use super::weights::Weights;
use crate::cipher::{Ciphertext, Constants, Context};
use crate::kernels::{
    self,
    pairs::{self, FILTERS, PAIR, SPAN, STEP, Sums},
};
use crate::modulus::Modulus;
use crate::wipe::wipe;
use crate::workers::Workers;
use sci_core::Domain;
use std::ops::Range;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Leaves of one tile that share a pass over its requests.
type Group = Range<usize>;

/// The shifts of all requests: of c0 the coefficients that are wanted, of c1 the whole transform.
pub(super) struct ScalarInbox {
    /// Pairs of shifts in a tile.
    pairs: usize,
    /// By image and tile.
    tiles: Vec<Tile>,
}

/// Wiped on drop: the server's share is in it.
struct Tile {
    /// Wanted coefficients, rounded up to whole spans.
    wanted: usize,
    /// For each prime c0 as `[step][pair][PAIR]` over the wanted coefficients, and c1 over all.
    shifted: Vec<u32>,
}

impl Drop for Tile {
    fn drop(&mut self) {
        wipe(&mut self.shifted);
    }
}

impl ZeroizeOnDrop for Tile {}

impl std::fmt::Debug for ScalarInbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ScalarInbox({} tiles)", self.tiles.len())
    }
}

impl Tile {
    /// One half under a prime.
    fn half(&self, task: usize, n: usize, pairs: usize) -> &[u32] {
        let words = |len: usize| len / STEP * pairs * PAIR;
        let (prime, half) = (task / 2, task % 2);
        let first = prime * words(self.wanted + n) + half * words(self.wanted);
        let len = words(if half == 0 { self.wanted } else { n });
        self.shifted.get(first..first + len).unwrap_or_default()
    }
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

/// Bytes that the shifts of so many requests take at most.
pub(super) fn shifted_bytes(requests: usize, places: usize, poly_len: usize) -> usize {
    requests * places * 8 * poly_len
}

/// Multiplication by a monomial, as a place in coefficients and as a transform; `None` for 1.
struct Shift {
    by: usize,
    negative: bool,
    transform: Option<Zeroizing<Vec<u32>>>,
}

impl Shift {
    fn new<D: Domain>(context: &Context<D>, (by, negative): (usize, bool)) -> Self {
        let transform = ((by, negative) != (0, false)).then(|| {
            let mut small = vec![0i8; context.n()];
            small[by] = if negative { -1 } else { 1 };
            context.transform_small(&small)
        });
        Self { by, negative, transform }
    }

    /// The coefficients of the multiple at these positions.
    fn coefficients(&self, m: &Modulus, x: &[u32], positions: &[usize], out: &mut [u32]) {
        for (out, &at) in out.iter_mut().zip(positions) {
            let (from, wrapped) = match at.checked_sub(self.by) {
                Some(from) => (from, false),
                None => (x.len() + at - self.by, true),
            };
            *out = if wrapped == self.negative { x[from] } else { m.sub(0, x[from]) };
        }
    }

    /// The transform of the multiple.
    fn transform(&self, c: &Constants, range: Range<usize>, x: &[u32], out: &mut [u32]) {
        match &self.transform {
            None => out.copy_from_slice(x),
            Some(monomial) => kernels::multiply(&c.m, c.one, x, &monomial[range], out),
        }
    }
}

impl ScalarInbox {
    /// From the requests in the order of sending, c0 as coefficients.
    pub(super) fn new<D: Domain>(
        layer: &Layer<D>,
        workers: &Workers,
        requests: &[Ciphertext],
    ) -> Self {
        let (layout, context) = (&layer.layout, &*layer.context);
        let n = context.n();
        let taps = layout.phases.first().map_or(&[][..], |phase| &phase.taps);
        let exponent = |(m, c, i): (usize, usize, usize)| layout.exponent(m, c, taps[i].0, n);
        let shifts: Vec<_> =
            places(layer).into_iter().map(|place| Shift::new(context, exponent(place))).collect();
        let blocks = layout.channel_blocks().max(1);
        let pairs = (blocks * shifts.len()).div_ceil(2);
        let tiles = requests.chunks(blocks).enumerate().map(|(at, requests)| {
            let (image, tile) = (at / layout.tiles(), at % layout.tiles());
            // The first block of filters is full; what others want is the first part of it.
            let (positions, _) = layout.wanted(Leaf { block: 0, image, tile });
            let wanted = positions.len().next_multiple_of(SPAN);
            let words = |len: usize| len / STEP * pairs * PAIR;
            let mut shifted = vec![0; context.moduli.len() * words(wanted + n)];
            workers.chunks(&mut shifted, words(wanted + n), |prime, out| {
                let Some(c) = context.moduli.get(prime) else { return };
                let (out0, out1) = out.split_at_mut(words(wanted));
                let range = prime * n..(prime + 1) * n;
                // An odd number of shifts leaves half a pair, of zeros.
                let zeros = |len: usize| Zeroizing::new(vec![0; len]);
                let mut two = [(); 2].map(|()| (zeros(wanted), zeros(n)));
                for pair in 0..pairs {
                    for (side, (c0, c1)) in two.iter_mut().enumerate() {
                        let at = 2 * pair + side;
                        match requests.get(at / shifts.len()).zip(shifts.get(at % shifts.len())) {
                            Some((x, shift)) => {
                                shift.coefficients(&c.m, &x.c0[range.clone()], &positions, c0);
                                shift.transform(c, range.clone(), &x.c1[range.clone()], c1);
                            }
                            None => {
                                c0.fill(0);
                                c1.fill(0);
                            }
                        }
                    }
                    let [(a0, a1), (b0, b1)] = &two;
                    pairs::place(a0, b0, pairs * PAIR, &mut out0[pair * PAIR..]);
                    pairs::place(a1, b1, pairs * PAIR, &mut out1[pair * PAIR..]);
                }
            });
            Tile { wanted, shifted }
        });
        Self { pairs, tiles: tiles.collect() }
    }

    /// Whether it can be that of a layer.
    pub(super) fn fits<D: Domain>(&self, layer: &Layer<D>) -> bool {
        let (layout, context) = (&layer.layout, &*layer.context);
        let n = context.n();
        let words = |tile: &Tile| (tile.wanted + n) / STEP * self.pairs * PAIR;
        let primes = context.moduli.len();
        self.tiles.len() == layout.geometry.batch() * layout.tiles()
            && 2 * self.pairs >= layout.channel_blocks() * places(layer).len()
            && self.tiles.iter().all(|tile| tile.wanted <= n)
            && self.tiles.iter().all(|tile| tile.shifted.len() == primes * words(tile))
    }

    /// The sums of these leaves: `[prime][half][leaf][N]`, of c0 the wanted coefficients first; written to `sums`.
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
            leaf.image * layout.tiles() + leaf.tile
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
        let columns = |group: &Group| -> Vec<_> {
            let short = |k| move |weight| pairs::limb(weight, k, limbs);
            (0..limbs).map(|k| self.columns(layer, &places, weights, group, short(k))).collect()
        };
        let columns: Vec<_> = groups.iter().map(columns).collect();
        sums.resize(2 * context.moduli.len() * count * n, 0);
        workers.chunks(sums, count * n, |task, out| {
            let Some(c) = context.moduli.get(task / 2) else { return };
            let mut held: Box<Sums> = Box::new([[[0; SPAN]; 2]; FILTERS]);
            for at in (0..n).step_by(SPAN) {
                for (group, columns) in groups.iter().zip(&columns) {
                    let Some(tile) = self.tiles.get(tile_of(group.start)) else { continue };
                    let words = SPAN / STEP * self.pairs * PAIR;
                    let half = tile.half(task, n, self.pairs);
                    // Of c0, what is wanted may end before.
                    let Some(x) = half.chunks_exact(words).nth(at / SPAN) else { continue };
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
