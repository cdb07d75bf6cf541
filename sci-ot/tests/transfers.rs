//! OT in all its forms, against its definition.

use sci_core::testing::{reveal, share_arithmetic, share_bits};
use sci_core::{BitShares, Bits, Block, Domain, Field, Party, Prg, Result, Ring, Shares};
use sci_ot::chosen::{Choices, Group};
use sci_ot::one_of_n::{First, Messages};
use sci_ot::peer::Settings;
use sci_ot::plan::Plan;
use sci_ot::testing::{assert_cost, run_both};
use sci_ot::triple::{Need, Stock, Supply};
use sci_ot::{Lane, OtKind, Role, cot, select};

const SIZES: [usize; 7] = [0, 1, 7, 8, 9, 127, 1000];

fn prg(seed: u64) -> Prg {
    Prg::new(Block([seed, 0x5c1]))
}

const KINDS: [OtKind; 2] = [OtKind::Iknp, OtKind::Silent];

/// Runs a kernel on one lane as one chunk, the client leading: the leader's result and the other's.
fn on_lane<T: Send>(ot: OtKind, part: impl Fn(&mut Lane) -> Result<T> + Sync) -> (T, T) {
    let (a, b) = run_both(Settings::over(ot), |_, peer| {
        Ok(peer.map_chunks(&Plan::whole(1), |lane, _| part(lane))?.pop().unwrap())
    })
    .unwrap();
    (b.value, a.value)
}

#[test]
fn correlated_ot_over_rings_and_fields() {
    fn check<D: Domain>(ot: OtKind, domain: D, n: usize) {
        let mut rng = prg(n as u64);
        let mut correlations = vec![0; n];
        domain.sample_into(&mut rng, &mut correlations);
        let choices = Bits::sample(n, &mut rng);
        let (sent, received) = on_lane(ot, |lane| match lane.role() {
            Role::Sender => {
                cot::send_correlated(&mut lane.stream, &mut *lane.send, domain, &correlations)
            }
            Role::Receiver => {
                cot::recv_correlated(&mut lane.stream, &mut *lane.recv, domain, &choices)
            }
        });
        for i in 0..n {
            let expected =
                if choices.get(i) { domain.add(sent[i], correlations[i]) } else { sent[i] };
            assert_eq!(received[i], expected, "{domain} {i}");
        }
    }
    for (ot, n) in KINDS.into_iter().flat_map(|ot| SIZES.map(|n| (ot, n))) {
        for l in [1, 2, 31, 37, 63, 64] {
            check(ot, Ring::new(l).unwrap(), n);
        }
        check(ot, Field::new(4293918721).unwrap(), n);
        check(ot, Field::new(7).unwrap(), n);
    }
}

#[test]
fn chosen_ot_of_any_length() {
    KINDS.into_iter().for_each(chosen_ot_of_any_length_over);
}

fn chosen_ot_of_any_length_over(ot: OtKind) {
    for (bits, n) in [(1, 9), (8, 7), (37, 100), (64, 3), (65, 9), (128, 5), (1000, 11)] {
        let words = (bits as usize).div_ceil(64);
        let mut rng = prg(u64::from(bits));
        let tail = u64::MAX >> (words as u32 * 64 - bits);
        let messages: [Vec<u64>; 2] = std::array::from_fn(|_| {
            let mut m = vec![0; n * words];
            rng.fill_u64(&mut m);
            m.chunks_exact_mut(words).for_each(|m| m[words - 1] &= tail);
            m
        });
        let choices = Bits::sample(n, &mut rng);
        let (_, got) = on_lane(ot, |lane| match lane.role() {
            Role::Sender => {
                let pair = [&messages[0][..], &messages[1][..]];
                cot::send_chosen(&mut lane.stream, &mut *lane.send, bits, pair).map(|()| Vec::new())
            }
            Role::Receiver => cot::recv_chosen(&mut lane.stream, &mut *lane.recv, bits, &choices)
                .map(|m| m.to_vec()),
        });
        for i in 0..n {
            let chosen = &messages[usize::from(choices.get(i))];
            assert_eq!(got[i * words..][..words], chosen[i * words..][..words], "{bits} {i}");
        }
    }
}

#[test]
fn random_ot_gives_the_chosen_string_and_fresh_ones_each_time() {
    KINDS.into_iter().for_each(random_ot_gives_the_chosen_string_and_fresh_ones_each_time_over);
}

fn random_ot_gives_the_chosen_string_and_fresh_ones_each_time_over(ot: OtKind) {
    let choices = Bits::sample(300, &mut prg(1));
    let (pairs, got) = on_lane(ot, |lane| match lane.role() {
        Role::Sender => {
            let first = cot::send_random(&mut lane.stream, &mut *lane.send, 300)?;
            let second = cot::send_random(&mut lane.stream, &mut *lane.send, 300)?;
            Ok((vec![], first.to_vec(), second.to_vec()))
        }
        Role::Receiver => {
            let first = cot::recv_random(&mut lane.stream, &mut *lane.recv, &choices)?;
            let second = cot::recv_random(&mut lane.stream, &mut *lane.recv, &choices)?;
            Ok((vec![first.to_vec(), second.to_vec()], vec![], vec![]))
        }
    });
    let mut seen = std::collections::HashSet::new();
    for i in 0..300 {
        let chosen = usize::from(choices.get(i));
        assert!(got.0[0][i] == pairs.1[i][chosen] && got.0[1][i] == pairs.2[i][chosen]);
        for block in pairs.1[i].iter().chain(&pairs.2[i]) {
            assert!(seen.insert(block.0), "pads repeat");
        }
    }
}

#[test]
fn one_of_n_short_and_long_messages() {
    KINDS.into_iter().for_each(one_of_n_short_and_long_messages_over);
}

fn one_of_n_short_and_long_messages_over(ot: OtKind) {
    for n in [1, 8, 9, 100, 1030] {
        let mut rng = prg(n as u64);
        let shapes = [(1, 2), (2, 1), (3, 2), (4, 2), (6, 1), (7, 2), (8, 2), (2, 41), (1, 100)];
        let groups: Vec<Group> =
            shapes.iter().map(|&(log_n, _)| Group { log_n, count: n }).collect();
        let choices: Vec<Choices> = groups
            .iter()
            .map(|g| Choices { planes: (0..g.log_n).map(|_| Bits::sample(n, &mut rng)).collect() })
            .collect();
        let choice = |g: usize, i: usize| {
            let planes = choices[g].planes.iter().enumerate();
            planes.fold(0u64, |c, (b, plane)| c | u64::from(plane.get(i)) << b)
        };
        let message = |g: usize, i: usize, k: usize| {
            let mixed = (g * 1_000_003 + i * 7919 + k * 104_729 + 12345) as u128;
            mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835) >> 7
        };
        let (_, got) = on_lane(ot, |lane| {
            let mut out = Vec::new();
            match lane.role() {
                Role::Sender => lane.send.extend_one_of_n(&mut lane.stream, &groups)?,
                Role::Receiver => lane.recv.extend_one_of_n(&mut lane.stream, &choices)?,
            }
            for (g, &(log_n, bits)) in shapes.iter().enumerate() {
                let messages = Messages { group: g, count: n, log_n, bits, first: First::Sent };
                let len = messages.wire_len();
                let mask = u128::MAX >> (128 - bits);
                let values = 1usize << log_n;
                match lane.role() {
                    Role::Sender => {
                        let mut wire = vec![0; len];
                        if bits <= 2 {
                            let fill = |i: usize, words: &mut [u64]| {
                                for k in 0..values {
                                    for t in 0..bits as usize {
                                        let at = t * values + k;
                                        let bit = (message(g, i, k) >> t & 1) as u64;
                                        words[at / 64] |= bit << (at % 64);
                                    }
                                }
                            };
                            messages.write_short(&*lane.send, fill, &mut wire)?;
                        } else {
                            let value = |i, k| message(g, i, k) & mask;
                            messages.write_long(&*lane.send, value, &mut wire);
                        }
                        lane.stream.send(&wire)?;
                    }
                    Role::Receiver => {
                        let wire = lane.stream.recv("messages", len)?;
                        let pick = |i| choice(g, i);
                        let mut values = Vec::new();
                        if bits <= 2 {
                            let planes = messages.read_short(&*lane.recv, pick, &wire)?;
                            let bit = |i: usize, t: usize| u128::from(planes[t].get(i)) << t;
                            let value = |i| (0..planes.len()).map(|t| bit(i, t)).sum::<u128>();
                            values.extend((0..messages.count).map(value));
                        } else {
                            values = messages.read_long(&*lane.recv, pick, &wire)?;
                        }
                        out.push(values);
                    }
                }
            }
            Ok(out)
        });
        for (g, &(_, bits)) in shapes.iter().enumerate() {
            let mask = u128::MAX >> (128 - bits);
            for (i, got) in got[g].iter().enumerate() {
                let expected = message(g, i, choice(g, i) as usize) & mask;
                assert_eq!(*got, expected, "n {n} group {g} instance {i}");
            }
        }
    }
}

#[test]
fn triples_multiply_and_their_and_is_right() {
    KINDS.into_iter().for_each(triples_multiply_and_their_and_is_right_over);
}

fn triples_multiply_and_their_and_is_right_over(ot: OtKind) {
    for (n, singles, pairs) in [(1, 1, 0), (7, 3, 2), (64, 2, 1), (100, 3, 4), (128, 0, 2)] {
        let need = Need { singles: n * singles, pairs: n * pairs };
        let mut rng = prg(n as u64);
        let inputs: Vec<(Bits, Bits)> = (0..2 * singles + 3 * pairs)
            .map(|_| share_bits(&Bits::sample(n, &mut rng), &mut rng))
            .collect();
        let (a, b) = on_lane(ot, |lane| {
            let mut stock = Stock::deal(lane, need)?;
            match lane.role() {
                Role::Sender => {
                    lane.send.extend_one_of_n(&mut lane.stream, &need.groups(ot))?;
                    let mut wire = vec![0; need.message_bytes(ot)];
                    stock.write(&*lane.send, 0, &mut wire)?;
                    lane.stream.send(&wire)?;
                }
                Role::Receiver => {
                    lane.recv.extend_one_of_n(&mut lane.stream, &stock.choices())?;
                    let wire = lane.stream.recv("triples", need.message_bytes(ot))?;
                    stock.read(&*lane.recv, 0, &wire)?;
                }
            }
            let mine: Vec<&Bits> = inputs
                .iter()
                .map(|(s, c)| if lane.party() == Party::Server { s } else { c })
                .collect();
            let (one, two) = mine.split_at(2 * singles);
            let one: Vec<[&Bits; 2]> = one.chunks(2).map(|x| [x[0], x[1]]).collect();
            let two: Vec<[&Bits; 3]> = two.chunks(3).map(|x| [x[0], x[1], x[2]]).collect();
            let mut supply = Supply::from(stock);
            let products = supply.and(lane, &one, &two)?;
            // Everything is used up: the next AND must be refused, not reuse a triple.
            if singles > 0 {
                assert!(supply.and(lane, &one[..1], &[]).is_err());
            }
            Ok(products)
        });
        let open = |i: usize| {
            let mut x = inputs[i].0.clone();
            x.xor_assign(&inputs[i].1);
            x
        };
        let product = |i: usize, j: usize| {
            let mut x = open(i);
            x.and_assign(&open(j));
            x
        };
        let join = |x: &Bits, y: &Bits| {
            let mut x = x.clone();
            x.xor_assign(y);
            x
        };
        for s in 0..singles {
            assert_eq!(join(&a.0[s], &b.0[s]), product(2 * s, 2 * s + 1));
        }
        for p in 0..pairs {
            let first = 2 * singles + 3 * p;
            assert_eq!(join(&a.1[p][0], &b.1[p][0]), product(first, first + 1));
            assert_eq!(join(&a.1[p][1], &b.1[p][1]), product(first, first + 2));
        }
    }
}

fn select_case<D: Domain>(ot: OtKind, domain: D, n: usize) {
    let mut rng = prg(n as u64 ^ 77);
    let mut x = vec![0; n];
    domain.sample_into(&mut rng, &mut x);
    let bits = Bits::sample(n, &mut rng);
    let (x0, x1) = share_arithmetic(domain, &x, &mut rng);
    let (b0, b1) = share_bits(&bits, &mut rng);
    let part = |party: Party| {
        let (x, b) = if party == Party::Server { (&x0, &b0) } else { (&x1, &b1) };
        (Shares::from_canonical(domain, x.clone()), BitShares::new(b.clone()))
    };
    for plain in [false, true] {
        let (server, client) = run_both(Settings::over(ot), |party, peer| {
            let (x, b) = part(party);
            if plain { select::mux_plain(peer, &b, &x) } else { select::mux(peer, &b, &x) }
        })
        .unwrap();
        let z = reveal(domain, server.value.values(), client.value.values());
        for i in 0..n {
            assert_eq!(z[i], if bits.get(i) { x[i] } else { 0 }, "{domain} {i}");
        }
        let cost = if plain {
            select::mux_plain_cost(ot, n, domain)
        } else {
            select::mux_cost(ot, n, domain)
        };
        assert_cost(&server, &client, cost, "MUX");
    }
    let (server, client) =
        run_both(Settings::over(ot), |party, peer| select::b2a(peer, domain, &part(party).1))
            .unwrap();
    let z = reveal(domain, server.value.values(), client.value.values());
    for (i, z) in z.into_iter().enumerate() {
        assert_eq!(z, domain.reduce(u64::from(bits.get(i))), "{domain} {i}");
    }
    assert_cost(&server, &client, select::b2a_cost(ot, n, domain), "B2A");
}

#[test]
fn mux_and_b2a() {
    KINDS.into_iter().for_each(mux_and_b2a_over);
}

fn mux_and_b2a_over(ot: OtKind) {
    for n in SIZES {
        select_case(ot, Ring::new(37).unwrap(), n);
    }
    for l in [1, 2, 8, 32, 64] {
        select_case(ot, Ring::new(l).unwrap(), 20);
    }
    for n in [2, 3, 257, 4293918721, 1 << 62] {
        select_case(ot, Field::new(n).unwrap(), 20);
    }
    select_case(ot, Ring::new(32).unwrap(), 10_000);
}
