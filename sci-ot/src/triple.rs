//! Bit triples, dealt beside other OTs in the same flight or by random OTs with no flight at all.
//!
//! A *single* is XOR shares of (a, b, ab); a *pair* is two of them with the same first factor,
//! (a, b, ab) and (a, b', ab'). They turn an AND of shared bits into the opening of e = x xor a and
//! f = y xor b (CrypTFlow2, section 3.1 and appendix A). There are two dealers.
//!
//! **By messages** ([`OtKind::Iknp`], where a message costs less than an OT):
//!
//! * two singles from one 1-of-16 OT of two bits: the receiver chooses with its (a, b, a', b'), the
//!   sender offers ((a xor a_r)(b xor b_r) xor c, ...): lambda + 16 bits a triple;
//! * one pair from one 1-of-8 OT of two bits, choice (a, b, b'): 2 lambda + 16 bits.
//!
//! **By random OTs** ([`OtKind::Silent`]): one in each direction for a single as for a pair, and not a
//! bit on the wire. Let the messages of the one in which party j sends be m_0 and m_1, of two bits, and
//! the choice of its peer i be r: party i takes a_i = r and party j (b_j, b'_j) = m_0 xor m_1; then m_r
//! at i and m_0 at j are shares of (a_i b_j, a_i b'_j). Both directions and the own products a_i b_i
//! give c.
//!
//! The caller need not know which: it begins with [`Stock::deal`], puts [`Need::groups`] (or
//! [`Stock::choices`]) beside its own in one extension, and [`Need::message_bytes`] of messages beside its own
//! in one frame; with random OTs all of these are empty.

use crate::chosen::{Choices, Group, OneOfNReceiver, OneOfNSender};
use crate::kind::OtKind;
use crate::one_of_n::{First, Messages};
use crate::peer::{Lane, Role};
use sci_core::{Bits, Block, Cost, Error, Party, Result};
use std::ops::Range;
use zeroize::Zeroizing;

/// Random OTs whose pads are computed at once.
const TILE: usize = 512;

/// Random OTs of each direction that are held at once: a quarter of a MiB.
const BLOCK: usize = 1 << 13;

/// How many triples a step consumes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Need {
    /// Independent triples.
    pub singles: usize,
    /// Pairs with a common factor.
    pub pairs: usize,
}

impl Need {
    /// 1-of-16 instances: two singles each.
    fn sixteens(self) -> usize {
        self.singles.div_ceil(2)
    }

    /// The OT instances that this takes beside the caller's, in order.
    pub fn groups(self, ot: OtKind) -> Vec<Group> {
        match ot {
            OtKind::Iknp => {
                self.messages(0).map(|m| Group { log_n: m.log_n, count: m.count }).into()
            }
            OtKind::Silent => Vec::new(),
        }
    }

    /// Wire bytes of the sender's messages.
    pub fn message_bytes(self, ot: OtKind) -> usize {
        match ot {
            OtKind::Iknp => self.messages(0).iter().map(|m| m.wire_len()).sum(),
            OtKind::Silent => 0,
        }
    }

    /// Random OTs in each direction.
    pub fn random_cots(self, ot: OtKind) -> usize {
        match ot {
            OtKind::Iknp => 0,
            OtKind::Silent => self.singles + self.pairs,
        }
    }

    /// The random OTs of both directions; groups and messages count where the caller sends them.
    pub fn cost(self, ot: OtKind) -> Cost {
        Cost { cots: 2 * self.random_cots(ot) as u64, ..Cost::ZERO }
    }

    /// The messages of both groups, the first of which stands at place `group` of the extension.
    fn messages(self, group: usize) -> [Messages; 2] {
        let of =
            |group, log_n, count| Messages { group, count, log_n, bits: 2, first: First::Sent };
        [of(group, 4, self.sixteens()), of(group + 1, 3, self.pairs)]
    }
}

/// One party's shares of a batch of triples.
pub struct Stock {
    /// a, b, c of the singles.
    pub single: [Bits; 3],
    /// a, b, b', c, c' of the pairs.
    pub pair: [Bits; 5],
    need: Need,
    dealer: OtKind,
}

impl Stock {
    /// Begins a deal. Without messages it ends here; with them the factors are uniform, and so are
    /// the products of the sender (they stay), while the receiver's are still to be read.
    ///
    /// # Errors
    /// As the link and the peer behave.
    pub fn deal(lane: &mut Lane, need: Need) -> Result<Self> {
        match lane.settings().ot {
            OtKind::Iknp => Ok(Self {
                single: std::array::from_fn(|_| Bits::sample(need.singles, &mut lane.prg)),
                pair: std::array::from_fn(|_| Bits::sample(need.pairs, &mut lane.prg)),
                need,
                dealer: OtKind::Iknp,
            }),
            OtKind::Silent => Self::from_random(lane, need),
        }
    }

    fn from_random(lane: &mut Lane, need: Need) -> Result<Self> {
        let n = need.random_cots(OtKind::Silent);
        let (mut a, zeros) = (Bits::default(), || Bits::zeros(n));
        let (mut factors, mut products) = ([zeros(), zeros()], [zeros(), zeros()]);
        lane.announce(n, n);
        for first in (0..n).step_by(BLOCK) {
            let count = BLOCK.min(n - first);
            lane.prepare(count, count)?;
            lane.send.extend_random(&mut lane.stream, count)?;
            a.extend(&lane.recv.extend_random(&mut lane.stream, count, &mut lane.prg)?);
            cross_terms(lane, first..first + count, &mut factors, &mut products);
        }
        for (product, factor) in products.iter_mut().zip(&factors) {
            let own = a.words().iter().zip(factor.words());
            for (word, (a, b)) in product.words_mut().iter_mut().zip(own) {
                *word ^= a & b;
            }
        }
        let (singles, pairs) = (0..need.singles, need.singles..n);
        let ([b, b2], [c, c2]) = (&factors, &products);
        Ok(Self {
            single: [&a, b, c].map(|plane| plane.slice(singles.clone())),
            pair: [&a, b, b2, c, c2].map(|plane| plane.slice(pairs.clone())),
            need,
            dealer: OtKind::Silent,
        })
    }

    /// The two singles of instance i are i and i + half.
    fn halves(&self, factor: usize) -> [Bits; 2] {
        let half = self.need.sixteens();
        let all = &self.single[factor];
        let mut high = all.slice(half..self.need.singles.max(half));
        if high.len() < half {
            high.extend(&Bits::zeros(half - high.len()));
        }
        [all.slice(0..half), high]
    }

    /// The receiver's choices, in the order of [`Need::groups`].
    pub fn choices(&self) -> Vec<Choices> {
        if self.dealer == OtKind::Silent {
            return Vec::new();
        }
        let ([a0, a1], [b0, b1]) = (self.halves(0), self.halves(1));
        let [a, b, b2, ..] = &self.pair;
        vec![
            Choices { planes: vec![a0, b0, a1, b1] },
            Choices { planes: vec![a.clone(), b.clone(), b2.clone()] },
        ]
    }

    /// Sender: writes the messages. `first_group` is the index of the first of [`Need::groups`] in the
    /// extension, `out` is exactly [`Need::message_bytes`] long.
    ///
    /// # Errors
    /// Never for a stock and an extension of the same need.
    pub fn write(&self, ot: &dyn OneOfNSender, first_group: usize, out: &mut [u8]) -> Result<()> {
        if self.dealer == OtKind::Silent {
            return Ok(());
        }
        let [sixteens, eights] = self.need.messages(first_group);
        let (out16, out8) = out.split_at_mut(sixteens.wire_len());
        // Bit k of these masks is bit 0, 1, 2, 3 of k.
        const BIT: [u64; 4] = [0xaaaa, 0xcccc, 0xf0f0, 0xff00];
        let halves: [[Bits; 2]; 3] = std::array::from_fn(|factor| self.halves(factor));
        let spread = |bits: &Bits, i: usize| u64::from(bits.get(i)).wrapping_neg();
        let product16 = |half: usize, i: usize| {
            let [a, b, c] = [&halves[0][half], &halves[1][half], &halves[2][half]];
            let left = BIT[2 * half] ^ spread(a, i);
            let right = BIT[2 * half + 1] ^ spread(b, i);
            (left & right ^ spread(c, i)) & 0xffff
        };
        sixteens.write_short(
            ot,
            |i, words| words[0] = product16(0, i) | product16(1, i) << 16,
            out16,
        )?;
        let [a, b, b2, c, c2] = &self.pair;
        let product8 = |i: usize, b: &Bits, bit: u64, c: &Bits| {
            ((BIT[0] ^ spread(a, i)) & (bit ^ spread(b, i)) ^ spread(c, i)) & 0xff
        };
        eights.write_short(
            ot,
            |i, words| words[0] = product8(i, b, BIT[1], c) | product8(i, b2, BIT[2], c2) << 8,
            out8,
        )
    }

    /// Receiver: reads its shares of the products.
    ///
    /// # Errors
    /// If the peer's padding is not zero.
    pub fn read(
        &mut self,
        ot: &dyn OneOfNReceiver,
        first_group: usize,
        bytes: &[u8],
    ) -> Result<()> {
        if self.dealer == OtKind::Silent {
            return Ok(());
        }
        let [sixteens, eights] = self.need.messages(first_group);
        let (bytes16, bytes8) = bytes.split_at(sixteens.wire_len());
        let bit = |bits: &Bits, i: usize| u64::from(bits.get(i));
        let products = {
            let ([a0, a1], [b0, b1]) = (self.halves(0), self.halves(1));
            let choice = |i| bit(&a0, i) | bit(&b0, i) << 1 | bit(&a1, i) << 2 | bit(&b1, i) << 3;
            sixteens.read_short(ot, choice, bytes16)?
        };
        let [mut low, high] = two_planes(products)?;
        low.extend(&high.slice(0..self.need.singles - sixteens.count));
        self.single[2] = low;

        let [a, b, b2, ..] = &self.pair;
        let choice = |i| bit(a, i) | bit(b, i) << 1 | bit(b2, i) << 2;
        let [c, c2] = two_planes(eights.read_short(ot, choice, bytes8)?)?;
        (self.pair[3], self.pair[4]) = (c, c2);
        Ok(())
    }
}

/// The sender's factors and this party's shares of both products with the receiver's, of the latest extension: for
/// the instances `range` of all.
fn cross_terms(
    lane: &Lane,
    range: Range<usize>,
    factors: &mut [Bits; 2],
    products: &mut [Bits; 2],
) {
    let mut pads = Zeroizing::new([[Block::ZERO; 2]; TILE]);
    let mut chosen = Zeroizing::new([Block::ZERO; TILE]);
    for first in range.clone().step_by(TILE) {
        let count = TILE.min(range.end - first);
        let (pads, chosen) = (&mut pads[..count], &mut chosen[..count]);
        lane.send.cot_pads(first - range.start, pads);
        lane.recv.cot_pads(first - range.start, chosen);
        for (w, (pads, chosen)) in pads.chunks(64).zip(chosen.chunks(64)).enumerate() {
            let mut words = [0u64; 4];
            for (i, ([zero, one], chosen)) in pads.iter().zip(chosen).enumerate() {
                let factor = zero.0[0] ^ one.0[0];
                let shares = zero.0[0] ^ chosen.0[0];
                words[0] |= (factor & 1) << i;
                words[1] |= (factor >> 1 & 1) << i;
                words[2] |= (shares & 1) << i;
                words[3] |= (shares >> 1 & 1) << i;
            }
            let at = first / 64 + w;
            for (t, plane) in factors.iter_mut().chain(&mut *products).enumerate() {
                plane.words_mut()[at] = words[t];
            }
        }
    }
}

/// The planes of two-bit messages.
fn two_planes(planes: Vec<Bits>) -> Result<[Bits; 2]> {
    planes.try_into().map_err(|_| Error::misuse("two planes of two-bit messages"))
}

/// Triples of a finished deal, given out plane by plane: every AND of `n` bits takes the next ones.
pub struct Supply {
    stock: Stock,
    singles_used: usize,
    pairs_used: usize,
}

impl From<Stock> for Supply {
    fn from(stock: Stock) -> Self {
        Self { stock, singles_used: 0, pairs_used: 0 }
    }
}

/// The cost of [`Supply::and`] with so many planes of `n` bits: e and f of each single, e, f and f' of each pair.
pub fn and_cost(n: usize, planes: Need) -> Cost {
    let bits = (n * (2 * planes.singles + 3 * planes.pairs)) as u64;
    (Cost::message(Party::Server, bits) + Cost::message(Party::Client, bits)).in_rounds(1)
}

impl Supply {
    fn single(&mut self, n: usize) -> Result<[Bits; 3]> {
        let range = self.singles_used..self.singles_used + n;
        if range.end > self.stock.need.singles {
            return Err(Error::misuse("more ANDs than triples were dealt for"));
        }
        self.singles_used = range.end;
        Ok(std::array::from_fn(|i| self.stock.single[i].slice(range.clone())))
    }

    fn pair(&mut self, n: usize) -> Result<[Bits; 5]> {
        let range = self.pairs_used..self.pairs_used + n;
        if range.end > self.stock.need.pairs {
            return Err(Error::misuse("more pairs of ANDs than triples were dealt for"));
        }
        self.pairs_used = range.end;
        Ok(std::array::from_fn(|i| self.stock.pair[i].slice(range.clone())))
    }

    /// x AND y for every `(x, y)`, and `(x AND y, x AND y')` for every `(x, y, y')`, all XOR-shared,
    /// in one message each way. One round.
    ///
    /// # Errors
    /// [`Error::Misuse`] if the supply is exhausted; otherwise as the link and the peer behave.
    pub fn and(
        &mut self,
        lane: &mut Lane,
        singles: &[[&Bits; 2]],
        pairs: &[[&Bits; 3]],
    ) -> Result<(Vec<Bits>, Vec<[Bits; 2]>)> {
        self.open(lane, singles, pairs)?.products(lane)
    }

    /// The first half of [`Supply::and`]: sends this party's openings. Other messages of the same flight may follow.
    ///
    /// # Errors
    /// As [`Supply::and`].
    pub fn open(
        &mut self,
        lane: &mut Lane,
        singles: &[[&Bits; 2]],
        pairs: &[[&Bits; 3]],
    ) -> Result<Opening> {
        let single_triples =
            singles.iter().map(|s| self.single(s[0].len())).collect::<Result<Vec<_>>>()?;
        let pair_triples =
            pairs.iter().map(|p| self.pair(p[0].len())).collect::<Result<Vec<_>>>()?;

        let mut opened = Bits::default();
        for (inputs, triple) in singles.iter().zip(&single_triples) {
            append_masked(&mut opened, inputs, &triple[..2]);
        }
        for (inputs, triple) in pairs.iter().zip(&pair_triples) {
            append_masked(&mut opened, inputs, &triple[..3]);
        }
        lane.stream.send_with(opened.wire_len(), |out| opened.write(out))?;
        Ok(Opening { opened, singles: single_triples, pairs: pair_triples })
    }
}

/// ANDs of which this party has sent its openings, and waits for the peer's.
#[must_use = "the peer's openings are under way"]
pub struct Opening {
    opened: Bits,
    singles: Vec<[Bits; 3]>,
    pairs: Vec<[Bits; 5]>,
}

impl Opening {
    /// The second half of [`Supply::and`]: receives the peer's openings.
    ///
    /// # Errors
    /// As [`Supply::and`].
    pub fn products(self, lane: &mut Lane) -> Result<(Vec<Bits>, Vec<[Bits; 2]>)> {
        let Self { mut opened, singles, pairs } = self;
        {
            let theirs = lane.stream.recv("openings of ANDs", opened.wire_len())?;
            opened.xor_assign(&Bits::read(opened.len(), &theirs)?);
        }

        let leads = lane.role() == Role::Sender;
        let mut at = 0;
        let mut next = |n: usize| {
            at += n;
            opened.slice(at - n..at)
        };
        let mut outs = Vec::with_capacity(singles.len());
        for [a, b, c] in singles {
            let (e, f) = (next(a.len()), next(a.len()));
            outs.push(product(&e, &f, &a, &b, c, leads));
        }
        let mut pair_outs = Vec::with_capacity(pairs.len());
        for [a, b, b2, c, c2] in pairs {
            let (e, f, f2) = (next(a.len()), next(a.len()), next(a.len()));
            pair_outs
                .push([product(&e, &f, &a, &b, c, leads), product(&e, &f2, &a, &b2, c2, leads)]);
        }
        Ok((outs, pair_outs))
    }
}

fn append_masked(opened: &mut Bits, inputs: &[&Bits], masks: &[Bits]) {
    for (input, mask) in inputs.iter().zip(masks) {
        let mut difference = (*input).clone();
        difference.xor_assign(mask);
        opened.extend(&difference);
    }
}

/// c xor f a xor e b, and e f at the party that leads.
fn product(e: &Bits, f: &Bits, a: &Bits, b: &Bits, mut c: Bits, leads: bool) -> Bits {
    let both = u64::from(leads).wrapping_neg();
    let operands = e.words().iter().zip(f.words()).zip(a.words().iter().zip(b.words()));
    for (c, ((e, f), (a, b))) in c.words_mut().iter_mut().zip(operands) {
        *c ^= (f & a) ^ (e & b) ^ (e & f & both);
    }
    c
}
