//! Silent OT through a peer: live choices on both directions of several lanes while pools run dry and
//! refill, and what is counted.

use sci_core::session::{Phase, SessionOptions};
use sci_core::testing::patient;
use sci_core::{Bits, Block, Party, Prg, Result};
use sci_ot::chosen::{Choices, Group};
use sci_ot::one_of_n::{First, Messages};
use sci_ot::peer::Settings;
use sci_ot::plan::Plan;
use sci_ot::silent::{LAYER, SETS};
use sci_ot::testing::{run_both, run_peers_with};
use sci_ot::{Lane, OtKind, Peer, Role};
use std::collections::HashSet;

fn silent(silent_log_k: u32) -> Settings {
    Settings { silent_log_k, ..Settings::over(OtKind::Silent) }
}

/// What one direction gave: the sender's pads or the receiver's choices and pads.
struct Direction {
    pairs: Vec<[Block; 2]>,
    choices: Bits,
    chosen: Vec<Block>,
}

/// Extends both ways with live choices.
fn both_ways(lane: &mut Lane, n: usize) -> Result<[Direction; 2]> {
    let choices = Bits::sample(n, &mut lane.prg);
    lane.prepare(n, n)?;
    lane.recv.extend_cot(&mut lane.stream, &choices)?;
    lane.send.extend_cot(&mut lane.stream, n)?;
    let mut pairs = vec![[Block::ZERO; 2]; n];
    lane.send.cot_pads(0, &mut pairs);
    let mut chosen = vec![Block::ZERO; n];
    lane.recv.cot_pads(0, &mut chosen);
    let sent = Direction { pairs, choices: Bits::default(), chosen: Vec::new() };
    let received = Direction { pairs: Vec::new(), choices, chosen };
    Ok([sent, received])
}

#[test]
fn live_choices_both_ways_over_refills_on_all_lanes() {
    // More than a round of the smallest set for each lane and direction.
    let (n, pieces) = (150_000, 4 * 7);
    assert!(n * pieces / 4 > SETS[0].outputs());
    let part = |peer: &mut sci_ot::Peer| {
        let plan = Plan::pieces(n * pieces, n);
        peer.map_chunks(&plan, |lane, range| both_ways(lane, range.len()))
    };
    // Two of the threads are for workers when they expand ahead.
    let options = SessionOptions { threads: 4, ..patient() };
    let (server, client) = run_peers_with(options, silent(16), part, part).unwrap();
    let mut pads = HashSet::new();
    for (server, client) in server.value.iter().zip(&client.value) {
        let [[a_sends, a_gets], [b_sends, b_gets]] = [server, client];
        for (sent, got) in [(a_sends, b_gets), (b_sends, a_gets)] {
            for (i, (pair, chosen)) in sent.pairs.iter().zip(&got.chosen).enumerate() {
                let c = usize::from(got.choices.get(i));
                assert!(pair[c] == *chosen, "instance {i}");
                assert!(pair[1 - c] != *chosen);
                if i % 64 == 0 {
                    assert!(pads.insert(pair[0].0) && pads.insert(pair[1].0), "a pad repeats");
                }
            }
        }
    }
    // One bit a COT and nothing else is online; two flights that cross are one round a piece.
    let bytes = (n * pieces / 8) as u64;
    assert_eq!(server.totals.bytes_sent, bytes);
    assert_eq!(client.totals.bytes_sent, bytes);
    assert_eq!(server.totals.rounds, 1);
}

#[test]
fn expansion_is_counted_apart_and_exactly() {
    let n = 100_000;
    let (server, client) = run_both(silent(17), |party, peer| {
        peer.map_chunks(&Plan::whole(1), |lane, _| {
            let mut prg = Prg::new(Block::from(1));
            match party {
                Party::Server => lane.send.extend_random(&mut lane.stream, n),
                Party::Client => lane.recv.extend_random(&mut lane.stream, n, &mut prg).map(|_| ()),
            }
        })?;
        let stats = peer.session().stats();
        let offline = *stats.phase(Phase::Offline);
        assert!(stats.layers.iter().any(|l| &*l.name == LAYER && l.phase == Phase::Offline));
        Ok((offline.bytes_sent, offline.bytes_received, offline.rounds))
    })
    .unwrap();
    let (rows, trees) = (16 * SETS[0].base() as u64, SETS[0].bytes() as u64);
    assert_eq!(server.value, (trees, rows, 2));
    assert_eq!(client.value, (rows, trees, 2));
    assert_eq!((server.totals.bytes(), server.totals.rounds), (0, 0));
}

/// The pads of a 1-of-N OT are bound to their index: no XOR of four of them vanishes, as it would if a
/// pad were the XOR of one key a level.
#[test]
fn pads_of_one_of_n_are_not_linear() {
    let (count, log_n) = (50, 4);
    let (server, client) = run_both(silent(16), |_, peer| {
        let found = peer.map_chunks(&Plan::whole(1), |lane, _| {
            let group = Group { log_n, count };
            match lane.role() {
                Role::Sender => {
                    lane.send.extend_one_of_n(&mut lane.stream, &[group])?;
                    let mut pads = vec![Block::ZERO; count << log_n];
                    lane.send.one_of_n_pads(0, 0..count, &mut pads);
                    let mut short = vec![0; count];
                    lane.send.short_pads(0, log_n, 0..count, 2, &mut short);
                    Ok((pads, short, Vec::new()))
                }
                Role::Receiver => {
                    let mut plane = || Bits::sample(count, &mut lane.prg);
                    let choices = Choices { planes: (0..log_n).map(|_| plane()).collect() };
                    let numbers = (0..count)
                        .map(|i| (0..4).map(|b| usize::from(choices.planes[b].get(i)) << b).sum())
                        .collect::<Vec<usize>>();
                    lane.recv.extend_one_of_n(&mut lane.stream, &[choices])?;
                    let mut pads = vec![Block::ZERO; count];
                    lane.recv.one_of_n_pads(0, 0..count, &mut pads);
                    let mut short = vec![0; count];
                    lane.recv.short_pads(0, 0..count, 2, &mut short);
                    Ok((pads, short, numbers))
                }
            }
        })?;
        Ok(found.into_iter().next().unwrap())
    })
    .unwrap();
    let (all, all_short, _) = client.value;
    let (chosen, chosen_short, numbers) = server.value;
    let mut vanishing = 0;
    for i in 0..count {
        let pads = &all[i << log_n..][..1 << log_n];
        assert!(pads[numbers[i]] == chosen[i]);
        let bit = |k: usize, t: usize| all_short[i] >> (16 * t + k) & 1;
        let short = bit(numbers[i], 0) | bit(numbers[i], 1) << 1;
        assert_eq!(chosen_short[i] & 3, short);
        let distinct: HashSet<[u64; 2]> = pads.iter().map(|pad| pad.0).collect();
        assert_eq!(distinct.len(), 16);
        assert!(pads[0] ^ pads[1] ^ pads[2] ^ pads[3] != Block::ZERO);
        assert!(pads[0] ^ pads[5] ^ pads[10] ^ pads[15] != Block::ZERO);
        vanishing += [0, 1, 2, 3].iter().fold(1, |acc, &k| acc ^ bit(k, 0));
    }
    // The short pads' first bits XOR to zero in about half of the instances.
    assert!((10..=40).contains(&vanishing), "{vanishing} of {count}");
}

/// What an instance's message k is, in the tests of short messages.
fn text(bits: u32, i: usize, k: usize) -> u64 {
    ((i * 31 + k * 7 + i * k) as u64).wrapping_mul(0x9e37_79b9) >> 9 & ((1 << bits) - 1)
}

/// One group of short messages: as they are, or as shares of what they would be. Returns the sender's
/// shares (zeros for messages as they are) and what the receiver chose.
fn transfer(settings: Settings, messages: Messages, shared: bool) -> [Vec<u64>; 2] {
    let Messages { count, log_n, bits, .. } = messages;
    let choice = |i: usize| (i * 101) as u64 % (1 << log_n);
    let exchange = |peer: &mut Peer| {
        let got = peer.map_chunks(&Plan::whole(1), |lane, _| {
            let mut got = vec![0; count];
            match lane.role() {
                Role::Sender => {
                    let groups = [Group { log_n, count }];
                    lane.send.extend_one_of_n(&mut lane.stream, &groups)?;
                    let mut wire = vec![0; messages.wire_len()];
                    let fill = |i: usize, words: &mut [u64]| {
                        let all =
                            (0..1 << log_n).flat_map(|k| (0..bits as usize).map(move |t| (k, t)));
                        for (k, t) in all {
                            let at = (t << log_n) + k;
                            words[at / 64] |= (text(bits, i, k) >> t & 1) << (at % 64);
                        }
                    };
                    if shared {
                        let (ot, prg) = (&*lane.send, &mut lane.prg);
                        let planes = messages.share_short(ot, prg, fill, &mut wire)?;
                        assert_eq!(planes.len(), bits as usize);
                        for (i, got) in got.iter_mut().enumerate() {
                            let bit = |t: usize| u64::from(planes[t].get(i)) << t;
                            *got = (0..bits as usize).map(bit).sum();
                        }
                    } else {
                        messages.write_short(&*lane.send, fill, &mut wire)?;
                    }
                    lane.stream.send(&wire)?;
                }
                Role::Receiver => {
                    let plane = |b: u32| Bits::from_fn(count, |i| choice(i) >> b);
                    let choices = Choices { planes: (0..log_n).map(plane).collect() };
                    lane.recv.extend_one_of_n(&mut lane.stream, &[choices])?;
                    let wire = lane.stream.recv("messages", messages.wire_len())?;
                    let planes = messages.read_short(&*lane.recv, choice, &wire)?;
                    for (i, got) in got.iter_mut().enumerate() {
                        let bit = |t: usize| u64::from(planes[t].get(i)) << t;
                        *got = (0..bits as usize).map(bit).sum();
                    }
                }
            }
            Ok(got)
        })?;
        Ok(got.into_iter().next().unwrap())
    };
    let (server, client) = run_both(settings, |_, peer| exchange(peer)).unwrap();
    [server.value, client.value]
}

/// Every shape that short messages may have, at both ends: alone and as shares, whose first message is implied
/// where an instance fits a word.
#[test]
fn short_messages_of_every_shape() {
    for (log_n, bits) in (1..=8).flat_map(|m| [1, 2, 4].map(|bits| (m, bits))) {
        let total = (bits as usize) << log_n;
        if total > 64 && !total.is_multiple_of(64) {
            continue;
        }
        let count = 77;
        let sent = Messages { group: 0, count, log_n, bits, first: First::Sent };
        let shared = Messages { first: First::of_shares(OtKind::Silent, log_n, bits), ..sent };
        let saved = if total <= 64 { bits as usize } else { 0 };
        assert_eq!(shared.wire_len(), (count * (total - saved)).div_ceil(8));
        for (messages, share) in [(sent, false), (sent, true), (shared, true)] {
            let [server, client] = transfer(silent(16), messages, share);
            for (i, (ours, theirs)) in server.iter().zip(&client).enumerate() {
                let wanted = text(bits, i, (i * 101) % (1 << log_n));
                assert_eq!(ours ^ theirs, wanted, "{messages:?} instance {i}");
            }
        }
    }
}

/// The sender's share is uniform whether message 0 travels or not: of 4,000 bits a half are ones, whatever
/// the function is.
#[test]
fn shares_of_a_function_are_uniform() {
    let count = 1000;
    for first in [First::Sent, First::Implied] {
        let messages = Messages { group: 0, count, log_n: 4, bits: 4, first };
        let shares = transfer(silent(16), messages, true);
        for side in shares {
            let ones: u32 = side.iter().map(|x| x.count_ones()).sum();
            // Six standard deviations of 4,000 fair coins.
            assert!((1810..=2190).contains(&ones), "{first:?}: {ones} of 4000");
        }
    }
}

/// An implied message is nobody's to choose, and needs an instance of one word.
#[test]
fn implied_messages_are_for_shares_in_one_word() {
    let messages = |bits| Messages { group: 0, count: 8, log_n: 5, bits, first: First::Implied };
    run_both(silent(16), |_, peer| {
        peer.map_chunks(&Plan::whole(1), |lane, _| {
            let (ot, prg) = (&*lane.send, &mut lane.prg);
            let wide = messages(4);
            let mut out = vec![0; wide.wire_len()];
            assert!(wide.share_short(ot, prg, |_, _| (), &mut out).is_err());
            let mut out = vec![0; messages(2).wire_len()];
            assert!(messages(2).write_short(ot, |_, _| (), &mut out).is_err());
            Ok(())
        })
    })
    .unwrap();
}

/// After an expansion ahead of exactly what a part takes, the part itself expands nothing, whatever the number of
/// lanes, the state of the pools and the workers; a demand that was met too often or too little does no harm.
#[test]
fn what_is_expanded_ahead_is_not_expanded_again() {
    let options = SessionOptions { threads: 4, ..patient() };
    let part = |peer: &mut sci_ot::Peer| {
        let mut figures = Vec::new();
        for n in [1, 300, 30_000, 250_000] {
            let plan = Plan::pieces(6 * n, n);
            let run = |peer: &mut sci_ot::Peer| {
                peer.map_chunks(&plan, |lane, range| both_ways(lane, range.len()))
            };
            let offline = |peer: &sci_ot::Peer| *peer.session().stats().phase(Phase::Offline);
            let before = peer.taken();
            run(peer)?;
            let demand = peer.taken().since(&before);
            assert_eq!(demand.total(), 12 * n as u64);
            let start = offline(peer);
            peer.expand_ahead(&demand)?;
            let expanded = offline(peer);
            let directions = run(peer)?;
            let after = offline(peer);
            assert_eq!(expanded.bytes(), after.bytes(), "{n}: an expansion online");
            figures.push((n, expanded.bytes() - start.bytes(), directions));
            // Twice as many as are taken, and then half of them.
            peer.expand_ahead(&demand)?;
            peer.expand_ahead(&demand)?;
        }
        Ok(figures)
    };
    let (server, client) = run_peers_with(options, silent(16), part, part).unwrap();
    let mut sent = 0;
    for ((n, bytes, server), (_, same, client)) in server.value.iter().zip(&client.value) {
        assert_eq!(bytes, same);
        sent += bytes;
        for ([a, b], [c, d]) in server.iter().zip(client) {
            for (sent, got) in [(a, d), (c, b)] {
                for (i, (pair, chosen)) in sent.pairs.iter().zip(&got.chosen).enumerate() {
                    let choice = usize::from(got.choices.get(i));
                    assert!(pair[choice] == *chosen && pair[1 - choice] != *chosen, "{n}: {i}");
                }
            }
        }
    }
    assert!(sent > 0);
}

#[test]
fn nothing_is_expanded_ahead_of_iknp() {
    let (server, client) = run_both(Settings::default(), |_, peer| {
        peer.map_chunks(&Plan::whole(500), |lane, range| both_ways(lane, range.len()))?;
        let demand = peer.taken();
        peer.expand_ahead(&demand)?;
        Ok(demand.total())
    })
    .unwrap();
    assert_eq!([server.value, client.value], [0, 0]);
    let bytes = 2 * OtKind::Iknp.cot_bytes(500);
    assert_eq!(server.totals.bytes_sent + client.totals.bytes_sent, bytes);
}
