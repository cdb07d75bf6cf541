//! What the streams, the reader thread and the writer thread of a link share.

use super::failure::Failure;
use super::frame::{HEADER_BYTES, Header};
use super::pool::{Frame, Pool, class};
use super::progress::Progress;
use super::{Control, Link, Stream, reader, writer};
use crate::{Error, Result};
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The bounds of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes that may wait to be written before a send blocks (one frame always fits).
    pub outgoing_bytes: usize,
    /// Bytes that may wait to be received before the reader stops reading (one frame always fits).
    pub incoming_bytes: usize,
    /// Free buffer bytes that are kept for reuse.
    pub pool_bytes: usize,
}

impl Default for Limits {
    /// 32 MiB, 256 MiB, 64 MiB.
    fn default() -> Self {
        Self { outgoing_bytes: 32 << 20, incoming_bytes: 256 << 20, pool_bytes: 64 << 20 }
    }
}

/// What has travelled, seen from one party. Headers are apart from payload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Payload bytes handed to the link.
    pub payload_sent: u64,
    /// Payload bytes received by the protocol.
    pub payload_received: u64,
    /// Frames sent; each has [`HEADER_BYTES`] bytes of header.
    pub frames_sent: u64,
    /// Frames received.
    pub frames_received: u64,
}

impl Traffic {
    /// Header bytes sent.
    pub fn headers_sent(&self) -> u64 {
        self.frames_sent * HEADER_BYTES as u64
    }

    /// Header bytes received.
    pub fn headers_received(&self) -> u64 {
        self.frames_received * HEADER_BYTES as u64
    }
}

#[derive(Default)]
pub(super) struct Counters {
    pub(super) payload_sent: AtomicU64,
    pub(super) payload_received: AtomicU64,
    pub(super) frames_sent: AtomicU64,
    pub(super) frames_received: AtomicU64,
}

impl Counters {
    fn read(&self) -> Traffic {
        Traffic {
            payload_sent: self.payload_sent.load(Ordering::Relaxed),
            payload_received: self.payload_received.load(Ordering::Relaxed),
            frames_sent: self.frames_sent.load(Ordering::Relaxed),
            frames_received: self.frames_received.load(Ordering::Relaxed),
        }
    }
}

pub(super) struct Outgoing {
    pub(super) queue: VecDeque<(Header, Frame)>,
    pub(super) bytes: usize,
    pub(super) closing: bool,
    /// The writer has ended.
    finished: bool,
}

pub(super) struct Incoming {
    pub(super) queues: Vec<VecDeque<(u32, Frame)>>,
    pub(super) bytes: usize,
}

/// The common state of one end of a link.
pub(crate) struct Shared {
    pub(super) outgoing: Mutex<Outgoing>,
    /// The writer waits here for frames.
    pub(super) to_write: Condvar,
    /// Senders wait here for room in the outgoing queue, and the last owner for the end of the writer.
    pub(super) written: Condvar,
    pub(super) incoming: Mutex<Incoming>,
    /// Each stream waits here for its next frame.
    pub(super) arrived: Vec<Condvar>,
    /// The reader waits here for room in the incoming queues.
    pub(super) consumed: Condvar,
    failure: OnceLock<Failure>,
    /// Set when even frames that have arrived must not be used any more.
    given_up: AtomicBool,
    pub(super) reading: Progress,
    pub(super) writing: Progress,
    /// The longest chain of dependent frames over all streams.
    reach: AtomicU32,
    pub(super) counters: Vec<Counters>,
    pub(super) pool: Arc<Pool>,
    pub(super) timeout: Duration,
    pub(super) limits: Limits,
    control: Arc<dyn Control>,
    peer: String,
}

impl Shared {
    pub(super) fn failure(&self) -> Option<&Failure> {
        self.failure.get()
    }

    /// Why even frames that have arrived must not be used any more, if so.
    pub(super) fn verdict(&self) -> Option<&Failure> {
        if self.given_up.load(Ordering::Acquire) { self.failure() } else { None }
    }

    /// Whether the link has failed or the session was given up.
    pub(crate) fn is_poisoned(&self) -> bool {
        self.failure().is_some()
    }

    /// The name of the other end.
    pub(crate) fn peer(&self) -> &str {
        &self.peer
    }

    pub(super) fn finish_writing(&self) {
        self.control.finish_writing();
    }

    /// The link has failed. Frames that arrived before are still delivered.
    pub(super) fn link_failed(&self, failure: Failure) {
        tracing::debug!(peer = %self.peer, ?failure, "link failed");
        let _ = self.failure.set(failure);
        self.wake_all();
    }

    /// The session must not go on: nothing is delivered or sent any more.
    pub(crate) fn give_up(&self, error: &Error) {
        let _ = self.failure.set(Failure::of(error));
        self.given_up.store(true, Ordering::Release);
        self.wake_all();
    }

    fn wake_all(&self) {
        self.control.shutdown();
        let mut outgoing = self.outgoing.lock();
        outgoing.queue.clear();
        outgoing.bytes = 0;
        self.to_write.notify_all();
        self.written.notify_all();
        drop(outgoing);
        let incoming = self.incoming.lock();
        self.arrived.iter().for_each(|stream| {
            stream.notify_all();
        });
        self.consumed.notify_all();
        drop(incoming);
    }

    /// Memory that a queued frame occupies, so that tiny frames are not free.
    pub(super) fn charge(len: usize) -> usize {
        class(len)
    }

    /// A wait begins, in either direction: a step of the protocol.
    pub(super) fn wait_begins(&self) {
        self.reading.step();
        self.writing.step();
    }

    /// When waiting for a frame is over, unless there is progress meanwhile. A peer that takes what we send may have
    /// to take all of it before it answers.
    pub(super) fn read_deadline(&self) -> Instant {
        self.reading.time().max(self.writing.time()) + self.timeout
    }

    /// When waiting for room to send is over, unless there is progress meanwhile.
    pub(super) fn write_deadline(&self) -> Instant {
        self.writing.time() + self.timeout
    }

    /// Waits for the end of the writer, as long as the peer takes what is left.
    fn drain(&self) {
        self.wait_begins();
        let mut outgoing = self.outgoing.lock();
        while !outgoing.finished {
            let deadline = self.write_deadline();
            if self.written.wait_until(&mut outgoing, deadline).timed_out()
                && Instant::now() >= self.write_deadline()
            {
                tracing::debug!(peer = %self.peer, "the last frames were not taken in time");
                return;
            }
        }
    }

    pub(super) fn deepen(&self, depth: u32) {
        self.reach.fetch_max(depth, Ordering::Relaxed);
    }

    /// The longest chain of dependent frames so far.
    pub(crate) fn reach(&self) -> u32 {
        self.reach.load(Ordering::Relaxed)
    }

    /// Traffic of all streams.
    pub(crate) fn traffic(&self) -> Traffic {
        self.counters.iter().map(Counters::read).fold(Traffic::default(), |sum, one| Traffic {
            payload_sent: sum.payload_sent + one.payload_sent,
            payload_received: sum.payload_received + one.payload_received,
            frames_sent: sum.frames_sent + one.frames_sent,
            frames_received: sum.frames_received + one.frames_received,
        })
    }

    /// Traffic of one stream.
    pub(super) fn traffic_of(&self, stream: u16) -> Traffic {
        self.counters.get(usize::from(stream)).map(Counters::read).unwrap_or_default()
    }
}

/// One end of a link with its two threads. The last owner closes it: what was sent is still
/// delivered, unless the session was given up, the owner is unwinding from a panic, or the peer takes it more slowly
/// than the deadline allows.
pub(crate) struct Mux {
    shared: Arc<Shared>,
    threads: Option<(JoinHandle<()>, JoinHandle<()>)>,
}

impl Mux {
    /// Starts the threads and opens `streams` streams.
    ///
    /// # Errors
    /// [`Error::Resource`] if a thread cannot be started, [`Error::Link`] if the link refuses its
    /// timeouts.
    pub(crate) fn start(
        link: Link,
        streams: u16,
        timeout: Duration,
        limits: Limits,
    ) -> Result<(Arc<Self>, Vec<Stream>)> {
        let Link { reader, writer, control, peer } = link;
        // The reader may wait for ever: receives have the deadline, and a shutdown wakes it.
        control
            .set_timeouts(None, Some(timeout))
            .map_err(|e| Error::link(format!("cannot set the timeouts of {peer}"), e))?;
        let shared = Arc::new(Shared {
            outgoing: Mutex::new(Outgoing {
                queue: VecDeque::new(),
                bytes: 0,
                closing: false,
                finished: false,
            }),
            to_write: Condvar::new(),
            written: Condvar::new(),
            incoming: Mutex::new(Incoming {
                queues: (0..streams).map(|_| VecDeque::new()).collect(),
                bytes: 0,
            }),
            arrived: (0..streams).map(|_| Condvar::new()).collect(),
            consumed: Condvar::new(),
            failure: OnceLock::new(),
            given_up: AtomicBool::new(false),
            reading: Progress::new(),
            writing: Progress::new(),
            reach: AtomicU32::new(0),
            counters: (0..streams).map(|_| Counters::default()).collect(),
            pool: Pool::new(limits.pool_bytes),
            timeout,
            limits,
            control,
            peer,
        });
        let no_thread = |e: io::Error| Error::resource(format!("cannot start a link thread: {e}"));
        let to_writer = Arc::clone(&shared);
        let writer = std::thread::Builder::new()
            .name("link-writer".into())
            .spawn(move || {
                writer::run(&to_writer, writer);
                to_writer.outgoing.lock().finished = true;
                to_writer.written.notify_all();
            })
            .map_err(no_thread)?;
        let to_reader = Arc::clone(&shared);
        let reader = std::thread::Builder::new()
            .name("link-reader".into())
            .spawn(move || reader::run(&to_reader, reader));
        let reader = match reader {
            Ok(reader) => reader,
            Err(e) => {
                let error = no_thread(e);
                shared.give_up(&error);
                let _ = writer.join();
                return Err(error);
            }
        };
        let mux = Arc::new(Self { shared, threads: Some((writer, reader)) });
        let streams = (0..streams).map(|id| Stream::new(id, Arc::clone(&mux))).collect();
        Ok((mux, streams))
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}

impl Drop for Mux {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.shared.give_up(&Error::link_closed("this party panicked"));
        }
        {
            let mut outgoing = self.shared.outgoing.lock();
            outgoing.closing = true;
            self.shared.to_write.notify_all();
        }
        if let Some((writer, reader)) = self.threads.take() {
            self.shared.drain();
            self.shared.give_up(&Error::link_closed("the session has ended"));
            let _ = writer.join();
            let _ = reader.join();
        }
    }
}
