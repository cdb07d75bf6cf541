//! What tests of two-party protocols need: both parties in one process, shares of known values, and
//! links that fail on purpose. Not for production: the functions here panic where a test would.

use crate::channel::{Control, Link, memory};
use crate::session::{PublicOffer, Session, SessionOptions};
use crate::{Bits, Domain, Prg};
use std::io::{self, Write};
use std::panic::resume_unwind;
use std::time::Duration;

mod values;

pub use values::{Shared, edges, edges_and_random};

/// The default options but for the timeout: how fast a loaded machine computes is not to decide a test.
pub fn patient() -> SessionOptions {
    SessionOptions { timeout: Duration::from_secs(600), ..SessionOptions::default() }
}

/// Runs both parties over a link in memory with [`patient`] options, each on a thread of its own, and
/// returns their results.
///
/// # Panics
/// With the panic of a closure, or if the handshake fails.
pub fn run_pair<A: Send, B: Send>(
    server: impl FnOnce(Session) -> A + Send,
    client: impl FnOnce(Session) -> B + Send,
) -> (A, B) {
    run_pair_with(patient(), server, client)
}

/// [`run_pair`] with other options.
///
/// # Panics
/// As [`run_pair`].
pub fn run_pair_with<A: Send, B: Send>(
    options: SessionOptions,
    server: impl FnOnce(Session) -> A + Send,
    client: impl FnOnce(Session) -> B + Send,
) -> (A, B) {
    run_pair_over(memory::pair(), options, server, client)
}

/// [`run_pair`] over the given ends of a link: the server's, then the client's.
///
/// # Panics
/// As [`run_pair`].
pub fn run_pair_over<A: Send, B: Send>(
    (server_end, client_end): (Link, Link),
    options: SessionOptions,
    server: impl FnOnce(Session) -> A + Send,
    client: impl FnOnce(Session) -> B + Send,
) -> (A, B) {
    let offer = PublicOffer::default();
    std::thread::scope(|scope| {
        let server = scope.spawn(|| match Session::serve(server_end, options, &offer) {
            Ok(session) => server(session),
            Err(e) => panic!("the server's handshake failed: {e}"),
        });
        let client =
            scope.spawn(|| match Session::join(client_end, options, Vec::new(), 0, |_| Ok(())) {
                Ok((session, _)) => client(session),
                Err(e) => panic!("the client's handshake failed: {e}"),
            });
        match (server.join(), client.join()) {
            (Ok(a), Ok(b)) => (a, b),
            // The panic of one party closes the link, and the other may panic for that alone.
            (Err(first), Err(second)) => {
                resume_unwind(if mentions_link(&*first) { second } else { first })
            }
            (Err(panic), _) | (_, Err(panic)) => resume_unwind(panic),
        }
    })
}

fn mentions_link(panic: &(dyn std::any::Any + Send)) -> bool {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.is_some_and(|text| {
        ["closed the connection", "Link {", "poisoned"].iter().any(|word| text.contains(word))
    })
}

/// Random additive shares of `values`: x = x_0 + x_1 in the domain.
pub fn share_arithmetic<D: Domain>(
    domain: D,
    values: &[u64],
    prg: &mut Prg,
) -> (Vec<u64>, Vec<u64>) {
    let mut first = vec![0; values.len()];
    domain.sample_into(prg, &mut first);
    let mut second = values.to_vec();
    domain.sub_assign(&mut second, &first);
    (first, second)
}

/// The values of additive shares.
///
/// # Panics
/// If the lengths differ.
pub fn reveal<D: Domain>(domain: D, first: &[u64], second: &[u64]) -> Vec<u64> {
    assert_eq!(first.len(), second.len(), "lengths of two shares");
    first.iter().zip(second).map(|(&a, &b)| domain.add(a, b)).collect()
}

/// Random XOR shares of `bits`.
pub fn share_bits(bits: &Bits, prg: &mut Prg) -> (Bits, Bits) {
    let first = Bits::sample(bits.len(), prg);
    let mut second = bits.clone();
    second.xor_assign(&first);
    (first, second)
}

/// The bits of XOR shares.
///
/// # Panics
/// If the lengths differ.
pub fn reveal_bits(first: &Bits, second: &Bits) -> Bits {
    let mut bits = first.clone();
    bits.xor_assign(second);
    bits
}

/// What goes wrong on a link, counted in bytes sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The connection is closed after so many bytes.
    Cut(u64),
    /// The byte at this position arrives inverted.
    Flip(u64),
    /// After so many bytes nothing arrives any more, while the connection stays open.
    Stall(u64),
}

/// A link that fails in one way, on its outgoing side.
pub fn faulty(link: Link, fault: Fault) -> Link {
    let (reader, writer, control, peer) = link.into_parts();
    let failing = Failing { writer, control: control.clone(), fault, sent: 0 };
    Link::new(reader, failing, control, peer)
}

struct Failing {
    writer: Box<dyn Write + Send>,
    control: std::sync::Arc<dyn Control>,
    fault: Fault,
    sent: u64,
}

impl Write for Failing {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let (Fault::Cut(at) | Fault::Flip(at) | Fault::Stall(at)) = self.fault;
        let before = usize::try_from(at.saturating_sub(self.sent)).unwrap_or(usize::MAX);
        let count = if before > 0 {
            self.writer.write(&data[..data.len().min(before)])?
        } else {
            match self.fault {
                Fault::Cut(_) => {
                    self.control.shutdown();
                    return Err(io::ErrorKind::BrokenPipe.into());
                }
                Fault::Stall(_) => data.len(),
                Fault::Flip(_) if self.sent > at => self.writer.write(data)?,
                Fault::Flip(_) => {
                    self.writer.write_all(&[!data[0]])?;
                    1
                }
            }
        };
        self.sent += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}
