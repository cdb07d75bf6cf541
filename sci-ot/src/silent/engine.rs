//! The traits of [`crate::chosen`] over a pool of random correlated OTs.

use super::ahead::SharedProducer;
use super::pool::{Pool, Terms};
use super::prefix::{long_chosen, long_pads, short_chosen, short_pads};
use super::side::{ReceiverSide, SenderSide, Side};
use crate::chosen::{Choices, CotReceiver, CotSender, Flips, Group};
use crate::chosen::{OneOfNReceiver, OneOfNSender};
use crate::extension::{ExtensionReceiver, ExtensionSender};
use crate::iknp::Counter;
use parking_lot::Mutex;
use sci_core::channel::Stream;
use sci_core::hash::CrHash;
use sci_core::prg::SecretBlocks;
use sci_core::{Bits, Block, Error, Prg, Result};
use std::ops::Range;
use std::sync::Arc;
use zeroize::{Zeroize, Zeroizing};

/// Correlated OTs taken from a pool: those of the latest extension, and some ahead of need. The
/// buffers are used again and wiped at the end.
#[derive(Default)]
struct Rows {
    latest: SecretBlocks,
    ahead: SecretBlocks,
    ready: usize,
}

impl Rows {
    /// Where as many more go as `n` ahead need.
    fn missing(&mut self, n: usize) -> &mut [Block] {
        self.ahead.grow(n);
        let have = self.ready.min(n);
        self.ready = self.ready.max(n);
        &mut self.ahead[have..n]
    }

    /// The next `n` become the latest: those ahead, or, if there are none, straight from the pool.
    fn extend<S: Side>(
        &mut self,
        pool: &Mutex<Pool<S>>,
        stream: &mut Stream,
        n: usize,
    ) -> Result<&mut [Block]> {
        if self.ready == 0 {
            self.latest.grow(n);
            pool.lock().take(stream, &mut self.latest[..n])?;
            return Ok(&mut self.latest[..n]);
        }
        pool.lock().take(stream, self.missing(n))?;
        std::mem::swap(&mut self.latest, &mut self.ahead);
        let left = &self.latest[n..self.ready];
        if !left.is_empty() {
            self.ahead.grow(left.len());
            self.ahead[..left.len()].copy_from_slice(left);
        }
        self.ready -= n;
        Ok(&mut self.latest[..n])
    }
}

/// Where the instances of each group stand: plane b of group g is `count` COTs from
/// `first + b * count` on.
#[derive(Default)]
struct Places {
    groups: Vec<(usize, Group)>,
    total: usize,
}

impl Places {
    fn of(groups: impl IntoIterator<Item = Group>) -> Result<Self> {
        let mut places = Self::default();
        for group in groups {
            if !(1..=8).contains(&group.log_n) {
                return Err(Error::misuse(format!("1-of-2^{} OT", group.log_n)));
            }
            places.groups.push((places.total, group));
            places.total += group.log_n as usize * group.count;
        }
        Ok(places)
    }

    /// The COT of level s of the first instance of a range, and m.
    fn level(&self, group: usize, range: &Range<usize>, s: u32) -> usize {
        let (first, group) = self.groups[group];
        first + s as usize * group.count + range.start
    }

    fn log_n(&self, group: usize) -> u32 {
        self.groups[group].1.log_n
    }
}

/// The sender of one direction of a lane.
pub struct SilentOtSender {
    pool: Arc<Mutex<Pool<SenderSide>>>,
    delta: Block,
    hash: Arc<CrHash>,
    counter: Counter,
    rows: Rows,
    places: Places,
}

impl SilentOtSender {
    /// `extension` is the IKNP extension of this lane and direction, to serve this alone; the lowest
    /// bit of its Delta must be set.
    pub(crate) fn new(extension: ExtensionSender, hash: Arc<CrHash>, terms: Terms) -> Result<Self> {
        let side = SenderSide::new(extension, Prg::from_os()?);
        Ok(Self {
            delta: side.delta(),
            counter: Counter::new(terms.lane),
            pool: Arc::new(Mutex::new(Pool::new(side, terms))),
            hash,
            rows: Rows::default(),
            places: Places::default(),
        })
    }

    /// The pool, for the workers.
    pub(crate) fn pool(&self) -> SharedProducer {
        Arc::<Mutex<Pool<SenderSide>>>::clone(&self.pool)
    }

    /// Both keys of level s of some instances.
    fn keys(&self, group: usize, range: &Range<usize>) -> SecretBlocks {
        let m = self.places.log_n(group);
        let mut keys = SecretBlocks::zeros(2 * m as usize * range.len());
        let pairs = keys.as_chunks_mut().0;
        for (s, keys) in (0..m).zip(pairs.chunks_exact_mut(range.len().max(1))) {
            self.cot_pads(self.places.level(group, range, s), keys);
        }
        keys
    }
}

impl Drop for SilentOtSender {
    fn drop(&mut self) {
        self.delta.zeroize();
    }
}

impl CotSender for SilentOtSender {
    fn prepare(&mut self, stream: &mut Stream, n: usize) -> Result<()> {
        self.pool.lock().take(stream, self.rows.missing(n))
    }

    fn expand(&mut self, stream: &mut Stream, n: usize) -> Result<()> {
        self.pool.lock().stock_up(stream, n.saturating_sub(self.rows.ready))
    }

    fn announce(&mut self, n: usize) {
        self.pool.lock().announce(n.saturating_sub(self.rows.ready));
    }

    fn taken(&self) -> u64 {
        self.pool.lock().taken() - self.rows.ready as u64
    }

    fn extend_cot(&mut self, stream: &mut Stream, n: usize) -> Result<()> {
        self.extend_random(stream, n)?;
        let flips = recv_flips(stream, n)?;
        let delta = self.delta;
        for (rows, flips) in self.rows.latest[..n].chunks_mut(64).zip(flips.words()) {
            for (i, row) in rows.iter_mut().enumerate() {
                *row ^= delta.and_mask((flips >> i & 1).wrapping_neg());
            }
        }
        Ok(())
    }

    fn extend_random(&mut self, stream: &mut Stream, n: usize) -> Result<()> {
        self.rows.extend(&self.pool, stream, n)?;
        self.counter.advance(n);
        Ok(())
    }

    fn extend_deferred(&mut self, stream: &mut Stream, n: usize) -> Result<()> {
        self.extend_random(stream, n)
    }

    fn flips(&mut self, stream: &mut Stream, n: usize) -> Result<Flips> {
        recv_flips(stream, n).map(Flips::of)
    }

    fn cot_pads(&self, first: usize, out: &mut [[Block; 2]]) {
        let rows = &self.rows.latest[first..first + out.len()];
        self.hash.hash_pairs(self.counter.tweak(first), rows, self.delta, out);
    }
}

impl OneOfNSender for SilentOtSender {
    fn extend_one_of_n(&mut self, stream: &mut Stream, groups: &[Group]) -> Result<()> {
        self.places = Places::of(groups.iter().copied())?;
        self.extend_cot(stream, self.places.total)
    }

    fn one_of_n_pads(&self, group: usize, range: Range<usize>, out: &mut [Block]) {
        let (m, n) = (self.places.log_n(group), range.len());
        let keys = self.keys(group, &range);
        let keys = keys.as_chunks().0;
        long_pads(m, |s| &keys[s as usize * n..][..n], out);
    }

    fn short_pads(
        &self,
        group: usize,
        _log_n: u32,
        range: Range<usize>,
        bits: u32,
        out: &mut [u64],
    ) {
        let (m, n) = (self.places.log_n(group), range.len());
        let keys = self.keys(group, &range);
        let keys = keys.as_chunks().0;
        short_pads(m, bits, n, |s| &keys[s as usize * n..][..n], out);
    }
}

/// The receiver of one direction of a lane.
pub struct SilentOtReceiver {
    pool: Arc<Mutex<Pool<ReceiverSide>>>,
    hash: Arc<CrHash>,
    counter: Counter,
    rows: Rows,
    places: Places,
    /// The live choices of the latest 1-of-N extension, plane by plane.
    choices: Bits,
}

impl SilentOtReceiver {
    /// As [`SilentOtSender::new`].
    pub(crate) fn new(
        extension: ExtensionReceiver,
        hash: Arc<CrHash>,
        terms: Terms,
    ) -> Result<Self> {
        let side = ReceiverSide::new(extension, Prg::from_os()?);
        Ok(Self {
            counter: Counter::new(terms.lane),
            pool: Arc::new(Mutex::new(Pool::new(side, terms))),
            hash,
            rows: Rows::default(),
            places: Places::default(),
            choices: Bits::default(),
        })
    }

    /// The pool, for the workers.
    pub(crate) fn pool(&self) -> SharedProducer {
        Arc::<Mutex<Pool<ReceiverSide>>>::clone(&self.pool)
    }

    fn keys(&self, group: usize, range: &Range<usize>) -> SecretBlocks {
        let m = self.places.log_n(group);
        let mut keys = SecretBlocks::zeros(m as usize * range.len());
        for (s, keys) in (0..m).zip(keys.chunks_exact_mut(range.len().max(1))) {
            self.cot_pads(self.places.level(group, range, s), keys);
        }
        keys
    }

    /// The choices of some instances.
    fn chosen(&self, group: usize, range: &Range<usize>) -> Zeroizing<Vec<u8>> {
        let mut choices = Zeroizing::new(vec![0; range.len()]);
        let words = self.choices.words();
        for s in 0..self.places.log_n(group) {
            let first = self.places.level(group, range, s);
            for (choice, at) in choices.iter_mut().zip(first..) {
                *choice |= ((words[at / 64] >> (at % 64) & 1) as u8) << s;
            }
        }
        choices
    }
}

impl CotReceiver for SilentOtReceiver {
    fn prepare(&mut self, stream: &mut Stream, n: usize) -> Result<()> {
        self.pool.lock().take(stream, self.rows.missing(n))
    }

    fn expand(&mut self, stream: &mut Stream, n: usize) -> Result<()> {
        self.pool.lock().stock_up(stream, n.saturating_sub(self.rows.ready))
    }

    fn announce(&mut self, n: usize) {
        self.pool.lock().announce(n.saturating_sub(self.rows.ready));
    }

    fn refills(&self, n: usize) -> bool {
        self.pool.lock().refills(n.saturating_sub(self.rows.ready))
    }

    fn taken(&self) -> u64 {
        self.pool.lock().taken() - self.rows.ready as u64
    }

    fn extend_cot(&mut self, stream: &mut Stream, choices: &Bits) -> Result<()> {
        self.extend_deferred(stream, choices).map(drop)
    }

    fn extend_deferred(&mut self, stream: &mut Stream, choices: &Bits) -> Result<Flips> {
        let n = choices.len();
        let mut flips = lowest_bits(self.rows.extend(&self.pool, stream, n)?);
        self.counter.advance(n);
        flips.xor_assign(choices);
        stream.send_with(flips.wire_len(), |out| flips.write(out))?;
        Ok(Flips::of(flips))
    }

    fn extend_random(&mut self, stream: &mut Stream, n: usize, _prg: &mut Prg) -> Result<Bits> {
        let choices = lowest_bits(self.rows.extend(&self.pool, stream, n)?);
        self.counter.advance(n);
        Ok(choices)
    }

    fn cot_pads(&self, first: usize, out: &mut [Block]) {
        let rows = &self.rows.latest[first..first + out.len()];
        self.hash.hash(self.counter.tweak(first), rows, out);
    }
}

fn recv_flips(stream: &mut Stream, n: usize) -> Result<Bits> {
    let frame = stream.recv("OT choice corrections", n.div_ceil(8))?;
    Bits::read(n, &frame)
}

fn lowest_bits(rows: &[Block]) -> Bits {
    let mut bits = Bits::zeros(rows.len());
    for (word, rows) in bits.words_mut().iter_mut().zip(rows.chunks(64)) {
        for (i, row) in rows.iter().enumerate() {
            *word |= (row.0[0] & 1) << i;
        }
    }
    bits
}

impl OneOfNReceiver for SilentOtReceiver {
    fn extend_one_of_n(&mut self, stream: &mut Stream, choices: &[Choices]) -> Result<()> {
        self.places = Places::of(choices.iter().map(Choices::group))?;
        let mut all = Bits::default();
        for plane in choices.iter().flat_map(|c| &c.planes) {
            all.extend(plane);
        }
        if all.len() != self.places.total {
            return Err(Error::misuse("planes of choices of different lengths"));
        }
        self.extend_cot(stream, &all)?;
        self.choices = all;
        Ok(())
    }

    fn one_of_n_pads(&self, group: usize, range: Range<usize>, out: &mut [Block]) {
        let (m, n) = (self.places.log_n(group), range.len());
        let (keys, choices) = (self.keys(group, &range), self.chosen(group, &range));
        long_chosen(m, |s| &keys[s as usize * n..][..n], |i| choices[i].into(), out);
    }

    fn short_pads(&self, group: usize, range: Range<usize>, bits: u32, out: &mut [u64]) {
        let (m, n) = (self.places.log_n(group), range.len());
        let (keys, choices) = (self.keys(group, &range), self.chosen(group, &range));
        out.fill(0);
        short_chosen(m, bits, |s| &keys[s as usize * n..][..n], |i| choices[i].into(), out);
    }
}
