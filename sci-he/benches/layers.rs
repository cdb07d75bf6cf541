//! Six layers of ResNet50 at l = 37 with 12-bit weights and 2^-40 for a whole run, as coefficients: CPU
//! seconds of the server and of the client, one thread each, with weights prepared and transformed on
//! the fly, and MiB both ways, beside the bytes to reach and the figures published with the reference
//! layers.
//!
//! `cargo bench -p sci-he --bench layers`; with `SCI_HE_PRIVACY=coefficient` for 2^-40 a coefficient.

mod measured;

use criterion::Criterion;
use measured::{BOUND, Case, SHAPES, Subject};
use sci_core::channel::Stream;
use sci_core::geometry::LinearGeometry;
use sci_core::{Cost, Prg, Result, Ring, Shares};
use sci_he::coefficient::{Layer, Weights, run_client, run_server};
use sci_he::params::Privacy;
use sci_he::session::{ClientKeys, ServerKeys, Setup};

/// MiB to reach, and Cheetah's CPU seconds and MiB.
const REFERENCES: [(f64, (f64, f64)); 6] = [
    (13.0, (3.26, 52.6)),
    (5.5, (1.69, 6.9)),
    (12.5, (1.47, 16.2)),
    (2.5, (1.59, 8.7)),
    (2.5, (4.62, 16.5)),
    (0.5, (0.31, 1.95)),
];

struct Coefficients(Layer<Ring>);

impl Subject for Coefficients {
    type Domain = Ring;
    type Weights = Weights;
    type ServerKeys = ServerKeys<Ring>;
    type ClientKeys = ClientKeys<Ring>;

    fn domain(&self) -> Ring {
        self.0.context().params().domain()
    }

    fn summary(&self) -> String {
        let (params, layout) = (self.0.context().params(), self.0.layout());
        format!(
            "N {}, q {:.1} bits, {} requests of {} bits a coefficient, {} leaves in {} responses of {} and {} \
             bits filled to {:.0} %, {} products{}",
            params.degree(),
            params.modulus_bits(),
            layout.requests(),
            params.request_bits(),
            layout.leaves(),
            layout.responses(),
            params.c0_bits(),
            params.c1_bits(),
            100.0 * layout.fill(params.degree()),
            layout.products(),
            if self.0.is_scalar() { " by single weights" } else { "" },
        )
    }

    fn cost(&self) -> Cost {
        self.0.cost()
    }

    fn keys_cost(&self) -> Cost {
        Setup::new([&self.0]).cost()
    }

    fn prepared_bytes(&self) -> usize {
        Weights::prepared_bytes(&self.0)
    }

    fn on_the_fly(&self, values: Vec<i32>) -> Result<Weights> {
        Weights::on_the_fly(&self.0, values)
    }

    fn prepare(&self, values: Vec<i32>) -> Result<Weights> {
        Weights::prepare(&self.0, values)
    }

    fn send_keys(&self, stream: &mut Stream, prg: &mut Prg) -> Result<ClientKeys<Ring>> {
        ClientKeys::send(stream, &Setup::new([&self.0]), prg)
    }

    fn receive_keys(&self, stream: &mut Stream) -> Result<ServerKeys<Ring>> {
        ServerKeys::receive(stream, &Setup::new([&self.0]))
    }

    fn server(
        &self,
        stream: &mut Stream,
        keys: &ServerKeys<Ring>,
        weights: &Weights,
        share: &Shares<Ring>,
        prg: &mut Prg,
    ) -> Result<Shares<Ring>> {
        run_server(stream, &self.0, keys, weights, share, prg)
    }

    fn client(
        &self,
        stream: &mut Stream,
        keys: &ClientKeys<Ring>,
        share: &Shares<Ring>,
        prg: &mut Prg,
    ) -> Result<Shares<Ring>> {
        run_client(stream, &self.0, keys, share, prg)
    }
}

fn run(criterion: &mut Criterion) -> Result<()> {
    let coefficient = std::env::var("SCI_HE_PRIVACY").is_ok_and(|value| value == "coefficient");
    let privacy = if coefficient { Privacy::Coefficient } else { Privacy::default() };
    let ring = Ring::new(37)?;
    let mut rows = Vec::new();
    for ((name, shape), (target, reference)) in SHAPES.into_iter().zip(REFERENCES) {
        let geometry = measured::geometry(shape)?;
        let layer = match geometry.positions() {
            1 => {
                let [inner, outer, ..] = shape;
                let linear = LinearGeometry::new(1, inner, outer)?;
                Layer::fully_connected(&linear, ring, BOUND, privacy)?
            }
            _ => Layer::conv(&geometry, ring, BOUND, privacy)?,
        };
        let case = Case {
            name: name.to_string(),
            geometry,
            subject: Coefficients(layer),
            target: Some(target),
            reference: Some(reference),
        };
        rows.push(measured::bench(criterion, "layers", &case)?);
    }
    measured::print("Cheetah", &rows)
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    if let Err(error) = run(&mut criterion) {
        panic!("{error}");
    }
    criterion.final_summary();
}
