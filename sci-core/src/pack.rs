//! Exactly `bits` bits a value on the wire.
//!
//! Value i occupies the bits i·bits .. (i+1)·bits of the message, lowest first; bit k of a message
//! is bit k mod 8 of byte k / 8. A message of n values is ceil(n·bits / 8) bytes, and the unused
//! high bits of its last byte are zero: a reader refuses anything else.

use crate::{Domain, Error, Result};

/// Bytes of `n` values.
///
/// # Panics
/// If the message has 2^64 bits or more.
pub fn packed_len(n: usize, bits: u32) -> usize {
    checked_len(n, bits).expect("a message that fits the address space")
}

fn checked_len(n: usize, bits: u32) -> Option<usize> {
    Some(n.checked_mul(bits as usize)?.div_ceil(8))
}

fn low_mask(bits: u32) -> u64 {
    assert!((1..=64).contains(&bits), "{bits} bits a value");
    u64::MAX >> (64 - bits)
}

/// Writes the low `bits` bits of each value.
///
/// # Panics
/// Unless `1 <= bits <= 64` and `out` has exactly [`packed_len`] bytes.
pub fn pack(values: &[u64], bits: u32, out: &mut [u8]) {
    let mask = low_mask(bits);
    assert_eq!(out.len(), packed_len(values.len(), bits), "bytes of {bits}-bit values");
    match bits {
        8 => values.iter().zip(out).for_each(|(v, o)| *o = *v as u8),
        16 => pack_whole(values, out, |v| (v as u16).to_le_bytes()),
        32 => pack_whole(values, out, |v| (v as u32).to_le_bytes()),
        64 => pack_whole(values, out, u64::to_le_bytes),
        _ => pack_words(values, bits, mask, out),
    }
}

fn pack_whole<const N: usize>(values: &[u64], out: &mut [u8], bytes: impl Fn(u64) -> [u8; N]) {
    for (value, slot) in values.iter().zip(out.as_chunks_mut().0) {
        *slot = bytes(*value);
    }
}

/// Collects 64-bit words. 64 values are exactly `bits` words, so that a word never crosses groups.
fn pack_words(values: &[u64], bits: u32, mask: u64, out: &mut [u8]) {
    let mut out = out;
    for group in values.chunks(64) {
        let (now, later) = out.split_at_mut(packed_len(group.len(), bits));
        let (words, tail) = now.as_chunks_mut::<8>();
        let mut words = words.iter_mut();
        let (mut word, mut filled) = (0, 0);
        for value in group {
            let value = value & mask;
            word |= value << filled;
            filled += bits;
            if filled >= 64 {
                if let Some(slot) = words.next() {
                    *slot = word.to_le_bytes();
                }
                filled -= 64;
                // The bits of the value that did not fit; none if it ended with the word.
                word = if filled == 0 { 0 } else { value >> (bits - filled) };
            }
        }
        match words.next() {
            Some(slot) => *slot = word.to_le_bytes(),
            None => tail.copy_from_slice(&word.to_le_bytes()[..tail.len()]),
        }
        out = later;
    }
}

fn check_len(bytes: &[u8], n: usize, bits: u32) -> Result<()> {
    let expected = checked_len(n, bits)
        .ok_or_else(|| Error::misuse(format!("a message of {n} values of {bits} bits")))?;
    if bytes.len() != expected {
        let what = format!("length of {n} values of {bits} bits");
        return Err(Error::misbehaved(what, expected, bytes.len()));
    }
    let used = n * bits as usize % 8;
    match bytes.last() {
        Some(last) if used != 0 && last >> used != 0 => {
            Err(Error::misbehaved("padding of packed values", "zeros", "ones"))
        }
        _ => Ok(()),
    }
}

/// Reads `out.len()` values.
///
/// # Errors
/// [`Error::PeerMisbehaved`] if there are not exactly [`packed_len`] bytes or a padding bit is set;
/// `out` is then as before.
///
/// # Panics
/// Unless `1 <= bits <= 64`.
pub fn unpack(bytes: &[u8], bits: u32, out: &mut [u64]) -> Result<()> {
    let mask = low_mask(bits);
    check_len(bytes, out.len(), bits)?;
    match bits {
        8 => out.iter_mut().zip(bytes).for_each(|(v, b)| *v = u64::from(*b)),
        16 => unpack_whole(bytes, out, |b| u64::from(u16::from_le_bytes(b))),
        32 => unpack_whole(bytes, out, |b| u64::from(u32::from_le_bytes(b))),
        64 => unpack_whole(bytes, out, u64::from_le_bytes),
        _ => unpack_words(bytes, bits, mask, out),
    }
    Ok(())
}

fn unpack_whole<const N: usize>(bytes: &[u8], out: &mut [u64], value: impl Fn([u8; N]) -> u64) {
    for (v, raw) in out.iter_mut().zip(bytes.as_chunks().0) {
        *v = value(*raw);
    }
}

fn unpack_words(bytes: &[u8], bits: u32, mask: u64, out: &mut [u64]) {
    for (group, bytes) in out.chunks_mut(64).zip(bytes.chunks(8 * bits as usize)) {
        let (words, tail) = bytes.as_chunks::<8>();
        let mut last = [0; 8];
        last[..tail.len()].copy_from_slice(tail);
        let mut words = words.iter().chain([&last]).map(|raw| u64::from_le_bytes(*raw));
        let (mut word, mut left) = (0, 0);
        for value in group {
            *value = word & mask;
            if left < bits {
                let next = words.next().unwrap_or(0);
                *value = (word | next << left) & mask;
                // What is left of the next word once the value is out of it.
                let taken = bits - left;
                word = if taken == 64 { 0 } else { next >> taken };
                left = 64 - taken;
            } else {
                word = if bits == 64 { 0 } else { word >> bits };
                left -= bits;
            }
        }
    }
}

/// Reads `out.len()` elements of a domain.
///
/// # Errors
/// [`Error::PeerMisbehaved`] as [`unpack`], and if a value is not a canonical representative; `out`
/// is then of no use.
pub fn unpack_elements<D: Domain>(domain: D, bytes: &[u8], out: &mut [u64]) -> Result<()> {
    unpack(bytes, domain.bits(), out)?;
    // No early exit: most messages are honest, and the loop then runs without a branch.
    if out.iter().fold(true, |ok, &x| ok & domain.is_canonical(x)) {
        Ok(())
    } else {
        let expected = format_args!("elements of Z_{domain}");
        Err(Error::misbehaved("packed elements", expected, "a larger value"))
    }
}

fn low_mask_u128(bits: u32) -> u128 {
    assert!((1..=128).contains(&bits), "{bits} bits a value");
    u128::MAX >> (128 - bits)
}

/// Writes the low `bits` bits of each value, for messages of up to 128 bits.
///
/// # Panics
/// Unless `1 <= bits <= 128` and `out` has exactly [`packed_len`] bytes.
pub fn pack_u128(values: &[u128], bits: u32, out: &mut [u8]) {
    let mask = low_mask_u128(bits);
    assert_eq!(out.len(), packed_len(values.len(), bits), "bytes of {bits}-bit values");
    let mut slots = out.chunks_mut(16);
    let (mut word, mut filled) = (0u128, 0);
    for value in values {
        let value = value & mask;
        word |= value << filled;
        filled += bits;
        if filled >= 128 {
            if let Some(slot) = slots.next() {
                slot.copy_from_slice(&word.to_le_bytes());
            }
            filled -= 128;
            word = if filled == 0 { 0 } else { value >> (bits - filled) };
        }
    }
    if let Some(slot) = slots.next() {
        slot.copy_from_slice(&word.to_le_bytes()[..slot.len()]);
    }
}

/// Reads `out.len()` values of up to 128 bits.
///
/// # Errors
/// [`Error::PeerMisbehaved`] as [`unpack`].
///
/// # Panics
/// Unless `1 <= bits <= 128`.
pub fn unpack_u128(bytes: &[u8], bits: u32, out: &mut [u128]) -> Result<()> {
    let mask = low_mask_u128(bits);
    check_len(bytes, out.len(), bits)?;
    let mut words = bytes.chunks(16).map(|chunk| {
        let mut raw = [0; 16];
        raw[..chunk.len()].copy_from_slice(chunk);
        u128::from_le_bytes(raw)
    });
    let (mut word, mut left) = (0u128, 0);
    for value in out {
        if left < bits {
            let next = words.next().unwrap_or(0);
            *value = (word | next << left) & mask;
            let taken = bits - left;
            word = if taken == 128 { 0 } else { next >> taken };
            left = 128 - taken;
        } else {
            *value = word & mask;
            word = if bits == 128 { 0 } else { word >> bits };
            left -= bits;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Field, Ring};
    use proptest::prelude::*;

    /// The definition, bit by bit.
    fn reference(values: &[u128], bits: u32) -> Vec<u8> {
        let mut out = vec![0; (values.len() * bits as usize).div_ceil(8)];
        for (i, value) in values.iter().enumerate() {
            for b in 0..bits as usize {
                let k = i * bits as usize + b;
                out[k / 8] |= ((value >> b & 1) as u8) << (k % 8);
            }
        }
        out
    }

    fn check(values: &[u128], bits: u32) {
        let expected = reference(values, bits);
        let masked: Vec<u128> = values.iter().map(|v| v & low_mask_u128(bits)).collect();
        assert_eq!(packed_len(values.len(), bits), expected.len());
        let mut out = vec![0xff; expected.len()];
        pack_u128(values, bits, &mut out);
        assert_eq!(out, expected, "{bits}");
        let mut back = vec![1; values.len()];
        unpack_u128(&out, bits, &mut back).unwrap();
        assert_eq!(back, masked, "{bits}");
        if bits <= 64 {
            let narrow: Vec<u64> = values.iter().map(|&v| v as u64).collect();
            let mut out = vec![0xff; expected.len()];
            pack(&narrow, bits, &mut out);
            assert_eq!(out, expected, "{bits}");
            let mut back = vec![1; values.len()];
            unpack(&out, bits, &mut back).unwrap();
            assert!(back.iter().map(|&v| u128::from(v)).eq(masked), "{bits}");
        }
    }

    #[test]
    fn every_width_and_many_lengths() {
        let mut x = 1u128;
        for bits in 1..=128 {
            for n in (0..20).chain([63, 64, 65, 127, 128, 129, 200]) {
                let values: Vec<u128> = (0..n)
                    .map(|_| {
                        x = x.wrapping_mul(0x2360_ED05_1FC6_5DA4_4385_DF64_9FCC_F645) + 5;
                        x.rotate_right(64)
                    })
                    .collect();
                check(&values, bits);
                check(&vec![u128::MAX; n], bits);
            }
        }
    }

    proptest! {
        #[test]
        fn packing_is_the_definition(
            values in prop::collection::vec(any::<u128>(), 0..150),
            bits in 1u32..=128,
        ) {
            check(&values, bits);
        }
    }

    #[test]
    fn wrong_lengths_and_padding_are_refused() {
        let mut out = [7; 3];
        for bits in [1, 3, 8, 13, 16, 31, 32, 61, 64] {
            let right = packed_len(3, bits);
            for len in [0, right - 1, right + 1] {
                let error = unpack(&vec![0; len], bits, &mut out).unwrap_err();
                assert!(matches!(error, Error::PeerMisbehaved { .. }), "{bits}");
            }
            let padding = right * 8 - 3 * bits as usize;
            for bad in 0..padding {
                let mut bytes = vec![0; right];
                bytes[right - 1] = 0x80 >> bad;
                assert!(unpack(&bytes, bits, &mut out).is_err(), "{bits}");
                assert!(unpack_u128(&bytes, bits, &mut [0; 3]).is_err(), "{bits}");
            }
        }
        assert_eq!(out, [7; 3]);
        assert!(unpack(&[0], 5, &mut []).is_err());
        assert!(unpack(&[], 5, &mut []).is_ok());
    }

    #[test]
    fn elements_must_be_canonical() {
        let field = Field::new(11).unwrap();
        let mut bytes = [0; 2];
        let mut out = [0; 4];
        pack(&[0, 10, 9, 10], 4, &mut bytes);
        unpack_elements(field, &bytes, &mut out).unwrap();
        assert_eq!(out, [0, 10, 9, 10]);
        pack(&[0, 10, 11, 10], 4, &mut bytes);
        assert!(unpack_elements(field, &bytes, &mut out).is_err());
        unpack_elements(Ring::new(4).unwrap(), &bytes, &mut out).unwrap();
        assert_eq!(out, [0, 10, 11, 10]);
    }
}
