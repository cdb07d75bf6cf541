//! Residues on the wire: prime by prime, each packed to the bits of that prime.

use crate::params::{Params, residue_bits};
use sci_core::pack::{pack, packed_len, unpack};
use sci_core::{Domain, Error, Result};

/// Bytes of one polynomial of residues. N is a multiple of 8, so that no prime needs padding.
pub(crate) fn residues_len<D: Domain>(params: &Params<D>) -> usize {
    params.primes().iter().map(|&p| packed_len(params.degree(), residue_bits(p))).sum()
}

pub(crate) fn write_residues<D: Domain>(params: &Params<D>, poly: &[u32], mut out: &mut [u8]) {
    for (&p, residues) in params.primes().iter().zip(poly.chunks_exact(params.degree())) {
        let bits = residue_bits(p);
        let (now, later) = out.split_at_mut(packed_len(residues.len(), bits));
        let wide: Vec<u64> = residues.iter().map(|&r| r.into()).collect();
        pack(&wide, bits, now);
        out = later;
    }
}

/// Parses a polynomial.
///
/// # Errors
/// [`Error::PeerMisbehaved`] if a residue is not below its prime.
pub(crate) fn read_residues<D: Domain>(params: &Params<D>, bytes: &[u8]) -> Result<Vec<u32>> {
    let expected = residues_len(params);
    if bytes.len() != expected {
        return Err(Error::misbehaved("length of a ciphertext", expected, bytes.len()));
    }
    let n = params.degree();
    let mut poly = Vec::with_capacity(params.primes().len() * n);
    let mut wide = vec![0u64; n];
    let mut rest = bytes;
    for &p in params.primes() {
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
