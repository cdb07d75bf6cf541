//! The default run: two processes, compared with cleartext.

mod common;

use common::{run, start};
use serde_json::Value;
use std::time::Duration;

fn check(report: &Value, model: &str, least_right: usize) {
    assert_eq!(report["schema"], 1);
    assert_eq!(report["model"], model);
    assert_eq!(report["bitwise_equal"], true);
    assert_eq!(report["exact"], true);
    assert_eq!(report["digest"].as_str().unwrap().len(), 64);
    let predictions = report["predictions"].as_array().unwrap();
    assert_eq!(predictions.len(), 10);
    let right = predictions.iter().filter(|p| p["class"] == p["label"]).count();
    assert!(right >= least_right, "{right} right: {report}");
    let bytes = &report["bytes"];
    let number = |value: &Value| value.as_u64().unwrap();
    let (up, down) = (number(&bytes["client_to_server"]), number(&bytes["server_to_client"]));
    assert!(up > 0 && down > 0);
    assert_eq!(number(&bytes["total"]), up + down);
    assert!(number(&report["rounds"]) > 0);
    let seconds = &report["seconds"];
    let parts = ["setup", "offline", "online"].map(|part| seconds[part].as_f64().unwrap());
    assert!((parts.iter().sum::<f64>() - seconds["total"].as_f64().unwrap()).abs() < 1e-6);
    let layers = report["layers"].as_array().unwrap();
    assert!(layers.len() > 3, "{layers:?}");
    let sum: u64 = layers.iter().map(|layer| number(&layer["bytes"])).sum();
    let setup = number(&bytes["setup"]);
    assert!(setup > 0);
    assert_eq!(sum + setup, number(&bytes["total"]), "layers account for every byte: {layers:?}");
    for party in ["server", "client"] {
        let peak = &report["peak_rss_bytes"][party];
        assert!(!cfg!(target_os = "linux") || number(peak) > 1 << 20);
    }
}

#[test]
fn the_default_is_digits_and_equals_cleartext() {
    let ran = run(&["--json"]).succeeded();
    let report = ran.json();
    check(&report, "digits", 9);
    assert_eq!(report["backend"], "auto");
    assert_eq!((&report["bitwidth"], &report["scale"]), (&37.into(), &12.into()));
    assert_eq!(report["modulus"], "2^37");
    assert_eq!(report["link"], "loopback");
}

#[test]
fn breast_cancer_equals_cleartext() {
    let report = run(&["--json", "--model", "breast-cancer"]).succeeded().json();
    check(&report, "breast-cancer", 10);
}

#[test]
fn a_terminal_gets_text() {
    let ran = run(&["--model", "breast-cancer"]).succeeded();
    for part in ["bitwise equal to cleartext", "benign", "malignant", "setup", "rounds", "layer"] {
        assert!(ran.stdout.contains(part), "{part}: {ran:?}");
    }
    assert_eq!(ran.stderr, "", "{ran:?}");
}

#[test]
fn other_bitwidths_scales_and_radices_are_exact_too() {
    for (bitwidth, scale, radix) in [("29", "10", "1"), ("33", "9", "7"), ("64", "13", "8")] {
        let line = ["--json", "--model", "breast-cancer", "--output", "logits"];
        let plan = ["--bitwidth", bitwidth, "--scale", scale, "--radix", radix];
        let report = run(&[&line[..], &plan].concat()).succeeded().json();
        check(&report, "breast-cancer", 9);
        assert_eq!(report["modulus"], format!("2^{bitwidth}"));
        assert_eq!(report["scale"].to_string(), scale);
        for prediction in report["predictions"].as_array().unwrap() {
            assert_eq!(prediction["logits"].as_array().unwrap().len(), 2);
        }
    }
    let report = run(&["--json", "--bitwidth", "32", "--threads", "2"]).succeeded().json();
    check(&report, "digits", 9);
}

/// Every product of the report's layers is done by this engine.
fn products_by(report: &Value, engine: &str) {
    let layers = report["layers"].as_array().unwrap();
    let products = layers.iter().filter(|layer| layer["op"] == "Conv" || layer["op"] == "Linear");
    let engines: Vec<&Value> = products.map(|layer| &layer["backend"]).collect();
    assert!(engines.len() > 1 && engines.iter().all(|e| **e == engine), "{engine}: {report}");
}

#[test]
fn lattice_encryption_over_rings_and_fields() {
    for (domain, packing) in [("ring", "coefficient"), ("field", "simd"), ("field", "coefficient")]
    {
        let line = ["--json", "--backend", "he", "--bitwidth", "37", "--domain", domain];
        let report = run(&[&line[..], &["--packing", packing]].concat()).succeeded().json();
        check(&report, "digits", 9);
        products_by(&report, "he");
        assert_eq!((&report["backend"], &report["domain"]), (&"he".into(), &domain.into()));
        let modulus = if domain == "ring" { "2^37" } else { "137438822401" };
        assert_eq!(report["modulus"], modulus);
    }
    let line = ["--json", "--model", "breast-cancer", "--backend", "he"];
    let report = run(&[&line[..], &["--he-privacy", "coefficient"]].concat()).succeeded().json();
    check(&report, "breast-cancer", 10);
}

#[test]
fn oblivious_transfer_over_rings_and_fields() {
    for domain in ["ring", "field"] {
        let line = ["--json", "--model", "breast-cancer", "--backend", "ot", "--domain", domain];
        let report = run(&line).succeeded().json();
        check(&report, "breast-cancer", 10);
        products_by(&report, "ot");
    }
}

#[test]
fn inexact_truncation_is_named() {
    let line = ["--json", "--model", "breast-cancer", "--backend", "ot"];
    let exact = run(&line).succeeded().json();
    let line = [&line[..], &["--truncation", "one-bit-error"]].concat();
    let inexact = run(&line).succeeded().json();
    assert_eq!((&exact["exact"], &inexact["exact"]), (&true.into(), &false.into()));
    let operations = |report: &Value, op: &str| {
        let layers = report["layers"].as_array().unwrap();
        layers.iter().filter(|layer| layer["op"] == op).count()
    };
    // What is exact is part of a ReLU, what may be off by one a protocol of its own.
    assert!(operations(&exact, "ReluTruncate") > 0 && operations(&exact, "Relu") == 0);
    assert!(operations(&inexact, "ReluTruncate") == 0 && operations(&inexact, "Relu") > 0);
    let text = run(&["--model", "breast-cancer", "--truncation", "one-bit-error"]).succeeded();
    assert!(text.stdout.contains("NOT exact"), "{text:?}");
}

#[test]
fn numbers_that_wrap_wrap_alike() {
    // Far too few bits: the predictions mean nothing, but they are the same on both sides.
    let line = ["--json", "--model", "breast-cancer", "--bitwidth", "22", "--scale", "10"];
    let report = run(&line).succeeded().json();
    assert_eq!(report["bitwise_equal"], true);
}

#[test]
fn a_shaped_link_takes_longer() {
    let line = ["--json", "--model", "breast-cancer", "--link", "50,10"];
    let report = run(&line).succeeded().json();
    check(&report, "breast-cancer", 10);
    assert_eq!(report["link"], "50,10");
    let online = report["seconds"]["online"].as_f64().unwrap();
    let rounds = report["rounds"].as_f64().unwrap();
    // A flight takes 5 ms; where both parties send, one may be a flight ahead, so that two overlap.
    assert!(online >= rounds * 0.0025, "{rounds} rounds of at least 2.5 ms in {online} s");
}

#[test]
fn files_can_be_given() {
    let assets = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/breast-cancer");
    let (model, input) = (format!("{assets}/model.onnx"), format!("{assets}/inputs/02.csv"));
    let rule = format!("{assets}/preprocess.toml");
    let line = ["--json", "--model", &model, "--preprocess", &rule, "--input", &input];
    let report = run(&line).succeeded().json();
    assert_eq!(report["model"], "model");
    assert_eq!(report["bitwise_equal"], true);
    let predictions = report["predictions"].as_array().unwrap();
    assert_eq!(predictions.len(), 1);
    assert_eq!(predictions[0]["class"], 0);
    assert!(predictions[0]["label"].is_null());
}

/// The children of a process.
#[cfg(target_os = "linux")]
fn children(parent: u32) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(id) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
        let Ok(stat) = std::fs::read_to_string(format!("/proc/{id}/stat")) else { continue };
        let mut fields = stat.rsplit(')').next().unwrap().split_whitespace();
        let (state, its_parent) = (fields.next(), fields.next());
        if its_parent == Some(&parent.to_string()) && state != Some("Z") {
            found.push(id);
        }
    }
    found
}

#[cfg(target_os = "linux")]
fn wait_for(mut condition: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A run that goes on for minutes.
#[cfg(target_os = "linux")]
const SLOW: [&str; 2] = ["--link", "0.05,200"];

#[cfg(target_os = "linux")]
#[test]
fn children_do_not_outlive_a_killed_orchestrator() {
    let mut run = start(&SLOW);
    wait_for(|| children(run.id()).len() == 2);
    let both = children(run.id());
    run.kill();
    let alive = |id: &u32| {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        stat.contains("sci-run") && !stat.contains(") Z ")
    };
    wait_for(|| !both.iter().any(alive));
}

#[cfg(target_os = "linux")]
#[test]
fn a_killed_child_ends_the_run_with_its_cause() {
    for which in [0, 1] {
        let run = start(&SLOW);
        wait_for(|| children(run.id()).len() == 2);
        let mut both = children(run.id());
        both.sort_unstable();
        let status =
            std::process::Command::new("kill").args(["-9", &both[which].to_string()]).status();
        assert!(status.unwrap().success());
        let ran = run.wait();
        ran.failed(1, &["process ended", "signal"]);
        assert!(ran.took < Duration::from_secs(60), "{ran:?}");
        assert!(both.iter().all(|id| !children(std::process::id()).contains(id)));
    }
}
