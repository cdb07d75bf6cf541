//! The program of the chosen setting, narrowed to the samples that it was chosen on.

use super::Tune;
use super::oracle::Oracle;
use crate::calibrate::{self, Merging};
use crate::cli::Plan;
use crate::failure::{Failure, Result};
use crate::report::hex;
use athos::autotune::{self, Choice, CostOracle, Prediction, Sample};
use athos::hlil::Graph;
use athos::{Program, compile_graph, quantise};
use indicatif::ProgressBar;
use serde::Serialize;
use std::fs;
use zeroize::Zeroizing;

/// What was written, and what one inference with it is predicted to take.
#[derive(Debug, Serialize)]
pub(super) struct Written {
    /// Where.
    pub(super) file: String,
    /// SHA-256 of its public part.
    pub(super) digest: String,
    /// Bits beyond what the samples need; `None` at full width.
    pub(super) margin: Option<u32>,
    /// Instructions that look at fewer bits for it.
    pub(super) narrowed: usize,
    /// What the program as it was written gets right of the samples.
    pub(super) accuracy: f64,
    /// Without narrowing.
    pub(super) full_width: Vec<Prediction>,
    /// As it was written.
    pub(super) predicted: Vec<Prediction>,
}

/// Compiles, narrows and writes it. Truncations are merged into averages only if no accuracy is lost by it.
///
/// # Errors
/// Those of compiling, of calibration and of the file.
pub(super) fn write(
    command: &Tune,
    graph: Graph,
    samples: &[Sample],
    choice: &Choice,
    oracle: &Oracle,
    bar: &ProgressBar,
) -> Result<Written> {
    let (bitwidth, scale) = (Some(choice.bitwidth), Some(choice.scale));
    let options = command.model.options(&Plan { bitwidth, scale, ..command.plan.clone() })?;
    let mut program = compile_graph(graph.clone(), &options)?;
    let full_width = oracle.predict(&program.public)?;
    let quantised = |sample: &Sample| {
        Ok(Zeroizing::new(quantise(&sample.input, options.scale, options.domain)?))
    };
    let narrow = |program: &mut Program, margin: u32, merging: Merging| {
        bar.set_position(0);
        bar.set_message("calibration");
        calibrate::narrow(program, samples, quantised, margin, merging, bar)
    };
    // What is right at full width stays right within the samples, but for averages that divide once.
    let mut accuracy = choice.accuracy;
    let mut predicted = full_width.clone();
    if let Some(margin) = command.margin {
        if narrow(&mut program, margin, Merging::Cheaper)? {
            accuracy = autotune::accuracy(&graph, &program, samples)?;
            if accuracy < choice.accuracy {
                narrow(&mut program, margin, Merging::Never)?;
                accuracy = choice.accuracy;
            }
        }
        predicted = oracle.predict(&program.public)?;
    }
    let path = &command.program;
    fs::write(path, program.to_bytes()?).map_err(|e| Failure::file(path, &e))?;
    Ok(Written {
        file: path.display().to_string(),
        digest: hex(&program.public.digest()?),
        margin: command.margin,
        narrowed: calibrate::narrowed_instructions(&program.public)?,
        accuracy,
        full_width,
        predicted,
    })
}
