//! `sci-run check`: float against fixed point against a secure run, on given inputs.
//!
//! With `--secure` the outputs of a run of two processes are compared, and tensor by tensor those of a run of both
//! parties in this process.
//!
//! A program file has forgotten its floats. Of one it is said where an input leaves the range that the program was
//! narrowed to, or the domain.

mod program;
mod secure;

use crate::cli::{Console, Local};
use crate::failure::{EXIT_FAILED, Result};
use crate::report::{SCHEMA, printable};
use crate::voice::{Voice, print};
use crate::{input, orchestrator};
use athos::PublicProgram;
use athos::compare::{LayerDifference, compare};
use athos::llil::Instruction;
use serde::Serialize;
use std::fmt::Write;

/// A comparison.
#[derive(Debug)]
pub struct LayerCheck {
    /// The model, the inputs, and how to run it securely.
    pub run: Local,
    /// A layer differs if its largest error exceeds this share of its largest value.
    pub tolerance: f64,
    /// Whether to run it securely.
    pub secure: bool,
}

/// What came out, over all inputs.
#[derive(Debug, Serialize)]
struct Report {
    schema: u32,
    model: String,
    inputs: usize,
    tolerance: f64,
    /// The first instruction whose error exceeds the tolerance.
    first_difference: Option<String>,
    /// The first instruction that looks at a value of more bits than it has.
    first_overflow: Option<String>,
    /// Of the secure run against fixed point.
    #[serde(skip_serializing_if = "Option::is_none")]
    bitwise_equal: Option<bool>,
    /// Of every tensor.
    #[serde(flatten)]
    secure: Option<SecureLayers>,
    layers: Vec<LayerDifference>,
}

/// How the tensors of a secure run compare with those of fixed point.
#[derive(Debug, Serialize)]
struct SecureLayers {
    /// How many were compared, over all inputs.
    secure_tensors: usize,
    /// The first instruction whose tensor differs.
    first_secure_difference: Option<String>,
}

impl SecureLayers {
    fn of(secure: &secure::Secure, program: &PublicProgram) -> Self {
        let first = secure.first_difference().and_then(|at| program.instructions.get(at));
        let named = |x: &Instruction| format!("{} ({})", printable(&x.name), x.op.name());
        Self { secure_tensors: secure.compared, first_secure_difference: first.map(named) }
    }

    fn text(&self) -> String {
        let first = self.first_secure_difference.as_deref().unwrap_or("none");
        let tensors = self.secure_tensors;
        format!("first of {tensors} tensors of the secure run that differs: {first}\n")
    }
}

/// Compares, prints, and returns the exit code: 1 if something overflows or the secure run differs.
///
/// # Errors
/// Those of the model, the inputs and the secure run.
pub fn run(check: &LayerCheck, console: Console, voice: &Voice) -> Result<u8> {
    let Local { model, plan, inputs, .. } = &check.run;
    if model.is_program()? {
        return program::run(check, console, voice);
    }
    let graph = model.graph(plan)?;
    let program = model.load(plan)?;
    let inputs = input::read(inputs)?;
    let mut layers: Vec<LayerDifference> = Vec::new();
    for input in &inputs {
        let numbers = input.numbers(&program.public)?;
        let differences = compare(&graph, &program, &numbers)?;
        match layers.is_empty() {
            true => layers = differences,
            false => layers.iter_mut().zip(differences).for_each(|(all, one)| merge(all, one)),
        }
    }
    for layer in &mut layers {
        layer.mean_error /= inputs.len() as f64;
    }
    let first = |wrong: &dyn Fn(&LayerDifference) -> bool| {
        let layer = layers.iter().find(|layer| wrong(layer));
        layer.map(|layer| format!("{} ({})", printable(&layer.name), layer.op))
    };
    let first_overflow = first(&LayerDifference::overflows);
    let first_difference = first(&|layer| layer.max_error > check.tolerance * layer.magnitude);
    let (mut bitwise_equal, mut secure) = (None, None);
    if check.secure {
        bitwise_equal = orchestrator::run(&check.run, console, voice)?.bitwise_equal;
        let compared = secure::run(&check.run, &program, &inputs)?;
        secure = Some(SecureLayers::of(&compared, &program.public));
    }
    let differs = secure.as_ref().is_some_and(|x| x.first_secure_difference.is_some());
    let failed = first_overflow.is_some() || bitwise_equal == Some(false) || differs;
    let report = Report {
        schema: SCHEMA,
        model: model.name(),
        inputs: inputs.len(),
        tolerance: check.tolerance,
        first_difference,
        first_overflow,
        bitwise_equal,
        secure,
        layers,
    };
    match console.json {
        true => print((serde_json::json!(report).to_string() + "\n").as_bytes()),
        false => print(text(&report).as_bytes()),
    }
    Ok(if failed { EXIT_FAILED } else { 0 })
}

/// What two inputs say together; means are summed.
fn merge(all: &mut LayerDifference, one: LayerDifference) {
    all.magnitude = all.magnitude.max(one.magnitude);
    all.max_error = all.max_error.max(one.max_error);
    all.mean_error += one.mean_error;
    all.needed_bits = all.needed_bits.zip(one.needed_bits).map(|(a, b)| a.max(b));
}

fn text(report: &Report) -> String {
    let mut out =
        format!("{}: float against fixed point, {} inputs\n\n", report.model, report.inputs);
    let name = |layer: &LayerDifference| printable(&layer.name);
    let width = report.layers.iter().map(|x| name(x).chars().count()).max().unwrap_or(0).max(5);
    let _ = writeln!(
        out,
        "{:width$}  {:10}  {:>11}  {:>11}  {:>11}  {:>6}  {:>4}",
        "layer", "operation", "largest", "max error", "mean error", "needed", "has"
    );
    for layer in &report.layers {
        let needed = match layer.needed_bits {
            Some(0) => String::new(),
            Some(bits) => bits.to_string(),
            None => "> 64".into(),
        };
        let _ = writeln!(
            out,
            "{:width$}  {:10}  {:>11.4}  {:>11.3e}  {:>11.3e}  {needed:>6}  {:>4}{}",
            name(layer),
            layer.op,
            layer.magnitude,
            layer.max_error,
            layer.mean_error,
            layer.available_bits,
            if layer.overflows() { "  overflows" } else { "" }
        );
    }
    let none = || "none".to_string();
    let _ = writeln!(
        out,
        "\nfirst layer off by more than {} % of its largest value: {}",
        100.0 * report.tolerance,
        report.first_difference.clone().unwrap_or_else(none)
    );
    let _ = writeln!(
        out,
        "first layer that overflows: {}",
        report.first_overflow.clone().unwrap_or_else(none)
    );
    if let Some(equal) = report.bitwise_equal {
        let _ = writeln!(out, "secure run bitwise equal to fixed point: {equal}");
    }
    out += &report.secure.as_ref().map(SecureLayers::text).unwrap_or_default();
    out
}
