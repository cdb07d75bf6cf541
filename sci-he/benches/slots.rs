//! Six layers of ResNet50 in batched slots over the paper's 37-bit prime, with 12-bit weights and
//! 2^-40 for a whole run: CPU seconds of the server and of the client, one thread each, and MiB both
//! ways, beside the figures measured for SCI-HE on a machine of this class.
//!
//! `cargo bench -p sci-he --bench slots`; with `SCI_HE_RESNET50=all` also all convolutions and the fully
//! connected layer of ResNet50, each distinct shape run once and every output checked, and their sums.

mod measured;

use criterion::Criterion;
use measured::{BOUND, Case, SHAPES, Subject};
use sci_core::channel::Stream;
use sci_core::{Cost, Error, Field, Prg, Result, Shares};
use sci_he::params::Privacy;
use sci_he::simd::{ClientKeys, Layer, ServerKeys, Setup, Weights, run_client, run_server};
use std::io::Write;

/// The paper's prime of 37 bits.
const PRIME: u64 = 137_438_822_401;

/// SCI-HE's CPU seconds and MiB.
const REFERENCES: [(f64, f64); 6] =
    [(61.4, 406.0), (35.9, 16.0), (15.2, 28.0), (23.5, 4.0), (12.9, 6.5), (2.9, 0.5)];

struct Slots(Layer<Field>);

impl Subject for Slots {
    type Domain = Field;
    type Weights = Weights;
    type ServerKeys = ServerKeys<Field>;
    type ClientKeys = ClientKeys<Field>;

    fn domain(&self) -> Field {
        self.0.context().params().domain()
    }

    fn summary(&self) -> String {
        let params = self.0.context().params();
        let [on_requests, on_sums] = self.0.rotations();
        format!(
            "N {}, q {:.1} bits and {:.1} with special primes, {} requests, {} responses, {} products, \
             rotations {on_requests} + {on_sums}, {} rotation keys",
            params.degree(),
            params.modulus_bits(),
            params.key_modulus_bits(),
            self.0.requests(),
            self.0.responses(),
            self.0.products(),
            Setup::new([&self.0]).rotation_keys(),
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

    fn send_keys(&self, stream: &mut Stream, prg: &mut Prg) -> Result<ClientKeys<Field>> {
        ClientKeys::send(stream, &Setup::new([&self.0]), prg)
    }

    fn receive_keys(&self, stream: &mut Stream) -> Result<ServerKeys<Field>> {
        ServerKeys::receive(stream, &Setup::new([&self.0]))
    }

    fn server(
        &self,
        stream: &mut Stream,
        keys: &ServerKeys<Field>,
        weights: &Weights,
        share: &Shares<Field>,
        prg: &mut Prg,
    ) -> Result<Shares<Field>> {
        run_server(stream, &self.0, keys, weights, share, prg)
    }

    fn client(
        &self,
        stream: &mut Stream,
        keys: &ClientKeys<Field>,
        share: &Shares<Field>,
        prg: &mut Prg,
    ) -> Result<Shares<Field>> {
        run_client(stream, &self.0, keys, share, prg)
    }
}

fn case(name: String, shape: [usize; 6], reference: Option<(f64, f64)>) -> Result<Case<Slots>> {
    let geometry = measured::geometry(shape)?;
    let layer = Layer::conv(&geometry, Field::new(PRIME)?, BOUND, Privacy::default())?;
    Ok(Case { name, geometry, subject: Slots(layer), target: None, reference })
}

/// The distinct shapes of ResNet50 with how often each occurs.
fn resnet50() -> Vec<(usize, [usize; 6])> {
    let mut shapes: Vec<(usize, [usize; 6])> = Vec::new();
    let mut add = |shape| match shapes.iter_mut().find(|(_, known)| *known == shape) {
        Some((count, _)) => *count += 1,
        None => shapes.push((1, shape)),
    };
    add([3, 64, 230, 7, 2, 0]);
    let mut input = 64;
    for (stage, (width, blocks)) in [(64, 3), (128, 4), (256, 6), (512, 3)].into_iter().enumerate()
    {
        let size = 56 >> stage;
        for block in 0..blocks {
            // The first block of a stage but the first halves the image.
            let stride = if block == 0 && stage > 0 { 2 } else { 1 };
            add([input, width, size * stride, 1, 1, 0]);
            add([width, width, size * stride, 3, stride, 1]);
            add([width, 4 * width, size, 1, 1, 0]);
            if block == 0 {
                add([input, 4 * width, size * stride, 1, stride, 0]);
            }
            input = 4 * width;
        }
    }
    add([2048, 1001, 1, 1, 1, 0]);
    shapes
}

/// Every shape of ResNet50, and the sums over the network.
fn network() -> Result<()> {
    let mut layers = Vec::new();
    let (mut seconds, mut bytes, mut coefficients) = (0.0, 0, 0);
    for (count, shape) in resnet50() {
        let [inputs, outputs, size, kernel, stride, _] = shape;
        let name = format!("{size}x{size}x{inputs}, {kernel}x{kernel}, {outputs}, stride {stride}");
        let case = case(name, shape, None)?;
        let values = measured::random_weights(&case)?;
        let weights = case.subject.on_the_fly(values.clone())?;
        let times = measured::measure(&case, &weights, &values, 1, 1)?;
        let [server, client] = times.map(|time| time.as_secs_f64());
        let layer = case.subject.0;
        print(format!(
            "{count} times {}: {server:.3} + {client:.3} s, {:.2} MiB",
            case.name,
            mib(layer.cost().bytes())
        ))?;
        seconds += count as f64 * (server + client);
        bytes += count as u64 * layer.cost().bytes();
        coefficients += count * layer.response_coefficients();
        layers.push(layer);
    }
    let setup = Setup::new(&layers);
    print(format!(
        "{seconds:.1} CPU s on the fly, {:.1} MiB, 2^{:.2} response coefficients; {} rotation keys of {:.1} MiB",
        mib(bytes),
        (coefficients as f64).log2(),
        setup.rotation_keys(),
        mib(setup.cost().bytes()),
    ))
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn print(line: String) -> Result<()> {
    writeln!(std::io::stdout(), "{line}").map_err(|error| Error::link("standard output", error))
}

fn run(criterion: &mut Criterion) -> Result<()> {
    let mut rows = Vec::new();
    for ((name, shape), reference) in SHAPES.into_iter().zip(REFERENCES) {
        let case = case(name.to_string(), shape, Some(reference))?;
        rows.push(measured::bench(criterion, "slots", &case)?);
    }
    measured::print("SCI-HE", &rows)?;
    if std::env::var("SCI_HE_RESNET50").is_ok_and(|value| value == "all") {
        network()?;
    }
    Ok(())
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    if let Err(error) = run(&mut criterion) {
        panic!("{error}");
    }
    criterion.final_summary();
}
