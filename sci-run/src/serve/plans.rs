//! The plans of a server, one for each link that it has met.

use crate::cli::{Plan, Serve};
use crate::failure::Result;
use crate::linear::{Assignment, Prepared, Protocols, Style};
use crate::link::{MOST_PLANS, PlannedLink};
use crate::parameters::{self, Offered};
use crate::party;
use crate::planner::{self, Candidates, Decision};
use crate::two_party::NetDomain;
use athos::Program;
use sci_core::Domain;
use sci_core::session::PublicOffer;
use std::sync::{Arc, Mutex, PoisonError};

/// A plan for a link.
#[derive(Debug)]
pub(super) struct Planned<D: Domain> {
    pub(super) offered: Offered,
    /// The layers of its assignment, which plans for several links share.
    pub(super) protocols: Arc<Protocols<D>>,
}

impl<D: Domain> Clone for Planned<D> {
    fn clone(&self) -> Self {
        Self { offered: self.offered.clone(), protocols: Arc::clone(&self.protocols) }
    }
}

/// Plans are made when they are first needed and kept: there are few links after rounding, and a client that
/// pretends to many of them costs each plan once. Weights are transformed for one assignment at a time, within the
/// memory that the owner gives.
#[derive(Debug)]
pub(super) struct Plans<'a, D: Domain> {
    serve: &'a Serve,
    program: &'a Program,
    domain: D,
    style: Style,
    /// Found with the first plan; the others only weigh them by the link.
    candidates: Mutex<Option<Candidates<D>>>,
    made: Mutex<Vec<Planned<D>>>,
    weights: Mutex<Option<(Assignment, Arc<Prepared>)>>,
}

impl<'a, D: NetDomain> Plans<'a, D> {
    pub(super) fn new(serve: &'a Serve, program: &'a Program, domain: D) -> Self {
        let style = serve.plan.style_over(domain.any());
        let (candidates, made, weights) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { serve, program, domain, style, candidates, made, weights }
    }

    /// The plan for a link.
    ///
    /// # Errors
    /// Those of planning.
    pub(super) fn plan(&self, link: PlannedLink) -> Result<Planned<D>> {
        // A plan that was not finished is not there.
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(planned) = made.iter().find(|planned| planned.offered.link == link) {
            return Ok(planned.clone());
        }
        let planned = self.make(link, &made)?;
        // Probed links, and the one that was expected or given.
        if made.len() <= MOST_PLANS {
            made.push(planned.clone());
        }
        Ok(planned)
    }

    fn make(&self, link: PlannedLink, made: &[Planned<D>]) -> Result<Planned<D>> {
        let Plan { backend, exactness, ot, radix, .. } = self.serve.plan;
        let (style, threads) = (self.style, party::threads(&self.serve.party));
        let shape = link.shape;
        let request =
            planner::Request { backend, style, exactness, link: shape, threads, ot, radix };
        let ready = |assignment: &Assignment| {
            let same = made.iter().find(|planned| planned.offered.assignment == *assignment);
            same.map(|planned| Arc::clone(&planned.protocols))
        };
        let mut candidates = self.candidates.lock().unwrap_or_else(PoisonError::into_inner);
        let (public, domain) = (&self.program.public, self.domain);
        let Decision { settings, assignment, protocols } =
            planner::decide_among(public, domain, &request, &mut candidates, ready)?;
        let most = u32::try_from(protocols.most_inputs()).unwrap_or(u32::MAX);
        let max_inputs = self.serve.max_inputs.min(most);
        tracing::info!(plan = %assignment, %link, max_inputs, "planned");
        let offered = Offered { backend, assignment, style, exactness, settings, max_inputs, link };
        Ok(Planned { offered, protocols })
    }

    /// What a client is offered.
    ///
    /// # Errors
    /// None for a program that was checked.
    pub(super) fn offer(&self, planned: &Planned<D>) -> Result<PublicOffer> {
        Ok(parameters::offer(&self.program.public, &planned.offered)?)
    }

    /// The weights of a plan's lattice layers; those of the last assignment are ready.
    ///
    /// # Errors
    /// Weights that do not fit their declaration.
    pub(super) fn prepared(&self, planned: &Planned<D>) -> Result<Arc<Prepared>> {
        let mut weights = self.weights.lock().unwrap_or_else(PoisonError::into_inner);
        let assignment = &planned.offered.assignment;
        if let Some((ready, prepared)) = &*weights
            && ready == assignment
        {
            return Ok(Arc::clone(prepared));
        }
        // Two sets of weights would need twice the memory.
        *weights = None;
        let memory = self.serve.party.memory;
        let prepared = Arc::new(Prepared::new(&planned.protocols, self.program, memory)?);
        *weights = Some((assignment.clone(), Arc::clone(&prepared)));
        Ok(prepared)
    }
}
