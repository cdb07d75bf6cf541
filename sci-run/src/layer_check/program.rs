//! A program file on given inputs: which layers look at fewer bits than the input needs.

use super::{LayerCheck, SecureLayers, secure};
use crate::cli::{Console, Local};
use crate::failure::{EXIT_FAILED, Result};
use crate::report::{SCHEMA, printable};
use crate::voice::{Voice, print};
use crate::{input, orchestrator};
use athos::calibration::outside;
use athos::cleartext::{self, run_wide};
use athos::llil::Precision;
use athos::{Error, Program, passes};
use serde::Serialize;
use std::fmt::Write;

/// What came out, over all inputs.
#[derive(Debug, Serialize)]
struct Report {
    schema: u32,
    model: String,
    inputs: usize,
    /// Inputs that leave the calibrated range somewhere.
    outside_inputs: usize,
    /// Inputs whose output differs from that of the program at full width.
    changed_outputs: usize,
    /// The first instruction that looks at fewer bits than an input needs of it; for those that were not
    /// narrowed, because it does not fit the domain.
    first_overflow: Option<String>,
    /// Of the secure run against fixed point.
    #[serde(skip_serializing_if = "Option::is_none")]
    bitwise_equal: Option<bool>,
    /// Of every tensor.
    #[serde(flatten)]
    secure: Option<SecureLayers>,
    layers: Vec<Layer>,
}

/// An instruction that looks at a signed number.
#[derive(Debug, Serialize)]
struct Layer {
    name: String,
    op: &'static str,
    /// Whether it looks at fewer bits than the domain has.
    narrowed: bool,
    /// Bits that it looks at.
    available_bits: u32,
    /// Bits that the inputs need, at most; `None` if the run over the integers left 64 bits.
    needed_bits: Option<u32>,
    /// Inputs that may leave the bits it was narrowed to. A MaxPool is judged by its whole operand, not window by
    /// window.
    outside: usize,
    /// The first of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    first_outside: Option<String>,
}

impl Layer {
    fn overflows(&self) -> bool {
        self.needed_bits.is_none_or(|needed| needed > self.available_bits)
    }
}

/// Checks, prints, and returns the exit code: 1 if an input leaves the range or the domain, or the secure run
/// differs.
///
/// # Errors
/// Those of the file, the inputs and the secure run.
pub(super) fn run(check: &LayerCheck, console: Console, voice: &Voice) -> Result<u8> {
    let Local { model, plan, inputs, .. } = &check.run;
    let program = model.load(plan)?;
    let mut public = program.public.clone();
    public.instructions = passes::narrow(&public, None)?;
    let inputs = input::read(inputs)?;
    let mut report = Report {
        schema: SCHEMA,
        model: printable(&program.public.name),
        inputs: inputs.len(),
        outside_inputs: 0,
        changed_outputs: 0,
        first_overflow: None,
        bitwise_equal: None,
        secure: None,
        layers: layers(&program),
    };
    let wide = Program { public, weights: program.weights };
    let narrow = Program { public: program.public, weights: wide.weights.clone() };
    for input in &inputs {
        let integers = input.quantise(&narrow.public)?;
        let left = outside(&narrow, &integers)?;
        report.outside_inputs += usize::from(!left.is_empty());
        for place in left {
            if let Some(layer) = report.layers.get_mut(place.index) {
                layer.outside += 1;
                layer.first_outside.get_or_insert_with(|| input.name.clone());
            }
        }
        let changed = cleartext::run(&narrow, &integers)? != cleartext::run(&wide, &integers)?;
        report.changed_outputs += usize::from(changed);
        let needed = match run_wide(&narrow, &integers) {
            Ok(run) => Some(run.needed),
            Err(Error::Overflow { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        for (at, layer) in report.layers.iter_mut().enumerate() {
            let one = needed.as_ref().map(|all| all.get(at).copied().unwrap_or(0));
            layer.needed_bits = layer.needed_bits.zip(one).map(|(all, one)| all.max(one));
        }
    }
    let first = report.layers.iter().find(|layer| layer.overflows());
    report.first_overflow = first.map(|layer| format!("{} ({})", layer.name, layer.op));
    // What looks at no signed number needs no bits of it.
    report.layers.retain(|layer| layer.needed_bits != Some(0) || layer.outside > 0);
    if check.secure {
        report.bitwise_equal = orchestrator::run(&check.run, console, voice)?.bitwise_equal;
        let compared = secure::run(&check.run, &narrow, &inputs)?;
        report.secure = Some(SecureLayers::of(&compared, &narrow.public));
    }
    let differs = |secure: &SecureLayers| secure.first_secure_difference.is_some();
    let failed = report.first_overflow.is_some()
        || report.outside_inputs > 0
        || report.bitwise_equal == Some(false)
        || report.secure.as_ref().is_some_and(differs);
    match console.json {
        true => print((serde_json::json!(report).to_string() + "\n").as_bytes()),
        false => print(text(&report).as_bytes()),
    }
    Ok(if failed { EXIT_FAILED } else { 0 })
}

fn layers(program: &Program) -> Vec<Layer> {
    let all = crate::parameters::bitwidth(program.public.domain);
    let layer = |instruction: &athos::llil::Instruction| {
        let bits = match instruction.precision {
            Precision::Bits(bits) => Some(bits),
            Precision::Full => None,
        };
        Layer {
            name: printable(&instruction.name),
            op: instruction.op.name(),
            narrowed: bits.is_some(),
            available_bits: bits.unwrap_or(all),
            needed_bits: Some(0),
            outside: 0,
            first_outside: None,
        }
    };
    program.public.instructions.iter().map(layer).collect()
}

fn text(report: &Report) -> String {
    let Report { model, inputs, outside_inputs, changed_outputs, layers, .. } = report;
    let mut out = format!("{model}: calibrated range and domain, {inputs} inputs\n\n");
    let width = layers.iter().map(|x| x.name.chars().count()).max().unwrap_or(0).max(5);
    let _ = writeln!(out, "{:width$}  {:10}  {:>6}  {:>4}", "layer", "operation", "needed", "has");
    for layer in layers {
        let needed = layer.needed_bits.map_or("> 64".to_string(), |bits| bits.to_string());
        let _ = write!(
            out,
            "{:width$}  {:10}  {needed:>6}  {:>4}",
            layer.name, layer.op, layer.available_bits
        );
        match (&layer.first_outside, layer.overflows()) {
            (Some(first), _) => {
                let _ = write!(out, "  outside for {} inputs, first {first}", layer.outside);
            }
            (None, true) => out += "  overflows",
            (None, false) => {}
        }
        out += "\n";
    }
    let _ = writeln!(out, "\n{outside_inputs} of {inputs} inputs leave the calibrated range");
    let _ = writeln!(out, "{changed_outputs} of {inputs} outputs differ from those at full width");
    let first = report.first_overflow.as_deref().unwrap_or("none");
    let _ = writeln!(out, "first layer that overflows: {first}");
    if let Some(equal) = report.bitwise_equal {
        let _ = writeln!(out, "secure run bitwise equal to fixed point: {equal}");
    }
    out += &report.secure.as_ref().map(SecureLayers::text).unwrap_or_default();
    out
}
