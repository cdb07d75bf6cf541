//! The program of the chosen setting, narrowed to the samples that it was chosen on.

use super::Tune;
use super::oracle::Oracle;
use crate::calibrate;
use crate::cli::Plan;
use crate::failure::{Failure, Result};
use crate::report::hex;
use athos::autotune::{Choice, CostOracle, Prediction, Sample};
use athos::hlil::Graph;
use athos::{compile_graph, quantise};
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
    /// Without narrowing.
    pub(super) full_width: Vec<Prediction>,
    /// As it was written.
    pub(super) predicted: Vec<Prediction>,
}

/// Compiles, narrows and writes it.
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
    let mut program = compile_graph(graph, &options)?;
    let full_width = oracle.predict(&program.public)?;
    let predicted = match command.margin {
        None => full_width.clone(),
        Some(margin) => {
            bar.set_position(0);
            bar.set_message("calibration");
            let quantised = |sample: &Sample| {
                Ok(Zeroizing::new(quantise(&sample.input, options.scale, options.domain)?))
            };
            calibrate::narrow(&mut program, samples, quantised, margin, bar)?;
            oracle.predict(&program.public)?
        }
    };
    let path = &command.program;
    fs::write(path, program.to_bytes()?).map_err(|e| Failure::file(path, &e))?;
    Ok(Written {
        file: path.display().to_string(),
        digest: hex(&program.public.digest()?),
        margin: command.margin,
        narrowed: calibrate::narrowed_instructions(&program.public)?,
        full_width,
        predicted,
    })
}
