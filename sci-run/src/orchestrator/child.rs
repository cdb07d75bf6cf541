//! A process of this program that does not outlive its orchestrator.

use crate::failure::{Failure, Result};
use crate::voice::Event;
use sci_core::Party;
use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::process::{Child as Process, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

/// How long a process that has closed its stdout may take to end.
const LAST_BREATH: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(2);

/// What a child does.
#[derive(Debug)]
pub(super) enum Message {
    /// It tells something.
    Event(Event),
    /// It has closed its stdout.
    Ended,
}

/// A running child. Dropping it kills it; if the orchestrator is killed, the child's stdin ends, and
/// so does the child.
#[derive(Debug)]
pub(super) struct Child {
    process: Process,
    _stdin: Option<ChildStdin>,
}

impl Child {
    /// Starts this program with other arguments; its messages go to `tell`.
    pub(super) fn start(
        party: Party,
        arguments: Vec<OsString>,
        tell: Sender<(Party, Message)>,
    ) -> Result<Self> {
        let failed = |e: std::io::Error| {
            Failure::new("resource", format_args!("cannot start the {party}'s process: {e}"))
        };
        let program = std::env::current_exe().map_err(failed)?;
        let mut process = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let stdout = process.stdout.take();
        let child = Self { _stdin: process.stdin.take(), process };
        let listen = move || {
            let lines = stdout.into_iter().flat_map(|stdout| BufReader::new(stdout).lines());
            for line in lines.map_while(Result::ok) {
                if let Some(event) = Event::parse(&line) {
                    let _ = tell.send((party, Message::Event(event)));
                }
            }
            // Whoever listened may have left.
            let _ = tell.send((party, Message::Ended));
        };
        std::thread::Builder::new()
            .name(format!("{party}-events"))
            .spawn(listen)
            .map_err(failed)?;
        Ok(child)
    }

    /// How it ended; kills a process that does not.
    pub(super) fn end(&mut self) -> Option<ExitStatus> {
        let deadline = Instant::now() + LAST_BREATH;
        loop {
            match self.process.try_wait() {
                Ok(Some(status)) => return Some(status),
                Ok(None) if Instant::now() < deadline => std::thread::sleep(POLL),
                _ => break,
            }
        }
        let _ = self.process.kill();
        self.process.wait().ok()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Both fail if it has ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
