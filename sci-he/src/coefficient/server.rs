//! The server's part of a layer as functions on messages.

use super::base::PackingBase;
use super::layout::Leaf;
use super::scalar::ScalarInbox;
use super::{Layer, Weights};
use crate::cipher::{Ciphertext, Protection, Scratch, Sums};
use crate::kernels;
use crate::packing::{JoinScratch, Packed, PackingKeys, reversed};
use crate::pool::Pool;
use crate::session::ServerKeys;
use crate::workers::Workers;
use sci_core::pack::packed_len;
use sci_core::{Block, Domain, Error, Prg, Result};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};
use zeroize::{ZeroizeOnDrop, Zeroizing};

/// Leaves whose sums of multiples are made together: each pass over the requests serves all of them.
const SCALAR_LEAVES: usize = 16;

/// What the server has received of a run, its own share added. Wiped on drop.
pub struct Inbox(pub(super) Received);

/// Requests in the form that the layer multiplies.
pub(super) enum Received {
    /// Themselves.
    Requests(Vec<Ciphertext>),
    /// Their shifts.
    Shifts(ScalarInbox),
}

impl ZeroizeOnDrop for Inbox {}

impl std::fmt::Debug for Inbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Received::Requests(requests) => write!(f, "Inbox({} requests)", requests.len()),
            Received::Shifts(shifts) => write!(f, "Inbox({shifts:?})"),
        }
    }
}

impl Inbox {
    /// The requests from this one on; none in another form.
    fn requests(&self, range: Range<usize>) -> &[Ciphertext] {
        match &self.0 {
            Received::Requests(requests) => requests.get(range).unwrap_or_default(),
            Received::Shifts(_) => &[],
        }
    }

    fn fits<D: Domain>(&self, layer: &Layer<D>) -> bool {
        match &self.0 {
            Received::Shifts(shifts) => layer.scalar && shifts.fits(layer),
            Received::Requests(requests) => {
                !layer.scalar
                    && requests.len() == layer.layout.requests()
                    && requests.iter().all(|x| x.c0.len() == layer.context.poly_len())
            }
        }
    }
}

/// What a response is made with: keys, threads, protection and spare memory.
struct Desk<'a, D: Domain> {
    layer: &'a Layer<D>,
    key: &'a Ciphertext,
    packing: Option<&'a PackingKeys>,
    workers: &'a Workers,
    protection: Protection,
    weights: &'a Weights,
    inbox: &'a Inbox,
    scratches: Pool<Scratch>,
    packed: Pool<Packed>,
    joins: Pool<JoinScratch>,
}

/// One leaf of a response to be made.
struct LeafJob {
    leaf: usize,
    positions: Vec<usize>,
    masks: Zeroizing<Vec<u64>>,
    prg: Mutex<Prg>,
}

/// A response and the masks of its outputs, by their places in the convolution.
struct Made {
    message: Vec<u8>,
    masks: Zeroizing<Vec<u64>>,
    places: Vec<usize>,
}

/// The sums of products of one leaf, or where to make them from.
enum Source<'a> {
    /// Polynomials of the block, transformed.
    Polynomials(&'a [u32]),
    /// Coefficients to be transformed for this leaf alone.
    Coefficients,
    /// Sums of multiples.
    Sums(Sums<'a>),
}

impl<D: Domain> Layer<D> {
    /// The server's intake of the messages of all requests, in the order of
    /// [`super::Layout::request_order`]; its own share of the input is added here.
    ///
    /// # Errors
    /// [`Error::PeerMisbehaved`] if a message is not a request, or whatever `next` returns.
    pub fn intake<M: AsRef<[u8]> + Send + Sync>(
        &self,
        keys: &ServerKeys<D>,
        share: &[u64],
        prg: &mut Prg,
        mut next: impl FnMut() -> Result<M>,
    ) -> Result<Inbox> {
        let (workers, share) = (keys.workers(), self.arranged(share)?);
        let seed = Zeroizing::new(prg.next_block());
        let order: Vec<_> = self.layout.request_order().collect();
        let mut requests = Vec::with_capacity(order.len());
        while requests.len() < order.len() {
            let first = requests.len();
            let count = (4 * workers.threads()).min(order.len() - first);
            let messages = (0..count).map(|_| next()).collect::<Result<Vec<_>>>()?;
            let parsed = workers.map(count, |i| {
                let request = order[first + i];
                let x = Zeroizing::new(self.layout.input_coefficients(request, &share));
                let mut prg = Prg::with_stream(*seed, (first + i) as u64);
                let receive = match self.scalar {
                    true => Ciphertext::receive_coefficients,
                    false => Ciphertext::receive,
                };
                receive(&self.context, messages[i].as_ref(), &x, &mut prg)
            });
            for request in parsed {
                requests.push(request?);
            }
        }
        Ok(Inbox(match self.scalar {
            true => Received::Shifts(ScalarInbox::new(self, workers, &requests)),
            false => Received::Requests(requests),
        }))
    }

    /// The server's responses, each handed to `send`, in their order. Returns its share of the output,
    /// which is fresh.
    ///
    /// # Errors
    /// Whatever `send` returns; [`Error::Misuse`] if weights, keys or inbox belong to another layer.
    pub fn respond(
        &self,
        keys: &ServerKeys<D>,
        weights: &Weights,
        inbox: &Inbox,
        prg: &mut Prg,
        send: impl FnMut(Vec<u8>) -> Result<()>,
    ) -> Result<Vec<u64>> {
        self.respond_with(Protection::FULL, keys, weights, inbox, prg, send)
    }

    pub(super) fn respond_with(
        &self,
        protection: Protection,
        keys: &ServerKeys<D>,
        weights: &Weights,
        inbox: &Inbox,
        prg: &mut Prg,
        mut send: impl FnMut(Vec<u8>) -> Result<()>,
    ) -> Result<Vec<u64>> {
        let layout = &self.layout;
        let ((key, packing), workers) = (keys.of(self)?, keys.workers());
        if !inbox.fits(self) || !weights.fit(self) {
            return Err(Error::misuse("weights or requests of another layer"));
        }
        let desk = Desk {
            layer: self,
            key,
            packing,
            workers,
            protection,
            inbox,
            weights,
            scratches: Pool::new(),
            packed: Pool::new(),
            joins: Pool::new(),
        };
        let seed = Zeroizing::new(prg.next_block());
        let mut output = Zeroizing::new(vec![0; self.form.output_len]);
        let mut held = None;
        let mut sums = Zeroizing::new(Vec::new());
        let mut first = 0;
        while first < layout.responses() {
            let made = if let Received::Shifts(shifts) = &inbox.0 {
                desk.by_multiples(shifts, first, &seed, &mut sums)
            } else if weights.prepared(self.context.poly_len(), 0, 0).is_some() {
                desk.by_prepared(first, &seed)
            } else if layout.leaves() > layout.filter_blocks() {
                desk.by_block(first, &seed, &mut held)
            } else {
                let count = desk.at_once(2 * workers.threads());
                desk.make(first..first + count, &seed, &|_| Source::Coefficients)
            };
            first += made.len();
            for Made { message, masks, places } in made {
                for (&place, &mask) in places.iter().zip(masks.iter()) {
                    if let Some(place) = self.form.place(place) {
                        output[place] = mask;
                    }
                }
                send(message)?;
            }
        }
        Ok(std::mem::take(&mut *output))
    }
}

impl<D: Domain> Desk<'_, D> {
    /// Responses that hold at least this many leaves.
    fn at_once(&self, leaves: usize) -> usize {
        leaves.div_ceil(1 << self.layer.layout.levels())
    }

    /// The next responses, from sums of multiples of the requests.
    fn by_multiples(
        &self,
        shifts: &ScalarInbox,
        first: usize,
        seed: &Block,
        sums: &mut Vec<u32>,
    ) -> Vec<Made> {
        let layout = &self.layer.layout;
        let last = (first + self.at_once(SCALAR_LEAVES)).min(layout.responses());
        let leaves = layout.leaf_range(first).start..layout.leaf_range(last - 1).end;
        shifts.sums(self.layer, self.workers, self.weights, leaves.clone(), sums);
        let source = |leaf: usize| {
            let (count, index) = (leaves.len(), leaf - leaves.start);
            Source::Sums(Sums::Among { all: sums, count, index })
        };
        self.make(first..last, seed, &source)
    }

    /// The next responses, from weights that were transformed long ago.
    fn by_prepared(&self, first: usize, seed: &Block) -> Vec<Made> {
        let (layout, len) = (&self.layer.layout, self.layer.context.poly_len());
        let source = |leaf: usize| {
            let block = layout.leaf(leaf).block;
            let before = layout.polynomials_before(block);
            let count = layout.channel_range(block).len();
            let polynomials = self.weights.prepared(len, before, count);
            polynomials.map_or(Source::Coefficients, Source::Polynomials)
        };
        self.make(first..first + self.at_once(2 * self.workers.threads()), seed, &source)
    }

    /// The next responses, from weights that are transformed once for all leaves of a block of
    /// filters. The last block is held for the next call.
    fn by_block(
        &self,
        first: usize,
        seed: &Block,
        held: &mut Option<(usize, Zeroizing<Vec<u32>>)>,
    ) -> Vec<Made> {
        let layout = &self.layer.layout;
        let block_of = |leaf: usize| layout.leaf(leaf).block;
        let block = block_of(layout.leaf_range(first).start);
        // As many responses as lie within this block, at least one.
        let most = (first + self.at_once(2 * self.workers.threads())).min(layout.responses());
        let last = (first + 1..most)
            .find(|&response| block_of(layout.leaf_range(response).end - 1) != block)
            .unwrap_or(most);
        let end = block_of(layout.leaf_range(last - 1).end - 1) + 1;
        let kept = held.take_if(|(number, _)| *number == block).map(|(_, polynomials)| polynomials);
        let new = block + usize::from(kept.is_some())..end;
        let transform =
            |i: usize| self.weights.transform(layout, &self.layer.context, new.start + i);
        let mut polynomials: Vec<_> = kept.into_iter().collect();
        polynomials.extend(self.workers.map(new.len(), transform));
        let source = |leaf: usize| Source::Polynomials(&polynomials[block_of(leaf) - block]);
        let made = self.make(first..last, seed, &source);
        *held = polynomials.pop().map(|polynomials| (end - 1, polynomials));
        made
    }

    fn make<'s>(
        &self,
        responses: Range<usize>,
        seed: &Block,
        source: &(impl Fn(usize) -> Source<'s> + Sync),
    ) -> Vec<Made> {
        let (first, end) = (responses.start, responses.end.min(self.layer.layout.responses()));
        self.workers.map(end - first, |i| self.response(first + i, seed, source))
    }

    fn response<'s>(
        &self,
        response: usize,
        seed: &Block,
        source: &(impl Fn(usize) -> Source<'s> + Sync),
    ) -> Made {
        let (layout, context) = (&self.layer.layout, &*self.layer.context);
        let leaves = layout.leaf_range(response);
        let domain = context.params().domain();
        // Everything random in a leaf comes from a stream of its own: first its masks.
        let parts = leaves.clone().map(|leaf| {
            let mut prg = Prg::with_stream(*seed, leaf as u64);
            let (positions, places) = layout.wanted(layout.leaf(leaf));
            let mut masks = Zeroizing::new(vec![0; places.len()]);
            domain.sample_into(&mut prg, &mut masks);
            (LeafJob { leaf, positions, masks, prg: Mutex::new(prg) }, places)
        });
        let (jobs, places): (Vec<LeafJob>, Vec<Vec<usize>>) = parts.unzip();
        let places = places.concat();
        let mut message = vec![0; context.response_len(places.len())];
        match (self.packing, &self.layer.packing) {
            (Some(keys), Some(base)) if layout.levels() > 0 => {
                let mut whole = self.tree(&jobs, layout.levels(), base, keys, source);
                self.write_packed(&jobs, base, &mut whole, &mut message);
                self.packed.give(whole);
            }
            _ => {
                for job in &jobs {
                    self.with_scratch(|scratch| {
                        self.protect(job, source(job.leaf), scratch);
                        context.write_response(job.positions.len(), scratch, &mut message);
                    });
                }
            }
        }
        let mut masks = Zeroizing::new(Vec::with_capacity(places.len()));
        jobs.iter().for_each(|job| masks.extend_from_slice(&job.masks));
        Made { message, masks, places }
    }

    /// Packs the leaves of a subtree of this height.
    fn tree<'s>(
        &self,
        jobs: &[LeafJob],
        height: u32,
        base: &PackingBase,
        keys: &PackingKeys,
        source: &(impl Fn(usize) -> Source<'s> + Sync),
    ) -> Packed {
        if height == 0 {
            return self.leaf(&jobs[0], base, source(jobs[0].leaf));
        }
        let half = 1 << (height - 1);
        if jobs.len() <= half {
            let mut only = self.tree(jobs, height - 1, base, keys, source);
            only.double(&base.context);
            return only;
        }
        let (even, odd) = jobs.split_at(half);
        let (mut even, mut odd) = self.workers.both(
            || self.tree(even, height - 1, base, keys, source),
            || self.tree(odd, height - 1, base, keys, source),
        );
        let level = self.layer.layout.levels() - height + 1;
        self.joins.with(
            || JoinScratch::new(&base.context),
            |scratch| even.join(&mut odd, &base.context, keys, level as usize, scratch),
        );
        self.packed.give(odd);
        even
    }

    /// A protected leaf modulo q', over 2^d, without its unwanted coefficients.
    fn leaf(&self, job: &LeafJob, base: &PackingBase, source: Source<'_>) -> Packed {
        let context = &*self.layer.context;
        let (n, count) = (context.n(), job.positions.len());
        let mut out = self.packed.take(|| Packed::new(&base.context));
        let [out0, out1] = &mut out.halves;
        out0.fill(0);
        self.with_scratch(|scratch| {
            self.protect(job, source, scratch);
            base.from_request.apply(&scratch.c1, n, |digit, at, values| {
                let (m, scaler) = base.share(digit);
                let out = &mut out1[digit * n + at..][..values.len()];
                kernels::scale_wide(m, scaler, values, out);
            });
            base.from_request.apply(&scratch.wanted, count, |digit, at, values| {
                let (m, scaler) = base.share(digit);
                let out0 = &mut out0[digit * n..(digit + 1) * n];
                for (&position, &mut value) in job.positions[at..].iter().zip(values) {
                    out0[position] = m.scale(value, scaler);
                }
            });
        });
        out
    }

    /// The sums of products of a leaf, protected.
    fn protect(&self, job: &LeafJob, source: Source<'_>, scratch: &mut Scratch) {
        let (layout, context) = (&self.layer.layout, &*self.layer.context);
        let Leaf { block, image, tile } = layout.leaf(job.leaf);
        let channels = layout.channel_range(block);
        let start = layout.request_index(image, tile, channels.start);
        let requests = self.inbox.requests(start..start + channels.len());
        let n = context.n();
        let sums = match source {
            Source::Polynomials(polynomials) => {
                let products: Vec<_> =
                    polynomials.chunks_exact(context.poly_len()).zip(requests).collect();
                context.sum_products(&products, scratch);
                Sums::InScratch
            }
            Source::Coefficients => {
                let coefficients = self.weights.coefficients(layout, block, n);
                context.sum_fresh_products(&coefficients, requests, scratch);
                Sums::InScratch
            }
            Source::Sums(sums) => sums,
        };
        let mut prg = job.prg.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = (&*job.positions, &**job.masks);
        context.protect(self.key, self.protection, wanted, sums, &mut prg, scratch);
    }

    /// The last change of modulus, and the bits on the wire.
    fn write_packed(
        &self,
        jobs: &[LeafJob],
        base: &PackingBase,
        whole: &mut Packed,
        message: &mut [u8],
    ) {
        let (layout, params) = (&self.layer.layout, self.layer.context.params());
        let n = params.degree();
        let (b0, b1) = (params.c0_bits(), params.c1_bits());
        let positions: Vec<usize> = jobs
            .iter()
            .enumerate()
            .flat_map(|(j, job)| {
                job.positions.iter().map(move |at| at + reversed(j, layout.levels()))
            })
            .collect();
        let [c0, c1] = &mut whole.halves;
        let mut wanted = Vec::with_capacity(positions.len() * base.digits());
        for digit in 0..base.digits() {
            let (m, cofactor) = base.cofactor(digit);
            let range = digit * n..(digit + 1) * n;
            kernels::scale(m, cofactor, &mut c1[range.clone()]);
            kernels::scale(m, cofactor, &mut c0[range.clone()]);
            let c0 = &c0[range];
            wanted.extend(positions.iter().map(|&at| c0[at]));
        }
        let (c1_bytes, c0_bytes) = message.split_at_mut(packed_len(n, b1));
        base.to_response[0].write(c1, n, b1, c1_bytes);
        base.to_response[1].write(&wanted, positions.len(), b0, c0_bytes);
    }

    fn with_scratch<T>(&self, job: impl FnOnce(&mut Scratch) -> T) -> T {
        self.scratches.with(|| Scratch::new(&self.layer.context), job)
    }
}
