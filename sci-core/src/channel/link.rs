//! One byte pipe between the two parties, whatever it is made of.

use std::fmt;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::Duration;

/// What can be done to a link while its two halves are in use by other threads.
pub trait Control: Send + Sync {
    /// How long one read and one write may take without moving a byte; `None` is for ever. A wait
    /// beyond it ends with [`io::ErrorKind::WouldBlock`] or [`io::ErrorKind::TimedOut`].
    ///
    /// # Errors
    /// Those of the operating system.
    fn set_timeouts(&self, read: Option<Duration>, write: Option<Duration>) -> io::Result<()>;

    /// No more is going to be written: the peer reads what is under way and then the end.
    fn finish_writing(&self);

    /// Closes both directions at once and wakes whoever waits in a read or a write.
    fn shutdown(&self);
}

/// A byte pipe in both directions: a reading half, a writing half and the control over both.
///
/// Dropping the halves closes them. `flush` of the writing half returns once everything has been
/// handed to the transport.
pub struct Link {
    pub(crate) reader: Box<dyn Read + Send>,
    pub(crate) writer: Box<dyn Write + Send>,
    pub(crate) control: Arc<dyn Control>,
    pub(crate) peer: String,
}

impl Link {
    /// Joins the parts of a transport; `peer` names the other end in error messages.
    pub fn new(
        reader: impl Read + Send + 'static,
        writer: impl Write + Send + 'static,
        control: Arc<dyn Control>,
        peer: impl Into<String>,
    ) -> Self {
        Self { reader: Box::new(reader), writer: Box::new(writer), control, peer: peer.into() }
    }

    /// The name of the other end.
    pub fn peer(&self) -> &str {
        &self.peer
    }

    /// The parts, for a transport that wraps another.
    #[allow(clippy::type_complexity)]
    pub fn into_parts(
        self,
    ) -> (Box<dyn Read + Send>, Box<dyn Write + Send>, Arc<dyn Control>, String) {
        (self.reader, self.writer, self.control, self.peer)
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Link({})", self.peer)
    }
}

/// What happened, in words: that the other side is gone has several names.
pub(crate) fn cause(error: &io::Error) -> String {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    match error.kind() {
        ConnectionReset | ConnectionAborted | BrokenPipe => {
            format!("it closed the connection ({error})")
        }
        _ => error.to_string(),
    }
}

/// Whether an error of a read or write means that its time was up.
pub(crate) fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
