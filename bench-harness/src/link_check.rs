//! What a link carries: messages back and forth, and bytes in bulk.
//!
//! `link server|client PROBE [ADDRESS]`, with a [`Probe`] as JSON. Two such processes measure a link that something
//! else shapes, or one that this program shapes itself, by the same code: so the shaping in process is held against
//! that of a kernel (`scripts/netem_check.py`).

use sci_core::channel::Link;
use sci_core::channel::shaped::LinkShape;
use sci_core::channel::tcp;
use sci_core::{Error, Result};
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// The first argument of such a process.
pub const COMMAND: &str = "link";
/// How long the link may stand still.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Bytes of one write and one read.
const PIECE: usize = 64 << 10;
/// More than any link carries while one waits for it.
const MOST_BYTES: u64 = 1 << 34;

/// What is to be measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// As `--link` of the program: how this process shapes what it sends.
    pub shape: String,
    /// Where the server listens.
    pub listen: String,
    /// Messages of one byte, back and forth.
    pub ping_pongs: usize,
    /// Bytes in one transfer.
    pub bytes: u64,
}

/// What it came to, as the client sees it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Findings {
    /// Seconds of each message there and back.
    pub ping_pongs: Vec<f64>,
    /// Seconds until the client knows that the server has all the bytes.
    pub upload: f64,
    /// The same for bytes in both directions at once.
    pub duplex: f64,
}

/// The process.
pub fn main(arguments: &[OsString]) -> ExitCode {
    let text: Vec<&str> = arguments.iter().filter_map(|a| a.to_str()).collect();
    let done = match text[..] {
        ["server", probe] => parse(probe).and_then(|probe| serve(&probe)),
        ["client", probe, address] => parse(probe).and_then(|probe| join(&probe, address)),
        _ => Err(Error::misuse("link server PROBE | link client PROBE ADDRESS")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse(probe: &str) -> Result<Probe> {
    let probe: Probe =
        serde_json::from_str(probe).map_err(|e| Error::invalid("probe", "a probe as JSON", e))?;
    if probe.bytes > MOST_BYTES {
        return Err(Error::invalid("bytes of a probe", "at most 2^34", probe.bytes));
    }
    Ok(probe)
}

fn say(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).map_err(|e| Error::link("stdout", e))
}

fn serve(probe: &Probe) -> Result<()> {
    let listener = tcp::listen(&probe.listen)?;
    say(&listener.local_addr().to_string())?;
    let link = shaped(probe, listener.accept(Some(TIMEOUT))?)?;
    answer(probe, link).map_err(|e| Error::link("the link under test", e))
}

fn join(probe: &Probe, address: &str) -> Result<()> {
    let link = shaped(probe, tcp::connect(address, TIMEOUT)?)?;
    let findings = ask(probe, link).map_err(|e| Error::link("the link under test", e))?;
    let text = serde_json::to_string(&findings);
    say(&text.map_err(|e| Error::invalid("findings", "numbers", e))?)
}

fn shaped(probe: &Probe, link: Link) -> Result<Link> {
    probe.shape.parse::<LinkShape>()?.apply(link)
}

/// The two halves of a link.
struct Halves {
    reader: Box<dyn Read + Send>,
    writer: Box<dyn Write + Send>,
}

impl Halves {
    fn of(link: Link) -> Self {
        let (reader, writer, ..) = link.into_parts();
        Self { reader, writer }
    }

    fn tell(&mut self) -> io::Result<()> {
        self.writer.write_all(&[1])
    }

    fn hear(&mut self) -> io::Result<()> {
        self.reader.read_exact(&mut [0])
    }

    fn upload(&mut self, bytes: u64) -> io::Result<()> {
        send(&mut self.writer, bytes)
    }

    fn download(&mut self, bytes: u64) -> io::Result<()> {
        receive(&mut self.reader, bytes)
    }

    /// Bytes in both directions at once.
    fn duplex(&mut self, bytes: u64) -> io::Result<&mut Self> {
        let Self { reader, writer } = self;
        std::thread::scope(|scope| {
            let sent = scope.spawn(|| send(writer, bytes));
            receive(reader, bytes)?;
            sent.join().unwrap_or_else(|_| Err(io::ErrorKind::Other.into()))
        })?;
        Ok(self)
    }
}

fn send(writer: &mut impl Write, mut left: u64) -> io::Result<()> {
    let piece = vec![0x5a; PIECE];
    while left > 0 {
        let now = left.min(PIECE as u64) as usize;
        writer.write_all(&piece[..now])?;
        left -= now as u64;
    }
    Ok(())
}

fn receive(reader: &mut impl Read, mut left: u64) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    while left > 0 {
        let now = left.min(PIECE as u64) as usize;
        reader.read_exact(&mut piece[..now])?;
        left -= now as u64;
    }
    Ok(())
}

fn ask(probe: &Probe, link: Link) -> io::Result<Findings> {
    let mut link = Halves::of(link);
    let mut timed = |step: &mut dyn FnMut(&mut Halves) -> io::Result<()>| {
        let start = Instant::now();
        step(&mut link)?;
        Ok::<f64, io::Error>(start.elapsed().as_secs_f64())
    };
    let mut findings = Findings::default();
    // Opens the windows of TCP.
    timed(&mut |link| link.upload(probe.bytes).and_then(|()| link.hear()))?;
    for _ in 0..probe.ping_pongs {
        findings.ping_pongs.push(timed(&mut |link| link.tell().and_then(|()| link.hear()))?);
    }
    findings.upload = timed(&mut |link| link.upload(probe.bytes).and_then(|()| link.hear()))?;
    findings.duplex =
        timed(&mut |link| link.tell().and_then(|()| link.duplex(probe.bytes)?.hear()))?;
    Ok(findings)
}

fn answer(probe: &Probe, link: Link) -> io::Result<()> {
    let mut link = Halves::of(link);
    link.download(probe.bytes)?;
    link.tell()?;
    for _ in 0..probe.ping_pongs {
        link.hear()?;
        link.tell()?;
    }
    link.download(probe.bytes)?;
    link.tell()?;
    link.hear()?;
    link.duplex(probe.bytes)?.tell()?;
    // What is under way must not end with this process: the client closes first.
    match link.hear() {
        Err(e) if e.kind() != io::ErrorKind::UnexpectedEof => Err(e),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sci_core::channel::memory;

    #[test]
    fn a_link_is_measured_for_what_it_is() {
        let probe =
            Probe { shape: "20,10".into(), listen: String::new(), ping_pongs: 3, bytes: 1_000_000 };
        let (a, b) = memory::pair();
        let (a, b) = (shaped(&probe, a).unwrap(), shaped(&probe, b).unwrap());
        let findings = std::thread::scope(|scope| {
            let server = scope.spawn(|| answer(&probe, b));
            let findings = ask(&probe, a).unwrap();
            server.join().unwrap().unwrap();
            findings
        });
        // Nothing is faster than the link; how much slower it is depends on the machine.
        assert_eq!(findings.ping_pongs.len(), 3);
        assert!(findings.ping_pongs.iter().all(|&s| s >= 0.010), "{findings:?}");
        assert!(findings.upload >= 0.060 && findings.duplex >= 0.060, "{findings:?}");
    }

    #[test]
    fn bad_probes_are_refused() {
        for text in ["", "{}", r#"{"shape":"lan","listen":"","ping_pongs":1,"bytes":99999999999}"#]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
