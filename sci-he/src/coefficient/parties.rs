//! The two parties' parts of a layer as functions on messages.

use super::Layer;
use super::layout::{Request, Response};
use crate::cipher::{Ciphertext, Responder, SecretKey};
use sci_core::{Domain, Error, Prg, Result};
use std::borrow::Cow;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// The server's weights: transformed once and kept, or transformed again in every run. Wiped on drop.
pub struct Weights {
    values: Vec<i32>,
    /// All polynomials one after the other, or nothing.
    prepared: Vec<u32>,
}

impl Weights {
    /// Weights `[C_o, C_i/g, kernel]` to be transformed in every run.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if there is another number of them or one exceeds the declared bound.
    pub fn on_the_fly<D: Domain>(layer: &Layer<D>, values: Vec<i32>) -> Result<Self> {
        let weights = Self { values, prepared: Vec::new() };
        let expected = layer.layout.geometry().weight_len();
        if weights.values.len() != expected {
            return Err(Error::invalid("number of weights", expected, weights.values.len()));
        }
        let bound = layer.context.params().demand().weight_bound;
        let inside = |&w: &i32| u64::from(w.unsigned_abs()) <= bound;
        if !weights.values.iter().fold(true, |all, w| all & inside(w)) {
            return Err(Error::invalid("weight", format_args!("up to {bound}"), "a larger one"));
        }
        Ok(weights)
    }

    /// Weights transformed now: [`Weights::prepared_bytes`] of memory, for any number of runs.
    ///
    /// # Errors
    /// As [`Weights::on_the_fly`].
    pub fn prepare<D: Domain>(layer: &Layer<D>, values: Vec<i32>) -> Result<Self> {
        let mut weights = Self::on_the_fly(layer, values)?;
        let len = layer.context.poly_len();
        let mut prepared = vec![0; len * layer.layout.polynomials()];
        let mut coefficients = Zeroizing::new(vec![0; layer.context.params().degree()]);
        let mut polynomials = prepared.chunks_exact_mut(len);
        for block in 0..layer.layout.filter_blocks() {
            let channels = layer.layout.channel_range(block);
            for (channels, poly) in channels.zip(&mut polynomials) {
                layer.layout.weight_coefficients(
                    block,
                    channels,
                    &weights.values,
                    &mut coefficients,
                );
                layer.context.transform_weights(&coefficients, poly);
            }
        }
        weights.prepared = prepared;
        Ok(weights)
    }

    /// Bytes that prepared weights take.
    pub fn prepared_bytes<D: Domain>(layer: &Layer<D>) -> usize {
        4 * layer.context.poly_len() * layer.layout.polynomials()
    }

    /// The polynomials of a block of filters, the first of which is number `first` of all.
    fn block<D: Domain>(&self, layer: &Layer<D>, block: usize, first: usize) -> Cow<'_, [u32]> {
        let len = layer.context.poly_len();
        let channels = layer.layout.channel_range(block);
        if !self.prepared.is_empty() {
            return Cow::Borrowed(&self.prepared[first * len..(first + channels.len()) * len]);
        }
        let mut polynomials = vec![0; channels.len() * len];
        let mut coefficients = Zeroizing::new(vec![0; layer.context.params().degree()]);
        for (channels, poly) in channels.zip(polynomials.chunks_exact_mut(len)) {
            layer.layout.weight_coefficients(block, channels, &self.values, &mut coefficients);
            layer.context.transform_weights(&coefficients, poly);
        }
        Cow::Owned(polynomials)
    }
}

impl Drop for Weights {
    fn drop(&mut self) {
        self.values.zeroize();
        self.prepared.zeroize();
    }
}

impl ZeroizeOnDrop for Weights {}

impl std::fmt::Debug for Weights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Weights({} values)", self.values.len())
    }
}

/// What the server has received of a run.
#[derive(Debug)]
pub struct Inbox(Vec<Ciphertext>);

impl<D: Domain> Layer<D> {
    fn check_input(&self, share: &[u64]) -> Result<()> {
        let expected = self.layout.geometry().input_len();
        let domain = self.context.params().domain();
        if share.len() != expected {
            return Err(Error::misuse(format!("a share of {}, not {expected}", share.len())));
        }
        if !share.iter().fold(true, |all, &x| all & domain.is_canonical(x)) {
            return Err(Error::misuse("a share that is not canonical"));
        }
        Ok(())
    }

    /// The client's message for one request from its share of the input.
    ///
    /// # Errors
    /// [`Error::Misuse`] if the share does not fit the layer.
    pub fn request(
        &self,
        secret: &SecretKey,
        share: &[u64],
        request: Request,
        prg: &mut Prg,
    ) -> Result<Vec<u8>> {
        self.check_input(share)?;
        let x = Zeroizing::new(self.layout.input_coefficients(request, share));
        Ok(secret.encrypt(&self.context, &x, prg))
    }

    /// The server's intake of all requests, in the order of [`super::Layout::request_order`]; its own
    /// share of the input is added here.
    ///
    /// # Errors
    /// [`Error::PeerMisbehaved`] if a message is not a request, or whatever `next` returns.
    pub fn intake<M: AsRef<[u8]>>(
        &self,
        share: &[u64],
        mut next: impl FnMut() -> Result<M>,
    ) -> Result<Inbox> {
        self.check_input(share)?;
        let requests = self.layout.request_order().map(|request| {
            let x = Zeroizing::new(self.layout.input_coefficients(request, share));
            Ciphertext::receive(&self.context, next()?.as_ref(), &x)
        });
        Ok(Inbox(requests.collect::<Result<_>>()?))
    }

    /// The server's responses, each handed to `send`, in the order of
    /// [`super::Layout::response_order`]. Returns its share of the output, which is fresh.
    ///
    /// # Errors
    /// Whatever `send` returns; [`Error::Misuse`] if weights or inbox belong to another layer.
    pub fn respond(
        &self,
        key: &Ciphertext,
        weights: &Weights,
        inbox: &Inbox,
        prg: &mut Prg,
        send: impl FnMut(Vec<u8>) -> Result<()>,
    ) -> Result<Vec<u64>> {
        self.respond_with(&mut Responder::new(&self.context, key), weights, inbox, prg, send)
    }

    pub(super) fn respond_with(
        &self,
        responder: &mut Responder<'_, D>,
        weights: &Weights,
        inbox: &Inbox,
        prg: &mut Prg,
        mut send: impl FnMut(Vec<u8>) -> Result<()>,
    ) -> Result<Vec<u64>> {
        let (layout, domain) = (&self.layout, self.context.params().domain());
        let len = self.context.poly_len();
        let fits = inbox.0.len() == layout.requests()
            && inbox.0.iter().all(|x| x.c0.len() == len)
            && weights.values.len() == layout.geometry().weight_len()
            && [0, len * layout.polynomials()].contains(&weights.prepared.len());
        if !fits {
            return Err(Error::misuse("weights or requests of another layer"));
        }
        let mut output = Zeroizing::new(vec![0; layout.geometry().output_len()]);
        let mut current: Option<(usize, Cow<'_, [u32]>)> = None;
        let mut first = 0;
        for response in layout.response_order() {
            let Response { block, image, tile } = response;
            let channels = layout.channel_range(block);
            if current.as_ref().is_none_or(|(held, _)| *held != block) {
                if let Some((held, polynomials)) = current.take() {
                    first += layout.channel_range(held).len();
                    wipe(polynomials);
                }
                current = Some((block, weights.block(self, block, first)));
            }
            let Some((_, polynomials)) = &current else { continue };
            let start = layout.request_index(image, tile, channels.start);
            let ciphertexts = &inbox.0[start..start + channels.len()];
            let products: Vec<_> = polynomials.chunks_exact(len).zip(ciphertexts).collect();
            let (coefficients, outputs) = layout.wanted(response);
            let mut mask = Zeroizing::new(vec![0; outputs.len()]);
            domain.sample_into(prg, &mut mask);
            let mut message = vec![0; self.context.response_len(outputs.len())];
            responder.respond(&products, &coefficients, &mask, prg, &mut message);
            for (&at, &share) in outputs.iter().zip(mask.iter()) {
                output[at] = share;
            }
            send(message)?;
        }
        if let Some((_, polynomials)) = current {
            wipe(polynomials);
        }
        Ok(std::mem::take(&mut *output))
    }

    /// Bytes of each response, in the order of sending.
    pub fn response_lengths(&self) -> impl Iterator<Item = usize> {
        self.layout.response_sizes().map(|wanted| self.context.response_len(wanted))
    }

    /// The client's share of the output from one response, written to its places in `output`.
    ///
    /// # Errors
    /// [`Error::PeerMisbehaved`] if the message is not a response; [`Error::Misuse`] if `output` is
    /// not that of the layer.
    pub fn receive(
        &self,
        secret: &SecretKey,
        response: Response,
        message: &[u8],
        output: &mut [u64],
    ) -> Result<()> {
        let expected = self.layout.geometry().output_len();
        if output.len() != expected {
            return Err(Error::misuse(format!("an output of {}, not {expected}", output.len())));
        }
        let (coefficients, outputs) = self.layout.wanted(response);
        let values = Zeroizing::new(secret.decrypt(&self.context, message, &coefficients)?);
        for (&at, &value) in outputs.iter().zip(values.iter()) {
            output[at] = value;
        }
        Ok(())
    }
}

fn wipe(polynomials: Cow<'_, [u32]>) {
    if let Cow::Owned(mut polynomials) = polynomials {
        polynomials.zeroize();
    }
}
