//! One logical conversation over a link.

use super::failure::Failure;
use super::frame::{HEADER_BYTES, Header, MAX_FRAME};
use super::mux::{Mux, Shared};
use super::pool::Frame;
use super::{Permit, Permits, Traffic};
use crate::{Error, Result};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// An ordered, full-duplex, framed and counted conversation with the peer.
///
/// Both parties hold the stream of the same number. What one sends in one call the other receives
/// in one call, of exactly the same length.
///
/// ```
/// let (sum, ()) = sci_core::testing::run_pair(
///     |mut server| {
///         let stream = server.stream();
///         stream.send(&[1, 2])?;
///         let answer = stream.recv("the sum", 1)?;
///         Ok::<u8, sci_core::Error>(answer[0])
///     },
///     |mut client| {
///         let stream = client.stream();
///         let pair = stream.recv("two numbers", 2).unwrap();
///         stream.send(&[pair[0] + pair[1]]).unwrap();
///         assert_eq!(stream.depth(), 2);
///     },
/// );
/// assert_eq!(sum?, 3);
/// # Ok::<(), sci_core::Error>(())
/// ```
pub struct Stream {
    id: u16,
    mux: Arc<Mux>,
    /// The longest chain that what we send next depends on.
    depth: u32,
    /// The longest chain that a frame of ours ended, or the depth that was set.
    sent: u32,
    permits: Option<(Arc<Permits>, usize)>,
    held: Vec<Permit>,
    told: bool,
}

/// Where a stream was when an exchange that counts apart began.
#[derive(Debug)]
#[must_use = "the stream stays at depth 0 until this is restored"]
pub struct SuspendedDepth {
    depth: u32,
    sent: u32,
}

/// Where a stream was before steps that do not depend on each other ([`Stream::fork`]).
#[derive(Debug)]
#[must_use = "the rounds of the branches count once they are joined"]
pub struct Fork {
    start: SuspendedDepth,
    depth: u32,
    sent: u32,
}

impl Stream {
    pub(super) fn new(id: u16, mux: Arc<Mux>) -> Self {
        Self { id, mux, depth: 0, sent: 0, permits: None, held: Vec::new(), told: false }
    }

    /// The number of this stream; 0 is the main one.
    pub fn id(&self) -> u16 {
        self.id
    }

    /// Sends a copy of `payload` as one frame. An empty payload sends nothing.
    ///
    /// # Errors
    /// As [`Stream::send_with`].
    pub fn send(&mut self, payload: &[u8]) -> Result<()> {
        self.send_with(payload.len(), |frame| frame.copy_from_slice(payload))
    }

    /// Sends one frame of `len` bytes that `fill` writes in place. It must overwrite every byte:
    /// on entry there are bytes of earlier frames of this link. A length of 0 sends nothing, and
    /// `fill` is not called.
    ///
    /// Waits only while the outgoing queue is full.
    ///
    /// # Errors
    /// [`Error::Misuse`] if `len` exceeds [`MAX_FRAME`] or an earlier error was ignored,
    /// [`Error::Link`] if the link has failed or the peer takes nothing.
    pub fn send_with(&mut self, len: usize, fill: impl FnOnce(&mut [u8])) -> Result<()> {
        self.check("sending")?;
        if len == 0 {
            return Ok(());
        }
        if len > MAX_FRAME {
            let error = Error::misuse(format!("a frame of {len} bytes, at most {MAX_FRAME}"));
            return Err(self.give_up(error));
        }
        let mut frame = self.shared().pool.take(len);
        fill(&mut frame);
        let depth = self.depth.saturating_add(1);
        self.enqueue(Header { len, stream: self.id, depth }, frame)?;
        self.sent = self.sent.max(depth);
        let shared = self.shared();
        shared.deepen(depth);
        if let Some(counters) = shared.counters.get(usize::from(self.id)) {
            counters.payload_sent.fetch_add(len as u64, Ordering::Relaxed);
            counters.frames_sent.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Waits for the next frame of this stream, which must have exactly `len` bytes; `what` names
    /// it in errors. A length of 0 receives nothing and returns at once.
    ///
    /// # Errors
    /// [`Error::PeerMisbehaved`] for another length or an impossible depth, [`Error::Link`] if the
    /// peer closed or nothing arrived within the deadline, [`Error::Misuse`] if an earlier error
    /// was ignored.
    pub fn recv(&mut self, what: &'static str, len: usize) -> Result<Frame> {
        self.check(what)?;
        if len == 0 {
            return Ok(Frame::empty());
        }
        let (depth, frame) = self.next_frame(what)?;
        if frame.len() != len {
            let error = Error::misbehaved(
                what,
                format_args!("{len} bytes"),
                format_args!("{} bytes", frame.len()),
            );
            return Err(self.give_up(error));
        }
        let deepest = self.depth().saturating_add(1);
        if !(1..=deepest).contains(&depth) {
            let error = Error::misbehaved(
                format!("{what}: frame depth"),
                format_args!("1..={deepest}"),
                depth,
            );
            return Err(self.give_up(error));
        }
        // Flights, as the papers count: what follows an exchange depends on both of its halves.
        self.depth = self.depth.max(depth).max(self.sent);
        let shared = self.shared();
        shared.deepen(depth);
        if let Some(counters) = shared.counters.get(usize::from(self.id)) {
            counters.payload_received.fetch_add(len as u64, Ordering::Relaxed);
            counters.frames_received.fetch_add(1, Ordering::Relaxed);
        }
        Ok(frame)
    }

    /// The longest chain of dependent frames that this stream has sent or received. Both parties
    /// see the same number once they have received all that was sent.
    pub fn depth(&self) -> u32 {
        self.depth.max(self.sent)
    }

    /// Everything from now on depends on a chain of `depth` frames. Both parties must set the same
    /// (see [`super::lanes`]).
    pub fn set_depth(&mut self, depth: u32) {
        self.depth = depth;
        self.sent = depth;
        self.shared().deepen(depth);
    }

    /// Begins an exchange that is to count apart: until [`Stream::restore_depth`] the stream is at
    /// depth 0. To be called by both parties at the same point of the protocol.
    pub fn suspend_depth(&mut self) -> SuspendedDepth {
        let suspended = SuspendedDepth { depth: self.depth, sent: self.sent };
        (self.depth, self.sent) = (0, 0);
        suspended
    }

    /// Ends such an exchange: the stream goes on where it was, and the length of the longest chain
    /// of the exchange is returned.
    pub fn restore_depth(&mut self, suspended: SuspendedDepth) -> u32 {
        let chain = self.depth();
        (self.depth, self.sent) = (suspended.depth, suspended.sent);
        chain
    }

    /// Begins steps that do not depend on each other, although they follow each other on the stream: the blocks of
    /// a batch, say. Their rounds count as those of the longest, as it is in time if none is waited for.
    pub fn fork(&self) -> Fork {
        let start = SuspendedDepth { depth: self.depth, sent: self.sent };
        Fork { start, depth: self.depth, sent: self.sent }
    }

    /// Begins the next of these steps: the stream is where it was at the fork.
    pub fn branch(&mut self, fork: &mut Fork) {
        fork.depth = fork.depth.max(self.depth);
        fork.sent = fork.sent.max(self.sent);
        (self.depth, self.sent) = (fork.start.depth, fork.start.sent);
    }

    /// Ends them: what follows depends on all.
    pub fn join(&mut self, mut fork: Fork) {
        self.branch(&mut fork);
        (self.depth, self.sent) = (fork.depth, fork.sent);
    }

    /// What has travelled on this stream.
    pub fn traffic(&self) -> Traffic {
        self.shared().traffic_of(self.id)
    }

    /// From now on the caller computes only with `count` permits: waits for them and holds them until
    /// [`Stream::detach_permits`], except while waiting for the link. [`super::lanes::run`] does
    /// both, whatever happens in between. Whoever takes more than one must be alone in that.
    pub fn attach_permits(&mut self, permits: &Arc<Permits>, count: usize) {
        self.held.clear();
        self.permits = Some((Arc::clone(permits), count.min(permits.total())));
        self.resume();
    }

    /// Gives the permits back for good.
    pub fn detach_permits(&mut self) {
        self.held.clear();
        self.permits = None;
    }

    /// Ends the session because of `error`: the link is closed, no stream delivers or sends
    /// anything any more, each reports the cause once. Returns the error.
    pub fn give_up(&mut self, error: Error) -> Error {
        self.shared().give_up(&error);
        self.told = true;
        error
    }

    /// Whether the session has been given up or the link has failed.
    pub fn is_poisoned(&self) -> bool {
        self.shared().is_poisoned()
    }

    fn shared(&self) -> &Shared {
        self.mux.shared()
    }

    /// Refuses what follows an error.
    fn check(&mut self, doing: &str) -> Result<()> {
        if self.told {
            return Err(Error::misuse(format!(
                "{doing}: the session is poisoned by an earlier error"
            )));
        }
        let Some(error) = self.shared().verdict().map(|failure| failure.error(doing)) else {
            return Ok(());
        };
        self.told = true;
        Err(error)
    }

    /// Closes the link for a reason found here, unless it has failed before, and tells the cause.
    fn report(&mut self, doing: &str, found: &Failure) -> Error {
        let error = found.error(doing);
        self.shared().give_up(&error);
        self.told = true;
        error
    }

    fn enqueue(&mut self, header: Header, frame: Frame) -> Result<()> {
        let mux = Arc::clone(&self.mux);
        let shared = mux.shared();
        let charge = Shared::charge(header.len);
        let mut outgoing = shared.outgoing.lock();
        let mut waits = false;
        loop {
            if let Some(failure) = shared.failure() {
                drop(outgoing);
                return Err(self.report("sending", failure));
            }
            if outgoing.bytes == 0
                || outgoing.bytes.saturating_add(charge) <= shared.limits.outgoing_bytes
            {
                break;
            }
            self.held.clear();
            if !std::mem::replace(&mut waits, true) {
                shared.wait_begins();
            }
            let deadline = shared.write_deadline();
            if shared.written.wait_until(&mut outgoing, deadline).timed_out()
                && Instant::now() >= shared.write_deadline()
            {
                drop(outgoing);
                let what = still(shared, "has taken no byte");
                return Err(self.report("sending", &what));
            }
        }
        outgoing.bytes += charge;
        outgoing.queue.push_back((header, frame));
        shared.to_write.notify_one();
        drop(outgoing);
        self.resume();
        Ok(())
    }

    fn next_frame(&mut self, what: &'static str) -> Result<(u32, Frame)> {
        let mux = Arc::clone(&self.mux);
        let shared = mux.shared();
        let at = usize::from(self.id);
        let mut incoming = shared.incoming.lock();
        let mut waits = false;
        loop {
            if let Some(failure) = shared.verdict() {
                drop(incoming);
                return Err(self.report(what, failure));
            }
            if let Some((depth, frame)) = incoming.queues.get_mut(at).and_then(|q| q.pop_front()) {
                incoming.bytes = incoming.bytes.saturating_sub(Shared::charge(frame.len()));
                shared.consumed.notify_one();
                shared.reading.step();
                drop(incoming);
                self.resume();
                return Ok((depth, frame));
            }
            if let Some(failure) = shared.failure() {
                drop(incoming);
                return Err(self.report(what, failure));
            }
            self.held.clear();
            if !std::mem::replace(&mut waits, true) {
                shared.wait_begins();
            }
            let deadline = shared.read_deadline();
            if shared.arrived[at].wait_until(&mut incoming, deadline).timed_out()
                && Instant::now() >= shared.read_deadline()
            {
                drop(incoming);
                let silence = still(shared, "has sent no byte");
                return Err(self.report(what, &silence));
            }
        }
    }

    /// Takes the permits again that were given back for a wait.
    fn resume(&mut self) {
        if let Some((permits, count)) = &self.permits {
            while self.held.len() < *count {
                self.held.push(permits.acquire());
            }
        }
    }
}

fn still(shared: &Shared, what: &str) -> Failure {
    let seconds = shared.timeout.as_secs_f64();
    Failure::Link {
        what: format!("{} {what}, or too few, for {seconds} s", shared.peer()).into(),
        kind: Some(std::io::ErrorKind::TimedOut),
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sent = self.traffic();
        f.debug_struct("Stream")
            .field("id", &self.id)
            .field("depth", &self.depth())
            .field("header_bytes", &HEADER_BYTES)
            .field("traffic", &sent)
            .finish_non_exhaustive()
    }
}
