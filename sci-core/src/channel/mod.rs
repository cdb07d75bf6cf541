//! How bytes travel between the two parties.
//!
//! A [`Link`] is one byte pipe in both directions: [`tcp`], [`memory`], either of them [`shaped`]
//! to the bandwidth and delay of a network. Over one link several [`Stream`]s are multiplexed, each
//! an ordered, full-duplex conversation in frames, so that independent chunks of a layer (lanes)
//! overlap: while one lane waits for the peer, another computes.
//!
//! # Frames
//! A frame is a header of [`HEADER_BYTES`] bytes, little-endian (payload length `u32`, stream `u16`,
//! depth `u32`, kind `u16`), and 1 to [`MAX_FRAME`] bytes of payload. The receiver states the length
//! it expects, which follows from the public program; any other length is an error. An empty
//! payload does not travel at all.
//!
//! # No deadlock
//! A writer thread empties a bounded queue into the link, a reader thread empties the link into one
//! queue per stream. A send waits only while the outgoing queue is full, and the reader reads on
//! whether or not anybody is receiving, up to [`Limits::incoming_bytes`]: two parties that both send
//! a flight below that bound before they receive always get through, whatever the socket buffers.
//!
//! # Rounds
//! Each stream knows its depth d, the longest chain of flights that led to its state. A frame carries
//! d + 1; receiving a frame of depth f sets d to the greatest of d, f and the depth of our own latest
//! frame. So messages that cross, or several in a row in one direction, are one round, and what
//! follows an exchange is the next: the count of the papers. Both parties count the same, because a
//! frame counts for its sender and for its receiver. A peer that claims more than one above what we
//! know of the chain is misbehaving.
//!
//! # Failure
//! Every wait has a deadline: it fails once the link has stood still for the session's timeout, a receive if nothing
//! moves, a send if the peer takes nothing. A wait that begins, on any stream, and a frame that is received are
//! progress. Bytes, on any stream, are as much progress as they take at [`MINIMUM_RATE`], so that a
//! trickle is none: below that rate a wait ends after a little more than the timeout, and a fast start is no excuse
//! for what follows. On closing, what was sent has the same deadline to be taken. After an error the link is
//! closed, all streams report it once, and every later use is [`crate::Error::Misuse`]. The memory
//! of an incoming frame grows with the bytes that have arrived, never with the length that was
//! announced.

mod failure;
mod frame;
pub mod lanes;
mod link;
pub mod memory;
mod mux;
mod permits;
mod pool;
mod progress;
mod reader;
pub mod shaped;
mod stream;
pub mod tcp;
mod writer;

pub use frame::{HEADER_BYTES, MAX_FRAME};
pub use link::{Control, Link};
pub(crate) use link::{cause, is_timeout};
pub use mux::{Limits, Traffic};
pub(crate) use mux::{Mux, Shared};
pub use permits::{Permit, Permits};
pub use pool::Frame;
pub use progress::MINIMUM_RATE;
pub(crate) use progress::slowest;
pub use stream::{Fork, Stream, SuspendedDepth};

#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod tests;
