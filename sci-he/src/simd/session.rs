//! The keys of a session: one setup for all layers of a program in slots.

use super::Layer;
use super::context::Context;
use super::evaluate::RotationKeys;
use super::keys::{Ciphertext, RotationKey, SecretKey};
use crate::workers::Workers;
use sci_core::channel::Stream;
use sci_core::{Cost, Domain, Error, Party, Prg, Result};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What keys the layers of a session need: for each distinct set of parameters a public key and the
/// rotation keys of all its layers, each once. Public; both parties compute the same.
#[derive(Clone, Debug)]
pub struct Setup<D: Domain> {
    groups: Vec<Group<D>>,
}

#[derive(Clone, Debug)]
struct Group<D: Domain> {
    context: Arc<Context<D>>,
    elements: BTreeSet<usize>,
}

impl<D: Domain> Setup<D> {
    /// The setup for all of these layers.
    pub fn new<'a>(layers: impl IntoIterator<Item = &'a Layer<D>>) -> Self {
        let mut groups: Vec<Group<D>> = Vec::new();
        for layer in layers {
            let same = |group: &&mut Group<D>| group.context.params() == layer.context.params();
            match groups.iter_mut().find(same) {
                Some(group) => group.elements.extend(layer.elements()),
                None => {
                    let context = Arc::clone(&layer.context);
                    groups.push(Group { context, elements: layer.elements() });
                }
            }
        }
        Self { groups }
    }

    /// Rotation keys.
    pub fn rotation_keys(&self) -> usize {
        self.groups.iter().map(|group| group.elements.len()).sum()
    }

    /// Payload of the setup: one flight from the client.
    pub fn cost(&self) -> Cost {
        let bytes: usize = self
            .groups
            .iter()
            .map(|Group { context, elements }| {
                context.request_len() + elements.len() * context.rotation_key_len()
            })
            .sum();
        Cost::message(Party::Client, 8 * bytes as u64).in_rounds(u32::from(bytes > 0))
    }
}

/// The client's keys of a session. Wiped on drop.
#[derive(Debug)]
pub struct ClientKeys<D: Domain> {
    secrets: Vec<(Arc<Context<D>>, SecretKey)>,
    workers: Workers,
}

impl<D: Domain> ClientKeys<D> {
    /// Makes fresh keys and sends their public halves, one message each.
    ///
    /// # Errors
    /// Those of the link.
    pub fn send(stream: &mut Stream, setup: &Setup<D>, prg: &mut Prg) -> Result<Self> {
        let mut secrets = Vec::with_capacity(setup.groups.len());
        for Group { context, elements } in &setup.groups {
            let secret = SecretKey::generate(context, prg);
            stream.send(&secret.public_key(context, prg))?;
            for &element in elements {
                stream.send(&secret.rotation_key(context, element, prg))?;
            }
            secrets.push((Arc::clone(context), secret));
        }
        Ok(Self { secrets, workers: Workers::default() })
    }

    /// Uses this many threads for local work, of a pool of its own.
    ///
    /// # Errors
    /// [`Error::Resource`] if the threads cannot be started.
    pub fn with_threads(self, threads: usize) -> Result<Self> {
        Ok(Self { workers: Workers::new(threads)?, ..self })
    }

    pub(super) fn workers(&self) -> &Workers {
        &self.workers
    }

    /// The secret for the parameters of a layer.
    pub(super) fn secret(&self, layer: &Layer<D>) -> Result<&SecretKey> {
        let mut secrets = self.secrets.iter();
        let found = secrets.find(|(context, _)| context.params() == layer.context.params());
        found.map(|(_, secret)| secret).ok_or_else(no_key)
    }
}

/// What the server has received of one set of parameters.
#[derive(Debug)]
pub(super) struct PublicKeys {
    pub(super) public: Ciphertext,
    pub(super) rotations: RotationKeys,
}

/// The server's keys of a session: public values that it received.
#[derive(Debug)]
pub struct ServerKeys<D: Domain> {
    groups: Vec<(Arc<Context<D>>, PublicKeys)>,
    workers: Workers,
}

impl<D: Domain> ServerKeys<D> {
    /// Receives the client's public keys.
    ///
    /// # Errors
    /// Those of the link, and [`Error::PeerMisbehaved`] if what arrives is no key.
    pub fn receive(stream: &mut Stream, setup: &Setup<D>) -> Result<Self> {
        let mut groups = Vec::with_capacity(setup.groups.len());
        for Group { context, elements } in &setup.groups {
            let message = stream.recv("a public key", context.request_len())?;
            let public = Ciphertext::receive(context, &message, None)
                .map_err(|error| stream.give_up(error))?;
            let mut rotations = RotationKeys::new();
            for &element in elements {
                let message = stream.recv("a rotation key", context.rotation_key_len())?;
                let key = RotationKey::receive(context, element, &message)
                    .map_err(|error| stream.give_up(error))?;
                rotations.insert(element, key);
            }
            groups.push((Arc::clone(context), PublicKeys { public, rotations }));
        }
        Ok(Self { groups, workers: Workers::default() })
    }

    /// Uses this many threads for local work, of a pool of its own.
    ///
    /// # Errors
    /// [`Error::Resource`] if the threads cannot be started.
    pub fn with_threads(self, threads: usize) -> Result<Self> {
        Ok(Self { workers: Workers::new(threads)?, ..self })
    }

    pub(super) fn workers(&self) -> &Workers {
        &self.workers
    }

    /// The keys for the parameters of a layer.
    pub(super) fn of(&self, layer: &Layer<D>) -> Result<&PublicKeys> {
        let mut groups = self.groups.iter();
        let found = groups.find(|(context, _)| context.params() == layer.context.params());
        found.map(|(_, keys)| keys).ok_or_else(no_key)
    }
}

fn no_key() -> Error {
    Error::misuse("a layer that was not part of the session's setup")
}
