use super::pool::{AHEAD, Pool, Producer};
use super::side::{ReceiverSide, SenderSide, Side};
use super::*;
use crate::extension::{Code, ExtensionReceiver, ExtensionSender, SenderSeeds};
use sci_core::channel::Stream;
use sci_core::prg::ColumnPrgs;
use sci_core::session::Phase;
use sci_core::testing::run_pair;
use sci_core::{Bits, Block, Prg, Result, Session};
use std::sync::Arc;

/// The table of the module documentation.
#[test]
fn the_sets_are_those_documented() {
    let usable = [795_648, 2_250_752, 5_943_296, 15_007_744];
    let bytes = [136_000, 205_920, 291_840, 395_200];
    for ((set, usable), bytes) in SETS.into_iter().zip(usable).zip(bytes) {
        assert_eq!((set.usable(set), set.bytes()), (usable, bytes));
    }
    assert!(8.0 * SETS[3].bytes() as f64 / (SETS[3].usable(SETS[3]) as f64) < 0.35);
    // Four lanes, both directions, all in a refill: tables twice, sums or roots, batches, what is ahead.
    let batches = 16 * (6 * side::BATCH + AHEAD);
    let state = |set: Set| 2 * 16 * set.dimension() + 3 * set.bytes() + batches;
    assert!(4 * 2 * state(SETS[3]) < 200 << 20);
    assert!(16 * IKNP_SERVES < (16 * SETS[0].base() + SETS[0].bytes()) as u64);
}

#[test]
fn what_is_ahead_grows_with_the_flight_and_is_bounded_for_all_pools() {
    assert_eq!(outputs_ahead(0, 8), AHEAD);
    assert_eq!(outputs_ahead(3 * AHEAD as u64, 8), 3 * AHEAD);
    for pools in [2, 8, 9, 32, 510] {
        let each = outputs_ahead(u64::MAX, pools);
        assert!(16 * each <= 16 << 20 && 16 * each * pools <= 128 << 20, "{pools}");
        // Workers make a batch at a time.
        assert!((side::BATCH..=each).contains(&outputs_ahead(0, pools)), "{pools}");
    }
    assert_eq!(outputs_ahead(u64::MAX, 2), outputs_ahead(u64::MAX, 8));
}

#[test]
fn sets_grow_to_the_limit() {
    let log = |largest, round| Growth { largest }.set(round).log_k;
    assert_eq!([log(16, 0), log(16, 9)], [16, 16]);
    assert_eq!([log(19, 0), log(19, 1), log(19, 3), log(19, 4)], [16, 17, 19, 19]);
    assert_eq!(log(99, u32::MAX), 19);
}

const DELTA: u128 = 0x0123_4567_89ab_cdef_0f1e_2d3c_4b5a_6979;
const LANE: u64 = 3;

fn terms(session: &Session, largest: u32) -> Terms {
    Terms {
        lane: LANE,
        seeds: Seeds { trees: Block::from(5), matrices: Block::from(6) },
        growth: Growth { largest },
        ahead: AHEAD,
        meter: Meter { recorder: session.recorder().clone(), threads: 1 },
        bell: Arc::default(),
    }
}

/// The two pools of a direction, over base OTs that a dealer knows.
fn sender(session: &Session, largest: u32) -> Pool<SenderSide> {
    let delta = Bits::from_fn(128, |i| (DELTA >> i) as u64);
    let keys: Vec<Block> = (0..128).map(|i| Block::from(2 * i + (DELTA >> i & 1))).collect();
    let seeds_of_base = SenderSeeds { delta, columns: ColumnPrgs::new(&keys) };
    let rows = ExtensionSender::new(Code::Repetition, Arc::new(seeds_of_base), LANE);
    let side = SenderSide::new(rows, Prg::from_os().unwrap());
    Pool::new(side, terms(session, largest))
}

fn receiver(session: &Session, largest: u32) -> Pool<ReceiverSide> {
    let column =
        |b: u128| ColumnPrgs::new(&(0..128).map(|i| Block::from(2 * i + b)).collect::<Vec<_>>());
    let rows = ExtensionReceiver::new(Code::Repetition, Arc::new([column(0), column(1)]), LANE);
    let side = ReceiverSide::new(rows, Prg::from_os().unwrap());
    Pool::new(side, terms(session, largest))
}

/// Takes what `amounts` say, checks some of every take, and returns all choices.
fn take_and_compare(largest: u32, amounts: &[usize]) -> (u64, u64) {
    fn take<S: Side>(pool: &mut Pool<S>, stream: &mut Stream, n: usize) -> Result<Vec<Block>> {
        let mut out = vec![Block::ZERO; n];
        pool.take(stream, &mut out)?;
        Ok(out)
    }
    let (to_peer, from_peer) = std::sync::mpsc::sync_channel::<Vec<Block>>(1);
    let (_, ones) = run_pair(
        |mut session| {
            let mut pool = sender(&session, largest);
            for (i, &n) in amounts.iter().enumerate() {
                // As a worker does, at one party alone.
                for _ in 0..i % 20 {
                    if pool.wants().is_some() {
                        pool.produce();
                    }
                }
                assert!(pool.at_hand() <= AHEAD.max(IKNP_SERVES as usize));
                let keys = take(&mut pool, session.stream(), n).unwrap();
                assert!(keys.iter().all(|key| !key.lsb()));
                to_peer.send(keys).unwrap();
            }
        },
        move |mut session| {
            let mut pool = receiver(&session, largest);
            let (mut ones, mut total) = (0, 0);
            for &n in amounts {
                let values = take(&mut pool, session.stream(), n).unwrap();
                let keys = from_peer.recv().unwrap();
                let delta = Block::from(DELTA);
                for (key, value) in keys.iter().zip(&values) {
                    let choice = u64::from(value.lsb());
                    assert!(*value == *key ^ delta.and_mask(choice.wrapping_neg()));
                    ones += choice;
                }
                total += n as u64;
            }
            (ones, total)
        },
    );
    ones
}

/// The choices of a take are balanced: within five standard deviations.
fn assert_balanced((ones, total): (u64, u64)) {
    let deviation = (ones as f64 - total as f64 / 2.0).abs();
    assert!(deviation < 2.5 * (total as f64).sqrt(), "{ones} of {total}");
}

#[test]
fn correlations_hold_in_every_set_over_several_refills() {
    for largest in 16..=18 {
        let path: usize = (16..largest).map(|k| SETS[k as usize - 16].outputs()).sum();
        let total = path + 2 * SETS[largest as usize - 16].outputs() + 100_000;
        let mut amounts = vec![1, 500, 20_000, 1_000, 99, 60_000];
        amounts.extend(std::iter::repeat_n(1_000_003, total / 1_000_003 + 1));
        assert_balanced(take_and_compare(largest, &amounts));
    }
}

#[test]
fn correlations_hold_in_the_largest_set() {
    let total: usize = SETS.iter().map(|set| set.outputs()).sum::<usize>() + 2_000_000;
    let amounts: Vec<usize> = std::iter::repeat_n(3_000_000, total / 3_000_000 + 1).collect();
    assert_balanced(take_and_compare(19, &amounts));
}

#[test]
fn small_needs_are_served_by_iknp_and_all_is_counted_offline() {
    let party = |server: bool| {
        move |mut session: Session| {
            let mut out = vec![Block::ZERO; 100];
            // What came before: a session has had its base OTs.
            session.stream().set_depth(4);
            {
                let _span = session.span("layer", "op", Phase::Online);
                if server {
                    let mut pool = sender(&session, 16);
                    pool.take(session.stream(), &mut out).unwrap();
                    out.resize(70_000, Block::ZERO);
                    pool.take(session.stream(), &mut out).unwrap();
                } else {
                    let mut pool = receiver(&session, 16);
                    pool.take(session.stream(), &mut out).unwrap();
                    out.resize(70_000, Block::ZERO);
                    pool.take(session.stream(), &mut out).unwrap();
                }
                assert_eq!(session.stream().depth(), 4);
            }
            let stats = session.stats();
            let (online, offline) = (*stats.phase(Phase::Online), *stats.phase(Phase::Offline));
            assert_eq!((online.bytes(), online.rounds), (0, 0));
            assert_eq!(stats.layers.iter().filter(|l| &*l.name == LAYER).count(), 1);
            (offline.bytes_sent, offline.bytes_received, offline.rounds)
        }
    };
    let (server, client) = run_pair(party(true), party(false));
    // 128 rows first, then the base of the smallest set and its trees.
    let (rows, trees) = (16 * (128 + SETS[0].base() as u64), SETS[0].bytes() as u64);
    assert_eq!((server.0, server.1), (trees, rows));
    assert_eq!((client.0, client.1), (rows, trees));
    assert_eq!(server.2, 2);
    assert_eq!(client.2, 2);
}

/// What was asked for beforehand is there, costs nothing when it is taken, and lets workers rest until then.
#[test]
fn a_stock_lasts_for_what_it_was_made_for() {
    fn party<S: Side>(pool: &mut Pool<S>, stream: &mut Stream) -> Vec<Block> {
        let n = 300_000;
        pool.stock_up(stream, n).unwrap();
        assert!((n..n + 2 * side::BATCH).contains(&pool.at_hand()));
        assert_eq!(pool.taken(), 0);
        let before = stream.traffic();
        let mut out = vec![Block::ZERO; n];
        let (some, rest) = out.split_at_mut(n - 1);
        pool.take(stream, some).unwrap();
        assert!(pool.wants().is_none());
        pool.take(stream, rest).unwrap();
        assert!(pool.wants().is_some());
        let after = stream.traffic();
        assert_eq!(before.payload_sent, after.payload_sent);
        assert_eq!(before.payload_received, after.payload_received);
        assert_eq!(pool.taken(), n as u64);
        // Less than is at hand asks for nothing.
        let left = pool.at_hand();
        pool.stock_up(stream, left).unwrap();
        assert_eq!((stream.traffic().payload_sent, pool.at_hand()), (after.payload_sent, left));
        out
    }
    let (keys, values) = run_pair(
        |mut session| party(&mut sender(&session, 16), session.stream()),
        |mut session| party(&mut receiver(&session, 16), session.stream()),
    );
    for (key, value) in keys.iter().zip(&values) {
        assert!(
            *value == *key ^ Block::from(DELTA).and_mask(u64::from(value.lsb()).wrapping_neg())
        );
    }
}

/// Two pools of the same base OTs share nothing: matrices, noise and secrets differ by round, and
/// the roots are fresh.
#[test]
fn outputs_do_not_repeat() {
    let take = |largest: u32| {
        let (keys, _) = run_pair(
            move |mut session| {
                let mut pool = sender(&session, largest);
                let mut out = vec![Block::ZERO; 200_000];
                pool.take(session.stream(), &mut out).unwrap();
                out
            },
            move |mut session| {
                let mut pool = receiver(&session, largest);
                let mut out = vec![Block::ZERO; 200_000];
                pool.take(session.stream(), &mut out).unwrap();
            },
        );
        keys
    };
    let mut seen = std::collections::HashSet::new();
    for block in take(16).iter().chain(&take(16)) {
        assert!(seen.insert(block.0));
    }
}
