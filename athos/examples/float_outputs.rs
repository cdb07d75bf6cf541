//! What the float interpreter computes for models, for another program to compare with.
//!
//! `cargo run --release -p athos --example float_outputs -- FOLDER MODEL...` with each MODEL a name of the
//! zoo (seeded random weights), `random:N` (the N-th random network), or an ONNX file, perhaps followed
//! by `=` and the shape of its input, as in `net.onnx=1x1x32x32x32`. For each it writes below FOLDER a
//! folder with `model.onnx`, `input.npy` (seeded noise in -1..1), `output.npy` (what the graph returns as
//! it was read) and `compiled.npy` (what it returns behind all passes on floats).

use athos::hlil::Graph;
use athos::testing::{Numbers, random_network};
use athos::{frontend, passes, zoo};
use std::error::Error;
use std::path::Path;

/// A graph, and the ONNX file that says the same.
fn load(model: &str) -> Result<(String, Graph, Vec<u8>), Box<dyn Error>> {
    if let Some(seed) = model.strip_prefix("random:") {
        let (name, graph) = (format!("random{seed}"), random_network(seed.parse()?)?);
        let onnx = zoo::to_onnx(&graph, &name)?;
        return Ok((name, graph, onnx));
    }
    if let Some(architecture) = zoo::find(model) {
        let graph = architecture.graph(zoo::Weights::Seeded(1))?;
        let onnx = zoo::to_onnx(&graph, model)?;
        return Ok((model.to_owned(), graph, onnx));
    }
    let (path, shape) = match model.rsplit_once('=') {
        Some((path, axes)) => {
            let axes: Result<Vec<usize>, _> = axes.split('x').map(str::parse).collect();
            (path, Some(axes?))
        }
        None => (model, None),
    };
    let onnx = std::fs::read(path)?;
    let graph = frontend::onnx::read(&onnx, shape.as_deref())?;
    let name = Path::new(path).file_stem().ok_or("a path without a name")?;
    Ok((name.to_string_lossy().into_owned(), graph, onnx))
}

/// NPY, version 1.0.
fn npy(shape: &[usize], data: &[f32]) -> Vec<u8> {
    let axes: String = shape.iter().map(|n| format!("{n}, ")).collect();
    let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({axes}), }}");
    // Magic, version, length, header and a newline fill a multiple of 64 bytes.
    let len = (10 + header.len() + 1).next_multiple_of(64) - 10;
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((len as u16).to_le_bytes());
    bytes.extend(format!("{header:<width$}\n", width = len - 1).as_bytes());
    bytes.extend(data.iter().flat_map(|x| x.to_le_bytes()));
    bytes
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("usage: float_outputs FOLDER MODEL...")?;
    for model in arguments {
        let (name, graph, onnx) = load(&model).map_err(|e| format!("{model}: {e}"))?;
        let shape = graph.nodes().first().ok_or("a graph without input")?.shape.clone();
        let mut numbers = Numbers::new(5);
        let input: Vec<f32> = (0..shape.iter().product())
            .map(|_| (numbers.next_u64() >> 40) as f32 / (1 << 23) as f32 - 1.0)
            .collect();
        let output = graph.evaluate(&input)?;
        let compiled = passes::run(graph, passes::PIPELINE, |_, _| {})?.evaluate(&input)?;
        let folder = Path::new(&folder).join(&name);
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join("model.onnx"), onnx)?;
        std::fs::write(folder.join("input.npy"), npy(&shape, &input))?;
        std::fs::write(folder.join("output.npy"), npy(output.shape(), output.data()))?;
        std::fs::write(folder.join("compiled.npy"), npy(compiled.shape(), compiled.data()))?;
    }
    Ok(())
}
