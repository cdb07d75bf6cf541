//! Random small programs: every output of a secure run equals the cleartext meaning, bit for bit, and
//! every layer sends what was computed before.

use athos::testing::{random_input, random_program};
use sci_core::session::{Phase, Stats};
use sci_core::{AnyDomain, Block, Prg};
use sci_ot::peer::Settings;
use sci_ot::testing::run_peers;
use sci_ot::{OtKind, Peer};
use sci_run::cost;
use sci_run::two_party::{ask, serve_input};

fn fail(e: athos::Error) -> sci_core::Error {
    sci_core::Error::misuse(e.to_string())
}

/// Layers of the online phase: name, operation, bytes sent and received, rounds. Expansion of silent
/// OT counts apart.
fn figures(peer: &Peer) -> Stats {
    peer.session().stats()
}

fn case(seed: u64, bits: u32, settings: Settings) {
    let program = random_program(seed, AnyDomain::ring(bits).unwrap()).unwrap();
    let input = random_input(seed, &program.public).unwrap();
    let expected = athos::cleartext::run(&program, &input).unwrap();
    let (server, client) = run_peers(
        settings,
        |peer| serve_input(peer, &program).map_err(fail).map(|()| figures(peer)),
        |peer| ask(peer, &program.public, &input, |_, _, _| {}).map_err(fail),
    )
    .unwrap_or_else(|e| panic!("seed {seed}, {bits} bits: {e}\n{}", program.public));
    assert_eq!(client.value, expected, "seed {seed}, {bits} bits:\n{}", program.public);

    // Instructions of a layer share a span if name and operation agree.
    let mut predicted: Vec<(String, u64, u64, u32)> = Vec::new();
    for layer in cost::layers(&program.public, settings).unwrap() {
        let name = format!("{} {}", layer.name, layer.op);
        let c = layer.cost;
        match predicted.iter_mut().find(|p| p.0 == name) {
            Some(p) => {
                p.1 += c.server_to_client;
                p.2 += c.client_to_server;
                p.3 += c.rounds;
            }
            None => predicted.push((name, c.server_to_client, c.client_to_server, c.rounds)),
        }
    }
    let measured: Vec<(String, u64, u64, u32)> = server
        .value
        .layers
        .iter()
        .filter(|layer| layer.phase == Phase::Online && layer.name != "protocol")
        .map(|layer| {
            let t = layer.totals();
            (format!("{} {}", layer.name, layer.op), t.bytes_sent, t.bytes_received, t.rounds)
        })
        .collect();
    assert_eq!(measured, predicted, "seed {seed}, {bits} bits:\n{}", program.public);
}

#[test]
fn secure_runs_equal_the_cleartext_meaning() {
    let mut rng = Prg::new(Block([2, 9]));
    for ot in [OtKind::Iknp, OtKind::Silent] {
        for bits in [16, 24, 32, 37, 41, 53, 64] {
            for _ in 0..8 {
                case(rng.next_u64() % 1_000_000, bits, Settings::over(ot));
            }
        }
        for radix in [1, 2, 7, 8] {
            case(radix.into(), 37, Settings { radix, ..Settings::over(ot) });
        }
    }
}

#[test]
fn fresh_seeds_from_the_system() {
    let mut rng = Prg::from_os().unwrap();
    for _ in 0..10 {
        case(rng.next_u64(), 32 + (rng.next_u64() % 33) as u32, Settings::default());
    }
}
