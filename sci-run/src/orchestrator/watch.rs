//! What the two children say, and which of two failures is the cause.

use super::child::{Child, Message};
use crate::failure::{Failure, Result};
use crate::report::Report;
use crate::voice::{Event, Voice};
use sci_core::Party;
use std::ffi::OsString;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// How long the cause may take to arrive after its consequence.
const GRACE: Duration = Duration::from_secs(3);

/// What both children reported.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) server: Report,
    pub(super) client: Report,
    pub(super) outputs: Vec<Vec<i64>>,
}

/// What is known of a child.
#[derive(Debug, Default)]
struct State {
    child: Option<Child>,
    report: Option<Report>,
    failure: Option<Failure>,
    ended: bool,
}

/// Both children, which end when this does.
#[derive(Debug)]
pub(super) struct Watch<'a> {
    voice: &'a Voice,
    tell: Sender<(Party, Message)>,
    told: Receiver<(Party, Message)>,
    address: Option<String>,
    outputs: Option<Vec<Vec<i64>>>,
    server: State,
    client: State,
}

impl<'a> Watch<'a> {
    pub(super) fn new(voice: &'a Voice) -> Self {
        let (tell, told) = channel();
        let (server, client) = (State::default(), State::default());
        Self { voice, tell, told, address: None, outputs: None, server, client }
    }

    fn state(&mut self, party: Party) -> &mut State {
        match party {
            Party::Server => &mut self.server,
            Party::Client => &mut self.client,
        }
    }

    pub(super) fn start(&mut self, party: Party, arguments: Vec<OsString>) -> Result<()> {
        let child = Child::start(party, arguments, self.tell.clone())?;
        self.state(party).child = Some(child);
        Ok(())
    }

    /// Waits until the server listens.
    pub(super) fn address(&mut self) -> Result<String> {
        while self.address.is_none() && !self.server.ended {
            self.hear(None);
        }
        match self.address.take() {
            Some(address) => Ok(address),
            None => Err(self.cause()),
        }
    }

    /// Waits for both reports.
    pub(super) fn finish(mut self) -> Result<Outcome> {
        let mut deadline: Option<Instant> = None;
        while !(self.server.ended && self.client.ended) && self.hear(deadline) {
            if let Some(grace) = self.grace() {
                let end = Instant::now() + grace;
                deadline = Some(deadline.map_or(end, |deadline| deadline.min(end)));
            }
        }
        match (self.server.report.take(), self.client.report.take(), self.outputs.take()) {
            (Some(server), Some(client), Some(outputs)) => Ok(Outcome { server, client, outputs }),
            _ => Err(self.cause()),
        }
    }

    /// Takes in one message; false if there was none before the deadline.
    fn hear(&mut self, deadline: Option<Instant>) -> bool {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let message = match left {
            Some(left) => self.told.recv_timeout(left),
            None => self.told.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        let Ok((party, message)) = message else { return false };
        match message {
            Message::Event(Event::Listening { address }) => self.address = Some(address),
            Message::Event(Event::Progress(progress)) => self.voice.progress(&progress),
            Message::Event(Event::Outputs { values }) => self.outputs = Some(values),
            Message::Event(Event::Report { report }) => self.state(party).report = Some(*report),
            Message::Event(Event::Failed { failure, .. }) => {
                self.state(party).failure.get_or_insert(located(failure, party));
            }
            Message::Ended => self.ended(party),
        }
        true
    }

    fn ended(&mut self, party: Party) {
        let state = self.state(party);
        state.ended = true;
        let status = state.child.as_mut().and_then(Child::end);
        if state.report.is_none() && state.failure.is_none() {
            let how = status.map_or_else(|| "in an unknown way".into(), |s| s.to_string());
            let cause = format!("the {party}'s process ended without a report ({how})");
            state.failure = Some(Failure::new("process", cause).hint("run again with -v"));
        }
    }

    /// How long to wait for the other child's cause.
    fn grace(&self) -> Option<Duration> {
        let failures = [&self.server, &self.client];
        let mut failures =
            failures.into_iter().filter_map(|state| state.failure.as_ref()).peekable();
        failures.peek()?;
        let wait = failures.all(Failure::may_be_a_consequence);
        Some(if wait { GRACE } else { Duration::ZERO })
    }

    /// The failure that explains the other one.
    fn cause(&mut self) -> Failure {
        let failures = [self.server.failure.take(), self.client.failure.take()];
        let cause = failures.into_iter().flatten().min_by_key(Failure::distance);
        cause.unwrap_or_else(|| {
            Failure::new("misuse", "a local run ended without reports and without a cause")
        })
    }
}

/// Says whose failure it is where this is not plain.
fn located(failure: Failure, party: Party) -> Failure {
    match failure.kind.as_ref() {
        "link" | "peer_misbehaved" | "peer_incompatible" | "resource" | "misuse" => {
            failure.at(party)
        }
        _ => failure,
    }
}
