//! Peers that follow the form of the handshake and lie.

use super::wire::{Hello, Wire};
use super::*;
use crate::channel::{memory, tcp};
use std::time::Duration;

/// One test waits for it; for the others every peer answers or closes.
const TIMEOUT: Duration = Duration::from_secs(5);

fn options() -> SessionOptions {
    SessionOptions { timeout: TIMEOUT, ..SessionOptions::default() }
}

fn tcp_pair() -> (Link, Link) {
    let listener = tcp::listen("127.0.0.1:0").unwrap();
    let client = tcp::connect(&listener.local_addr().to_string(), TIMEOUT).unwrap();
    (listener.accept(Some(TIMEOUT)).unwrap(), client)
}

#[test]
fn another_version_is_an_error_on_both_sides() {
    for (server_end, client_end) in [memory::pair(), tcp_pair()] {
        let greet = |link, hello: Hello| {
            let mut wire = Wire::new(link, TIMEOUT);
            let error = wire.hello(hello).unwrap_err();
            wire.abandon(error)
        };
        let (server, client) = std::thread::scope(|scope| {
            let server = scope.spawn(|| greet(server_end, Hello::server(1).unwrap()));
            let client = greet(client_end, Hello::client(2).unwrap());
            (server.join().unwrap(), client)
        });
        for (error, own, other) in [(server, "1", "2"), (client, "2", "1")] {
            match error {
                Error::PeerIncompatible { field, ours, theirs } => {
                    assert_eq!((&*field, &*ours, &*theirs), ("protocol version", own, other));
                }
                other => panic!("{other}"),
            }
        }
    }
}

/// What a client says to a server that answers its request with `answer` and `blob`.
fn client_against(answer: Answer, blob: &[u8], max_blob: usize) -> Error {
    let (server_end, client_end) = memory::pair();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut wire = Wire::new(server_end, TIMEOUT);
            wire.hello(Hello::server(PROTOCOL_VERSION).unwrap()).unwrap();
            wire.receive::<Request>("requirements").unwrap();
            wire.send("answer", &answer).unwrap();
            wire.write("blob", blob).unwrap();
            let _ = wire.receive::<Verdict>("verdict");
        });
        join(client_end, options(), vec![("a".into(), "1".into())], max_blob, |_| Ok(()))
            .map(drop)
            .unwrap_err()
    })
}

fn offered(parameters: &[(&str, &str)], blob_len: u64, blob: &[u8]) -> Answer {
    let parameters =
        parameters.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    Answer::Offered { parameters, blob_len, digest: Sha256::digest(blob).into() }
}

const GOOD: [(&str, &str); 2] = [("a", "1"), ("lanes", "4")];

#[test]
fn an_announced_program_is_not_allocated() {
    for len in [101, u64::MAX] {
        let error = client_against(offered(&GOOD, len, b""), b"", 100);
        assert!(matches!(error, Error::PeerIncompatible { .. }), "{error}");
        assert!(error.to_string().contains("at most 100 bytes"), "{error}");
    }
    // Within the limit but never sent: the deadline ends it.
    let error = client_against(offered(&GOOD, 1 << 40, b""), b"12345", 1 << 41);
    assert!(matches!(error, Error::Link { .. }), "{error}");
}

#[test]
fn lies_about_program_and_parameters_are_noticed() {
    let error = client_against(offered(&GOOD, 5, b"other"), b"12345", 100);
    assert!(error.to_string().contains("digest of the public program"), "{error}");
    for lanes in ["256", "-1", "many", ""] {
        let error = client_against(offered(&[("a", "1"), ("lanes", lanes)], 0, b""), b"", 100);
        assert!(matches!(error, Error::PeerMisbehaved { .. }), "{error}");
    }
    let error = client_against(offered(&[("a", "1")], 0, b""), b"", 100);
    assert!(matches!(error, Error::PeerMisbehaved { .. }), "{error}");
    // A server that ignores a requirement.
    let error = client_against(offered(&[("a", "2"), ("lanes", "4")], 0, b""), b"", 100);
    assert!(matches!(error, Error::PeerIncompatible { .. }), "{error}");
    let twice = [("a", "1"), ("lanes", "4"), ("a", "1")];
    let error = client_against(offered(&twice, 0, b""), b"", 100);
    assert!(matches!(error, Error::PeerMisbehaved { .. }), "{error}");
}

#[test]
fn a_client_refuses_more_lanes_than_it_takes() {
    for lanes in [17, MAX_LANES] {
        let lanes = lanes.to_string();
        let error = client_against(offered(&[("a", "1"), ("lanes", &lanes)], 0, b""), b"", 100);
        match error {
            Error::PeerIncompatible { field, ours, theirs } => {
                assert_eq!((&*field, &*ours, &*theirs), ("lanes", "at most 16", &*lanes));
            }
            other => panic!("{other}"),
        }
    }
    // What either party wishes for itself is no bound on the other's memory.
    for (served, wished, joins) in [(16, 4, true), (17, 4, false), (17, 17, true)] {
        let with = |lanes| SessionOptions { lanes, ..options() };
        let (server_end, client_end) = memory::pair();
        let offer = PublicOffer::default();
        let (server, client) = std::thread::scope(|scope| {
            let server = scope.spawn(|| serve(server_end, with(served), &offer).map(drop));
            let client = join(client_end, with(wished), vec![], 0, |_| Ok(())).map(drop);
            (server.join().unwrap(), client)
        });
        assert_eq!((server.is_ok(), client.is_ok()), (joins, joins), "{served} {wished}");
        if let Err(error) = server {
            assert!(error.to_string().contains("lanes"), "{error}");
        }
    }
}

#[test]
fn text_of_the_peer_is_made_harmless() {
    let refusal = Refusal {
        field: "a\u{1b}[31m\n".repeat(100),
        server: "\u{7}".into(),
        client: String::new(),
    };
    let error = client_against(Answer::Refused(refusal), b"", 100).to_string();
    assert!(!error.contains(char::is_control) && error.len() < 1000, "{error:?}");
}

#[test]
fn the_server_checks_the_session_id() {
    let (server_end, client_end) = memory::pair();
    let error = std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut wire = Wire::new(client_end, TIMEOUT);
            wire.hello(Hello::client(PROTOCOL_VERSION).unwrap()).unwrap();
            wire.send("requirements", &Request { requirements: vec![], max_blob: 10 }).unwrap();
            wire.receive::<Answer>("offer").unwrap();
            wire.send("acceptance", &Verdict::Accepted { session: [7; 32] }).unwrap();
            let _ = wire.receive::<Verdict>("nothing");
        });
        serve(server_end, options(), &PublicOffer::default()).map(drop).unwrap_err()
    });
    assert!(error.to_string().contains("session id"), "{error}");
}

#[test]
fn a_client_takes_part_in_a_bounded_probe() {
    let probed = |probes: Vec<(u32, u32)>| {
        let (server_end, client_end) = memory::pair();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                let mut wire = Wire::new(server_end, TIMEOUT);
                wire.hello(Hello::server(PROTOCOL_VERSION).unwrap()).unwrap();
                wire.receive::<Request>("requirements").unwrap();
                for (down, up) in probes {
                    // A client that has had enough closes the link.
                    if wire.send("probe", &Answer::Probe { down, up }).is_err()
                        || wire.write("probe", &vec![0; (down as usize).min(1 << 20)]).is_err()
                        || wire.receive_blob("answer", up as usize + 1).is_err()
                    {
                        return;
                    }
                }
                wire.send("offer", &offered(&GOOD, 5, b"12345")).unwrap();
                wire.write("blob", b"12345").unwrap();
                let _ = wire.receive::<Verdict>("verdict");
            });
            let required = vec![("a".into(), "1".into())];
            join(client_end, options(), required, 100, |_| Ok(())).map(|(_, offer)| offer.blob)
        })
    };
    assert_eq!(probed(vec![(0, 0), (1000, 0), (0, 1000)]).unwrap(), b"12345");
    for probes in [vec![(u32::MAX, 0)], vec![(0, u32::MAX)], vec![(1 << 20, 15 << 20), (1, 0)]] {
        let error = probed(probes).unwrap_err();
        assert!(matches!(error, Error::PeerMisbehaved { .. }), "{error}");
        assert!(error.to_string().contains("bytes of a probe"), "{error}");
    }
    let error = probed(vec![(0, 0); 33]).unwrap_err();
    assert!(error.to_string().contains("probes of the link"), "{error}");
}
