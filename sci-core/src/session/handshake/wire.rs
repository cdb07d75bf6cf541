//! The bytes of the handshake: a fixed hello, then short messages of bounded length.

use crate::channel::{Link, slowest};
use crate::session::Party;
use crate::{Error, Result};
use serde::{Serialize, de::DeserializeOwned};
use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

/// What every implementation of this protocol says first.
const MAGIC: [u8; 8] = *b"SCI2PC\r\n";

/// The longest message beside the public program.
const MAX_MESSAGE: usize = 128 << 10;

/// How long and how much we listen on after an error, so that the peer gets to read its cause.
const LINGER: Duration = Duration::from_millis(500);
const LINGER_BYTES: usize = 256 << 10;

/// A pipe in the middle of a handshake.
pub(super) struct Wire {
    link: Link,
    timeout: Duration,
    /// When everything must have moved, whatever else it is allowed.
    limit: Option<Instant>,
    sent: u64,
    received: u64,
    start: Instant,
}

/// The first thing a party says. Version and role come before what a later version may change.
#[derive(Clone, Copy)]
pub(super) struct Hello {
    version: u32,
    role: Party,
    nonce: [u8; 32],
}

impl Hello {
    pub(super) fn server(version: u32) -> Result<Self> {
        Self::new(version, Party::Server)
    }

    pub(super) fn client(version: u32) -> Result<Self> {
        Self::new(version, Party::Client)
    }

    fn new(version: u32, role: Party) -> Result<Self> {
        let mut nonce = [0; 32];
        getrandom::fill(&mut nonce)
            .map_err(|e| Error::resource(format!("the system gives no randomness: {e}")))?;
        Ok(Self { version, role, nonce })
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.extend(self.version.to_le_bytes());
        out.push(self.role.index() as u8);
        out.extend(self.nonce);
        out
    }
}

impl Wire {
    pub(super) fn new(link: Link, timeout: Duration) -> Self {
        Self { link, timeout, limit: None, sent: 0, received: 0, start: Instant::now() }
    }

    pub(super) fn into_parts(self) -> (Link, u64, u64, Instant) {
        (self.link, self.sent, self.received, self.start)
    }

    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(super) fn peer(&self) -> &str {
        self.link.peer()
    }

    /// What is sent and received as a blob from now on must have moved at that time.
    pub(super) fn limit(&mut self, limit: Option<Instant>) {
        self.limit = limit;
    }

    /// Exchanges the hellos; returns our nonce and the peer's.
    pub(super) fn hello(&mut self, ours: Hello) -> Result<([u8; 32], [u8; 32])> {
        self.write("hello", &ours.encode())?;
        let deadline = Instant::now() + self.timeout;
        let mut magic = [0; 8];
        self.read("handshake magic", &mut magic, deadline)?;
        if magic != MAGIC {
            return Err(Error::misbehaved(
                "handshake magic",
                MAGIC.escape_ascii(),
                magic.escape_ascii(),
            ));
        }
        let mut version = [0; 4];
        self.read("protocol version", &mut version, deadline)?;
        let version = u32::from_le_bytes(version);
        if version != ours.version {
            return Err(Error::incompatible("protocol version", ours.version, version));
        }
        let mut role = [0; 1];
        self.read("role", &mut role, deadline)?;
        if usize::from(role[0]) != ours.role.peer().index() {
            return Err(match role[0] {
                0 | 1 => Error::incompatible("role", ours.role, ours.role),
                other => Error::misbehaved("role", "0 or 1", other),
            });
        }
        let mut nonce = [0; 32];
        self.read("nonce", &mut nonce, deadline)?;
        Ok((ours.nonce, nonce))
    }

    pub(super) fn send<T: Serialize>(&mut self, what: &str, message: &T) -> Result<()> {
        let body = encode(message)?;
        if body.len() > MAX_MESSAGE {
            return Err(Error::misuse(format!("a handshake message of {} bytes", body.len())));
        }
        let mut bytes = (body.len() as u32).to_le_bytes().to_vec();
        bytes.extend(body);
        self.write(what, &bytes)
    }

    pub(super) fn receive<T: DeserializeOwned>(&mut self, what: &str) -> Result<T> {
        let deadline = Instant::now() + self.timeout;
        let mut len = [0; 4];
        self.read(what, &mut len, deadline)?;
        let len = u32::from_le_bytes(len) as usize;
        if len > MAX_MESSAGE {
            return Err(Error::misbehaved(
                format!("length of the {what}"),
                format_args!("at most {MAX_MESSAGE} bytes"),
                len,
            ));
        }
        let mut body = vec![0; len];
        self.read(what, &mut body, deadline)?;
        match postcard::take_from_bytes(&body) {
            Ok((message, [])) => Ok(message),
            Ok((_, rest)) => Err(Error::misbehaved(
                what.to_string(),
                "nothing more",
                format_args!("{} bytes", rest.len()),
            )),
            Err(e) => Err(Error::misbehaved(what.to_string(), "a message of this protocol", e)),
        }
    }

    /// Receives `len` bytes, which the caller has checked against its limit; memory grows as they
    /// arrive.
    pub(super) fn receive_blob(&mut self, what: &str, len: usize) -> Result<Vec<u8>> {
        let deadline = self.deadline(len);
        let mut blob = Vec::new();
        while blob.len() < len {
            let have = blob.len();
            let step = (len - have).min(have.max(64 << 10));
            blob.resize(have + step, 0);
            self.read(what, &mut blob[have..], deadline)?;
        }
        Ok(blob)
    }

    pub(super) fn write(&mut self, what: &str, bytes: &[u8]) -> Result<()> {
        let deadline = self.deadline(bytes.len());
        let mut rest = bytes;
        while !rest.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            let result = if left.is_zero() {
                Err(io::ErrorKind::TimedOut.into())
            } else {
                self.link
                    .control
                    .set_timeouts(Some(self.timeout), Some(left))
                    .and_then(|()| self.link.writer.write(rest))
            };
            match result {
                Ok(n) if n > 0 => {
                    rest = rest.get(n..).unwrap_or_default();
                    self.sent += n as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                failed => {
                    let error = failed.err().unwrap_or_else(|| io::ErrorKind::WriteZero.into());
                    let peer = self.link.peer();
                    let reason = if crate::channel::is_timeout(&error) {
                        format!("not taken within {} s", self.timeout.as_secs_f64())
                    } else {
                        crate::channel::cause(&error)
                    };
                    return Err(Error::link(
                        format!("handshake: sending the {what} to {peer}: {reason}"),
                        error,
                    ));
                }
            }
        }
        Ok(())
    }

    /// When `len` bytes must have moved: a slow link may take longer for more.
    fn deadline(&self, len: usize) -> Instant {
        let deadline = Instant::now() + self.timeout + slowest(len);
        self.limit.map_or(deadline, |limit| limit.min(deadline))
    }

    fn read(&mut self, what: &str, out: &mut [u8], deadline: Instant) -> Result<()> {
        let peer = self.link.peer().to_string();
        let mut have = 0;
        while have < out.len() {
            let left = deadline.saturating_duration_since(Instant::now());
            let result = if left.is_zero() {
                Err(io::ErrorKind::TimedOut.into())
            } else {
                self.link
                    .control
                    .set_timeouts(Some(left), Some(self.timeout))
                    .and_then(|()| self.link.reader.read(&mut out[have..]))
            };
            match result {
                Ok(0) => {
                    return Err(Error::link_closed(format!(
                        "handshake: {what}: {peer} closed the connection"
                    )));
                }
                Ok(n) => {
                    have += n;
                    self.received += n as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if crate::channel::is_timeout(&e) => {
                    let seconds = self.timeout.as_secs_f64();
                    return Err(Error::link(
                        format!("handshake: {what}: not received from {peer} within {seconds} s"),
                        e,
                    ));
                }
                Err(e) => {
                    let cause = crate::channel::cause(&e);
                    return Err(Error::link(format!("handshake: {what}: {peer}: {cause}"), e));
                }
            }
        }
        Ok(())
    }

    /// Ends a handshake that failed. Closing at once could destroy what the peer has not read yet
    /// and with it the cause; so we say that no more comes and listen on for a moment.
    pub(super) fn abandon(mut self, error: Error) -> Error {
        if !matches!(error, Error::Link { .. }) {
            let _ = self.link.writer.flush();
            self.link.control.finish_writing();
            let deadline = Instant::now() + LINGER.min(self.timeout);
            let mut waste = [0; 4096];
            let mut left = LINGER_BYTES;
            while left > 0 {
                let time = deadline.saturating_duration_since(Instant::now());
                if time.is_zero() || self.link.control.set_timeouts(Some(time), None).is_err() {
                    break;
                }
                match self.link.reader.read(&mut waste) {
                    Ok(n) if n > 0 => left = left.saturating_sub(n),
                    _ => break,
                }
            }
        }
        self.link.control.shutdown();
        error
    }
}

pub(super) fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>> {
    postcard::to_allocvec(message).map_err(|e| Error::misuse(format!("cannot encode: {e}")))
}

/// Text from the peer as it may be shown: short, on one line, without control characters.
pub(super) fn printable(text: &str) -> String {
    const LONGEST: usize = 200;
    let safe = |c: char| if c.is_control() { ' ' } else { c };
    let mut out: String = text.chars().take(LONGEST).map(safe).collect();
    if text.chars().nth(LONGEST).is_some() {
        out.push_str("...");
    }
    out
}
