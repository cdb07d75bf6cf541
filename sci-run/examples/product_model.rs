//! How well the planner's model agrees with measurement for products: convolutions of several kinds by OT and by
//! lattice encryption, and the smallest product there is for what a round takes. Both parties in one process over
//! TCP, one computing thread each.
//!
//! `cargo run --release -p sci-run --example product_model [-- PART OF A NAME [LINK]]`

use sci_core::channel::shaped::LinkShape;
use sci_core::channel::tcp;
use sci_core::geometry::{ConvGeometry, ConvSpec, Window};
use sci_core::testing::patient;
use sci_core::{Block, Domain, Party, Prg, Result, Ring, Shares};
use sci_he::params::Privacy;
use sci_ot::linear::{Matrix, convolution, convolution_product};
use sci_ot::peer::Settings;
use sci_ot::testing::run_peers_over;
use sci_ot::{OtKind, Peer};
use sci_run::linear::packing::{Layer, Packing, Setup, Weights, run_client, run_server};
use sci_run::planner::Rates;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// User and system time of this process, from /proc (Linux), in clock ticks of 10 ms.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |i: usize| fields.get(i).and_then(|t| t.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / 100.0
}

/// CPU of both parties and wall-clock seconds of one run of `part`, after `warm` runs that do not count.
fn timed<S: Send>(
    settings: Settings,
    link: LinkShape,
    [warm, runs]: [u32; 2],
    prepare: impl Fn(Party, &mut Peer) -> Result<S> + Sync,
    part: impl Fn(Party, &mut Peer, &mut S) -> Result<()> + Sync,
) -> Result<[f64; 2]> {
    let listener = tcp::listen("127.0.0.1:0")?;
    let address = listener.local_addr().to_string();
    let start = Mutex::new((0.0, Instant::now()));
    let both = |party: Party, peer: &mut Peer| {
        let mut state = prepare(party, peer)?;
        for run in 0..warm + runs {
            if run == warm && party == Party::Server {
                let now = (cpu_seconds(), Instant::now());
                *start.lock().unwrap_or_else(PoisonError::into_inner) = now;
            }
            part(party, peer, &mut state)?;
        }
        Ok(())
    };
    let deadline = Duration::from_secs(10);
    let (server, client) = std::thread::scope(|scope| {
        let client = scope.spawn(|| tcp::connect(&address, deadline));
        let server = listener.accept(Some(deadline));
        (server, client.join())
    });
    let client = client.map_err(|_| sci_core::Error::misuse("a panic"))?;
    run_peers_over(
        (link.apply(server?)?, link.apply(client?)?),
        patient(),
        settings,
        |peer| both(Party::Server, peer),
        |peer| both(Party::Client, peer),
    )?;
    let (cpu, wall) = *start.lock().unwrap_or_else(PoisonError::into_inner);
    let runs = f64::from(runs);
    Ok([(cpu_seconds() - cpu) / runs, wall.elapsed().as_secs_f64() / runs])
}

/// A convolution to be measured.
struct Case {
    name: &'static str,
    spec: ConvSpec,
}

fn case(
    name: &'static str,
    [in_channels, out_channels, groups]: [usize; 3],
    input: [usize; 3],
    window: Window,
) -> Case {
    Case { name, spec: ConvSpec { batch: 1, in_channels, out_channels, groups, input, window } }
}

fn cases() -> Vec<Case> {
    let square = |side, stride| {
        let window = Window::new([1, 3, 3]).with_stride([1, stride, stride]);
        ([1, side, side], window.with_pads([0, 1, 1], [0, 1, 1]))
    };
    let depth_wise = |name, channels, (input, window)| case(name, [channels; 3], input, window);
    let cube = |name, channels: [usize; 2], side, dilation| {
        let window = Window::new([3; 3]).with_dilation([dilation; 3]);
        let window = window.with_pads([dilation; 3], [dilation; 3]);
        case(name, [channels[0], channels[1], 1], [side; 3], window)
    };
    let point = |name, channels: [usize; 2], side| {
        case(name, [channels[0], channels[1], 1], [1, side, side], Window::new([1; 3]))
    };
    vec![
        depth_wise("depth-wise 32 x 112^2", 32, square(112, 1)),
        depth_wise("depth-wise 96 x 112^2 / 2", 96, square(112, 2)),
        depth_wise("depth-wise 144 x 56^2", 144, square(56, 1)),
        depth_wise("depth-wise 192 x 28^2", 192, square(28, 1)),
        depth_wise("depth-wise 576 x 14^2", 576, square(14, 1)),
        depth_wise("depth-wise 960 x 7^2", 960, square(7, 1)),
        point("1x1 24 -> 144 x 56^2", [24, 144], 56),
        point("1x1 960 -> 160 x 7^2", [960, 160], 7),
        cube("volume 1 -> 5 x 48^3", [1, 5], 48, 1),
        cube("volume 5 -> 5 x 48^3, dilated by 4", [5, 5], 48, 4),
        cube("volume 11 -> 11 x 24^3", [11, 11], 24, 1),
    ]
}

/// Factors of so many bits.
fn weights(geometry: &ConvGeometry, bits: u32) -> Vec<i64> {
    let mut prg = Prg::new(Block([1, 2]));
    (0..geometry.weight_len()).map(|_| (prg.next_u64() as i64) >> (64 - bits)).collect()
}

fn by_ot(
    settings: Settings,
    link: LinkShape,
    ring: Ring,
    geometry: &ConvGeometry,
    bits: u32,
    inputs: &[u64],
) -> Result<[f64; 2]> {
    let way = convolution_product(ring, geometry, bits).way(settings);
    let weights = weights(geometry, bits);
    timed(
        settings,
        link,
        [1, 3],
        |_, _| Ok(()),
        |party, peer, ()| {
            let tensor = match party {
                Party::Server => Matrix::Weights(&weights),
                Party::Client => Matrix::Inputs(inputs),
            };
            convolution(peer, ring, geometry, bits, tensor, way).map(drop)
        },
    )
}

fn by_lattice(
    link: LinkShape,
    layer: &Layer<Ring>,
    geometry: &ConvGeometry,
    bits: u32,
    x: &Shares<Ring>,
) -> Result<[f64; 2]> {
    let fail = |e: athos::Error| sci_core::Error::misuse(e.to_string());
    let setup = Setup::new(std::iter::once(layer)).map_err(fail)?;
    let setup = setup.ok_or_else(|| sci_core::Error::misuse("no layer"))?;
    let factors = weights(geometry, bits).iter().map(|&w| w as i32).collect();
    let weights = Weights::within(layer, factors, u64::MAX).map_err(fail)?;
    timed(
        Settings::over(OtKind::Silent),
        link,
        [1, 3],
        |party, peer| {
            let mut prg = Prg::from_os()?;
            let keys = match party {
                Party::Server => (Some(setup.receive(peer.main(), 1).map_err(fail)?), None),
                Party::Client => (None, Some(setup.send(peer.main(), 1, &mut prg).map_err(fail)?)),
            };
            Ok((keys, prg))
        },
        |_, peer, (keys, prg)| {
            let stream = peer.main();
            match keys {
                (Some(keys), _) => run_server(stream, layer, keys, &weights, x, prg),
                (_, Some(keys)) => run_client(stream, layer, keys, x, prg),
                _ => return Err(sci_core::Error::misuse("no keys")),
            }
            .map(drop)
            .map_err(fail)
        },
    )
}

fn line(name: &str, engine: &str, megabytes: f64, measured: [f64; 2], model: [f64; 2]) {
    let ratios = [0, 1].map(|i| measured[i] / model[i]);
    eprintln!(
        "{name:34} {engine:9} {megabytes:8.2} {:9.4} {:9.4} {:6.2}   {:9.4} {:9.4} {:6.2}",
        measured[0], model[0], ratios[0], measured[1], model[1], ratios[1]
    );
}

fn main() -> Result<()> {
    let wanted = std::env::args().nth(1).unwrap_or_default();
    let link = std::env::args().nth(2);
    let link = link.map_or(Ok(LinkShape::LOOPBACK), |link| link.parse())?;
    let (ring, bits) = (Ring::new(37)?, 13);
    let rates = Rates::default();
    let silent = [17, 19].map(|k| Settings { silent_log_k: k, ..Settings::over(OtKind::Silent) });
    let (tiny, repeat) = (case("smallest", [1; 3], [1; 3], Window::new([1; 3])), 500);
    let geometry = ConvGeometry::new(tiny.spec)?;
    for settings in [silent[0], Settings::over(OtKind::Iknp)] {
        let [cpu, wall] = timed(
            settings,
            link,
            [repeat, 4 * repeat],
            |_, _| Ok(()),
            |party, peer, ()| {
                let tensor = match party {
                    Party::Server => Matrix::Weights(&[1]),
                    Party::Client => Matrix::Inputs(&[1]),
                };
                let way = convolution_product(ring, &geometry, 1).way(settings);
                convolution(peer, ring, &geometry, 1, tensor, way).map(drop)
            },
        )?;
        let ot = settings.ot.name();
        eprintln!("a round of {ot}: {:.1} us, {:.1} us of CPU", wall * 5e5, cpu * 5e5);
    }
    eprintln!(
        "{:34} {:9} {:>8} {:>9} {:>9} {:>6}   {:>9} {:>9} {:>6}",
        "product", "engine", "MB", "CPU s", "model", "ratio", "wall s", "model", "ratio"
    );
    for Case { name, spec } in cases().into_iter().filter(|case| case.name.contains(&wanted)) {
        let geometry = ConvGeometry::new(spec)?;
        let mut inputs = vec![0; geometry.input_len()];
        ring.sample_into(&mut Prg::new(Block([7, 1])), &mut inputs);
        for settings in [Settings::over(OtKind::Iknp)].into_iter().chain(silent) {
            let product = convolution_product(ring, &geometry, bits);
            let cost = product.cost(settings.ot, product.way(settings));
            let model =
                [rates.cpu_seconds(&cost, settings), rates.seconds(&cost, settings, link, 1)];
            let engine = match settings.ot {
                OtKind::Iknp => "iknp".into(),
                OtKind::Silent => format!("silent {}", settings.silent_log_k),
            };
            let measured = by_ot(settings, link, ring, &geometry, bits, &inputs)?;
            line(name, &engine, cost.bytes() as f64 / 1e6, measured, model);
        }
        let layer =
            Layer::conv(Packing::Coefficient, &geometry, ring, 1 << (bits - 1), Privacy::default());
        let layer = layer.map_err(|e| sci_core::Error::misuse(e.to_string()))?;
        let x = Shares::from_canonical(ring, inputs);
        let measured = by_lattice(link, &layer, &geometry, bits, &x)?;
        let model = [rates.lattice_seconds(&layer), rates.lattice_wall(&layer, link, 1)];
        line(name, "he", layer.cost().bytes() as f64 / 1e6, measured, model);
    }
    Ok(())
}
