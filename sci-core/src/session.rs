//! What two parties have after the handshake.
//!
//! A [`Session`] joins a party's role, an identity that every seed and tweak derives from, the
//! streams to the peer (number 0 the main one, the others the lanes), the right to a number of
//! cores, and the statistics. The handshake is described in [`handshake`]: the server offers its
//! public parameters and program, the client states what it requires and accepts or refuses; a
//! difference is an error on both sides that names the parameter.
//!
//! ```
//! use sci_core::channel::memory;
//! use sci_core::session::{PublicOffer, Session, SessionOptions};
//! let (server_end, client_end) = memory::pair();
//! let options = SessionOptions::default();
//! let offer = PublicOffer {
//!     parameters: vec![("bitwidth".into(), "37".into())],
//!     blob: b"the public program".to_vec(),
//! };
//! std::thread::scope(|scope| {
//!     let server = scope.spawn(|| Session::serve(server_end, options, &offer));
//!     let required = vec![("bitwidth".to_string(), "37".to_string())];
//!     let (client, offer) =
//!         Session::join(client_end, options, required, 1 << 20, |_offer| Ok(()))?;
//!     let server = server.join().unwrap()?;
//!     assert_eq!(offer.blob, b"the public program");
//!     assert_eq!(server.id(), client.id());
//!     Ok::<(), sci_core::Error>(())
//! })?;
//! # Ok::<(), sci_core::Error>(())
//! ```

pub mod handshake;
mod stats;

pub use handshake::{Measured, Offer, PublicOffer};
pub use stats::{LayerStats, Phase, Recorder, Span, Stats, Totals};

use crate::channel::{Limits, Link, Mux, Permits, Shared, Stream, lanes};
use crate::error::Text;
use crate::{Error, Result};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The most lanes that a server can ask for.
pub const MAX_LANES: usize = 255;
/// Lanes that a client takes even if its own options have fewer: each may hold a chunk of the work and its own supply of
/// correlated OTs, tens of megabytes.
pub const LANES_TAKEN: usize = 16;

/// One of the two parties.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Party {
    /// P0, who has the weights.
    Server,
    /// P1, who has the input.
    Client,
}

impl Party {
    /// The other one.
    pub fn peer(self) -> Self {
        match self {
            Self::Server => Self::Client,
            Self::Client => Self::Server,
        }
    }

    /// 0 for the server, 1 for the client.
    pub fn index(self) -> usize {
        match self {
            Self::Server => 0,
            Self::Client => 1,
        }
    }
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Server => "server",
            Self::Client => "client",
        })
    }
}

/// What a party brings to a session itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionOptions {
    /// How long the link may stand still while this party waits for it, and how long each step of
    /// the handshake may take. Bytes that come more slowly than [`MINIMUM_RATE`](crate::channel::MINIMUM_RATE) are
    /// standing still as well ([`channel`](crate::channel), "Failure").
    pub timeout: Duration,
    /// Threads that may compute at a time; not known to the peer.
    pub threads: usize,
    /// Streams beside the main one, 0..=[`MAX_LANES`]. The server's number counts; it is the public
    /// parameter `lanes`. A client refuses more than its own number or [`LANES_TAKEN`], whichever is greater.
    pub lanes: usize,
    /// Bounds of the queues of the link.
    pub limits: Limits,
}

impl Default for SessionOptions {
    /// 30 seconds, one thread, four lanes, the default limits.
    fn default() -> Self {
        Self { timeout: Duration::from_secs(30), threads: 1, lanes: 4, limits: Limits::default() }
    }
}

/// Two parties, connected and agreed. See the [module](self).
///
/// Dropping the session and all its streams closes the link once everything sent is delivered; in a
/// panic or after an error it closes at once.
pub struct Session {
    party: Party,
    id: [u8; 32],
    digest: [u8; 32],
    lanes: usize,
    timeout: Duration,
    permits: Arc<Permits>,
    recorder: Recorder,
    streams: Vec<Stream>,
    shared: Arc<Shared>,
    /// Keeps the link open while the streams are elsewhere.
    _mux: Arc<Mux>,
}

impl Session {
    /// The server's side of the handshake, then a session of its [`SessionOptions::lanes`] lanes.
    ///
    /// # Errors
    /// [`Error::PeerIncompatible`] if the client runs another version, requires something else or
    /// refuses; [`Error::PeerMisbehaved`] if it is no such client; [`Error::Link`] if it closes or
    /// stalls; [`Error::InvalidInput`] if the offer or the options are out of range.
    pub fn serve(link: Link, options: SessionOptions, offer: &PublicOffer) -> Result<Self> {
        let agreed = handshake::serve(link, options, offer)?;
        Self::start(Party::Server, agreed, options)
    }

    /// [`Session::serve`] for an offer that depends on the link: it is measured first, by at most 7 MB each
    /// way, and what `plan` makes of that is offered. The client may be anyone and decides how prompt its answers
    /// are: what `plan` costs must not grow with the number of sessions. All of it counts as handshake.
    ///
    /// # Errors
    /// As [`Session::serve`], and what `plan` returned.
    pub fn serve_probed(
        link: Link,
        options: SessionOptions,
        plan: impl FnOnce(Measured) -> Result<PublicOffer>,
    ) -> Result<Self> {
        let agreed = handshake::serve_probed(link, options, plan)?;
        Self::start(Party::Server, agreed, options)
    }

    /// The client's side. `requirements` are names and values that the server's parameters must
    /// have; a public program of more than `max_blob` bytes is refused before it is read; `accept`
    /// sees the whole offer and may refuse it.
    ///
    /// # Errors
    /// As [`Session::serve`], and what `accept` returned.
    pub fn join(
        link: Link,
        options: SessionOptions,
        requirements: Vec<(String, String)>,
        max_blob: usize,
        accept: impl FnOnce(&Offer) -> Result<()>,
    ) -> Result<(Self, Offer)> {
        let (agreed, offer) = handshake::join(link, options, requirements, max_blob, accept)?;
        Ok((Self::start(Party::Client, agreed, options)?, offer))
    }

    fn start(party: Party, agreed: handshake::Agreed, options: SessionOptions) -> Result<Self> {
        let lanes = u16::try_from(agreed.lanes.min(MAX_LANES)).unwrap_or_default();
        let (mux, streams) = Mux::start(agreed.link, lanes + 1, options.timeout, options.limits)?;
        let shared = Arc::clone(mux.shared());
        let recorder = Recorder::new(Arc::clone(&shared), agreed.totals);
        Ok(Self {
            party,
            id: agreed.id,
            digest: agreed.digest,
            lanes: agreed.lanes,
            timeout: options.timeout,
            permits: Permits::new(options.threads),
            recorder,
            streams,
            shared,
            _mux: mux,
        })
    }

    /// Which party this is.
    pub fn party(&self) -> Party {
        self.party
    }

    /// SHA-256 over the version, both nonces, the public parameters and the digest of the public
    /// program: the same for both parties and no other session.
    pub fn id(&self) -> &[u8; 32] {
        &self.id
    }

    /// SHA-256 of the public program.
    pub fn digest(&self) -> &[u8; 32] {
        &self.digest
    }

    /// Streams beside the main one.
    pub fn lanes(&self) -> usize {
        self.lanes
    }

    /// Threads that may compute at a time.
    pub fn threads(&self) -> usize {
        self.permits.total()
    }

    /// How long the link may stand still.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The name of the other end of the link.
    pub fn peer(&self) -> &str {
        self.shared.peer()
    }

    /// The permits of this party's cores.
    pub fn permits(&self) -> &Arc<Permits> {
        &self.permits
    }

    /// The main stream.
    ///
    /// # Panics
    /// After [`Session::take_streams`].
    pub fn stream(&mut self) -> &mut Stream {
        self.streams.first_mut().unwrap_or_else(|| panic!("the streams were taken"))
    }

    /// The streams that are here: the main one, then the lanes; none after
    /// [`Session::take_streams`].
    pub fn streams_mut(&mut self) -> &mut [Stream] {
        &mut self.streams
    }

    /// Hands out all streams, for those who keep them with their own state.
    pub fn take_streams(&mut self) -> Vec<Stream> {
        std::mem::take(&mut self.streams)
    }

    /// Runs `job` once per lane at the same time (see [`lanes::run`]). The lanes start where the
    /// main stream is, and the main stream goes on from the deepest of them.
    ///
    /// # Errors
    /// The first error of a lane, or [`Error::Misuse`] if there are no lanes here.
    pub fn run_lanes<T: Send>(
        &mut self,
        job: impl Fn(usize, &mut Stream) -> Result<T> + Sync,
    ) -> Result<Vec<T>> {
        lanes::align(&mut self.streams);
        let Some((_main, lanes)) = self.streams.split_first_mut().filter(|(_, l)| !l.is_empty())
        else {
            return Err(Error::misuse("a session without lanes here"));
        };
        let results = lanes::run(lanes, &self.permits, job)?;
        lanes::align(&mut self.streams);
        Ok(results)
    }

    /// Begins a span: until it is dropped, bytes, rounds and time count for this layer, operation
    /// and phase, except what an inner span takes.
    pub fn span(&self, layer: impl Into<Text>, op: impl Into<Text>, phase: Phase) -> Span {
        self.recorder.span(layer, op, phase)
    }

    /// The statistics, to be kept where the session is not at hand.
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// What has been counted so far.
    pub fn stats(&self) -> Stats {
        self.recorder.stats()
    }

    /// Ends the session because of `error`: the link is closed, and no stream works any more.
    pub fn give_up(&self, error: &Error) {
        self.shared.give_up(error);
    }

    /// Whether the session has been given up or the link has failed.
    pub fn is_poisoned(&self) -> bool {
        self.shared.is_poisoned()
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("party", &self.party)
            .field("peer", &self.peer())
            .field("lanes", &self.lanes)
            .field("threads", &self.threads())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
