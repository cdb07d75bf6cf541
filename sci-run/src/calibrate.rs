//! Narrowing a program to what its tensors hold on a folder of inputs.
//!
//! A comparison or truncation then looks at no more bits than the calibration inputs need, and a margin. That is
//! cheaper, and for every input inside the calibrated range the result is the one of full width. For any other
//! input the cleartext meaning of the narrowed program still says what comes out, bit by bit, and
//! `sci-run check` says where it left the range.
//!
//! Before that, truncations are merged into the AvgPools behind them ([`passes::merge_avg_pool`]) where the inputs
//! leave room for the sums and it takes less of the link. An average may grow by one unit of its last
//! place by it, so the inputs are then run once more, and the full width that narrowing is equal to is that of
//! the merged program.

use crate::failure::{Failure, Result};
use crate::input::{self, Input};
use crate::two_party::{bits_of, sign_of};
use athos::llil::Op;
use athos::passes::AvgPoolMerge;
use athos::{Calibration, Limits, Program, passes};
use indicatif::{ProgressBar, ProgressStyle};
use millionaires::relu::{MuxForm, relu_cost};
use rayon::prelude::*;
use sci_core::{AnyDomain, Cost, Ring};
use sci_ot::OtKind;
use sci_ot::peer::Settings;
use std::path::PathBuf;
use truncation::avgpool::avgpool_cost;
use truncation::relu::relu_truncate_cost;
use truncation::truncate::truncate_narrow_cost;
use zeroize::Zeroizing;

/// Which inputs a program is narrowed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calibrate {
    /// Where they are.
    pub folder: PathBuf,
    /// At most so many of them.
    pub images: usize,
    /// Bits by which a tensor may grow beyond what was seen.
    pub margin: u32,
}

impl Calibrate {
    /// Narrows a program to the inputs of the folder; returns how many there are.
    ///
    /// # Errors
    /// The first input that is not what it has to be.
    pub fn apply(&self, program: &mut Program) -> Result<usize> {
        let inputs = input::dataset(&self.folder, self.images)?;
        let bar = bar("inputs");
        let public = program.public.clone();
        let quantised = |input: &Input| input.quantise(&public);
        let merging = Merging::Cheaper;
        let done = narrow(program, &inputs, quantised, self.margin, merging, &bar);
        bar.finish_and_clear();
        done.map(|_| inputs.len())
    }
}

/// Whether truncations may be merged into averages, which may grow by one unit of their last place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merging {
    /// Where it is cheaper.
    Cheaper,
    /// Nowhere: the numbers stay those of full width.
    Never,
}

/// Narrows a program to samples, which the threads of the current rayon pool share, and merges truncations
/// into its averages if it may. Both are forgotten first where they were done before. Returns whether any was
/// merged.
///
/// # Errors
/// A program over a field, and a sample that does not fit it.
pub fn narrow<T: Sync>(
    program: &mut Program,
    samples: &[T],
    quantised: impl Fn(&T) -> Result<Zeroizing<Vec<i64>>> + Sync,
    margin: u32,
    merging: Merging,
    bar: &ProgressBar,
) -> Result<bool> {
    let AnyDomain::Ring(ring) = program.public.domain else {
        let cause = "a program over a field cannot be narrowed: shares modulo n have no low bits";
        return Err(Failure::new("invalid_input", cause).hint("compile it with --domain ring"));
    };
    let observed = |wide: &Program| {
        let observe = |sample: &T| {
            let mut seen = Calibration::new(wide, margin);
            seen.observe(wide, &quantised(sample)?)?;
            bar.inc(1);
            Ok::<_, Failure>(seen)
        };
        let merge = |mut all: Calibration, one: Calibration| {
            all.merge(&one)?;
            Ok(all)
        };
        let seen = samples.par_iter().map(observe);
        seen.try_reduce(|| Calibration::new(wide, margin), merge)
    };
    bar.set_length(samples.len() as u64);
    // What a narrowed program computes outside of its range is not what is to be observed.
    program.public.instructions = passes::part_avg_pool(&program.public)?;
    program.public.instructions = passes::narrow(&program.public, None)?;
    let mut seen = observed(program)?;
    let cheaper = |merge: &AvgPoolMerge| {
        merging == Merging::Cheaper && is_cheaper(ring, merge).unwrap_or(false)
    };
    let merged = passes::merge_avg_pool(&program.public, &seen, &cheaper)?;
    let any = merged.is_some();
    if let Some(merged) = merged {
        program.public.instructions = merged;
        program.public.instructions = passes::narrow(&program.public, None)?;
        bar.set_length(2 * samples.len() as u64);
        seen = observed(program)?;
    }
    athos::narrow(program, &seen, &Limits::default())?;
    Ok(any)
}

/// How many bytes may be saved by a round more: about what a local network carries in the time of one.
const ROUND_BYTES: u64 = 1 << 17;

/// Whether a merged division takes fewer bytes than a truncation and a division, and enough fewer where it takes
/// more rounds: a division of numbers of unknown sign does, which a shift does not. By silent OT, which is what
/// parties take unless told otherwise.
fn is_cheaper(ring: Ring, merge: &AvgPoolMerge) -> sci_core::Result<bool> {
    let settings = Settings::over(OtKind::Silent);
    let relu = |x: &athos::llil::Instruction| {
        let (precision, form) = (bits_of(x.precision), MuxForm::Correlated);
        relu_cost(x.output.len(), ring, settings, precision, form)
    };
    let cost = |x: &athos::llil::Instruction| {
        let (n, precision) = (x.output.len(), bits_of(x.precision));
        match &x.op {
            Op::Truncate { shift, .. } if merge.fused => {
                relu_truncate_cost(n, ring, *shift, precision, settings)
            }
            Op::Truncate { shift, sign } => {
                truncate_narrow_cost(n, ring, *shift, sign_of(*sign), precision, settings)
            }
            Op::AvgPool { geometry, shift, sign } => {
                avgpool_cost(ring, geometry, *shift, sign_of(*sign), precision, settings)
            }
            _ => Ok(Cost::ZERO),
        }
    };
    let apart = cost(&merge.truncation)? + cost(&merge.pool)?;
    // Where a ReLU does the truncation, it stays behind alone.
    let left = if merge.fused { relu(&merge.truncation)? } else { Cost::ZERO };
    let merged = left + cost(&merge.merged)?;
    let more_rounds = u64::from(merged.rounds.saturating_sub(apart.rounds));
    Ok(merged.bytes() + ROUND_BYTES * more_rounds < apart.bytes())
}

/// How many instructions look at fewer bits than is certain of their operands: those that calibration narrowed.
///
/// # Errors
/// For a program that was not checked.
pub fn narrowed_instructions(public: &athos::PublicProgram) -> Result<usize> {
    let certain = passes::narrow(public, None)?;
    let narrower = |(x, certain): (&athos::llil::Instruction, &athos::llil::Instruction)| {
        x.precision != certain.precision
    };
    Ok(public.instructions.iter().zip(&certain).filter(|&pair| narrower(pair)).count())
}

/// A progress bar on stderr.
pub(crate) fn bar(unit: &str) -> ProgressBar {
    let template = format!("{{bar:30}} {{pos}}/{{len}} {unit}  {{msg}}  {{eta}} left");
    let style = ProgressStyle::with_template(&template);
    let bar = ProgressBar::new(0);
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}
