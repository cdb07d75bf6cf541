//! TCP between two machines, or two processes of one.
//!
//! Nagle's algorithm is off: protocol messages are answered, not collected. Plain TCP is neither
//! confidential nor authenticated; semi-honest security presumes a link that is.

use super::{Control, Link};
use crate::{Error, Result};
use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often a listener with a deadline looks for a connection.
const POLL: Duration = Duration::from_millis(5);
/// A refused connection is tried again after this, then twice as long each time.
const FIRST_RETRY: Duration = Duration::from_millis(5);
const LONGEST_RETRY: Duration = Duration::from_millis(250);

/// A listening socket.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
}

/// Listens on `address` (`host:port`; port 0 lets the system choose).
///
/// # Errors
/// [`Error::InvalidInput`] if the address cannot be understood, [`Error::Link`] naming it if the
/// port is in use or not permitted.
pub fn listen(address: &str) -> Result<Listener> {
    let targets = resolve(address)?;
    let failed = |e: io::Error| {
        let reason = match e.kind() {
            ErrorKind::AddrInUse => "the port is in use by another program".to_string(),
            ErrorKind::AddrNotAvailable => "this machine has no such address".to_string(),
            ErrorKind::PermissionDenied => "not permitted".to_string(),
            _ => e.to_string(),
        };
        Error::link(format!("cannot listen on {address}: {reason}"), e)
    };
    let socket = TcpListener::bind(&*targets).map_err(failed)?;
    let address = socket.local_addr().map_err(failed)?;
    Ok(Listener { socket, address })
}

impl Listener {
    /// Where it listens, with the port that the system chose.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Waits for one connection; `None` waits for ever.
    ///
    /// # Errors
    /// [`Error::Link`] if nobody connects before the deadline.
    pub fn accept(&self, deadline: Option<Duration>) -> Result<Link> {
        let failed =
            |e: io::Error| Error::link(format!("cannot accept on {}: {e}", self.address), e);
        self.socket.set_nonblocking(deadline.is_some()).map_err(failed)?;
        let start = Instant::now();
        loop {
            match self.socket.accept() {
                Ok((stream, peer)) => {
                    stream.set_nonblocking(false).map_err(failed)?;
                    return link(stream, peer);
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    let left = deadline.unwrap_or_default().saturating_sub(start.elapsed());
                    if left.is_zero() {
                        return Err(Error::link_closed(format!(
                            "nobody connected to {} within {} s",
                            self.address,
                            deadline.unwrap_or_default().as_secs_f64()
                        )));
                    }
                    std::thread::sleep(POLL.min(left));
                }
                // A connection that was gone before it was accepted is not ours to report.
                Err(e)
                    if matches!(
                        e.kind(),
                        ErrorKind::Interrupted | ErrorKind::ConnectionAborted
                    ) => {}
                Err(e) => return Err(failed(e)),
            }
        }
    }
}

/// Connects to `address` (`host:port`). While nobody listens there it tries again until the
/// deadline, so that the order in which the parties start does not matter.
///
/// # Errors
/// [`Error::InvalidInput`] if the address cannot be understood, [`Error::Link`] naming it if there
/// is no connection before the deadline.
pub fn connect(address: &str, deadline: Duration) -> Result<Link> {
    let targets = resolve(address)?;
    let start = Instant::now();
    let mut pause = FIRST_RETRY;
    loop {
        let mut last = io::Error::from(ErrorKind::TimedOut);
        for target in &targets {
            let left = deadline.saturating_sub(start.elapsed());
            if left.is_zero() {
                break;
            }
            match TcpStream::connect_timeout(target, left) {
                // A client port can by chance be the very port that is tried: no peer there.
                Ok(stream) if stream.local_addr().ok() == Some(*target) => {
                    last = ErrorKind::ConnectionRefused.into();
                }
                Ok(stream) => return link(stream, *target),
                Err(e) => last = e,
            }
        }
        let left = deadline.saturating_sub(start.elapsed());
        let again = matches!(
            last.kind(),
            ErrorKind::ConnectionRefused
                | ErrorKind::ConnectionReset
                | ErrorKind::ConnectionAborted
                | ErrorKind::Interrupted
        );
        if !again || left.is_zero() {
            let seconds = deadline.as_secs_f64();
            let reason = match last.kind() {
                ErrorKind::ConnectionRefused => format!("nobody listens there ({seconds} s)"),
                ErrorKind::TimedOut => format!("no answer within {seconds} s"),
                _ => last.to_string(),
            };
            return Err(Error::link(format!("cannot connect to {address}: {reason}"), last));
        }
        std::thread::sleep(pause.min(left));
        pause = (2 * pause).min(LONGEST_RETRY);
    }
}

fn resolve(address: &str) -> Result<Vec<SocketAddr>> {
    let targets: Vec<_> = match address.to_socket_addrs() {
        Ok(targets) => targets.collect(),
        Err(e) if e.kind() == ErrorKind::InvalidInput => {
            return Err(Error::invalid("address", "host:port", address));
        }
        Err(e) => return Err(Error::link(format!("cannot resolve {address}: {e}"), e)),
    };
    if targets.is_empty() {
        return Err(Error::link_closed(format!("cannot resolve {address}: no address")));
    }
    Ok(targets)
}

/// Makes a link of a connected socket.
fn link(stream: TcpStream, peer: SocketAddr) -> Result<Link> {
    stream
        .set_nodelay(true)
        .map_err(|e| Error::link(format!("cannot set up the connection to {peer}: {e}"), e))?;
    let socket = Arc::new(stream);
    let control = Arc::new(Socket(Arc::clone(&socket)));
    Ok(Link::new(Socket(Arc::clone(&socket)), Socket(socket), control, peer.to_string()))
}

/// One of the owners of a connected socket.
struct Socket(Arc<TcpStream>);

impl Read for Socket {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        (&*self.0).read(out)
    }
    fn read_vectored(&mut self, out: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        (&*self.0).read_vectored(out)
    }
}

impl Write for Socket {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        (&*self.0).write(data)
    }
    fn write_vectored(&mut self, data: &[IoSlice<'_>]) -> io::Result<usize> {
        (&*self.0).write_vectored(data)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Control for Socket {
    fn set_timeouts(&self, read: Option<Duration>, write: Option<Duration>) -> io::Result<()> {
        // The system takes a zero for "for ever".
        let positive = |time: Duration| time.max(Duration::from_millis(1));
        self.0.set_read_timeout(read.map(positive))?;
        self.0.set_write_timeout(write.map(positive))
    }
    fn finish_writing(&self) {
        // Fails only if the connection is gone already.
        let _ = self.0.shutdown(Shutdown::Write);
    }
    fn shutdown(&self) {
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_port_is_named() {
        let first = listen("127.0.0.1:0").unwrap();
        let address = first.local_addr().to_string();
        let error = listen(&address).unwrap_err().to_string();
        assert!(error.contains(&address) && error.contains("in use"), "{error}");
    }

    #[test]
    fn nonsense_addresses_are_refused() {
        assert!(matches!(listen("nonsense"), Err(Error::InvalidInput { .. })));
        assert!(matches!(connect("::", Duration::ZERO), Err(Error::InvalidInput { .. })));
    }

    #[test]
    fn waiting_ends_at_the_deadline() {
        let listener = listen("127.0.0.1:0").unwrap();
        let start = Instant::now();
        let error = listener.accept(Some(Duration::from_millis(50))).unwrap_err();
        assert!(matches!(error, Error::Link { .. }));
        assert!(start.elapsed() >= Duration::from_millis(50));
        let address = listener.local_addr().to_string();
        drop(listener);
        let error = connect(&address, Duration::from_millis(50)).unwrap_err().to_string();
        assert!(error.contains(&address), "{error}");
    }

    #[test]
    fn the_client_may_start_first() {
        // Reserve a port, free it, and listen there again a little later.
        let address = listen("127.0.0.1:0").unwrap().local_addr().to_string();
        std::thread::scope(|scope| {
            let client = scope.spawn(|| connect(&address, Duration::from_secs(10)));
            std::thread::sleep(Duration::from_millis(60));
            let listener = listen(&address).unwrap();
            let mut server = listener.accept(Some(Duration::from_secs(10))).unwrap();
            let mut client = client.join().unwrap().unwrap();
            client.writer.write_all(b"hello").unwrap();
            let mut got = [0; 5];
            server.reader.read_exact(&mut got).unwrap();
            assert_eq!(&got, b"hello");
            assert_eq!(client.peer(), address);
        });
    }
}
