//! Streams over links that work, and lanes.

use super::shaped::LinkShape;
use super::*;
use crate::testing::{run_pair, run_pair_over, run_pair_with};
use crate::{Error, Session, session::SessionOptions};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

pub(super) fn tcp_pair() -> (Link, Link) {
    let listener = tcp::listen("127.0.0.1:0").unwrap();
    let client = tcp::connect(&listener.local_addr().to_string(), Duration::from_secs(5)).unwrap();
    (listener.accept(Some(Duration::from_secs(5))).unwrap(), client)
}

fn both_send_first(mut session: Session) {
    const CHUNK: usize = 4 << 20;
    const CHUNKS: usize = 25;
    let me = session.party().index();
    let stream = session.stream();
    for i in 0..CHUNKS {
        stream.send_with(CHUNK, |out| out.fill((7 * i + me) as u8)).unwrap();
    }
    for i in 0..CHUNKS {
        let frame = stream.recv("chunk", CHUNK).unwrap();
        assert!(frame.iter().all(|&x| x == (7 * i + 1 - me) as u8));
    }
    assert_eq!(stream.depth(), 1);
    assert_eq!(stream.traffic().payload_sent, (CHUNK * CHUNKS) as u64);
    assert_eq!(stream.traffic().headers_received(), (HEADER_BYTES * CHUNKS) as u64);
}

#[test]
fn a_hundred_megabytes_cross_in_memory() {
    run_pair(both_send_first, both_send_first);
}

#[test]
fn a_hundred_megabytes_cross_over_tcp() {
    run_pair_over(tcp_pair(), SessionOptions::default(), both_send_first, both_send_first);
}

#[test]
fn a_slow_receiver_holds_the_sender_back() {
    // Far less room than data, on both sides.
    let limits = Limits { outgoing_bytes: 1 << 16, incoming_bytes: 1 << 16, pool_bytes: 1 << 16 };
    let options = SessionOptions { limits, ..SessionOptions::default() };
    let count = 2000;
    run_pair_with(
        options,
        |mut server| {
            for i in 0..count {
                server.stream().send(&[i as u8; 1500]).unwrap();
            }
        },
        |mut client| {
            for i in 0..count {
                if i % 500 == 0 {
                    std::thread::sleep(Duration::from_millis(10));
                }
                assert_eq!(*client.stream().recv("block", 1500).unwrap(), [i as u8; 1500]);
            }
        },
    );
}

#[test]
fn frames_of_all_sizes_survive_any_segmentation() {
    let sizes = [1, 2, 11, 12, 13, 500, 4096, 65_535, 65_536, 65_537, 1 << 20, (5 << 20) + 3];
    for capacity in [1000, 1 << 20] {
        run_pair_over(
            memory::pair_with_capacity(capacity),
            SessionOptions::default(),
            |mut server| {
                for &size in &sizes {
                    let fill = |out: &mut [u8]| {
                        out.iter_mut().enumerate().for_each(|(i, x)| *x = (i * size) as u8);
                    };
                    server.stream().send_with(size, fill).unwrap();
                }
            },
            |mut client| {
                for &size in &sizes {
                    let frame = client.stream().recv("sizes", size).unwrap();
                    assert!(frame.iter().enumerate().all(|(i, &x)| x == (i * size) as u8));
                }
            },
        );
    }
}

#[test]
fn empty_messages_do_not_travel() {
    let party = |mut session: Session| {
        let stream = session.stream();
        stream.send(&[]).unwrap();
        stream.send_with(0, |_| panic!("nothing to fill")).unwrap();
        assert!(stream.recv("nothing", 0).unwrap().is_empty());
        assert_eq!(stream.traffic(), Traffic::default());
        assert_eq!(stream.depth(), 0);
    };
    run_pair(party, party);
}

#[test]
fn streams_do_not_wait_for_each_other() {
    run_pair(
        |mut server| {
            let streams = server.streams_mut();
            for id in [3, 1, 2, 0] {
                streams[id].send(&[id as u8; 10]).unwrap();
            }
        },
        |mut client| {
            let streams = client.streams_mut();
            for id in [0, 2, 3, 1] {
                assert_eq!(*streams[id].recv("id", 10).unwrap(), [id as u8; 10]);
            }
        },
    );
}

#[test]
fn rounds_are_the_longest_chain() {
    let ping_pong = |mut session: Session| {
        let me = session.party().index() as u32;
        let stream = session.stream();
        for round in 0..10 {
            if round % 2 == me {
                stream.send(&[0; 3]).unwrap();
            } else {
                stream.recv("ping", 3).unwrap();
            }
            assert_eq!(stream.depth(), round + 1);
        }
        // Two at a time in each direction: one more round.
        stream.send(&[1]).unwrap();
        stream.send(&[2]).unwrap();
        stream.recv("first", 1).unwrap();
        stream.recv("second", 1).unwrap();
        let depth = stream.depth();
        session.stats();
        depth
    };
    let (a, b) = run_pair(ping_pong, ping_pong);
    // The last ping was the client's. The server may answer at depth 11, the client's own next
    // message depends on nothing newer than ping 9.
    assert_eq!((a, b), (11, 11));
}

#[test]
fn crossing_messages_are_one_round() {
    let exchange = |mut session: Session| {
        let stream = session.stream();
        for round in 1..=5 {
            stream.send(&[0; 100]).unwrap();
            stream.recv("exchange", 100).unwrap();
            assert_eq!(stream.depth(), round);
        }
    };
    run_pair(exchange, exchange);
}

#[test]
fn branches_count_as_the_longest() {
    let party = |mut session: Session| {
        let me = session.party().index();
        let stream = session.stream();
        // The client asks three times before it reads an answer; the server answers one after the other.
        let mut fork = stream.fork();
        for _ in 0..3 {
            stream.branch(&mut fork);
            if me == 1 {
                stream.send(&[1; 5]).unwrap();
            } else {
                stream.recv("question", 5).unwrap();
                stream.send(&[2; 7]).unwrap();
            }
        }
        if me == 1 {
            (0..3).for_each(|_| assert_eq!(stream.recv("answer", 7).unwrap()[..], [2; 7]));
        }
        stream.join(fork);
        assert_eq!(stream.depth(), 2);
        // What follows depends on the answers.
        stream.send(&[3]).unwrap();
        stream.recv("after", 1).unwrap();
        assert_eq!(stream.depth(), 3);
    };
    run_pair(party, party);
}

#[test]
fn lanes_overlap_and_count_as_the_slowest() {
    let party = |mut session: Session| {
        let me = session.party().index();
        session.stream().send(&[1]).unwrap();
        session.stream().recv("before", 1).unwrap();
        let sums = session
            .run_lanes(|lane, stream| {
                // Lane i needs 2 (i + 1) rounds.
                let mut sum = 0u64;
                for step in 0..2 * (lane + 1) {
                    if step % 2 == me {
                        stream.send(&[lane as u8; 64])?;
                    } else {
                        sum += u64::from(stream.recv("step", 64)?[63]);
                    }
                }
                Ok(sum)
            })
            .unwrap();
        assert_eq!(sums, [0, 2, 6, 12]);
        assert_eq!(session.stream().depth(), 1 + 8);
        assert_eq!(session.stats().outside.rounds, 9);
        session.stream().send(&[1]).unwrap();
        session.stream().recv("after", 1).unwrap();
        assert_eq!(session.stream().depth(), 10);
    };
    run_pair(party, party);
}

#[test]
fn no_more_lanes_compute_than_there_are_permits() {
    for threads in [1, 2] {
        let options = SessionOptions { threads, lanes: 6, ..SessionOptions::default() };
        let busy = [AtomicUsize::new(0), AtomicUsize::new(0)];
        let most = AtomicUsize::new(0);
        let party = |mut session: Session| {
            let busy = &busy[session.party().index()];
            session
                .run_lanes(|_, stream| {
                    for _ in 0..10 {
                        stream.send(&[0; 8])?;
                        stream.recv("beat", 8)?;
                        let now = busy.fetch_add(1, Ordering::SeqCst) + 1;
                        most.fetch_max(now, Ordering::SeqCst);
                        std::thread::sleep(Duration::from_micros(300));
                        busy.fetch_sub(1, Ordering::SeqCst);
                    }
                    Ok(())
                })
                .unwrap();
            assert_eq!(session.permits().available(), threads);
        };
        run_pair_with(options, party, party);
        let most = most.load(Ordering::SeqCst);
        assert!(most <= threads, "{most} lanes at work with {threads} permits");
    }
}

/// The client answers only once an idle worker of the server has had a permit.
#[test]
fn who_holds_all_permits_lends_them_while_it_waits() {
    let options = SessionOptions { threads: 3, ..SessionOptions::default() };
    let (worked, was_lent) = std::sync::mpsc::channel();
    let worked = &worked;
    run_pair_with(
        options,
        |mut server| {
            let permits = Arc::clone(server.permits());
            std::thread::scope(|scope| {
                let stream = server.stream();
                stream.attach_permits(&permits, 9);
                assert_eq!(permits.available(), 0);
                let lent = Arc::clone(&permits);
                scope.spawn(move || {
                    let permit = lent.acquire_idle(|| false);
                    worked.send(permit.is_some()).unwrap();
                });
                stream.recv("the answer", 1).unwrap();
                assert_eq!(permits.available(), 0);
                stream.detach_permits();
            });
            assert_eq!(permits.available(), 3);
        },
        move |mut client| {
            assert!(was_lent.recv().unwrap());
            client.stream().send(&[1]).unwrap();
        },
    );
}

#[test]
fn an_error_in_one_lane_ends_all_and_loses_no_permit() {
    let options = SessionOptions { threads: 2, ..SessionOptions::default() };
    let (a, b) = run_pair_with(
        options,
        |mut server| {
            let result = server.run_lanes(|lane, stream| match lane {
                2 => Err(Error::invalid("lane", "another", lane)),
                _ => stream.recv("never sent", 5).map(drop),
            });
            assert_eq!(server.permits().available(), 2);
            assert!(server.is_poisoned());
            result
        },
        |mut client| {
            let start = Instant::now();
            let result = client.run_lanes(|_, stream| stream.recv("never sent", 5).map(drop));
            assert!(start.elapsed() < client.timeout());
            assert_eq!(client.permits().available(), 2);
            result
        },
    );
    assert!(matches!(a, Err(Error::InvalidInput { .. })), "{a:?}");
    assert!(matches!(b, Err(Error::Link { .. })), "{b:?}");
}

#[test]
fn a_panic_in_a_lane_propagates_and_loses_no_permit() {
    let (_, b) = run_pair(
        |mut server| {
            let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                server.run_lanes(|lane, stream| {
                    assert!(lane != 1, "on purpose");
                    stream.recv("never sent", 5).map(drop)
                })
            }));
            assert!(panic.is_err());
            assert_eq!(server.permits().available(), 1);
        },
        |mut client| client.stream().recv("never sent", 1).map(drop),
    );
    assert!(matches!(b, Err(Error::Link { .. })), "{b:?}");
}

#[test]
fn what_was_sent_before_the_end_arrives() {
    for tcp in [false, true] {
        let ends = if tcp { tcp_pair() } else { memory::pair() };
        run_pair_over(
            ends,
            SessionOptions::default(),
            |mut server| server.stream().send_with(20 << 20, |out| out.fill(9)).unwrap(),
            |mut client| {
                std::thread::sleep(Duration::from_millis(30));
                let last = client.stream().recv("last", 20 << 20).unwrap();
                assert!(last.iter().all(|&x| x == 9));
                let error = client.stream().recv("more", 1).unwrap_err();
                assert!(error.to_string().contains("closed the connection"), "{error}");
            },
        );
    }
}

#[test]
fn streams_outlive_the_session() {
    let party = |mut session: Session| {
        let mut streams = session.take_streams();
        drop(session);
        streams.truncate(2);
        streams[1].send(&[4; 4]).unwrap();
        assert_eq!(*streams[1].recv("four", 4).unwrap(), [4; 4]);
    };
    run_pair(party, party);
}

#[test]
fn a_shaped_link_takes_its_time() {
    let shape = LinkShape::new(20.0, 30.0).unwrap();
    for tcp in [false, true] {
        let (a, b) = if tcp { tcp_pair() } else { memory::pair() };
        let ends = (shape.apply(a).unwrap(), shape.apply(b).unwrap());
        // One clock for both: a party that wakes up late finds its bytes already there.
        let start = Instant::now();
        let party = |mut session: Session| {
            let me = session.party().index();
            let stream = session.stream();
            for step in 0..4 {
                if step % 2 == me {
                    stream.send(&[1; 16]).unwrap();
                } else {
                    stream.recv("ping", 16).unwrap();
                }
            }
            // Three or four trips, seen from the two sides.
            assert!(start.elapsed() >= Duration::from_millis(44));
            stream.send(&[2; 1_000_000]).unwrap();
            stream.recv("bulk", 1_000_000).unwrap();
            assert!(start.elapsed() >= Duration::from_millis(44 + 49));
        };
        run_pair_over(ends, SessionOptions::default(), party, party);
    }
}
