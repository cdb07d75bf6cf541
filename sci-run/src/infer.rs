//! The client: asks a server for predictions.

use crate::cli::Infer;
use crate::failure::{Failure, Result};
use crate::input::{self, Input};
use crate::linear::Protocols;
use crate::outputs;
use crate::parameters::{self, Offered};
use crate::party;
use crate::report::{Figures, Report, hex, printable};
use crate::two_party::{self, NetDomain, Tensor};
use crate::voice::{Progress, Voice};
use athos::{Limits, PublicProgram, Step};
use sci_core::channel::{shaped::LinkShape, tcp};
use sci_core::session::{Offer, Session};
use sci_core::{AnyDomain, Error, Party};
use sci_ot::Peer;
use std::time::Instant;
use zeroize::Zeroizing;

/// One session with all inputs.
///
/// # Errors
/// What is wrong with the inputs, the server, the link or the server's offer.
pub fn run(infer: &Infer, voice: &Voice) -> Result<Report> {
    let inputs = input::read(&infer.inputs)?;
    let threads = party::threads(&infer.party);
    let options = party::session_options(threads, infer.party.timeout);
    let start = Instant::now();
    let link = tcp::connect(&infer.connect, infer.party.timeout)?;
    let connecting = start.elapsed();
    tracing::info!(peer = link.peer(), "connected");
    let link = infer.child.unwrap_or(LinkShape::LOOPBACK).apply(link)?;

    let limits = limits(infer);
    let mut client = Client { infer, inputs: &inputs, limits, accepted: None, refused: None };
    let joined =
        Session::join(link, options, infer.requirements.clone(), limits.max_blob_bytes, |offer| {
            client.accept(offer)
        });
    let (mut session, offer) = match (joined, client.refused) {
        (Err(_), Some(own)) => return Err(own),
        (joined, _) => joined?,
    };
    let Some(Accepted { program, offered, integers }) = client.accepted else {
        return Err(Failure::new("misuse", "the handshake ended without an accepted program"));
    };

    tracing::info!(model = printable(&program.name), digest = hex(&offer.digest), "accepted");
    party::send_count(&mut session, integers.len())?;
    let mut peer = party::establish(session, offered.settings)?;
    let recorder = peer.session().recorder().clone();
    let opened = match program.domain {
        AnyDomain::Ring(ring) => ask_all(&mut peer, &program, &offered, ring, &integers, voice),
        AnyDomain::Field(field) => ask_all(&mut peer, &program, &offered, field, &integers, voice),
    }?;
    let stats = recorder.stats();
    let figures =
        Figures { party: Party::Client, stats: &stats, connecting, offered: &offered, threads };
    let mut report = figures.report(&program, &offer.digest);
    report.predictions = Some(
        inputs
            .iter()
            .zip(&opened)
            .map(|(input, output)| outputs::prediction(&program, input, output))
            .collect::<Result<_>>()?,
    );
    if let Some(path) = &infer.output_file {
        outputs::write(path, &program, &opened)?;
    }
    voice.outputs(&opened);
    Ok(report)
}

/// All inputs, one after the other.
fn ask_all<D: NetDomain>(
    peer: &mut Peer,
    program: &PublicProgram,
    offered: &Offered,
    domain: D,
    inputs: &[Zeroizing<Vec<i64>>],
    voice: &Voice,
) -> Result<Vec<Vec<i64>>> {
    let protocols = Protocols::plan(program, domain, &offered.assignment, offered.style)?
        .truncating(offered.exactness);
    let keys = two_party::send_keys(peer, &protocols)?;
    let count = inputs.len();
    let ask = |(number, input): (usize, &Zeroizing<Vec<i64>>)| {
        let tell = |step: Step<'_, Tensor<D>>| {
            let (name, input, inputs) = (printable(&step.instruction.name), number, count);
            let (layer, layers) = (step.index + 1, step.total);
            voice.progress(&Progress { input, inputs, layer, layers, name });
        };
        let keys = keys.as_ref();
        Ok(two_party::ask(peer, program, &protocols, domain, keys, input, tell)?)
    };
    inputs.iter().enumerate().map(ask).collect()
}

/// What this client lets a server ask of it.
fn limits(infer: &Infer) -> Limits {
    let default = Limits::default();
    Limits {
        max_elements: infer.max_elements.unwrap_or(default.max_elements),
        max_live_elements: party::live_elements(infer.max_memory),
        ..default
    }
}

struct Client<'a> {
    infer: &'a Infer,
    inputs: &'a [Input],
    limits: Limits,
    accepted: Option<Accepted>,
    /// Our own cause, which says more about our inputs than the server gets to hear.
    refused: Option<Failure>,
}

struct Accepted {
    program: PublicProgram,
    offered: Offered,
    integers: Vec<Zeroizing<Vec<i64>>>,
}

impl Client<'_> {
    fn accept(&mut self, offer: &Offer) -> sci_core::Result<()> {
        if let Some(expected) = &self.infer.expect_digest
            && *expected != offer.digest
        {
            let (ours, theirs) = (hex(expected), hex(&offer.digest));
            return Err(Error::incompatible("digest of the public program", ours, theirs));
        }
        let program = PublicProgram::from_blob(&offer.blob, &self.limits)?;
        let offered = parameters::check(offer, &program, self.infer.exactness)?;
        if self.inputs.len() > offered.max_inputs as usize {
            return Err(Error::incompatible(
                "inputs of a session",
                self.inputs.len(),
                format_args!("at most {}", offered.max_inputs),
            ));
        }
        let integers: Result<Vec<_>> =
            self.inputs.iter().map(|input| input.quantise(&program)).collect();
        match integers {
            Ok(integers) => {
                self.accepted = Some(Accepted { program, offered, integers });
                Ok(())
            }
            Err(failure) => {
                self.refused = Some(failure);
                Err(Error::incompatible("input", "of another shape or range", "as in the program"))
            }
        }
    }
}
