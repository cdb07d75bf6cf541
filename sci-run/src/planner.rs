//! Which settings a session has: the radix of comparisons and the LPN set of silent OT, by cost.
//!
//! For every choice the exact cost functions give the payload, the rounds and the OTs of the program; the link
//! and the machine weigh them:
//!
//! ```text
//! seconds = max(CPU of a party, bytes of the fuller direction / bandwidth) + rounds x RTT / 2
//! ```
//!
//! (a round is one flight, which takes half a round trip).
//!
//! CPU time is linear in OTs, pads and bytes with the [`Rates`]. Held against measurement (`cargo run
//! --release -p sci-run --example radix_model`: ReLU of 2^17 elements over Z_2^32, radix 1 to 8, all
//! engines and sets; the rates were fitted on the same machine) the model is within 13 % for IKNP up to
//! radix 6 and for silent OT up to radix 7. It takes silent OT at radix 8 for up to a quarter dearer than it is, and
//! IKNP beyond radix 6 for half as dear. For large layers over silent OT the choice is then radix 4 where CPU time decides
//! (loopback, LAN, and 40 MB/s with one thread a party) and 2 where bytes do (40 MB/s with four threads, or a
//! few MB/s).

use crate::cost;
use athos::{PublicProgram, Result};
use sci_core::Cost;
use sci_core::channel::shaped::LinkShape;
use sci_ot::OtKind;
use sci_ot::peer::Settings;
use sci_ot::silent::{Growth, IKNP_SERVES, SETS};

/// Lanes and directions that share the OTs of a large layer.
const POOLS: u64 = 8;

/// CPU seconds of both parties together, measured on one core of an AMD EPYC "Genoa" at 3.6 GHz.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// For each silent COT with all that follows from it, by the set, smallest first.
    pub silent_cot: [f64; 4],
    /// For each pad of 1-of-N OT from silent COTs.
    pub silent_pad: f64,
    /// For each COT by IKNP.
    pub iknp_cot: f64,
    /// For each row of 1-of-N OT by KKOT.
    pub row: f64,
    /// For each pad of KKOT.
    pub row_pad: f64,
    /// For each byte of payload.
    pub byte: f64,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            silent_cot: [42e-9, 45.5e-9, 49e-9, 55e-9],
            silent_pad: 1.5e-9,
            iknp_cot: 20e-9,
            row: 45e-9,
            row_pad: 3.2e-9,
            byte: 0.8e-9,
        }
    }
}

impl Rates {
    /// CPU seconds of both parties together.
    pub fn cpu_seconds(&self, cost: &Cost, settings: Settings) -> f64 {
        let (cot, pad) = match settings.ot {
            OtKind::Iknp => (self.iknp_cot, self.row_pad),
            OtKind::Silent => {
                let set = settings.silent_log_k.clamp(16, 19) as usize - 16;
                (self.silent_cot[set], self.silent_pad)
            }
        };
        cost.cots as f64 * cot
            + cost.rows as f64 * self.row
            + cost.pads as f64 * pad
            + cost.bytes() as f64 * self.byte
    }

    /// Wall-clock seconds over a link, with so many computing threads a party.
    pub fn seconds(&self, cost: &Cost, settings: Settings, link: LinkShape, threads: usize) -> f64 {
        let cpu = self.cpu_seconds(cost, settings) / (2 * threads.max(1)) as f64;
        // Expansion loads both directions alike.
        let expansion = expansion_bytes(cost.cots, settings) / 2.0;
        let fuller = cost.server_to_client.max(cost.client_to_server) as f64;
        let transfer = (fuller + expansion) / link.bytes_per_second;
        cpu.max(transfer) + f64::from(cost.rounds) * link.rtt.as_secs_f64() / 2.0
    }
}

/// Bytes that silent OT expands `cots` from, bootstrap included.
fn expansion_bytes(cots: u64, settings: Settings) -> f64 {
    if settings.ot == OtKind::Iknp {
        return 0.0;
    }
    let share = cots / POOLS;
    if share <= IKNP_SERVES {
        return 16.0 * cots as f64;
    }
    let growth = Growth { largest: settings.silent_log_k };
    let mut bytes = 16 * (IKNP_SERVES as usize + SETS[0].base());
    let (mut served, mut round) = (IKNP_SERVES, 0);
    while served < share && round < 64 {
        let (set, next) = (growth.set(round), growth.set(round + 1));
        served += set.usable(next) as u64;
        bytes += set.bytes();
        round += 1;
    }
    // Beyond many rounds the last set repeats.
    let last = growth.set(round);
    let rest = share.saturating_sub(served) as f64 / last.usable(last) as f64;
    (bytes as f64 + rest * last.bytes() as f64) * POOLS as f64
}

/// The fastest settings for a program over a link; a given radix is kept.
///
/// # Errors
/// As [`cost::layers`].
pub fn choose(
    program: &PublicProgram,
    link: LinkShape,
    threads: usize,
    ot: OtKind,
    radix: Option<u32>,
) -> Result<Settings> {
    let rates = Rates::default();
    let sets = match ot {
        OtKind::Iknp => 17..=17,
        OtKind::Silent => 16..=19,
    };
    let radices = radix.map_or(1..=8, |radix| radix..=radix);
    let mut best = (f64::INFINITY, Settings::over(ot));
    for radix in radices {
        let cost = cost::total(program, Settings { radix, ..Settings::over(ot) })?;
        for silent_log_k in sets.clone() {
            let settings = Settings { radix, ot, silent_log_k };
            let seconds = rates.seconds(&cost, settings, link, threads);
            if seconds < best.0 {
                best = (seconds, settings);
            }
        }
    }
    Ok(best.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(n: u64, cots: u64, pads: u64, bytes: u64, rounds: u32) -> Cost {
        let half = n * bytes / 2;
        Cost {
            server_to_client: half,
            client_to_server: half,
            rounds,
            cots: n * cots,
            rows: 0,
            pads: n * pads,
        }
    }

    /// ReLU over Z_2^32 at radix 2 and 4: few bytes or few rounds and little time.
    #[test]
    fn slow_links_want_small_digits_and_fast_ones_large() {
        let rates = Rates::default();
        let (two, four) = (layer(1 << 22, 63, 84, 38, 8), layer(1 << 22, 47, 134, 45, 7));
        let of = |radix| Settings { radix, ..Settings::over(OtKind::Silent) };
        let faster = |link: LinkShape| {
            rates.seconds(&four, of(4), link, 4) < rates.seconds(&two, of(2), link, 4)
        };
        assert!(faster(LinkShape::LOOPBACK));
        assert!(faster("lan".parse().unwrap()));
        assert!(!faster("wan".parse().unwrap()));
        assert!(!faster("5,80".parse().unwrap()));
    }

    #[test]
    fn a_small_job_pays_for_no_pool_and_a_large_one_little_per_cot() {
        let settings = Settings { silent_log_k: 19, ..Settings::over(OtKind::Silent) };
        assert!(expansion_bytes(1000, settings) <= 16_000.0);
        let many = 10_000_000_000u64;
        assert!(expansion_bytes(many, settings) * 8.0 / (many as f64) < 0.35);
        assert_eq!(expansion_bytes(many, Settings::over(OtKind::Iknp)), 0.0);
    }
}
