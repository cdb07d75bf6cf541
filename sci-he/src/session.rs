//! The keys of a session: one setup for all layers of a program.
//!
//! Layers of one program have different parameters, since bitwidth, terms and weight bound differ. A
//! [`Setup`] collects what all of them need: a public key for each distinct modulus and one set of
//! packing keys for each degree. It is computed from public values by both parties alike, before any
//! byte moves. The client then makes [`ClientKeys`] and sends their public halves, the server receives
//! [`ServerKeys`]. The client's secret is one ternary polynomial for each ring degree.

use crate::cipher::{Ciphertext, Context, SecretKey};
use crate::coefficient::Layer;
use crate::sample;
use sci_core::channel::Stream;
use sci_core::{Cost, Domain, Error, Party, Prg, Result};
use std::sync::Arc;
use zeroize::Zeroizing;

/// What keys the layers of a session need. Public; both parties compute the same.
#[derive(Clone, Debug)]
pub struct Setup<D: Domain> {
    /// One context of each distinct modulus, in the order of the layers.
    contexts: Vec<Arc<Context<D>>>,
}

impl<D: Domain> Setup<D> {
    /// The setup for all of these layers.
    pub fn new<'a>(layers: impl IntoIterator<Item = &'a Layer<D>>) -> Self {
        let mut contexts: Vec<Arc<Context<D>>> = Vec::new();
        for layer in layers {
            if !contexts.iter().any(|known| same_base(known, layer.context())) {
                contexts.push(Arc::clone(layer.shared_context()));
            }
        }
        Self { contexts }
    }

    /// Payload of the setup: one flight from the client.
    pub fn cost(&self) -> Cost {
        let bytes: usize = self.contexts.iter().map(|context| context.request_len()).sum();
        let rounds = u32::from(bytes > 0);
        Cost::message(Party::Client, 8 * bytes as u64).in_rounds(rounds)
    }
}

fn same_base<D: Domain>(a: &Context<D>, b: &Context<D>) -> bool {
    let (a, b) = (a.params(), b.params());
    a.degree() == b.degree() && a.primes() == b.primes()
}

/// The client's keys of a session. Wiped on drop.
#[derive(Debug)]
pub struct ClientKeys<D: Domain> {
    secrets: Vec<(Arc<Context<D>>, SecretKey)>,
}

impl<D: Domain> ClientKeys<D> {
    /// Makes fresh keys and sends their public halves.
    ///
    /// # Errors
    /// Those of the link.
    pub fn send(stream: &mut Stream, setup: &Setup<D>, prg: &mut Prg) -> Result<Self> {
        let mut ternary: Vec<(usize, Zeroizing<Vec<i8>>)> = Vec::new();
        let mut secrets = Vec::with_capacity(setup.contexts.len());
        for context in &setup.contexts {
            let degree = context.params().degree();
            if !ternary.iter().any(|(n, _)| *n == degree) {
                let mut secret = Zeroizing::new(vec![0; degree]);
                sample::ternary(prg, &mut secret);
                ternary.push((degree, secret));
            }
            let Some((_, secret)) = ternary.iter().find(|(n, _)| *n == degree) else { continue };
            let secret = SecretKey::from_ternary(context, secret);
            stream.send(&secret.public_key(context, prg))?;
            secrets.push((Arc::clone(context), secret));
        }
        Ok(Self { secrets })
    }

    /// The secret under the modulus of a layer.
    pub(crate) fn secret(&self, layer: &Layer<D>) -> Result<&SecretKey> {
        let mut secrets = self.secrets.iter();
        let found = secrets.find(|(context, _)| same_base(context, layer.context()));
        found.map(|(_, secret)| secret).ok_or_else(no_key)
    }
}

/// The server's keys of a session: public values that it received.
#[derive(Debug)]
pub struct ServerKeys<D: Domain> {
    publics: Vec<(Arc<Context<D>>, Ciphertext)>,
}

impl<D: Domain> ServerKeys<D> {
    /// Receives the client's public keys.
    ///
    /// # Errors
    /// Those of the link, and [`Error::PeerMisbehaved`] if what arrives is no key.
    pub fn receive(stream: &mut Stream, setup: &Setup<D>) -> Result<Self> {
        let publics = setup.contexts.iter().map(|context| {
            let message = stream.recv("a public key", context.request_len())?;
            let key = Ciphertext::receive(context, &message, &[])
                .map_err(|error| stream.give_up(error))?;
            Ok((Arc::clone(context), key))
        });
        Ok(Self { publics: publics.collect::<Result<_>>()? })
    }

    /// The public key under the modulus of a layer.
    pub(crate) fn public(&self, layer: &Layer<D>) -> Result<&Ciphertext> {
        let mut publics = self.publics.iter();
        let found = publics.find(|(context, _)| same_base(context, layer.context()));
        found.map(|(_, key)| key).ok_or_else(no_key)
    }
}

fn no_key() -> Error {
    Error::misuse("a layer that was not part of the session's setup")
}
