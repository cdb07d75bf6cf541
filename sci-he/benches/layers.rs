//! Six layers of ResNet50 at l = 37 with 12-bit weights and 2^-40 for a whole run: CPU seconds of
//! the server and of the client, one thread each, with weights prepared and transformed on the fly,
//! and MiB both ways, beside the figures published with the reference layers.
//!
//! `cargo bench -p sci-he --bench layers`, with `-- coefficient` for 2^-40 a coefficient.

use sci_core::geometry::{ConvGeometry, ConvSpec, LinearGeometry, Window};
use sci_core::{Domain, Prg, Result, Ring};
use sci_he::coefficient::{Layer, Weights};
use sci_he::params::Privacy;
use sci_he::session::{ClientKeys, ServerKeys, Setup};
use std::io::Write;

const BITS: u32 = 37;
const BOUND: u64 = 1 << 11;

/// Prepared weights beyond this many bytes are not measured.
const MEMORY: usize = 2 << 30;

/// Name, layer, Cheetah's CPU seconds and MiB.
type Row = (&'static str, Layer<Ring>, f64, f64);

fn conv(
    [in_channels, out_channels, size, kernel, stride, pad]: [usize; 6],
    privacy: Privacy,
) -> Result<Layer<Ring>> {
    let window = Window::new([1, kernel, kernel])
        .with_stride([1, stride, stride])
        .with_pads([0, pad, pad], [0, pad, pad]);
    let input = [1, size, size];
    let spec = ConvSpec { batch: 1, in_channels, out_channels, groups: 1, input, window };
    Layer::conv(&ConvGeometry::new(spec)?, Ring::new(BITS)?, BOUND, privacy)
}

fn rows(privacy: Privacy) -> Result<Vec<Row>> {
    let fc = LinearGeometry::new(1, 2048, 1001)?;
    Ok(vec![
        ("230x230x3, 7x7, 64, stride 2", conv([3, 64, 230, 7, 2, 0], privacy)?, 3.26, 52.6),
        ("56x56x64, 3x3, 64, pad 1", conv([64, 64, 56, 3, 1, 1], privacy)?, 1.69, 6.9),
        ("56x56x64, 1x1, 256", conv([64, 256, 56, 1, 1, 0], privacy)?, 1.47, 16.2),
        ("14x14x256, 3x3, 256, pad 1", conv([256, 256, 14, 3, 1, 1], privacy)?, 1.59, 8.7),
        ("7x7x2048, 1x1, 512", conv([2048, 512, 7, 1, 1, 0], privacy)?, 4.62, 16.5),
        (
            "FC 2048 to 1001",
            Layer::fully_connected(&fc, Ring::new(BITS)?, BOUND, privacy)?,
            0.31,
            1.95,
        ),
    ])
}

/// Seconds that this thread has computed, whatever else the machine does (Linux's schedstat).
fn cpu_seconds() -> Result<f64> {
    let what = "the scheduler's statistics of this thread";
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")
        .map_err(|error| sci_core::Error::link(what, error))?;
    let nanoseconds = text.split(' ').next().and_then(|number| number.parse::<f64>().ok());
    nanoseconds.map(|n| n / 1e9).ok_or_else(|| sci_core::Error::misuse(what))
}

/// Seconds of the server and the client; the shares are checked for one output in a thousand.
fn measure(layer: &Layer<Ring>, weights: &Weights, values: &[i32]) -> Result<[f64; 2]> {
    let ring = Ring::new(BITS)?;
    let mut prg = Prg::from_os()?;
    let setup = Setup::new([layer])?;
    let (client_keys, messages) = ClientKeys::generate(&setup, &mut prg);
    let mut messages = messages.into_iter();
    let missing = || sci_core::Error::misuse("too few messages");
    let server_keys = ServerKeys::parse(&setup, |_, _| messages.next().ok_or_else(missing))?;
    let geometry = layer.layout().geometry();
    let mut shares = [vec![0; geometry.input_len()], vec![0; geometry.input_len()]];
    shares.iter_mut().for_each(|share| ring.sample_into(&mut prg, share));
    let collect = |into: &mut Vec<Vec<u8>>, message| {
        into.push(message);
        Ok(())
    };
    let start = cpu_seconds()?;
    let mut requests = Vec::new();
    layer.requests(&client_keys, &shares[1], &mut prg, |m| collect(&mut requests, m))?;
    let mut client = cpu_seconds()? - start;
    let start = cpu_seconds()?;
    let mut requests = requests.into_iter();
    let inbox =
        layer.intake(&server_keys, &shares[0], &mut prg, || requests.next().ok_or_else(missing))?;
    let mut responses = Vec::new();
    let mut output =
        layer.respond(&server_keys, weights, &inbox, &mut prg, |m| collect(&mut responses, m))?;
    let server = cpu_seconds()? - start;
    let start = cpu_seconds()?;
    let mut responses = responses.into_iter();
    let received = layer.open(&client_keys, |_| responses.next().ok_or_else(missing))?;
    client += cpu_seconds()? - start;
    ring.add_assign(&mut output, &received);
    let [mut x, other] = shares;
    ring.add_assign(&mut x, &other);
    let (patch, positions) = (geometry.patch_len(), geometry.positions());
    let mut column = vec![0; patch];
    for at in (0..output.len()).step_by(1009) {
        let (filter, position) = (at / positions, at % positions);
        geometry.im2col(&x, 0, position..position + 1, 0, &mut column)?;
        let kernel = &values[filter * patch..][..patch];
        let expected = column
            .iter()
            .zip(kernel)
            .fold(0, |sum, (&x, &w)| ring.add(sum, ring.mul(x, ring.from_signed(w.into()))));
        if output[at] != expected {
            return Err(sci_core::Error::misuse(format!("output {at} is wrong")));
        }
    }
    Ok([server, client])
}

fn run() -> Result<()> {
    let coefficient = std::env::args().any(|arg| arg == "coefficient");
    let privacy = if coefficient { Privacy::Coefficient } else { Privacy::default() };
    let mut out = std::io::stdout();
    let mut print = |line: String| {
        writeln!(out, "{line}").map_err(|e| sci_core::Error::link("standard output", e))
    };
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    for (name, layer, seconds, mebibytes) in rows(privacy)? {
        let (params, layout) = (layer.context().params(), layer.layout());
        let mut prg = Prg::from_os()?;
        let values: Vec<i32> = (0..layout.geometry().weight_len())
            .map(|_| (prg.next_u64() % (2 * BOUND + 1)) as i32 - BOUND as i32)
            .collect();
        let cost = layer.cost();
        print(format!(
            "{name}: N {}, q {:.1} bits, {} requests, {} leaves in {} responses filled to {:.0} %, {} products{}, \
             c0 {} and c1 {} bits, keys {:.2} MiB",
            params.degree(),
            params.modulus_bits(),
            layout.requests(),
            layout.leaves(),
            layout.responses(),
            100.0 * layout.fill(params.degree()),
            layout.products(),
            if layer.is_scalar() { " by single weights" } else { "" },
            params.c0_bits(),
            params.c1_bits(),
            mib(Setup::new([&layer])?.cost().bytes()),
        ))?;
        print(format!(
            "  {:.2} MiB ({:.2} up, {:.2} down), Cheetah {mebibytes}",
            mib(cost.bytes()),
            mib(cost.client_to_server),
            mib(cost.server_to_client),
        ))?;
        let needed = Weights::prepared_bytes(&layer);
        let fresh = Weights::on_the_fly(&layer, values.clone())?;
        let mut variants = vec![("on the fly", fresh)];
        if needed <= MEMORY {
            variants.push(("prepared", Weights::prepare(&layer, values.clone())?));
        } else {
            print(format!("  prepared weights would take {:.1} GiB", mib(needed as u64) / 1024.0))?;
        }
        for (kind, weights) in variants {
            let [server, client] = measure(&layer, &weights, &values)?;
            let ours = server + client;
            print(format!(
                "  {kind}: server {server:.3} s, client {client:.3} s, Cheetah {seconds} s: {:.1} times",
                seconds / ours
            ))?;
        }
    }
    Ok(())
}

fn main() {
    if let Err(error) = run() {
        panic!("{error}");
    }
}
