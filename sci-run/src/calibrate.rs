//! Narrowing a program to what its tensors hold on a folder of inputs.
//!
//! A comparison or truncation then looks at no more bits than the calibration inputs need, and a margin. That is
//! cheaper, and for every input inside the calibrated range the result is the one of full width. For any other
//! input the cleartext meaning of the narrowed program still says what comes out, bit by bit, and
//! `sci-run check` says where it left the range.

use crate::failure::{Failure, Result};
use crate::input::{self, Input};
use athos::{Calibration, Limits, Program, passes};
use indicatif::{ProgressBar, ProgressStyle};
use rayon::prelude::*;
use sci_core::AnyDomain;
use std::path::PathBuf;
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
        bar.set_length(inputs.len() as u64);
        let public = program.public.clone();
        let quantised = |input: &Input| input.quantise(&public);
        let done = narrow(program, &inputs, quantised, self.margin, &|| bar.inc(1));
        bar.finish_and_clear();
        done.map(|()| inputs.len())
    }
}

/// Narrows a program to samples, which the threads of the current rayon pool share; `step` is called after
/// each. Narrowing that was done before is forgotten.
///
/// # Errors
/// A program over a field, and a sample that does not fit it.
pub fn narrow<T: Sync>(
    program: &mut Program,
    samples: &[T],
    quantised: impl Fn(&T) -> Result<Zeroizing<Vec<i64>>> + Sync,
    margin: u32,
    step: &(dyn Fn() + Sync),
) -> Result<()> {
    if let AnyDomain::Field(_) = program.public.domain {
        let cause = "a program over a field cannot be narrowed: shares modulo n have no low bits";
        return Err(Failure::new("invalid_input", cause).hint("compile it with --domain ring"));
    }
    // What a narrowed program computes outside of its range is not what is to be observed.
    program.public.instructions = passes::narrow(&program.public, None)?;
    let wide: &Program = program;
    let observe = |sample: &T| {
        let mut seen = Calibration::new(wide, margin);
        seen.observe(wide, &quantised(sample)?)?;
        step();
        Ok::<_, Failure>(seen)
    };
    let merge = |mut all: Calibration, one: Calibration| {
        all.merge(&one)?;
        Ok(all)
    };
    let seen = samples.par_iter().map(observe);
    let seen = seen.try_reduce(|| Calibration::new(wide, margin), merge)?;
    Ok(athos::narrow(program, &seen, &Limits::default())?)
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
