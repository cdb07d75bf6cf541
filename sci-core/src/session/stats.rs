//! Statistics as spans. Protocol code has no timers: whoever knows the layer opens a [`Span`], and
//! all bytes, rounds and seconds until its end are attributed to it. Spans nest, and everything
//! counts once, for the innermost span open at the time; so the phases are disjoint.

use crate::channel::Shared;
use crate::error::Text;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Instant;

/// The disjoint phases of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Connection, base OT, keys.
    Setup,
    /// What does not depend on the input: expansion, weight transforms.
    Offline,
    /// What does.
    Online,
}

impl Phase {
    /// All phases, in order.
    pub const ALL: [Self; 3] = [Self::Setup, Self::Offline, Self::Online];

    /// A word for tables and JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Setup => "setup",
            Self::Offline => "offline",
            Self::Online => "online",
        }
    }
}

/// Payload bytes each way, rounds and wall-clock seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Totals {
    /// Payload bytes this party sent.
    pub bytes_sent: u64,
    /// Payload bytes this party received.
    pub bytes_received: u64,
    /// The longest chain of dependent messages.
    pub rounds: u32,
    /// Wall-clock time.
    pub seconds: f64,
}

impl Totals {
    /// Payload bytes both ways.
    pub fn bytes(&self) -> u64 {
        self.bytes_sent + self.bytes_received
    }

    fn add(&mut self, other: &Self) {
        self.bytes_sent += other.bytes_sent;
        self.bytes_received += other.bytes_received;
        self.rounds += other.rounds;
        self.seconds += other.seconds;
    }
}

/// What one operation of one layer took in one phase; several spans of the same name add up.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerStats {
    /// The layer.
    pub name: Text,
    /// The operation.
    pub op: Text,
    /// Which backend did it; empty if nobody said.
    pub backend: Text,
    /// The phase.
    pub phase: Phase,
    /// Wall-clock time.
    pub seconds: f64,
    /// Payload bytes this party sent.
    pub bytes_sent: u64,
    /// Payload bytes this party received.
    pub bytes_received: u64,
    /// The longest chain of dependent messages.
    pub rounds: u32,
}

impl LayerStats {
    /// The figures alone.
    pub fn totals(&self) -> Totals {
        Totals {
            bytes_sent: self.bytes_sent,
            bytes_received: self.bytes_received,
            rounds: self.rounds,
            seconds: self.seconds,
        }
    }

    fn add(&mut self, other: &Totals) {
        self.bytes_sent += other.bytes_sent;
        self.bytes_received += other.bytes_received;
        self.rounds += other.rounds;
        self.seconds += other.seconds;
    }
}

/// Everything counted so far. The handshake, the phases and `outside` are disjoint.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stats {
    /// The handshake: all its bytes, its time.
    pub handshake: Totals,
    /// By phase, in the order of [`Phase::ALL`].
    pub phases: [Totals; 3],
    /// What happened while no span was open.
    pub outside: Totals,
    /// Header bytes sent.
    pub headers_sent: u64,
    /// Header bytes received.
    pub headers_received: u64,
    /// By layer, operation and phase, in the order of their first span.
    pub layers: Vec<LayerStats>,
}

impl Stats {
    /// One phase.
    pub fn phase(&self, phase: Phase) -> &Totals {
        &self.phases[phase as usize]
    }

    /// The phases and what was outside of them; not the handshake.
    pub fn total(&self) -> Totals {
        let mut sum = self.outside;
        self.phases.iter().for_each(|phase| sum.add(phase));
        sum
    }
}

/// Where a session's figures are kept; clones share them.
#[derive(Clone)]
pub struct Recorder(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    state: Mutex<State>,
}

struct State {
    handshake: Totals,
    outside: Totals,
    layers: Vec<LayerStats>,
    /// The open spans: their numbers and positions in `layers`.
    open: Vec<(u64, usize)>,
    next_span: u64,
    seen: Seen,
}

/// The counters when the last span began or ended.
#[derive(Clone, Copy)]
struct Seen {
    sent: u64,
    received: u64,
    reach: u32,
    time: Instant,
}

impl Recorder {
    pub(super) fn new(shared: Arc<Shared>, handshake: Totals) -> Self {
        let seen = look(&shared);
        let state = State {
            handshake,
            outside: Totals::default(),
            layers: Vec::new(),
            open: Vec::new(),
            next_span: 0,
            seen,
        };
        Self(Arc::new(Inner { shared, state: Mutex::new(state) }))
    }

    /// Begins a span; it ends when dropped.
    pub fn span(&self, layer: impl Into<Text>, op: impl Into<Text>, phase: Phase) -> Span {
        self.begin(layer.into(), op.into(), None, phase)
    }

    /// Begins a span of another phase within the layer and operation that are open: an offline
    /// refill in the middle of an online layer.
    pub fn phase(&self, phase: Phase) -> Span {
        let (name, op, backend) = {
            let state = self.0.state.lock();
            let open = state.open.last().and_then(|&(_, at)| state.layers.get(at));
            open.map(|l| (l.name.clone(), l.op.clone(), l.backend.clone())).unwrap_or_default()
        };
        self.begin(name, op, Some(backend), phase)
    }

    /// Moves `part` of what the innermost open span has counted to another operation: the work of
    /// one of several lanes, which a span of its own could not tell from that of the others. The
    /// rounds are those of the part alone, not of the span; the operation keeps the greatest.
    pub fn attribute(
        &self,
        layer: impl Into<Text>,
        op: impl Into<Text>,
        phase: Phase,
        part: &Totals,
    ) {
        let mut state = self.0.state.lock();
        state.settle(&self.0.shared);
        let open = state.open.last().map(|&(_, at)| at);
        let (sent, received, seconds) = match open.and_then(|at| state.layers.get_mut(at)) {
            Some(open) => (&mut open.bytes_sent, &mut open.bytes_received, &mut open.seconds),
            None => {
                let outside = &mut state.outside;
                (&mut outside.bytes_sent, &mut outside.bytes_received, &mut outside.seconds)
            }
        };
        let part = Totals {
            bytes_sent: part.bytes_sent.min(*sent),
            bytes_received: part.bytes_received.min(*received),
            rounds: part.rounds,
            seconds: part.seconds.min(*seconds),
        };
        *sent -= part.bytes_sent;
        *received -= part.bytes_received;
        *seconds -= part.seconds;
        let at = state.layer(layer.into(), op.into(), None, phase);
        if let Some(layer) = state.layers.get_mut(at) {
            let rounds = layer.rounds.max(part.rounds);
            layer.add(&part);
            layer.rounds = rounds;
        }
    }

    fn begin(&self, name: Text, op: Text, backend: Option<Text>, phase: Phase) -> Span {
        let mut state = self.0.state.lock();
        state.settle(&self.0.shared);
        let at = state.layer(name, op, backend, phase);
        let number = state.next_span;
        state.next_span += 1;
        state.open.push((number, at));
        Span { recorder: self.clone(), number }
    }

    /// What has been counted so far.
    pub fn stats(&self) -> Stats {
        let mut state = self.0.state.lock();
        state.settle(&self.0.shared);
        let traffic = self.0.shared.traffic();
        let mut phases = [Totals::default(); 3];
        for layer in &state.layers {
            phases[layer.phase as usize].add(&layer.totals());
        }
        Stats {
            handshake: state.handshake,
            phases,
            outside: state.outside,
            headers_sent: traffic.headers_sent(),
            headers_received: traffic.headers_received(),
            layers: state.layers.clone(),
        }
    }
}

impl State {
    /// The position of an operation, which is made if it is new.
    fn layer(&mut self, name: Text, op: Text, backend: Option<Text>, phase: Phase) -> usize {
        let found =
            self.layers.iter().position(|l| l.phase == phase && l.name == name && l.op == op);
        found.unwrap_or_else(|| {
            self.layers.push(LayerStats {
                name,
                op,
                backend: backend.unwrap_or_default(),
                phase,
                seconds: 0.0,
                bytes_sent: 0,
                bytes_received: 0,
                rounds: 0,
            });
            self.layers.len() - 1
        })
    }

    /// Attributes what has happened since the last event to the innermost open span.
    fn settle(&mut self, shared: &Shared) {
        let now = look(shared);
        let passed = Totals {
            bytes_sent: now.sent - self.seen.sent,
            bytes_received: now.received - self.seen.received,
            rounds: now.reach - self.seen.reach,
            seconds: now.time.duration_since(self.seen.time).as_secs_f64(),
        };
        self.seen = now;
        match self.open.last().and_then(|&(_, at)| self.layers.get_mut(at)) {
            Some(layer) => layer.add(&passed),
            None => self.outside.add(&passed),
        }
    }
}

fn look(shared: &Shared) -> Seen {
    let traffic = shared.traffic();
    Seen {
        sent: traffic.payload_sent,
        received: traffic.payload_received,
        reach: shared.reach(),
        time: Instant::now(),
    }
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.0.state.lock();
        write!(f, "Recorder({} layers, {} open spans)", state.layers.len(), state.open.len())
    }
}

/// An open span; dropping it ends it.
#[derive(Debug)]
#[must_use = "a span ends when it is dropped"]
pub struct Span {
    recorder: Recorder,
    number: u64,
}

impl Span {
    /// Says which backend does this operation.
    pub fn backend(self, backend: impl Into<Text>) -> Self {
        {
            let mut state = self.recorder.0.state.lock();
            let at = state.open.iter().find(|open| open.0 == self.number).map(|open| open.1);
            if let Some(layer) = at.and_then(|at| state.layers.get_mut(at)) {
                layer.backend = backend.into();
            }
        }
        self
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        let mut state = self.recorder.0.state.lock();
        state.settle(&self.recorder.0.shared);
        state.open.retain(|open| open.0 != self.number);
    }
}
