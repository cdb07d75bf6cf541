//! Architectures by name: listed, exported, run.

mod common;

use common::run;

#[test]
fn names_are_listed_and_files_written() {
    let listed = run(&["zoo", "list", "--json"]);
    assert_eq!(listed.code, Some(0), "{listed:?}");
    let all = listed.json()["architectures"].as_array().unwrap().clone();
    assert!(all.iter().any(|x| x["name"] == "squeezenet1_1"), "{all:?}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.onnx");
    let path = path.to_str().unwrap();
    let exported = run(&["zoo", "export", "secureml_mlp", "-o", path]);
    assert_eq!(exported.code, Some(0), "{exported:?}");
    // The file compiles to the program of the name.
    let digest = |model| run(&["inspect", model, "--json"]).json()["macs"].clone();
    assert_eq!(digest(path), digest("secureml_mlp"));
    assert_eq!(digest(path), 118_016);
}

#[test]
fn a_name_of_the_zoo_runs_on_noise() {
    let ran = run(&["--model", "logistic_regression", "--json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ran.json()["bitwise_equal"], true);
}
