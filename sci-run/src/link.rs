//! The link that a plan is for: given, or probed at the start of a session.
//!
//! What a probe finds is rounded to 1, 2, 5, 10 and so on before anything is planned for it. So two sessions over
//! the same link mostly have the same plan, no client learns or decides more than a step, and there are no more
//! plans than [`MOST_PLANS`], whatever clients do.

use sci_core::channel::shaped::LinkShape;
use sci_core::session::Measured;
use sci_core::{Error, Result};
use std::fmt;
use std::str::FromStr;

/// MB/s.
const RATES: [f64; 10] = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0];
/// Milliseconds.
const ROUND_TRIPS: [f64; 12] =
    [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0];

/// The links that a probe can end in.
pub const MOST_PLANS: usize = RATES.len() * ROUND_TRIPS.len();

/// What a plan is for. Public.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PlannedLink {
    /// Rate of each direction, and round trip.
    pub shape: LinkShape,
    /// Whether the server measured it; otherwise somebody said so.
    pub probed: bool,
}

/// What follows the shape in text.
const PROBED: &str = " probed";

impl PlannedLink {
    /// As somebody said.
    pub fn given(shape: LinkShape) -> Self {
        Self { shape, probed: false }
    }

    /// The step that is nearest to what was measured. A plan knows one rate: that of the slower direction.
    ///
    /// # Errors
    /// None: all steps are within the bounds of a shape.
    pub fn probed(measured: &Measured) -> Result<Self> {
        let rate = measured.to_client.min(measured.to_server) / 1e6;
        let rtt = measured.rtt.as_secs_f64() * 1e3;
        let shape = LinkShape::new(nearest(&RATES, rate), nearest(&ROUND_TRIPS, rtt))?;
        Ok(Self { shape, probed: true })
    }
}

/// By quotient; what is beyond all steps is nearest to the last one.
fn nearest(steps: &[f64], value: f64) -> f64 {
    let value = value.clamp(f64::MIN_POSITIVE, f64::MAX);
    let distance = |step: f64| (step.ln() - value.ln()).abs();
    let closer = |best: f64, step: f64| if distance(step) < distance(best) { step } else { best };
    steps.iter().copied().fold(steps.first().copied().unwrap_or(1.0), closer)
}

impl fmt::Display for PlannedLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.shape, if self.probed { PROBED } else { "" })
    }
}

impl FromStr for PlannedLink {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (shape, probed) =
            text.strip_suffix(PROBED).map_or((text, false), |shape| (shape, true));
        Ok(Self { shape: shape.parse()?, probed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn probed(to_client: f64, to_server: f64, rtt_us: u64) -> PlannedLink {
        let rtt = Duration::from_micros(rtt_us);
        PlannedLink::probed(&Measured { rtt, to_client, to_server }).unwrap()
    }

    #[test]
    fn measurements_become_steps() {
        assert_eq!(probed(377e6, 412e6, 311).to_string(), "500,0.2 probed");
        assert_eq!(probed(39e6, 12.4e6, 80_100).to_string(), "10,100 probed");
        assert_eq!(probed(0.0, 0.0, 0).to_string(), "1,0.1 probed");
        assert_eq!(probed(f64::INFINITY, f64::INFINITY, 0).to_string(), "1000,0.1 probed");
        assert_eq!(probed(1e6, 1e6, 3_000_000_000).to_string(), "1,500 probed");
        let mut seen = Vec::new();
        for rate in 0..4000u32 {
            let link = probed(f64::from(rate) * 1e6, f64::from(rate) * 1e6, u64::from(rate) * 200);
            if !seen.contains(&link) {
                seen.push(link);
            }
        }
        assert!(seen.len() <= MOST_PLANS);
    }

    #[test]
    fn the_text_of_a_link_is_read_back() {
        for link in [probed(5e7, 5e7, 500), PlannedLink::given(LinkShape::LAN)] {
            assert_eq!(link.to_string().parse::<PlannedLink>().unwrap(), link);
        }
        for bad in ["", "probed", "fast probed", "lan probed probed", "lan\u{1b}"] {
            assert!(bad.parse::<PlannedLink>().is_err(), "{bad}");
        }
    }
}
