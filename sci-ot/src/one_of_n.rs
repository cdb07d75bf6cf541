//! Messages of chosen 1-of-N OT: short ones bit by bit, long ones whole.
//!
//! **Short messages** (b bits, b N at most 1024) are laid out message-bit major within an instance: bit t of message k
//! is bit t N + k, so that an indicator vector (`1{x > k}` for all k, say) is a machine word.
//! An instance is exactly b N bits on the wire, instances follow each other without gaps.
//!
//! **Long messages** (1 to 128 bits) stand one after the other, N per instance, packed to the bit.
//!
//! **Shares of a function** ([`Messages::share_short`]). Where the messages are f(k) xor s for a fresh uniform s of
//! the sender, so that both end with XOR shares of f(choice), the sender may as well take s = f(0) xor pad_0:
//! message 0 is then its own pad and nothing has to travel for it ([`First::Implied`]). s is as uniform as before,
//! the pad being uniform, and all other messages are masked by pads that the receiver does not have. For a
//! receiver that chose 0, f(0) xor s is a pad that it could compute by itself: a simulator that is
//! given its share r of the output lets the random OTs beneath end in the pad r. An instance is then b (N - 1) bits on the
//! wire: 7 bits in place of 8 for 1{x > k} at N = 8.

use crate::chosen::{OneOfNReceiver, OneOfNSender};
use crate::kind::OtKind;
use sci_core::prg::SecretBlocks;
use sci_core::{Bits, Block, Error, Prg, Result, pack};
use zeroize::Zeroizing;

/// Pads of one tile: 16 KiB.
const TILE: usize = 1024;

/// The largest number of message bits of one instance: four bits for each of 256 messages.
const MAX_WORDS: usize = 16;

/// What becomes of message 0 of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum First {
    /// It is sent as any other.
    Sent,
    /// It is its own pad and is not sent: for shares of a function, in instances of at most 64 bits.
    Implied,
}

impl First {
    /// Shares of a function with values of `bits` bits: message 0 is implied over silent OT. Over IKNP
    /// and KKOT, of whose 256 bits for a row it would save hardly any, messages are those of the papers.
    pub fn of_shares(ot: OtKind, log_n: u32, bits: u32) -> Self {
        match ot {
            OtKind::Silent if bits << log_n <= 64 => Self::Implied,
            OtKind::Silent | OtKind::Iknp => Self::Sent,
        }
    }
}

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
    /// Whether message 0 travels.
    pub first: First,
}

impl Messages {
    /// Bits of all messages of one instance.
    fn instance_bits(self) -> usize {
        (self.bits as usize) << self.log_n
    }

    /// Bits of one instance on the wire.
    fn sent_bits(self) -> usize {
        match self.first {
            First::Sent => self.instance_bits(),
            First::Implied => self.instance_bits() - self.bits as usize,
        }
    }

    /// Words that hold one instance.
    fn instance_words(self) -> usize {
        self.instance_bits().div_ceil(64)
    }

    /// Bytes on the wire.
    pub fn wire_len(self) -> usize {
        (self.count * self.sent_bits()).div_ceil(8)
    }

    /// Sender: the messages of a whole group, masked, into `out` of exactly [`Messages::wire_len`] bytes.
    ///
    /// `message(i, words)` writes the plaintext bits of instance i; the words come zeroed.
    ///
    /// # Errors
    /// [`Error::Misuse`] if the shape is beyond what this layout serves, or if message 0 is implied: it is not the
    /// caller's to choose then.
    pub fn write_short(
        self,
        ot: &dyn OneOfNSender,
        message: impl FnMut(usize, &mut [u64]),
        out: &mut [u8],
    ) -> Result<()> {
        if self.first == First::Implied {
            return Err(Error::misuse("a message of its own in place of an implied one"));
        }
        self.mask_short(ot, message, |_, _| (), out)
    }

    /// Sender: shares of f(choice) for a whole group. `table(i, words)` writes f(k) of instance i for all k, as
    /// plain messages; the words come zeroed. What it returns is the sender's share, a plane for each bit of a message;
    /// the receiver's is what [`Messages::read_short`] hands out. `out` as for [`Messages::write_short`].
    ///
    /// # Errors
    /// [`Error::Misuse`] if the shape is beyond what this layout serves.
    pub fn share_short(
        self,
        ot: &dyn OneOfNSender,
        prg: &mut Prg,
        table: impl FnMut(usize, &mut [u64]),
        out: &mut [u8],
    ) -> Result<Vec<Bits>> {
        let Self { count, log_n, bits, first, .. } = self;
        if first == First::Implied && self.instance_bits() > 64 {
            return Err(Error::misuse(format!("implied messages of 1-of-2^{log_n}, {bits} bits")));
        }
        let mut shares: Vec<Bits> = match first {
            First::Sent => (0..bits).map(|_| Bits::sample(count, prg)).collect(),
            First::Implied => (0..bits).map(|_| Bits::zeros(count)).collect(),
        };
        let n = 1usize << log_n;
        let flip = |i: usize, words: &mut [u64]| {
            for (t, share) in shares.iter_mut().enumerate() {
                let share = &mut share.words_mut()[i / 64];
                if first == First::Implied {
                    *share |= (words[0] >> (t * n) & 1) << (i % 64);
                }
                flip_plane(words, t * n, n, *share >> (i % 64) & 1);
            }
            if first == First::Implied {
                words[0] = without_first(words[0], log_n, bits);
            }
        };
        self.mask_short(ot, table, flip, out)?;
        Ok(shares)
    }

    /// Masks plain messages with their pads, lets `finish(i, words)` change them once more, and packs.
    fn mask_short(
        self,
        ot: &dyn OneOfNSender,
        mut message: impl FnMut(usize, &mut [u64]),
        mut finish: impl FnMut(usize, &mut [u64]),
        out: &mut [u8],
    ) -> Result<()> {
        let Self { group, count, log_n, bits, .. } = self;
        let (words, total) = (self.instance_words(), self.sent_bits());
        let ragged = total > 64 && !total.is_multiple_of(64);
        if words > MAX_WORDS || ragged || out.len() != self.wire_len() {
            return Err(Error::misuse(format!(
                "{count} instances of 1-of-2^{log_n} with {bits} bits"
            )));
        }
        let per_tile = (TILE >> log_n).max(8);
        let mut tile_words = Zeroizing::new(vec![0u64; per_tile * words]);
        for start in (0..count).step_by(per_tile) {
            let n = per_tile.min(count - start);
            let masked = &mut tile_words[..n * words];
            masked.fill(0);
            for (i, word) in masked.chunks_exact_mut(words).enumerate() {
                message(start + i, word);
            }
            ot.short_pads(group, log_n, start..start + n, bits, masked);
            for (i, word) in masked.chunks_exact_mut(words).enumerate() {
                finish(start + i, word);
            }
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
        Ok(())
    }

    /// Receiver: the chosen message of every instance of a group, as a plane for each bit of a message.
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
    ) -> Result<Vec<Bits>> {
        let mut planes = self.chosen_pads(ot);
        self.open_short(&mut planes, choice, bytes)?;
        Ok(planes)
    }

    /// Receiver: the chosen pad of every instance of a group, as a plane for each bit of a message. They are all that
    /// has to be kept of an extension until the messages are there ([`Messages::open_short`]).
    pub fn chosen_pads(self, ot: &dyn OneOfNReceiver) -> Vec<Bits> {
        let Self { group, count, bits, .. } = self;
        let mut planes = vec![Bits::zeros(count); bits as usize];
        let mut pads = Zeroizing::new(vec![0u64; TILE.min(count)]);
        for start in (0..count).step_by(TILE) {
            let len = TILE.min(count - start);
            ot.short_pads(group, start..start + len, bits, &mut pads[..len]);
            for (w, pads) in pads[..len].chunks(64).enumerate() {
                put_planes(&mut planes, start / 64 + w, pads);
            }
        }
        planes
    }

    /// Receiver: from the chosen pads to the chosen messages, plane by plane.
    ///
    /// # Errors
    /// As [`Messages::read_short`].
    pub fn open_short(
        self,
        planes: &mut [Bits],
        choice: impl Fn(usize) -> u64,
        bytes: &[u8],
    ) -> Result<()> {
        let Self { count, log_n, bits, first, .. } = self;
        let (words, total) = (self.instance_words(), self.sent_bits());
        let n = 1usize << log_n;
        let mut tile_words = vec![0u64; TILE.min(count) * words];
        let mut messages = Zeroizing::new([0u64; 64]);
        for start in (0..count).step_by(TILE) {
            let len = TILE.min(count - start);
            let masked = &mut tile_words[..len * words];
            let at = start * total / 8;
            if words == 1 {
                let end = (at + (len * total).div_ceil(8)).min(bytes.len());
                pack::unpack(&bytes[at..end], total as u32, masked)?;
                if first == First::Implied {
                    masked.iter_mut().for_each(|word| *word = with_first(*word, log_n, bits));
                }
            } else {
                for (word, raw) in masked.iter_mut().zip(bytes[at..].as_chunks().0) {
                    *word = u64::from_le_bytes(*raw);
                }
            }
            for (w, masked) in masked.chunks(64 * words).enumerate() {
                let messages = &mut messages[..masked.len() / words];
                for (i, (message, word)) in
                    messages.iter_mut().zip(masked.chunks_exact(words)).enumerate()
                {
                    let k = choice(start + 64 * w + i) as usize;
                    *message = 0;
                    for t in 0..bits as usize {
                        let bit = if n <= 64 {
                            word[t * n / 64] >> (t * n % 64 + k)
                        } else {
                            select_bit(&word[t * n / 64..(t + 1) * n / 64], k)
                        };
                        *message |= (bit & 1) << t;
                    }
                }
                put_planes(planes, start / 64 + w, messages);
            }
        }
        Ok(())
    }

    /// Sender: N messages of `bits` bits (up to 128) per instance; `message(i, k)` must fit.
    pub fn write_long(
        self,
        ot: &dyn OneOfNSender,
        message: impl Fn(usize, usize) -> u128,
        out: &mut [u8],
    ) {
        let Self { group, count, log_n, bits, .. } = self;
        let mut pads = SecretBlocks::zeros(count << log_n);
        ot.one_of_n_pads(group, 0..count, &mut pads);
        let mask = u128::MAX >> (128 - bits);
        let n = 1 << log_n;
        let masked: Vec<u128> = pads
            .iter()
            .enumerate()
            .map(|(at, pad)| (message(at / n, at % n) ^ pad.to_u128()) & mask)
            .collect();
        pack::pack_u128(&masked, bits, out);
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
        let Self { group, count, log_n, bits, .. } = self;
        let mut pads = SecretBlocks::zeros(count);
        ot.one_of_n_pads(group, 0..count, &mut pads);
        let n = 1usize << log_n;
        let mut masked = vec![0u128; count * n];
        pack::unpack_u128(bytes, bits, &mut masked)?;
        let mask = u128::MAX >> (128 - bits);
        let messages = masked
            .chunks_exact(n)
            .zip(pads.iter())
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
        Ok(messages)
    }
}

/// XORs bit t of value i into bit i of word `at` of plane t, for up to 64 values.
fn put_planes(planes: &mut [Bits], at: usize, values: &[u64]) {
    for (t, plane) in planes.iter_mut().enumerate() {
        let word = values.iter().enumerate().fold(0, |word, (i, v)| word | (v >> t & 1) << i);
        if let Some(place) = plane.words_mut().get_mut(at) {
            *place ^= word;
        }
    }
}

/// Flips n bits from `at` on if `flip` is 1. Both are powers of two or multiples of n.
fn flip_plane(words: &mut [u64], at: usize, n: usize, flip: u64) {
    let flip = flip.wrapping_neg();
    if n < 64 {
        words[at / 64] ^= (flip & ((1 << n) - 1)) << (at % 64);
    } else {
        words[at / 64..][..n / 64].iter_mut().for_each(|word| *word ^= flip);
    }
}

/// Takes message 0, whose bits are zero, out of an instance of one word.
fn without_first(word: u64, log_n: u32, bits: u32) -> u64 {
    let (n, rest) = (1u32 << log_n, (1u64 << ((1u32 << log_n) - 1)) - 1);
    (0..bits).fold(0, |packed, t| packed | (word >> (t * n + 1) & rest) << (t * (n - 1)))
}

/// Puts message 0 back, as zeros.
fn with_first(packed: u64, log_n: u32, bits: u32) -> u64 {
    let (n, rest) = (1u32 << log_n, (1u64 << ((1u32 << log_n) - 1)) - 1);
    (0..bits).fold(0, |word, t| word | (packed >> (t * (n - 1)) & rest) << (t * n + 1))
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
