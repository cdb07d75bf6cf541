//! A packed sequence of bits: 64 to a word, unused high bits of the last word always zero.

use crate::{Error, Prg, Result};
use std::fmt;
use zeroize::Zeroize;

/// Packed bits. Bit `i` is bit `i % 64` of word `i / 64`; on the wire bit `i` is bit `i % 8` of
/// byte `i / 8`, and exactly `ceil(len / 8)` bytes travel.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Bits {
    len: usize,
    words: Vec<u64>,
}

impl Bits {
    /// `len` zeros.
    pub fn zeros(len: usize) -> Self {
        Self { len, words: vec![0; len.div_ceil(64)] }
    }

    /// `len` uniform bits.
    pub fn sample(len: usize, prg: &mut Prg) -> Self {
        let mut bits = Self::zeros(len);
        prg.fill_u64(&mut bits.words);
        bits.clear_tail();
        bits
    }

    /// The low bit of each item.
    pub fn from_fn(len: usize, mut bit: impl FnMut(usize) -> u64) -> Self {
        let mut bits = Self::zeros(len);
        for (w, word) in bits.words.iter_mut().enumerate() {
            let base = w * 64;
            for i in 0..64.min(len - base) {
                *word |= (bit(base + i) & 1) << i;
            }
        }
        bits
    }

    /// Takes ownership of packed words, clearing what lies beyond `len`.
    ///
    /// # Errors
    /// [`Error::Misuse`] unless there are exactly `ceil(len / 64)` words.
    pub fn from_words(len: usize, words: Vec<u64>) -> Result<Self> {
        if words.len() != len.div_ceil(64) {
            return Err(Error::misuse(format!("{} words for {len} bits", words.len())));
        }
        let mut bits = Self { len, words };
        bits.clear_tail();
        Ok(bits)
    }

    /// Number of bits.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bit `i`.
    ///
    /// # Panics
    /// If `i` is out of range.
    pub fn get(&self, i: usize) -> bool {
        assert!(i < self.len, "bit {i} of {}", self.len);
        self.words[i / 64] >> (i % 64) & 1 == 1
    }

    /// Sets bit `i`.
    ///
    /// # Panics
    /// If `i` is out of range.
    pub fn set(&mut self, i: usize, bit: bool) {
        assert!(i < self.len, "bit {i} of {}", self.len);
        let mask = 1 << (i % 64);
        self.words[i / 64] = self.words[i / 64] & !mask | (u64::from(bit) << (i % 64));
    }

    /// The packed words.
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// The packed words, for word-wise kernels. Call [`Bits::clear_tail`] after writing beyond `len`.
    pub fn words_mut(&mut self) -> &mut [u64] {
        &mut self.words
    }

    /// Restores the invariant that bits beyond `len` are zero.
    pub fn clear_tail(&mut self) {
        if !self.len.is_multiple_of(64)
            && let Some(last) = self.words.last_mut()
        {
            *last &= u64::MAX >> (64 - self.len % 64);
        }
    }

    /// The bits in order, as 0 or 1.
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        (0..self.len).map(|i| self.words[i / 64] >> (i % 64) & 1)
    }

    /// self ^= other.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn xor_assign(&mut self, other: &Self) {
        assert_eq!(self.len, other.len, "bit lengths");
        for (a, b) in self.words.iter_mut().zip(&other.words) {
            *a ^= b;
        }
    }

    /// self &= other.
    ///
    /// # Panics
    /// If the lengths differ.
    pub fn and_assign(&mut self, other: &Self) {
        assert_eq!(self.len, other.len, "bit lengths");
        for (a, b) in self.words.iter_mut().zip(&other.words) {
            *a &= b;
        }
    }

    /// Flips every bit.
    pub fn not_assign(&mut self) {
        for word in &mut self.words {
            *word = !*word;
        }
        self.clear_tail();
    }

    /// The bits `range.start..range.end` as a sequence of their own.
    ///
    /// # Panics
    /// If the range is out of bounds.
    pub fn slice(&self, range: std::ops::Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= self.len, "{range:?} of {}", self.len);
        let mut out = Self::zeros(range.len());
        let (skip, shift) = (range.start / 64, range.start % 64);
        for (i, word) in out.words.iter_mut().enumerate() {
            let low = self.words[skip + i] >> shift;
            let high = match (shift, self.words.get(skip + i + 1)) {
                (1.., Some(next)) => next << (64 - shift),
                _ => 0,
            };
            *word = low | high;
        }
        out.clear_tail();
        out
    }

    /// Appends `other`.
    pub fn extend(&mut self, other: &Self) {
        let shift = self.len % 64;
        self.len += other.len;
        self.reserve(other.words.len());
        if shift == 0 {
            self.words.extend_from_slice(&other.words);
        } else {
            for word in &other.words {
                if let Some(last) = self.words.last_mut() {
                    *last |= word << shift;
                }
                self.words.push(word >> (64 - shift));
            }
            self.words.truncate(self.len.div_ceil(64));
        }
    }

    /// Makes room for so many more words. A buffer that is too small is wiped when it is replaced.
    fn reserve(&mut self, more: usize) {
        let needed = self.words.len() + more;
        if needed > self.words.capacity() {
            let mut larger = Vec::with_capacity(needed.max(2 * self.words.capacity()));
            larger.extend_from_slice(&self.words);
            self.words.zeroize();
            self.words = larger;
        }
    }

    /// Bytes on the wire.
    pub fn wire_len(&self) -> usize {
        self.len.div_ceil(8)
    }

    /// Writes exactly [`Bits::wire_len`] bytes.
    ///
    /// # Panics
    /// If `out` has another length.
    pub fn write(&self, out: &mut [u8]) {
        assert_eq!(out.len(), self.wire_len());
        for (chunk, word) in out.chunks_mut(8).zip(&self.words) {
            chunk.copy_from_slice(&word.to_le_bytes()[..chunk.len()]);
        }
    }

    /// Reads `len` bits from exactly `ceil(len / 8)` bytes.
    ///
    /// # Errors
    /// [`Error::PeerMisbehaved`] if the length is another or a padding bit is set.
    pub fn read(len: usize, bytes: &[u8]) -> Result<Self> {
        if bytes.len() != len.div_ceil(8) {
            return Err(Error::misbehaved("packed bits", len.div_ceil(8), bytes.len()));
        }
        let mut bits = Self::zeros(len);
        for (chunk, word) in bytes.chunks(8).zip(&mut bits.words) {
            let mut raw = [0; 8];
            raw[..chunk.len()].copy_from_slice(chunk);
            *word = u64::from_le_bytes(raw);
        }
        let last = bits.words.last().copied();
        bits.clear_tail();
        if bits.words.last().copied() != last {
            return Err(Error::misbehaved("padding of packed bits", "zeros", "ones"));
        }
        Ok(bits)
    }
}

impl fmt::Debug for Bits {
    /// Only the length: bits are shares or choices more often than not.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bits({})", self.len)
    }
}

impl Drop for Bits {
    /// For the same reason always wiped.
    fn drop(&mut self) {
        self.words.zeroize();
    }
}

impl Zeroize for Bits {
    fn zeroize(&mut self) {
        self.words.zeroize();
        self.len = 0;
    }
}

impl FromIterator<bool> for Bits {
    fn from_iter<I: IntoIterator<Item = bool>>(iter: I) -> Self {
        let iter = iter.into_iter();
        let mut bits = Self::default();
        bits.reserve(iter.size_hint().0.div_ceil(64));
        for bit in iter {
            if bits.len.is_multiple_of(64) {
                bits.reserve(1);
                bits.words.push(0);
            }
            if let Some(last) = bits.words.last_mut() {
                *last |= u64::from(bit) << (bits.len % 64);
            }
            bits.len += 1;
        }
        bits
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn agrees_with_a_vector_of_bools(
            a in prop::collection::vec(any::<bool>(), 0..300),
            b in prop::collection::vec(any::<bool>(), 0..300),
            cut in any::<(prop::sample::Index, prop::sample::Index)>(),
        ) {
            let bits: Bits = a.iter().copied().collect();
            let mut wire = vec![0; bits.wire_len()];
            bits.write(&mut wire);
            prop_assert_eq!(&Bits::read(a.len(), &wire).unwrap(), &bits);
            let mut joined = bits.clone();
            joined.extend(&b.iter().copied().collect());
            let expected: Bits = a.iter().chain(&b).copied().collect();
            prop_assert_eq!(&joined, &expected);
            let (x, y) = (cut.0.index(a.len() + 1), cut.1.index(a.len() + 1));
            let range = x.min(y)..x.max(y);
            let expected: Bits = a[range.clone()].iter().copied().collect();
            prop_assert_eq!(bits.slice(range), expected);
            let mut flipped = bits.clone();
            flipped.not_assign();
            prop_assert_eq!(flipped, a.iter().map(|x| !x).collect::<Bits>());
        }
    }

    #[test]
    fn a_sequence_grows_by_whole_buffers() {
        let mut bits = Bits::default();
        let mut buffers = 0;
        for i in 0..5000 {
            let before = bits.words.capacity();
            bits.extend(&Bits::from_fn(3, |j| (i + j) as u64));
            buffers += usize::from(bits.words.capacity() != before);
        }
        assert!(bits.iter().enumerate().all(|(at, bit)| bit == ((at / 3 + at % 3) & 1) as u64));
        assert!((1..=9).contains(&buffers), "{buffers} buffers for {} words", bits.words.len());
        // Of known length in one.
        let known: Bits = bits.iter().map(|bit| bit == 1).collect();
        assert_eq!(known.words.capacity(), known.words.len());
        let counted: Bits = bits.iter().map(|bit| bit == 1).filter(|_| true).collect();
        assert!(known == bits && counted == bits);
    }

    #[test]
    fn what_they_are_is_not_printed() {
        let text = |bit| format!("{:?}", Bits::from_fn(70, |_| bit));
        assert_eq!((text(0), text(1)), ("Bits(70)".into(), "Bits(70)".into()));
    }

    #[test]
    fn wire_reads_are_checked() {
        assert!(Bits::read(9, &[0, 1]).is_ok());
        assert!(Bits::read(9, &[0, 2]).is_err());
        assert!(Bits::read(9, &[0]).is_err());
        assert!(Bits::read(0, &[]).is_ok());
    }
}
