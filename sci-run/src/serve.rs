//! The server: offers a model to clients, one after the other.

use crate::cli::{PartyOptions, Plan, Serve};
use crate::failure::{Failure, Result};
use crate::linear::Prepared;
use crate::parameters::{self, Offered};
use crate::party;
use crate::planner::{self, Decision};
use crate::report::{Figures, Report, hex};
use crate::two_party::{self, Model, NetDomain};
use crate::voice::Voice;
use athos::Program;
use sci_core::channel::{Link, shaped::LinkShape, tcp};
use sci_core::session::{PublicOffer, Session};
use sci_core::{AnyDomain, Domain, Party};
use std::time::{Duration, Instant};

/// What the planner takes a client's link for where nothing is said: 377 MB/s, 0.3 ms, the LAN of the papers.
const UNKNOWN_LINK: LinkShape = LinkShape::LAN;

/// After the system refused to accept a connection.
const PAUSE: Duration = Duration::from_millis(200);

/// Runs until the end of the program, or of one session.
///
/// # Errors
/// What keeps the server from serving; with `--once` also what ended its session.
pub fn run(serve: &Serve, voice: &Voice) -> Result<()> {
    let program = serve.model.load(&serve.plan)?;
    party::check_memory(&program.public, serve.party.memory)?;
    match program.public.domain {
        AnyDomain::Ring(ring) => over(serve, voice, &program, ring),
        AnyDomain::Field(field) => over(serve, voice, &program, field),
    }
}

fn over<D: NetDomain>(serve: &Serve, voice: &Voice, program: &Program, domain: D) -> Result<()> {
    let Plan { backend, exactness, ot, radix, .. } = serve.plan;
    let style = serve.plan.style_over(domain.any());
    let link = serve.child.or(serve.link).unwrap_or(UNKNOWN_LINK);
    let threads = party::threads(&serve.party);
    let request = planner::Request { backend, style, exactness, link, threads, ot, radix };
    let Decision { settings, assignment, protocols } =
        planner::decide(&program.public, domain, &request)?;
    let most = u32::try_from(protocols.most_inputs()).unwrap_or(u32::MAX);
    let max_inputs = serve.max_inputs.min(most);
    tracing::info!(plan = %assignment, max_inputs, "planned");
    let offered = Offered { backend, assignment, style, exactness, settings, max_inputs };
    let prepared = Prepared::new(&protocols, program, serve.party.memory)?;
    let service = Service {
        offer: parameters::offer(&program.public, &offered)?,
        digest: program.public.digest()?,
        model: Model { program, domain, protocols: &protocols, prepared: &prepared },
        offered,
        serve,
    };
    let listener = tcp::listen(&serve.listen)?;
    let address = listener.local_addr().to_string();
    voice.listening(&program.public.name, &hex(&service.digest), &address);
    loop {
        let outcome = match listener.accept(None) {
            Ok(link) => service.session(link),
            Err(error) => {
                std::thread::sleep(PAUSE);
                Err(error.into())
            }
        };
        match outcome {
            Ok(report) => voice.report(report),
            // The caller tells what ended the only session.
            Err(failure) if serve.once => return Err(failure),
            Err(failure) => voice.failed(&failure),
        }
        if serve.once {
            return Ok(());
        }
    }
}

struct Service<'a, D: Domain> {
    model: Model<'a, D>,
    digest: [u8; 32],
    offer: PublicOffer,
    offered: Offered,
    serve: &'a Serve,
}

impl<D: NetDomain> Service<'_, D> {
    /// One client, on a thread of its own, so that not even a defect ends the service.
    fn session(&self, link: Link) -> Result<Report> {
        let peer = link.peer().to_string();
        tracing::info!(%peer, "client connected");
        let outcome = std::thread::scope(|scope| {
            let worker = std::thread::Builder::new().name("session".into());
            let worker = worker.spawn_scoped(scope, || self.steps(link));
            match worker.map(|worker| worker.join()) {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(_)) => Err(Failure::new("misuse", "the session ended in a defect")),
                Err(e) => Err(Failure::new("resource", format_args!("no thread: {e}"))),
            }
        });
        tracing::info!(%peer, ok = outcome.is_ok(), "client left");
        outcome
    }

    fn steps(&self, link: Link) -> Result<Report> {
        let Serve { party: PartyOptions { timeout, .. }, child, .. } = self.serve;
        let link = child.unwrap_or(LinkShape::LOOPBACK).apply(link)?;
        let threads = party::threads(&self.serve.party);
        let options = party::session_options(threads, *timeout);
        let mut session = Session::serve(link, options, &self.offer)?;
        let inputs = party::receive_count(&mut session, self.offered.max_inputs)?;
        let mut peer = party::establish(session, self.offered.settings)?;
        let keys = two_party::receive_keys(&mut peer, self.model.protocols)?;
        let recorder = peer.session().recorder().clone();
        let start = Instant::now();
        for input in 0..inputs {
            tracing::debug!(input, "input");
            two_party::serve_input(&mut peer, self.model, keys.as_ref())?;
        }
        tracing::debug!(seconds = start.elapsed().as_secs_f64(), "session done");
        let stats = recorder.stats();
        let figures = Figures {
            party: Party::Server,
            stats: &stats,
            connecting: Duration::ZERO,
            backend: self.offered.backend,
            exactness: self.offered.exactness,
            ot: self.offered.settings.ot,
            threads,
        };
        let mut report = figures.report(&self.model.program.public, &self.digest);
        report.link = child.map(|shape| shape.to_string());
        Ok(report)
    }
}
