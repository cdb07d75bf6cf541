//! The node test cases of the ONNX project (PyPI package `onnx`, folder `backend/test/data/node`).
//!
//! `SCI_ONNX_NODE_TESTS` names that folder; without it the test says so and passes. Every case whose
//! operators are all in the registry is compiled and run by the cleartext engine, all inputs but the
//! first being constants of the model. `tests/conformance/onnx_node_tests.txt` lists what was run and
//! what was not, with the reason, and how many cases ran with each operator; `ATHOS_BLESS=1` rewrites it.

use athos::frontend::onnx::operators;
use athos::frontend::onnx::proto::{GraphProto, ModelProto, TensorProto};
use athos::llil::WeightRole;
use athos::{CompileOptions, OutputForm, Program, WeightId, cleartext, compile, quantise};
use prost::Message;
use sci_core::AnyDomain;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Operators without a case that can run, and why; other tests cover them.
const NOT_COVERED: &[(&str, &str)] = &[
    ("Cast", "its floats are too large for fixed point, or infinite"),
    ("Constant", "it has no input"),
    ("ConstantOfShape", "it makes constants"),
    ("Shape", "it makes constants"),
];
const SCALE: u32 = 16;
const BITWIDTH: u32 = 62;

fn folder() -> Option<PathBuf> {
    match std::env::var_os("SCI_ONNX_NODE_TESTS") {
        Some(folder) => Some(folder.into()),
        None => {
            eprintln!("skipped: SCI_ONNX_NODE_TESTS does not name ONNX's node test cases");
            None
        }
    }
}

fn decode<M: Message + Default>(path: &Path) -> M {
    M::decode(&*std::fs::read(path).unwrap()).unwrap()
}

/// The numbers of a float tensor.
fn floats(tensor: &TensorProto) -> Option<Vec<f32>> {
    let raw = &tensor.raw_data;
    match tensor.data_type {
        1 if raw.is_empty() => Some(tensor.float_data.clone()),
        1 => Some(raw.as_chunks().0.iter().map(|x| f32::from_le_bytes(*x)).collect()),
        11 if raw.is_empty() => Some(tensor.double_data.iter().map(|&x| x as f32).collect()),
        11 => Some(raw.as_chunks().0.iter().map(|x| f64::from_le_bytes(*x) as f32).collect()),
        _ => None,
    }
}

/// The numbers of an expected output: floats, or indices.
fn numbers(tensor: &TensorProto) -> Option<Vec<f32>> {
    let raw = &tensor.raw_data;
    match tensor.data_type {
        7 if raw.is_empty() => Some(tensor.int64_data.iter().map(|&x| x as f32).collect()),
        7 => Some(raw.as_chunks().0.iter().map(|x| i64::from_le_bytes(*x) as f32).collect()),
        _ => floats(tensor),
    }
}

fn graph(model: &mut ModelProto) -> &mut GraphProto {
    model.graph.as_mut().unwrap()
}

/// What the fixed-point run may differ by: a product of x and w, each short by less than 2^-s, is
/// short by less than (|x| + |w| + 1) 2^-s; a few more roundings come on top, and those of the floats.
fn tolerance(program: &Program, input: &[f32], expected: &[f32]) -> f32 {
    let unit = 1.0 / (1u64 << SCALE) as f32;
    let largest = |x: &[f32]| x.iter().fold(0f32, |m, v| m.max(v.abs()));
    let factors = program.public.weights.iter().enumerate();
    let weights = factors.filter(|(_, info)| info.role == WeightRole::Factor).map(|(i, info)| {
        let integers = program.weights.get(WeightId(i as u32)).unwrap().to_signed();
        let largest = integers.iter().map(|v| v.unsigned_abs()).max().unwrap_or(0);
        largest as f32 / (1u64 << info.scale) as f32
    });
    let weight = weights.fold(0f32, f32::max);
    let terms = program.public.macs() as f32 / program.public.output().unwrap().len() as f32;
    let products = (terms + 1.0) * (largest(input) + weight + 1.0) * unit;
    products + 8.0 * unit + 1e-5 * largest(expected)
}

/// The index of the first largest number along an axis.
fn arg_max(values: &[f32], shape: &[i64], axis: i64) -> Vec<f32> {
    let axis = if axis < 0 { axis + shape.len() as i64 } else { axis } as usize;
    let (len, inner) = (shape[axis] as usize, shape[axis + 1..].iter().product::<i64>() as usize);
    let block = |block: &[f32], i: usize| {
        let value = |k: usize| block[k * inner + i];
        (1..len).fold(0, |best, k| if value(k) > value(best) { k } else { best }) as f32
    };
    values.chunks(len * inner).flat_map(|x| (0..inner).map(move |i| block(x, i))).collect()
}

/// Runs one output of a case. An error is the reason for which it cannot be run.
fn run(model: &ModelProto, input: &TensorProto, expected: &TensorProto) -> Result<(), String> {
    let last = model.graph.as_ref().unwrap().node.last().unwrap();
    let ranking = matches!(last.op_type.as_str(), "Softmax" | "LogSoftmax");
    let by_index = ranking || last.op_type == "ArgMax";
    let x = floats(input).ok_or("its first input is not of floats")?;
    let mut options = CompileOptions::new(AnyDomain::ring(BITWIDTH).unwrap(), SCALE);
    options.output = if by_index { OutputForm::ArgMax } else { OutputForm::Logits };
    options.input_shape = Some(input.dims.iter().map(|&n| n as usize).collect());
    let program = compile(&model.encode_to_vec(), &options).map_err(|e| e.to_string())?;
    let quantised = quantise(&x, SCALE, program.public.domain).map_err(|e| e.to_string())?;
    let got = cleartext::run(&program, &quantised).map_err(|e| e.to_string())?;
    let unit = if by_index { 1.0 } else { 1.0 / (1u64 << SCALE) as f32 };
    let got: Vec<f32> = got.into_iter().map(|v| v as f32 * unit).collect();
    let mut expected_values = numbers(expected).ok_or("its output is not of numbers")?;
    if ranking {
        let old = model.opset_import.iter().any(|x| x.domain.is_empty() && x.version < 13);
        let default = if old { 1 } else { -1 };
        let axis = last.attribute.iter().find(|a| a.name == "axis").map_or(default, |a| a.i);
        expected_values = arg_max(&expected_values, &expected.dims, axis);
    } else if !by_index {
        let shape: Vec<i64> =
            program.public.output().unwrap().shape.iter().map(|&n| n as i64).collect();
        assert_eq!(shape, expected.dims, "{}\n{}", last.op_type, program.public);
    }
    let tolerance = if by_index { 0.0 } else { tolerance(&program, &x, &expected_values) };
    assert_eq!(got.len(), expected_values.len(), "{}", program.public);
    for (i, (got, expected)) in got.iter().zip(&expected_values).enumerate() {
        let difference = (got - expected).abs();
        assert!(
            difference <= tolerance,
            "element {i}: {got} instead of {expected}, off by {difference} > {tolerance}\n{}",
            program.public
        );
    }
    Ok(())
}

/// All outputs of a case.
fn case(folder: &Path) -> Result<(), String> {
    let mut model: ModelProto = decode(&folder.join("model.onnx"));
    let data = folder.join("test_data_set_0");
    let inputs = graph(&mut model).input.clone();
    let first = inputs.first().ok_or("it has no input")?.clone();
    for (i, declared) in inputs.iter().enumerate().skip(1) {
        if let Some(declared) = &declared.r#type
            && declared.tensor_type.is_none()
        {
            return Err("an input is no tensor".into());
        }
        let mut tensor: TensorProto = decode(&data.join(format!("input_{i}.pb")));
        tensor.name.clone_from(&declared.name);
        graph(&mut model).initializer.push(tensor);
    }
    if first.tensor_type().is_none() {
        return Err("its input is no tensor".into());
    }
    graph(&mut model).input = vec![first];
    let input: TensorProto = decode(&data.join("input_0.pb"));
    let outputs = std::mem::take(&mut graph(&mut model).output);
    for (i, output) in outputs.iter().enumerate() {
        graph(&mut model).output = vec![output.clone()];
        let expected: TensorProto = decode(&data.join(format!("output_{i}.pb")));
        match run(&model, &input, &expected) {
            // A mask or index beside the result is no part of inference.
            Err(_) if i > 0 && graph(&mut model).node.last().unwrap().op_type != "Split" => {}
            outcome => outcome?,
        }
    }
    Ok(())
}

#[test]
fn node_tests_of_the_onnx_project() {
    let Some(folder) = folder() else { return };
    let known: Vec<&str> = operators().collect();
    let mut names: Vec<String> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let (mut text, mut run, mut failed) = (String::new(), 0, Vec::new());
    let mut covered: BTreeMap<&str, usize> = known.iter().map(|op| (*op, 0)).collect();
    for name in names {
        let path = folder.join(&name);
        let Ok(bytes) = std::fs::read(path.join("model.onnx")) else { continue };
        let model = ModelProto::decode(&*bytes).unwrap();
        let Some(graph) = &model.graph else { continue };
        if !graph.node.iter().all(|node| {
            matches!(node.domain.as_str(), "" | "ai.onnx") && known.contains(&node.op_type.as_str())
        }) {
            continue;
        }
        match std::panic::catch_unwind(|| case(&path)) {
            Ok(Ok(())) => {
                run += 1;
                text += &format!("run  {name}\n");
                let ops: BTreeSet<&str> = graph.node.iter().map(|x| x.op_type.as_str()).collect();
                covered.iter_mut().for_each(|(op, n)| *n += usize::from(ops.contains(op)));
            }
            Ok(Err(reason)) => text += &format!("skip {name}: {}\n", reason.replace('\n', " ")),
            Err(_) => failed.push(name),
        }
    }
    assert!(failed.is_empty(), "{failed:?}");
    assert!(run > 150, "{run} cases");
    let mut missing = Vec::new();
    for (op, cases) in &covered {
        let reason = NOT_COVERED.iter().find(|(known, _)| known == op).map(|(_, reason)| reason);
        match (cases, reason) {
            (0, Some(reason)) => text += &format!("operator {op}: none, {reason}\n"),
            (0, None) => missing.push(op),
            _ => text += &format!("operator {op}: {cases} run\n"),
        }
    }
    assert!(missing.is_empty(), "no case ran with {missing:?}");
    let list = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/onnx_node_tests.txt");
    if std::env::var_os("ATHOS_BLESS").is_some() {
        std::fs::write(&list, &text).unwrap();
    }
    let committed = std::fs::read_to_string(&list).unwrap();
    for (now, before) in text.lines().zip(committed.lines()) {
        assert_eq!(now, before, "see ATHOS_BLESS");
    }
    assert_eq!(text.lines().count(), committed.lines().count());
}
