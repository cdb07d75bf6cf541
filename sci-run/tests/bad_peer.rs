//! A peer that is absent, closes, stalls, sends garbage, or runs something else.

mod common;

use common::{Fault, Ran, faulty_proxy, peer, run, serve};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

const MODEL: &str = "breast-cancer";
const MAGIC: &[u8] = b"SCI2PC\r\n";

/// Patience for a peer that does answer, on however loaded a machine.
const PATIENT: &str = "60";

fn infer(address: &str, more: &[&str]) -> Ran {
    let patience = if more.contains(&"--timeout") { vec![] } else { vec!["--timeout", PATIENT] };
    run(&[&["infer", MODEL, "--connect", address], more, &patience].concat())
}

/// What a client of this behaviour does to `serve --once`.
fn served(timeout: &str, client: impl FnOnce(TcpStream)) -> Ran {
    let (server, address) = serve(&[MODEL, "--once", "--timeout", timeout]);
    client(TcpStream::connect(address).unwrap());
    server.wait()
}

fn in_time(ran: &Ran) {
    assert!(ran.took < Duration::from_secs(60), "{ran:?}");
}

/// A hello of another version, whatever follows.
fn hello(version: u32, role: u8) -> Vec<u8> {
    [MAGIC, &version.to_le_bytes(), &[role], &[7; 32]].concat()
}

#[test]
fn an_absent_server() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let ran = infer(&address, &["--timeout", "1"]);
    ran.failed(1, &["cannot connect", &address]);
    in_time(&ran);
}

#[test]
fn a_busy_port() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap().to_string();
    let ran = run(&["serve", MODEL, "--listen", &address]);
    ran.failed(1, &["cannot listen", &address, "in use"]);
}

#[test]
fn a_server_that_closes() {
    let (address, thread) = peer(drop);
    infer(&address, &[]).failed(1, &["link", &address]);
    thread.join().unwrap();
}

#[test]
fn a_server_that_stalls() {
    let (address, _thread) = peer(|stream| {
        std::thread::sleep(Duration::from_secs(90));
        drop(stream);
    });
    let ran = infer(&address, &["--timeout", "1"]);
    ran.failed(1, &["within 1 s", &address]);
    in_time(&ran);
}

#[test]
fn a_server_that_sends_garbage() {
    let (address, thread) = peer(|mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        let _ = stream.read_to_end(&mut Vec::new());
    });
    infer(&address, &[]).failed(1, &["handshake magic", "HTTP"]);
    thread.join().unwrap();
}

#[test]
fn a_server_of_another_version() {
    let (address, thread) = peer(|mut stream| {
        let _ = stream.write_all(&hello(99, 0));
        let _ = stream.read_to_end(&mut Vec::new());
    });
    infer(&address, &[]).failed(1, &["version", "99"]);
    thread.join().unwrap();
}

#[test]
fn a_client_that_closes_stalls_or_sends_garbage() {
    served(PATIENT, drop).failed(1, &["link", "closed"]);
    let mut held = None;
    let ran = served("1", |stream| held = Some(stream));
    ran.failed(1, &["within 1 s"]);
    in_time(&ran);
    served(PATIENT, |mut stream| stream.write_all(&[0xff; 4096]).unwrap())
        .failed(1, &["handshake magic"]);
    served(PATIENT, |mut stream| stream.write_all(&hello(99, 1)).unwrap())
        .failed(1, &["version", "99"]);
    served(PATIENT, |mut stream| {
        stream.write_all(&hello(sci_core::session::handshake::PROTOCOL_VERSION, 0)).unwrap()
    })
    .failed(1, &["role"]);
}

#[test]
fn a_link_that_breaks_during_the_protocol() {
    for (bytes, fault) in [
        (2_000, Fault::Close),
        (60_000, Fault::Close),
        (60_000, Fault::Stall),
        (60_000, Fault::Garbage),
    ] {
        let (server, address) = serve(&[MODEL, "--once", "--timeout", "2"]);
        let proxy = faulty_proxy(&address, bytes, fault);
        let client = run(&["infer", MODEL, "--connect", &proxy, "--timeout", "2"]);
        client.failed(1, &[]);
        in_time(&client);
        let server = server.wait();
        server.failed(1, &[]);
        in_time(&server);
    }
}

#[test]
fn two_servers_or_a_client_that_requires_something_else() {
    for (option, value, field) in [
        ("--bitwidth", "32", "bitwidth"),
        ("--scale", "11", "scale"),
        ("--radix", "5", "radix"),
        ("--backend", "he", "backend"),
        ("--truncation", "one-bit-error", "truncation"),
        ("--domain", "field", "domain"),
        ("--output", "logits", "output"),
        ("--model", "digits", "model"),
    ] {
        let (server, address) = serve(&[MODEL, "--once"]);
        infer(&address, &[option, value]).failed(1, &[field, value, "incompatible"]);
        server.wait().failed(1, &[field, value, "incompatible"]);
    }
}

#[test]
fn what_the_client_does_not_accept() {
    let digest = "ab".repeat(32);
    for (more, words) in [
        (vec!["--expect-digest", &digest], vec!["digest"]),
        (vec!["--max-elements", "5"], vec!["elements", "5"]),
        (vec!["--max-memory", "100"], vec!["elements alive"]),
    ] {
        let (server, address) = serve(&[MODEL, "--once"]);
        infer(&address, &more).failed(1, &words);
        server.wait().failed(1, &words);
    }
    let (server, address) = serve(&[MODEL, "--once", "--max-inputs", "9"]);
    infer(&address, &[]).failed(1, &["inputs", "10", "9"]);
    server.wait().failed(1, &["inputs", "10", "9"]);
}

#[test]
fn an_input_that_does_not_fit_stays_with_the_client() {
    let (server, address) = serve(&["digits", "--once"]);
    infer(&address, &[]).failed(1, &["64", "30"]);
    let ran = server.wait();
    ran.failed(1, &["input"]);
    // Ports and digests may contain any digits.
    let error = ran.stderr.lines().find(|line| line.starts_with("error:")).unwrap();
    assert!(!error.contains("30"), "the server hears nothing of the client's input: {ran:?}");
}

#[test]
fn an_error_is_a_json_object_too() {
    let (address, thread) = peer(drop);
    let ran = infer(&address, &["--json"]);
    assert_eq!(ran.code, Some(1));
    let object = ran.json();
    assert_eq!(object["schema"], 1);
    assert_eq!(object["error"]["kind"], "link");
    assert!(object["error"]["message"].is_string() && object["error"]["hint"].is_string());
    thread.join().unwrap();
}
