//! What the machine and the link take for a cost.

use crate::linear::packing::Layer;
use sci_core::channel::shaped::LinkShape;
use sci_core::{Cost, Domain};
use sci_ot::OtKind;
use sci_ot::peer::Settings;
use sci_ot::silent::{Growth, IKNP_SERVES, SETS};

/// Lanes and directions that share the OTs of a large layer.
const POOLS: u64 = 8;

/// CPU seconds of both parties together, measured on one core of an AMD EPYC "Genoa" at 3.6 GHz. (Those of stretched pads
/// and of coefficients were measured on an Intel Xeon, and divided by what ReLU takes there and the others say.)
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// For each silent COT with all that follows from it, by the set, smallest first. (Larger sets take longer by 8, 17
    /// and 31 % there and by 15, 33 and 50 % on an Intel Xeon, whose caches they leave sooner: the means.)
    pub silent_cot: [f64; 4],
    /// For each pad of 1-of-N OT from silent COTs.
    pub silent_pad: f64,
    /// For each COT by IKNP.
    pub iknp_cot: f64,
    /// For each row of 1-of-N OT by KKOT.
    pub row: f64,
    /// For each pad of KKOT.
    pub row_pad: f64,
    /// For each block that the pads of a product are stretched to, with its share of the arithmetic.
    pub stretched: f64,
    /// For each byte of payload.
    pub byte: f64,
    /// For each byte of payload of comparisons over silent OT, with all OTs and pads that belong to it. (On an Intel Xeon;
    /// the other rates come to 53e-9. With that, SqueezeNet 1.1 by `--backend he --bitwidth 32 --scale 9 --link wan` took
    /// 23.2 and 23.9 s, with this 22.3 and 22.7: in turn.)
    pub silent_compared_byte: f64,
    /// The same over IKNP.
    pub iknp_compared_byte: f64,
    /// What a round takes beside the way of its bytes, in wall-clock seconds: system calls, and the threads that it
    /// wakes at both ends.
    pub round: f64,
    /// Of coefficients: CPU seconds for each one that the planning of layouts reckons with.
    pub coefficients: f64,
    /// Of coefficients: for each byte of payload. (Sampling, rounding and packing are not weighed by layouts one by
    /// one.)
    pub coefficients_byte: f64,
    /// The parties take turns in a product by lattice encryption: of the CPU time of both, the part that passes.
    pub turns: f64,
    /// Of batched slots, for each residue of a product of a ciphertext and a plaintext.
    pub slots_product: f64,
    /// For each residue of a request: encryption, and its way into the transformed domain.
    pub slots_request: f64,
    /// For each residue of a response: fresh zero, flooding, and decryption.
    pub slots_response: f64,
    /// For each residue of a rotation of batched slots.
    pub slots_rotation: f64,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            silent_cot: [42e-9, 47e-9, 52.5e-9, 59e-9],
            silent_pad: 1.5e-9,
            iknp_cot: 20e-9,
            row: 45e-9,
            row_pad: 3.2e-9,
            stretched: 2.5e-9,
            byte: 0.8e-9,
            silent_compared_byte: 90e-9,
            iknp_compared_byte: 3.5e-9,
            round: 25e-6,
            coefficients: 0.85,
            coefficients_byte: 4.2e-9,
            turns: 0.7,
            slots_product: 0.6e-9,
            slots_request: 20e-9,
            slots_response: 60e-9,
            slots_rotation: 60e-9,
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
            + cost.stretched as f64 * self.stretched
            + cost.bytes() as f64 * self.byte
    }

    /// Wall-clock seconds over a link, with so many computing threads a party.
    pub fn seconds(&self, cost: &Cost, settings: Settings, link: LinkShape, threads: usize) -> f64 {
        let expansion = expansion_bytes(cost.cots, settings);
        self.wall(self.cpu_seconds(cost, settings), cost, expansion, link, threads)
    }

    /// Wall-clock seconds for so many CPU seconds of both parties, working side by side; `beside` bytes load both
    /// directions alike.
    pub(super) fn wall(
        &self,
        cpu: f64,
        cost: &Cost,
        beside: f64,
        link: LinkShape,
        threads: usize,
    ) -> f64 {
        let fuller = cost.server_to_client.max(cost.client_to_server) as f64;
        let transfer = (fuller + beside / 2.0) / link.bytes_per_second;
        (cpu / (2 * threads.max(1)) as f64).max(transfer) + self.flights(cost, link)
    }

    /// Wall-clock seconds that the rounds take.
    fn flights(&self, cost: &Cost, link: LinkShape) -> f64 {
        f64::from(cost.rounds) * (link.rtt.as_secs_f64() / 2.0 + self.round)
    }

    /// How many bytes of payload, both ways, comparisons make and send in the time of a flight
    /// ([`Settings::flight`]).
    pub fn flight_bytes(&self, ot: OtKind, link: LinkShape, threads: usize) -> u64 {
        let cpu = match ot {
            OtKind::Iknp => self.iknp_compared_byte,
            OtKind::Silent => self.silent_compared_byte,
        };
        let byte = (cpu / (2 * threads.max(1)) as f64).max(0.5 / link.bytes_per_second);
        let flight = self.flights(&Cost { rounds: 1, ..Cost::ZERO }, link);
        // In whole kilobytes: people read it among the parameters of a session.
        ((flight / byte / 1e3).round() as u64).saturating_mul(1000).min(Settings::MAX_FLIGHT)
    }

    /// Wall-clock seconds of a lattice layer, keys left out.
    pub fn lattice_wall<D: Domain>(
        &self,
        layer: &Layer<D>,
        link: LinkShape,
        threads: usize,
    ) -> f64 {
        let cost = layer.cost();
        // Requests and responses follow each other.
        let transfer = cost.bytes() as f64 / link.bytes_per_second;
        let cpu = self.turns * self.lattice_seconds(layer) / threads.max(1) as f64;
        cpu.max(transfer) + self.flights(&cost, link)
    }

    /// CPU seconds of both parties for a lattice layer: what the layer itself reckoned with, or the rates.
    pub fn lattice_seconds<D: Domain>(&self, layer: &Layer<D>) -> f64 {
        match layer {
            Layer::Coefficient(layer, _) => {
                layer.estimated_seconds() * self.coefficients
                    + layer.cost().bytes() as f64 * self.coefficients_byte
            }
            Layer::Simd(layer) => {
                let params = layer.context().params();
                let rotations: usize = layer.rotations().iter().sum();
                (params.degree() * params.primes().len()) as f64
                    * (layer.products() as f64 * self.slots_product
                        + layer.requests() as f64 * self.slots_request
                        + layer.responses() as f64 * self.slots_response
                        + rotations as f64 * self.slots_rotation)
            }
        }
    }
}

/// Bytes that silent OT expands `cots` from, bootstrap included.
pub(super) fn expansion_bytes(cots: u64, settings: Settings) -> f64 {
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
            stretched: 0,
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
    fn a_flight_over_a_distant_link_is_worth_a_megabyte() {
        let bytes = |link: &str, threads| {
            Rates::default().flight_bytes(OtKind::Silent, link.parse().unwrap(), threads)
        };
        assert_eq!(bytes("loopback", 1), 1000);
        assert!((3_000..5_000).contains(&bytes("lan", 1)));
        assert!((800_000..1_000_000).contains(&bytes("wan", 1)));
        // With more threads it is the link that limits.
        assert_eq!(bytes("wan", 4), bytes("wan", 16));
        assert!(Rates::default().flight_bytes(OtKind::Iknp, "wan".parse().unwrap(), 1) > 3_000_000);
        assert!(bytes("1000,500", 1024) < Settings::MAX_FLIGHT);
        assert_eq!(bytes("1000000,60000", 1024), Settings::MAX_FLIGHT);
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
