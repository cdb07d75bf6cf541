//! The digits of a comparison: one OT each, offered by the leader, chosen by the other party.
//!
//! A batch goes block by block: its OT rows, 16 bytes each, are made, used and forgotten while they are in the cache,
//! and what stays of an instance are a few bits. The follower asks for all blocks before it waits for an answer, so that
//! all of them are two rounds. Only where its OTs need a refill, and the peer's trees come on the same stream, does it
//! first take the answers that are under way.

use super::shape::{Leaf, Shape};
use super::{Outcome, Relation};
use sci_core::{Bits, Result};
use sci_ot::Lane;
use sci_ot::chosen::Choices;
use sci_ot::triple::Stock;
use std::ops::Range;

/// The outcomes of all leaves of some instances.
pub(super) type Leaves = Vec<(usize, Leaf, Outcome)>;

/// Appends the outcomes of a block, which has the leaves of all others in the same order.
fn append(all: &mut Leaves, block: Leaves) {
    if all.is_empty() {
        *all = block;
        return;
    }
    for ((.., all), (.., block)) in all.iter_mut().zip(&block) {
        all.greater.extend(&block.greater);
        all.equal.extend(&block.equal);
    }
}

/// The inputs of a block.
fn of_block<'a>(inputs: &[&'a [u64]], block: &Range<usize>) -> Vec<&'a [u64]> {
    inputs.iter().map(|values| &values[block.clone()]).collect()
}

/// The leader's leaves: shares of both indicators for all digits that the peer may have.
pub(super) fn lead(
    lane: &mut Lane,
    shape: &Shape,
    inputs: &[&[u64]],
    n: usize,
    stock: &Stock,
) -> Result<Leaves> {
    let mut leaves = Leaves::new();
    lane.send.announce(shape.ots(n));
    let mut fork = lane.stream.fork();
    for block in shape.blocks(n) {
        lane.stream.branch(&mut fork);
        let offered = offer(lane, shape, &of_block(inputs, &block), block.len(), stock)?;
        append(&mut leaves, offered);
    }
    lane.stream.join(fork);
    Ok(leaves)
}

/// One block of the leader.
fn offer(
    lane: &mut Lane,
    shape: &Shape,
    inputs: &[&[u64]],
    n: usize,
    stock: &Stock,
) -> Result<Leaves> {
    lane.send.extend_one_of_n(&mut lane.stream, &shape.groups(n))?;
    let mut leaves = Leaves::new();
    let (ot, prg) = (&*lane.send, &mut lane.prg);
    let mut result = Ok(());
    lane.stream.send_with(shape.message_bytes(n), |mut out| {
        result = (|| {
            for (group, messages) in shape.messages(n) {
                let (mine, rest) = std::mem::take(&mut out).split_at_mut(messages.wire_len());
                out = rest;
                let table = |i: usize, words: &mut [u64]| {
                    let (leaf, mut base) = (group[i / n], 0);
                    for values in &inputs[leaf.job..leaf.job + leaf.jobs] {
                        indicators(leaf, leaf.digit(values[i % n]), &mut base, words);
                    }
                };
                let planes = messages.share_short(ot, prg, table, mine)?;
                leaves.extend(outcomes(group, &planes, n));
            }
            stock.write(ot, shape.leaves.len(), out)
        })();
    })?;
    result.map(|()| leaves)
}

/// The table of one leaf: for every k, 1{x > k} and 1{x = k}.
fn indicators(leaf: Leaf, x: u64, base: &mut usize, words: &mut [u64]) {
    let n = 1usize << leaf.width;
    if leaf.relation != Relation::Equal {
        put(words, *base, n, |t| {
            let below = x.saturating_sub(t as u64 * 64).min(64);
            ((1u128 << below) - 1) as u64
        });
        *base += n;
    }
    if leaf.relation != Relation::Greater {
        put(words, *base, n, |t| (1 << (x % 64)) & u64::from(x / 64 == t as u64).wrapping_neg());
        *base += n;
    }
}

/// The shares of a group of leaves, cut from the planes of its messages.
fn outcomes(
    group: &[Leaf],
    planes: &[Bits],
    n: usize,
) -> impl Iterator<Item = (usize, Leaf, Outcome)> {
    group.iter().enumerate().flat_map(move |(j, leaf)| {
        let mut planes = planes.iter().map(move |plane| plane.slice(j * n..(j + 1) * n));
        let mut plane = move |wanted: bool| match wanted {
            true => planes.next().unwrap_or_default(),
            false => Bits::default(),
        };
        (leaf.job..leaf.job + leaf.jobs).map(move |job| {
            let greater = plane(leaf.relation != Relation::Equal);
            let equal = plane(leaf.relation != Relation::Greater);
            (job, *leaf, Outcome { greater, equal })
        })
    })
}

/// Writes n bits from `base`, 64 at a time.
fn put(words: &mut [u64], base: usize, n: usize, word: impl Fn(usize) -> u64) {
    if n < 64 {
        words[base / 64] |= (word(0) & ((1 << n) - 1)) << (base % 64);
    } else {
        for (t, out) in words[base / 64..][..n / 64].iter_mut().enumerate() {
            *out = word(t);
        }
    }
}

/// A block whose answer is still to come: the chosen pads of its leaves, group by group.
struct Asked {
    block: Range<usize>,
    pads: Vec<Vec<Bits>>,
}

/// The other party's leaves: it chooses with its digits.
pub(super) fn follow(
    lane: &mut Lane,
    shape: &Shape,
    inputs: &[&[u64]],
    n: usize,
    stock: &mut Stock,
) -> Result<Leaves> {
    let mut leaves = Leaves::new();
    let mut asked: Vec<Asked> = Vec::new();
    lane.recv.announce(shape.ots(n));
    let mut fork = lane.stream.fork();
    for block in shape.blocks(n) {
        if lane.recv.refills(shape.ots(block.len())) {
            for asked in asked.drain(..) {
                append(&mut leaves, read(lane, shape, inputs, asked, stock)?);
            }
        }
        lane.stream.branch(&mut fork);
        asked.push(ask(lane, shape, inputs, block, stock)?);
    }
    for asked in asked {
        append(&mut leaves, read(lane, shape, inputs, asked, stock)?);
    }
    lane.stream.join(fork);
    Ok(leaves)
}

/// Sends the choices of a block.
fn ask(
    lane: &mut Lane,
    shape: &Shape,
    inputs: &[&[u64]],
    block: Range<usize>,
    stock: &Stock,
) -> Result<Asked> {
    let inputs = of_block(inputs, &block);
    let mut choices: Vec<Choices> = shape.leaves.iter().map(|g| digit_planes(g, &inputs)).collect();
    choices.extend(stock.choices());
    lane.recv.extend_one_of_n(&mut lane.stream, &choices)?;
    let pads = shape.messages(block.len()).map(|(_, m)| m.chosen_pads(&*lane.recv)).collect();
    Ok(Asked { block, pads })
}

/// Receives the messages of a block.
fn read(
    lane: &mut Lane,
    shape: &Shape,
    inputs: &[&[u64]],
    Asked { block, mut pads }: Asked,
    stock: &mut Stock,
) -> Result<Leaves> {
    let (inputs, n) = (of_block(inputs, &block), block.len());
    let bytes = lane.stream.recv("leaves of comparisons", shape.message_bytes(n))?;
    let mut rest = &bytes[..];
    let mut leaves = Leaves::new();
    for ((group, messages), planes) in shape.messages(n).zip(&mut pads) {
        let (mine, tail) = rest.split_at(messages.wire_len());
        rest = tail;
        let digit = |i: usize| group[i / n].digit(inputs[group[i / n].job][i % n]);
        messages.open_short(planes, digit, mine)?;
        leaves.extend(outcomes(group, planes, n));
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
