//! Which scale and bitwidth a network needs: the cheapest fixed-point setting whose accuracy is that
//! of the float network.
//!
//! For every scale the network is compiled once and every sample is run over the integers
//! ([`crate::cleartext::run_wide`]): that gives its prediction without any overflow and the least
//! bitwidth at which nothing overflows. The largest over all samples is the scale's bitwidth, exactly,
//! from one run. Below it the samples that overflow are known, and only they are run again.
//!
//! What counts is top-1 accuracy against labels, or agreement with the float network where there are
//! none (and, for outputs of many classes such as segmentations, voxel by voxel).

mod choose;
mod samples;

pub use choose::{Choice, choose};
pub use samples::{Sample, float_classes};

use crate::cleartext::{run, run_wide};
use crate::error::Error;
use crate::hlil::Graph;
use crate::program::{OutputForm, Program, PublicProgram};
use crate::{CompileOptions, Result, compile_graph, quantise};
use rayon::prelude::*;
use sci_core::AnyDomain;
use serde::Serialize;
use std::ops::RangeInclusive;

/// The widest ring there is.
const MAX_BITWIDTH: u32 = 64;

/// What an inference is predicted to cost.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Prediction {
    /// Which backend, over which link: a name for the user.
    pub plan: String,
    /// Wall-clock time.
    pub seconds: f64,
    /// Payload of both directions.
    pub bytes: u64,
}

/// Predicts what a program costs; implemented by whoever knows the protocols.
pub trait CostOracle: Sync {
    /// One prediction for every backend and link that can run the program; the first one, which
    /// every program has, decides which setting is the cheapest.
    ///
    /// # Errors
    /// For a program that cannot be run.
    fn predict(&self, program: &PublicProgram) -> Result<Vec<Prediction>>;
}

/// What to sweep.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// Scales to try.
    pub scales: RangeInclusive<u32>,
    /// How many bitwidths below the one without overflow are measured as well.
    pub below: u32,
    /// Bits above the least ones that the chosen setting gets: room for inputs larger than the samples.
    pub headroom: u32,
    /// How much accuracy may be lost, of 1.
    pub tolerance: f64,
    /// How to compile; its domain and scale are replaced.
    pub compile: CompileOptions,
}

impl Sweep {
    /// Scales 6 to 16, a tolerance of 0.1 %, one bit of headroom, two bitwidths below.
    pub fn new(compile: CompileOptions) -> Self {
        Self { scales: 6..=16, below: 2, headroom: 1, tolerance: 0.001, compile }
    }
}

/// One scale and bitwidth, measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Setting {
    /// Bits after the binary point.
    pub scale: u32,
    /// l.
    pub bitwidth: u32,
    /// Samples of which some value does not fit l bits.
    pub overflowing: usize,
    /// Of 1.
    pub accuracy: f64,
    /// Samples whose prediction is not that of the float network.
    pub changed: usize,
    /// Of settings without overflow; empty if there is no oracle.
    pub cost: Vec<Prediction>,
}

/// What came out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Tuning {
    /// How many samples there were.
    pub samples: usize,
    /// Whether accuracy is against labels, or else agreement with the float network.
    pub labelled: bool,
    /// Accuracy of the float network.
    pub float_accuracy: f64,
    /// All settings, by scale and then bitwidth.
    pub settings: Vec<Setting>,
    /// Scales that no bitwidth up to 64 holds, and why.
    pub impossible: Vec<(u32, String)>,
    /// The cheapest setting that is accurate enough.
    pub chosen: Option<Choice>,
}

/// How far a sweep is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Runs that are done: one a sample for the float network and for each scale.
    pub done: usize,
    /// How many there will be.
    pub total: usize,
    /// The scale that was run; `None` for floats.
    pub scale: Option<u32>,
}

/// What a sample did in fixed point.
struct Fixed {
    bitwidth: u32,
    classes: Vec<i64>,
}

/// Measures all settings and chooses one. Samples are shared by the threads of the current rayon pool.
///
/// # Errors
/// [`Error::Invalid`] without samples or for one that does not fit the network, and those of compiling
/// that no other scale or bitwidth would mend.
pub fn tune(
    graph: &Graph,
    samples: &[Sample],
    sweep: &Sweep,
    oracle: Option<&dyn CostOracle>,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Tuning> {
    if samples.is_empty() {
        return Err(Error::invalid("samples", "at least one", 0));
    }
    let total = samples.len() * (1 + sweep.scales.clone().count());
    let counter = Counter { done: 0.into(), total, progress };
    let float = samples::evaluate(graph, samples, &|| counter.step(None))?;
    let labelled = samples.iter().all(|sample| sample.label.is_some())
        && float.iter().all(|classes| classes.len() == 1);
    let judge = Judge { samples, float: &float, labelled };
    let mut settings = Vec::new();
    let mut impossible = Vec::new();
    for (i, scale) in (2..).zip(sweep.scales.clone()) {
        match at_scale(graph, sweep, scale, &judge, oracle, &counter) {
            Ok(measured) => settings.extend(measured),
            Err(error @ Error::Overflow { .. }) => {
                counter.skip_to(i * samples.len(), scale);
                impossible.push((scale, error.to_string()));
            }
            Err(error) => return Err(error),
        }
    }
    let float_accuracy = judge.accuracy(&float);
    let chosen = choose(&settings, float_accuracy, sweep);
    Ok(Tuning { samples: samples.len(), labelled, float_accuracy, settings, impossible, chosen })
}

/// The share of samples that a program of this network gives the right class: their labels where all have one, as in
/// a [`Setting`], and otherwise what the float network says.
///
/// # Errors
/// [`Error::Invalid`] for a sample that does not fit the program.
pub fn accuracy(graph: &Graph, program: &Program, samples: &[Sample]) -> Result<f64> {
    let public = &program.public;
    let classes = |sample: &Sample| {
        let output = run(program, &quantise(&sample.input, public.scale, public.domain)?)?;
        match (public.output_form, public.instructions.last()) {
            (OutputForm::Logits, Some(last)) => samples::largest_of(&last.output.shape, &output),
            _ => Ok(output),
        }
    };
    let classes = samples.par_iter().map(classes).collect::<Result<Vec<_>>>()?;
    let labelled = samples.iter().all(|sample| sample.label.is_some())
        && classes.iter().all(|classes| classes.len() == 1);
    let float = match labelled {
        true => vec![Vec::new(); samples.len()],
        false => samples::evaluate(graph, samples, &|| ())?,
    };
    Ok(Judge { samples, float: &float, labelled }.accuracy(&classes))
}

/// All settings of one scale.
fn at_scale(
    graph: &Graph,
    sweep: &Sweep,
    scale: u32,
    judge: &Judge<'_>,
    oracle: Option<&dyn CostOracle>,
    counter: &Counter<'_>,
) -> Result<Vec<Setting>> {
    let wide = AnyDomain::ring(MAX_BITWIDTH)?;
    let options = |domain| CompileOptions {
        domain,
        scale,
        output: OutputForm::ArgMax,
        ..sweep.compile.clone()
    };
    let program = compile_graph(graph.clone(), &options(wide))?;
    let fixed = |sample: &Sample| {
        let input = quantise(&sample.input, scale, wide)?;
        let run = run_wide(&program, &input)?;
        counter.step(Some(scale));
        Ok(Fixed { bitwidth: run.bitwidth, classes: run.output })
    };
    let fixed = judge.samples.par_iter().map(fixed).collect::<Result<Vec<_>>>()?;
    let least = fixed.iter().map(|x| x.bitwidth).max().unwrap_or(1);
    let mut settings = Vec::new();
    let first = least.saturating_sub(sweep.below).max(scale + 1);
    let (mut end, mut too_narrow) = (MAX_BITWIDTH, None);
    for bitwidth in first..=MAX_BITWIDTH {
        if bitwidth > end {
            break;
        }
        let domain = AnyDomain::ring(bitwidth)?;
        // A weight, a bias or a division may need more than any value of these samples.
        let program = match compile_graph(graph.clone(), &options(domain)) {
            Ok(program) => program,
            Err(error @ Error::Overflow { .. }) => {
                too_narrow = Some(error);
                continue;
            }
            Err(error) => return Err(error),
        };
        if bitwidth >= least {
            // The headroom is above the first bitwidth that is enough for samples and program.
            end = end.min(bitwidth + sweep.headroom);
        }
        let classes = |(sample, fixed): (&Sample, &Fixed)| {
            if fixed.bitwidth <= bitwidth {
                return Ok(fixed.classes.clone());
            }
            match quantise(&sample.input, scale, domain) {
                Ok(input) => run(&program, &input),
                // The input alone does not fit: nothing can be asked.
                Err(Error::Overflow { .. }) => Ok(Vec::new()),
                Err(error) => Err(error),
            }
        };
        let pairs = judge.samples.par_iter().zip(&fixed);
        let classes = pairs.map(classes).collect::<Result<Vec<_>>>()?;
        let overflowing = fixed.iter().filter(|x| x.bitwidth > bitwidth).count();
        let oracle = oracle.filter(|_| overflowing == 0);
        let cost = oracle.map_or(Ok(Vec::new()), |oracle| oracle.predict(&program.public))?;
        settings.push(Setting {
            scale,
            bitwidth,
            overflowing,
            accuracy: judge.accuracy(&classes),
            changed: judge.changed(&classes),
            cost,
        });
    }
    match too_narrow.filter(|_| settings.is_empty()) {
        Some(error) => Err(error),
        None => Ok(settings),
    }
}

/// What is right.
struct Judge<'a> {
    samples: &'a [Sample],
    float: &'a [Vec<i64>],
    labelled: bool,
}

impl Judge<'_> {
    /// The share of classes that are right: of labels, or of the float network.
    fn accuracy(&self, classes: &[Vec<i64>]) -> f64 {
        let (mut right, mut all) = (0, 0);
        for ((sample, float), classes) in self.samples.iter().zip(self.float).zip(classes) {
            let label = sample.label.filter(|_| self.labelled).map(|label| vec![label as i64]);
            let wanted = label.as_ref().unwrap_or(float);
            right += wanted.iter().zip(classes).filter(|(a, b)| a == b).count();
            all += wanted.len();
        }
        right as f64 / all.max(1) as f64
    }

    fn changed(&self, classes: &[Vec<i64>]) -> usize {
        self.float.iter().zip(classes).filter(|(a, b)| a != b).count()
    }
}

/// Counts runs.
struct Counter<'a> {
    done: std::sync::atomic::AtomicUsize,
    total: usize,
    progress: &'a (dyn Fn(Progress) + Sync),
}

impl Counter<'_> {
    fn step(&self, scale: Option<u32>) {
        let done = 1 + self.done.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        (self.progress)(Progress { done, total: self.total, scale });
    }

    /// The rest of a scale was given up: it counts as done.
    fn skip_to(&self, done: usize, scale: u32) {
        self.done.store(done, std::sync::atomic::Ordering::Relaxed);
        (self.progress)(Progress { done, total: self.total, scale: Some(scale) });
    }
}
