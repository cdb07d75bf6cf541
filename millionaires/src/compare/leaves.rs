//! The digits of a comparison: one OT each, offered by the leader, chosen by the other party.

use super::shape::{Leaf, Shape};
use super::{Outcome, Relation};
use sci_core::{Bits, Result};
use sci_ot::Lane;
use sci_ot::chosen::Choices;
use sci_ot::triple::Stock;

/// The leader's leaves: fresh shares, offered under all digits of the peer.
pub(super) fn lead(
    lane: &mut Lane,
    shape: &Shape,
    inputs: &[&[u64]],
    n: usize,
    stock: &Stock,
) -> Result<Vec<(usize, Leaf, Outcome)>> {
    lane.send.extend_one_of_n(&mut lane.stream, &shape.groups(n))?;
    let mut leaves: Vec<(usize, Leaf, Outcome)> = Vec::new();
    let each = |leaf: &Leaf| (leaf.job..leaf.job + leaf.jobs).zip(std::iter::repeat(*leaf));
    for (job, leaf) in shape.leaves.iter().flatten().flat_map(each) {
        let mut share = |wanted: bool| match wanted {
            true => Bits::sample(n, &mut lane.prg),
            false => Bits::default(),
        };
        let outcome = Outcome {
            greater: share(leaf.relation != Relation::Equal),
            equal: share(leaf.relation != Relation::Greater),
        };
        leaves.push((job, leaf, outcome));
    }
    let ot = &*lane.send;
    let mut result = Ok(());
    lane.stream.send_with(shape.message_bytes(n), |mut out| {
        let mut first = 0;
        for (group, messages) in shape.messages(n) {
            let jobs = group[0].jobs;
            let members = &leaves[first..first + group.len() * jobs];
            first += group.len() * jobs;
            let (mine, rest) = std::mem::take(&mut out).split_at_mut(messages.wire_len());
            out = rest;
            let message = |i: usize, words: &mut [u64]| {
                let mut base = 0;
                for (job, leaf, share) in &members[i / n * jobs..(i / n + 1) * jobs] {
                    let digit = leaf.digit(inputs[*job][i % n]);
                    offer(*leaf, digit, share, i % n, &mut base, words);
                }
            };
            let written = messages.write_short(ot, message, mine);
            result = std::mem::replace(&mut result, Ok(())).and(written);
        }
        let written = stock.write(ot, shape.leaves.len(), out);
        result = std::mem::replace(&mut result, Ok(())).and(written);
    })?;
    result.map(|()| leaves)
}

/// The plaintext of one leaf: for every k, 1{x > k} and 1{x = k}, each xor the leader's share.
fn offer(leaf: Leaf, x: u64, share: &Outcome, i: usize, base: &mut usize, words: &mut [u64]) {
    let n = 1usize << leaf.width;
    if leaf.relation != Relation::Equal {
        let flip = u64::from(share.greater.get(i)).wrapping_neg();
        put(words, *base, n, flip, |t| {
            let below = x.saturating_sub(t as u64 * 64).min(64);
            ((1u128 << below) - 1) as u64
        });
        *base += n;
    }
    if leaf.relation != Relation::Greater {
        let flip = u64::from(share.equal.get(i)).wrapping_neg();
        put(words, *base, n, flip, |t| {
            (1 << (x % 64)) & u64::from(x / 64 == t as u64).wrapping_neg()
        });
        *base += n;
    }
}

/// Writes n bits from `base`, 64 at a time, each word xor `flip`.
fn put(words: &mut [u64], base: usize, n: usize, flip: u64, word: impl Fn(usize) -> u64) {
    if n < 64 {
        words[base / 64] |= ((word(0) ^ flip) & ((1 << n) - 1)) << (base % 64);
    } else {
        for (t, out) in words[base / 64..][..n / 64].iter_mut().enumerate() {
            *out = word(t) ^ flip;
        }
    }
}

/// The other party's leaves: it chooses with its digits.
pub(super) fn follow(
    lane: &mut Lane,
    shape: &Shape,
    inputs: &[&[u64]],
    n: usize,
    stock: &mut Stock,
) -> Result<Vec<(usize, Leaf, Outcome)>> {
    let mut choices: Vec<Choices> = shape.leaves.iter().map(|g| digit_planes(g, inputs)).collect();
    choices.extend(stock.choices());
    lane.recv.extend_one_of_n(&mut lane.stream, &choices)?;

    let bytes = lane.stream.recv("leaves of comparisons", shape.message_bytes(n))?;
    let mut rest = &bytes[..];
    let mut leaves = Vec::new();
    for (group, messages) in shape.messages(n) {
        let (mine, tail) = rest.split_at(messages.wire_len());
        rest = tail;
        let mut planes = vec![Bits::zeros(messages.count); messages.bits as usize];
        let digit = |i: usize| group[i / n].digit(inputs[group[i / n].job][i % n]);
        messages.read_short(&*lane.recv, digit, mine, |i, message| {
            for (t, plane) in planes.iter_mut().enumerate() {
                plane.words_mut()[i / 64] |= (message >> t & 1) << (i % 64);
            }
        })?;
        for (j, leaf) in group.iter().enumerate() {
            let mut planes = planes.iter().map(|plane| plane.slice(j * n..(j + 1) * n));
            let mut plane = |wanted: bool| match wanted {
                true => planes.next().unwrap_or_default(),
                false => Bits::default(),
            };
            for job in leaf.job..leaf.job + leaf.jobs {
                let greater = plane(leaf.relation != Relation::Equal);
                let equal = plane(leaf.relation != Relation::Greater);
                leaves.push((job, *leaf, Outcome { greater, equal }));
            }
        }
    }
    stock.read(&*lane.recv, shape.leaves.len(), rest)?;
    Ok(leaves)
}

/// Bit planes of the digits of a group of leaves.
fn digit_planes(group: &[Leaf], inputs: &[&[u64]]) -> Choices {
    let mut planes = vec![Bits::default(); group[0].width as usize];
    for leaf in group {
        let values = inputs[leaf.job];
        for (b, plane) in planes.iter_mut().enumerate() {
            let shift = leaf.shift + b as u32;
            plane.extend(&Bits::from_fn(values.len(), |i| values[i] >> shift));
        }
    }
    Choices { planes }
}
