//! Rows scaled by secret entries: the one kernel under all products.

use super::ProductDomain;
use crate::kind::OtKind;
use crate::peer::{Lane, Peer};
use crate::plan::Plan;
use sci_core::hash::expand;
use sci_core::{Bits, Block, Cost, Error, Party, Result, Shares, pack};
use std::ops::Range;
use zeroize::{Zeroize, Zeroizing};

/// Message bytes of one frame.
const FRAME: usize = 1 << 20;
/// COT rows of one chunk.
const CHUNK_COTS: usize = 1 << 18;
/// Entries whose messages are packed together: eight, so that they end on a byte.
const PACK: usize = 8;

/// How the entries of A are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entries {
    /// Bits of an entry, at most those of an element.
    pub bits: u32,
    /// Two's complement, or unsigned.
    pub signed: bool,
}

impl Entries {
    /// The weight of bit t is negative.
    fn negative(self, t: u32) -> bool {
        self.signed && t == self.bits - 1
    }
}

/// The public shape of a batch of scaled rows: `count` entries, each multiplied with a row of `width`
/// elements and added to a row of the output.
#[derive(Clone, Copy, Debug)]
pub struct Shape<D> {
    /// Z_2^l or Z_n.
    pub domain: D,
    /// What the receiver's entries look like.
    pub entries: Entries,
    /// Number of entries, d1 d2.
    pub count: usize,
    /// Elements of a row, d3.
    pub width: usize,
}

impl<D: ProductDomain> Shape<D> {
    /// Empty where there is nothing to multiply.
    fn plan(&self) -> Plan {
        if self.width == 0 {
            return Plan::whole(0);
        }
        let by_frame = FRAME * 8 / (self.width.max(1) * self.domain.bits() as usize);
        let by_rows = CHUNK_COTS / self.entries.bits.max(1) as usize;
        Plan::pieces(self.count, by_frame.min(by_rows).max(1).next_multiple_of(PACK))
    }

    /// Wire bytes of the messages for bit t of `n` entries.
    fn bytes(&self, n: usize, t: u32) -> usize {
        pack::packed_len(n * self.width, self.domain.shrunk(t).bits())
    }

    fn chunk_cost(&self, ot: OtKind, n: usize, receiver: Party) -> Cost {
        let bits = self.entries.bits;
        let cots = n * bits as usize;
        let messages: usize = (0..bits).map(|t| self.bytes(n, t)).sum();
        let messages = Cost::message(receiver.peer(), 8 * messages as u64);
        (ot.cot_cost(cots, receiver) + messages).in_rounds(2)
    }
}

/// What a party brings to a [`Job`].
pub enum Operand<'a> {
    /// The receiver: entry e, in its low bits.
    Entries(&'a (dyn Fn(usize) -> u64 + Sync)),
    /// The sender: the row that entry e multiplies.
    Rows(&'a (dyn Fn(usize) -> &'a [u64] + Sync)),
}

/// out[e / inner] += a_e * row_e over all entries e.
pub struct Job<'a, D> {
    /// The public shape.
    pub shape: Shape<D>,
    /// This party's part.
    pub operand: Operand<'a>,
    /// Consecutive entries that add up to one row of the output.
    pub inner: usize,
}

/// The chunks of several jobs, spread evenly over each other, so that jobs in opposite directions load
/// both directions of the link all the time.
fn schedule<'a, D: ProductDomain>(
    shapes: impl Iterator<Item = &'a Shape<D>>,
) -> Vec<(usize, Range<usize>)> {
    let mut all = Vec::new();
    for (job, shape) in shapes.enumerate() {
        let chunks = shape.plan().chunks();
        let n = chunks.len() as u64;
        all.extend(chunks.enumerate().map(|(i, range)| ((2 * i as u64 + 1, n), job, range)));
    }
    // By (2i + 1) / 2n, the middle of the chunk in its job.
    all.sort_by(|((a, n), ..), ((b, m), ..)| (a * m).cmp(&(b * n)));
    all.into_iter().map(|(_, job, range)| (job, range)).collect()
}

/// Shares of the output of every job: count / inner rows of `shape.width` elements. Two rounds for all.
///
/// # Errors
/// [`Error::Misuse`] for entries of more bits than an element has or an output row that is not whole;
/// otherwise as the link and the peer behave.
pub fn scaled_rows<D: ProductDomain>(
    peer: &mut Peer,
    jobs: &[Job<'_, D>],
) -> Result<Vec<Shares<D>>> {
    for Job { shape, inner, .. } in jobs {
        if !(1..=shape.domain.bits()).contains(&shape.entries.bits) {
            let (bits, domain) = (shape.entries.bits, shape.domain);
            return Err(Error::misuse(format!("entries of {bits} bits over Z_{domain}")));
        }
        if *inner == 0 || !shape.count.is_multiple_of(*inner) {
            return Err(Error::misuse(format!("{} entries in rows of {inner}", shape.count)));
        }
    }
    let chunks = schedule(jobs.iter().map(|job| &job.shape));
    let partial = peer.map_chunks(&Plan::pieces(chunks.len(), 1), |lane, at| {
        let (index, range) = chunks[at.start].clone();
        let Job { shape, operand, inner } = &jobs[index];
        let (first, last) = (range.start / inner, (range.end - 1) / inner);
        let mut out = Zeroizing::new(vec![0u64; (last + 1 - first) * shape.width]);
        let place = |e: usize| (e / inner - first) * shape.width;
        match operand {
            Operand::Entries(entry) => receive(lane, shape, *entry, range, place, &mut out)?,
            Operand::Rows(row) => send(lane, shape, *row, range, place, &mut out)?,
        }
        Ok((index, first, out))
    })?;
    let mut all: Vec<Shares<D>> = jobs
        .iter()
        .map(|Job { shape, inner, .. }| {
            Shares::zeros(shape.domain, shape.count / inner * shape.width)
        })
        .collect();
    for (index, first, part) in partial {
        let Shape { domain, width, .. } = jobs[index].shape;
        let sums = &mut all[index].values_mut()[first * width..];
        domain.add_assign(&mut sums[..part.len()], &part);
    }
    Ok(all)
}

/// The cost of [`scaled_rows`], with the party that owns the entries of each job.
pub fn scaled_rows_cost<D: ProductDomain>(ot: OtKind, jobs: &[(Shape<D>, Party)]) -> Cost {
    let chunks = jobs.iter().flat_map(|(shape, receiver)| {
        let chunks = shape.plan().chunks();
        chunks.map(move |range| shape.chunk_cost(ot, range.len(), *receiver))
    });
    chunks.fold(Cost::ZERO, Cost::beside)
}

fn send<'a, D: ProductDomain>(
    lane: &mut Lane,
    shape: &Shape<D>,
    row: &(dyn Fn(usize) -> &'a [u64] + Sync),
    range: Range<usize>,
    place: impl Fn(usize) -> usize,
    out: &mut [u64],
) -> Result<()> {
    let (domain, n, width) = (shape.domain, range.len(), shape.width);
    let bits = shape.entries.bits;
    lane.send.extend_cot(&mut lane.stream, n * bits as usize)?;
    let ot = &*lane.send;
    let mut pads = vec![[Block::ZERO; 2]; PACK];
    let mut messages = Zeroizing::new(vec![0u64; PACK * width]);
    let mut elements = Zeroizing::new(vec![0u64; 2 * width]);
    let mut stream = vec![Block::ZERO; 2 * domain.pad_blocks(width)];
    for t in 0..bits {
        let shrunk = domain.shrunk(t);
        let blocks = shrunk.pad_blocks(width);
        let factor = domain.factor(t, shape.entries.negative(t));
        lane.stream.send_with(shape.bytes(n, t), |frame| {
            for first in (0..n).step_by(PACK) {
                let len = PACK.min(n - first);
                ot.cot_pads(t as usize * n + first, &mut pads[..len]);
                for (i, pair) in pads[..len].iter().enumerate() {
                    let stream = &mut stream[..2 * blocks];
                    expand(pair, blocks, stream);
                    let (zero, one) = elements.split_at_mut(width);
                    shrunk.pad_elements(&stream[..blocks], zero);
                    shrunk.pad_elements(&stream[blocks..], one);
                    let e = range.start + first + i;
                    let sum = &mut out[place(e)..][..width];
                    let message = &mut messages[i * width..(i + 1) * width];
                    for ((((m, b), s), p0), p1) in
                        message.iter_mut().zip(row(e)).zip(sum).zip(&*zero).zip(&*one)
                    {
                        *m = shrunk.add(shrunk.mul(*b, factor), shrunk.sub(*p0, *p1));
                        *s = domain.sub(*s, domain.weigh(t, *p0));
                    }
                }
                let bytes = shape.bytes(first, t);
                let len_bytes = shape.bytes(len, t);
                let frame = &mut frame[bytes..bytes + len_bytes];
                pack::pack(&messages[..len * width], shrunk.bits(), frame);
            }
        })?;
    }
    stream.zeroize();
    pads.iter_mut().for_each(Zeroize::zeroize);
    Ok(())
}

fn receive<D: ProductDomain>(
    lane: &mut Lane,
    shape: &Shape<D>,
    entry: &(dyn Fn(usize) -> u64 + Sync),
    range: Range<usize>,
    place: impl Fn(usize) -> usize,
    out: &mut [u64],
) -> Result<()> {
    let (domain, n, width) = (shape.domain, range.len(), shape.width);
    let bits = shape.entries.bits;
    let mut choices = Bits::default();
    for t in 0..bits {
        choices.extend(&Bits::from_fn(n, |e| entry(range.start + e) >> t));
    }
    lane.recv.extend_cot(&mut lane.stream, &choices)?;
    let ot = &*lane.recv;
    let mut pads = vec![Block::ZERO; PACK];
    let mut messages = Zeroizing::new(vec![0u64; PACK * width]);
    let mut elements = Zeroizing::new(vec![0u64; width]);
    let mut stream = vec![Block::ZERO; domain.pad_blocks(width)];
    for t in 0..bits {
        let shrunk = domain.shrunk(t);
        let blocks = shrunk.pad_blocks(width);
        let frame = lane.stream.recv("messages of a matrix product", shape.bytes(n, t))?;
        for first in (0..n).step_by(PACK) {
            let len = PACK.min(n - first);
            ot.cot_pads(t as usize * n + first, &mut pads[..len]);
            let bytes = shape.bytes(first, t);
            let len_bytes = shape.bytes(len, t);
            let messages = &mut messages[..len * width];
            pack::unpack_elements(shrunk, &frame[bytes..bytes + len_bytes], messages)?;
            for (i, pad) in pads[..len].iter().enumerate() {
                let stream = &mut stream[..blocks];
                expand(std::slice::from_ref(pad), blocks, stream);
                shrunk.pad_elements(stream, &mut elements);
                let chosen = u64::from(choices.get(t as usize * n + first + i)).wrapping_neg();
                let e = range.start + first + i;
                let sum = &mut out[place(e)..][..width];
                let message = &messages[i * width..(i + 1) * width];
                for ((s, p), m) in sum.iter_mut().zip(&*elements).zip(message) {
                    *s = domain.add(*s, domain.weigh(t, shrunk.add(*p, m & chosen)));
                }
            }
        }
    }
    stream.zeroize();
    pads.zeroize();
    Ok(())
}
