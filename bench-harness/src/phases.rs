//! Runs in two phases: what is done before the input is there, for the protocols that have such a phase.
//!
//! * Silent OT expands ahead what a run takes: a rehearsal in the set-up tells how much that is
//!   ([`sci_ot::demand`]). Online, an expansion of a single OT is an error.
//! * Garbled circuits in Delphi's phases ([`garbled::ahead`]): the client knows its shares ahead.

use crate::job::{Data, DomainSpec, Engine, Function, Job, Output, Protocol};
use garbled::ahead::{GarbledAhead, ReceivedAhead, relu_ahead_cost, relu_finish_cost};
use garbled::functions::GarbledDomain;
use sci_core::{Cost, Domain, Error, Field, Party, Result, Ring};
use sci_ot::demand::Demand;

/// What a run has ready when its input arrives.
pub enum Ready<D: Domain> {
    /// Nothing of its own: pools at most.
    Pools,
    /// The server's circuits.
    Garbled(GarbledAhead<D>),
    /// The client's.
    Received(ReceivedAhead<D>),
}

/// The offline phase of a run.
///
/// # Errors
/// Those of the protocol.
pub fn prepare<D: GarbledDomain>(
    engine: &mut Engine<'_>,
    job: &Job,
    party: Party,
    data: &Data<D>,
    demand: &Demand,
) -> Result<Ready<D>> {
    let own = &data.shares[party.index()];
    match (engine, job.protocol, party) {
        (Engine::Garbled(gc), Protocol::GarbledAhead, Party::Server) => {
            Ok(Ready::Garbled(gc.garble_relu_ahead(own.domain(), own.len())?))
        }
        (Engine::Garbled(gc), Protocol::GarbledAhead, Party::Client) => {
            Ok(Ready::Received(gc.receive_relu_ahead(own)?))
        }
        (engine, ..) => engine.peer().expand_ahead(demand).map(|()| Ready::Pools),
    }
}

/// The online phase of what was garbled ahead; for everything else there is none of its own.
///
/// # Errors
/// Those of the protocol.
pub fn finish<D: GarbledDomain>(
    engine: &mut Engine<'_>,
    party: Party,
    data: &Data<D>,
    ready: Ready<D>,
) -> Result<Option<Output>> {
    let shares = match (engine, ready) {
        (Engine::Garbled(gc), Ready::Garbled(ahead)) => {
            ahead.finish(gc, &data.shares[party.index()])?
        }
        (Engine::Garbled(gc), Ready::Received(ahead)) => ahead.finish(gc)?,
        _ => return Ok(None),
    };
    Ok(Some(shares.into_values()))
}

/// Both phases of garbling ahead, by the formulas.
///
/// # Errors
/// For another function than ReLU.
pub fn garbled_costs(job: &Job) -> Result<[Cost; 2]> {
    fn costs<D: GarbledDomain>(job: &Job, domain: D) -> [Cost; 2] {
        let scheme = job.protocol.scheme();
        [
            relu_ahead_cost(job.elements, domain, scheme),
            relu_finish_cost(job.elements, domain, scheme),
        ]
    }
    if job.function != Function::Relu {
        return Err(Error::misuse("ReLU alone is garbled ahead"));
    }
    Ok(match job.domain {
        DomainSpec::Ring(l) => costs(job, Ring::new(l)?),
        DomainSpec::Field(n) => costs(job, Field::new(n)?),
    })
}
