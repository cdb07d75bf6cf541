//! A link within one process that behaves like TCP: bounded, blocking, with partial reads and
//! writes, deadlines and an end.

use super::{Control, Link};
use parking_lot::{Condvar, Mutex};
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Bytes that one direction of [`pair`] holds.
pub const CAPACITY: usize = 1 << 20;

/// Two connected links.
pub fn pair() -> (Link, Link) {
    pair_with_capacity(CAPACITY)
}

/// Two connected links that hold at most `capacity` bytes (at least one) in each direction.
pub fn pair_with_capacity(capacity: usize) -> (Link, Link) {
    let there = Pipe::new(capacity);
    let back = Pipe::new(capacity);
    let end = |incoming: &Arc<Pipe>, outgoing: &Arc<Pipe>, peer: &str| {
        let control = Ends { incoming: Arc::clone(incoming), outgoing: Arc::clone(outgoing) };
        let reader = Incoming(Arc::clone(incoming));
        let writer = Outgoing(Arc::clone(outgoing));
        Link::new(reader, writer, Arc::new(control), peer)
    };
    (end(&back, &there, "the client in memory"), end(&there, &back, "the server in memory"))
}

/// One direction: a ring buffer between one writer and one reader.
struct Pipe {
    state: Mutex<State>,
    readable: Condvar,
    writable: Condvar,
}

struct State {
    ring: Vec<u8>,
    start: usize,
    len: usize,
    /// The writer has gone: the reader gets what is left, then the end.
    finished: bool,
    /// The reader has gone: writes fail.
    abandoned: bool,
    read_timeout: Option<Duration>,
    write_timeout: Option<Duration>,
}

impl Pipe {
    fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                ring: vec![0; capacity.max(1)],
                start: 0,
                len: 0,
                finished: false,
                abandoned: false,
                read_timeout: None,
                write_timeout: None,
            }),
            readable: Condvar::new(),
            writable: Condvar::new(),
        })
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock());
        self.readable.notify_all();
        self.writable.notify_all();
    }
}

impl State {
    fn put(&mut self, data: &[u8]) -> usize {
        let count = data.len().min(self.ring.len() - self.len);
        let at = (self.start + self.len) % self.ring.len();
        let first = count.min(self.ring.len() - at);
        self.ring[at..at + first].copy_from_slice(&data[..first]);
        self.ring[..count - first].copy_from_slice(&data[first..count]);
        self.len += count;
        count
    }

    fn take(&mut self, out: &mut [u8]) -> usize {
        let count = out.len().min(self.len);
        let first = count.min(self.ring.len() - self.start);
        out[..first].copy_from_slice(&self.ring[self.start..self.start + first]);
        out[first..count].copy_from_slice(&self.ring[..count - first]);
        self.start = (self.start + count) % self.ring.len();
        self.len -= count;
        count
    }
}

struct Incoming(Arc<Pipe>);

impl Read for Incoming {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        let mut state = self.0.state.lock();
        let start = Instant::now();
        loop {
            if state.abandoned {
                return Ok(0);
            }
            if state.len > 0 {
                let count = state.take(out);
                self.0.writable.notify_one();
                return Ok(count);
            }
            if state.finished {
                return Ok(0);
            }
            let timeout = state.read_timeout;
            wait(&self.0.readable, &mut state, start, timeout)?;
        }
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        self.0.change(|state| state.abandoned = true);
    }
}

struct Outgoing(Arc<Pipe>);

impl Write for Outgoing {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(data)])
    }

    fn write_vectored(&mut self, data: &[IoSlice<'_>]) -> io::Result<usize> {
        if data.iter().all(|slice| slice.is_empty()) {
            return Ok(0);
        }
        let mut state = self.0.state.lock();
        let start = Instant::now();
        loop {
            if state.abandoned || state.finished {
                return Err(ErrorKind::BrokenPipe.into());
            }
            if state.len < state.ring.len() {
                let count = data.iter().map(|slice| state.put(slice)).sum();
                self.0.readable.notify_one();
                return Ok(count);
            }
            let timeout = state.write_timeout;
            wait(&self.0.writable, &mut state, start, timeout)?;
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        self.0.change(|state| state.finished = true);
    }
}

fn wait(
    condition: &Condvar,
    state: &mut parking_lot::MutexGuard<'_, State>,
    start: Instant,
    timeout: Option<Duration>,
) -> io::Result<()> {
    match timeout {
        None => condition.wait(state),
        Some(timeout) => {
            if start.elapsed() >= timeout {
                return Err(ErrorKind::TimedOut.into());
            }
            condition.wait_until(state, start + timeout);
        }
    }
    Ok(())
}

struct Ends {
    incoming: Arc<Pipe>,
    outgoing: Arc<Pipe>,
}

impl Control for Ends {
    fn set_timeouts(&self, read: Option<Duration>, write: Option<Duration>) -> io::Result<()> {
        self.incoming.change(|state| state.read_timeout = read);
        self.outgoing.change(|state| state.write_timeout = write);
        Ok(())
    }
    fn finish_writing(&self) {
        self.outgoing.change(|state| state.finished = true);
    }
    fn shutdown(&self) {
        self.outgoing.change(|state| state.finished = true);
        self.incoming.change(|state| state.abandoned = true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_arrive_in_order_through_a_small_ring() {
        let (mut a, mut b) = pair_with_capacity(7);
        let data: Vec<u8> = (0..10_000u32).map(|i| (i % 251) as u8).collect();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                a.writer.write_all(&data).unwrap();
                a.control.finish_writing();
            });
            let mut got = Vec::new();
            b.reader.read_to_end(&mut got).unwrap();
            assert!(got == data);
        });
    }

    #[test]
    fn ends_and_deadlines() {
        let (mut a, mut b) = pair_with_capacity(4);
        a.control
            .set_timeouts(Some(Duration::from_millis(20)), Some(Duration::from_millis(20)))
            .unwrap();
        assert_eq!(a.reader.read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::TimedOut);
        assert_eq!(a.writer.write(&[1; 9]).unwrap(), 4);
        assert_eq!(a.writer.write(&[1; 9]).unwrap_err().kind(), ErrorKind::TimedOut);
        a.control.shutdown();
        let mut rest = Vec::new();
        assert_eq!(b.reader.read_to_end(&mut rest).unwrap(), 4);
        assert_eq!(b.writer.write(&[1]).unwrap_err().kind(), ErrorKind::BrokenPipe);
        let (mut c, d) = pair();
        drop(d);
        assert_eq!(c.reader.read(&mut [0; 1]).unwrap(), 0);
        assert!(c.writer.write(&[0]).is_err());
    }
}
