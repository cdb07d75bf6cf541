//! What the benches of layers share: shapes, one measurement, one table.
//!
//! Measured is the CPU time of the two threads of a run over an in-memory link, from the shares of the
//! input to those of the output: encryption, the server's products, decryption. Keys are made
//! before the clock starts. Criterion's measurements check one output in a thousand.

use criterion::{Criterion, SamplingMode};
use rustix::time::{ClockId, clock_gettime};
use sci_core::channel::Stream;
use sci_core::geometry::{ConvGeometry, ConvSpec, Window};
use sci_core::testing::run_pair;
use sci_core::{Cost, Domain, Error, Prg, Result, Shares};
use std::io::Write;
use std::time::Duration;

/// 12-bit weights.
pub const BOUND: u64 = 1 << 11;

/// Prepared weights beyond this many bytes are not measured.
const MEMORY: usize = 2 << 30;

/// One output in so many is checked under criterion.
const STEP: usize = 1009;

/// A layer of either packing.
pub trait Subject: Sync {
    type Domain: Domain;
    type Weights: Sync;
    type ServerKeys;
    type ClientKeys;

    fn domain(&self) -> Self::Domain;
    /// What was planned, in words.
    fn summary(&self) -> String;
    fn cost(&self) -> Cost;
    /// The cost of the keys for this layer alone.
    fn keys_cost(&self) -> Cost;
    fn prepared_bytes(&self) -> usize;
    fn on_the_fly(&self, values: Vec<i32>) -> Result<Self::Weights>;
    fn prepare(&self, values: Vec<i32>) -> Result<Self::Weights>;
    fn send_keys(&self, stream: &mut Stream, prg: &mut Prg) -> Result<Self::ClientKeys>;
    fn receive_keys(&self, stream: &mut Stream) -> Result<Self::ServerKeys>;
    fn server(
        &self,
        stream: &mut Stream,
        keys: &Self::ServerKeys,
        weights: &Self::Weights,
        share: &Shares<Self::Domain>,
        prg: &mut Prg,
    ) -> Result<Shares<Self::Domain>>;
    fn client(
        &self,
        stream: &mut Stream,
        keys: &Self::ClientKeys,
        share: &Shares<Self::Domain>,
        prg: &mut Prg,
    ) -> Result<Shares<Self::Domain>>;
}

/// A layer to be measured, with what others report of it: CPU seconds and MiB.
pub struct Case<S> {
    pub name: String,
    pub geometry: ConvGeometry,
    pub subject: S,
    /// The MiB to reach, if there is a target.
    pub target: Option<f64>,
    pub reference: Option<(f64, f64)>,
}

/// `[in_channels, out_channels, size, kernel, stride, pad]` as a convolution.
pub fn geometry(
    [in_channels, out_channels, size, kernel, stride, pad]: [usize; 6],
) -> Result<ConvGeometry> {
    let window = Window::new([1, kernel, kernel])
        .with_stride([1, stride, stride])
        .with_pads([0, pad, pad], [0, pad, pad]);
    let input = [1, size, size];
    ConvGeometry::new(ConvSpec { batch: 1, in_channels, out_channels, groups: 1, input, window })
}

/// The six layers of ResNet50 that figures are published for; the last is the fully connected one.
pub const SHAPES: [(&str, [usize; 6]); 6] = [
    ("230x230x3, 7x7, 64, stride 2", [3, 64, 230, 7, 2, 0]),
    ("56x56x64, 3x3, 64, pad 1", [64, 64, 56, 3, 1, 1]),
    ("56x56x64, 1x1, 256", [64, 256, 56, 1, 1, 0]),
    ("14x14x256, 3x3, 256, pad 1", [256, 256, 14, 3, 1, 1]),
    ("7x7x2048, 1x1, 512", [2048, 512, 7, 1, 1, 0]),
    ("FC 2048 to 1001", [2048, 1001, 1, 1, 1, 0]),
];

/// CPU time of this thread, whatever else the machine does.
fn cpu_time() -> Result<Duration> {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    let (seconds, nanoseconds) = (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec));
    match (seconds, nanoseconds) {
        (Ok(seconds), Ok(nanoseconds)) => Ok(Duration::new(seconds, nanoseconds)),
        _ => Err(Error::misuse("a clock below zero")),
    }
}

/// CPU time of `runs` runs: the server's and the client's. One output in `step` is checked.
pub fn measure<S: Subject>(
    case: &Case<S>,
    weights: &S::Weights,
    values: &[i32],
    runs: u64,
    step: usize,
) -> Result<[Duration; 2]> {
    let (subject, domain) = (&case.subject, case.subject.domain());
    let mut prg = Prg::from_os()?;
    let mut draw = || {
        let mut share = vec![0; case.geometry.input_len()];
        domain.sample_into(&mut prg, &mut share);
        Shares::new(domain, share)
    };
    let shares = [draw()?, draw()?];
    let (server, client) = run_pair(
        |mut session| {
            let (stream, mut prg) = (session.stream(), Prg::from_os()?);
            let keys = subject.receive_keys(stream)?;
            repeat(runs, || subject.server(stream, &keys, weights, &shares[0], &mut prg))
        },
        |mut session| {
            let (stream, mut prg) = (session.stream(), Prg::from_os()?);
            let keys = subject.send_keys(stream, &mut prg)?;
            repeat(runs, || subject.client(stream, &keys, &shares[1], &mut prg))
        },
    );
    let ((server_time, server), (client_time, client)) = (server?, client?);
    let sum = |a: &[u64], b: &[u64]| a.iter().zip(b).map(|(&a, &b)| domain.add(a, b)).collect();
    let x: Vec<u64> = sum(shares[0].values(), shares[1].values());
    check(case, values, &x, &sum(server.values(), client.values()), step)?;
    Ok([server_time, client_time])
}

/// The time of all runs, and what the last returned.
fn repeat<T>(runs: u64, mut run: impl FnMut() -> Result<T>) -> Result<(Duration, T)> {
    let start = cpu_time()?;
    for _ in 1..runs {
        run()?;
    }
    let last = run()?;
    Ok((cpu_time()? - start, last))
}

/// One output in `step` against the definition.
fn check<S: Subject>(
    case: &Case<S>,
    values: &[i32],
    x: &[u64],
    output: &[u64],
    step: usize,
) -> Result<()> {
    let (geometry, domain) = (&case.geometry, case.subject.domain());
    let (patch, positions) = (geometry.patch_len(), geometry.positions());
    let mut column = vec![0; patch];
    for position in 0..positions {
        let places = (position..output.len()).step_by(positions);
        let mut wanted = places.filter(|at| at.is_multiple_of(step)).peekable();
        if wanted.peek().is_some() {
            geometry.im2col(x, 0, position..position + 1, 0, &mut column)?;
        }
        for at in wanted {
            let kernel = &values[at / positions * patch..][..patch];
            let expected = column.iter().zip(kernel).fold(0, |sum, (&x, &w)| {
                domain.add(sum, domain.mul(x, domain.from_signed(w.into())))
            });
            if output[at] != expected {
                return Err(Error::misuse(format!("output {at} is wrong")));
            }
        }
    }
    Ok(())
}

/// One line of the table.
pub struct Row {
    name: String,
    summary: String,
    cost: Cost,
    keys: Cost,
    target: Option<f64>,
    reference: Option<(f64, f64)>,
    /// Of the server and the client, with prepared weights and with weights transformed on the fly;
    /// nothing where criterion was told to leave it out.
    prepared: Option<[f64; 2]>,
    on_the_fly: Option<[f64; 2]>,
}

impl Row {
    fn new<S: Subject>(case: &Case<S>) -> Self {
        let subject = &case.subject;
        Self {
            name: case.name.clone(),
            summary: subject.summary(),
            cost: subject.cost(),
            keys: subject.keys_cost(),
            target: case.target,
            reference: case.reference,
            prepared: None,
            on_the_fly: None,
        }
    }
}

/// Random weights up to the bound.
pub fn random_weights<S>(case: &Case<S>) -> Result<Vec<i32>> {
    let mut prg = Prg::from_os()?;
    let mut draw = || (prg.next_u64() % (2 * BOUND + 1)) as i32 - BOUND as i32;
    Ok((0..case.geometry.weight_len()).map(|_| draw()).collect())
}

/// Lets criterion measure a layer both ways, and keeps the least times of all samples.
pub fn bench<S: Subject>(criterion: &mut Criterion, group: &str, case: &Case<S>) -> Result<Row> {
    let values = random_weights(case)?;
    let subject = &case.subject;
    let mut group = criterion.benchmark_group(format!("{group}/{}", case.name));
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    group.warm_up_time(Duration::from_millis(1)).measurement_time(Duration::from_millis(10));
    let mut least = |kind, weights: &dyn Fn() -> Result<S::Weights>| -> Result<Option<[f64; 2]>> {
        let mut made = None;
        let mut result: Result<Option<[f64; 2]>> = Ok(None);
        group.bench_function(kind, |bencher| {
            bencher.iter_custom(|runs| {
                let measured = made.take().map_or_else(weights, Ok).and_then(|weights| {
                    Ok((measure(case, &weights, &values, runs, STEP)?, weights))
                });
                match measured {
                    Ok((times, weights)) => {
                        made = Some(weights);
                        let now = times.map(|time| time.as_secs_f64() / runs as f64);
                        if let Ok(least) = &mut result {
                            let better = |least: &[f64; 2]| now[0] + now[1] < least[0] + least[1];
                            *least = Some(least.filter(|least| !better(least)).unwrap_or(now));
                        }
                        times[0] + times[1]
                    }
                    Err(error) => {
                        result = Err(error);
                        // Criterion wants a time above zero.
                        Duration::from_secs(1)
                    }
                }
            });
        });
        result
    };
    let on_the_fly = least("on the fly", &|| subject.on_the_fly(values.clone()))?;
    let prepared = match subject.prepared_bytes() <= MEMORY {
        true => least("prepared", &|| subject.prepare(values.clone()))?,
        false => None,
    };
    group.finish();
    Ok(Row { prepared, on_the_fly, ..Row::new(case) })
}

/// Prints the rows that were measured, `other` being whose figures stand beside ours.
pub fn print(other: &str, rows: &[Row]) -> Result<()> {
    let mut out = std::io::stdout().lock();
    let mut line = |text: String| {
        writeln!(out, "{text}").map_err(|error| Error::link("standard output", error))
    };
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let measured = rows.iter().filter(|row| row.prepared.or(row.on_the_fly).is_some());
    for row in measured.clone() {
        line(format!("{}: {}, keys {:.2} MiB", row.name, row.summary, mib(row.keys.bytes())))?;
    }
    for (number, row) in measured.enumerate() {
        if number == 0 {
            line(format!(
                "\nCPU s, server + client, least of all samples:\n{:<30}{:>18}{:>18}{:>20}{:>8}{:>20}{:>14}",
                "layer",
                "prepared",
                "on the fly",
                "MiB (up, down)",
                "target",
                other,
                "times faster"
            ))?;
        }
        let both = |times: &Option<[f64; 2]>| match times {
            Some([server, client]) => format!("{server:.3} + {client:.3}"),
            None => "-".to_string(),
        };
        let cost = [row.cost.bytes(), row.cost.client_to_server, row.cost.server_to_client];
        let [all, up, down] = cost.map(mib);
        let times = |times: &Option<[f64; 2]>| match (times, row.reference) {
            (Some([server, client]), Some((seconds, _))) => {
                format!("{:.1}", seconds / (server + client))
            }
            _ => "-".to_string(),
        };
        line(format!(
            "{:<30}{:>18}{:>18}{:>20}{:>8}{:>20}{:>14}",
            row.name,
            both(&row.prepared),
            both(&row.on_the_fly),
            format!("{all:.2} ({up:.2}, {down:.2})"),
            row.target.map_or("-".to_string(), |target| format!("{target}")),
            row.reference.map_or("-".to_string(), |(s, mib)| format!("{s} s, {mib} MiB")),
            format!("{} / {}", times(&row.prepared), times(&row.on_the_fly)),
        ))?;
    }
    Ok(())
}
