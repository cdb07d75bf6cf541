//! The two parties' parts of a layer as functions on messages.

use super::Layer;
use super::evaluate::Evaluator;
use super::keys::{Ciphertext, SecretKey};
use super::respond::Responder;
use super::session::PublicKeys;
use crate::workers::Workers;
use sci_core::prg::SecretBlocks;
use sci_core::{Domain, Error, Prg, Result};
use std::borrow::Cow;
use std::ops::Range;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// The server's weights: transformed once and kept, or transformed again in every run. Wiped on drop.
pub struct Weights {
    /// Canonical in the domain.
    values: Vec<u64>,
    /// The plaintexts of each response, or nothing.
    prepared: Vec<Zeroizing<Vec<u32>>>,
}

impl Weights {
    /// Weights `[C_o, C_i/g, kernel]` or `[outer, inner]` to be transformed in every run.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if there is another number of them or one exceeds the declared bound.
    pub fn on_the_fly<D: Domain>(layer: &Layer<D>, values: Vec<i32>) -> Result<Self> {
        let values = Zeroizing::new(values);
        let expected = layer.weight_len();
        if values.len() != expected {
            return Err(Error::invalid("number of weights", expected, values.len()));
        }
        let bound = layer.weight_bound;
        let inside = |&w: &i32| u64::from(w.unsigned_abs()) <= bound;
        if !values.iter().fold(true, |all, w| all & inside(w)) {
            return Err(Error::invalid("weight", format_args!("up to {bound}"), "a larger one"));
        }
        let domain = layer.context.params().domain();
        let values = values.iter().map(|&w| domain.from_signed(w.into())).collect();
        Ok(Self { values, prepared: Vec::new() })
    }

    /// Weights transformed now: [`Weights::prepared_bytes`] of memory, for any number of runs.
    ///
    /// # Errors
    /// As [`Weights::on_the_fly`].
    pub fn prepare<D: Domain>(layer: &Layer<D>, values: Vec<i32>) -> Result<Self> {
        let mut weights = Self::on_the_fly(layer, values)?;
        let responses = layer.packing.circuit().products.len();
        weights.prepared = (0..responses).map(|i| weights.transform(layer, i)).collect();
        Ok(weights)
    }

    /// Bytes that prepared weights take.
    pub fn prepared_bytes<D: Domain>(layer: &Layer<D>) -> usize {
        let products: usize = layer.packing.circuit().products.iter().map(Vec::len).sum();
        8 * layer.weight_len() + 4 * products * layer.plaintexts.len()
    }

    /// Bytes of plaintexts that were transformed ahead: 0 if they are transformed in every run.
    pub fn transformed_bytes(&self) -> usize {
        4 * self.prepared.iter().map(|plaintexts| plaintexts.len()).sum::<usize>()
    }

    fn transform<D: Domain>(&self, layer: &Layer<D>, response: usize) -> Zeroizing<Vec<u32>> {
        layer.plaintexts.response(&layer.context, &*layer.packing, response, &self.values)
    }

    /// The plaintexts of a response.
    fn response<D: Domain>(
        &self,
        layer: &Layer<D>,
        response: usize,
    ) -> Cow<'_, Zeroizing<Vec<u32>>> {
        match self.prepared.get(response) {
            Some(prepared) => Cow::Borrowed(prepared),
            None => Cow::Owned(self.transform(layer, response)),
        }
    }

    /// Whether these can be weights of a layer.
    fn fit<D: Domain>(&self, layer: &Layer<D>) -> bool {
        let len = layer.plaintexts.len();
        let lengths = layer.packing.circuit().products.iter().map(|products| products.len() * len);
        self.values.len() == layer.weight_len()
            && (self.prepared.is_empty() || lengths.eq(self.prepared.iter().map(|x| x.len())))
    }
}

impl Drop for Weights {
    fn drop(&mut self) {
        self.values.zeroize();
    }
}

impl ZeroizeOnDrop for Weights {}

impl std::fmt::Debug for Weights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Weights({} values)", self.values.len())
    }
}

/// What the server has received of a run, its own share added. Wiped on drop.
pub struct Inbox(Vec<Ciphertext>);

impl ZeroizeOnDrop for Inbox {}

impl std::fmt::Debug for Inbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Inbox({} requests)", self.0.len())
    }
}

#[cfg(test)]
impl Inbox {
    pub(super) fn ciphertexts(&self) -> &[Ciphertext] {
        &self.0
    }
}

impl<D: Domain> Layer<D> {
    fn check_input(&self, share: &[u64]) -> Result<()> {
        let expected = self.input_len();
        let domain = self.context.params().domain();
        if share.len() != expected {
            return Err(Error::misuse(format!("a share of {}, not {expected}", share.len())));
        }
        if !share.iter().fold(true, |all, &x| all & domain.is_canonical(x)) {
            return Err(Error::misuse("a share that is not canonical"));
        }
        Ok(())
    }

    /// One party's share of a request, the `index`-th of all: units one after the other.
    pub(super) fn encode(&self, share: &[u64], index: usize) -> Zeroizing<Vec<u64>> {
        let requests = self.packing.circuit().requests;
        let mut slots = Zeroizing::new(vec![0; self.context.n()]);
        self.packing.fill(index / requests, index % requests, share, &mut slots);
        self.context.encode(&slots)
    }

    /// The client's messages for all requests, in the order of sending.
    ///
    /// # Errors
    /// [`Error::Misuse`] if the share does not fit the layer; whatever `send` returns.
    pub(super) fn request(
        &self,
        secret: &SecretKey,
        share: &[u64],
        workers: &Workers,
        prg: &mut Prg,
        mut send: impl FnMut(Vec<u8>) -> Result<()>,
    ) -> Result<()> {
        self.check_input(share)?;
        for range in windows(self.requests(), workers) {
            let seeds = seeds(range.len(), prg);
            let messages = workers.map(range.len(), |i| {
                let own = self.encode(share, range.start + i);
                secret.encrypt(&self.context, &own, &mut Prg::new(seeds[i]))
            });
            messages.into_iter().try_for_each(&mut send)?;
        }
        Ok(())
    }

    /// The server's intake of all requests; its own share of the input is added here.
    ///
    /// # Errors
    /// [`Error::PeerMisbehaved`] if a message is not a request, or whatever `next` returns.
    pub(super) fn intake<M: AsRef<[u8]>>(
        &self,
        share: &[u64],
        prg: &mut Prg,
        mut next: impl FnMut() -> Result<M>,
    ) -> Result<Inbox> {
        self.check_input(share)?;
        let requests = (0..self.requests()).map(|i| {
            let message = next()?;
            let own = self.encode(share, i);
            Ciphertext::receive(&self.context, message.as_ref(), Some((&own, &mut *prg)))
        });
        Ok(Inbox(requests.collect::<Result<_>>()?))
    }

    /// The server's responses, each handed to `send`, units one after the other. Returns its share
    /// of the output, which is fresh.
    ///
    /// # Errors
    /// Whatever `send` returns; [`Error::Misuse`] if keys, weights or inbox belong to another layer.
    pub(super) fn respond(
        &self,
        keys: &PublicKeys,
        weights: &Weights,
        inbox: &Inbox,
        workers: &Workers,
        prg: &mut Prg,
        send: impl FnMut(Vec<u8>) -> Result<()>,
    ) -> Result<Vec<u64>> {
        let responder = Responder::new(&self.context, &keys.public);
        self.respond_with(&responder, keys, weights, inbox, workers, prg, send)
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "what tests replace stands beside what they keep"
    )]
    pub(super) fn respond_with(
        &self,
        responder: &Responder<'_, D>,
        keys: &PublicKeys,
        weights: &Weights,
        inbox: &Inbox,
        workers: &Workers,
        prg: &mut Prg,
        mut send: impl FnMut(Vec<u8>) -> Result<()>,
    ) -> Result<Vec<u64>> {
        let circuit = self.packing.circuit();
        if inbox.0.len() != self.requests() || !weights.fit(self) {
            return Err(Error::misuse("weights or requests of another layer"));
        }
        let used = circuit.used();
        let evaluator = || Evaluator::new(&self.context, circuit, &keys.rotations);
        let mut output = Zeroizing::new(vec![0; self.output_len()]);
        for (unit, requests) in inbox.0.chunks_exact(circuit.requests).enumerate() {
            let copies =
                workers.map(requests.len(), |i| evaluator().copies(&requests[i], &used[i]));
            let copies = copies.into_iter().collect::<Result<Vec<_>>>()?;
            for range in windows(circuit.products.len(), workers) {
                let seeds = seeds(range.len(), prg);
                let done = workers.map(range.len(), |i| {
                    let plaintexts = weights.response(self, range.start + i);
                    let sum = evaluator().respond(range.start + i, &copies, &plaintexts)?;
                    Ok(self.finish(responder, sum, &mut Prg::new(seeds[i])))
                });
                for (response, done) in range.zip(done) {
                    let (message, slots) = done?;
                    self.packing.outputs(unit, response, &mut |slot, at| output[at] = slots[slot]);
                    send(message)?;
                }
            }
        }
        Ok(std::mem::take(&mut *output))
    }

    /// A response under a fresh mask, and the slots of the mask.
    fn finish(
        &self,
        responder: &Responder<'_, D>,
        sum: Ciphertext,
        prg: &mut Prg,
    ) -> (Vec<u8>, Zeroizing<Vec<u64>>) {
        let positions = self.positions();
        let mut mask = Zeroizing::new(vec![0; positions.len()]);
        self.context.params().domain().sample_into(prg, &mut mask);
        (responder.respond(sum, &positions, &mask, prg), self.slots(&mask))
    }

    /// The client's share of the output from all responses, in the order of sending.
    ///
    /// # Errors
    /// [`Error::PeerMisbehaved`] if a message is not a response, or whatever `next` returns.
    pub(super) fn receive<M: AsRef<[u8]> + Sync>(
        &self,
        secret: &SecretKey,
        workers: &Workers,
        mut next: impl FnMut(usize) -> Result<M>,
    ) -> Result<Vec<u64>> {
        let positions = self.positions();
        let len = self.context.response_len(positions.len());
        let responses = self.packing.circuit().products.len();
        let mut output = Zeroizing::new(vec![0; self.output_len()]);
        for range in windows(self.responses(), workers) {
            let messages = (0..range.len()).map(|_| next(len)).collect::<Result<Vec<_>>>()?;
            let done = workers.map(range.len(), |i| {
                let values = secret.decrypt(&self.context, messages[i].as_ref(), &positions)?;
                Ok(self.slots(&values))
            });
            for (i, slots) in range.zip(done) {
                let slots = slots?;
                let (unit, response) = (i / responses, i % responses);
                self.packing.outputs(unit, response, &mut |slot, at| output[at] = slots[slot]);
            }
        }
        Ok(std::mem::take(&mut *output))
    }
}

/// What the threads work on at a time: small enough that the link gets something to do early on.
fn windows(count: usize, workers: &Workers) -> impl Iterator<Item = Range<usize>> {
    let size = 2 * workers.threads();
    (0..count).step_by(size).map(move |first| first..(first + size).min(count))
}

/// A seed of its own for each job, whatever thread runs it.
fn seeds(count: usize, prg: &mut Prg) -> SecretBlocks {
    let mut seeds = SecretBlocks::zeros(count);
    seeds.iter_mut().for_each(|seed| *seed = prg.next_block());
    seeds
}
