//! The same over a stream: one frame a message, two flights.

use super::{ClientKeys, Layer, ServerKeys, Weights};
use sci_core::channel::Stream;
use sci_core::{Domain, Error, Prg, Result, Shares};

/// The server's part of a layer: from its share of x to its share of W·x.
///
/// # Errors
/// Those of the link, [`Error::PeerMisbehaved`] for a malformed request, and [`Error::Misuse`] if keys,
/// weights or share belong to another layer.
pub fn run_server<D: Domain>(
    stream: &mut Stream,
    layer: &Layer<D>,
    keys: &ServerKeys<D>,
    weights: &Weights,
    share: &Shares<D>,
    prg: &mut Prg,
) -> Result<Shares<D>> {
    let domain = check_domain(layer, share)?;
    let (workers, keys) = (keys.workers(), keys.of(layer)?);
    let len = layer.context().request_len();
    let inbox = layer
        .intake(share.values(), prg, || stream.recv("a request", len))
        .map_err(|error| poison(stream, error))?;
    let output =
        layer.respond(keys, weights, &inbox, workers, prg, |message| stream.send(&message))?;
    Ok(Shares::from_canonical(domain, output))
}

/// The client's part of a layer: from its share of x to its share of W·x.
///
/// # Errors
/// Those of the link, [`Error::PeerMisbehaved`] for a malformed response, and [`Error::Misuse`] if keys
/// or share belong to another layer.
pub fn run_client<D: Domain>(
    stream: &mut Stream,
    layer: &Layer<D>,
    keys: &ClientKeys<D>,
    share: &Shares<D>,
    prg: &mut Prg,
) -> Result<Shares<D>> {
    let domain = check_domain(layer, share)?;
    let (workers, secret) = (keys.workers(), keys.secret(layer)?);
    layer.request(secret, share.values(), workers, prg, |message| stream.send(&message))?;
    let output = layer
        .receive(secret, workers, |len| stream.recv("a response", len))
        .map_err(|error| poison(stream, error))?;
    Ok(Shares::from_canonical(domain, output))
}

fn check_domain<D: Domain>(layer: &Layer<D>, share: &Shares<D>) -> Result<D> {
    let domain = layer.context().params().domain();
    if share.domain() == domain {
        Ok(domain)
    } else {
        Err(Error::misuse(format!("a share over Z_{}, not Z_{domain}", share.domain())))
    }
}

/// Ends the session unless the error already comes from it.
fn poison(stream: &mut Stream, error: Error) -> Error {
    if stream.is_poisoned() { error } else { stream.give_up(error) }
}
