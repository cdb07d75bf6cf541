//! The keys of a session: one setup for all layers of a program.
//!
//! Layers of one program have different parameters, since bitwidth, terms and weight bound differ. A
//! [`Setup`] collects what all of them need: a public key for each distinct modulus and one set of
//! packing keys for each degree. It is computed from public values by both parties alike, before any
//! byte moves. The client then makes [`ClientKeys`] and sends their public halves, the server receives
//! [`ServerKeys`]. The client's secret is one ternary polynomial for each ring degree.

use crate::cipher::{Ciphertext, Context, SecretKey};
use crate::coefficient::Layer;
use crate::packing::{PackingContext, PackingKeys, packing_keys};
use crate::sample;
use crate::workers::Workers;
use sci_core::channel::Stream;
use sci_core::{Cost, Domain, Error, Party, Prg, Result};
use std::sync::Arc;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// What keys the layers of a session need. Public; both parties compute the same.
#[derive(Clone, Debug)]
pub struct Setup<D: Domain> {
    /// One context of each distinct modulus, in the order of the layers.
    contexts: Vec<Arc<Context<D>>>,
    /// For each degree the widest base of packing.
    packings: Vec<Packing>,
}

#[derive(Clone, Debug)]
struct Packing {
    base: Arc<PackingContext>,
    levels: u32,
}

impl<D: Domain> Setup<D> {
    /// The setup for all of these layers.
    pub fn new<'a>(layers: impl IntoIterator<Item = &'a Layer<D>>) -> Self {
        let mut contexts: Vec<Arc<Context<D>>> = Vec::new();
        let mut packings: Vec<Packing> = Vec::new();
        for layer in layers {
            if !contexts.iter().any(|known| same_base(known, layer.context())) {
                contexts.push(Arc::clone(layer.shared_context()));
            }
            let Some(base) = layer.packing() else { continue };
            let levels = layer.layout().levels();
            match packings.iter_mut().find(|known| known.base.degree() == base.degree()) {
                None => packings.push(Packing { base: Arc::clone(base), levels }),
                Some(known) => {
                    known.levels = known.levels.max(levels);
                    // Of two bases one is a prefix of the other.
                    if base.primes().len() > known.base.primes().len() {
                        known.base = Arc::clone(base);
                    }
                }
            }
        }
        Self { contexts, packings }
    }

    /// Payload of the setup: one flight from the client.
    pub fn cost(&self) -> Cost {
        let publics = self.contexts.iter().map(|context| context.public_key_len());
        let packings =
            self.packings.iter().map(|packing| packing.levels as usize * packing.base.level_len());
        let bytes: usize = publics.chain(packings).sum();
        let rounds = u32::from(bytes > 0);
        Cost::message(Party::Client, 8 * bytes as u64).in_rounds(rounds)
    }

    /// The degrees in use.
    fn degrees(&self) -> Vec<usize> {
        let mut degrees: Vec<usize> =
            self.contexts.iter().map(|context| context.params().degree()).collect();
        degrees.sort_unstable();
        degrees.dedup();
        degrees
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
    workers: Workers,
}

impl<D: Domain> ZeroizeOnDrop for ClientKeys<D> {}

impl<D: Domain> ClientKeys<D> {
    /// Makes fresh keys and sends their public halves.
    ///
    /// # Errors
    /// Those of the link.
    pub fn send(stream: &mut Stream, setup: &Setup<D>, prg: &mut Prg) -> Result<Self> {
        let (keys, messages) = Self::generate(setup, prg);
        messages.iter().try_for_each(|message| stream.send(message))?;
        Ok(keys)
    }

    /// Makes fresh keys; the messages are for [`ServerKeys::parse`].
    pub fn generate(setup: &Setup<D>, prg: &mut Prg) -> (Self, Vec<Vec<u8>>) {
        let mut secrets = Vec::with_capacity(setup.contexts.len());
        let mut messages = Vec::new();
        for degree in setup.degrees() {
            let mut secret = Zeroizing::new(vec![0i8; degree]);
            sample::ternary(prg, &mut secret);
            let own = setup.contexts.iter().filter(|context| context.params().degree() == degree);
            for context in own {
                let key = SecretKey::from_ternary(context, &secret);
                messages.push(key.public_key(context, prg));
                secrets.push((Arc::clone(context), key));
            }
            for packing in setup.packings.iter().filter(|packing| packing.base.degree() == degree) {
                for level in 1..=packing.levels {
                    messages.push(packing_keys(&packing.base, &secret, level, prg));
                }
            }
            secret.zeroize();
        }
        (Self { secrets, workers: Workers::default() }, messages)
    }

    /// Uses this many threads for local work, of a pool of its own.
    ///
    /// # Errors
    /// [`Error::Resource`] if the threads cannot be started.
    pub fn with_threads(self, threads: usize) -> Result<Self> {
        Ok(Self { workers: Workers::new(threads)?, ..self })
    }

    pub(crate) fn workers(&self) -> &Workers {
        &self.workers
    }

    /// The secret under the modulus of a layer.
    pub(crate) fn of(&self, layer: &Layer<D>) -> Result<&SecretKey> {
        let mut secrets = self.secrets.iter();
        let found = secrets.find(|(context, _)| same_base(context, layer.context()));
        found.map(|(_, secret)| secret).ok_or_else(no_key)
    }
}

/// The server's keys of a session: public values that it received.
#[derive(Debug)]
pub struct ServerKeys<D: Domain> {
    publics: Vec<(Arc<Context<D>>, Ciphertext)>,
    packings: Vec<(Arc<PackingContext>, PackingKeys)>,
    workers: Workers,
}

impl<D: Domain> ServerKeys<D> {
    /// Receives the client's public keys.
    ///
    /// # Errors
    /// Those of the link, and [`Error::PeerMisbehaved`] if what arrives is no key.
    pub fn receive(stream: &mut Stream, setup: &Setup<D>) -> Result<Self> {
        let keys = Self::parse(setup, |what, len| stream.recv(what, len));
        keys.map_err(|error| if stream.is_poisoned() { error } else { stream.give_up(error) })
    }

    /// Parses the client's messages in their order; `next` is told what comes and how long it is.
    ///
    /// # Errors
    /// [`Error::PeerMisbehaved`] if what arrives is no key, or whatever `next` returns.
    pub fn parse<M: AsRef<[u8]>>(
        setup: &Setup<D>,
        mut next: impl FnMut(&'static str, usize) -> Result<M>,
    ) -> Result<Self> {
        let (mut publics, mut packings) = (Vec::new(), Vec::new());
        for degree in setup.degrees() {
            let own = setup.contexts.iter().filter(|context| context.params().degree() == degree);
            for context in own {
                let message = next("a public key", context.public_key_len())?;
                let key = Ciphertext::parse_public_key(context, message.as_ref())?;
                publics.push((Arc::clone(context), key));
            }
            for packing in setup.packings.iter().filter(|packing| packing.base.degree() == degree) {
                let len = packing.base.level_len();
                let messages = (0..packing.levels).map(|_| next("a packing key", len));
                let keys = PackingKeys::parse(&packing.base, messages)?;
                packings.push((Arc::clone(&packing.base), keys));
            }
        }
        Ok(Self { publics, packings, workers: Workers::default() })
    }

    /// Uses this many threads for local work, of a pool of its own.
    ///
    /// # Errors
    /// [`Error::Resource`] if the threads cannot be started.
    pub fn with_threads(self, threads: usize) -> Result<Self> {
        Ok(Self { workers: Workers::new(threads)?, ..self })
    }

    pub(crate) fn workers(&self) -> &Workers {
        &self.workers
    }

    /// The public key under the modulus of a layer, and its packing keys if it packs.
    pub(crate) fn of(&self, layer: &Layer<D>) -> Result<(&Ciphertext, Option<&PackingKeys>)> {
        let mut publics = self.publics.iter();
        let found = publics.find(|(context, _)| same_base(context, layer.context()));
        let (_, public) = found.ok_or_else(no_key)?;
        let Some(base) = layer.packing() else { return Ok((public, None)) };
        let mut packings = self.packings.iter();
        let found = packings.find(|(known, keys)| {
            known.degree() == base.degree()
                && known.primes().starts_with(base.primes())
                && keys.levels() >= layer.layout().levels() as usize
        });
        let (_, packing) = found.ok_or_else(no_key)?;
        Ok((public, Some(packing)))
    }
}

fn no_key() -> Error {
    Error::misuse("a layer that was not part of the session's setup")
}
