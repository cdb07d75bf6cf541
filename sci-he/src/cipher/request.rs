//! Requests as the server holds them.

use super::Context;
use crate::wipe::wipe;
use crate::wire;
use sci_core::{Block, Domain, Error, Prg, Result};
use zeroize::{ZeroizeOnDrop, Zeroizing};

/// A ciphertext on the server, both halves transformed. The server's share is in it: wiped on drop.
pub struct Ciphertext {
    pub(crate) c0: Vec<u32>,
    pub(crate) c1: Vec<u32>,
}

impl Ciphertext {
    /// Parses a request.
    ///
    /// # Errors
    /// [`Error::PeerMisbehaved`] for another length. Any coefficients are those of a request.
    pub fn parse<D: Domain>(context: &Context<D>, message: &[u8]) -> Result<Self> {
        let (seed, c0) = Self::read(context, message, &[], std::iter::empty())?;
        Ok(Self::transformed(context, seed, c0))
    }

    /// Parses a public key.
    ///
    /// # Errors
    /// [`Error::PeerMisbehaved`] for another length, or a residue that is not canonical.
    pub fn parse_public_key<D: Domain>(context: &Context<D>, message: &[u8]) -> Result<Self> {
        let what = "length of a public key";
        let (seed, body) = split(message, what, context.public_key_len())?;
        let c0 = wire::read_residues(context.params().primes(), context.n(), body)?;
        Ok(Self::transformed(context, seed, c0))
    }

    /// Parses a request and adds the server's own share `x` to its plaintext.
    ///
    /// # Errors
    /// As [`Ciphertext::parse`].
    ///
    /// # Panics
    /// If there are more than N coefficients.
    pub fn receive<D: Domain>(
        context: &Context<D>,
        message: &[u8],
        x: &[u64],
        prg: &mut Prg,
    ) -> Result<Self> {
        let coins = coins(context, x.len(), prg);
        let (seed, c0) = Self::read(context, message, x, coins.iter().copied())?;
        Ok(Self::transformed(context, seed, c0))
    }

    /// The same with c0 as coefficients and c1 transformed.
    ///
    /// # Errors
    /// As [`Ciphertext::parse`].
    ///
    /// # Panics
    /// If there are more than N coefficients.
    pub(crate) fn receive_coefficients<D: Domain>(
        context: &Context<D>,
        message: &[u8],
        x: &[u64],
        prg: &mut Prg,
    ) -> Result<Self> {
        let coins = coins(context, x.len(), prg);
        let (seed, c0) = Self::read(context, message, x, coins.iter().copied())?;
        Ok(Self { c0, c1: context.expand(seed) })
    }

    /// The seed, and the coefficients of c0 with those of `x` added.
    fn read<D: Domain>(
        context: &Context<D>,
        message: &[u8],
        x: &[u64],
        coins: impl Iterator<Item = u64>,
    ) -> Result<(Block, Vec<u32>)> {
        let n = context.n();
        assert!(x.len() <= n, "coefficients of one polynomial");
        let (seed, body) = split(message, "length of a request", context.request_len())?;
        let mut c0 = context.read_rounded(seed, body)?;
        context.add_encoded(x, coins, n, &mut c0);
        Ok((seed, c0))
    }

    fn transformed<D: Domain>(context: &Context<D>, seed: Block, mut c0: Vec<u32>) -> Self {
        for (c, residues) in context.moduli.iter().zip(c0.chunks_exact_mut(context.n())) {
            c.m.forward(residues);
        }
        Self { c0, c1: context.expand(seed) }
    }
}

/// What decides how the encodings of so many numbers are rounded.
fn coins<D: Domain>(context: &Context<D>, len: usize, prg: &mut Prg) -> Zeroizing<Vec<u64>> {
    let mut coins = Zeroizing::new(vec![0; len]);
    context.params().domain().sample_into(prg, &mut coins);
    coins
}

/// The seed of a message of this length, and the rest.
fn split<'a>(message: &'a [u8], what: &'static str, expected: usize) -> Result<(Block, &'a [u8])> {
    let parts = message.split_first_chunk().filter(|_| message.len() == expected);
    let (seed, body) = parts.ok_or_else(|| Error::misbehaved(what, expected, message.len()))?;
    Ok((Block::from_bytes(*seed), body))
}

impl Drop for Ciphertext {
    fn drop(&mut self) {
        wipe(&mut self.c0);
        wipe(&mut self.c1);
    }
}

impl ZeroizeOnDrop for Ciphertext {}

impl std::fmt::Debug for Ciphertext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ciphertext({} residues)", self.c0.len())
    }
}
