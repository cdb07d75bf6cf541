//! The commands of those who look into models: compile, inspect, ops.

mod costs;
mod tensors;

use crate::calibrate;
use crate::cli::{Compile, CompileTarget, Inspect};
use crate::failure::{Failure, Result};
use crate::parameters;
use crate::report::hex;
use crate::voice::print;
use athos::llil::Liveness;
use athos::program::Counts;
use sci_core::AnyDomain;
use serde::Serialize;
use std::fs;
use tensors::Tensor;

/// What is public about a model.
#[derive(Debug, Serialize)]
struct Summary {
    schema: u32,
    model: String,
    digest: String,
    domain: String,
    bitwidth: u32,
    scale: u32,
    weight_bits: u32,
    output: String,
    input_shape: Vec<usize>,
    output_shape: Vec<usize>,
    instructions: usize,
    /// Instructions that calibration lets look at fewer bits.
    narrowed: usize,
    weights: u64,
    #[serde(flatten)]
    counts: Counts,
    peak_elements: u64,
    public_bytes: usize,
    tensors: Vec<Tensor>,
}

/// Writes a program file, or prints a form of the program.
///
/// # Errors
/// Those of the model, of the inputs to narrow it to, and of the file.
pub fn compile(compile: &Compile, json: bool) -> Result<()> {
    let (model, plan) = (&compile.model, &compile.plan);
    match &compile.target {
        CompileTarget::Hlil => {
            print(model.graph(plan)?.to_string().as_bytes());
            return Ok(());
        }
        CompileTarget::After(wanted) => {
            let mut text = String::new();
            let observe = |stage: &str, program: athos::Stage<'_>| {
                if stage == *wanted {
                    text = program.to_string();
                }
            };
            athos::compile_observed(model.graph(plan)?, &model.options(plan)?, observe)?;
            print(text.as_bytes());
            return Ok(());
        }
        CompileTarget::Llil | CompileTarget::Cost | CompileTarget::File(_) => {}
    }
    let mut program = model.load(plan)?;
    if let Some(calibration) = &compile.calibration {
        let inputs = calibration.apply(&mut program)?;
        tracing::info!(inputs, "calibrated");
    }
    match (&compile.target, program.public.domain) {
        (CompileTarget::File(path), _) => {
            fs::write(path, program.to_bytes()?).map_err(|e| Failure::file(path, &e))?;
            show(&summary(&program.public)?, json)
        }
        (CompileTarget::Cost, AnyDomain::Ring(ring)) => {
            costs::show(&program.public, ring, compile, json)
        }
        (CompileTarget::Cost, AnyDomain::Field(field)) => {
            costs::show(&program.public, field, compile, json)
        }
        _ => {
            print(program.public.to_string().as_bytes());
            Ok(())
        }
    }
}

/// Shows what a client of this model will know.
///
/// # Errors
/// Those of the model.
pub fn inspect(inspect: &Inspect, json: bool) -> Result<()> {
    let program = inspect.model.load(&inspect.plan)?;
    let summary = summary(&program.public)?;
    if !json {
        print(program.public.to_string().as_bytes());
        print(tensors::table(&summary.tensors).as_bytes());
    }
    show(&summary, json)
}

/// Lists what can be compiled.
pub fn ops(json: bool) {
    let mut onnx: Vec<&str> = athos::frontend::onnx::operators().collect();
    let mut tensorflow: Vec<&str> = athos::frontend::tensorflow::operators().collect();
    onnx.sort_unstable();
    tensorflow.sort_unstable();
    if json {
        let schema = crate::report::SCHEMA;
        let object = serde_json::json!({"schema": schema, "onnx": onnx, "tensorflow": tensorflow});
        return print(format!("{object}\n").as_bytes());
    }
    for (format, operators) in [("ONNX", onnx), ("TensorFlow", tensorflow)] {
        print(format!("{format}:\n  {}\n", operators.join("\n  ")).as_bytes());
    }
}

fn summary(public: &athos::PublicProgram) -> Result<Summary> {
    let weights = public.weights.iter();
    Ok(Summary {
        schema: crate::report::SCHEMA,
        model: public.name.clone(),
        digest: hex(&public.digest()?),
        domain: parameters::domain_name(public.domain).into(),
        bitwidth: parameters::bitwidth(public.domain),
        scale: public.scale,
        weight_bits: public.weight_bits,
        output: parameters::output_name(public.output_form).into(),
        input_shape: public.input()?.shape.clone(),
        output_shape: public.output()?.shape.clone(),
        instructions: public.instructions.len(),
        narrowed: calibrate::narrowed_instructions(public)?,
        weights: weights.map(|info| info.shape.iter().product::<usize>() as u64).sum(),
        counts: public.counts(),
        peak_elements: Liveness::of(&public.instructions).peak_elements(),
        public_bytes: public.to_blob()?.len(),
        tensors: tensors::of(public)?,
    })
}

fn show(summary: &Summary, json: bool) -> Result<()> {
    let value = serde_json::to_value(summary)
        .map_err(|e| Failure::new("misuse", format_args!("cannot print: {e}")))?;
    if json {
        print(format!("{value}\n").as_bytes());
        return Ok(());
    }
    let shown = |name: &str| !["schema", "tensors"].contains(&name);
    for (name, value) in value.as_object().into_iter().flatten().filter(|(name, _)| shown(name)) {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_string);
        print(format!("{:25} {value}\n", name.replace('_', " ")).as_bytes());
    }
    Ok(())
}
