//! Rows scaled by secret entries: the one kernel under all products.

use super::ProductDomain;
use crate::kind::OtKind;
use crate::peer::{Lane, Peer};
use crate::plan::Plan;
use parking_lot::Mutex;
use sci_core::hash::expand;
use sci_core::prg::SecretBlocks;
use sci_core::{Bits, Block, Cost, Error, Party, Result, Shares, pack};
use std::ops::Range;
use zeroize::Zeroizing;

/// Message bytes of one frame.
const FRAME: usize = 1 << 20;
/// COT rows of one chunk.
const CHUNK_COTS: usize = 1 << 18;
/// Entries whose messages are packed together: a multiple of eight, so that they end on a byte.
const PACK: usize = 8;
/// Elements below which a row is short: more of them are packed together.
const SHORT_ROW: usize = 64;
/// Blocks of a row's pads up to which the pads of all that is packed together are stretched together, which is faster
/// for short ones.
const STRETCH_TOGETHER: usize = 256;

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
    /// The most elements that a row should have: eight entries then still make one frame.
    pub fn widest(domain: D) -> usize {
        FRAME * 8 / (PACK * domain.bits() as usize)
    }

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
        let blocks: usize = (0..bits).map(|t| self.domain.shrunk(t).pad_blocks(self.width)).sum();
        // Both pads of the sender, and the receiver's.
        let stretched = 3 * (n * blocks) as u64;
        let messages = Cost { stretched, ..Cost::message(receiver.peer(), 8 * messages as u64) };
        (ot.cot_cost(cots, receiver) + messages).in_rounds(2)
    }
}

/// What a party brings to a [`Job`]. A chunk asks for its own entries or rows, once, so that a matrix which is
/// derived from another tensor, as that of the patches of a convolution, never exists as a whole.
pub enum Operand<'a> {
    /// The receiver: entry e, in its low bits.
    Entries(Box<EntryOf<'a>>),
    /// The sender: writes the row that entry e multiplies.
    Rows(Box<RowOf<'a>>),
}

/// The entry of a number.
pub type EntryOf<'a> = dyn Fn(usize) -> Result<u64> + Sync + 'a;
/// Writes the row of the entry of a number.
pub type RowOf<'a> = dyn Fn(usize, &mut [u64]) -> Result<()> + Sync + 'a;

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
    let zeros = |Job { shape, inner, .. }: &Job<'_, D>| {
        Mutex::new(Shares::zeros(shape.domain, shape.count / inner * shape.width))
    };
    let sums: Vec<_> = jobs.iter().map(zeros).collect();
    peer.map_chunks(&Plan::pieces(chunks.len(), 1), |lane, at| {
        let (index, range) = chunks[at.start].clone();
        let Job { shape, operand, inner } = &jobs[index];
        let (first, last) = (range.start / inner, (range.end - 1) / inner);
        let mut out = Zeroizing::new(vec![0u64; (last + 1 - first) * shape.width]);
        let place = |e: usize| (e / inner - first) * shape.width;
        match operand {
            Operand::Entries(entry) => receive(lane, shape, entry, range, place, &mut out)?,
            Operand::Rows(row) => send(lane, shape, row, range, place, &mut out)?,
        }
        // Added here and not at the end: the parts of an output row that many chunks share would not fit.
        let sums = &mut sums[index].lock();
        let sums = &mut sums.values_mut()[first * shape.width..];
        shape.domain.add_assign(&mut sums[..out.len()], &out);
        Ok(())
    })?;
    Ok(sums.into_iter().map(Mutex::into_inner).collect())
}

/// The cost of [`scaled_rows`], with the party that owns the entries of each job.
pub fn scaled_rows_cost<D: ProductDomain>(ot: OtKind, jobs: &[(Shape<D>, Party)]) -> Cost {
    let costs = jobs.iter().map(|(shape, receiver)| {
        shape.plan().cost(|entries, _| shape.chunk_cost(ot, entries, *receiver))
    });
    costs.fold(Cost::ZERO, Cost::beside)
}

/// How the messages of a chunk are worked through: entries that are packed together, and those of them whose pads
/// are stretched together.
fn steps<D: ProductDomain>(shape: &Shape<D>) -> [usize; 2] {
    let pack = PACK * (SHORT_ROW / shape.width.max(1)).clamp(1, PACK);
    let together = shape.domain.pad_blocks(shape.width) <= STRETCH_TOGETHER;
    [pack, if together { pack } else { 1 }]
}

fn send<D: ProductDomain>(
    lane: &mut Lane,
    shape: &Shape<D>,
    row: impl Fn(usize, &mut [u64]) -> Result<()>,
    range: Range<usize>,
    place: impl Fn(usize) -> usize,
    out: &mut [u64],
) -> Result<()> {
    let (domain, n, width) = (shape.domain, range.len(), shape.width);
    let bits = shape.entries.bits;
    let mut rows = Zeroizing::new(vec![0u64; n * width]);
    for (e, out) in range.clone().zip(rows.chunks_exact_mut(width)) {
        row(e, out)?;
    }
    lane.send.extend_cot(&mut lane.stream, n * bits as usize)?;
    let ot = &*lane.send;
    let [pack, together] = steps(shape);
    let mut pads = Zeroizing::new(vec![[Block::ZERO; 2]; pack]);
    let mut messages = Zeroizing::new(vec![0u64; pack * width]);
    let mut elements = Zeroizing::new(vec![0u64; 2 * width]);
    let mut stream = SecretBlocks::zeros(2 * together * domain.pad_blocks(width));
    for t in 0..bits {
        let shrunk = domain.shrunk(t);
        let blocks = shrunk.pad_blocks(width);
        let factor = domain.factor(t, shape.entries.negative(t));
        lane.stream.send_with(shape.bytes(n, t), |frame| {
            for first in (0..n).step_by(pack) {
                let len = pack.min(n - first);
                ot.cot_pads(t as usize * n + first, &mut pads[..len]);
                let here =
                    messages.chunks_exact_mut(width).zip(rows[first * width..].chunks(width));
                let mut here = (range.start + first..).zip(here);
                for pairs in pads[..len].chunks(together) {
                    let stream = &mut stream[..2 * blocks * pairs.len()];
                    expand(pairs.as_flattened(), blocks, stream);
                    for (stream, (e, (message, row))) in
                        stream.chunks_exact(2 * blocks).zip(&mut here)
                    {
                        let (zero, one) = elements.split_at_mut(width);
                        shrunk.pad_elements(&stream[..blocks], zero);
                        shrunk.pad_elements(&stream[blocks..], one);
                        let sum = &mut out[place(e)..][..width];
                        for ((((m, b), s), p0), p1) in
                            message.iter_mut().zip(row).zip(sum).zip(&*zero).zip(&*one)
                        {
                            *m = shrunk.add(shrunk.mul(*b, factor), shrunk.sub(*p0, *p1));
                            *s = domain.sub(*s, domain.weigh(t, *p0));
                        }
                    }
                }
                let bytes = shape.bytes(first, t);
                let len_bytes = shape.bytes(len, t);
                let frame = &mut frame[bytes..bytes + len_bytes];
                pack::pack(&messages[..len * width], shrunk.bits(), frame);
            }
        })?;
    }
    Ok(())
}

fn receive<D: ProductDomain>(
    lane: &mut Lane,
    shape: &Shape<D>,
    entry: impl Fn(usize) -> Result<u64>,
    range: Range<usize>,
    place: impl Fn(usize) -> usize,
    out: &mut [u64],
) -> Result<()> {
    let (domain, n, width) = (shape.domain, range.len(), shape.width);
    let bits = shape.entries.bits;
    let mut entries = Zeroizing::new(vec![0u64; n]);
    for (e, out) in range.clone().zip(entries.iter_mut()) {
        *out = entry(e)?;
    }
    let mut choices = Bits::default();
    for t in 0..bits {
        choices.extend(&Bits::from_fn(n, |e| entries[e] >> t));
    }
    lane.recv.extend_cot(&mut lane.stream, &choices)?;
    let ot = &*lane.recv;
    let [pack, together] = steps(shape);
    let mut pads = SecretBlocks::zeros(pack);
    let mut messages = Zeroizing::new(vec![0u64; pack * width]);
    let mut elements = Zeroizing::new(vec![0u64; width]);
    let mut stream = SecretBlocks::zeros(together * domain.pad_blocks(width));
    for t in 0..bits {
        let shrunk = domain.shrunk(t);
        let blocks = shrunk.pad_blocks(width);
        let frame = lane.stream.recv("messages of a matrix product", shape.bytes(n, t))?;
        for first in (0..n).step_by(pack) {
            let len = pack.min(n - first);
            ot.cot_pads(t as usize * n + first, &mut pads[..len]);
            let bytes = shape.bytes(first, t);
            let len_bytes = shape.bytes(len, t);
            let messages = &mut messages[..len * width];
            pack::unpack_elements(shrunk, &frame[bytes..bytes + len_bytes], messages)?;
            let mut here = (first..).zip(messages.chunks_exact(width));
            for pads in pads[..len].chunks(together) {
                let stream = &mut stream[..blocks * pads.len()];
                expand(pads, blocks, stream);
                for (stream, (i, message)) in stream.chunks_exact(blocks).zip(&mut here) {
                    shrunk.pad_elements(stream, &mut elements);
                    let chosen = u64::from(choices.get(t as usize * n + i)).wrapping_neg();
                    let sum = &mut out[place(range.start + i)..][..width];
                    for ((s, p), m) in sum.iter_mut().zip(&*elements).zip(message) {
                        *s = domain.add(*s, domain.weigh(t, shrunk.add(*p, m & chosen)));
                    }
                }
            }
        }
    }
    Ok(())
}
