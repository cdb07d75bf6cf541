//! What a network costs by the formulas, before or without a run: payload and rounds are exact, seconds the planner's.

use crate::network::Run;
use crate::pair::Result;
use athos::PublicProgram;
use athos::hlil::{Graph, Op};
use athos::zoo::{self, Weights};
use sci_core::channel::shaped::LinkShape;
use sci_core::{AnyDomain, Cost};
use sci_ot::OtKind;
use sci_run::cli::{DomainKind, Plan};
use sci_run::linear::factor;
use sci_run::model::Source;
use sci_run::planner::{self, Backend, Request};
use sci_run::two_party::NetDomain;
use sci_run::{cost, zoo_command::DEFAULT_SEED};
use std::fs;
use std::path::PathBuf;

/// What one inference costs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Prediction {
    /// Payload both ways.
    pub payload: u64,
    /// Keys of lattice encryption, once a session: part of the set-up.
    pub keys: u64,
    /// What silent OT is predicted to expand from.
    pub expansion: u64,
    /// Rounds, the sum over all layers. Where two messages of the same party follow each other at the border of two
    /// layers, a run waits once less.
    pub rounds: u32,
    /// Payload of products alone.
    pub products: u64,
    /// What the planner takes for the time.
    pub seconds: f64,
    /// Elements that a ReLU is taken of.
    pub relus: u64,
    /// Multiplications in products.
    pub macs: u64,
}

/// Predicts a run of one input.
///
/// # Errors
/// What is wrong with the model, and a plan that has no parameters.
pub fn predict(run: &Run) -> Result<Prediction> {
    let (bitwidth, scale) = run.fixed;
    let backend = match run.backend {
        "ot" => Backend::Ot,
        "he" => Backend::He,
        _ => Backend::Auto,
    };
    let plan = Plan {
        bitwidth: Some(bitwidth),
        scale: Some(scale),
        backend,
        domain: run.domain.map(|_| DomainKind::Field),
        ot: if run.ot.is_some() { OtKind::Iknp } else { OtKind::Silent },
        ..Plan::default()
    };
    let link: LinkShape = run.link.parse().map_err(text)?;
    let program = Source::parse(&run.model).and_then(|source| source.load(&plan)).map_err(text)?;
    match program.public.domain {
        AnyDomain::Ring(ring) => over(&program.public, ring, &plan, link, run.threads),
        AnyDomain::Field(field) => over(&program.public, field, &plan, link, run.threads),
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn over<D: NetDomain>(
    program: &PublicProgram,
    domain: D,
    plan: &Plan,
    link: LinkShape,
    threads: usize,
) -> Result<Prediction> {
    let request = Request {
        backend: plan.backend,
        style: plan.style_over(domain.any()),
        exactness: plan.exactness,
        link,
        threads,
        ot: plan.ot,
        radix: plan.radix,
    };
    let decision = planner::decide(program, domain, &request).map_err(text)?;
    let layers =
        cost::layers(program, domain, &decision.protocols, decision.settings).map_err(text)?;
    let (seconds, bytes) = planner::predict(program, domain, &decision, &request).map_err(text)?;
    let keys = decision.protocols.key_cost().bytes();
    let total = layers.iter().fold(Cost::ZERO, |sum, layer| sum + layer.cost);
    let products = program.instructions.iter().zip(&layers);
    let products = products.filter(|(instruction, _)| factor(&instruction.op).is_some());
    let products = products.fold(Cost::ZERO, |sum, (_, layer)| sum + layer.cost);
    let relus = program.instructions.iter().filter(|i| i.op.name() == "Relu");
    Ok(Prediction {
        payload: total.bytes(),
        keys,
        expansion: bytes.saturating_sub(total.bytes() + keys),
        rounds: total.rounds,
        products: products.bytes(),
        seconds,
        relus: relus.map(|i| i.output.len() as u64).sum(),
        macs: program.macs(),
    })
}

/// Every `step`-th convolution of an architecture of the zoo, each as a network of its own, in a file.
///
/// # Errors
/// An architecture that is not known, and those of the files.
pub fn sample_of_convolutions(architecture: &str, step: usize) -> Result<Vec<(String, PathBuf)>> {
    let found = zoo::find(architecture).ok_or(format!("no architecture {architecture}"))?;
    let graph = found.graph(Weights::Seeded(DEFAULT_SEED)).map_err(text)?;
    let convolutions = graph.nodes().iter().filter(|node| matches!(node.op, Op::Conv { .. }));
    let sample = convolutions.skip(1).step_by(step.max(1));
    let written = sample.map(|node| {
        let mut alone = Graph::default();
        let mut inputs = Vec::new();
        for (i, &id) in node.inputs.iter().enumerate() {
            let of = graph.node(id)?;
            let op = match &of.op {
                Op::Constant(tensor) if i > 0 => Op::Constant(tensor.clone()),
                _ => Op::Input { shape: of.shape.clone() },
            };
            inputs.push(alone.push(&of.name, op, &[])?);
        }
        let output = alone.push(&node.name, node.op.clone(), &inputs)?;
        alone.set_output(output);
        Ok((node.name.clone(), zoo::to_onnx(&alone, &node.name)?))
    });
    let written = written.collect::<athos::Result<Vec<_>>>().map_err(text)?;
    let directory = crate::network::scratch()?;
    let to_file = |(name, onnx): (String, Vec<u8>)| {
        let path = directory.join(format!("{architecture}-{}.onnx", name.replace('/', "_")));
        fs::write(&path, onnx).map_err(|e| format!("{}: {e}", path.display()))?;
        Ok((name, path))
    };
    written.into_iter().map(to_file).collect()
}
