//! The server: offers a model to clients, one after the other.

mod plans;

use crate::cli::{PartyOptions, Serve};
use crate::failure::{Failure, Result};
use crate::link::PlannedLink;
use crate::party;
use crate::report::{Figures, Report, hex};
use crate::two_party::{self, Model, NetDomain};
use crate::voice::Voice;
use athos::Program;
use plans::{Planned, Plans};
use sci_core::channel::{Link, shaped::LinkShape, tcp};
use sci_core::session::{Measured, Phase, Session, SessionOptions};
use sci_core::{AnyDomain, Domain, Error, Party};
use std::time::{Duration, Instant};

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
    let service = Service {
        digest: program.public.digest()?,
        given: serve.child.or(serve.link).map(PlannedLink::given),
        plans: Plans::new(serve, program, domain),
        program,
        domain,
        serve,
    };
    // What has no plan is refused before anybody connects, and most clients find theirs ready.
    let expected = service.given.unwrap_or(PlannedLink::given(LinkShape::LAN));
    service.plans.prepared(&service.plans.plan(expected)?)?;
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
    program: &'a Program,
    domain: D,
    digest: [u8; 32],
    /// The link that all plans are for; `None` probes it.
    given: Option<PlannedLink>,
    plans: Plans<'a, D>,
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

    /// The handshake, with the plan for the client's link.
    fn agree(&self, link: Link, options: SessionOptions) -> Result<(Session, Planned<D>)> {
        if let Some(given) = self.given {
            let planned = self.plans.plan(given)?;
            let session = Session::serve(link, options, &self.plans.offer(&planned)?)?;
            return Ok((session, planned));
        }
        let mut made = None;
        let plan = |measured: Measured| {
            tracing::debug!(?measured, "probed");
            let planned = PlannedLink::probed(&measured)
                .map_err(Failure::from)
                .and_then(|link| self.plans.plan(link))
                .and_then(|planned| Ok((self.plans.offer(&planned)?, planned)));
            match planned {
                Ok((offer, planned)) => {
                    made = Some(Ok(planned));
                    Ok(offer)
                }
                Err(failure) => {
                    made = Some(Err(failure));
                    Err(Error::resource("no plan for this link"))
                }
            }
        };
        let session = Session::serve_probed(link, options, plan);
        match (session, made) {
            (Ok(session), Some(Ok(planned))) => Ok((session, planned)),
            (_, Some(Err(failure))) => Err(failure),
            (Err(error), _) => Err(error.into()),
            (Ok(_), None) => Err(Failure::new("misuse", "a handshake without a plan")),
        }
    }

    fn steps(&self, link: Link) -> Result<Report> {
        let Serve { party: PartyOptions { timeout, .. }, child, .. } = self.serve;
        let link = child.unwrap_or(LinkShape::LOOPBACK).apply(link)?;
        let threads = party::threads(&self.serve.party);
        let options = party::session_options(threads, *timeout);
        let (mut session, planned) = self.agree(link, options)?;
        let offered = &planned.offered;
        let inputs = party::receive_count(&mut session, offered.max_inputs)?;
        let prepared = {
            let _span = session.span("lattice encryption", "weights", Phase::Setup);
            self.plans.prepared(&planned)?
        };
        let (program, domain) = (self.program, self.domain);
        let (protocols, prepared) = (&*planned.protocols, &*prepared);
        let model = Model { program, domain, protocols, prepared };
        let mut peer = party::establish(session, offered.settings)?;
        let keys = two_party::receive_keys(&mut peer, protocols)?;
        let recorder = peer.session().recorder().clone();
        let start = Instant::now();
        for input in 0..inputs {
            tracing::debug!(input, "input");
            two_party::serve_input(&mut peer, model, keys.as_ref(), |_| {})?;
        }
        tracing::debug!(seconds = start.elapsed().as_secs_f64(), "session done");
        let stats = recorder.stats();
        let figures = Figures {
            party: Party::Server,
            stats: &stats,
            connecting: Duration::ZERO,
            offered,
            threads,
        };
        Ok(figures.report(&program.public, &self.digest))
    }
}
