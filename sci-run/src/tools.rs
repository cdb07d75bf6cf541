//! The commands of those who look into models: compile, inspect, ops.

mod costs;

use crate::cli::{Compile, CompileTarget, Inspect};
use crate::failure::{Failure, Result};
use crate::parameters;
use crate::report::hex;
use crate::voice::print;
use athos::llil::Liveness;
use sci_core::AnyDomain;
use serde::Serialize;
use std::fs;

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
    instructions: usize,
    weights: u64,
    macs: u64,
    peak_elements: u64,
    public_bytes: usize,
}

/// Writes a program file, or prints a form of the program.
///
/// # Errors
/// Those of the model and of the file.
pub fn compile(compile: &Compile, json: bool) -> Result<()> {
    match &compile.target {
        CompileTarget::Hlil => {
            print(compile.model.graph()?.to_string().as_bytes());
            Ok(())
        }
        CompileTarget::Llil => {
            let program = compile.model.load(&compile.plan)?;
            print(program.public.to_string().as_bytes());
            Ok(())
        }
        CompileTarget::Cost => {
            let program = compile.model.load(&compile.plan)?;
            match program.public.domain {
                AnyDomain::Ring(ring) => costs::show(&program.public, ring, compile, json),
                AnyDomain::Field(field) => costs::show(&program.public, field, compile, json),
            }
        }
        CompileTarget::File(path) => {
            let program = compile.model.load(&compile.plan)?;
            fs::write(path, program.to_bytes()?).map_err(|e| Failure::file(path, &e))?;
            show(&summary(&program.public)?, json)
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
    }
    show(&summary, json)
}

/// Lists what can be compiled.
pub fn ops(json: bool) {
    let mut operators: Vec<&str> = athos::frontend::onnx::operators().collect();
    operators.sort_unstable();
    if json {
        let object = serde_json::json!({"schema": crate::report::SCHEMA, "operators": operators});
        return print(format!("{object}\n").as_bytes());
    }
    print((operators.join("\n") + "\n").as_bytes());
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
        instructions: public.instructions.len(),
        weights: weights.map(|info| info.shape.iter().product::<usize>() as u64).sum(),
        macs: public.macs(),
        peak_elements: Liveness::of(&public.instructions).peak_elements(),
        public_bytes: public.to_blob()?.len(),
    })
}

fn show(summary: &Summary, json: bool) -> Result<()> {
    let value = serde_json::to_value(summary)
        .map_err(|e| Failure::new("misuse", format_args!("cannot print: {e}")))?;
    if json {
        print(format!("{value}\n").as_bytes());
        return Ok(());
    }
    for (name, value) in
        value.as_object().into_iter().flatten().filter(|(name, _)| *name != "schema")
    {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_string);
        print(format!("{:14} {value}\n", name.replace('_', " ")).as_bytes());
    }
    Ok(())
}
