//! The thread that empties the outgoing queue into the link.

use super::failure::Failure;
use super::mux::Shared;
use super::pool::Frame;
use super::{HEADER_BYTES, link};
use std::io::{self, IoSlice, Write};

/// At most so many frames and bytes (but at least one frame) go into one vectored write.
const BATCH_FRAMES: usize = 32;
const BATCH_BYTES: usize = 1 << 20;
/// What a flush may have to push out: the buffer of a shaped link. Sockets are empty at once.
const HELD_BACK: usize = 4 << 20;

pub(super) fn run(shared: &Shared, mut writer: Box<dyn Write + Send>) {
    let mut batch: Vec<([u8; HEADER_BYTES], Frame)> = Vec::with_capacity(BATCH_FRAMES);
    while let Some(charge) = next_batch(shared, &mut batch) {
        if let Err(error) = write_batch(shared, &mut writer, &batch) {
            fail(shared, &error);
            return;
        }
        batch.clear();
        let mut outgoing = shared.outgoing.lock();
        outgoing.bytes = outgoing.bytes.saturating_sub(charge);
        shared.written.notify_all();
    }
    if shared.failure().is_none() {
        shared.writing.allow(HELD_BACK);
        if let Err(error) = writer.flush() {
            fail(shared, &error);
            return;
        }
        shared.finish_writing();
    }
}

/// Waits for frames and takes some of them; `None` once the link is closing or has failed.
fn next_batch(shared: &Shared, batch: &mut Vec<([u8; HEADER_BYTES], Frame)>) -> Option<usize> {
    let mut outgoing = shared.outgoing.lock();
    loop {
        if shared.failure().is_some() {
            return None;
        }
        if !outgoing.queue.is_empty() {
            break;
        }
        if outgoing.closing {
            return None;
        }
        shared.to_write.wait(&mut outgoing);
    }
    let mut charge = 0;
    while batch.len() < BATCH_FRAMES && charge < BATCH_BYTES {
        let Some((header, frame)) = outgoing.queue.pop_front() else {
            break;
        };
        charge += Shared::charge(header.len);
        batch.push((header.encode(), frame));
    }
    Some(charge)
}

fn write_batch(
    shared: &Shared,
    writer: &mut dyn Write,
    batch: &[([u8; HEADER_BYTES], Frame)],
) -> io::Result<()> {
    let mut slices = [IoSlice::new(&[]); 2 * BATCH_FRAMES];
    let mut count = 0;
    for (pair, (header, frame)) in slices.chunks_exact_mut(2).zip(batch) {
        pair[0] = IoSlice::new(header);
        pair[1] = IoSlice::new(frame);
        count += 2;
    }
    let mut rest = &mut slices[..count];
    while !rest.is_empty() {
        match writer.write_vectored(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => {
                shared.writing.moved(n);
                IoSlice::advance_slices(&mut rest, n);
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

fn fail(shared: &Shared, error: &io::Error) {
    let what = if link::is_timeout(error) {
        format!("{} has taken no byte for {} s", shared.peer(), shared.timeout.as_secs_f64())
    } else {
        format!("cannot send to {}: {}", shared.peer(), link::cause(error))
    };
    shared.link_failed(Failure::Link { what: what.into(), kind: Some(error.kind()) });
}
