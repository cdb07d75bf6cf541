//! How two parties find out that they mean the same thing.
//!
//! 1. Both send a hello at once: magic, protocol version, role, nonce (32 bytes). Garbage is told
//!    from another version, and another version is an error on both sides.
//! 2. The client sends its requirements, a list of names and values, and the longest public program
//!    that it takes. A parameter of the server that differs is answered with its name and value, and
//!    both sides end with [`Error::PeerIncompatible`].
//! 3. A server that has to know the link first ([`Session::serve_probed`](super::Session::serve_probed)) measures it:
//!    exchanges of zeros, of which the client bounds the number and the bytes.
//! 4. The server sends its parameters, the length and the SHA-256 digest of the public program, then
//!    the program, which is opaque here. The client checks the length against its limit once more
//!    before anything is allocated, then the digest.
//! 5. The client asks its caller, and accepts with the session id, which binds all of the above, or
//!    refuses with a reason. The server compares the id with its own.
//!
//! Until then nothing secret has moved. All lists and lengths are bounded, each message must arrive
//! within the deadline, and text from the peer is stripped of control characters before anybody
//! prints it. There is no authentication here: it is the transport's duty.

mod probe;
mod wire;

use crate::channel::Link;
use crate::session::{LANES_TAKEN, MAX_LANES, SessionOptions, Totals};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::time::{Duration, Instant};
use wire::{Hello, Wire};

/// The version of the handshake, of the frames after it, and of what protocols send in them.
pub const PROTOCOL_VERSION: u32 = 7;

/// The most parameters or requirements.
pub const MAX_FIELDS: usize = 64;
/// The longest name of a parameter, in bytes.
pub const MAX_NAME: usize = 64;
/// The longest value of a parameter, in bytes.
pub const MAX_VALUE: usize = 1024;

const LANES: &str = "lanes";

/// Names and values of public parameters.
type Fields = Vec<(String, String)>;

/// What a server makes public: parameters, compared with the client's requirements as text, and the
/// public program, opaque here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PublicOffer {
    /// Names and values. `lanes` is added by the session.
    pub parameters: Vec<(String, String)>,
    /// The public program.
    pub blob: Vec<u8>,
}

/// What a server found out about the link to a client. Only as true as the client's answers were prompt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// There and back.
    pub rtt: Duration,
    /// Bytes per second from the server to the client.
    pub to_client: f64,
    /// Bytes per second from the client to the server.
    pub to_server: f64,
}

/// What a client was offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The server's parameters, `lanes` among them.
    pub parameters: Vec<(String, String)>,
    /// The public program.
    pub blob: Vec<u8>,
    /// Its SHA-256 digest, checked.
    pub digest: [u8; 32],
}

impl Offer {
    /// The value of a parameter.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        value_of(&self.parameters, name)
    }
}

/// The result of the handshake.
pub(super) struct Agreed {
    pub(super) link: Link,
    pub(super) id: [u8; 32],
    pub(super) digest: [u8; 32],
    pub(super) lanes: usize,
    pub(super) totals: Totals,
}

/// What a client asks for.
#[derive(Debug, Serialize, Deserialize)]
struct Request {
    requirements: Fields,
    max_blob: u64,
}

/// Why a party does not go on.
#[derive(Debug, Serialize, Deserialize)]
struct Refusal {
    field: String,
    server: String,
    client: String,
}

#[derive(Debug, Serialize, Deserialize)]
enum Answer {
    Refused(Refusal),
    Offered {
        parameters: Fields,
        blob_len: u64,
        digest: [u8; 32],
    },
    /// Take `down` bytes and send `up` and one more.
    Probe {
        down: u32,
        up: u32,
    },
}

#[derive(Debug, Serialize, Deserialize)]
enum Verdict {
    Refused(Refusal),
    Accepted { session: [u8; 32] },
}

/// An offer with the parameters as they travel.
type Made<'a> = (Cow<'a, PublicOffer>, Fields);

/// The server's side.
pub(super) fn serve(link: Link, options: SessionOptions, offer: &PublicOffer) -> Result<Agreed> {
    let parameters = server_parameters(options, offer)?;
    serve_made(link, options, |_| Ok((Cow::Borrowed(offer), parameters)))
}

/// The server's side where the offer depends on the link.
pub(super) fn serve_probed(
    link: Link,
    options: SessionOptions,
    plan: impl FnOnce(Measured) -> Result<PublicOffer>,
) -> Result<Agreed> {
    serve_made(link, options, |wire| {
        let offer = plan(probe::measure(wire)?)?;
        let parameters = server_parameters(options, &offer)?;
        Ok((Cow::Owned(offer), parameters))
    })
}

fn serve_made<'a>(
    link: Link,
    options: SessionOptions,
    make: impl FnOnce(&mut Wire) -> Result<Made<'a>>,
) -> Result<Agreed> {
    let mut wire = Wire::new(link, options.timeout);
    match serve_steps(&mut wire, make) {
        Ok((id, digest)) => Ok(wire.agreed(id, digest, options.lanes)),
        Err(error) => Err(wire.abandon(error)),
    }
}

fn serve_steps<'a>(
    wire: &mut Wire,
    make: impl FnOnce(&mut Wire) -> Result<Made<'a>>,
) -> Result<([u8; 32], [u8; 32])> {
    let (ours, theirs) = wire.hello(Hello::server(PROTOCOL_VERSION)?)?;
    let Request { requirements, max_blob } = wire.receive("requirements")?;
    check_fields("requirements", &requirements)?;
    let (offer, parameters) = make(wire)?;
    for (name, client) in &requirements {
        let server = value_of(&parameters, name).unwrap_or("not offered");
        if server != client {
            let (field, server) = (name.clone(), server.to_string());
            let error =
                Error::incompatible(wire::printable(name), &server, wire::printable(client));
            let refusal = Refusal { field, server, client: client.clone() };
            wire.send("refusal", &Answer::Refused(refusal))?;
            return Err(error);
        }
    }
    let digest: [u8; 32] = Sha256::digest(&offer.blob).into();
    let id = session_id(&ours, &theirs, &parameters, &digest)?;
    let blob_len = offer.blob.len() as u64;
    if blob_len > max_blob {
        let refusal = too_long(blob_len, max_blob);
        let error = Error::incompatible(refusal.field.clone(), &refusal.server, &refusal.client);
        wire.send("refusal", &Answer::Refused(refusal))?;
        return Err(error);
    }
    wire.send("offer", &Answer::Offered { parameters, blob_len, digest })?;
    wire.write("public program", &offer.blob)?;
    match wire.receive("verdict")? {
        Verdict::Accepted { session } if session == id => Ok((id, digest)),
        Verdict::Accepted { session } => {
            Err(Error::misbehaved("session id", hex(&id), hex(&session)))
        }
        Verdict::Refused(Refusal { field, server, client }) => Err(Error::incompatible(
            wire::printable(&field),
            wire::printable(&server),
            wire::printable(&client),
        )),
    }
}

/// The client's side.
pub(super) fn join(
    link: Link,
    options: SessionOptions,
    requirements: Fields,
    max_blob: usize,
    accept: impl FnOnce(&Offer) -> Result<()>,
) -> Result<(Agreed, Offer)> {
    check_own_fields("requirements", &requirements)?;
    let mut wire = Wire::new(link, options.timeout);
    let most_lanes = options.lanes.max(LANES_TAKEN);
    match join_steps(&mut wire, requirements, (max_blob, most_lanes), accept) {
        Ok((id, lanes, offer)) => Ok((wire.agreed(id, offer.digest, lanes), offer)),
        Err(error) => Err(wire.abandon(error)),
    }
}

fn join_steps(
    wire: &mut Wire,
    requirements: Fields,
    (max_blob, most_lanes): (usize, usize),
    accept: impl FnOnce(&Offer) -> Result<()>,
) -> Result<([u8; 32], usize, Offer)> {
    let (ours, theirs) = wire.hello(Hello::client(PROTOCOL_VERSION)?)?;
    let request = Request { requirements, max_blob: max_blob as u64 };
    wire.send("requirements", &request)?;
    let requirements = &request.requirements;
    let mut probes = probe::Budget::new();
    let answer = loop {
        match wire.receive("offer")? {
            Answer::Probe { down, up } => probes.answer(wire, down, up)?,
            answer => break answer,
        }
    };
    let (parameters, blob_len, digest) = match answer {
        Answer::Offered { parameters, blob_len, digest } => (parameters, blob_len, digest),
        Answer::Probe { .. } => return Err(Error::misuse("a probe after the probes")),
        Answer::Refused(Refusal { field, server, client }) => {
            // What we required is ours to say, not the server's.
            let ours = value_of(requirements, &field).unwrap_or(&client);
            return Err(Error::incompatible(
                wire::printable(&field),
                wire::printable(ours),
                wire::printable(&server),
            ));
        }
    };
    let lanes = check_offer(&parameters, requirements)?;
    if lanes > most_lanes {
        let error = Error::incompatible(LANES, format_args!("at most {most_lanes}"), lanes);
        return Err(refuse(wire, error));
    }
    let blob_len = match usize::try_from(blob_len) {
        Ok(len) if len <= max_blob => len,
        _ => {
            let refusal = too_long(blob_len, max_blob as u64);
            let error =
                Error::incompatible(refusal.field.clone(), &refusal.client, &refusal.server);
            wire.send("refusal", &Verdict::Refused(refusal))?;
            return Err(error);
        }
    };
    let blob = wire.receive_blob("public program", blob_len)?;
    let found: [u8; 32] = Sha256::digest(&blob).into();
    if found != digest {
        let error = Error::misbehaved("digest of the public program", hex(&found), hex(&digest));
        return Err(refuse(wire, error));
    }
    let offer = Offer { parameters, blob, digest };
    if let Err(error) = accept(&offer) {
        return Err(refuse(wire, error));
    }
    // The server's nonce comes first on both sides.
    let id = session_id(&theirs, &ours, &offer.parameters, &digest)?;
    wire.send("acceptance", &Verdict::Accepted { session: id })?;
    Ok((id, lanes, offer))
}

/// Tells the server why the client refuses. Returns the reason.
fn refuse(wire: &mut Wire, error: Error) -> Error {
    let refusal = match &error {
        Error::PeerIncompatible { field, ours, theirs } => Refusal {
            field: field.to_string(),
            server: theirs.to_string(),
            client: ours.to_string(),
        },
        other => Refusal {
            field: "public program".into(),
            server: "as offered".into(),
            client: format!("refused ({other})"),
        },
    };
    // The reason matters more than a link that fails on top of it.
    let _ = wire.send("refusal", &Verdict::Refused(refusal));
    error
}

/// The parameters as they travel: the caller's and the number of lanes.
fn server_parameters(options: SessionOptions, offer: &PublicOffer) -> Result<Fields> {
    if options.lanes > MAX_LANES {
        return Err(Error::invalid(LANES, format_args!("at most {MAX_LANES}"), options.lanes));
    }
    let mut parameters = offer.parameters.clone();
    parameters.push((LANES.into(), options.lanes.to_string()));
    check_own_fields("public parameters", &parameters)?;
    Ok(parameters)
}

/// Checks what the server offers: bounds, our requirements once more, the number of lanes.
fn check_offer(parameters: &Fields, requirements: &Fields) -> Result<usize> {
    check_fields("public parameters", parameters)?;
    for (name, ours) in requirements {
        let theirs = value_of(parameters, name).unwrap_or("not offered");
        if theirs != ours {
            return Err(Error::incompatible(wire::printable(name), ours, wire::printable(theirs)));
        }
    }
    let lanes = value_of(parameters, LANES).unwrap_or("none");
    match lanes.parse() {
        Ok(count) if count <= MAX_LANES => Ok(count),
        _ => Err(Error::misbehaved(
            LANES,
            format_args!("a number up to {MAX_LANES}"),
            wire::printable(lanes),
        )),
    }
}

fn too_long(blob_len: u64, max_blob: u64) -> Refusal {
    Refusal {
        field: "size of the public program".into(),
        server: format!("{blob_len} bytes"),
        client: format!("at most {max_blob} bytes"),
    }
}

fn value_of<'a>(fields: &'a [(String, String)], name: &str) -> Option<&'a str> {
    fields.iter().find(|field| field.0 == name).map(|field| field.1.as_str())
}

/// The first bound that a list breaks: what, allowed, found.
fn broken_bound(fields: &Fields) -> Option<(&'static str, String, String)> {
    if fields.len() > MAX_FIELDS {
        return Some((
            "number of fields",
            format!("at most {MAX_FIELDS}"),
            fields.len().to_string(),
        ));
    }
    for (i, (name, value)) in fields.iter().enumerate() {
        if name.is_empty() || name.len() > MAX_NAME {
            let got = format!("{} bytes", name.len());
            return Some(("length of a name", format!("1..={MAX_NAME} bytes"), got));
        }
        if value.len() > MAX_VALUE {
            let got = format!("{} bytes", value.len());
            return Some(("length of a value", format!("at most {MAX_VALUE} bytes"), got));
        }
        if fields.iter().take(i).any(|field| field.0 == *name) {
            return Some(("names", "no name twice".into(), wire::printable(name)));
        }
    }
    None
}

fn check_fields(what: &str, fields: &Fields) -> Result<()> {
    match broken_bound(fields) {
        Some((bound, allowed, found)) => {
            Err(Error::misbehaved(format!("{what}: {bound}"), allowed, found))
        }
        None => Ok(()),
    }
}

fn check_own_fields(what: &str, fields: &Fields) -> Result<()> {
    match broken_bound(fields) {
        Some((bound, allowed, found)) => {
            Err(Error::invalid(format!("{what}: {bound}"), allowed, found))
        }
        None => Ok(()),
    }
}

fn session_id(
    server: &[u8; 32],
    client: &[u8; 32],
    parameters: &Fields,
    digest: &[u8; 32],
) -> Result<[u8; 32]> {
    let encoded = wire::encode(parameters)?;
    let mut hash = Sha256::new();
    hash.update(b"sci session id");
    hash.update(PROTOCOL_VERSION.to_le_bytes());
    hash.update(server);
    hash.update(client);
    hash.update(digest);
    hash.update(&encoded);
    Ok(hash.finalize().into())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Wire {
    fn agreed(self, id: [u8; 32], digest: [u8; 32], lanes: usize) -> Agreed {
        let (link, sent, received, start) = self.into_parts();
        let seconds = Instant::now().duration_since(start).as_secs_f64();
        let totals = Totals { bytes_sent: sent, bytes_received: received, rounds: 0, seconds };
        Agreed { link, id, digest, lanes, totals }
    }
}

#[cfg(test)]
mod tests;
