//! Tuning and checking by the built program.

mod common;

use common::run;
use std::fs;

#[test]
fn the_embedded_digits_are_tuned_on_a_folder_of_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let assets = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/digits");
    // The pictures beside a table, under the names of the table.
    let labels = fs::read_to_string(format!("{assets}/labels.csv")).unwrap();
    let mut rows = labels.lines();
    rows.next().unwrap();
    let mut table = "note,file,label\n".to_string();
    for row in rows {
        let (file, label) = row.split_once(',').unwrap();
        fs::copy(format!("{assets}/inputs/{file}"), folder.path().join(file)).unwrap();
        table += &format!("x,{file},{label}\n");
    }
    fs::write(folder.path().join("labels.csv"), table).unwrap();
    let out = folder.path().join("out");
    let (data, out) = (folder.path().to_str().unwrap(), out.to_str().unwrap());
    let line = ["tune", "digits", "--data", data, "--scales", "4..8", "-o", out, "--json"];
    let ran = run(&line);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let report = ran.json();
    assert_eq!(report["samples"], 10);
    assert_eq!(report["labelled"], true);
    // One of the ten pictures is read wrongly, by the float model too.
    assert_eq!(report["float_accuracy"], 0.9);
    let chosen = &report["chosen"];
    assert!(chosen["accuracy"].as_f64().unwrap() >= 0.899, "{chosen}");
    let settings = report["settings"].as_array().unwrap();
    let cost = settings
        .iter()
        .find(|x| x["scale"] == chosen["scale"] && x["bitwidth"] == chosen["bitwidth"]);
    let cost = cost.unwrap()["cost"].clone();
    let plans: Vec<&str> =
        cost.as_array().unwrap().iter().map(|x| x["plan"].as_str().unwrap()).collect();
    for plan in ["auto lan", "ot lan", "auto wan", "ot wan"] {
        assert!(plans.contains(&plan), "{plans:?}");
    }
    let table = fs::read_to_string(format!("{out}/tune.csv")).unwrap();
    assert_eq!(table.lines().count(), 1 + settings.len());
    assert!(fs::read_to_string(format!("{out}/tune.svg")).unwrap().contains("</svg>"));
    // The program is there, narrowed, cheaper than at full width, and gets the same predictions right.
    let program = &report["program"];
    assert_eq!(program["file"], format!("{out}/digits.sci"));
    assert_eq!(program["margin"], 1);
    assert!(program["accuracy"].as_f64() >= report["chosen"]["accuracy"].as_f64(), "{program}");
    let file = program["file"].as_str().unwrap();
    let inspected = run(&["inspect", file, "--json"]).succeeded().json();
    assert_eq!(inspected["digest"], program["digest"]);
    assert_eq!(inspected["narrowed"], program["narrowed"]);
    assert!(program["narrowed"].as_u64().unwrap() > 3, "{program}");
    let (full, narrowed) = (&program["full_width"], &program["predicted"]);
    assert_eq!(full, &cost);
    for (full, narrowed) in full.as_array().unwrap().iter().zip(narrowed.as_array().unwrap()) {
        assert_eq!(full["plan"], narrowed["plan"]);
        assert!(narrowed["bytes"].as_u64() < full["bytes"].as_u64(), "{program}");
    }
    let ran = run(&["--model", file, "--input", "digits", "--json"]).succeeded().json();
    assert_eq!(ran["bitwise_equal"], true);
    let predictions = ran["predictions"].as_array().unwrap();
    let right = predictions.iter().filter(|x| x["class"] == x["label"]).count();
    assert_eq!(right as f64 / 10.0, chosen["accuracy"].as_f64().unwrap());
    // The chosen setting by name does, too.
    let (bitwidth, scale) = (chosen["bitwidth"].to_string(), chosen["scale"].to_string());
    let ran = run(&["--bitwidth", &bitwidth, "--scale", &scale, "--json"]);
    let predictions = ran.json()["predictions"].as_array().unwrap().clone();
    let right = predictions.iter().filter(|x| x["class"] == x["label"]).count();
    assert_eq!(right as f64 / 10.0, chosen["accuracy"].as_f64().unwrap());
}

#[test]
fn what_cannot_be_tuned_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    run(&["tune", "digits", "--data", data]).failed(1, &["inputs", "none"]);
    fs::write(folder.path().join("labels.csv"), "name,value\na,1\n").unwrap();
    run(&["tune", "digits", "--data", data]).failed(1, &["labels.csv", "label"]);
    fs::write(folder.path().join("labels.csv"), "file,label\n../no.png,x\n").unwrap();
    run(&["tune", "digits", "--data", data]).failed(1, &["label in line 2"]);
    fs::write(folder.path().join("images.npy"), b"\x93NUMPY\x01\x00").unwrap();
    run(&["tune", "digits", "--data", data]).failed(1, &[]);
}

#[test]
fn a_check_shows_layers_and_finds_the_first_overflow() {
    let ran = run(&["check", "digits", "--secure", "--json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let report = ran.json();
    assert_eq!(report["bitwise_equal"], true);
    assert!(report["first_overflow"].is_null(), "{report}");
    assert_eq!(report["secure_tensors"], 10 * report["layers"].as_array().unwrap().len());
    assert!(report["first_secure_difference"].is_null(), "{report}");
    // Its weights and biases fit 22 bits, the values in between do not.
    let ran = run(&["check", "breast-cancer", "--bitwidth", "22", "--scale", "10"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stdout.contains("overflows"), "{ran:?}");
}

#[test]
fn a_program_at_full_width_has_no_calibrated_bits() {
    let folder = tempfile::tempdir().unwrap();
    let assets = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/digits");
    let inputs = format!("{assets}/inputs");
    let (out, file) = (folder.path().join("out"), folder.path().join("full.sci"));
    let (out, file) = (out.to_str().unwrap(), file.to_str().unwrap());
    let line = ["tune", "digits", "--data", &inputs, "--scales", "6", "-o", out, "--program", file];
    // One of the ten is read otherwise than by the float model at this scale.
    let ran = run(&[&line[..], &["--full-width", "--tolerance", "10"]].concat()).succeeded();
    for word in ["full width", file, "sci-run serve"] {
        assert!(ran.stdout.contains(word), "{word}: {ran:?}");
    }
    assert!(!ran.stdout.contains("narrowed"), "{ran:?}");
    assert_eq!(run(&["inspect", file, "--json"]).succeeded().json()["narrowed"], 0);
}
