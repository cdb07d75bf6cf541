//! Messages of chosen 1-of-N OT: short ones bit by bit, long ones whole.
//!
//! **Short messages** (b bits, b N at most 1024) are laid out message-bit major within an instance: bit t of message k
//! is bit t N + k, so that an indicator vector (`1{x > k}` for all k, say) is a machine word.
//! An instance is exactly b N bits on the wire, instances follow each other without gaps.
//!
//! **Long messages** (1 to 128 bits) stand one after the other, N per instance, packed to the bit.

use crate::chosen::{OneOfNReceiver, OneOfNSender};
use sci_core::{Block, Error, Result, pack};
use zeroize::Zeroize;

/// Pads of one tile: 16 KiB.
const TILE: usize = 1024;

/// The largest number of message bits of one instance: four bits for each of 256 messages.
const MAX_WORDS: usize = 16;

/// The messages of one group of an extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Messages {
    /// Place of the group in the extension.
    pub group: usize,
    /// Number of instances.
    pub count: usize,
    /// log2 of the number of messages of an instance.
    pub log_n: u32,
    /// Bits of a message.
    pub bits: u32,
}

impl Messages {
    /// Bits of one instance.
    fn instance_bits(self) -> usize {
        (self.bits as usize) << self.log_n
    }

    /// Words that hold one instance.
    fn instance_words(self) -> usize {
        self.instance_bits().div_ceil(64)
    }

    /// Bytes on the wire.
    pub fn wire_len(self) -> usize {
        (self.count * self.instance_bits()).div_ceil(8)
    }

    /// Sender: the messages of a whole group, masked, into `out` of exactly [`Messages::wire_len`] bytes.
    ///
    /// `message(i, words)` writes the plaintext bits of instance i; the words come zeroed.
    ///
    /// # Errors
    /// [`Error::Misuse`] if the shape is beyond what this layout serves.
    pub fn write_short(
        self,
        ot: &dyn OneOfNSender,
        mut message: impl FnMut(usize, &mut [u64]),
        out: &mut [u8],
    ) -> Result<()> {
        let Self { group, count, log_n, bits } = self;
        let (words, total) = (self.instance_words(), self.instance_bits());
        let ragged = total > 64 && !total.is_multiple_of(64);
        if words > MAX_WORDS || ragged || out.len() != self.wire_len() {
            return Err(Error::misuse(format!(
                "{count} instances of 1-of-2^{log_n} with {bits} bits"
            )));
        }
        let per_tile = (TILE >> log_n).max(8);
        let mut tile_words = vec![0u64; per_tile * words];
        for start in (0..count).step_by(per_tile) {
            let n = per_tile.min(count - start);
            let masked = &mut tile_words[..n * words];
            masked.fill(0);
            for (i, word) in masked.chunks_exact_mut(words).enumerate() {
                message(start + i, word);
            }
            ot.short_pads(group, log_n, start..start + n, bits, masked);
            // per_tile is a multiple of eight instances: every tile but the last ends on a byte.
            let at = start * total / 8;
            if words == 1 {
                let len = (n * total).div_ceil(8);
                pack::pack(masked, total as u32, &mut out[at..at + len]);
            } else {
                for (bytes, word) in out[at..].as_chunks_mut().0.iter_mut().zip(&*masked) {
                    *bytes = word.to_le_bytes();
                }
            }
        }
        tile_words.zeroize();
        Ok(())
    }

    /// Receiver: the chosen message of every instance of a group, handed to `sink(i, message)`.
    ///
    /// `choice(i)` is the choice of instance i again, below 2^log_n. Constant-time in the choices.
    ///
    /// # Errors
    /// [`Error::PeerMisbehaved`] if the padding of the last byte is not zero.
    pub fn read_short(
        self,
        ot: &dyn OneOfNReceiver,
        choice: impl Fn(usize) -> u64,
        bytes: &[u8],
        mut sink: impl FnMut(usize, u64),
    ) -> Result<()> {
        let Self { group, count, log_n, bits } = self;
        let (words, total) = (self.instance_words(), self.instance_bits());
        let n = 1usize << log_n;
        let mut pads = vec![0u64; TILE];
        let mut tile_words = vec![0u64; TILE * words];
        for start in (0..count).step_by(TILE) {
            let len = TILE.min(count - start);
            ot.short_pads(group, start..start + len, bits, &mut pads[..len]);
            let masked = &mut tile_words[..len * words];
            let at = start * total / 8;
            if words == 1 {
                let end = (at + (len * total).div_ceil(8)).min(bytes.len());
                pack::unpack(&bytes[at..end], total as u32, masked)?;
            } else {
                for (word, raw) in masked.iter_mut().zip(bytes[at..].as_chunks().0) {
                    *word = u64::from_le_bytes(*raw);
                }
            }
            for (i, (word, pad)) in masked.chunks_exact(words).zip(&pads).enumerate() {
                let k = choice(start + i) as usize;
                let mut message = 0;
                for t in 0..bits as usize {
                    let bit = if n <= 64 {
                        word[t * n / 64] >> (t * n % 64 + k)
                    } else {
                        select_bit(&word[t * n / 64..(t + 1) * n / 64], k)
                    };
                    message |= (bit & 1) << t;
                }
                let mask = u64::MAX >> (64 - bits);
                sink(start + i, (message ^ pad) & mask);
            }
        }
        pads.zeroize();
        Ok(())
    }

    /// Sender: N messages of `bits` bits (up to 128) per instance; `message(i, k)` must fit.
    pub fn write_long(
        self,
        ot: &dyn OneOfNSender,
        message: impl Fn(usize, usize) -> u128,
        out: &mut [u8],
    ) {
        let Self { group, count, log_n, bits } = self;
        let mut pads = vec![Block::ZERO; count << log_n];
        ot.one_of_n_pads(group, 0..count, &mut pads);
        let mask = u128::MAX >> (128 - bits);
        let n = 1 << log_n;
        let mut masked: Vec<u128> = pads
            .iter()
            .enumerate()
            .map(|(at, pad)| (message(at / n, at % n) ^ pad.to_u128()) & mask)
            .collect();
        pack::pack_u128(&masked, bits, out);
        pads.zeroize();
        masked.zeroize();
    }

    /// Receiver: the chosen long message of every instance.
    ///
    /// # Errors
    /// [`Error::PeerMisbehaved`] if the length or the padding is wrong.
    pub fn read_long(
        self,
        ot: &dyn OneOfNReceiver,
        choice: impl Fn(usize) -> u64,
        bytes: &[u8],
    ) -> Result<Vec<u128>> {
        let Self { group, count, log_n, bits } = self;
        let mut pads = vec![Block::ZERO; count];
        ot.one_of_n_pads(group, 0..count, &mut pads);
        let n = 1usize << log_n;
        let mut masked = vec![0u128; count * n];
        pack::unpack_u128(bytes, bits, &mut masked)?;
        let mask = u128::MAX >> (128 - bits);
        let messages = masked
            .chunks_exact(n)
            .zip(&pads)
            .enumerate()
            .map(|(i, (all, pad))| {
                let wanted = choice(i);
                let mut word = 0;
                for (k, m) in all.iter().enumerate() {
                    word |= m & u128::from(k as u64 == wanted).wrapping_neg();
                }
                (word ^ pad.to_u128()) & mask
            })
            .collect();
        pads.zeroize();
        Ok(messages)
    }
}

/// word[t N + k] ^= bit t of pad k.
pub(crate) fn xor_pad_bits(pads: &[Block], log_n: u32, bits: u32, words: &mut [u64]) {
    let n = 1usize << log_n;
    for t in 0..bits as usize {
        let base = t * n;
        if n <= 64 {
            let mut gathered = 0;
            for (k, pad) in pads.iter().enumerate() {
                gathered |= (pad.0[0] >> t & 1) << k;
            }
            words[base / 64] ^= gathered << (base % 64);
        } else {
            for (pads, word) in pads.chunks_exact(64).zip(&mut words[base / 64..]) {
                let mut gathered = 0;
                for (k, pad) in pads.iter().enumerate() {
                    gathered |= (pad.0[0] >> t & 1) << k;
                }
                *word ^= gathered;
            }
        }
    }
}

/// Bit k of a few words, touching all of them.
fn select_bit(words: &[u64], k: usize) -> u64 {
    let mut word = 0;
    for (i, w) in words.iter().enumerate() {
        word |= w & u64::from(i == k / 64).wrapping_neg();
    }
    word >> (k % 64)
}
