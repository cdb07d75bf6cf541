//! Parameters of one linear layer, computed from what is public about it.
//!
//! Let t be the plaintext modulus (2^l or n), W the declared bound on |w|, T the number of plaintext
//! coefficients that accumulate into one response coefficient, N the ring degree, q the product of
//! the primes, sigma^2 = 21/2 the variance of an error coefficient, and h = ceil(2N/3) + 7·sqrt(N) a
//! bound on the nonzero coefficients of a uniform ternary polynomial (exceeded with probability
//! below 2^-140 by Hoeffding's inequality). All errors are relative to q/t times the exact result.
//!
//! | part | root mean square | tail |
//! |---|---|---|
//! | of the requests: errors, randomised rounding of both shares and of c0 (variance 1/4 each), c0 at multiples of step | W·sqrt(T·(sigma^2 + 3/4 + step^2/12)) | tau times that |
//! | fixed-point arithmetic on c0 | W·T·(step·2^-31 + 2^-23) | the same |
//! | fresh encryption of zero: e·u + e2·s | sigma·sqrt(4N/3) | 2·tau·sigma·sqrt(h) |
//! | encoding of the mask, rounding to integers | 1 | 1 |
//! | sum | G | B |
//! | flooding, k folds of V integers | | F = k·(V/2 + 1) |
//!
//! *Requests* carry b bits of a coefficient of c0, which is thereby rounded to a multiple of step = q/2^b,
//! with the same dither on both sides. That error has mean zero over public coins of the client, is
//! independent of everything else, uniform and so sub-Gaussian with its variance step^2/12 as proxy: an
//! error of the request like any other, which flooding hides and decryption survives with the rest
//! (what is sent, and the proof: `cipher/rounding.rs`). The modulus itself is not sent, so it is the
//! widest that its primes give, and b as small as the errors then allow: some three bits below the
//! narrowest modulus without rounding.
//!
//! An error coefficient is a sum of 42 independent ±1/2, hence sub-Gaussian with its variance as
//! proxy; so is a randomised rounding with proxy 1/4, and so is every linear combination. tau =
//! sqrt(2·ln 2·68) puts each tail below 2^-67. What flooding has to hide is a mean over the client's
//! coins, G; what decryption has to survive is a tail, B. How V follows from G and the privacy:
//! [`Flood`].
//!
//! *Packing* happens after flooding, at the modulus q' of 31-bit primes p_j with one special prime S
//! ([`crate::packing`]). Rescaling to q' costs r = tau'·sqrt(h/12) + 1/2, each of the d levels one key
//! switch k = tau'·sigma·sqrt(N·sum (p_j/2)^2)/S + r (whatever the digits are: the tail is over the keys),
//! and every later level doubles it: P = r + (2^d - 1)·k. Here tau' = sqrt(2·ln 2·72), since a coefficient
//! meets up to 2d + 1 <= 25 such tails, of 2^-71 each. Without packing, P/q' is 0.
//!
//! *Response.* It is rescaled to the modulus 2^b1, and c0 loses all but its b0 top bits. The rounding of
//! c1 meets the secret: at most tau·sqrt(h/12), its coefficients being uniform up to the
//! pseudo-randomness of c1. Decryption is exact if
//!
//! ```text
//! t·(B + F + 1)/q  +  t·P/q'  +  t·tau·sqrt(h/12)/2^b1  +  t/2^(b0+1)  <  1/2
//! ```
//!
//! and fails with probability below 2^-64 a coefficient: three tails of 2^-67 in B, one at the response,
//! and 25·2^-71 for packing. [`Params::new`] takes the q and the response widths with the fewest bits that satisfy this.

mod flood;
mod noise;
mod primes;

pub use flood::Flood;
pub(crate) use primes::residue_bits;

use sci_core::{Domain, Error, Result, Ring};

/// log2 of the largest modulus for a ternary secret and 128 bits of security: the 2024 guidelines,
/// which are stricter than the 2018 standard (109, 218, 438).
pub const SECURITY: [(usize, u32); 3] = [(4096, 106), (8192, 214), (16384, 430)];

/// Products of two residues that fit a 64-bit accumulator.
pub const LAZY: usize = 256;

/// The widest prime: `LAZY` products of two residues stay below 2^64. At 27 bits four times as many
/// would; but a sum is reduced once in 255 products, and N=8192 with 37-bit shares needs 108 to 112
/// bits: four primes of 28 bits, five of 27.
const PRIME_BITS: u32 = 28;

/// The most bits by which a coefficient of a request is shorter than the modulus: beyond some ten
/// each bit costs one of the modulus.
const MAX_DROPPED: u32 = 40;

/// Coin pairs in an error coefficient: variance `ERROR_COINS`/2, absolute value at most this.
pub(crate) const ERROR_COINS: u32 = 21;

/// Weights are `i32`.
pub const MAX_WEIGHT: u64 = 1 << 30;

/// The most levels of packing.
pub const MAX_LEVELS: u32 = 12;

/// The most digits of a packing base: its products still fit 64-bit sums.
const MAX_DIGITS: usize = 3;

/// How much the client may learn from the error of what it decrypts, as a statistical distance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Privacy {
    /// 2^-40 for all coefficients of a run together, of which there are at most 2^`log2_outputs`.
    Run {
        /// The logarithm of the number of response coefficients that a run may send.
        log2_outputs: u32,
    },
    /// 2^-40 for each coefficient.
    Coefficient,
}

impl Default for Privacy {
    /// 2^-40 for a run of up to 2^24 coefficients (ResNet50 has 2^23.4).
    fn default() -> Self {
        Self::Run { log2_outputs: 24 }
    }
}

impl Privacy {
    /// k such that one fold of uniform flooding keeps a coefficient within 2^-k of one that is
    /// independent of the weights.
    pub fn flood_bits(self) -> u32 {
        match self {
            Self::Run { log2_outputs } => 40 + log2_outputs,
            Self::Coefficient => 40,
        }
    }

    /// 2^-40 for a run of `outputs` response coefficients.
    pub fn for_run(outputs: u64) -> Self {
        Self::Run { log2_outputs: outputs.max(1).next_power_of_two().trailing_zeros() }
    }
}

/// What parameters have to satisfy: public facts about a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand<D: Domain> {
    /// The plaintext domain.
    pub domain: D,
    /// W, the declared bound on the absolute value of a weight.
    pub weight_bound: u64,
    /// T, the plaintext coefficients that accumulate into one response coefficient.
    pub terms: u64,
    /// The privacy of the weights.
    pub privacy: Privacy,
}

/// Checked parameters: they exist only if they are secure, private and decrypt.
///
/// ```
/// use sci_core::Ring;
/// use sci_he::params::{Demand, Params, Privacy};
/// let demand = Demand {
///     domain: Ring::new(37)?,
///     weight_bound: 1 << 11,
///     terms: 4608,
///     privacy: Privacy::Coefficient,
/// };
/// let params = Params::new(demand, 4096)?;
/// assert!(params.modulus_bits() <= 106.0);
/// assert!(Params::new(Demand { domain: Ring::new(49)?, ..demand }, 4096).is_err());
/// # Ok::<(), sci_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Params<D: Domain> {
    demand: Demand<D>,
    degree: usize,
    primes: Vec<u32>,
    request_bits: u32,
    flood: Flood,
    packing: Option<PackingParams>,
    c0_bits: u32,
    c1_bits: u32,
}

/// The base of the packing keys and how deep packing goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackingParams {
    /// The special prime, then those of q'.
    primes: Vec<u32>,
    levels: u32,
}

impl PackingParams {
    /// The special prime S, then the primes of q', all 1 mod 2N and of 31 bits.
    pub fn primes(&self) -> &[u32] {
        &self.primes
    }

    /// d: up to 2^d responses become one.
    pub fn levels(&self) -> u32 {
        self.levels
    }
}

impl<D: Domain> Params<D> {
    /// The cheapest parameters of one ring degree, without packing.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for an unknown degree, a weight bound or a number of terms out of
    /// range, and if no modulus within the security table does; the error then names the largest
    /// bitwidth that works.
    pub fn new(demand: Demand<D>, degree: usize) -> Result<Self> {
        Self::with_packing(demand, degree, 0)
    }

    /// The cheapest parameters of one ring degree for packing up to 2^`levels` responses into one.
    ///
    /// # Errors
    /// As [`Params::new`].
    pub fn with_packing(demand: Demand<D>, degree: usize, levels: u32) -> Result<Self> {
        check(&demand)?;
        let limit = limit(degree)?;
        search(demand, degree, limit, levels).ok_or_else(|| {
            let got = format!(
                "{} bits, weights up to {}, {} terms",
                demand.domain.bits(),
                demand.weight_bound,
                demand.terms
            );
            let expected = match largest_bitwidth(&demand, degree) {
                Some(l) => format!("a plaintext of at most {l} bits for these weights and terms"),
                None => "smaller weights or fewer terms: no bitwidth works with these".to_string(),
            };
            Error::invalid(format!("lattice parameters of degree {degree}"), expected, got)
        })
    }

    /// The parameters with the fewest bytes for this many requests, responses and outputs; all else as
    /// these.
    pub(crate) fn cheapest_for(&self, requests: usize, responses: usize, outputs: usize) -> Self {
        let levels = self.packing.as_ref().map_or(0, |packing| packing.levels);
        let bits = |params: &Self| {
            self.degree
                * (requests * params.request_bits as usize + responses * params.c1_bits as usize)
                + outputs * params.c0_bits as usize
        };
        let others = limit(self.degree)
            .map_or(Vec::new(), |limit| choices(self.demand, self.degree, limit, levels));
        others.into_iter().min_by_key(bits).unwrap_or_else(|| self.clone())
    }

    /// The smallest degree that works, with its cheapest parameters.
    ///
    /// # Errors
    /// As [`Params::new`] for the largest degree.
    pub fn smallest(demand: Demand<D>) -> Result<Self> {
        check(&demand)?;
        for (degree, limit) in SECURITY {
            if let Some(params) = search(demand, degree, limit, 0) {
                return Ok(params);
            }
        }
        let [.., (degree, _)] = SECURITY;
        Self::new(demand, degree)
    }

    /// What was asked for.
    pub fn demand(&self) -> &Demand<D> {
        &self.demand
    }

    /// The plaintext domain.
    pub fn domain(&self) -> D {
        self.demand.domain
    }

    /// N.
    pub fn degree(&self) -> usize {
        self.degree
    }

    /// The primes whose product is q, each 1 mod 2N, below 2^28 and no factor of t.
    pub fn primes(&self) -> &[u32] {
        &self.primes
    }

    /// log2 q.
    pub fn modulus_bits(&self) -> f64 {
        primes::log2_product(&self.primes)
    }

    /// b, the bits of a coefficient of a request.
    pub fn request_bits(&self) -> u32 {
        self.request_bits
    }

    /// q/2^b: the multiples that c0 of a request is rounded to.
    pub fn request_step(&self) -> f64 {
        (self.modulus_bits() - f64::from(self.request_bits)).exp2()
    }

    /// The flooding.
    pub fn flood(&self) -> Flood {
        self.flood
    }

    /// The packing, if any.
    pub fn packing(&self) -> Option<&PackingParams> {
        self.packing.as_ref()
    }

    /// b0, the bits of a coefficient of c0 in a response.
    pub fn c0_bits(&self) -> u32 {
        self.c0_bits
    }

    /// b1, the bits of a coefficient of c1 in a response.
    pub fn c1_bits(&self) -> u32 {
        self.c1_bits
    }

    /// G, the root mean square of the error before flooding.
    pub fn error_rms(&self) -> f64 {
        noise::rms(&self.demand, self.degree, self.request_step())
    }

    /// B, the bound of the error before flooding.
    pub fn error_bound(&self) -> f64 {
        noise::tail(&self.demand, self.degree, self.request_step())
    }

    /// The bound on the statistical distance that `outputs` response coefficients cost.
    pub fn distance(&self, outputs: u64) -> f64 {
        self.flood.distance(self.error_rms(), outputs as f64)
    }

    /// How much of the distance to the next plaintext the worst response error takes, from 0 to 1.
    /// Below 1 by construction.
    pub fn budget_used(&self) -> f64 {
        let t = self.demand.domain.modulus() as f64;
        let packing =
            self.packing.as_ref().map_or(0.0, |packing| packing_error(t, self.degree, packing));
        let (log2_q, step) = (self.modulus_bits(), self.request_step());
        2.0 * (noise::at_modulus(&self.demand, self.degree, self.flood, log2_q, step)
            + packing
            + response_error(t, self.degree, self.c0_bits, self.c1_bits))
    }
}

/// The largest l for which Z_2^l works with the weights, terms and privacy of `demand`.
pub fn largest_bitwidth<D: Domain>(demand: &Demand<D>, degree: usize) -> Option<u32> {
    check(demand).ok()?;
    let limit = limit(degree).ok()?;
    let Demand { weight_bound, terms, privacy, .. } = *demand;
    (1..=64).rev().find(|&l| {
        Ring::new(l).is_ok_and(|domain| {
            search(Demand { domain, weight_bound, terms, privacy }, degree, limit, 0).is_some()
        })
    })
}

fn limit(degree: usize) -> Result<u32> {
    let found = SECURITY.iter().find(|(n, _)| *n == degree);
    found
        .map(|&(_, limit)| limit)
        .ok_or_else(|| Error::invalid("ring degree", "4096, 8192 or 16384", degree))
}

fn check<D: Domain>(demand: &Demand<D>) -> Result<()> {
    let Demand { weight_bound, terms, privacy, .. } = *demand;
    if !(1..=MAX_WEIGHT).contains(&weight_bound) {
        return Err(Error::invalid("weight bound", format_args!("1..={MAX_WEIGHT}"), weight_bound));
    }
    if !(1..=1 << 40).contains(&terms) {
        return Err(Error::invalid("terms of a response coefficient", "1..=2^40", terms));
    }
    match privacy {
        Privacy::Run { log2_outputs: got @ 41.. } => {
            Err(Error::invalid("log2 of the outputs of a run", "up to 40", got))
        }
        _ => Ok(()),
    }
}

/// Of the choices with the fewest primes the one with the fewest bits where requests, responses and
/// outputs are balanced.
fn search<D: Domain>(
    demand: Demand<D>,
    degree: usize,
    limit: u32,
    levels: u32,
) -> Option<Params<D>> {
    let bits =
        |params: &Params<D>| 4 * params.request_bits + 4 * params.c1_bits + 3 * params.c0_bits;
    choices(demand, degree, limit, levels).into_iter().min_by_key(bits)
}

/// Everything that works with as few primes as possible: the widest modulus of these, with requests and
/// responses of which no width can be less without another being more.
fn choices<D: Domain>(demand: Demand<D>, degree: usize, limit: u32, levels: u32) -> Vec<Params<D>> {
    let t = demand.domain.modulus() as f64;
    let base = match levels {
        0 => Some((None, 0.0)),
        1..=MAX_LEVELS => packing_base(t, degree, limit, levels),
        _ => None,
    };
    let Some((packing, packed)) = base else { return Vec::new() };
    let flood = |step| Flood::hiding(noise::rms(&demand, degree, step), demand.privacy);
    // Without any rounding of requests.
    let Some(least) = flood(0.0) else { return Vec::new() };
    let floor = t.log2() + (2.0 * least.reach()).log2();
    for count in (floor as u32).div_ceil(PRIME_BITS)..=limit.div_ceil(PRIME_BITS) {
        let bits = (count * PRIME_BITS).min(limit);
        let Some(primes) = primes::of_bits(bits, degree, demand.domain.modulus()) else { continue };
        let log2_q = primes::log2_product(&primes);
        let mut choices = Vec::new();
        for request_bits in (bits.saturating_sub(MAX_DROPPED)..=bits + 2).rev() {
            let step = (log2_q - f64::from(request_bits)).exp2();
            let Some(flood) = flood(step) else { break };
            let left = 0.5 - packed - noise::at_modulus(&demand, degree, flood, log2_q, step);
            if left <= 0.0 {
                break;
            }
            for (c0_bits, c1_bits) in response_choices(t, degree, left) {
                if packing.is_none() || c1_bits <= 64 {
                    choices.push(Params {
                        demand,
                        degree,
                        primes: primes.clone(),
                        request_bits,
                        flood,
                        packing: packing.clone(),
                        c0_bits,
                        c1_bits,
                    });
                }
            }
        }
        if !choices.is_empty() {
            return choices;
        }
    }
    Vec::new()
}

/// The smallest base within the security table whose error hardly counts, and that error.
fn packing_base(
    t: f64,
    degree: usize,
    limit: u32,
    levels: u32,
) -> Option<(Option<PackingParams>, f64)> {
    (1..=MAX_DIGITS).find_map(|digits| {
        let primes = primes::of_packing(digits, degree)?;
        let error = noise::of_packing(t, degree, levels, &primes);
        let fits = error <= 1.0 / 32.0 && primes::log2_product(&primes) <= f64::from(limit);
        fits.then_some((Some(PackingParams { primes, levels }), error))
    })
}

/// t times the error of the last rescaling, over 2^b1; with a little for the fixed-point arithmetic.
pub(crate) fn response_error(t: f64, degree: usize, c0_bits: u32, c1_bits: u32) -> f64 {
    let c1 = noise::tau() * (noise::secret_weight(degree) / 12.0).sqrt();
    t * (c1 / f64::from(c1_bits).exp2() + 0.5 / f64::from(c0_bits).exp2()) + 1e-4
}

/// t times the error of packing over q'.
pub(crate) fn packing_error(t: f64, degree: usize, packing: &PackingParams) -> f64 {
    noise::of_packing(t, degree, packing.levels, &packing.primes)
}

/// The narrowest response whose rescaling error is below `left`, c1 counting a little more.
pub(crate) fn response_widths(t: f64, degree: usize, left: f64) -> Option<(u32, u32)> {
    response_choices(t, degree, left).min_by_key(|&(b0, b1)| (3 * b0 + 4 * b1, b1))
}

/// For each width b1 of c1 the narrowest b0 of c0 with a rescaling error below `left`.
fn response_choices(t: f64, degree: usize, left: f64) -> impl Iterator<Item = (u32, u32)> {
    let l = t.log2().ceil() as u32;
    (l + 6..l + 14).filter_map(move |b1| {
        (l..=b1).find(|&b0| response_error(t, degree, b0, b1) < left).map(|b0| (b0, b1))
    })
}

/// Miller and Rabin's test with the bases that decide every 32-bit number.
pub(crate) fn is_prime(n: u32) -> bool {
    if n < 2 || n.is_multiple_of(2) {
        return n == 2;
    }
    let twos = (n - 1).trailing_zeros();
    [2u32, 7, 61].iter().filter(|&&base| base % n != 0).all(|&base| {
        let mut x = power(base, (n - 1) >> twos, n);
        x == 1
            || (0..twos).any(|_| {
                let last = x == n - 1;
                x = (u64::from(x) * u64::from(x) % u64::from(n)) as u32;
                last
            })
    })
}

/// base^exponent mod n, of public values.
pub(crate) fn power(base: u32, mut exponent: u32, n: u32) -> u32 {
    let (mut square, mut result) = (u64::from(base % n), 1 % u64::from(n));
    while exponent > 0 {
        if exponent & 1 == 1 {
            result = result * square % u64::from(n);
        }
        square = square * square % u64::from(n);
        exponent >>= 1;
    }
    result as u32
}

#[cfg(test)]
mod tests;
