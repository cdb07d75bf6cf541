//! From a model file to a program.

use crate::domain::bits;
use crate::hlil::Graph;
use crate::passes::{self, OPTIONAL, PIPELINE};
use crate::program::{Limits, OutputForm, Program, PublicProgram};
use crate::{Calibration, Error, Preprocess, Result, frontend, lower::lower};
use sci_core::AnyDomain;
use std::fmt;
use std::path::PathBuf;

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
    /// Where files lie that the model refers to; `None`: it may refer to none.
    pub folder: Option<PathBuf>,
    /// What is too large.
    pub limits: Limits,
    /// Passes that are left out, by name: those on floats and [`passes::OPTIONAL`].
    pub skip: Vec<String>,
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
            folder: None,
            limits: Limits::default(),
            skip: Vec::new(),
        }
    }
}

/// Compiles a model: ONNX or a frozen TensorFlow graph.
///
/// # Errors
/// [`Error::Invalid`] for a file that is no model or for impossible options, [`Error::Unsupported`]
/// with all nodes that cannot be compiled, [`Error::Overflow`] for numbers that do not fit, with the
/// bitwidth that works.
pub fn compile(model: &[u8], options: &CompileOptions) -> Result<Program> {
    let graph =
        frontend::read_in(model, options.input_shape.as_deref(), options.folder.as_deref())?;
    compile_graph(graph, options)
}

/// Compiles a float graph.
///
/// # Errors
/// As [`compile`].
pub fn compile_graph(graph: Graph, options: &CompileOptions) -> Result<Program> {
    compile_observed(graph, options, |_, _| {})
}

/// A program between two passes.
#[derive(Clone, Copy, Debug)]
pub enum Stage<'a> {
    /// Floats.
    Hlil(&'a Graph),
    /// Integers.
    Llil(&'a PublicProgram),
}

impl fmt::Display for Stage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hlil(graph) => graph.fmt(f),
            Self::Llil(program) => program.fmt(f),
        }
    }
}

/// What a program can be shown after: reading, then every pass in order.
pub fn stages() -> impl Iterator<Item = &'static str> {
    let floats = PIPELINE.iter().map(|(name, _)| *name);
    ["read"].into_iter().chain(floats).chain([
        "lower",
        "sink-truncation",
        "split-max-pool",
        "narrow",
    ])
}

/// [`compile_graph`], showing the program after each of the [`stages`]. It is checked there, too.
///
/// # Errors
/// As [`compile`].
pub fn compile_observed(
    graph: Graph,
    options: &CompileOptions,
    mut observe: impl FnMut(&str, Stage<'_>),
) -> Result<Program> {
    let CompileOptions { name, domain, scale, output, preprocess, limits, .. } = options.clone();
    if scale >= bits(domain) {
        return Err(Error::Overflow {
            tensor: "scale".into(),
            what: format!("{scale} bits after the binary point do not fit {domain}"),
            bitwidth: Some(scale.saturating_add(1)).filter(|&bits| bits <= 64),
        });
    }
    check_size(&graph, &limits)?;
    observe("read", Stage::Hlil(&graph));
    let graph =
        passes::run(graph, &kept(&options.skip)?, |name, graph| observe(name, Stage::Hlil(graph)))?;
    let lowered = lower(&graph, domain, scale, output)?;
    let mut public = PublicProgram {
        name,
        domain,
        scale,
        weight_bits: lowered.weight_bits,
        instructions: lowered.instructions,
        weights: lowered.infos,
        output_form: output,
        preprocess,
    };
    public.check(&limits)?;
    observe("lower", Stage::Llil(&public));
    (public.instructions, public.weights) =
        passes::sink_truncation(domain, &public.instructions, public.weights)?;
    public.check(&limits)?;
    observe("sink-truncation", Stage::Llil(&public));
    if !options.skip.iter().any(|name| name == "split-max-pool") {
        (public.instructions, public.weights) =
            passes::split_max_pool(domain, &public.instructions, public.weights)?;
        public.check(&limits)?;
    }
    observe("split-max-pool", Stage::Llil(&public));
    public.instructions = passes::narrow(&public, None)?;
    let program = Program { public, weights: lowered.weights };
    program.check(&limits)?;
    observe("narrow", Stage::Llil(&program.public));
    Ok(program)
}

/// Narrows comparisons and truncations of a program to what was observed on sample
/// inputs.
///
/// # Errors
/// [`Error::Misuse`] for observations of another program.
pub fn narrow(program: &mut Program, observed: &Calibration, limits: &Limits) -> Result<()> {
    program.public.instructions = passes::narrow(&program.public, Some(observed))?;
    program.check(limits)
}

/// The passes on floats without those that are left out.
fn kept(skip: &[String]) -> Result<Vec<passes::Pass>> {
    let names: Vec<&str> =
        PIPELINE.iter().map(|(name, _)| *name).chain(OPTIONAL.iter().copied()).collect();
    if let Some(unknown) = skip.iter().find(|name| !names.contains(&name.as_str())) {
        return Err(Error::invalid("pass to leave out", names.join(", "), unknown));
    }
    let kept = PIPELINE.iter().filter(|(name, _)| skip.iter().all(|skip| skip != name));
    Ok(kept.copied().collect())
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
