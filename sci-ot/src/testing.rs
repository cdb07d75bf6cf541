//! Two peers in one process, for the tests and benchmarks of every protocol crate.

use crate::peer::{Peer, Settings};
use sci_core::channel::{Link, memory};
use sci_core::session::{Phase, SessionOptions, Totals};
use sci_core::testing::{run_pair, run_pair_over};
use sci_core::{Cost, Party, Result, Session};

/// What a party got, and what its part of the protocol sent.
#[derive(Debug)]
pub struct Measured<T> {
    /// The result of the party's closure.
    pub value: T,
    /// Payload and rounds after the set-up.
    pub totals: Totals,
}

fn measured<T>(
    session: Session,
    settings: Settings,
    part: impl FnOnce(&mut Peer) -> Result<T>,
) -> Result<Measured<T>> {
    let mut peer = Peer::establish(session, settings)?;
    let value = {
        let _span = peer.session().span("protocol", "protocol", Phase::Online);
        part(&mut peer)?
    };
    let totals = *peer.session().stats().phase(Phase::Online);
    Ok(Measured { value, totals })
}

/// Runs both parts over an in-memory link.
///
/// # Errors
/// The error of either party.
pub fn run_peers<A: Send, B: Send>(
    settings: Settings,
    server: impl FnOnce(&mut Peer) -> Result<A> + Send,
    client: impl FnOnce(&mut Peer) -> Result<B> + Send,
) -> Result<(Measured<A>, Measured<B>)> {
    let (a, b) = run_pair(|s| measured(s, settings, server), |s| measured(s, settings, client));
    Ok((a?, b?))
}

/// [`run_peers`] with session options.
///
/// # Errors
/// The error of either party.
pub fn run_peers_with<A: Send, B: Send>(
    options: SessionOptions,
    settings: Settings,
    server: impl FnOnce(&mut Peer) -> Result<A> + Send,
    client: impl FnOnce(&mut Peer) -> Result<B> + Send,
) -> Result<(Measured<A>, Measured<B>)> {
    run_peers_over(memory::pair(), options, settings, server, client)
}

/// [`run_peers_with`] over the given ends of a link: the server's, then the client's.
///
/// # Errors
/// The error of either party.
pub fn run_peers_over<A: Send, B: Send>(
    ends: (Link, Link),
    options: SessionOptions,
    settings: Settings,
    server: impl FnOnce(&mut Peer) -> Result<A> + Send,
    client: impl FnOnce(&mut Peer) -> Result<B> + Send,
) -> Result<(Measured<A>, Measured<B>)> {
    let (a, b) = run_pair_over(
        ends,
        options,
        |s| measured(s, settings, server),
        |s| measured(s, settings, client),
    );
    Ok((a?, b?))
}

/// Runs the same part as both parties.
///
/// # Errors
/// The error of either party.
pub fn run_both<T: Send>(
    settings: Settings,
    part: impl Fn(Party, &mut Peer) -> Result<T> + Sync,
) -> Result<(Measured<T>, Measured<T>)> {
    run_peers(settings, |p| part(Party::Server, p), |p| part(Party::Client, p))
}

/// Holds what was measured equal to what was computed.
///
/// # Panics
/// If payload in either direction or rounds differ.
pub fn assert_cost<A, B>(server: &Measured<A>, client: &Measured<B>, cost: Cost, what: &str) {
    assert_eq!(server.totals.bytes_sent, cost.server_to_client, "{what}: bytes from the server");
    assert_eq!(client.totals.bytes_sent, cost.client_to_server, "{what}: bytes from the client");
    assert_eq!(server.totals.bytes_received, cost.client_to_server, "{what}: bytes to the server");
    let rounds = server.totals.rounds.max(client.totals.rounds);
    assert_eq!(rounds, cost.rounds, "{what}: rounds");
}
