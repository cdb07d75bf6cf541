//! From a model file to a program.

use crate::domain::bits;
use crate::hlil::Graph;
use crate::passes::{self, PIPELINE};
use crate::program::{Limits, OutputForm, Program, PublicProgram};
use crate::{Error, Preprocess, Result, frontend, lower::lower};
use sci_core::AnyDomain;

/// What the model owner decides.
#[derive(Clone, Debug)]
pub struct CompileOptions {
    /// What the model is called.
    pub name: String,
    /// Where all integers live.
    pub domain: AnyDomain,
    /// Bits after the binary point.
    pub scale: u32,
    /// What the client learns.
    pub output: OutputForm,
    /// How an input becomes a tensor.
    pub preprocess: Option<Preprocess>,
    /// The shape of the input where the model leaves it open.
    pub input_shape: Option<Vec<usize>>,
    /// What is too large.
    pub limits: Limits,
}

impl CompileOptions {
    /// A domain and a scale, everything else by default.
    pub fn new(domain: AnyDomain, scale: u32) -> Self {
        Self {
            name: "model".to_owned(),
            domain,
            scale,
            output: OutputForm::ArgMax,
            preprocess: None,
            input_shape: None,
            limits: Limits::default(),
        }
    }
}

/// Compiles an ONNX model.
///
/// # Errors
/// [`Error::Invalid`] for a file that is no model or for impossible options, [`Error::Unsupported`]
/// with all nodes that cannot be compiled, [`Error::Overflow`] for numbers that do not fit, with the
/// bitwidth that works.
pub fn compile(onnx: &[u8], options: &CompileOptions) -> Result<Program> {
    let graph = frontend::onnx::read(onnx, options.input_shape.as_deref())?;
    compile_graph(graph, options)
}

/// Compiles a float graph.
///
/// # Errors
/// As [`compile`].
pub fn compile_graph(graph: Graph, options: &CompileOptions) -> Result<Program> {
    let CompileOptions { name, domain, scale, output, preprocess, limits, .. } = options.clone();
    if scale >= bits(domain) {
        return Err(Error::Overflow {
            tensor: "scale".into(),
            what: format!("{scale} bits after the binary point do not fit {domain}"),
            bitwidth: Some(scale.saturating_add(1)).filter(|&bits| bits <= 64),
        });
    }
    check_size(&graph, &limits)?;
    let graph = passes::run(graph, PIPELINE, |_, _| {})?;
    let lowered = lower(&graph, domain, scale, output)?;
    let (instructions, weights) =
        passes::sink_truncation(domain, &lowered.instructions, lowered.infos)?;
    let public = PublicProgram {
        name,
        domain,
        scale,
        weight_bits: lowered.weight_bits,
        instructions,
        weights,
        output_form: output,
        preprocess,
    };
    let program = Program { public, weights: lowered.weights };
    program.check(&limits)?;
    Ok(program)
}

/// Refuses a graph that is too large before anything is computed from it.
fn check_size(graph: &Graph, limits: &Limits) -> Result<()> {
    if graph.nodes().len() > limits.max_instructions {
        let expected = format!("at most {}", limits.max_instructions);
        return Err(Error::invalid("nodes of the model", expected, graph.nodes().len()));
    }
    for node in graph.nodes() {
        let elements: usize = node.shape.iter().product();
        if elements > limits.max_elements {
            let expected = format!("at most {} elements", limits.max_elements);
            return Err(Error::invalid(node.name.clone(), expected, elements));
        }
    }
    Ok(())
}
