//! Random small programs: every output of a secure run equals the cleartext meaning, bit for bit, and
//! every layer sends what was computed before.

use athos::testing::{random_input, random_program};
use athos::zoo::{UNet3d, Weights};
use athos::{CompileOptions, Program, PublicProgram, compile_graph};
use sci_core::session::{Phase, Stats};
use sci_core::{Block, Domain, Prg, Ring};
use sci_ot::peer::Settings;
use sci_ot::testing::run_peers;
use sci_ot::{OtKind, Peer};
use sci_run::cost;
use sci_run::linear::{
    Assignment, Engine, Packing, Prepared, Privacy, Protocols, Style, candidate,
};
use sci_run::two_party::{Model, NetDomain, Tensor, ask, receive_keys, send_keys, serve_input};

fn fail(e: athos::Error) -> sci_core::Error {
    sci_core::Error::misuse(e.to_string())
}

/// Layers of the online phase: name, operation, bytes sent and received, rounds. Expansion of silent
/// OT counts apart.
fn figures(peer: &Peer) -> Stats {
    peer.session().stats()
}

/// Which products are given to lattice encryption where it has parameters.
#[derive(Clone, Copy, Debug)]
enum Lattices {
    None,
    All,
    EveryOther,
}

fn lattice<D: NetDomain>(
    program: &PublicProgram,
    domain: D,
    which: Lattices,
    packing: Packing,
) -> Protocols<D> {
    let style = Style { packing, privacy: Privacy::Run };
    let assignment = Assignment::of(program, |at| {
        let wanted = match which {
            Lattices::None => false,
            Lattices::EveryOther => at % 2 == 1,
            Lattices::All => true,
        };
        match wanted && matches!(candidate(program, domain, style, at), Ok(Some(_))) {
            true => Engine::He,
            false => Engine::Ot,
        }
    });
    Protocols::plan(program, domain, &assignment, style).unwrap()
}

fn case(seed: u64, bits: u32, settings: Settings, which: Lattices) {
    case_over(seed, Ring::new(bits).unwrap(), settings, which, Packing::Coefficient);
}

fn case_over<D: NetDomain>(
    seed: u64,
    domain: D,
    settings: Settings,
    which: Lattices,
    packing: Packing,
) {
    let program = random_program(seed, domain.any()).unwrap();
    let input = random_input(seed, &program.public).unwrap();
    runs_as_it_means(&program, &input, seed, domain, settings, which, packing);
}

/// A secure run gives what the cleartext run gives, tensor by tensor, and sends what was computed before.
fn runs_as_it_means<D: NetDomain>(
    program: &Program,
    input: &[i64],
    seed: u64,
    domain: D,
    settings: Settings,
    which: Lattices,
    packing: Packing,
) {
    let mut tensors = Vec::new();
    let fuses = domain.modulus().is_power_of_two();
    let observe = |step: athos::Step<'_, Vec<u64>>| tensors.push(step.value.clone());
    let expected = athos::cleartext::run_as(program, input, fuses, observe).unwrap();
    assert_eq!(athos::cleartext::run(program, input).unwrap(), expected);
    let protocols = &lattice(&program.public, domain, which, packing);
    let prepared = &Prepared::new(protocols, program, seed % 2 * 1_000_000).unwrap();
    let model = Model { program, domain, protocols, prepared };
    let (server, client) = run_peers(
        settings,
        |peer| {
            let keys = receive_keys(peer, protocols).map_err(fail)?;
            let mut shares = Vec::new();
            serve_input(peer, model, keys.as_ref(), |step| shares.push(step.value.clone()))
                .map_err(fail)?;
            Ok((figures(peer), shares))
        },
        |peer| {
            let keys = send_keys(peer, protocols).map_err(fail)?;
            let mut shares = Vec::new();
            let tell = |step: athos::Step<'_, Tensor<D>>| shares.push(step.value.clone());
            let output = ask(peer, &program.public, protocols, domain, keys.as_ref(), input, tell);
            Ok((output.map_err(fail)?, shares))
        },
    )
    .unwrap_or_else(|e| panic!("seed {seed}, Z_{domain}, {which:?}: {e}\n{}", program.public));
    let (output, client) = client.value;
    assert_eq!(output, expected, "seed {seed}, Z_{domain}, {which:?}:\n{}", program.public);
    let (figures, server) = server.value;
    assert_eq!((server.len(), client.len()), (tensors.len(), tensors.len()));
    for (i, ((one, other), tensor)) in server.iter().zip(&client).zip(&tensors).enumerate() {
        let revealed = one.revealed(other);
        assert_eq!(revealed.as_ref(), Some(tensor), "seed {seed}, tensor {i}:\n{}", program.public);
    }

    // Instructions of a layer share a span if name and operation agree.
    let mut predicted: Vec<(String, u64, u64, u32)> = Vec::new();
    for layer in cost::layers(&program.public, domain, protocols, settings).unwrap() {
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
    let mut measured: Vec<(String, u64, u64, u32)> = figures
        .layers
        .iter()
        .filter(|layer| layer.phase == Phase::Online && layer.name != "protocol")
        .map(|layer| {
            let t = layer.totals();
            (format!("{} {}", layer.name, layer.op), t.bytes_sent, t.bytes_received, t.rounds)
        })
        .collect();
    // A request follows keys in one flight, and an opening follows a response: both go the same way.
    if protocols.setup().is_some() {
        for (measured, predicted) in measured.iter_mut().zip(&predicted) {
            measured.3 += u32::from(measured.3 + 1 == predicted.3);
        }
    }
    assert_eq!(measured, predicted, "seed {seed}, Z_{domain}, {which:?}:\n{}", program.public);
}

#[test]
fn secure_runs_equal_the_cleartext_meaning() {
    let mut rng = Prg::new(Block([2, 9]));
    for ot in [OtKind::Iknp, OtKind::Silent] {
        for bits in [16, 24, 32, 37, 41, 53, 64] {
            for _ in 0..8 {
                case(rng.next_u64() % 1_000_000, bits, Settings::over(ot), Lattices::None);
            }
        }
        for radix in [1, 2, 7, 8] {
            case(radix.into(), 37, Settings { radix, ..Settings::over(ot) }, Lattices::None);
        }
    }
}

#[test]
fn fresh_seeds_from_the_system() {
    let mut rng = Prg::from_os().unwrap();
    for _ in 0..10 {
        let bits = 32 + (rng.next_u64() % 33) as u32;
        case(rng.next_u64(), bits, Settings::default(), Lattices::EveryOther);
    }
}

#[test]
fn products_by_lattice_encryption() {
    let mut rng = Prg::new(Block([4, 1]));
    for bits in [16, 32, 37, 44, 64] {
        for which in [Lattices::All, Lattices::EveryOther] {
            for _ in 0..3 {
                case(rng.next_u64() % 1_000_000, bits, Settings::default(), which);
            }
        }
    }
}

#[test]
fn programs_over_prime_fields() {
    let mut rng = Prg::new(Block([5, 6]));
    for bits in [20, 32, 37, 41] {
        let field = sci_run::model::modulus::field(bits).unwrap();
        for packing in [Packing::Coefficient, Packing::Simd] {
            for which in [Lattices::None, Lattices::All] {
                case_over(rng.next_u64() % 1_000_000, field, Settings::default(), which, packing);
            }
        }
    }
}

/// Bitwidths whose field may be that of a prime which requests would take.
#[test]
fn lattices_over_fields_as_narrow_as_their_primes() {
    let mut rng = Prg::new(Block([5, 7]));
    for bits in 20..=28 {
        let field = sci_run::model::modulus::field(bits).unwrap();
        for packing in [Packing::Coefficient, Packing::Simd] {
            let seed = rng.next_u64() % 1_000_000;
            case_over(seed, field, Settings::default(), Lattices::All, packing);
        }
    }
}

/// Volumes: convolutions, maxima, transposed convolutions and skips along three axes, one class
/// a voxel.
#[test]
fn a_u_net_over_both_engines() {
    let tiny = UNet3d { input: [1, 20, 20, 20], channels: 2, levels: 2, classes: 3 };
    let domain = Ring::new(37).unwrap();
    let graph = tiny.graph(Weights::Seeded(5)).unwrap();
    let program = compile_graph(graph, &CompileOptions::new(domain.any(), 12)).unwrap();
    let mut rng = Prg::new(Block([6, 3]));
    let input: Vec<i64> = (0..8000).map(|_| (rng.next_u64() >> 51) as i64 - 4096).collect();
    for which in [Lattices::None, Lattices::All] {
        let settings = Settings::default();
        runs_as_it_means(&program, &input, 5, domain, settings, which, Packing::Coefficient);
    }
}
