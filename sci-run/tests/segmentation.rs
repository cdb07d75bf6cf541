//! A network with a class for every voxel, whose file leaves the size of the volume open.

mod common;

use athos::frontend::onnx::proto::{
    AttributeProto, Dimension, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto, dimension,
};
use common::{run, serve};
use ndarray::{Array3, ArrayD};
use prost::Message;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

const FLOAT: i32 = 1;
const INTS: i32 = 7;
const SHAPE: &str = "1x1x4x5x6";

/// Of a voxel v the logits 0.5, v and 1 - 2 v: class 2 for the dark ones, 1 for the bright ones, 0 in between.
fn model() -> Vec<u8> {
    let tensor = |name: &str, dims: &[i64], data: &[f32]| TensorProto {
        name: name.into(),
        dims: dims.to_vec(),
        data_type: FLOAT,
        float_data: data.to_vec(),
        ..TensorProto::default()
    };
    let value = |name: &str, channels: i64| {
        let axis = |length| Dimension { value: Some(dimension::Value::DimValue(length)) };
        let open = || Dimension { value: None };
        let dim = vec![open(), axis(channels), open(), open(), open()];
        let shape = Some(TensorShapeProto { dim });
        let tensor_type = Some(TensorTypeProto { elem_type: FLOAT, shape });
        ValueInfoProto { name: name.into(), r#type: Some(TypeProto { tensor_type }) }
    };
    let kernel = AttributeProto {
        name: "kernel_shape".into(),
        ints: vec![1, 1, 1],
        r#type: INTS,
        ..AttributeProto::default()
    };
    let conv = NodeProto {
        name: "voxels".into(),
        op_type: "Conv".into(),
        input: ["volume", "weight", "bias"].map(String::from).to_vec(),
        output: vec!["logits".into()],
        attribute: vec![kernel],
        ..NodeProto::default()
    };
    let graph = GraphProto {
        name: "segmentation".into(),
        node: vec![conv],
        initializer: vec![
            tensor("weight", &[3, 1, 1, 1, 1], &[0.0, 1.0, -2.0]),
            tensor("bias", &[3], &[0.5, 0.0, 1.0]),
        ],
        input: vec![value("volume", 1)],
        output: vec![value("logits", 3)],
        ..GraphProto::default()
    };
    let opset = OperatorSetIdProto { domain: String::new(), version: 13 };
    ModelProto { ir_version: 8, graph: Some(graph), opset_import: vec![opset] }.encode_to_vec()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Model, preprocessing and volume as files, and the classes of the voxels.
fn files(folder: &Path) -> ([String; 3], Array3<u8>) {
    let voxel = |(i, j, k): (usize, usize, usize)| [0u8, 77, 204][(i * j + k) % 3];
    let volume = Array3::from_shape_fn((4, 5, 6), voxel);
    let [onnx, rule, npy] = ["net.onnx", "net.toml", "volume.npy"].map(|name| folder.join(name));
    fs::write(&onnx, model()).unwrap();
    let classes = "classes = [\"between\", \"bright\", \"dark\"]";
    let scale = 1.0 / 255.0;
    fs::write(&rule, format!("kind = \"tensor\"\nscale = {scale}\n{classes}\n")).unwrap();
    ndarray_npy::write_npy(&npy, &volume).unwrap();
    let labels = volume.mapv(|v| match v {
        0 => 2,
        77 => 0,
        _ => 1,
    });
    ([onnx, rule, npy].map(|path| text(&path).to_string()), labels)
}

fn counts(labels: &Array3<u8>) -> Value {
    json!([0u8, 1, 2].map(|class| labels.iter().filter(|&&label| label == class).count()))
}

#[test]
fn every_voxel_gets_its_class() {
    let folder = tempfile::tempdir().unwrap();
    let ([onnx, rule, npy], labels) = files(folder.path());
    let out = folder.path().join("labels.npy");
    let line = ["--model", &onnx, "--preprocess", &rule, "--input-shape", SHAPE, "--json"];
    for form in ["argmax", "logits"] {
        let more = ["--output", form, "--output-file", text(&out), "--input", &npy];
        let report = run(&[&line[..], &more].concat()).succeeded().json();
        assert_eq!(report["bitwise_equal"], true);
        let prediction = &report["predictions"][0];
        assert!(prediction["class"].is_null() && prediction["logits"].is_null(), "{prediction}");
        assert_eq!(prediction["map"], json!({"shape": [1, 4, 5, 6], "counts": counts(&labels)}));
        if form == "argmax" {
            let written: ArrayD<u8> = ndarray_npy::read_npy(&out).unwrap();
            assert_eq!(written.shape(), [1, 4, 5, 6]);
            assert!(written.iter().eq(labels.iter()));
        } else {
            let written: ArrayD<f64> = ndarray_npy::read_npy(&out).unwrap();
            assert_eq!(written.shape(), [1, 3, 4, 5, 6]);
            assert!((written[[0, 0, 0, 0, 0]] - 0.5).abs() < 1e-2);
        }
    }
    let more = ["--model", &onnx, "--preprocess", &rule, "--input-shape", SHAPE, "--input", &npy];
    let ran = run(&more).succeeded();
    for word in ["1x4x5x6", "between", "bright", "dark", "%"] {
        assert!(ran.stdout.contains(word), "{word}: {ran:?}");
    }
}

#[test]
fn the_client_of_a_server_writes_the_classes_of_all_its_volumes() {
    let folder = tempfile::tempdir().unwrap();
    let ([onnx, rule, npy], labels) = files(folder.path());
    let (server, address) =
        serve(&[&onnx, "--preprocess", &rule, "--input-shape", SHAPE, "--once"]);
    let out = folder.path().join("labels.npy");
    let line = ["infer", &npy, &npy, "--connect", &address, "--output-file", text(&out)];
    run(&line).succeeded();
    server.wait().succeeded();
    let written: ArrayD<u8> = ndarray_npy::read_npy(&out).unwrap();
    assert_eq!(written.shape(), [2, 4, 5, 6]);
    assert!(written.iter().eq(labels.iter().chain(labels.iter())));
}

#[test]
fn an_open_shape_has_to_be_said_and_to_fit() {
    let folder = tempfile::tempdir().unwrap();
    let ([onnx, ..], _) = files(folder.path());
    run(&["inspect", &onnx]).failed(1, &["net.onnx", "input shape"]);
    run(&["inspect", &onnx, "--input-shape", "1x2x4x5x6"]).failed(1, &["axis 1", "2"]);
    run(&["inspect", &onnx, "--input-shape", "1x1x4x5"]).failed(1, &["rank", "4"]);
    run(&["inspect", &onnx, "--input-shape", "4by5"]).failed(2, &["input-shape", "4by5"]);
    run(&["inspect", "digits", "--input-shape", "1x1x8x8"]).failed(2, &["digits", "its own"]);
    let program = folder.path().join("net.sci");
    let line = ["compile", &onnx, "--input-shape", SHAPE, "-o", text(&program)];
    run(&line).succeeded();
    let line = ["inspect", text(&program), "--input-shape", SHAPE];
    run(&line).failed(2, &["input-shape", "inside the program file"]);
    let report = run(&["inspect", text(&program), "--json"]).succeeded().json();
    assert_eq!(report["input_shape"], json!([1, 1, 4, 5, 6]));
    assert_eq!(report["output_shape"], json!([1, 4, 5, 6]));
}
