//! Messages over correlated OT: corrections in a domain, random OT, chosen OT of any length.
//!
//! With pads p_0, p_1 of an instance read as domain elements, the sender's share is s = p_0 and it
//! sends corr + p_0 - p_1; the receiver gets s + c corr: p_0 for c = 0, the message plus p_1
//! for c = 1. Exactly `domain.bits()` bits an instance travel, so COT over Z_2^l costs lambda + l bits with IKNP.
//!
//! **One flight over silent OT.** Its pads are those of a random choice r that the receiver has from the outset, and what
//! it sends, f = c xor r, only says which pad is which. The corrections above do not depend on that: they make shares
//! s and t = s + r corr, and where f is 1 both parties turn them, s' = -(s + corr) and t' = -t, so that t' - s' =
//! (1 - r) corr = c corr. Hence choices and corrections travel in the same flight, which CrypTFlow2 and its successors
//! do in two, at not a bit more. Nothing else is seen than before: the sender sees f, which r hides, the receiver a
//! correction, which the pad hides that it does not have.

use crate::chosen::{CotReceiver, CotSender, Flips};
use sci_core::channel::Stream;
use sci_core::hash::expand;
use sci_core::{Bits, Block, Domain, Error, Result, pack};
use zeroize::{Zeroize, Zeroizing};

const TILE: usize = 512;

/// A batch of domain elements that wipes itself.
pub type Elements = Zeroizing<Vec<u64>>;

fn element<D: Domain>(domain: D, pad: Block) -> u64 {
    domain.reduce_wide(pad.to_u128())
}

/// Sender, after `extend_cot` or `extend_deferred`: its shares s_j, and the corrections to send.
///
/// `first` is the first instance of the extension that this batch uses.
pub(crate) fn correct<D: Domain>(
    ot: &(impl CotSender + ?Sized),
    domain: D,
    first: usize,
    correlations: &[u64],
) -> (Elements, Elements) {
    let n = correlations.len();
    let mut shares = Zeroizing::new(Vec::with_capacity(n));
    let mut messages = Zeroizing::new(Vec::with_capacity(n));
    let mut pads = [[Block::ZERO; 2]; TILE];
    for (tile, chunk) in correlations.chunks(TILE).enumerate() {
        let pads = &mut pads[..chunk.len()];
        ot.cot_pads(first + tile * TILE, pads);
        for (corr, [zero, one]) in chunk.iter().zip(&*pads) {
            let share = element(domain, *zero);
            shares.push(share);
            messages.push(domain.sub(domain.add(*corr, share), element(domain, *one)));
        }
    }
    pads.iter_mut().for_each(Zeroize::zeroize);
    (shares, messages)
}

/// Sender, once the flips are there: from shares for the choices that the pads were made for to shares for the
/// receiver's. `first` as in [`correct`].
pub(crate) fn turn<D: Domain>(
    domain: D,
    first: usize,
    flips: &Flips,
    correlations: &[u64],
    shares: &mut [u64],
) {
    for ((share, corr), f) in shares.iter_mut().zip(correlations).zip(flips.starting_at(first)) {
        let (mask, turned) = (f.wrapping_neg(), domain.neg(domain.add(*share, *corr)));
        *share ^= (*share ^ turned) & mask;
    }
}

/// Receiver, after `extend_deferred`: the chosen pads as elements, which are all that has to be kept of the extension until
/// the corrections are there ([`correct_chosen`]).
pub(crate) fn chosen_elements<D: Domain>(
    ot: &(impl CotReceiver + ?Sized),
    domain: D,
    first: usize,
    n: usize,
) -> Elements {
    let mut shares = Zeroizing::new(Vec::with_capacity(n));
    let mut pads = [Block::ZERO; TILE];
    for start in (0..n).step_by(TILE) {
        let pads = &mut pads[..TILE.min(n - start)];
        ot.cot_pads(first + start, pads);
        shares.extend(pads.iter().map(|pad| element(domain, *pad)));
    }
    pads.zeroize();
    shares
}

/// Receiver: from the chosen pads to s_j + c_j corr_j. The first of `choices` is that of instance `first`.
pub(crate) fn correct_chosen<D: Domain>(
    domain: D,
    first: usize,
    (choices, flips): (&Bits, &Flips),
    messages: &[u64],
    shares: &mut [u64],
) {
    let choices = choices.iter().zip(flips.starting_at(first));
    for ((share, message), (c, f)) in shares.iter_mut().zip(messages).zip(choices) {
        let made = domain.add(*share, message & (c ^ f).wrapping_neg());
        *share = made ^ ((made ^ domain.neg(made)) & f.wrapping_neg());
    }
}

/// Sends elements at exactly `domain.bits()` bits each.
///
/// # Errors
/// If the link fails.
pub fn send_elements<D: Domain>(stream: &mut Stream, domain: D, values: &[u64]) -> Result<()> {
    let len = pack::packed_len(values.len(), domain.bits());
    stream.send_with(len, |out| pack::pack(values, domain.bits(), out))
}

/// Receives `n` canonical elements.
///
/// # Errors
/// [`Error::PeerMisbehaved`] if one is not canonical.
pub fn recv_elements<D: Domain>(
    stream: &mut Stream,
    domain: D,
    what: &'static str,
    n: usize,
) -> Result<Elements> {
    let mut values = Zeroizing::new(vec![0; n]);
    let frame = stream.recv(what, pack::packed_len(n, domain.bits()))?;
    pack::unpack_elements(domain, &frame, &mut values)?;
    Ok(values)
}

/// Correlated OT, sender: learns s_j; the receiver learns s_j + c_j corr_j. [`crate::OtKind::cot_rounds`] flights.
///
/// # Errors
/// If the link fails or the peer misbehaves.
pub fn send_correlated<D: Domain>(
    stream: &mut Stream,
    ot: &mut (impl CotSender + ?Sized),
    domain: D,
    correlations: &[u64],
) -> Result<Elements> {
    ot.extend_deferred(stream, correlations.len())?;
    let (mut shares, messages) = correct(ot, domain, 0, correlations);
    send_elements(stream, domain, &messages)?;
    let flips = ot.flips(stream, correlations.len())?;
    turn(domain, 0, &flips, correlations, &mut shares);
    Ok(shares)
}

/// Correlated OT, receiver.
///
/// # Errors
/// If the link fails or the peer misbehaves.
pub fn recv_correlated<D: Domain>(
    stream: &mut Stream,
    ot: &mut (impl CotReceiver + ?Sized),
    domain: D,
    choices: &Bits,
) -> Result<Elements> {
    ask_correlated(stream, ot, domain, choices)?.read(stream, domain, choices)
}

/// What a receiver keeps of correlated OTs until the corrections are there: its pads, and how they were made.
#[must_use = "the corrections are under way"]
pub struct Asked {
    pads: Elements,
    flips: Flips,
}

/// The first half of [`recv_correlated`]: sends the choices. Others may be extended before the second, [`Asked::read`].
///
/// # Errors
/// If the link fails.
pub fn ask_correlated<D: Domain>(
    stream: &mut Stream,
    ot: &mut (impl CotReceiver + ?Sized),
    domain: D,
    choices: &Bits,
) -> Result<Asked> {
    let flips = ot.extend_deferred(stream, choices)?;
    Ok(Asked { pads: chosen_elements(ot, domain, 0, choices.len()), flips })
}

impl Asked {
    /// The second half of [`recv_correlated`]: from the corrections, for the same domain and choices.
    ///
    /// # Errors
    /// As [`recv_correlated`].
    pub fn read<D: Domain>(
        mut self,
        stream: &mut Stream,
        domain: D,
        choices: &Bits,
    ) -> Result<Elements> {
        let messages = recv_elements(stream, domain, "COT corrections", choices.len())?;
        correct_chosen(domain, 0, (choices, &self.flips), &messages, &mut self.pads);
        Ok(self.pads)
    }
}

/// Random OT, sender: two uniform 128-bit strings an instance. One flight.
///
/// # Errors
/// If the link fails.
pub fn send_random(
    stream: &mut Stream,
    ot: &mut (impl CotSender + ?Sized),
    n: usize,
) -> Result<Zeroizing<Vec<[Block; 2]>>> {
    ot.extend_cot(stream, n)?;
    let mut pads = Zeroizing::new(vec![[Block::ZERO; 2]; n]);
    ot.cot_pads(0, &mut pads);
    Ok(pads)
}

/// Random OT with the receiver's choice: the chosen one of the two strings.
///
/// # Errors
/// If the link fails.
pub fn recv_random(
    stream: &mut Stream,
    ot: &mut (impl CotReceiver + ?Sized),
    choices: &Bits,
) -> Result<Zeroizing<Vec<Block>>> {
    ot.extend_cot(stream, choices)?;
    let mut pads = Zeroizing::new(vec![Block::ZERO; choices.len()]);
    ot.cot_pads(0, &mut pads);
    Ok(pads)
}

/// XORs the stream of each pad into one message of `words` 64-bit words.
fn xor_stream(pads: &[Block], words: usize, messages: &mut [u64]) {
    let blocks = words.div_ceil(2);
    let mut stream = vec![Block::ZERO; pads.len() * blocks];
    if blocks == 1 {
        stream.copy_from_slice(pads);
    } else {
        expand(pads, blocks, &mut stream);
    }
    for (message, stream) in messages.chunks_exact_mut(words).zip(stream.chunks_exact(blocks)) {
        for (i, word) in message.iter_mut().enumerate() {
            *word ^= stream[i / 2].0[i % 2];
        }
    }
    stream.zeroize();
}

fn mask_tail(bits: u32, words: usize, messages: &mut [u64]) {
    let mask = u64::MAX >> (words as u32 * 64 - bits);
    for message in messages.chunks_exact_mut(words) {
        if let Some(last) = message.last_mut() {
            *last &= mask;
        }
    }
}

/// Packs messages of `bits` bits that stand in whole words.
fn pack_wide(messages: &[u64], bits: u32, out: &mut [u8]) {
    let words = bits.div_ceil(64) as usize;
    if words == 1 {
        return pack::pack(messages, bits, out);
    }
    out.fill(0);
    for (i, message) in messages.chunks_exact(words).enumerate() {
        for b in 0..bits as usize {
            let at = i * bits as usize + b;
            out[at / 8] |= ((message[b / 64] >> (b % 64) & 1) as u8) << (at % 8);
        }
    }
}

fn unpack_wide(bytes: &[u8], bits: u32, out: &mut [u64]) -> Result<()> {
    let words = bits.div_ceil(64) as usize;
    if words == 1 {
        return pack::unpack(bytes, bits, out);
    }
    for (i, message) in out.chunks_exact_mut(words).enumerate() {
        message.fill(0);
        for b in 0..bits as usize {
            let at = i * bits as usize + b;
            message[b / 64] |= u64::from(bytes[at / 8] >> (at % 8) & 1) << (b % 64);
        }
    }
    Ok(())
}

/// Chosen 1-of-2 OT, sender: messages of `bits` bits each, any length, in whole little-endian words.
/// Costs lambda + 2 bits with IKNP; two flights.
///
/// # Errors
/// [`Error::Misuse`] if the two batches are not of the same whole number of messages.
pub fn send_chosen(
    stream: &mut Stream,
    ot: &mut (impl CotSender + ?Sized),
    bits: u32,
    messages: [&[u64]; 2],
) -> Result<()> {
    let words = bits.div_ceil(64).max(1) as usize;
    let n = messages[0].len() / words;
    if bits == 0 || messages.iter().any(|m| m.len() != n * words) {
        return Err(Error::misuse(format!("chosen OT of {bits}-bit messages")));
    }
    ot.extend_cot(stream, n)?;
    let mut pads = Zeroizing::new(vec![[Block::ZERO; 2]; n]);
    ot.cot_pads(0, &mut pads);
    let len = (n * bits as usize).div_ceil(8);
    let mut wire = vec![0; 2 * len];
    for (b, half) in wire.chunks_exact_mut(len.max(1)).enumerate() {
        let keys = Zeroizing::new(pads.iter().map(|p| p[b]).collect::<Vec<_>>());
        let mut masked = Zeroizing::new(messages[b].to_vec());
        xor_stream(&keys, words, &mut masked);
        mask_tail(bits, words, &mut masked);
        pack_wide(&masked, bits, half);
    }
    stream.send(&wire)
}

/// Chosen 1-of-2 OT, receiver: the chosen messages, each in whole words.
///
/// # Errors
/// If the link fails or the peer misbehaves.
pub fn recv_chosen(
    stream: &mut Stream,
    ot: &mut (impl CotReceiver + ?Sized),
    bits: u32,
    choices: &Bits,
) -> Result<Elements> {
    if bits == 0 {
        return Err(Error::misuse("chosen OT of 0-bit messages"));
    }
    let (n, words) = (choices.len(), bits.div_ceil(64) as usize);
    ot.extend_cot(stream, choices)?;
    let mut pads = Zeroizing::new(vec![Block::ZERO; n]);
    ot.cot_pads(0, &mut pads);
    let len = (n * bits as usize).div_ceil(8);
    let wire = stream.recv("chosen OT messages", 2 * len)?;
    let mut both = [vec![0; n * words], vec![0; n * words]];
    for (half, bytes) in both.iter_mut().zip(wire.chunks_exact(len.max(1))) {
        unpack_wide(bytes, bits, half)?;
    }
    let mut out = Zeroizing::new(vec![0; n * words]);
    let pairs = both[0].chunks_exact(words).zip(both[1].chunks_exact(words));
    for ((out, (zero, one)), c) in out.chunks_exact_mut(words).zip(pairs).zip(choices.iter()) {
        for ((out, zero), one) in out.iter_mut().zip(zero).zip(one) {
            *out = zero ^ ((zero ^ one) & c.wrapping_neg());
        }
    }
    xor_stream(&pads, words, &mut out);
    mask_tail(bits, words, &mut out);
    Ok(out)
}
