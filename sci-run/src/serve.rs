//! The server: offers a model to clients, one after the other.

use crate::cli::{PartyOptions, Plan, Serve};
use crate::failure::{Failure, Result};
use crate::parameters;
use crate::party;
use crate::planner;
use crate::report::{Figures, Report, hex};
use crate::two_party;
use crate::voice::Voice;
use athos::Program;
use sci_core::Party;
use sci_core::channel::{Link, shaped::LinkShape, tcp};
use sci_core::session::{PublicOffer, Session};
use sci_ot::peer::Settings;
use std::time::{Duration, Instant};

/// What the planner takes a client's link for: 377 MB/s, 0.3 ms, the LAN of the papers.
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
    let Plan { ot, radix, .. } = serve.plan;
    let link = serve.child.unwrap_or(UNKNOWN_LINK);
    let threads = party::threads(&serve.party);
    let settings = planner::choose(&program.public, link, threads, ot, radix)?;
    let service = Service {
        offer: parameters::offer(&program.public, settings, serve.max_inputs)?,
        digest: program.public.digest()?,
        program,
        settings,
        serve,
    };
    let listener = tcp::listen(&serve.listen)?;
    let address = listener.local_addr().to_string();
    voice.listening(&service.program.public.name, &hex(&service.digest), &address);
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

struct Service<'a> {
    program: Program,
    digest: [u8; 32],
    offer: PublicOffer,
    settings: Settings,
    serve: &'a Serve,
}

impl Service<'_> {
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
        let Serve { party: PartyOptions { timeout, .. }, max_inputs, child, .. } = self.serve;
        let link = child.unwrap_or(LinkShape::LOOPBACK).apply(link)?;
        let threads = party::threads(&self.serve.party);
        let options = party::session_options(threads, *timeout);
        let mut session = Session::serve(link, options, &self.offer)?;
        let inputs = party::receive_count(&mut session, *max_inputs)?;
        let mut peer = party::establish(session, self.settings)?;
        let recorder = peer.session().recorder().clone();
        let start = Instant::now();
        for input in 0..inputs {
            tracing::debug!(input, "input");
            two_party::serve_input(&mut peer, &self.program)?;
        }
        tracing::debug!(seconds = start.elapsed().as_secs_f64(), "session done");
        let stats = recorder.stats();
        let figures = Figures {
            party: Party::Server,
            stats: &stats,
            connecting: Duration::ZERO,
            ot: self.settings.ot,
            threads,
        };
        let mut report = figures.report(&self.program.public, &self.digest);
        report.link = child.map(|shape| shape.to_string());
        Ok(report)
    }
}
