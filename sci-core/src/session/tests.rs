//! Handshakes that succeed and handshakes that do not, and what the statistics say.

use super::*;
use crate::channel::{memory, tcp};
use crate::testing::{Fault, faulty, reveal, reveal_bits};
use crate::testing::{run_pair, share_arithmetic, share_bits};
use crate::{Bits, Block, Field, Prg, Ring};
use std::io::{Read, Write};
use std::time::Instant;

const SHORT: Duration = Duration::from_millis(150);

fn fields(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

fn offer() -> PublicOffer {
    PublicOffer {
        parameters: fields(&[("bitwidth", "37"), ("scale", "12")]),
        blob: (0..100_000u32).map(|i| i.wrapping_mul(i) as u8).collect(),
    }
}

fn options() -> SessionOptions {
    SessionOptions { timeout: Duration::from_secs(30), ..SessionOptions::default() }
}

/// Ends over memory and over TCP: only the latter loses data when it is closed carelessly.
fn both_kinds() -> [(Link, Link); 2] {
    let listener = tcp::listen("127.0.0.1:0").unwrap();
    let address = listener.local_addr().to_string();
    let client = tcp::connect(&address, Duration::from_secs(5)).unwrap();
    [memory::pair(), (listener.accept(Some(Duration::from_secs(5))).unwrap(), client)]
}

type Both = (Result<Session>, Result<(Session, Offer)>);

fn shake(
    ends: (Link, Link),
    offer: &PublicOffer,
    required: &[(&str, &str)],
    max_blob: usize,
    accept: impl FnOnce(&Offer) -> Result<()> + Send,
) -> Both {
    std::thread::scope(|scope| {
        let server = scope.spawn(|| Session::serve(ends.0, options(), offer));
        let client = Session::join(ends.1, options(), fields(required), max_blob, accept);
        (server.join().unwrap(), client)
    })
}

#[test]
fn an_offer_that_depends_on_the_link() {
    let slow: crate::channel::shaped::LinkShape = "20,30".parse().unwrap();
    for (shape, ends) in [(slow, memory::pair()), (slow, both_kinds().into_iter().nth(1).unwrap())]
    {
        let (server_end, client_end) = (shape.apply(ends.0).unwrap(), shape.apply(ends.1).unwrap());
        let mut seen = None;
        let (server, client) = std::thread::scope(|scope| {
            let server = scope.spawn(|| {
                Session::serve_probed(server_end, options(), |measured| {
                    seen = Some(measured);
                    Ok(offer())
                })
            });
            let required = fields(&[("bitwidth", "37")]);
            let client = Session::join(client_end, options(), required, 1 << 20, |_| Ok(()));
            (server.join().unwrap().unwrap(), client.unwrap())
        });
        let measured = seen.unwrap();
        // A loaded machine may be slower than the link; it is faster only by what it adds to the round trip alone.
        assert!(measured.rtt >= Duration::from_millis(30), "{measured:?}");
        for rate in [measured.to_client, measured.to_server] {
            assert!((1.0..40e6).contains(&rate), "{measured:?}");
        }
        assert_eq!(server.id(), client.0.id());
        assert_eq!(client.1.blob, offer().blob);
        // The probe is part of the handshake, and no payload.
        assert_eq!(server.stats().total().bytes(), 0);
        assert!(server.stats().handshake.bytes_received > 1 << 20);
    }
}

#[test]
fn a_plan_that_fails_ends_the_handshake_on_both_sides() {
    let (server_end, client_end) = memory::pair();
    let (server, client) = std::thread::scope(|scope| {
        let server = scope.spawn(|| {
            Session::serve_probed(server_end, options(), |_| Err(Error::resource("no plan")))
        });
        let client = Session::join(client_end, options(), Vec::new(), 1 << 20, |_| Ok(()));
        (server.join().unwrap(), client)
    });
    assert!(server.unwrap_err().to_string().contains("no plan"));
    assert!(matches!(client.unwrap_err(), Error::Link { .. }));
}

/// Both sides must say that `field` differs, each with its own value first.
fn assert_differs(both: Both, field: &str, server: &str, client: &str) {
    let expect = |error: Error, ours: &str, theirs: &str| match error {
        Error::PeerIncompatible { field: f, ours: o, theirs: t } => {
            assert_eq!((&*f, &*o, &*t), (field, ours, theirs));
        }
        other => panic!("{other}"),
    };
    expect(both.0.unwrap_err(), server, client);
    expect(both.1.unwrap_err(), client, server);
}

#[test]
fn both_parties_agree() {
    let offer = offer();
    let options = SessionOptions { lanes: 7, ..options() };
    let (a, b) = memory::pair();
    let (server, client) = std::thread::scope(|scope| {
        let server = scope.spawn(|| Session::serve(a, options, &offer));
        let required = fields(&[("scale", "12"), ("lanes", "7")]);
        let client = Session::join(b, SessionOptions::default(), required, 100_000, |_| Ok(()));
        (server.join().unwrap(), client)
    });
    let (server, (client, got)) = (server.unwrap(), client.unwrap());
    assert_eq!(got.blob, offer.blob);
    assert_eq!(got.parameter("bitwidth"), Some("37"));
    assert_eq!((server.lanes(), client.lanes()), (7, 7));
    assert_eq!((server.party(), client.party()), (Party::Server, Party::Client));
    assert_eq!(server.id(), client.id());
    assert_eq!((server.digest(), client.digest()), (&got.digest, &got.digest));
    let (a, b) = (server.stats(), client.stats());
    assert_eq!(a.handshake.bytes_sent, b.handshake.bytes_received);
    assert_eq!(b.handshake.bytes_sent, a.handshake.bytes_received);
    assert!(a.handshake.bytes_sent > 100_000);
    assert_eq!(a.total().bytes(), 0);
    // Another session of the same program has another name.
    let (_, again) = shake(memory::pair(), &offer, &[], 100_000, |_| Ok(()));
    assert_ne!(again.unwrap().0.id(), client.id());
}

#[test]
fn a_different_requirement_is_named_on_both_sides() {
    for ends in both_kinds() {
        let required = [("scale", "12"), ("bitwidth", "41")];
        assert_differs(
            shake(ends, &offer(), &required, 1 << 20, |_| Ok(())),
            "bitwidth",
            "37",
            "41",
        );
    }
    for ends in both_kinds() {
        let both = shake(ends, &offer(), &[("mystery", "1")], 1 << 20, |_| Ok(()));
        assert_differs(both, "mystery", "not offered", "1");
    }
}

#[test]
fn the_client_may_refuse() {
    for ends in both_kinds() {
        let accept = |offer: &Offer| {
            assert_eq!(offer.blob.len(), 100_000);
            Err(Error::incompatible("digest", "aaaa", "bbbb"))
        };
        assert_differs(shake(ends, &offer(), &[], 1 << 20, accept), "digest", "bbbb", "aaaa");
    }
    for ends in both_kinds() {
        let accept = |_: &Offer| Err(Error::resource("the model needs 9 GiB"));
        let (server, client) = shake(ends, &offer(), &[], 1 << 20, accept);
        assert!(matches!(client, Err(Error::Resource { .. })));
        let error = server.unwrap_err();
        assert!(matches!(error, Error::PeerIncompatible { .. }), "{error}");
        assert!(error.to_string().contains("9 GiB"), "{error}");
    }
}

#[test]
fn a_program_over_the_limit_is_refused() {
    for ends in both_kinds() {
        let both = shake(ends, &offer(), &[], 99_999, |_| Ok(()));
        let field = "size of the public program";
        assert_differs(both, field, "100000 bytes", "at most 99999 bytes");
    }
}

#[test]
fn a_damaged_program_is_noticed() {
    let (a, b) = memory::pair();
    let both = shake((faulty(a, Fault::Flip(50_000)), b), &offer(), &[], 1 << 20, |_| Ok(()));
    match both.1.unwrap_err() {
        Error::PeerMisbehaved { what, .. } => assert_eq!(what, "digest of the public program"),
        other => panic!("{other}"),
    }
    assert!(matches!(both.0, Err(Error::PeerIncompatible { .. })));
}

#[test]
fn garbage_stalls_and_ends_in_place_of_a_handshake() {
    for garbage in ["GET / HTTP/1.1\r\n\r\n", "\0\0\0\0\0\0\0\0", "\u{1b}[31mhello world"] {
        for serving in [true, false] {
            let (ours, mut theirs) = memory::pair();
            theirs.writer.write_all(garbage.as_bytes()).unwrap();
            let error = one_side(ours, serving, options());
            assert!(matches!(error, Error::PeerMisbehaved { .. }), "{error}");
            assert!(error.to_string().contains("handshake magic"), "{error}");
            assert!(!error.to_string().contains('\u{1b}'));
        }
    }
    for serving in [true, false] {
        let (ours, _theirs) = memory::pair();
        let start = Instant::now();
        let brief = SessionOptions { timeout: SHORT, ..options() };
        let error = one_side(ours, serving, brief);
        assert!(matches!(error, Error::Link { .. }), "{error}");
        assert!(start.elapsed() >= SHORT);
        let (ours, theirs) = memory::pair();
        drop(theirs);
        assert!(matches!(one_side(ours, serving, options()), Error::Link { .. }));
    }
}

/// One that is disappointed.
fn one_side(link: Link, serving: bool, options: SessionOptions) -> Error {
    if serving {
        Session::serve(link, options, &offer()).unwrap_err()
    } else {
        Session::join(link, options, vec![], 1 << 20, |_| Ok(())).unwrap_err()
    }
}

#[test]
fn every_cut_of_the_handshake_is_an_error_on_both_sides() {
    let offer = PublicOffer { parameters: fields(&[("a", "b")]), blob: vec![1; 20] };
    let (server, client) = shake(memory::pair(), &offer, &[], 100, |_| Ok(()));
    let from_server = server.unwrap().stats().handshake.bytes_sent;
    let from_client = client.unwrap().0.stats().handshake.bytes_sent;
    for at in 0..from_server {
        let (a, b) = memory::pair();
        let (server, client) = shake((faulty(a, Fault::Cut(at)), b), &offer, &[], 100, |_| Ok(()));
        assert!(client.is_err() && server.is_err(), "server cut at {at}");
    }
    for at in 0..from_client {
        let (a, b) = memory::pair();
        let (server, _) = shake((a, faulty(b, Fault::Cut(at))), &offer, &[], 100, |_| Ok(()));
        assert!(server.is_err(), "client cut at {at}");
    }
}

#[test]
fn every_flipped_byte_of_the_handshake_is_noticed() {
    let offer = PublicOffer { parameters: fields(&[("a", "b")]), blob: vec![1; 20] };
    let (server, client) = shake(memory::pair(), &offer, &[("a", "b")], 100, |_| Ok(()));
    let from_server = server.unwrap().stats().handshake.bytes_sent;
    let from_client = client.unwrap().0.stats().handshake.bytes_sent;
    // A flipped length makes a party wait for bytes that never come.
    let brief = SessionOptions { timeout: Duration::from_millis(50), ..options() };
    let try_flip = |at: u64, flip_server: bool| {
        let (a, b) = memory::pair();
        let fault = Fault::Flip(at);
        let (a, b) = if flip_server { (faulty(a, fault), b) } else { (a, faulty(b, fault)) };
        std::thread::scope(|scope| {
            let server = scope.spawn(|| Session::serve(a, brief, &offer));
            let _client = Session::join(b, brief, fields(&[("a", "b")]), 100, |_| Ok(()));
            server.join().unwrap()
        })
    };
    for at in 0..from_server {
        assert!(try_flip(at, true).is_err(), "byte {at} of the server");
    }
    for at in 0..from_client {
        assert!(try_flip(at, false).is_err(), "byte {at} of the client");
    }
}

#[test]
fn two_servers_do_not_talk() {
    let (a, b) = memory::pair();
    let (a, b) = std::thread::scope(|scope| {
        let a = scope.spawn(|| one_side(a, true, options()));
        (one_side(b, true, options()), a.join().unwrap())
    });
    for error in [a, b] {
        assert!(error.to_string().contains("role"), "{error}");
    }
}

#[test]
fn hostile_lists_are_refused() {
    let long = "x".repeat(handshake::MAX_VALUE + 1);
    let many: Vec<_> =
        (0..=handshake::MAX_FIELDS).map(|i| (i.to_string(), String::new())).collect();
    for bad in
        [fields(&[("a", &long)]), fields(&[("", "1")]), fields(&[("a", "1"), ("a", "2")]), many]
    {
        let (link, _peer) = memory::pair();
        let error = Session::join(link, options(), bad.clone(), 0, |_| Ok(())).unwrap_err();
        assert!(matches!(error, Error::InvalidInput { .. }), "{error}");
        let (link, _peer) = memory::pair();
        let offer = PublicOffer { parameters: bad, blob: vec![] };
        let error = Session::serve(link, options(), &offer).unwrap_err();
        assert!(matches!(error, Error::InvalidInput { .. }), "{error}");
    }
    let (link, _peer) = memory::pair();
    let options = SessionOptions { lanes: MAX_LANES + 1, ..options() };
    assert!(matches!(Session::serve(link, options, &offer()), Err(Error::InvalidInput { .. })));
}

#[test]
fn a_message_longer_than_any_is_refused_unread() {
    let (ours, mut theirs) = memory::pair();
    let mut bytes = b"SCI2PC\r\n".to_vec();
    bytes.extend(handshake::PROTOCOL_VERSION.to_le_bytes());
    bytes.push(1);
    bytes.extend([9; 32]);
    bytes.extend(u32::MAX.to_le_bytes());
    theirs.writer.write_all(&bytes).unwrap();
    let error = one_side(ours, true, options());
    assert!(matches!(error, Error::PeerMisbehaved { .. }), "{error}");
    assert!(error.to_string().contains("length of the requirements"), "{error}");
}

#[test]
fn the_refusing_side_lets_its_hello_arrive() {
    // Even a peer that is slow to read learns our version.
    let (ours, mut theirs) = memory::pair();
    theirs.writer.write_all(b"SCI2PC\r\n\x63\0\0\0").unwrap();
    std::thread::scope(|scope| {
        let error = scope.spawn(|| one_side(ours, false, options()));
        std::thread::sleep(Duration::from_millis(50));
        let mut hello = [0; 12];
        theirs.reader.read_exact(&mut hello).unwrap();
        assert_eq!(&hello[..8], b"SCI2PC\r\n");
        drop(theirs);
        match error.join().unwrap() {
            Error::PeerIncompatible { field, ours, theirs } => {
                let version = handshake::PROTOCOL_VERSION.to_string();
                assert_eq!((&*field, &*ours, &*theirs), ("protocol version", &*version, "99"));
            }
            other => panic!("{other}"),
        }
    });
}

/// A part of a span that counts for another operation, and an exchange that adds no round.
#[test]
fn a_part_can_be_attributed_elsewhere() {
    let party = |mut session: Session| {
        let mut exchange = |count: usize| {
            for _ in 0..count {
                session.stream().send(&[0; 10]).unwrap();
                session.stream().recv("beat", 10).unwrap();
            }
        };
        exchange(3);
        let recorder = session.recorder().clone();
        {
            let _span = recorder.span("layer", "op", Phase::Online);
            let stream = session.stream();
            stream.send(&[0; 10]).unwrap();
            stream.recv("beat", 10).unwrap();
            let before = stream.depth();
            let suspended = stream.suspend_depth();
            for _ in 0..2 {
                stream.send(&[0; 7]).unwrap();
                stream.recv("aside", 7).unwrap();
            }
            let rounds = stream.restore_depth(suspended);
            assert_eq!((rounds, stream.depth()), (2, before));
            // More seconds than there were: only those move.
            let part = Totals { bytes_sent: 14, bytes_received: 14, rounds, seconds: 1e9 };
            recorder.attribute("aside", "exchange", Phase::Offline, &part);
            recorder.attribute("aside", "exchange", Phase::Offline, &Totals::default());
        }
        let stats = recorder.stats();
        let (online, offline) = (stats.phase(Phase::Online), stats.phase(Phase::Offline));
        assert_eq!((online.bytes_sent, online.bytes_received, online.rounds), (10, 10, 1));
        assert_eq!((offline.bytes_sent, offline.bytes_received, offline.rounds), (14, 14, 2));
        assert!(online.seconds >= 0.0 && offline.seconds < 1e3);
        assert_eq!(stats.total().bytes(), 2 * (30 + 24));
    };
    run_pair(party, party);
}

#[test]
fn spans_attribute_to_the_innermost() {
    let party = |mut session: Session| {
        let other = 1 - session.party().index();
        let mut exchange = |count: usize| {
            for _ in 0..count {
                session.stream().send(&[0; 10]).unwrap();
                session.stream().recv("beat", 10).unwrap();
            }
        };
        exchange(1);
        let recorder = {
            let recorder = session.recorder().clone();
            let mut exchange = |count: usize| {
                for _ in 0..count {
                    session.stream().send(&[0; 10]).unwrap();
                    session.stream().recv("beat", 10).unwrap();
                }
            };
            let setup = recorder.span("", "base ot", Phase::Setup);
            exchange(2);
            drop(setup);
            for _ in 0..2 {
                let _layer = recorder.span("conv1", "Conv", Phase::Online).backend("ot");
                exchange(3);
                {
                    let _refill = recorder.phase(Phase::Offline);
                    exchange(4);
                }
                exchange(5);
            }
            recorder
        };
        let stats = recorder.stats();
        assert_eq!(stats.outside.bytes(), 20);
        assert_eq!(stats.phase(Phase::Setup).bytes_sent, 20);
        assert_eq!(stats.phase(Phase::Offline).rounds, 8);
        assert_eq!(stats.phase(Phase::Online).rounds, 16);
        assert_eq!(stats.total().rounds, 1 + 2 + 24);
        assert_eq!(stats.headers_sent, 27 * 12);
        let row = |at: usize| {
            let l = &stats.layers[at];
            (&*l.name, &*l.op, &*l.backend, l.phase, l.bytes_sent, l.bytes_received, l.rounds)
        };
        assert_eq!(row(0), ("", "base ot", "", Phase::Setup, 20, 20, 2));
        assert_eq!(row(1), ("conv1", "Conv", "ot", Phase::Online, 160, 160, 16));
        assert_eq!(row(2), ("conv1", "Conv", "ot", Phase::Offline, 80, 80, 8));
        assert_eq!(stats.layers.len(), 3);
        assert!(stats.layers.iter().all(|layer| layer.seconds >= 0.0));
        assert_eq!(session.party().peer().index(), other);
    };
    run_pair(party, party);
}

#[test]
fn the_panic_of_a_party_is_the_panic_of_the_test() {
    let caught = std::panic::catch_unwind(|| {
        run_pair(
            |_| panic!("the server broke"),
            |mut client| drop(client.stream().recv("never", 1).unwrap()),
        )
    });
    let panic = caught.unwrap_err();
    assert_eq!(panic.downcast_ref::<&str>(), Some(&"the server broke"));
}

#[test]
fn shares_of_tests_reveal_what_was_shared() {
    let mut prg = Prg::new(Block::from(3));
    let ring = Ring::new(37).unwrap();
    let values = [0, 1, (1 << 37) - 1, 12345];
    let (a, b) = share_arithmetic(ring, &values, &mut prg);
    assert!(a != values && b != values);
    assert_eq!(reveal(ring, &a, &b), values);
    let field = Field::new(1_000_003).unwrap();
    let (a, b) = share_arithmetic(field, &[5, 1_000_002], &mut prg);
    assert_eq!(reveal(field, &a, &b), [5, 1_000_002]);
    let bits = Bits::sample(77, &mut prg);
    let (a, b) = share_bits(&bits, &mut prg);
    assert!(a != bits && b != bits);
    assert_eq!(reveal_bits(&a, &b), bits);
}
