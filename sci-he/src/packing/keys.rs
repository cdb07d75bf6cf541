//! The base of packing and its keys: made by the client, parsed by the server.

use crate::modulus::Modulus;
use crate::params::PackingParams;
use crate::{kernels, sample, wire};
use sci_core::{Block, Error, Prg, Result};
use zeroize::Zeroizing;

/// The special prime and those of q', with the tables that computing with them needs.
#[derive(Debug)]
pub struct PackingContext {
    pub(super) degree: usize,
    primes: Vec<u32>,
    /// Under the special prime.
    pub(super) special: Modulus,
    /// Under each prime of q'.
    pub(super) digits: Vec<Digit>,
}

/// A prime of q' and the constants of this base.
#[derive(Debug)]
pub(super) struct Digit {
    pub(super) m: Modulus,
    /// The scaler of 1/S.
    pub(super) inverse_special: u32,
}

impl PackingContext {
    /// # Errors
    /// [`Error::Misuse`] if a prime has no transform, which [`PackingParams`] excludes.
    pub(crate) fn new(degree: usize, params: &PackingParams) -> Result<Self> {
        let modulus = |p: u32| {
            Modulus::new(p, degree)
                .ok_or_else(|| Error::misuse(format!("{p} has no transform of size {degree}")))
        };
        let Some((&special, others)) = params.primes().split_first() else {
            return Err(Error::misuse("a packing base without primes"));
        };
        let digits = others.iter().map(|&p| {
            let m = modulus(p)?;
            let inverse_special = m.scaler(m.invert(special % p));
            Ok(Digit { inverse_special, m })
        });
        Ok(Self {
            degree,
            primes: params.primes().to_vec(),
            special: modulus(special)?,
            digits: digits.collect::<Result<_>>()?,
        })
    }

    /// N.
    pub(crate) fn degree(&self) -> usize {
        self.degree
    }

    /// The special prime, then those of q'.
    pub(crate) fn primes(&self) -> &[u32] {
        &self.primes
    }

    /// The primes of q'.
    pub(crate) fn modulus_primes(&self) -> &[u32] {
        &self.primes[1..]
    }

    /// The prime of a digit.
    pub(crate) fn modulus(&self, digit: usize) -> &Modulus {
        &self.digits[digit].m
    }

    /// Residues of one polynomial modulo q'.
    pub(crate) fn poly_len(&self) -> usize {
        self.digits.len() * self.degree
    }

    /// All moduli, the special one first.
    fn moduli(&self) -> impl Iterator<Item = &Modulus> {
        std::iter::once(&self.special).chain(self.digits.iter().map(|digit| &digit.m))
    }

    /// Bytes of the keys of one level.
    pub(crate) fn level_len(&self) -> usize {
        self.digits.len() * (16 + wire::residues_len(&self.primes, self.degree))
    }
}

/// The exponent of the automorphism of a level.
pub(super) fn exponent(degree: usize, level: u32) -> usize {
    1 + ((2 * degree) >> level)
}

/// Where coefficient k of x goes under X -> X^exponent, and whether it is negated there.
pub(super) fn image(degree: usize, exponent: usize, k: usize) -> (usize, bool) {
    let at = k * exponent % (2 * degree);
    (at % degree, at >= degree)
}

/// The client's message with the keys of a level: for each digit a seed and one half.
pub(crate) fn packing_keys(
    context: &PackingContext,
    secret: &[i8],
    level: u32,
    prg: &mut Prg,
) -> Vec<u8> {
    let n = context.degree;
    let mut turned = Zeroizing::new(vec![0i8; n]);
    for (k, &s) in secret.iter().enumerate() {
        let (at, negative) = image(n, exponent(n, level), k);
        turned[at] = if negative { -s } else { s };
    }
    let mut message = vec![0; context.level_len()];
    let mut errors = Zeroizing::new(vec![0i8; n]);
    let mut transformed = Zeroizing::new(vec![0u32; n]);
    let part_len = message.len() / context.digits.len();
    for (digit, part) in message.chunks_exact_mut(part_len).enumerate() {
        let seed = prg.next_block();
        sample::errors(prg, &mut errors);
        let mut poly = Zeroizing::new(vec![0u32; (context.digits.len() + 1) * n]);
        for (i, (m, b)) in context.moduli().zip(poly.chunks_exact_mut(n)).enumerate() {
            // The uniform half is drawn transformed, as the server uses it.
            expand(seed, i, m, b);
            kernels::lift_small(m, secret, &mut transformed);
            m.forward(&mut transformed);
            let inverse_n = m.scaler(m.invert((n as u64 % u64::from(m.p)) as u32));
            kernels::multiply_by(m, inverse_n, b, &transformed);
            m.inverse(b);
            kernels::small_minus(m, b, &errors);
            if i == digit + 1 {
                let special = m.scaler(context.special.p % m.p);
                kernels::lift_small(m, &turned, &mut transformed);
                kernels::scale(m, special, &mut transformed);
                kernels::add(m, b, &transformed);
            }
        }
        let (head, body) = part.split_at_mut(16);
        head.copy_from_slice(&seed.to_bytes());
        wire::write_residues(&context.primes, n, &poly, body);
    }
    message
}

fn expand(seed: Block, prime: usize, m: &Modulus, out: &mut [u32]) {
    let mut prg = Prg::with_stream(seed, prime as u64);
    sample::uniform_vartime(&mut prg, m.p, out);
}

/// The packing keys of a client as the server holds them.
#[derive(Debug)]
pub struct PackingKeys {
    pub(super) levels: Vec<Level>,
}

/// One level: both halves for each digit under each prime (the special one first), transformed and
/// times 1/N; and the automorphism.
#[derive(Debug)]
pub(super) struct Level {
    /// `[digit][prime]`.
    pub(super) halves: Vec<Vec<[Vec<u32>; 2]>>,
    /// The source of each coefficient of the image; its top bit tells a negation.
    pub(super) sources: Vec<u32>,
}

/// Products of two 31-bit residues that fit a 64-bit sum.
pub(super) const LAZY: usize = 4;

/// Set in [`Level::sources`] for coefficients that change their sign.
pub(super) const NEGATED: u32 = 1 << 31;

impl PackingKeys {
    /// Parses the messages of the levels 1, 2, ...
    ///
    /// # Errors
    /// [`Error::PeerMisbehaved`] if a message is no key.
    pub(crate) fn parse<M: AsRef<[u8]>>(
        context: &PackingContext,
        messages: impl IntoIterator<Item = Result<M>>,
    ) -> Result<Self> {
        let levels = messages
            .into_iter()
            .zip(1..)
            .map(|(message, level)| Level::parse(context, level, message?.as_ref()));
        Ok(Self { levels: levels.collect::<Result<_>>()? })
    }

    /// How many levels there are.
    pub(crate) fn levels(&self) -> usize {
        self.levels.len()
    }
}

impl Level {
    fn parse(context: &PackingContext, level: u32, message: &[u8]) -> Result<Self> {
        let (n, expected) = (context.degree, context.level_len());
        if message.len() != expected {
            return Err(Error::misbehaved("length of a packing key", expected, message.len()));
        }
        let parts = message.chunks_exact(expected / context.digits.len()).map(|part| {
            let Some((seed, body)) = part.split_first_chunk() else { return Ok(Vec::new()) };
            let poly = wire::read_residues(&context.primes, n, body)?;
            let halves = context.moduli().zip(poly.chunks_exact(n)).enumerate();
            Ok(halves
                .map(|(i, (m, b))| {
                    let inverse_n = m.scaler(m.invert((n as u64 % u64::from(m.p)) as u32));
                    let mut b = b.to_vec();
                    m.forward(&mut b);
                    let mut a = vec![0; n];
                    expand(Block::from_bytes(*seed), i, m, &mut a);
                    kernels::scale(m, inverse_n, &mut b);
                    kernels::scale(m, inverse_n, &mut a);
                    [b, a]
                })
                .collect())
        });
        let mut sources = vec![0; n];
        for k in 0..n {
            let (at, negative) = image(n, exponent(n, level), k);
            sources[at] = k as u32 | if negative { NEGATED } else { 0 };
        }
        Ok(Self { halves: parts.collect::<Result<_>>()?, sources })
    }
}
