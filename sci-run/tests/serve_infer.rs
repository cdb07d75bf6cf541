//! Server and client started one by one.

mod common;

use common::{Fault, faulty_proxy, run, serve};
use std::io::Write;
use std::net::TcpStream;

const MODEL: &str = "breast-cancer";

#[test]
fn one_server_serves_one_client_after_the_other() {
    let (server, address) = serve(&[MODEL, "--json", "--radix", "4"]);
    let first = run(&["infer", MODEL, "--connect", &address, "--json"]).succeeded().json();
    let digest = first["digest"].as_str().unwrap().to_string();
    assert_eq!(first["predictions"].as_array().unwrap().len(), 10);
    assert!(first["bitwise_equal"].is_null() && first["peak_rss_bytes"]["server"].is_null());
    let stderr = server.stderr();
    assert!(stderr.contains(&digest), "the server's owner can tell clients the digest: {stderr}");

    let requirements =
        ["--bitwidth", "37", "--scale", "12", "--backend", "auto", "--domain", "ring"];
    let more = ["--ot", "silent", "--radix", "4", "--output", "argmax", "--model", MODEL];
    let line = ["infer", MODEL, "--connect", &address, "--json", "--expect-digest", &digest];
    let second = run(&[&line[..], &requirements, &more].concat()).succeeded().json();
    assert_eq!(first["predictions"], second["predictions"]);
    drop(server);
}

#[test]
fn both_parties_report_the_same_session() {
    let (server, address) = serve(&[MODEL, "--json", "--once"]);
    let client = run(&["infer", MODEL, "--connect", &address, "--json"]).succeeded().json();
    let server = server.wait().succeeded().json();
    for field in ["schema", "model", "digest", "backend", "domain", "modulus", "bitwidth", "scale"]
    {
        assert_eq!(server[field], client[field], "{field}");
    }
    assert_eq!(server["bytes"], client["bytes"]);
    assert_eq!(server["rounds"], client["rounds"]);
    assert!(server["predictions"].is_null() && server["bitwise_equal"].is_null());
    assert!(server["peak_rss_bytes"]["client"].is_null());
    let names = |report: &serde_json::Value| {
        let layers = report["layers"].as_array().unwrap().iter();
        layers.map(|l| (l["name"].clone(), l["bytes"].clone())).collect::<Vec<_>>()
    };
    assert_eq!(names(&server), names(&client));
}

#[test]
fn the_link_of_a_client_is_probed_unless_it_is_given() {
    let ask = |address: &str| run(&["infer", MODEL, "--connect", address, "--json"]);
    let (server, address) = serve(&[MODEL, "--json", "--once"]);
    let client = ask(&address).succeeded().json();
    let server = server.wait().succeeded().json();
    for report in [&client, &server] {
        assert_eq!(report["link_probed"], true);
        let (rate, rtt) = report["link"].as_str().unwrap().split_once(',').unwrap();
        assert!(rate.parse::<f64>().unwrap() >= 1.0 && rtt.parse::<f64>().unwrap() >= 0.1);
    }
    assert_eq!(client["link"], server["link"]);
    // What the probe moves is part of the set-up; the plan of a given link of that shape costs the same.
    let link = client["link"].as_str().unwrap();
    let (_server, address) = serve(&[MODEL, "--link", link, "--once"]);
    let given = ask(&address).succeeded().json();
    assert_eq!((&given["link"], &given["link_probed"]), (&client["link"], &false.into()));
    let parts = |report: &serde_json::Value| {
        let number = |what: &str| report["bytes"][what].as_u64().unwrap();
        (number("setup"), number("total") - number("setup"))
    };
    let ((without, planned), (with, measured)) = (parts(&given), parts(&client));
    assert!(planned == measured && without < with, "{given} {client}");
    let (_server, address) = serve(&[MODEL, "--link", "wan"]);
    let wan = run(&["infer", MODEL, "--connect", &address]).succeeded();
    assert!(wan.stdout.contains("link wan") && !wan.stdout.contains("probed"), "{wan:?}");
    let ran = ask(&address).succeeded().json();
    assert_eq!((&ran["link"], &ran["link_probed"]), (&"wan".into(), &false.into()));
}

#[test]
fn a_picture_needs_nothing_but_the_server() {
    let (_server, address) = serve(&["digits"]);
    let picture = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/digits/inputs/03.png");
    let ran = run(&["infer", picture, "--connect", &address]).succeeded();
    let line = ran.stdout.lines().find(|line| line.contains("03.png")).unwrap();
    assert!(line.trim_end().ends_with('3'), "{ran:?}");
}

#[test]
fn a_compiled_program_is_the_same_program() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("breast-cancer.sci");
    let file = file.to_str().unwrap();
    let compiled = run(&["compile", MODEL, "-o", file, "--json"]).succeeded().json();
    let inspected = run(&["inspect", file, "--json"]).succeeded().json();
    assert_eq!(compiled, inspected);
    let (server, address) = serve(&[file, "--once"]);
    let line = ["infer", MODEL, "--connect", &address, "--json"];
    let report = run(&line).succeeded().json();
    assert_eq!(report["digest"], compiled["digest"]);
    server.wait().succeeded();
    run(&["serve", file, "--bitwidth", "32"]).failed(2, &["bitwidth", "37", "32"]);
}

#[test]
fn a_server_survives_its_clients() {
    // Short enough to wait for, long enough for an honest client on a loaded machine.
    let (server, address) = serve(&[MODEL, "--timeout", "10"]);
    let silent = TcpStream::connect(&address).unwrap();
    let text = server.until("error: ");
    assert!(text.contains("link"), "{text}");
    drop(silent);
    let mut noisy = TcpStream::connect(&address).unwrap();
    noisy.write_all(&[b'x'; 100]).unwrap();
    server.until("handshake magic");
    drop(noisy);
    drop(TcpStream::connect(&address).unwrap());
    server.until("closed");
    let proxy = faulty_proxy(&address, 40_000, Fault::Close);
    let line = ["infer", MODEL, "--connect", &proxy, "--timeout", "5"];
    run(&line).failed(1, &["link"]);
    run(&["infer", MODEL, "--connect", &address]).succeeded();
    assert!(!server.stderr().contains("panicked"), "{}", server.stderr());
}
