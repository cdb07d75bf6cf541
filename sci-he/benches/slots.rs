//! Six layers of ResNet50 in batched slots over the paper's 37-bit prime, with 12-bit weights and
//! 2^-40 for a whole run: CPU seconds of the server and of the client, one thread each, and MiB both
//! ways, beside the figures measured for SCI-HE on a machine of this class.
//!
//! `cargo bench -p sci-he --bench slots`, with `-- resnet50` for all convolutions and the fully
//! connected layer of ResNet50 instead, each distinct shape run once and every output checked.

use sci_core::geometry::{ConvGeometry, ConvSpec, LinearGeometry, Window};
use sci_core::testing::run_pair;
use sci_core::{Domain, Field, Prg, Result, Shares};
use sci_he::params::Privacy;
use sci_he::simd::{ClientKeys, Layer, ServerKeys, Setup, Weights, run_client, run_server};
use std::io::Write;
use std::time::Instant;

/// The paper's prime of 37 bits.
const PRIME: u64 = 137_438_822_401;
const BOUND: u64 = 1 << 11;

/// Prepared weights beyond this many bytes are not measured.
const MEMORY: usize = 2 << 30;

/// Name, shape, SCI-HE's CPU seconds and MiB.
struct Row {
    name: &'static str,
    geometry: ConvGeometry,
    layer: Layer<Field>,
    seconds: f64,
    mebibytes: f64,
}

fn geometry(
    [in_channels, out_channels, size, kernel, stride, pad]: [usize; 6],
) -> Result<ConvGeometry> {
    let window = Window::new([1, kernel, kernel])
        .with_stride([1, stride, stride])
        .with_pads([0, pad, pad], [0, pad, pad]);
    let input = [1, size, size];
    ConvGeometry::new(ConvSpec { batch: 1, in_channels, out_channels, groups: 1, input, window })
}

fn rows() -> Result<Vec<Row>> {
    let (field, privacy) = (Field::new(PRIME)?, Privacy::default());
    let conv = |name, shape, seconds, mebibytes| {
        let geometry = geometry(shape)?;
        let layer = Layer::conv(&geometry, field, BOUND, privacy)?;
        Ok(Row { name, geometry, layer, seconds, mebibytes })
    };
    let fc = LinearGeometry::new(1, 2048, 1001)?;
    Ok(vec![
        conv("230x230x3, 7x7, 64, stride 2", [3, 64, 230, 7, 2, 0], 61.4, 406.0)?,
        conv("56x56x64, 3x3, 64, pad 1", [64, 64, 56, 3, 1, 1], 35.9, 16.0)?,
        conv("56x56x64, 1x1, 256", [64, 256, 56, 1, 1, 0], 15.2, 28.0)?,
        conv("14x14x256, 3x3, 256, pad 1", [256, 256, 14, 3, 1, 1], 23.5, 4.0)?,
        conv("7x7x2048, 1x1, 512", [2048, 512, 7, 1, 1, 0], 12.9, 6.5)?,
        Row {
            name: "FC 2048 to 1001",
            geometry: geometry([2048, 1001, 1, 1, 1, 0])?,
            layer: Layer::fully_connected(&fc, field, BOUND, privacy)?,
            seconds: 2.9,
            mebibytes: 0.5,
        },
    ])
}

/// The distinct shapes of ResNet50 with how often each occurs.
fn resnet50() -> Result<Vec<(usize, ConvGeometry, Layer<Field>)>> {
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
    let (field, privacy) = (Field::new(PRIME)?, Privacy::default());
    let layers = shapes.into_iter().map(|(count, shape)| {
        let geometry = geometry(shape)?;
        Ok((count, geometry, Layer::conv(&geometry, field, BOUND, privacy)?))
    });
    let mut layers = layers.collect::<Result<Vec<_>>>()?;
    let fc = LinearGeometry::new(1, 2048, 1001)?;
    let layer = Layer::fully_connected(&fc, field, BOUND, privacy)?;
    layers.push((1, geometry([2048, 1001, 1, 1, 1, 0])?, layer));
    Ok(layers)
}

/// Sums over ResNet50.
fn network(mut print: impl FnMut(String) -> Result<()>) -> Result<()> {
    let layers = resnet50()?;
    let (mut seconds, mut bytes, mut coefficients) = (0.0, 0, 0);
    for (count, geometry, layer) in &layers {
        let mut prg = Prg::from_os()?;
        let values = random_weights(layer, &mut prg);
        let weights = [Weights::on_the_fly(layer, values.clone())?];
        let (_, times) = measure(geometry, layer, &values, &weights, 1)?;
        let [server, client] = times[0];
        print(format!(
            "{count} times {:?} to {}, kernel {:?}: server {server:.3} s, client {client:.3} s, {:.2} MiB, q {:.0} bits, \
             {} products, {} rotation keys",
            geometry.input(),
            geometry.out_channels(),
            geometry.window().kernel,
            mib(layer.cost().bytes()),
            layer.context().params().modulus_bits(),
            layer.products(),
            Setup::new([layer]).rotation_keys(),
        ))?;
        seconds += *count as f64 * (server + client);
        bytes += *count as u64 * layer.cost().bytes();
        coefficients += count * layer.response_coefficients();
    }
    let setup = Setup::new(layers.iter().map(|(.., layer)| layer));
    print(format!(
        "{seconds:.1} CPU s, {:.1} MiB, 2^{:.2} response coefficients; {} rotation keys of {:.1} MiB together",
        mib(bytes),
        (coefficients as f64).log2(),
        setup.rotation_keys(),
        mib(setup.cost().bytes()),
    ))
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn random_weights(layer: &Layer<Field>, prg: &mut Prg) -> Vec<i32> {
    let mut draw = || (prg.next_u64() % (2 * BOUND + 1)) as i32 - BOUND as i32;
    (0..layer.weight_len()).map(|_| draw()).collect()
}

/// CPU seconds of this thread so far.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = stat.split_whitespace().next().and_then(|word| word.parse::<f64>().ok());
    nanoseconds.unwrap_or(0.0) / 1e9
}

/// CPU seconds of a party, and what it returned.
fn timed<T>(run: impl FnOnce() -> Result<T>) -> Result<(f64, T)> {
    let (start, wall) = (cpu(), Instant::now());
    let value = run()?;
    let spent = cpu() - start;
    // Where the system has no such figure: the time on the clock.
    Ok((if spent > 0.0 { spent } else { wall.elapsed().as_secs_f64() }, value))
}

/// Seconds of both parties for the keys and for each kind of weights; one output in `step` is checked.
fn measure(
    geometry: &ConvGeometry,
    layer: &Layer<Field>,
    values: &[i32],
    kinds: &[Weights],
    step: usize,
) -> Result<(f64, Vec<[f64; 2]>)> {
    let field = Field::new(PRIME)?;
    let setup = Setup::new([layer]);
    let mut prg = Prg::from_os()?;
    let mut shares = [vec![0; layer.input_len()], vec![0; layer.input_len()]];
    shares.iter_mut().for_each(|share| field.sample_into(&mut prg, share));
    let (server, client) = run_pair(
        |mut session| {
            let mut prg = Prg::from_os()?;
            let stream = session.stream();
            let (keys_time, keys) = timed(|| ServerKeys::receive(stream, &setup))?;
            let share = Shares::new(field, shares[0].clone())?;
            let runs = kinds.iter().map(|weights| {
                timed(|| run_server(stream, layer, &keys, weights, &share, &mut prg))
            });
            Ok::<_, sci_core::Error>((keys_time, runs.collect::<Result<Vec<_>>>()?))
        },
        |mut session| {
            let mut prg = Prg::from_os()?;
            let stream = session.stream();
            let (keys_time, keys) = timed(|| ClientKeys::send(stream, &setup, &mut prg))?;
            let share = Shares::new(field, shares[1].clone())?;
            let runs =
                kinds.iter().map(|_| timed(|| run_client(stream, layer, &keys, &share, &mut prg)));
            Ok::<_, sci_core::Error>((keys_time, runs.collect::<Result<Vec<_>>>()?))
        },
    );
    let ((server_keys, servers), (client_keys, clients)) = (server?, client?);
    let [mut x, other] = shares;
    field.add_assign(&mut x, &other);
    let (patch, positions) = (geometry.patch_len(), geometry.positions());
    let mut column = vec![0; patch];
    let mut times = Vec::new();
    for ((server_time, server), (client_time, client)) in servers.into_iter().zip(clients) {
        times.push([server_time, client_time]);
        for position in 0..positions {
            geometry.im2col(&x, 0, position..position + 1, 0, &mut column)?;
            for filter in 0..geometry.out_channels() {
                let at = filter * positions + position;
                if !at.is_multiple_of(step) {
                    continue;
                }
                let kernel = &values[filter * patch..][..patch];
                let expected = column.iter().zip(kernel).fold(0, |sum, (&x, &w)| {
                    field.add(sum, field.mul(x, field.from_signed(w.into())))
                });
                if field.add(server.values()[at], client.values()[at]) != expected {
                    return Err(sci_core::Error::misuse(format!("output {at} is wrong")));
                }
            }
        }
    }
    Ok((server_keys + client_keys, times))
}

fn run() -> Result<()> {
    let mut out = std::io::stdout();
    let mut print = |line: String| {
        writeln!(out, "{line}").map_err(|e| sci_core::Error::link("standard output", e))
    };
    if std::env::args().any(|arg| arg == "resnet50") {
        return network(print);
    }
    let planning = Instant::now();
    let rows = rows()?;
    print(format!("planned in {:.2} s", planning.elapsed().as_secs_f64()))?;
    for row in &rows {
        let (layer, params) = (&row.layer, row.layer.context().params());
        let mut prg = Prg::from_os()?;
        let values = random_weights(layer, &mut prg);
        let (cost, setup) = (layer.cost(), Setup::new([layer]));
        let [on_requests, on_sums] = layer.rotations();
        print(format!(
            "{}: N {}, q {:.1} bits and {:.1} with special primes, {} requests, {} responses, {} products, \
             rotations {on_requests} + {on_sums}, {} rotation keys of {:.1} MiB together",
            row.name,
            params.degree(),
            params.modulus_bits(),
            params.key_modulus_bits(),
            layer.requests(),
            layer.responses(),
            layer.products(),
            setup.rotation_keys(),
            mib(setup.cost().bytes()),
        ))?;
        print(format!(
            "  {:.2} MiB ({:.2} up, {:.2} down), SCI-HE {}",
            mib(cost.bytes()),
            mib(cost.client_to_server),
            mib(cost.server_to_client),
            row.mebibytes,
        ))?;
        let mut kinds = vec![Weights::on_the_fly(layer, values.clone())?];
        let mut names = vec!["on the fly"];
        if Weights::prepared_bytes(layer) <= MEMORY {
            let start = Instant::now();
            kinds.push(Weights::prepare(layer, values.clone())?);
            names.push("prepared");
            print(format!(
                "  weights prepared in {:.2} s, {:.0} MiB",
                start.elapsed().as_secs_f64(),
                mib(Weights::prepared_bytes(layer) as u64)
            ))?;
        }
        let (keys, times) = measure(&row.geometry, layer, &values, &kinds, 1009)?;
        print(format!("  keys made and received in {keys:.2} s"))?;
        for (name, [server, client]) in names.iter().zip(times) {
            print(format!(
                "  {name}: server {server:.3} s, client {client:.3} s, SCI-HE {} s: {:.1} times",
                row.seconds,
                row.seconds / (server + client)
            ))?;
        }
    }
    let setup = Setup::new(rows.iter().map(|row| &row.layer));
    print(format!(
        "keys of all six layers: {} rotation keys, {:.1} MiB, SCI-HE 231",
        setup.rotation_keys(),
        mib(setup.cost().bytes())
    ))
}

fn main() {
    if let Err(error) = run() {
        panic!("{error}");
    }
}
