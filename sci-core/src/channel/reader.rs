//! The thread that empties the link into the queues of the streams.

use super::failure::Failure;
use super::frame::Header;
use super::mux::Shared;
use super::pool::Frame;
use super::{HEADER_BYTES, link};
use crate::{Error, Result};
use std::io::{self, IoSliceMut, Read};

const BUFFER: usize = 64 << 10;

pub(super) fn run(shared: &Shared, reader: Box<dyn Read + Send>) {
    let mut source = Source { reader, buffer: vec![0; BUFFER], start: 0, end: 0 };
    loop {
        match next_frame(shared, &mut source) {
            Ok(Some((header, frame))) => {
                let mut incoming = shared.incoming.lock();
                if let Some(queue) = incoming.queues.get_mut(usize::from(header.stream)) {
                    queue.push_back((header.depth, frame));
                }
                shared.arrived[usize::from(header.stream)].notify_one();
            }
            Ok(None) => return,
            Err(error) => {
                shared.link_failed(Failure::of(&error));
                return;
            }
        }
    }
}

/// The next frame, its memory already charged to the incoming queues; `None` once the link has
/// failed for another reason.
fn next_frame(shared: &Shared, source: &mut Source) -> Result<Option<(Header, Frame)>> {
    let mut header = [0; HEADER_BYTES];
    let mut have = 0;
    while have < HEADER_BYTES {
        let buffered = source.buffered();
        let n = buffered.len().min(HEADER_BYTES - have);
        header[have..have + n].copy_from_slice(&buffered[..n]);
        source.start += n;
        have += n;
        if have < HEADER_BYTES && source.fill(shared, &mut [])? == 0 {
            let closed = format!("{} closed the connection", shared.peer());
            let middle = if have == 0 { "" } else { " in the middle of a frame header" };
            return Err(Error::link_closed(closed + middle));
        }
    }
    let header = Header::decode(&header, shared.arrived.len())?;
    if !make_room(shared, header.len) {
        return Ok(None);
    }
    let mut partial = shared.pool.take_untrusted(header.len);
    while partial.missing() > 0 {
        let space = partial.space();
        let buffered = source.buffered();
        let n = if buffered.is_empty() {
            let n = source.fill(shared, space)?;
            if n == 0 {
                return Err(Error::link_closed(format!(
                    "{} closed the connection in the middle of a frame",
                    shared.peer()
                )));
            }
            // What goes beyond the frame is in the buffer.
            n.min(space.len())
        } else {
            let n = buffered.len().min(space.len());
            space[..n].copy_from_slice(&buffered[..n]);
            source.start += n;
            n
        };
        partial.advance(n);
    }
    Ok(Some((header, partial.finish())))
}

/// Waits until the queues have room for `len` more bytes, and takes it.
fn make_room(shared: &Shared, len: usize) -> bool {
    let charge = Shared::charge(len);
    let mut incoming = shared.incoming.lock();
    while incoming.bytes > 0 && incoming.bytes.saturating_add(charge) > shared.limits.incoming_bytes
    {
        if shared.failure().is_some() {
            return false;
        }
        shared.consumed.wait(&mut incoming);
    }
    incoming.bytes += charge;
    shared.failure().is_none()
}

/// The link with a small buffer, so that short frames do not cost two system calls each.
struct Source {
    reader: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Source {
    fn buffered(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// One read into `target` and, beyond its end, into the empty buffer. Returns the bytes read,
    /// 0 at the end of the stream.
    fn fill(&mut self, shared: &Shared, target: &mut [u8]) -> Result<usize> {
        debug_assert_eq!(self.start, self.end);
        (self.start, self.end) = (0, 0);
        let direct = target.len();
        loop {
            let result = if direct == 0 {
                self.reader.read(&mut self.buffer)
            } else {
                let mut slices = [IoSliceMut::new(target), IoSliceMut::new(&mut self.buffer)];
                self.reader.read_vectored(&mut slices)
            };
            match result {
                Ok(n) => {
                    self.end = n.saturating_sub(direct).min(BUFFER);
                    if n > 0 {
                        shared.reading.moved(n);
                    }
                    return Ok(n);
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => {
                    let cause = link::cause(&e);
                    let what = format!("cannot read from {}: {cause}", shared.peer());
                    return Err(Error::link(what, e));
                }
            }
        }
    }
}
