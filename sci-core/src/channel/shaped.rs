//! The bandwidth and the delay of a network, put on the outgoing side of a link.
//!
//! A byte leaves when the bytes before it have left at the given rate, and arrives half a round trip
//! later. Each party shapes what it sends, so that both directions have the same shape. MB are 10^6
//! bytes. This is the wire alone: congestion control of TCP, such as its slow start, is not modelled.
//! `bench-harness/scripts/netem_check.py` holds it against links that the kernel shapes.

use super::{Control, Link, link};
use crate::{Error, Result};
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::collections::VecDeque;
use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};

const MEGABYTE: f64 = 1e6;
/// Bytes are delayed in pieces of at most this size, and at most this much sending time.
const PIECE_BYTES: usize = 64 << 10;
const PIECE_TIME: f64 = 0.001;
/// What a sender may be ahead of the wire: as much as a socket's send buffer grows to on Linux. So the wire is never
/// idle because a thread was woken late while there was something to send.
const SEND_BUFFER: usize = 4 << 20;

/// The networks that the papers measure on.
const NAMED: [(&str, f64, u64); 4] = [
    ("lan", 377.0, 300),
    ("wan", 40.0, 80_000),
    ("lan-cheetah", 375.0, 300),
    ("wan-cheetah", 50.0, 40_000),
];

/// Bandwidth and round-trip time of a network.
///
/// ```
/// use sci_core::channel::shaped::LinkShape;
/// let wan: LinkShape = "wan".parse()?;
/// assert_eq!(wan, "40,80".parse()?);
/// assert!("40 MB/s".parse::<LinkShape>().is_err());
/// # Ok::<(), sci_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LinkShape {
    /// Bytes per second in each direction; infinite for a link that is left as it is.
    pub bytes_per_second: f64,
    /// There and back.
    pub rtt: Duration,
}

impl LinkShape {
    /// The link as it is.
    pub const LOOPBACK: Self = Self { bytes_per_second: f64::INFINITY, rtt: Duration::ZERO };

    /// The LAN of the papers: 377 MB/s, 0.3 ms.
    pub const LAN: Self =
        Self { bytes_per_second: 377.0 * MEGABYTE, rtt: Duration::from_micros(300) };

    /// A bandwidth in MB/s and a round-trip time in ms.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] unless the bandwidth is within 0.001..=1000000 MB/s and the round
    /// trip within 0..=60000 ms.
    pub fn new(megabytes_per_second: f64, rtt_ms: f64) -> Result<Self> {
        if !(0.001..=1e6).contains(&megabytes_per_second) {
            return Err(Error::invalid("bandwidth", "0.001..=1000000 MB/s", megabytes_per_second));
        }
        if !(0.0..=60_000.0).contains(&rtt_ms) {
            return Err(Error::invalid("round-trip time", "0..=60000 ms", rtt_ms));
        }
        let rtt = Duration::from_nanos((rtt_ms * 1e6).round() as u64);
        Ok(Self { bytes_per_second: megabytes_per_second * MEGABYTE, rtt })
    }

    /// Whether nothing is shaped.
    pub fn is_loopback(&self) -> bool {
        *self == Self::LOOPBACK
    }

    /// Shapes what is sent over `link`.
    ///
    /// # Errors
    /// [`Error::Resource`] if the delaying thread cannot be started.
    pub fn apply(self, link: Link) -> Result<Link> {
        if self.is_loopback() {
            return Ok(link);
        }
        let (reader, writer, control, peer) = link.into_parts();
        let delay = Arc::new(Delay {
            shape: self,
            inner: control,
            state: Mutex::new(State::default()),
            pushed: Condvar::new(),
            popped: Condvar::new(),
        });
        let worker = Arc::clone(&delay);
        std::thread::Builder::new()
            .name("link-delay".into())
            .spawn(move || worker.deliver(writer))
            .map_err(|e| Error::resource(format!("cannot start the delaying thread: {e}")))?;
        Ok(Link::new(reader, Shaped(Arc::clone(&delay)), delay, peer))
    }

    fn seconds(&self, bytes: usize) -> Duration {
        Duration::from_secs_f64(bytes as f64 / self.bytes_per_second)
    }

    fn piece(&self) -> usize {
        ((self.bytes_per_second * PIECE_TIME) as usize).clamp(1500, PIECE_BYTES)
    }

    /// Bytes that may be under way: what fits on the wire, and the sender's buffer.
    fn in_flight(&self) -> usize {
        (self.bytes_per_second * self.rtt.as_secs_f64() / 2.0) as usize + SEND_BUFFER
    }
}

impl FromStr for LinkShape {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text == "loopback" {
            return Ok(Self::LOOPBACK);
        }
        if let Some((_, megabytes, micros)) = NAMED.iter().find(|(name, ..)| *name == text) {
            return Self::new(*megabytes, *micros as f64 / 1000.0);
        }
        let number = |part: &str| part.trim().parse::<f64>().ok();
        match text.split_once(',').map(|(rate, rtt)| (number(rate), number(rtt))) {
            Some((Some(rate), Some(rtt))) => Self::new(rate, rtt),
            _ => Err(Error::invalid(
                "link",
                "loopback, lan, wan, lan-cheetah, wan-cheetah or <MB/s>,<RTT ms>",
                text,
            )),
        }
    }
}

impl fmt::Display for LinkShape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_loopback() {
            return f.write_str("loopback");
        }
        for (name, megabytes, micros) in NAMED {
            if self.bytes_per_second == megabytes * MEGABYTE
                && self.rtt == Duration::from_micros(micros)
            {
                return f.write_str(name);
            }
        }
        write!(f, "{},{}", self.bytes_per_second / MEGABYTE, self.rtt.as_secs_f64() * 1e3)
    }
}

#[derive(Default)]
struct State {
    pieces: VecDeque<(Instant, Vec<u8>)>,
    free: Vec<Vec<u8>>,
    /// Bytes in `pieces` and in the hands of the delivering thread.
    under_way: usize,
    /// When the last piece has left the sender.
    sent_at: Option<Instant>,
    finished: bool,
    closed: bool,
    failed: Option<ErrorKind>,
    write_timeout: Option<Duration>,
}

struct Delay {
    shape: LinkShape,
    inner: Arc<dyn Control>,
    state: Mutex<State>,
    pushed: Condvar,
    popped: Condvar,
}

impl Delay {
    /// Writes each piece at its time, until the queue is finished and empty or the link is closed.
    fn deliver(&self, mut writer: Box<dyn Write + Send>) {
        let mut alarm = Alarm::new();
        let mut state = self.state.lock();
        while !state.closed {
            match state.pieces.front() {
                None if state.finished => {
                    self.inner.finish_writing();
                    return;
                }
                None => self.pushed.wait(&mut state),
                Some((time, _)) if *time > Instant::now() => {
                    let time = *time;
                    alarm.wait(&self.pushed, &mut state, time);
                }
                Some(_) => {
                    let Some((_, piece)) = state.pieces.pop_front() else {
                        continue;
                    };
                    drop(state);
                    let result = writer.write_all(&piece);
                    state = self.state.lock();
                    state.under_way -= piece.len();
                    state.free.push(piece);
                    if let Err(e) = result {
                        let kind =
                            if link::is_timeout(&e) { ErrorKind::TimedOut } else { e.kind() };
                        state.failed = Some(kind);
                        state.closed = true;
                    }
                    self.popped.notify_all();
                }
            }
        }
    }

    /// Waits for the delivering thread; `since` is when the caller last saw progress.
    fn wait(&self, state: &mut MutexGuard<'_, State>, since: Instant) -> io::Result<()> {
        // A piece may rightly be under way for the delay of the link.
        match state.write_timeout.map(|timeout| since + timeout + self.shape.rtt) {
            None => self.popped.wait(state),
            Some(deadline) => {
                if Instant::now() >= deadline {
                    return Err(ErrorKind::TimedOut.into());
                }
                self.popped.wait_until(state, deadline);
            }
        }
        Ok(())
    }
}

/// Wakes the delivering thread up on time. A thread sleeps some ten microseconds too long, which counts on a LAN: how
/// much is learned, so much earlier it is woken, and what is left then is spent awake.
struct Alarm {
    oversleeps: Duration,
}

impl Alarm {
    /// Beyond it, a thread did not oversleep but had no core.
    const MOST: Duration = Duration::from_micros(60);

    /// Also asks Linux not to let this thread's timers be up to 50 us late; where it cannot be asked, they are.
    fn new() -> Self {
        let thread = std::fs::read_link("/proc/thread-self");
        if let Some(thread) = thread.ok().as_deref().and_then(Path::file_name) {
            let _ = std::fs::write(Path::new("/proc").join(thread).join("timerslack_ns"), "1");
        }
        Self { oversleeps: Duration::ZERO }
    }

    /// Returns at `time`, or when `condition` is notified.
    fn wait(&mut self, condition: &Condvar, state: &mut MutexGuard<'_, State>, time: Instant) {
        match time.checked_sub(self.oversleeps).filter(|early| *early > Instant::now()) {
            Some(early) => {
                if condition.wait_until(state, early).timed_out() {
                    let late = early.elapsed().min(Self::MOST);
                    self.oversleeps = (7 * self.oversleeps + late) / 8;
                }
            }
            None => MutexGuard::unlocked(state, || {
                while Instant::now() < time {
                    std::hint::spin_loop();
                }
            }),
        }
    }
}

impl State {
    fn check(&self) -> io::Result<()> {
        match self.failed {
            Some(kind) => Err(kind.into()),
            None if self.closed || self.finished => Err(ErrorKind::BrokenPipe.into()),
            None => Ok(()),
        }
    }
}

/// The writing half of a shaped link.
struct Shaped(Arc<Delay>);

impl Write for Shaped {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let Delay { shape, state, pushed, .. } = &*self.0;
        if data.is_empty() {
            return Ok(0);
        }
        let mut state = state.lock();
        let since = Instant::now();
        while state.under_way > 0 && state.under_way >= shape.in_flight() {
            state.check()?;
            self.0.wait(&mut state, since)?;
        }
        state.check()?;
        let count = data.len().min(shape.piece());
        let mut piece = state.free.pop().unwrap_or_default();
        piece.clear();
        piece.extend_from_slice(&data[..count]);
        let now = Instant::now();
        let leaves = state.sent_at.map_or(now, |last| last.max(now)) + shape.seconds(count);
        state.sent_at = Some(leaves);
        state.under_way += count;
        // Whoever waits for a piece waits for the first, which no later one precedes.
        if state.pieces.is_empty() {
            pushed.notify_one();
        }
        state.pieces.push_back((leaves + shape.rtt / 2, piece));
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut state = self.0.state.lock();
        let mut left = state.under_way;
        let mut since = Instant::now();
        while state.under_way > 0 {
            if state.closed {
                return state.check();
            }
            self.0.wait(&mut state, since)?;
            if state.under_way < left {
                (left, since) = (state.under_way, Instant::now());
            }
        }
        Ok(())
    }
}

impl Drop for Shaped {
    /// What is under way is still delivered.
    fn drop(&mut self) {
        self.0.finish_writing();
    }
}

impl Control for Delay {
    fn set_timeouts(&self, read: Option<Duration>, write: Option<Duration>) -> io::Result<()> {
        self.state.lock().write_timeout = write;
        self.inner.set_timeouts(read, write)
    }

    fn finish_writing(&self) {
        self.state.lock().finished = true;
        self.pushed.notify_all();
    }

    fn shutdown(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        state.pieces.clear();
        drop(state);
        self.pushed.notify_all();
        self.popped.notify_all();
        self.inner.shutdown();
    }
}

#[cfg(test)]
mod tests {
    use super::super::memory;
    use super::*;
    use std::io::Read;

    #[test]
    fn names_and_numbers() {
        for name in ["loopback", "lan", "wan", "lan-cheetah", "wan-cheetah", "12.5,3.25"] {
            let shape: LinkShape = name.parse().unwrap();
            assert_eq!(shape.to_string(), name);
            assert_eq!(shape.to_string().parse::<LinkShape>().unwrap(), shape);
        }
        let lan: LinkShape = "lan".parse().unwrap();
        assert_eq!((lan.bytes_per_second, lan.rtt), (377e6, Duration::from_micros(300)));
        for bad in ["", "LAN", "1", "1,2,3", "0,1", "-1,1", "nan,1", "inf,1", "1,-1", "1,1e9"] {
            let error = bad.parse::<LinkShape>().unwrap_err();
            assert!(matches!(error, Error::InvalidInput { .. }), "{bad}");
        }
    }

    #[test]
    fn nothing_arrives_before_its_time() {
        let (a, mut b) = memory::pair();
        let shape = LinkShape::new(10.0, 60.0).unwrap();
        let mut a = shape.apply(a).unwrap();
        let data: Vec<u8> = (0..500_000u32).map(|i| (i % 253) as u8).collect();
        std::thread::scope(|scope| {
            let start = Instant::now();
            scope.spawn(|| {
                a.writer.write_all(&data).unwrap();
                a.writer.flush().unwrap();
                a.control.finish_writing();
            });
            let mut first = [0; 1];
            b.reader.read_exact(&mut first).unwrap();
            assert!(start.elapsed() >= Duration::from_millis(30));
            let mut rest = Vec::new();
            b.reader.read_to_end(&mut rest).unwrap();
            // 30 ms of delay and 50 ms of sending.
            assert!(start.elapsed() >= Duration::from_millis(79));
            assert!(first[0] == data[0] && rest == data[1..]);
        });
    }

    #[test]
    fn a_sender_is_ahead_of_the_wire_by_its_buffer_and_no_more() {
        let (a, mut b) = memory::pair();
        let mut a = LinkShape::new(100.0, 0.0).unwrap().apply(a).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| std::io::copy(&mut b.reader, &mut std::io::sink()).unwrap());
            let start = Instant::now();
            a.writer.write_all(&vec![1; SEND_BUFFER + 5_000_000]).unwrap();
            // Five million bytes have left before the last ones found room.
            assert!(start.elapsed() >= Duration::from_millis(48));
            a.control.shutdown();
        });
    }

    #[test]
    fn a_dropped_end_still_delivers_and_a_closed_one_does_not() {
        let (a, mut b) = memory::pair();
        let mut a = LinkShape::new(1.0, 20.0).unwrap().apply(a).unwrap();
        a.writer.write_all(&[7; 3000]).unwrap();
        drop(a);
        let mut got = Vec::new();
        b.reader.read_to_end(&mut got).unwrap();
        assert_eq!(got, [7; 3000]);
        let (a, mut b) = memory::pair();
        let mut a = LinkShape::new(1.0, 1000.0).unwrap().apply(a).unwrap();
        a.writer.write_all(&[7; 3000]).unwrap();
        a.control.shutdown();
        assert_eq!(b.reader.read(&mut [0; 8]).unwrap(), 0);
        assert!(a.writer.write(&[1]).is_err());
    }

    #[test]
    fn a_stalled_reader_is_noticed() {
        let (a, _b) = memory::pair_with_capacity(16);
        let mut a = LinkShape::new(100.0, 0.0).unwrap().apply(a).unwrap();
        a.control.set_timeouts(None, Some(Duration::from_millis(30))).unwrap();
        let error = a.writer.write_all(&vec![0; 2 * SEND_BUFFER]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TimedOut);
    }
}
