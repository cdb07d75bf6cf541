//! ReLU in two phases, as Delphi has it (Mishra, Lehmkuhl, Srinivasan, Zheng, Popa, USENIX Security 2020): all but
//! the labels of the server's shares before the input is known.
//!
//! In Delphi linear layers are prepared by lattice encryption of random vectors, so that the client knows its shares
//! of every ReLU's input, and chooses its shares of the output, before it has an input; the server learns its
//! shares online. Therefore the server garbles and the client evaluates, always.
//!
//! **Offline** ([`Garbling::garble_relu_ahead`], [`Garbling::receive_relu_ahead`]): the client gets the labels of its
//! x_1 and of a random r by OT and the garbled tables of max(x_0 + x_1, 0) + r. It keeps both, some 10 KiB an
//! element over a 41-bit Z_n; the server keeps the colours that decode the outputs. Two rounds. With IKNP, for a
//! circuit of a AND gates on eta-bit shares: 256 a + 512 eta bits an element.
//!
//! **Online** ([`GarbledAhead::finish`], [`ReceivedAhead::finish`]): the server sends the labels of x_0, 128 eta bits; the
//! client evaluates and returns the colours that it ends with, eta bits, from which the server decodes
//! max(x, 0) + r, its new share; the client's is -r. Two rounds, no OT.
//!
//! **Who learns what.** Semi-honest parties learn nothing but their shares: the client sees one label a wire, the colours
//! of the outputs too, but not what they stand for (it knows r, so that the decoded output would tell it x); the server
//! sees the output, which r masks.

use crate::circuit::Circuit;
use crate::evaluator::{self, choose, own_labels};
use crate::functions::GarbledDomain;
use crate::garbler::{self, Garbled};
use crate::protocol::{Call, Garbling, Scheme, decode, plan, planes, recv_colours, send_colours};
use sci_core::prg::SecretBlocks;
use sci_core::{Block, Cost, Domain, Error, Party, Prg, Result, Shares};
use sci_ot::Lane;
use sci_ot::cot::Elements;
use sci_ot::plan::Plan;
use std::ops::Range;
use zeroize::{Zeroize, Zeroizing};

/// What both parties know of a batch between the phases.
struct Terms<D> {
    domain: D,
    circuit: Circuit,
    plan: Plan,
    call: Call,
}

impl<D: GarbledDomain> Terms<D> {
    fn new(gc: &mut Garbling<'_>, domain: D, n: usize) -> Self {
        let circuit = domain.masked_relu();
        let plan = plan(n, &circuit, gc.gates());
        Self { domain, circuit, plan, call: gc.next_call() }
    }

    /// What was kept of the chunk that begins here.
    fn kept<'a, T>(&self, chunks: &'a [T], range: &Range<usize>) -> Result<&'a T> {
        let at = self.plan.chunks().position(|chunk| chunk == *range);
        let kept = at.and_then(|at| chunks.get(at));
        kept.ok_or_else(|| Error::misuse("a chunk that was not prepared"))
    }
}

/// The server's part of a batch between the phases.
pub struct GarbledAhead<D> {
    terms: Terms<D>,
    chunks: Vec<GarbledChunk>,
}

struct GarbledChunk {
    delta: Block,
    /// Zero labels of the garbler's inputs, tile by tile, input by input.
    labels: SecretBlocks,
    /// The colours of 0 on the outputs, plane by plane.
    colours: Elements,
}

impl Drop for GarbledChunk {
    fn drop(&mut self) {
        self.delta.zeroize();
    }
}

/// The client's part of a batch between the phases.
pub struct ReceivedAhead<D: Domain> {
    terms: Terms<D>,
    chunks: Vec<Vec<ReceivedTile>>,
    /// Its new shares.
    shares: Shares<D>,
}

/// A tile of a chunk.
struct ReceivedTile {
    /// Active labels of the evaluator's inputs, input by input.
    labels: SecretBlocks,
    tables: Vec<u8>,
}

impl Garbling<'_> {
    /// The server's offline phase of ReLU for `n` shared values of which it knows nothing yet. Two rounds.
    ///
    /// # Errors
    /// [`Error::Misuse`] for the client; otherwise as the link and the peer behave.
    pub fn garble_relu_ahead<D: GarbledDomain>(
        &mut self,
        domain: D,
        n: usize,
    ) -> Result<GarbledAhead<D>> {
        only(Party::Server, self)?;
        let terms = Terms::new(self, domain, n);
        let Terms { circuit, plan, call, .. } = &terms;
        let chunks =
            self.peer().map_chunks(plan, |lane, range| garble(lane, circuit, call, &range))?;
        Ok(GarbledAhead { terms, chunks })
    }

    /// The client's offline phase, with its shares of the values. Two rounds.
    ///
    /// # Errors
    /// [`Error::Misuse`] for the server; otherwise as the link and the peer behave.
    pub fn receive_relu_ahead<D: GarbledDomain>(
        &mut self,
        x: &Shares<D>,
    ) -> Result<ReceivedAhead<D>> {
        only(Party::Client, self)?;
        let domain = x.domain();
        let terms = Terms::new(self, domain, x.len());
        let mut masks = Zeroizing::new(vec![0; x.len()]);
        domain.sample_into(&mut Prg::from_os()?, &mut masks);
        let Terms { circuit, plan, call, .. } = &terms;
        let chunks = self.peer().map_chunks(plan, |lane, range| {
            let known = [&x.values()[range.clone()], &masks[range.clone()]];
            receive(lane, circuit, call, &range, &planes(&known, &[domain.bits(); 2]))
        })?;
        let shares = masks.iter().map(|&r| domain.neg(r)).collect();
        Ok(ReceivedAhead { terms, chunks, shares: Shares::from_canonical(domain, shares) })
    }
}

fn only(party: Party, gc: &mut Garbling<'_>) -> Result<()> {
    match gc.peer().party() == party {
        true => Ok(()),
        false => Err(Error::misuse(format!("the part of the {party} in garbling ahead"))),
    }
}

fn garble(
    lane: &mut Lane,
    circuit: &Circuit,
    call: &Call,
    range: &Range<usize>,
) -> Result<GarbledChunk> {
    let (batch, n) = (call.batch(circuit, range), range.len());
    lane.send.extend_cot(&mut lane.stream, n * circuit.evaluator_inputs())?;
    let mut garbled = Garbled::new(&batch);
    let mut tile = garbler::Tile::new(&batch, &mut lane.prg);
    let mut labels = SecretBlocks::zeros(n * circuit.garbler_inputs());
    let mut rest = &mut *labels;
    for (at, m) in batch.tiles() {
        let Lane { stream, send, prg, .. } = &mut *lane;
        let (kept, later) = rest.split_at_mut(m * circuit.garbler_inputs());
        rest = later;
        prg.fill_blocks(kept);
        stream.send_with(batch.frame_bytes(m), |frame| {
            let (corrections, tables) = frame.split_at_mut(m * batch.correction_bytes());
            tile.offer_all(&**send, at, m, n, corrections);
            for (slot, labels) in circuit.garbler.iter().zip(kept.chunks_exact(m)) {
                tile.slots()[*slot][..m].copy_from_slice(labels);
            }
            tile.run(at, m, &batch, prg, tables, &mut garbled);
        })?;
    }
    Ok(GarbledChunk { delta: tile.delta, labels, colours: garbled.colours })
}

fn receive(
    lane: &mut Lane,
    circuit: &Circuit,
    call: &Call,
    range: &Range<usize>,
    inputs: &[u64],
) -> Result<Vec<ReceivedTile>> {
    let batch = call.batch(circuit, range);
    choose(lane, batch.n, inputs)?;
    let mut tiles = Vec::new();
    for (at, m) in batch.tiles() {
        let frame = lane.stream.recv("garbled tables", batch.frame_bytes(m))?;
        let (corrections, tables) = frame.split_at(m * batch.correction_bytes());
        let mut labels = SecretBlocks::zeros(m * circuit.evaluator_inputs());
        for (input, active) in labels.chunks_exact_mut(m).enumerate() {
            own_labels(lane, &batch, [input, at], inputs, corrections, active);
        }
        tiles.push(ReceivedTile { labels, tables: tables.to_vec() });
    }
    Ok(tiles)
}

impl<D: GarbledDomain> GarbledAhead<D> {
    /// The server's online phase: fresh shares of max(x, 0). Two rounds.
    ///
    /// # Errors
    /// [`Error::Misuse`] for another number of shares or another domain; otherwise as the link and the peer behave.
    pub fn finish(self, gc: &mut Garbling<'_>, x: &Shares<D>) -> Result<Shares<D>> {
        let Terms { domain, circuit, plan, call } = &self.terms;
        if (x.domain(), x.len()) != (*domain, plan.total()) {
            return Err(Error::misuse(format!("{} shares for {} circuits", x.len(), plan.total())));
        }
        gc.peer().map_shares(plan, *domain, |lane, range| {
            let chunk = self.terms.kept(&self.chunks, &range)?;
            let inputs = planes(&[&x.values()[range.clone()]], &[domain.bits()]);
            let words = range.len().div_ceil(crate::gate::TILE);
            let mut rest = &*chunk.labels;
            let batch = call.batch(circuit, &range);
            for (at, m) in batch.tiles() {
                let (labels, later) = rest.split_at(m * circuit.garbler_inputs());
                rest = later;
                lane.stream.send_with(16 * labels.len(), |out| {
                    for (i, (label, out)) in labels.iter().zip(out.as_chunks_mut().0).enumerate() {
                        let bit = inputs[i / m * words + at] >> (i % m) & 1;
                        *out = (*label ^ chunk.delta.and_mask(bit.wrapping_neg())).to_bytes();
                    }
                })?;
            }
            let colours = recv_colours(lane, &batch)?;
            decode(lane, *domain, batch.n, &colours, &mut chunk.colours.clone())
        })
    }
}

impl<D: GarbledDomain> ReceivedAhead<D> {
    /// The client's online phase. Two rounds.
    ///
    /// # Errors
    /// As the link and the peer behave.
    pub fn finish(self, gc: &mut Garbling<'_>) -> Result<Shares<D>> {
        let Self { terms, chunks, shares } = self;
        gc.peer().map_chunks(&terms.plan, |lane, range| {
            let chunk = terms.kept(&chunks, &range)?;
            let colours = evaluate(lane, &terms, chunk, &range)?;
            send_colours(lane, range.len(), &colours)
        })?;
        Ok(shares)
    }
}

/// The colours of the outputs, plane by plane.
fn evaluate<D: Domain>(
    lane: &mut Lane,
    Terms { circuit, call, .. }: &Terms<D>,
    chunk: &[ReceivedTile],
    range: &Range<usize>,
) -> Result<Elements> {
    let batch = call.batch(circuit, range);
    let mut tile = evaluator::Tile::new(&batch);
    for ((at, m), kept) in batch.tiles().zip(chunk) {
        let frame = lane.stream.recv("labels of shares", 16 * m * circuit.garbler_inputs())?;
        let arrived = frame.as_chunks().0.chunks_exact(m);
        for (slot, labels) in circuit.garbler.iter().zip(arrived) {
            let labels = labels.iter().map(|bytes| Block::from_bytes(*bytes));
            tile.slots()[*slot].iter_mut().zip(labels).for_each(|(slot, label)| *slot = label);
        }
        for (slot, labels) in circuit.evaluator.iter().zip(kept.labels.chunks_exact(m)) {
            tile.slots()[*slot][..m].copy_from_slice(labels);
        }
        // The circuit has no masks of the garbler's: nothing is drawn.
        tile.run(at, m, &batch, &mut batch.labels(at), &kept.tables);
    }
    Ok(tile.out)
}

/// The cost of the offline phase. Hashes of gates count as pads.
pub fn relu_ahead_cost<D: GarbledDomain>(n: usize, domain: D, scheme: impl Into<Scheme>) -> Cost {
    let Scheme { gates, ot } = scheme.into();
    let circuit = domain.masked_relu();
    plan(n, &circuit, gates).cost(|n, _| {
        let inputs = n * circuit.evaluator_inputs();
        let bits = 128 * inputs as u64 + 8 * (gates.bytes(n) * circuit.ands()) as u64;
        let mut cost = ot.cot_cost(inputs, Party::Client) + Cost::message(Party::Server, bits);
        cost.pads += gates.hashes()[0] * (n * circuit.ands()) as u64;
        cost.in_rounds(2)
    })
}

/// The cost of the online phase.
pub fn relu_finish_cost<D: GarbledDomain>(n: usize, domain: D, scheme: impl Into<Scheme>) -> Cost {
    let gates = scheme.into().gates;
    let circuit = domain.masked_relu();
    let bits = u64::from(domain.bits());
    plan(n, &circuit, gates).cost(|n, _| {
        let mut cost = Cost::message(Party::Server, 128 * bits * n as u64)
            + Cost::message(Party::Client, bits * n as u64);
        cost.pads += gates.hashes()[1] * (n * circuit.ands()) as u64;
        cost.in_rounds(2)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::values;
    use sci_core::Ring;
    use sci_ot::peer::Settings;
    use sci_ot::testing::run_peers;

    /// The client knows r: were the outputs open to it, it would know x.
    #[test]
    fn the_client_cannot_decode_what_it_evaluates() {
        let (ring, n) = (Ring::new(16).unwrap(), 2000);
        let (server, client) = run_peers(
            Settings::default(),
            |peer| {
                let mut gc = Garbling::new(peer)?;
                let ahead = gc.garble_relu_ahead(ring, n)?;
                ahead.finish(&mut gc, &Shares::zeros(ring, n))
            },
            |peer| {
                let mut gc = Garbling::new(peer)?;
                let own = Shares::from_canonical(ring, vec![5; n]);
                let ReceivedAhead { terms, chunks, shares } = gc.receive_relu_ahead(&own)?;
                let seen = gc.peer().map_chunks(&terms.plan, |lane, range| {
                    let colours = evaluate(lane, &terms, terms.kept(&chunks, &range)?, &range)?;
                    send_colours(lane, range.len(), &colours)?;
                    Ok(values(&colours, ring.bits(), range.len()))
                })?;
                let seen: Vec<u64> = seen.iter().flat_map(|part| part.iter().copied()).collect();
                Ok((shares, seen))
            },
        )
        .unwrap();
        let (shares, seen) = client.value;
        let outputs = server.value.values();
        assert!(outputs.iter().zip(shares.values()).all(|(&y, &s)| ring.add(y, s) == 5));
        // Colours differ from what they stand for in half of the bits: 16000 of 32000, standard deviation 89.
        let differ: u32 = outputs.iter().zip(&seen).map(|(y, c)| (y ^ c).count_ones()).sum();
        assert!((15_400..16_600).contains(&differ), "{differ}");
    }
}
