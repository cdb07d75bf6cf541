//! Programs narrowed to a folder of inputs, by the built program.

mod common;

use common::run;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The pictures of the embedded digits, and the program that is narrowed to them.
fn narrowed(folder: &Path) -> (PathBuf, Value) {
    let pictures = folder.join("pictures");
    fs::create_dir(&pictures).unwrap();
    let assets = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/digits/inputs");
    for entry in fs::read_dir(assets).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), pictures.join(entry.file_name())).unwrap();
    }
    let program = folder.join("narrow.sci");
    let line =
        ["compile", "digits", "--calibrate", text(&pictures), "-o", text(&program), "--json"];
    let summary = run(&line).succeeded().json();
    (program, summary)
}

/// An input a hundred times as bright as any picture.
fn glaring(folder: &Path) -> PathBuf {
    let path = folder.join("glaring.npy");
    let array = ndarray::Array3::from_shape_fn((1, 8, 8), |(_, i, j)| ((i * j) % 7 * 100) as f32);
    ndarray_npy::write_npy(&path, &array).unwrap();
    path
}

fn bytes(report: &Value) -> u64 {
    report["bytes"]["total"].as_u64().unwrap()
}

#[test]
fn a_narrowed_program_is_cheaper_and_predicts_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (program, summary) = narrowed(folder.path());
    assert!(summary["narrowed"].as_u64().unwrap() > 3, "{summary}");
    assert_eq!(run(&["inspect", text(&program), "--json"]).succeeded().json(), summary);
    let wide = run(&["compile", "digits", "-o", text(&folder.path().join("wide.sci")), "--json"]);
    let wide = wide.succeeded().json();
    assert_eq!(wide["narrowed"], 0);
    assert_eq!(wide["macs"], summary["macs"]);

    let line = ["--json", "--backend", "ot", "--output", "argmax", "--radix", "4"];
    let full = run(&line).succeeded().json();
    let narrow = run(&[&line[..], &["--model", text(&program), "--input", "digits"]].concat());
    let narrow = narrow.succeeded().json();
    assert_eq!(narrow["bitwise_equal"], true);
    assert_eq!(narrow["predictions"], full["predictions"]);
    let comparisons = |report: &Value| {
        let layers = report["layers"].as_array().unwrap().iter();
        let compared =
            |layer: &&Value| ["Relu", "MaxPool", "ArgMax"].iter().any(|op| layer["op"] == *op);
        layers.filter(compared).map(|layer| layer["bytes"].as_u64().unwrap()).sum::<u64>()
    };
    assert!(bytes(&narrow) < bytes(&full));
    let (before, after) = (comparisons(&full), comparisons(&narrow));
    assert!(after * 10 < before * 9, "{before} to {after}");

    let check = ["check", text(&program), "--json", "--secure", "--input", "digits"];
    let report = run(&check).succeeded().json();
    assert_eq!((&report["outside_inputs"], &report["changed_outputs"]), (&0.into(), &0.into()));
    assert_eq!(report["bitwise_equal"], true);
    assert!(report["first_overflow"].is_null(), "{report}");
    // Ten inputs, tensor by tensor.
    let tensors = report["secure_tensors"].as_u64().unwrap();
    assert!(tensors >= 100 && tensors.is_multiple_of(10), "{report}");
    assert!(report["first_secure_difference"].is_null(), "{report}");
}

#[test]
fn an_input_outside_of_the_calibrated_range_is_named_and_still_exact() {
    let folder = tempfile::tempdir().unwrap();
    let (program, _) = narrowed(folder.path());
    let glaring = glaring(folder.path());
    let inputs = ["--input", "digits", text(&glaring)];
    let ran = run(&[&["check", text(&program), "--json"], &inputs[..]].concat());
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let report = ran.json();
    assert_eq!((&report["inputs"], &report["outside_inputs"]), (&11.into(), &1.into()));
    let layers = report["layers"].as_array().unwrap();
    let left: Vec<&Value> = layers.iter().filter(|layer| layer["outside"] == 1).collect();
    assert!(!left.is_empty(), "{report}");
    for layer in left {
        assert_eq!(layer["narrowed"], true);
        assert!(layer["first_outside"].as_str().unwrap().ends_with("glaring.npy"), "{layer}");
    }
    let ran = run(&[&["check", text(&program)], &inputs[..]].concat());
    assert!(ran.stdout.contains("1 of 11 inputs leave the calibrated range"), "{ran:?}");
    assert!(ran.stdout.contains("outside for 1 inputs"), "{ran:?}");
    // What such an input computes is defined, and both parties compute it.
    let line = ["--model", text(&program), "--json", "--input", text(&glaring)];
    assert_eq!(run(&line).succeeded().json()["bitwise_equal"], true);
}

#[test]
fn a_server_serves_a_narrowed_program() {
    let folder = tempfile::tempdir().unwrap();
    let (program, summary) = narrowed(folder.path());
    let (server, address) = common::serve(&[text(&program), "--once"]);
    let picture = folder.path().join("pictures/03.png");
    let line = ["infer", text(&picture), "--connect", &address, "--json"];
    let report = run(&line).succeeded().json();
    assert_eq!(report["digest"], summary["digest"]);
    assert_eq!(report["predictions"][0]["class"], 3);
    server.wait().succeeded();
}

#[test]
fn narrowing_anew_forgets_what_was_narrowed_before() {
    let folder = tempfile::tempdir().unwrap();
    let (program, summary) = narrowed(folder.path());
    let pictures = folder.path().join("pictures");
    let again = |margin: &str, name: &str| {
        let file = folder.path().join(name);
        let line = ["compile", text(&program), "--calibrate", text(&pictures), "-o", text(&file)];
        run(&[&line[..], &["--margin", margin, "--json"]].concat()).succeeded().json()
    };
    assert_eq!(again("1", "same.sci")["digest"], summary["digest"]);
    assert_eq!(again("64", "full.sci")["narrowed"], 0);
}

#[test]
fn what_a_program_cannot_be_narrowed_to() {
    let folder = tempfile::tempdir().unwrap();
    let empty = text(folder.path());
    run(&["compile", "digits", "--calibrate", empty]).failed(1, &["inputs", "none"]);
    let field = folder.path().join("field.sci");
    run(&["compile", "digits", "--domain", "field", "-o", text(&field)]).succeeded();
    glaring(folder.path());
    let out = folder.path().join("out.sci");
    let line = ["compile", text(&field), "--calibrate", empty, "-o", text(&out)];
    run(&line).failed(1, &["field"]);
    assert!(!out.exists(), "a program that could not be narrowed");
}

#[test]
fn inspect_shows_ranges_bits_and_counts() {
    let ran = run(&["inspect", "digits"]).succeeded();
    for word in ["truncations", "macs", "relus", "certain range", "looks at", "of 37 bits"] {
        assert!(ran.stdout.contains(word), "{word}: {ran:?}");
    }
    let report = run(&["inspect", "digits", "--json"]).succeeded().json();
    let tensors = report["tensors"].as_array().unwrap();
    assert_eq!(tensors.len() as u64, report["instructions"].as_u64().unwrap());
    for tensor in tensors.iter().filter(|tensor| tensor["op"] == "Relu") {
        assert!(tensor["low"].as_i64().unwrap() >= 0, "{tensor}");
    }
    let product = |shape: &Value| -> u64 {
        shape.as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).product()
    };
    let relus = tensors.iter().filter(|tensor| tensor["op"] == "Relu");
    assert_eq!(relus.map(|tensor| product(&tensor["shape"])).sum::<u64>(), report["relus"]);
}

#[test]
fn the_program_is_printed_after_every_stage() {
    let after = |stage: &str| run(&["compile", "digits", "--dump-after", stage]).succeeded().stdout;
    let read = after("read");
    let lowered = after("lower");
    let narrowed = after("narrow");
    assert!(read.contains("Conv") && !read.contains("Truncate"), "{read}");
    assert!(lowered.contains("Truncate"), "{lowered}");
    assert_ne!(lowered, after("sink-truncation"));
    assert_eq!(narrowed, run(&["compile", "digits", "--emit", "llil"]).succeeded().stdout);
    assert_eq!(read, run(&["compile", "digits", "--emit", "hlil"]).succeeded().stdout);
    let stages = ["fold-affine", "switch-relu-max-pool", "remove-dead-code"];
    assert!(stages.iter().all(|stage| !after(stage).is_empty()));
    run(&["compile", "digits", "--dump-after", "polish"]).failed(2, &["polish", "read", "narrow"]);
    for form in [["--dump-after", "read"], ["--emit", "llil"]] {
        let refused = run(&[["compile", "digits"], form, ["--json", "-v"]].concat());
        assert_eq!(refused.code, Some(2), "{refused:?}");
        assert!(
            refused.json()["error"]["message"].as_str().unwrap().contains("text"),
            "{refused:?}"
        );
    }
}
