//! The same over a stream: one frame a message, two flights.
//!
//! Requests leave as they are encrypted and are parsed as they arrive; responses leave as they are made,
//! and the client opens them while the server makes the next.

use super::{Layer, Weights};
use crate::session::{ClientKeys, ServerKeys};
use sci_core::channel::Stream;
use sci_core::{Domain, Error, Prg, Result, Shares};

/// The server's part of a layer: from its share of x to its share of W·x.
///
/// # Errors
/// Those of the link, and [`Error::PeerMisbehaved`] for a malformed request.
pub fn run_server<D: Domain>(
    stream: &mut Stream,
    layer: &Layer<D>,
    keys: &ServerKeys<D>,
    weights: &Weights,
    share: &Shares<D>,
    prg: &mut Prg,
) -> Result<Shares<D>> {
    let domain = check_domain(layer, share)?;
    let len = layer.context().request_len();
    let inbox = layer
        .intake(keys, share.values(), prg, || stream.recv("a request", len))
        .map_err(|error| poison(stream, error))?;
    let output = layer
        .respond(keys, weights, &inbox, prg, |message| stream.send(&message))
        .map_err(|error| poison(stream, error))?;
    Ok(Shares::from_canonical(domain, output))
}

/// The client's part of a layer: from its share of x to its share of W·x.
///
/// # Errors
/// Those of the link, and [`Error::PeerMisbehaved`] for a malformed response.
pub fn run_client<D: Domain>(
    stream: &mut Stream,
    layer: &Layer<D>,
    keys: &ClientKeys<D>,
    share: &Shares<D>,
    prg: &mut Prg,
) -> Result<Shares<D>> {
    let domain = check_domain(layer, share)?;
    layer
        .requests(keys, share.values(), prg, |message| stream.send(&message))
        .map_err(|error| poison(stream, error))?;
    let output = layer
        .open(keys, |len| stream.recv("a response", len))
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
