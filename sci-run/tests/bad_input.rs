//! Files and options that are not what they have to be.

mod common;

use common::run;
use std::fs;
use std::path::{Path, PathBuf};

fn asset(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("assets").join(name)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn models_that_are_none() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.onnx");
    let model = fs::read(asset("digits/model.onnx")).unwrap();
    let input = asset("digits/inputs/00.png");
    let mut contents = vec![Vec::new(), b"not a model at all".to_vec(), vec![0xff; 5000]];
    contents.extend([10, 1000, model.len() / 2, model.len() - 1].map(|n| model[..n].to_vec()));
    for bytes in contents {
        fs::write(&file, &bytes).unwrap();
        run(&["serve", text(&file), "--listen", "127.0.0.1:0"]).failed(1, &["model.onnx"]);
        run(&["--model", text(&file), "--input", text(&input)]).failed(1, &["model.onnx"]);
        run(&["compile", text(&file)]).failed(1, &["model.onnx"]);
        assert!(!folder.path().join("model.sci").exists(), "a program of a broken model");
    }
    run(&["serve", text(&folder.path().join("none.onnx"))]).failed(1, &["none.onnx"]);
    run(&["serve", text(folder.path()), "--once"]).failed(1, &["directory"]);
}

/// Not a run by OT alone that nobody asked for.
#[test]
fn batched_slots_where_there_are_none() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.sci");
    run(&["compile", "digits", "-o", text(&file)]).succeeded();
    let refused = |before: &[&str], after: &[&str], cause: &str, hint: &str| {
        let ran = run(&[before, &["--packing", "simd"], after].concat());
        ran.failed(2, &["--packing simd needs", cause]);
        assert!(ran.stderr.contains(&format!("\nhint: {hint}\n")), "{ran:?}");
    };
    let ring = |before: &[&str], after: &[&str]| refused(before, after, "Z_2^l", "--domain field");
    ring(&[], &[]);
    ring(&[], &["--backend", "auto", "--domain", "ring"]);
    ring(&["serve", "digits", "--listen", "127.0.0.1:0"], &[]);
    ring(&["serve", text(&file), "--listen", "127.0.0.1:0"], &[]);
    let narrow = ["--domain", "field", "--bitwidth", "12", "--scale", "4"];
    let field = |before: &[&str]| {
        let nearest = "--domain field --bitwidth 20, or --packing coefficient";
        refused(before, &narrow, "batched slots, and Z_4093 has none", nearest);
    };
    field(&[]);
    field(&["serve", "digits", "--listen", "127.0.0.1:0"]);
}

#[test]
fn program_files_that_are_none() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("model.sci");
    run(&["compile", "breast-cancer", "-o", text(&file)]).succeeded();
    let whole = fs::read(&file).unwrap();
    for n in [9, 20, 300, whole.len() - 1] {
        fs::write(&file, &whole[..n]).unwrap();
        run(&["inspect", text(&file)]).failed(1, &["model.sci"]);
    }
}

#[test]
fn inputs_of_the_wrong_kind() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    // 9 x 8 instead of 8 x 8.
    image::GrayImage::new(8, 9).save(at("tall.png")).unwrap();
    image::RgbImage::new(8, 8).save(at("colour.png")).unwrap();
    fs::write(at("noise.png"), [7; 200]).unwrap();
    fs::write(at("row.csv"), "1,2,3\n").unwrap();
    fs::write(at("words.csv"), "a,b\nc,d\n").unwrap();
    fs::write(at("empty.csv"), "").unwrap();
    let vast = b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776,), }";
    let mut vast = vast.to_vec();
    vast.resize(127, b' ');
    vast.push(b'\n');
    fs::write(at("vast.npy"), vast).unwrap();
    fs::write(at("what.bmp"), "BM").unwrap();
    for (name, words) in [
        ("tall.png", ["8 x 8", "9 x 8"]),
        ("colour.png", ["grey", "colour"]),
        ("noise.png", ["noise.png", "png"]),
        ("row.csv", ["64", "3"]),
        ("words.csv", ["line 2", "numbers"]),
        ("empty.csv", ["empty.csv", "row"]),
        ("vast.npy", ["vast.npy", "npy"]),
        ("what.bmp", ["extension", "bmp"]),
        ("none.png", ["none.png", "No such file"]),
    ] {
        run(&["--input", text(&at(name))]).failed(1, &words);
    }
}

#[test]
fn files_of_other_kinds_give_the_same_answer() {
    let folder = tempfile::tempdir().unwrap();
    let picture = image::open(asset("digits/inputs/07.png")).unwrap().to_luma8();
    let bytes = folder.path().join("bytes.npy");
    let floats = folder.path().join("floats.npy");
    let table = folder.path().join("row.csv");
    let array = ndarray::Array3::from_shape_vec((1, 8, 8), picture.into_raw()).unwrap();
    ndarray_npy::write_npy(&bytes, &array).unwrap();
    ndarray_npy::write_npy(&floats, &array.mapv(|p| f32::from(p) / 240.0)).unwrap();
    let row: Vec<String> = array.iter().map(ToString::to_string).collect();
    fs::write(&table, format!("{}\n{}\n", row.join(","), row.join(", "))).unwrap();
    let line = ["--json", "--output", "logits", "--input"];
    let files = [text(&bytes), text(&floats), text(&table)];
    let report = run(&[&line[..], &files].concat()).succeeded().json();
    assert_eq!(report["bitwise_equal"], true);
    let predictions = report["predictions"].as_array().unwrap();
    assert_eq!(predictions.len(), 4);
    for prediction in predictions {
        assert_eq!(prediction["class"], 7);
        assert_eq!(prediction["logits"], predictions[0]["logits"]);
    }
    assert!(predictions[3]["input"].as_str().unwrap().ends_with("row.csv:2"));
}

#[test]
fn preprocessing_that_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rule.toml");
    for (rule, word) in [("scale = ", "line 1"), ("colour = 1", "colour"), ("std = [0.0]", "std")] {
        fs::write(&file, rule).unwrap();
        run(&["serve", "digits", "--preprocess", text(&file)]).failed(1, &["rule.toml", word]);
    }
}

#[test]
fn precision_that_cannot_be() {
    run(&["--bitwidth", "0"]).failed(2, &["bitwidth", "1..=64", "0"]);
    run(&["--bitwidth", "65"]).failed(2, &["bitwidth", "1..=64", "65"]);
    run(&["--bitwidth", "12", "--scale", "12"]).failed(2, &["scale", "12"]);
    run(&["--scale", "50"]).failed(2, &["scale", "37", "50"]);
    let ran = run(&["--scale", "34"]);
    ran.failed(1, &["fit"]);
    assert!(ran.stderr.contains("hint: "), "{ran:?}");
    let ran = run(&["--bitwidth", "65", "--json"]);
    assert_eq!(ran.code, Some(2));
    assert_eq!(ran.json()["error"]["kind"], "usage");
}

#[test]
fn what_is_not_built_yet_is_refused_by_name() {
    let ran = run(&["--output", "topk"]);
    ran.failed(2, &["--output", "topk", "not built"]);
    assert!(ran.stderr.contains("hint: --"), "{ran:?}");
}

#[test]
fn addresses_beyond_this_machine_need_a_word() {
    run(&["serve", "digits", "--listen", "0.0.0.0:0"]).failed(2, &["--insecure-plaintext"]);
    run(&["infer", "digits", "--connect", "192.0.2.1:7700"]).failed(2, &["--insecure-plaintext"]);
}
