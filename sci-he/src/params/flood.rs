//! Flooding: how wide it must be, with the proof.
//!
//! A flooding value is a sum of k = 1 or 3 independent uniform values of V consecutive integers, around
//! zero. It hides a shift g, which the client could otherwise read from the error of what it decrypts.
//!
//! *One fold.* The distance between f and f + g is at most |g|/V. Distances of independent values add
//! up: n of them cost n·E|g|/V.
//!
//! *Three folds.* Let p be the density of f, s its square root and H^2(g) = 1/2·|s - s(.-g)|^2 the squared
//! Hellinger distance between f and f + g. By the triangle inequality H(g) <= |g|·H(1). With supports
//! 0..3V-3, V^3·p(x) is C(x+2, 2) for x < V, so that the rising part contributes
//!
//! ```text
//! sum over x < V of (x+1) / (x+1 + sqrt(x·(x+2))) / V^3  <=  (V/2 + 1) / V^3
//! ```
//!
//! to |s - s(.-1)|^2, the falling part as much; in between p >= 1/(2V) and the differences of p are
//! (3V - 2x - 2)/V^3, which contributes at most 1/(6V^2). So H^2(1) <= (7/12 + 1/V)/V^2.
//!
//! For independent values, also if each shift and width is chosen after seeing the earlier ones, one
//! minus the affinity is at most the sum of the H^2; the affinity is linear in the coins behind g (the
//! client's errors), hence the mean of g^2 counts; and the distance is at most the square root of
//! twice one minus the affinity:
//!
//! ```text
//! distance  <=  sqrt((7/6 + 2/V)·sum of E g^2) / V
//! ```
//!
//! n coefficients cost sqrt(n), not n: at 2^24 coefficients some 10 bits less than one fold.

use super::Privacy;

/// sqrt(7/6 + 2/V) for V >= 2^10.
const THREE_FOLDS: f64 = 1.0812;

/// The widest flooding value that the sampler makes.
const MAX_FLOOD_BITS: u32 = 120;

/// The flooding value: a sum of `folds` uniform values of `mantissa`·2^`shift` consecutive integers,
/// around zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flood {
    /// 1 or 3.
    pub folds: u32,
    /// 128..=256.
    pub mantissa: u64,
    /// The bits below.
    pub shift: u32,
}

impl Flood {
    /// The one with the shortest reach that hides errors of root mean square `error`.
    pub(super) fn hiding(error: f64, privacy: Privacy) -> Option<Self> {
        let bits = f64::from(privacy.flood_bits());
        let single = Self::at_least(1, error * bits.exp2());
        let triple = Self::at_least(3, THREE_FOLDS * error * (40.0 + (bits - 40.0) / 2.0).exp2());
        single.into_iter().chain(triple).min_by(|a, b| a.reach().total_cmp(&b.reach()))
    }

    /// The narrowest of which each fold is at least `width` wide.
    fn at_least(folds: u32, width: f64) -> Option<Self> {
        let shift = (width.log2().floor() - 7.0).max(0.0);
        // One more than the ceiling of a value that floating point may have rounded down.
        let mantissa = (width / shift.exp2() * (1.0 + 1e-9)).ceil().max(128.0);
        let flood = Self { folds, mantissa: mantissa as u64, shift: shift as u32 };
        (flood.shift + 9 <= MAX_FLOOD_BITS).then_some(flood)
    }

    /// V.
    pub fn width(self) -> u128 {
        u128::from(self.mantissa) << self.shift
    }

    /// The largest absolute value.
    pub fn reach(self) -> f64 {
        f64::from(self.folds) * (self.width() as f64 / 2.0 + 1.0)
    }

    /// The bound on the statistical distance that `outputs` coefficients cost whose errors have the
    /// root mean square `error`.
    pub fn distance(self, error: f64, outputs: f64) -> f64 {
        let width = self.width() as f64;
        match self.folds {
            1 => outputs * error / width,
            _ => THREE_FOLDS * error * outputs.sqrt() / width,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The density of a sum of three, by convolution.
    fn density(v: usize) -> Vec<f64> {
        let fold = |p: &[f64]| -> Vec<f64> {
            (0..p.len() + v - 1)
                .map(|x| {
                    (0..v).filter_map(|y| x.checked_sub(y)).filter_map(|i| p.get(i)).sum::<f64>()
                        / v as f64
                })
                .collect()
        };
        fold(&fold(&vec![1.0 / v as f64; v]))
    }

    #[test]
    fn three_folds_are_as_close_as_the_lemma_says() {
        for v in [10usize, 64, 500] {
            let p = density(v);
            let at =
                |x: i64| usize::try_from(x).ok().and_then(|x| p.get(x)).copied().unwrap_or(0.0);
            let hellinger: f64 =
                (0..=p.len() as i64).map(|x| (at(x).sqrt() - at(x - 1).sqrt()).powi(2) / 2.0).sum();
            let width = v as f64;
            assert!(hellinger <= (7.0 / 12.0 + 1.0 / width) / width.powi(2), "{v}");
            // And not far below, so that the lemma is no accident.
            assert!(hellinger > 0.5 / width.powi(2), "{v}");
        }
    }

    #[test]
    fn the_width_gives_the_distance() {
        for (privacy, outputs) in [
            (Privacy::Run { log2_outputs: 24 }, 24f64),
            (Privacy::Run { log2_outputs: 3 }, 3.0),
            (Privacy::Coefficient, 0.0),
        ] {
            for error in [1.0, 1e5, 1e9] {
                let flood = Flood::hiding(error, privacy).unwrap();
                let distance = flood.distance(error, outputs.exp2());
                assert!((0.98..=1.0).contains(&(distance * 40f64.exp2())), "{distance}");
                assert_eq!(flood.folds, if outputs > 10.0 { 3 } else { 1 });
            }
        }
        assert!(Flood::hiding(1e30, Privacy::Run { log2_outputs: 40 }).is_none());
    }
}
