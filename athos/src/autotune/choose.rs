//! The cheapest setting that is accurate enough.

use super::{Setting, Sweep};
use serde::Serialize;

/// A setting that was chosen.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Choice {
    /// Bits after the binary point.
    pub scale: u32,
    /// l, headroom included.
    pub bitwidth: u32,
    /// The least l without overflow on the samples.
    pub least_bitwidth: u32,
    /// Of 1.
    pub accuracy: f64,
}

/// Chooses among settings without overflow, at the given headroom above the least bitwidth of their
/// scale, the one with the lowest first prediction; without predictions the one with the fewest bits.
/// Equal ones are decided by accuracy, then by the larger scale.
pub fn choose(settings: &[Setting], float_accuracy: f64, sweep: &Sweep) -> Option<Choice> {
    let least = |scale: u32| {
        let without = settings.iter().filter(|x| x.scale == scale && x.overflowing == 0);
        without.map(|x| x.bitwidth).min()
    };
    let accurate = |setting: &&Setting| {
        // A rate is a quotient of counts: what is lost in rounding is far below one count.
        setting.overflowing == 0 && setting.accuracy + sweep.tolerance + 1e-9 >= float_accuracy
    };
    let candidates = settings.iter().filter(accurate).filter_map(|setting| {
        let least = least(setting.scale)?;
        let wanted = (least + sweep.headroom).min(super::MAX_BITWIDTH);
        (setting.bitwidth == wanted).then_some((setting, least))
    });
    let order = |(a, _): &(&Setting, u32), (b, _): &(&Setting, u32)| {
        let seconds = |x: &Setting| x.cost.first().map_or(0.0, |cost| cost.seconds);
        seconds(a)
            .total_cmp(&seconds(b))
            .then(a.bitwidth.cmp(&b.bitwidth))
            .then(b.accuracy.total_cmp(&a.accuracy))
            .then(b.scale.cmp(&a.scale))
    };
    candidates.min_by(order).map(|(setting, least_bitwidth)| Choice {
        scale: setting.scale,
        bitwidth: setting.bitwidth,
        least_bitwidth,
        accuracy: setting.accuracy,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CompileOptions;
    use crate::autotune::Prediction;
    use sci_core::AnyDomain;

    fn setting(scale: u32, bitwidth: u32, overflowing: usize, accuracy: f64, s: f64) -> Setting {
        let cost = vec![Prediction { plan: "ot".into(), seconds: s, bytes: 0 }];
        Setting { scale, bitwidth, overflowing, accuracy, changed: 0, cost }
    }

    #[test]
    fn the_cheapest_accurate_setting_without_overflow() {
        let mut sweep = Sweep::new(CompileOptions::new(AnyDomain::ring(64).unwrap(), 0));
        let settings = [
            setting(8, 24, 3, 0.95, 0.1),
            setting(8, 25, 0, 0.85, 0.2),
            setting(8, 26, 0, 0.85, 0.3),
            setting(10, 28, 0, 0.899, 0.4),
            setting(10, 29, 0, 0.899, 0.5),
            setting(12, 32, 0, 0.95, 0.6),
            setting(12, 33, 0, 0.95, 0.7),
        ];
        let choice = choose(&settings, 0.9, &sweep).unwrap();
        assert_eq!((choice.scale, choice.bitwidth, choice.least_bitwidth), (10, 29, 28));
        sweep.headroom = 0;
        assert_eq!(choose(&settings, 0.9, &sweep).unwrap().bitwidth, 28);
        sweep.tolerance = 0.0;
        assert_eq!(choose(&settings, 0.9, &sweep).unwrap().bitwidth, 32);
        assert_eq!(choose(&settings, 0.96, &sweep), None);
        sweep.tolerance = 0.1;
        assert_eq!(choose(&settings, 0.9, &sweep).unwrap().scale, 8);
    }
}
