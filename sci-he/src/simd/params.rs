//! Parameters of batched slots, shared by as many layers as possible so that one set of rotation
//! keys serves a whole network.
//!
//! Let n be the plaintext prime, W = (n-1)/2 the largest plaintext coefficient (a vector of slots has
//! coefficients all over Z_n, however small the weights are), N the degree, q the modulus of requests,
//! P that of the special primes of key switching, D_i the product of the primes of a digit, sigma^2 =
//! 21/2, r = sqrt(1 + 2N/3). A circuit ([`Growth`]) adds up M·K products of a plaintext with m nonzero coefficients and a rotated copy of one of M requests, K copies of each. All errors
//! are relative to q/n times the exact result, and root mean squares over the honest choice of keys,
//! seeds, errors and roundings:
//!
//! | part | bound |
//! |---|---|
//! | errors of the requests and the randomised rounding of both shares | sqrt(sigma^2 + 1/2)·W·K·sqrt(M·m) |
//! | key switching of the copies, each used by J sums at most | s·W·sqrt(M·m·K·J) |
//! | key switching on the way from line to line, K_h copies after hop h | s·W·sqrt(M·m·sum K_h^2) |
//! | R key switchings of sums of products | R·(sigma·sqrt(N·sum D_i^2)/(2P) + r/2) |
//! | fresh encryption of zero | sigma·sqrt(4N/3 + 1) |
//!
//! with s = sigma·sqrt(N/12·sum D_i^2)/P + r/sqrt(12). In the first row the K copies of one request
//! carry the same error and are added up in the worst way that weights can arrange. In the next
//! two, digits of different ciphertexts are uniform and uncorrelated, since they come from uniform
//! halves; and so are the roundings of the division by P.
//!
//! Parameters are made for a bound 2^[`Params::growth`]·W on that sum, the flooding for the bound
//! (the proof of the [crate docs](crate) needs the mean of the error only, never a tail), and a layer
//! is refused if its circuit exceeds it. The largest possible error of every part
//! ([`Params::worst`]) is at most 2^-10 of the flooding, so that decryption fails in the rounding
//! of the response only, below 2^-64 a coefficient as in [`crate::params`].

use crate::params::{
    ERROR_COINS, Privacy, SECURITY, is_prime, residue_bits, response_error, response_widths,
};
use sci_core::{AnyDomain, Domain, Error, Result};

/// Bits of error growth that parameters are made for, in the order of trying.
pub const GROWTHS: [u32; 4] = [22, 30, 40, 52];

/// The widest prime.
const PRIME_BITS: u32 = 27;

/// The flooding value: uniform over `mantissa`·2^`shift` consecutive integers around zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flood {
    /// 128..=256.
    pub mantissa: u64,
    /// The bits below, up to 240.
    pub shift: u32,
}

impl Flood {
    fn at_least(width: f64) -> Option<Self> {
        let shift = (width.log2().floor() - 7.0).max(0.0);
        // One more than the ceiling of a value that floating point may have rounded down.
        let mantissa = (width / shift.exp2() * (1.0 + 1e-9)).ceil().max(128.0);
        (shift <= 240.0).then_some(Self { mantissa: mantissa as u64, shift: shift as u32 })
    }

    /// V as a real number.
    pub fn width(self) -> f64 {
        self.mantissa as f64 * f64::from(self.shift).exp2()
    }
}

/// What a circuit does to errors: public facts about its plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Growth {
    /// M, requests that enter one response.
    pub requests: usize,
    /// m, nonzero coefficients of a plaintext.
    pub period: usize,
    /// K, products with one request.
    pub uses: usize,
    /// J, products with one rotated copy.
    pub reuse: usize,
    /// K_h for each hop.
    pub after_hops: Vec<usize>,
    /// R, with multiplicity.
    pub late: usize,
}

/// Checked parameters: they exist only if they are secure, private and decrypt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Params<D: Domain> {
    domain: D,
    degree: usize,
    growth: u32,
    privacy: Privacy,
    primes: Vec<u32>,
    special: Vec<u32>,
    flood: Flood,
    c0_bits: u32,
    c1_bits: u32,
}

impl<D: Domain> Params<D> {
    /// The cheapest parameters of one degree.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] unless the domain is Z_n with n = 1 mod 2N, and if no modulus
    /// within the security table is wide enough. That n is prime is seen later, by the transform.
    pub fn new(domain: D, degree: usize, growth: u32, privacy: Privacy) -> Result<Self> {
        let limit = SECURITY.iter().find(|(n, _)| *n == degree).map(|&(_, limit)| limit);
        let limit =
            limit.ok_or_else(|| Error::invalid("ring degree", "4096, 8192 or 16384", degree))?;
        let n = match domain.any() {
            AnyDomain::Field(field) => field.n(),
            AnyDomain::Ring(_) => 0,
        };
        if n % (2 * degree as u64) != 1 {
            let expected = format!("a prime that is 1 modulo {}", 2 * degree);
            return Err(Error::invalid("modulus for batched slots", expected, domain));
        }
        if !(1..=100).contains(&growth) {
            return Err(Error::invalid("error growth", "1..=100 bits", growth));
        }
        search(domain, degree, growth, privacy, limit).ok_or_else(|| {
            let expected = format!("what fits {limit} bits, or a larger degree");
            let got = format!("{} bits, error growth of 2^{growth}", domain.bits());
            Error::invalid(format!("lattice parameters of degree {degree}"), expected, got)
        })
    }

    /// The plaintext domain, a Z_n.
    pub fn domain(&self) -> D {
        self.domain
    }

    /// N.
    pub fn degree(&self) -> usize {
        self.degree
    }

    /// The logarithm of the growth that is provided for.
    pub fn growth(&self) -> u32 {
        self.growth
    }

    /// The privacy of the weights.
    pub fn privacy(&self) -> Privacy {
        self.privacy
    }

    /// The primes whose product is q, each 1 mod 2N, below 2^27 and not n.
    pub fn primes(&self) -> &[u32] {
        &self.primes
    }

    /// The special primes, as many as a digit has.
    pub fn special(&self) -> &[u32] {
        &self.special
    }

    /// Digits of a key switching.
    pub fn digits(&self) -> usize {
        self.primes.len().div_ceil(self.special.len())
    }

    /// log2 q.
    pub fn modulus_bits(&self) -> f64 {
        log2_product(&self.primes)
    }

    /// log2 of q·P: what the security table bounds, since keys are encrypted under it.
    pub fn key_modulus_bits(&self) -> f64 {
        self.modulus_bits() + log2_product(&self.special)
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

    /// The bound of the error before flooding, as a root mean square.
    pub fn error_bound(&self) -> f64 {
        error_bound(self.domain, self.growth)
    }

    /// How much of the distance to the next plaintext the worst response error takes, from 0 to 1.
    pub fn budget_used(&self) -> f64 {
        let t = self.domain.modulus() as f64;
        2.0 * (modulus_error(t, self.flood, &self.primes)
            + response_error(t, self.degree, self.c0_bits, self.c1_bits))
    }

    /// D_i/P for each digit.
    fn digit_ratios(&self) -> impl Iterator<Item = f64> {
        let digits = self.primes.chunks(self.special.len()).map(log2_product);
        digits.map(|bits| (bits - log2_product(&self.special)).exp2())
    }

    /// The root mean square of the error of a circuit before flooding: the table of the
    /// [module](self).
    pub fn deviation(&self, growth: &Growth) -> f64 {
        let n = self.degree as f64;
        let squares: f64 = self.digit_ratios().map(|ratio| ratio * ratio).sum();
        let rounding = (1.0 + 2.0 * n / 3.0).sqrt();
        let switched = sigma() * (n / 12.0 * squares).sqrt() + rounding / 12f64.sqrt();
        let late = sigma() * (n * squares).sqrt() / 2.0 + rounding / 2.0;
        let spread =
            max_plain(self.domain) * (growth.requests as f64 * growth.period as f64).sqrt();
        let uses = growth.uses as f64;
        let hops: f64 = growth.after_hops.iter().map(|&k| (k as f64).powi(2)).sum();
        (sigma().powi(2) + 0.5).sqrt() * spread * uses
            + switched * spread * (uses * growth.reuse as f64).sqrt()
            + switched * spread * hops.sqrt()
            + growth.late as f64 * late
            + sigma() * (4.0 * n / 3.0 + 1.0).sqrt()
    }

    /// A bound that the error before flooding never exceeds.
    pub fn worst(&self, growth: &Growth) -> f64 {
        let (n, coins) = (self.degree as f64, f64::from(ERROR_COINS));
        let digits: f64 = self.digit_ratios().sum();
        let switched = n * digits / 2.0 * coins + (1.0 + n) / 2.0;
        let terms = growth.requests as f64 * growth.uses as f64 * growth.period as f64;
        let depth = 1.0 + growth.after_hops.len() as f64;
        max_plain(self.domain) * terms * (coins + 2.0 + depth * switched)
            + growth.late as f64 * switched
            + 2.0 * coins * n
    }

    /// Whether a circuit stays within the growth that these parameters are made for.
    pub fn admits(&self, growth: &Growth) -> bool {
        self.deviation(growth) <= self.error_bound()
            && self.worst(growth) <= self.flood.width() * f64::from(RESERVE).exp2()
    }
}

/// log2 of the share of the flooding that the largest error may add to it.
const RESERVE: i32 = -10;

/// W.
fn max_plain<D: Domain>(domain: D) -> f64 {
    (domain.modulus() / 2) as f64
}

fn error_bound<D: Domain>(domain: D, growth: u32) -> f64 {
    max_plain(domain) * f64::from(growth).exp2()
}

pub(super) fn sigma() -> f64 {
    (f64::from(ERROR_COINS) / 2.0).sqrt()
}

fn log2_product(primes: &[u32]) -> f64 {
    primes.iter().map(|&p| f64::from(p).log2()).sum()
}

/// n times the largest error at the modulus q, over q.
fn modulus_error(t: f64, flood: Flood, primes: &[u32]) -> f64 {
    let error = flood.width() * (0.5 + f64::from(RESERVE).exp2()) + 2.0;
    (t.log2() + error.log2() - log2_product(primes)).exp2()
}

fn search<D: Domain>(
    domain: D,
    degree: usize,
    growth: u32,
    privacy: Privacy,
    limit: u32,
) -> Option<Params<D>> {
    let t = domain.modulus() as f64;
    let flood =
        Flood::at_least(error_bound(domain, growth) * f64::from(privacy.flood_bits()).exp2())?;
    let floor = (t.log2() + flood.width().log2()) as u32;
    // Digits of two primes halve the work and the keys where the security table has room.
    [2, 1].into_iter().find_map(|digit| {
        let special = largest_primes(PRIME_BITS * digit, degree, domain.modulus(), &[])?;
        let mut best: Option<(u32, Params<D>)> = None;
        for bits in floor..floor + 8 {
            let Some(primes) = largest_primes(bits, degree, domain.modulus(), &special) else {
                continue;
            };
            let primes = balanced(&primes);
            if log2_product(&primes) + log2_product(&special) > f64::from(limit) {
                break;
            }
            let left = 0.5 - modulus_error(t, flood, &primes);
            let Some((c0_bits, c1_bits)) = response_widths(t, degree, left) else { continue };
            let total = bits + c0_bits + c1_bits;
            if best.as_ref().is_none_or(|(least, _)| total < *least) {
                let special = special.clone();
                let params = Params {
                    domain,
                    degree,
                    growth,
                    privacy,
                    primes,
                    special,
                    flood,
                    c0_bits,
                    c1_bits,
                };
                best = Some((total, params));
            }
        }
        best.map(|(_, params)| params)
    })
}

/// Descending primes in another order, wide ones beside narrow ones: the widest digit counts most.
fn balanced(primes: &[u32]) -> Vec<u32> {
    let (wide, narrow) = primes.split_at(primes.len().div_ceil(2));
    let mut narrow = narrow.iter().rev();
    wide.iter().flat_map(|&p| [Some(p), narrow.next().copied()]).flatten().collect()
}

/// As few primes as hold `bits` bits together, of nearly equal widths, each the largest of its
/// width that is not taken and does not divide n: encodings need 1/n modulo each.
fn largest_primes(bits: u32, degree: usize, n: u128, taken: &[u32]) -> Option<Vec<u32>> {
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
            .filter(|p| is_prime(*p) && !n.is_multiple_of(u128::from(*p)))
            .find(|p| !primes.contains(p) && !taken.contains(p))?;
        primes.push(found);
    }
    Some(primes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sci_core::{Field, Ring};

    #[test]
    fn every_parameter_set_is_within_its_tables() {
        let mut found = 0;
        for n in [40_961, 4_293_918_721, 137_438_822_401, 2_199_023_190_017] {
            let domain = Field::new(n).unwrap();
            for (degree, limit) in SECURITY {
                for growth in GROWTHS {
                    for privacy in [Privacy::Coefficient, Privacy::default()] {
                        let Ok(params) = Params::new(domain, degree, growth, privacy) else {
                            continue;
                        };
                        found += 1;
                        assert!(params.key_modulus_bits() <= f64::from(limit), "{params:?}");
                        assert!(params.budget_used() < 1.0, "{params:?}");
                        let hidden = params.error_bound().log2() + f64::from(privacy.flood_bits());
                        assert!(params.flood().width().log2() >= hidden);
                        assert!(params.digit_ratios().all(|ratio| ratio < 1.01));
                        let mut all = [params.primes(), params.special()].concat();
                        for &p in &all {
                            assert!(p < 1 << 27 && (p as usize - 1).is_multiple_of(2 * degree));
                            assert!((2..p).take_while(|d| d * d <= p).all(|d| p % d != 0));
                        }
                        all.sort_unstable();
                        assert!(all.windows(2).all(|pair| pair[0] < pair[1]));
                    }
                }
            }
        }
        assert!(found >= 20, "{found}");
    }

    /// The paper's primes have parameters at N = 8192, with digits of two primes for 37 bits.
    #[test]
    fn the_papers_bitwidths_fit_the_degree() {
        for n in [4_293_918_721, 8_589_475_841, 137_438_822_401, 2_199_023_190_017] {
            let domain = Field::new(n).unwrap();
            let params = Params::new(domain, 8192, 22, Privacy::default()).unwrap();
            assert_eq!(params.special().len(), if n < 1 << 38 { 2 } else { 1 }, "{n}");
        }
    }

    /// The primes that other moduli take, as plaintext moduli.
    #[test]
    fn no_prime_divides_the_plaintext_modulus() {
        let params = |n: u32| {
            let domain = Field::new(n.into()).unwrap();
            Params::new(domain, 8192, 22, Privacy::default()).unwrap()
        };
        let usual = params(132_120_577);
        for &n in usual.primes().iter().chain(usual.special()) {
            let mut params = params(n);
            assert!(!params.primes().contains(&n) && !params.special().contains(&n), "{n}");
            assert!(crate::simd::Context::new(params.clone()).is_ok());
            params.primes[0] = n;
            let forged = crate::simd::Context::new(params);
            assert!(matches!(forged, Err(Error::Misuse { .. })));
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let refused = |error: Error| matches!(error, Error::InvalidInput { .. });
        let privacy = Privacy::default();
        let field = |n| Field::new(n).unwrap();
        let paper = field(137_438_822_401);
        assert!(refused(Params::new(Ring::new(37).unwrap(), 8192, 22, privacy).unwrap_err()));
        assert!(refused(Params::new(field(1_000_003), 8192, 22, privacy).unwrap_err()));
        assert!(refused(Params::new(paper, 4096, 22, privacy).unwrap_err()));
        assert!(refused(Params::new(paper, 2048, 22, privacy).unwrap_err()));
        assert!(refused(Params::new(paper, 8192, 0, privacy).unwrap_err()));
        assert!(refused(Params::new(paper, 8192, 100, privacy).unwrap_err()));
    }
}
