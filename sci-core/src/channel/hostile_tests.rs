//! Streams over links that fail and against peers that misbehave.

use super::tests::tcp_pair;
use super::*;
use crate::testing::{Fault, faulty, run_pair, run_pair_over};
use crate::{Error, Result, Session, session::SessionOptions};
use std::io::{Read, Write};
use std::time::{Duration, Instant};

const SHORT: Duration = Duration::from_millis(150);

fn impatient() -> SessionOptions {
    SessionOptions { timeout: Duration::from_secs(1), ..SessionOptions::default() }
}

/// One end with streams, the other as bare bytes.
fn against_bytes(timeout: Duration, limits: Limits) -> (Vec<Stream>, Link) {
    let (ours, theirs) = memory::pair();
    let (_, streams) = Mux::start(ours, 3, timeout, limits).unwrap();
    (streams, theirs)
}

fn header(len: u32, stream: u16, depth: u32, kind: u16) -> Vec<u8> {
    let mut out = len.to_le_bytes().to_vec();
    out.extend(stream.to_le_bytes());
    out.extend(depth.to_le_bytes());
    out.extend(kind.to_le_bytes());
    out
}

#[test]
fn a_wrong_length_poisons_the_session() {
    let (a, b) = run_pair(
        |mut server| {
            server.stream().send(&[0; 9]).unwrap();
            server.stream().recv("answer", 1).map(drop)
        },
        |mut client| {
            let streams = client.streams_mut();
            let first = streams[0].recv("eight bytes", 8).map(drop);
            assert!(matches!(streams[0].send(&[1]), Err(Error::Misuse { .. })));
            assert!(matches!(streams[0].recv("more", 1), Err(Error::Misuse { .. })));
            // Every other stream learns the cause once.
            assert!(matches!(streams[1].recv("other", 1), Err(Error::PeerMisbehaved { .. })));
            assert!(matches!(streams[1].send(&[1]), Err(Error::Misuse { .. })));
            first
        },
    );
    match b {
        Err(Error::PeerMisbehaved { what, expected, got }) => {
            assert_eq!((&*what, &*expected, &*got), ("eight bytes", "8 bytes", "9 bytes"));
        }
        other => panic!("{other:?}"),
    }
    assert!(a.unwrap_err().to_string().contains("closed the connection"));
}

#[test]
fn a_chain_that_cannot_be_is_refused() {
    for depth in [0, 2, u32::MAX] {
        let (mut streams, mut peer) = against_bytes(SHORT, Limits::default());
        peer.writer.write_all(&header(1, 0, depth, 0)).unwrap();
        peer.writer.write_all(&[5]).unwrap();
        let error = streams[0].recv("deep", 1).unwrap_err();
        assert!(matches!(error, Error::PeerMisbehaved { .. }), "{error}");
    }
}

#[test]
fn bad_frames_are_told_to_every_stream() {
    let bad = [
        header(0, 0, 1, 0),
        header(MAX_FRAME as u32 + 1, 0, 1, 0),
        header(u32::MAX, 0, 1, 0),
        header(1, 3, 1, 0),
        header(1, 0, 1, 9),
        vec![0xee; 12],
    ];
    for bytes in bad {
        let (mut streams, mut peer) = against_bytes(SHORT, Limits::default());
        peer.writer.write_all(&header(2, 1, 1, 0)).unwrap();
        peer.writer.write_all(b"ok").unwrap();
        peer.writer.write_all(&bytes).unwrap();
        // What came before is still good.
        assert_eq!(*streams[1].recv("good", 2).unwrap(), *b"ok");
        for stream in &mut streams {
            let error = stream.recv("next", 1).unwrap_err();
            assert!(matches!(error, Error::PeerMisbehaved { .. }), "{error}");
        }
        // The peer sees a closed connection.
        assert_eq!(peer.reader.read(&mut [0; 1]).unwrap(), 0);
    }
}

#[test]
fn an_announced_length_is_not_allocated() {
    let (mut streams, mut peer) = against_bytes(SHORT, Limits::default());
    peer.writer.write_all(&header(MAX_FRAME as u32, 0, 1, 0)).unwrap();
    let error = streams[0].recv("huge", MAX_FRAME).unwrap_err();
    assert!(matches!(error, Error::Link { .. }), "{error}");
    assert!(error.to_string().contains("has sent no byte"), "{error}");
}

#[test]
fn an_end_in_the_middle_is_an_error() {
    let whole = [header(4, 0, 1, 0), b"four".to_vec()].concat();
    for cut in 0..whole.len() {
        let (mut streams, mut peer) = against_bytes(Duration::from_secs(20), Limits::default());
        peer.writer.write_all(&whole[..cut]).unwrap();
        drop(peer);
        let error = streams[0].recv("four", 4).unwrap_err().to_string();
        assert!(error.contains("closed the connection"), "{error}");
        assert_eq!(error.contains("in the middle"), cut > 0, "{error}");
    }
}

#[test]
fn a_stalled_peer_is_noticed_when_receiving_and_when_sending() {
    let limits = Limits { outgoing_bytes: 1 << 20, ..Limits::default() };
    let (mut streams, _peer) = against_bytes(SHORT, limits);
    let start = Instant::now();
    let error = streams[0].recv("anything", 1).unwrap_err();
    assert!(matches!(error, Error::Link { .. }), "{error}");
    assert!(start.elapsed() >= SHORT);

    let (mut streams, _peer) = against_bytes(SHORT, limits);
    let start = Instant::now();
    let error = (0..100).find_map(|_| streams[0].send(&[0; 1 << 20]).err()).unwrap();
    assert!(matches!(error, Error::Link { .. }), "{error}");
    assert!(error.to_string().contains("has taken no byte"), "{error}");
    assert!(start.elapsed() >= SHORT);
}

/// Pauses that together exceed the patience, none of them by far, and after each a frame of so many bytes on stream 2.
fn with_pauses(peer: Link, patience: Duration, len: usize) {
    let mut writer = peer.writer;
    for _ in 0..6 {
        std::thread::sleep(patience / 5);
        writer.write_all(&header(len as u32, 2, 1, 0)).unwrap();
        writer.write_all(&vec![0; len]).unwrap();
    }
    writer.write_all(&header(1, 0, 1, 0)).unwrap();
    writer.write_all(&[77]).unwrap();
}

#[test]
fn bytes_on_any_stream_are_progress() {
    let patience = Duration::from_secs(2);
    let (mut streams, peer) = against_bytes(patience, Limits::default());
    std::thread::scope(|scope| {
        // Nobody receives them, but they are many.
        scope.spawn(move || with_pauses(peer, patience, 50_000));
        assert_eq!(streams[0].recv("late", 1).unwrap()[0], 77);
    });
}

#[test]
fn frames_that_are_received_are_progress() {
    let patience = Duration::from_secs(2);
    let (mut streams, peer) = against_bytes(patience, Limits::default());
    let (late, others) = streams.split_first_mut().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || with_pauses(peer, patience, 1));
        scope.spawn(|| {
            for _ in 0..6 {
                others[1].recv("short", 1).unwrap();
            }
        });
        assert_eq!(late.recv("late", 1).unwrap()[0], 77);
    });
}

/// Moves single bytes with pauses for many times [`SHORT`], until `step` fails.
fn trickle(mut step: impl FnMut() -> std::io::Result<()>) {
    for _ in 0..500 {
        if step().is_err() {
            return;
        }
        std::thread::sleep(SHORT / 30);
    }
}

fn timed_out(error: &Error) -> bool {
    let kind = |source: &std::io::Error| source.kind() == std::io::ErrorKind::TimedOut;
    matches!(error, Error::Link { source: Some(source), .. } if kind(source))
}

#[test]
fn a_trickle_is_no_progress_when_receiving() {
    let (mut streams, mut peer) = against_bytes(SHORT, Limits::default());
    std::thread::scope(|scope| {
        scope.spawn(move || {
            // A long frame that nobody waits for; in the end, what somebody does.
            peer.writer.write_all(&header(500, 1, 1, 0)).unwrap();
            trickle(|| peer.writer.write_all(&[1]));
            let _ = peer.writer.write_all(&header(1, 0, 1, 0));
            let _ = peer.writer.write_all(&[1]);
        });
        let error = streams[0].recv("anything", 1).unwrap_err();
        assert!(timed_out(&error), "{error}");
    });
}

#[test]
fn short_frames_that_nobody_receives_are_no_progress() {
    let (mut streams, mut peer) = against_bytes(SHORT, Limits::default());
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let frame = [header(1, 1, 1, 0), vec![1]].concat();
            trickle(|| peer.writer.write_all(&frame));
            let _ = peer.writer.write_all(&header(1, 0, 1, 0));
            let _ = peer.writer.write_all(&[1]);
        });
        let error = streams[0].recv("anything", 1).unwrap_err();
        assert!(timed_out(&error), "{error}");
    });
}

/// A stream whose link holds and queues little, and the end that takes from it.
fn against_a_sip(timeout: Duration) -> (Stream, Link) {
    let (ours, theirs) = memory::pair_with_capacity(64);
    let limits = Limits { outgoing_bytes: 4096, ..Limits::default() };
    let (_, mut streams) = Mux::start(ours, 1, timeout, limits).unwrap();
    (streams.remove(0), theirs)
}

#[test]
fn a_trickle_is_no_progress_when_sending() {
    let (mut stream, peer) = against_a_sip(SHORT);
    let Link { mut reader, writer: _open, .. } = peer;
    std::thread::scope(|scope| {
        scope.spawn(move || {
            trickle(|| reader.read_exact(&mut [0]));
            let _ = std::io::copy(&mut reader, &mut std::io::sink());
        });
        let error = (0..100).find_map(|_| stream.send(&[0; 4096]).err()).unwrap();
        assert!(timed_out(&error), "{error}");
        drop(stream);
    });
}

#[test]
fn a_trickle_does_not_keep_a_link_open() {
    let (mut stream, peer) = against_a_sip(SHORT);
    let Link { mut reader, writer: _open, .. } = peer;
    stream.send(&[0; 4096]).unwrap();
    std::thread::scope(|scope| {
        let taken = scope.spawn(move || {
            let mut taken = 0;
            trickle(|| reader.read_exact(&mut [0]).inspect(|()| taken += 1));
            taken + std::io::copy(&mut reader, &mut std::io::sink()).unwrap()
        });
        drop(stream);
        let taken = taken.join().unwrap();
        assert!(taken < 4096, "{taken} bytes were taken");
    });
}

#[test]
fn what_was_sent_is_taken_after_the_end() {
    let (mut stream, peer) = against_a_sip(Duration::from_secs(20));
    let Link { mut reader, writer: _open, .. } = peer;
    stream.send(&[3; 4096]).unwrap();
    std::thread::scope(|scope| {
        let got = scope.spawn(move || {
            let mut got = Vec::new();
            reader.read_to_end(&mut got).unwrap();
            got
        });
        drop(stream);
        assert_eq!(got.join().unwrap().len(), HEADER_BYTES + 4096);
    });
}

#[test]
fn unread_frames_are_bounded() {
    let limits = Limits { incoming_bytes: 1 << 20, ..Limits::default() };
    let patience = Duration::from_secs(2);
    let (mut streams, peer) = against_bytes(patience, limits);
    let Link { mut writer, control, .. } = peer;
    control.set_timeouts(None, Some(patience)).unwrap();
    let frame = [header(100_000, 1, 1, 0), vec![3; 100_000]].concat();
    let sent = (0..100).take_while(|_| writer.write_all(&frame).is_ok()).count();
    // One MiB in the queues, one in the pipe, and what is in between.
    assert!((8..30).contains(&sent), "{sent} frames");
    for _ in 0..8 {
        streams[1].recv("block", 100_000).unwrap();
    }
}

#[test]
fn faults_end_both_parties_within_the_deadline() {
    // The handshake takes fewer than 400 bytes each way, so that all of these hit the frames.
    for fault in [Fault::Cut(2000), Fault::Stall(2000), Fault::Cut(40_000), Fault::Stall(40_000)] {
        for tcp in [false, true] {
            let (a, b) = if tcp { tcp_pair() } else { memory::pair() };
            let party = |mut session: Session| -> Result<()> {
                for _ in 0..1000 {
                    session.stream().send(&[1; 100])?;
                    session.stream().recv("block", 100)?;
                }
                Ok(())
            };
            let start = Instant::now();
            let (a, b) = run_pair_over((faulty(a, fault), b), impatient(), party, party);
            assert!(matches!(a, Err(Error::Link { .. })), "{fault:?}: {a:?}");
            assert!(matches!(b, Err(Error::Link { .. })), "{fault:?}: {b:?}");
            assert!(start.elapsed() < Duration::from_secs(60));
        }
    }
}

#[test]
fn a_flipped_length_byte_is_noticed() {
    let (a, b) = memory::pair();
    // Three bytes after the start of the first frame, whatever the handshake took: found by trying.
    let offset = handshake_bytes_of_the_server() + 3;
    let (_, got) = run_pair_over(
        (faulty(a, Fault::Flip(offset)), b),
        impatient(),
        |mut server| {
            let _ = server.stream().send(&[1; 100]);
            let _ = server.stream().recv("answer", 1);
        },
        |mut client| client.stream().recv("block", 100).map(drop),
    );
    assert!(matches!(got, Err(Error::PeerMisbehaved { .. })), "{got:?}");
}

fn handshake_bytes_of_the_server() -> u64 {
    run_pair(|server| server.stats().handshake.bytes_sent, |_| ()).0
}

#[test]
fn frames_above_the_bound_are_the_callers_mistake() {
    run_pair(
        |mut server| {
            let error = server.stream().send_with(MAX_FRAME + 1, |_| ()).unwrap_err();
            assert!(matches!(error, Error::Misuse { .. }));
        },
        |_| (),
    );
}
