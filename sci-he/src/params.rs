//! Parameters of one linear layer, computed from what is public about it.
//!
//! Let t be the plaintext modulus (2^l or n), W the declared bound on |w|, T the number of plaintext
//! coefficients that accumulate into one response coefficient, N the ring degree, q the product of
//! the primes, sigma^2 = 21/2 the variance of an error coefficient, and h = ceil(2N/3) + 7·sqrt(N) a
//! bound on the nonzero coefficients of a uniform ternary polynomial (exceeded with probability
//! below 2^-140 by Hoeffding's inequality). All errors are relative to q/t times the exact result.
//!
//! | part | bound |
//! |---|---|
//! | encryption errors of the requests | tau·sigma·W·sqrt(T) |
//! | rounding of the encodings of both shares, 1/2 each, in the worst case | W·T |
//! | fresh encryption of zero: e·u + e2·s | 2·tau·sigma·sqrt(h) |
//! | flooding, uniform over V consecutive integers | V/2 + 1 |
//! | encoding of the mask | 1/2 |
//!
//! An error coefficient is a sum of 42 independent ±1/2, hence sub-Gaussian with its variance as
//! proxy, and so is every linear combination; tau = sqrt(2·ln 2·68) puts each tail below 2^-67. The
//! first three rows are B. Flooding hides a shift by b up to statistical distance |b|/V, and the
//! mean of |b| is below B, so that V >= B·2^k gives 2^-k a coefficient.
//!
//! The response is rescaled to the modulus 2^b1, and c0 loses all but its b0 top bits. The rounding
//! of c1 meets the secret: at most tau·sqrt(h/12), its coefficients being uniform up to the
//! pseudo-randomness of c1. Decryption is exact if
//!
//! ```text
//! t·(B + V/2 + 2)/q  +  t·tau·sqrt(h/12)/2^b1  +  t/2^(b0+1)  <  1/2
//! ```
//!
//! and fails with probability below 4·2^-67 < 2^-64 a coefficient. [`Params::new`] takes the q and
//! the response widths with the fewest bits that satisfy this.

use sci_core::{Domain, Error, Result, Ring};

/// log2 of the largest modulus for a ternary secret and 128 bits of security: the 2024 guidelines,
/// which are stricter than the 2018 standard (109, 218, 438).
pub const SECURITY: [(usize, u32); 3] = [(4096, 106), (8192, 214), (16384, 430)];

/// Products of two residues that fit a 64-bit accumulator.
pub const LAZY: usize = 1024;

/// The widest prime: `LAZY` products of two residues stay below 2^64.
const PRIME_BITS: u32 = 27;

/// Coin pairs in an error coefficient: variance `ERROR_COINS`/2, absolute value at most this.
pub(crate) const ERROR_COINS: u32 = 21;

/// The widest flooding value that the sampler makes.
const MAX_FLOOD_BITS: u32 = 120;

/// Weights are `i32`.
pub const MAX_WEIGHT: u64 = 1 << 30;

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
    /// k such that a coefficient is within 2^-k of one that is independent of the weights.
    pub fn flood_bits(self) -> u32 {
        match self {
            Self::Run { log2_outputs } => 40 + log2_outputs,
            Self::Coefficient => 40,
        }
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

/// The flooding value: uniform over `mantissa`·2^`shift` consecutive integers around zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flood {
    /// 128..=256.
    pub mantissa: u64,
    /// The bits below.
    pub shift: u32,
}

impl Flood {
    /// The narrowest that is at least `width` wide.
    fn at_least(width: f64) -> Option<Self> {
        let shift = (width.log2().floor() - 7.0).max(0.0);
        // One more than the ceiling of a value that floating point may have rounded down.
        let mantissa = (width / shift.exp2() * (1.0 + 1e-9)).ceil().max(128.0);
        let flood = Self { mantissa: mantissa as u64, shift: shift as u32 };
        (flood.shift + 9 <= MAX_FLOOD_BITS).then_some(flood)
    }

    /// V.
    pub fn width(self) -> u128 {
        u128::from(self.mantissa) << self.shift
    }
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
/// assert!(Params::new(Demand { domain: Ring::new(43)?, ..demand }, 4096).is_err());
/// # Ok::<(), sci_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Params<D: Domain> {
    demand: Demand<D>,
    degree: usize,
    primes: Vec<u32>,
    flood: Flood,
    c0_bits: u32,
    c1_bits: u32,
}

impl<D: Domain> Params<D> {
    /// The cheapest parameters of one ring degree.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for an unknown degree, a weight bound or a number of terms out of
    /// range, and if no modulus within the security table does; the error then names the largest
    /// bitwidth that works.
    pub fn new(demand: Demand<D>, degree: usize) -> Result<Self> {
        check(&demand)?;
        let limit = limit(degree)?;
        search(demand, degree, limit).ok_or_else(|| {
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

    /// The smallest degree that works, with its cheapest parameters.
    ///
    /// # Errors
    /// As [`Params::new`] for the largest degree.
    pub fn smallest(demand: Demand<D>) -> Result<Self> {
        check(&demand)?;
        for (degree, limit) in SECURITY {
            if let Some(params) = search(demand, degree, limit) {
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

    /// The primes whose product is q, each 1 mod 2N and below 2^27.
    pub fn primes(&self) -> &[u32] {
        &self.primes
    }

    /// log2 q.
    pub fn modulus_bits(&self) -> f64 {
        log2_product(&self.primes)
    }

    /// Bits of one coefficient of a request.
    pub fn request_bits(&self) -> u32 {
        self.primes.iter().map(|&p| residue_bits(p)).sum()
    }

    /// The flooding.
    pub fn flood(&self) -> Flood {
        self.flood
    }

    /// b0, the bits of a coefficient of c0 in a response.
    pub fn c0_bits(&self) -> u32 {
        self.c0_bits
    }

    /// b1, the bits of a coefficient of c1 in a response.
    pub fn c1_bits(&self) -> u32 {
        self.c1_bits
    }

    /// B, the bound of the error before flooding.
    pub fn error_bound(&self) -> f64 {
        error_bound(&self.demand, self.degree)
    }

    /// How much of the distance to the next plaintext the worst response error takes, from 0 to 1.
    /// Below 1 by construction.
    pub fn budget_used(&self) -> f64 {
        2.0 * (modulus_error(&self.demand, self.degree, self.flood, &self.primes)
            + response_error(self.modulus(), self.degree, self.c0_bits, self.c1_bits))
    }

    /// t as a real number.
    fn modulus(&self) -> f64 {
        self.demand.domain.modulus() as f64
    }
}

/// Bits of a canonical residue.
pub(crate) fn residue_bits(p: u32) -> u32 {
    32 - (p - 1).leading_zeros()
}

/// The largest l for which Z_2^l works with the weights, terms and privacy of `demand`.
pub fn largest_bitwidth<D: Domain>(demand: &Demand<D>, degree: usize) -> Option<u32> {
    check(demand).ok()?;
    let limit = limit(degree).ok()?;
    let Demand { weight_bound, terms, privacy, .. } = *demand;
    (1..=64).rev().find(|&l| {
        Ring::new(l).is_ok_and(|domain| {
            search(Demand { domain, weight_bound, terms, privacy }, degree, limit).is_some()
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
        Privacy::Run { log2_outputs: 41.. } => {
            Err(Error::invalid("outputs of a run", "up to 2^40", privacy.flood_bits() - 40))
        }
        _ => Ok(()),
    }
}

/// Tails below 2^-67.
fn tau() -> f64 {
    (2.0 * std::f64::consts::LN_2 * 68.0).sqrt()
}

fn sigma() -> f64 {
    f64::from(ERROR_COINS).sqrt() / std::f64::consts::SQRT_2
}

/// h.
fn secret_weight(degree: usize) -> f64 {
    let n = degree as f64;
    (2.0 * n / 3.0).ceil() + 7.0 * n.sqrt()
}

fn error_bound<D: Domain>(demand: &Demand<D>, degree: usize) -> f64 {
    let (w, terms) = (demand.weight_bound as f64, demand.terms as f64);
    tau() * sigma() * w * terms.sqrt()
        + w * terms
        + 2.0 * tau() * sigma() * secret_weight(degree).sqrt()
}

/// t times the error at the modulus q, over q.
fn modulus_error<D: Domain>(
    demand: &Demand<D>,
    degree: usize,
    flood: Flood,
    primes: &[u32],
) -> f64 {
    let error = error_bound(demand, degree) + flood.width() as f64 / 2.0 + 2.0;
    ((demand.domain.modulus() as f64).log2() + error.log2() - log2_product(primes)).exp2()
}

/// t times the error of rescaling, over 2^b1; with a little for the fixed-point arithmetic.
pub(crate) fn response_error(t: f64, degree: usize, c0_bits: u32, c1_bits: u32) -> f64 {
    let c1 = tau() * (secret_weight(degree) / 12.0).sqrt();
    t * (c1 / f64::from(c1_bits).exp2() + 0.5 / f64::from(c0_bits).exp2()) + 1e-4
}

fn log2_product(primes: &[u32]) -> f64 {
    primes.iter().map(|&p| f64::from(p).log2()).sum()
}

fn search<D: Domain>(demand: Demand<D>, degree: usize, limit: u32) -> Option<Params<D>> {
    let flood = Flood::at_least(
        error_bound(&demand, degree) * f64::from(demand.privacy.flood_bits()).exp2(),
    )?;
    let t = demand.domain.modulus() as f64;
    let floor = t.log2() + (flood.width() as f64).log2();
    let mut best: Option<(u32, Params<D>)> = None;
    for bits in floor as u32..floor as u32 + 8 {
        let Some(primes) = primes(bits, degree) else { continue };
        if log2_product(&primes) > f64::from(limit) {
            break;
        }
        let left = 0.5 - modulus_error(&demand, degree, flood, &primes);
        let Some((c0_bits, c1_bits)) = response_widths(t, degree, left) else { continue };
        let total = bits + c0_bits + c1_bits;
        if best.as_ref().is_none_or(|(least, _)| total < *least) {
            best = Some((total, Params { demand, degree, primes, flood, c0_bits, c1_bits }));
        }
    }
    best.map(|(_, params)| params)
}

/// The narrowest response whose rescaling error is below `left`.
pub(crate) fn response_widths(t: f64, degree: usize, left: f64) -> Option<(u32, u32)> {
    let l = t.log2().ceil() as u32;
    let fits = |b0: u32, b1: u32| response_error(t, degree, b0, b1) < left;
    (l + 6..l + 14)
        .flat_map(|b1| (l..=b1).map(move |b0| (b0, b1)))
        .filter(|&(b0, b1)| fits(b0, b1))
        .min_by_key(|&(b0, b1)| (b0 + b1, b1))
}

/// As few primes as hold `bits` bits together, of nearly equal widths, each the largest of its
/// width that is not taken.
fn primes(bits: u32, degree: usize) -> Option<Vec<u32>> {
    let count = bits.div_ceil(PRIME_BITS);
    let step = u32::try_from(2 * degree).ok()?;
    let mut primes: Vec<u32> = Vec::new();
    for i in 0..count {
        let width = bits / count + u32::from(i < bits % count);
        if width < 20 {
            return None;
        }
        let below = 1u32 << width;
        let found = (1..below / 2 / step)
            .map(|k| below - k * step + 1)
            .find(|p| is_prime(*p) && !primes.contains(p))?;
        primes.push(found);
    }
    Some(primes)
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
mod tests {
    use super::*;
    use sci_core::Field;

    fn demand(bits: u32, weight_bits: u32, terms: u64, privacy: Privacy) -> Demand<Ring> {
        let domain = Ring::new(bits).unwrap();
        Demand { domain, weight_bound: 1 << (weight_bits - 1), terms, privacy }
    }

    const TERMS: [u64; 4] = [576, 4608, 36864, 131_072];

    #[test]
    fn the_largest_bitwidths_are_pinned() {
        let table = |degree, privacy| {
            [12, 14, 16].map(|weight_bits| {
                TERMS
                    .map(|terms| largest_bitwidth(&demand(37, weight_bits, terms, privacy), degree))
            })
        };
        let pinned = [[44, 42, 39, 37], [42, 40, 37, 35], [40, 38, 35, 33]].map(|r| r.map(Some));
        assert_eq!(table(4096, Privacy::Coefficient), pinned);
        let pinned = [[20, 18, 15, 13], [18, 16, 13, 11], [16, 14, 11, 9]].map(|r| r.map(Some));
        assert_eq!(table(4096, Privacy::default()), pinned);
        assert_eq!(table(8192, Privacy::default()), [[Some(64); 4]; 3]);
    }

    #[test]
    fn every_parameter_set_is_within_its_tables() {
        for (degree, limit) in SECURITY {
            for bits in [1, 8, 31, 37, 41, 60, 64] {
                for (weight_bits, terms) in [(1, 1), (12, 576), (16, 131_072), (31, 1 << 20)] {
                    for privacy in [Privacy::Coefficient, Privacy::default()] {
                        let wanted = demand(bits, weight_bits, terms, privacy);
                        let Ok(params) = Params::new(wanted, degree) else { continue };
                        assert!(params.modulus_bits() <= f64::from(limit));
                        assert!(params.budget_used() < 1.0, "{params:?}");
                        let flooded = (params.flood().width() as f64).log2();
                        assert!(
                            flooded
                                >= params.error_bound().log2() + f64::from(privacy.flood_bits())
                        );
                        for (i, &p) in params.primes().iter().enumerate() {
                            assert!(p < 1 << 27 && (p as usize - 1).is_multiple_of(2 * degree));
                            assert!((2..p).take_while(|d| d * d <= p).all(|d| p % d != 0));
                            assert!(!params.primes()[..i].contains(&p));
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn the_modulus_and_response_are_as_narrow_as_reckoned() {
        let params = Params::new(demand(37, 12, 4608, Privacy::default()), 8192).unwrap();
        assert!((124.0..130.0).contains(&params.modulus_bits()), "{}", params.modulus_bits());
        assert!((45..=47).contains(&params.c1_bits()) && (38..=40).contains(&params.c0_bits()));
    }

    #[test]
    fn what_does_not_fit_is_refused_with_what_does() {
        let error = Params::new(demand(43, 12, 4608, Privacy::Coefficient), 4096).unwrap_err();
        assert!(error.to_string().contains("at most 42 bits"), "{error}");
        assert!(Params::new(demand(42, 12, 4608, Privacy::Coefficient), 4096).is_ok());
        let wide = Params::new(demand(37, 31, 1 << 40, Privacy::Run { log2_outputs: 40 }), 4096);
        assert!(wide.unwrap_err().to_string().contains("no bitwidth works"));
        for (weight_bound, terms, degree) in [
            (0, 1, 4096),
            (MAX_WEIGHT + 1, 1, 4096),
            (1, 0, 4096),
            (1, 1 << 41, 4096),
            (1, 1, 2048),
        ] {
            let wrong = Demand { weight_bound, terms, ..demand(8, 2, 1, Privacy::Coefficient) };
            assert!(matches!(Params::new(wrong, degree), Err(Error::InvalidInput { .. })));
        }
        let endless = demand(8, 2, 1, Privacy::Run { log2_outputs: 41 });
        assert!(matches!(Params::smallest(endless), Err(Error::InvalidInput { .. })));
    }

    #[test]
    fn the_smallest_degree_is_chosen_and_fields_work() {
        let coefficient = Params::smallest(demand(37, 12, 4608, Privacy::Coefficient)).unwrap();
        assert_eq!(coefficient.degree(), 4096);
        assert_eq!(
            Params::smallest(demand(37, 12, 4608, Privacy::default())).unwrap().degree(),
            8192
        );
        let domain = Field::new(137_438_822_401).unwrap();
        let demand =
            Demand { domain, weight_bound: 2048, terms: 576, privacy: Privacy::Coefficient };
        assert_eq!(Params::smallest(demand).unwrap().degree(), 4096);
    }
}
