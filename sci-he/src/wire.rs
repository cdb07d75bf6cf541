//! Residues on the wire: prime by prime, each packed to the bits of that prime.

use crate::params::residue_bits;
use sci_core::pack::{pack, packed_len, unpack};
use sci_core::{Error, Result};

/// Bytes of one polynomial of residues. N is a multiple of 8, so that no prime needs padding.
pub(crate) fn residues_len(primes: &[u32], n: usize) -> usize {
    primes.iter().map(|&p| packed_len(n, residue_bits(p))).sum()
}

pub(crate) fn write_residues(primes: &[u32], n: usize, poly: &[u32], mut out: &mut [u8]) {
    let mut wide = vec![0u64; n];
    for (&p, residues) in primes.iter().zip(poly.chunks_exact(n)) {
        let bits = residue_bits(p);
        let (now, later) = out.split_at_mut(packed_len(n, bits));
        for (wide, &r) in wide.iter_mut().zip(residues) {
            *wide = r.into();
        }
        pack(&wide, bits, now);
        out = later;
    }
}

/// Parses a polynomial.
///
/// # Errors
/// [`Error::PeerMisbehaved`] if a residue is not below its prime.
pub(crate) fn read_residues(primes: &[u32], n: usize, bytes: &[u8]) -> Result<Vec<u32>> {
    let expected = residues_len(primes, n);
    if bytes.len() != expected {
        return Err(Error::misbehaved("length of a ciphertext", expected, bytes.len()));
    }
    let mut poly = Vec::with_capacity(primes.len() * n);
    let mut wide = vec![0u64; n];
    let mut rest = bytes;
    for &p in primes {
        let (now, later) = rest.split_at(packed_len(n, residue_bits(p)));
        unpack(now, residue_bits(p), &mut wide)?;
        if wide.iter().fold(false, |bad, &r| bad | (r >= u64::from(p))) {
            return Err(Error::misbehaved(
                "coefficient of a ciphertext",
                format_args!("below {p}"),
                "a larger one",
            ));
        }
        poly.extend(wide.iter().map(|&r| r as u32));
        rest = later;
    }
    Ok(poly)
}
