//! The built binary as real processes, with deadlines on everything.
#![allow(dead_code)]

use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// No command of these tests may take longer.
const DEADLINE: Duration = Duration::from_secs(240);

/// The command under test.
pub fn binary() -> Command {
    Command::new(env!("CARGO_BIN_EXE_sci-run"))
}

/// What a process left behind.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    pub took: Duration,
}

/// A process that is killed when it is dropped.
pub struct Running {
    child: Child,
    stdout: Option<JoinHandle<String>>,
    stderr: Option<JoinHandle<()>>,
    lines: Arc<Mutex<String>>,
    start: Instant,
}

/// Runs a command line to its end.
pub fn run(line: &[&str]) -> Ran {
    start(line).wait()
}

/// Starts a command line.
pub fn start(line: &[&str]) -> Running {
    let mut child = binary()
        .args(line)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let stdout = std::thread::spawn(move || {
        let mut text = String::new();
        out.read_to_string(&mut text).unwrap();
        text
    });
    let lines = Arc::new(Mutex::new(String::new()));
    let shared = Arc::clone(&lines);
    let stderr = std::thread::spawn(move || {
        for line in BufReader::new(err).lines() {
            *shared.lock().unwrap() += &(line.unwrap() + "\n");
        }
    });
    Running { child, stdout: Some(stdout), stderr: Some(stderr), lines, start: Instant::now() }
}

/// Starts a server on a free port of loopback; returns it with its address.
pub fn serve(line: &[&str]) -> (Running, String) {
    let server = start(&[&["serve"], line, &["--listen", "127.0.0.1:0"]].concat());
    let text = server.until("listening on ");
    let address = text.split("listening on ").nth(1).unwrap().lines().next().unwrap().to_string();
    (server, address)
}

impl Running {
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What stderr says so far.
    pub fn stderr(&self) -> String {
        self.lines.lock().unwrap().clone()
    }

    /// Waits until stderr has a full line with `word`.
    pub fn until(&self, word: &str) -> String {
        let start = Instant::now();
        loop {
            let text = self.stderr();
            if text.contains(word) {
                return text;
            }
            assert!(start.elapsed() < DEADLINE, "no {word} in: {text}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn kill(&mut self) {
        self.child.kill().unwrap();
    }

    /// Waits for the end.
    pub fn wait(mut self) -> Ran {
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(self.start.elapsed() < DEADLINE, "hangs: {}", self.stderr());
            std::thread::sleep(Duration::from_millis(5));
        };
        let took = self.start.elapsed();
        let stdout = self.stdout.take().unwrap().join().unwrap();
        self.stderr.take().unwrap().join().unwrap();
        Ran { code: status.code(), stdout, stderr: self.stderr(), took }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ran {
    /// The one JSON object on stdout.
    pub fn json(&self) -> Value {
        assert_eq!(self.stdout.lines().count(), 1, "{self:?}");
        serde_json::from_str(&self.stdout).unwrap()
    }

    pub fn succeeded(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }

    /// One line of cause with these words, nothing on stdout, no panic.
    #[track_caller]
    pub fn failed(&self, code: i32, words: &[&str]) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert_eq!(self.stdout, "", "a partial result: {self:?}");
        assert!(!self.stderr.contains("panicked"), "{self:?}");
        let causes: Vec<&str> = self.stderr.lines().filter(|l| l.starts_with("error: ")).collect();
        assert_eq!(causes.len(), 1, "{self:?}");
        for word in words {
            assert!(causes[0].contains(word), "{word}: {self:?}");
        }
        let hints = self.stderr.lines().filter(|l| l.starts_with("hint: ")).count();
        assert!(hints <= 1, "{self:?}");
    }
}

/// A peer for one connection: what `part` does with it.
pub fn peer(part: impl FnOnce(TcpStream) + Send + 'static) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let thread = std::thread::spawn(move || part(listener.accept().unwrap().0));
    (address, thread)
}

/// What a proxy does once it has passed on so many bytes.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    Close,
    Stall,
    Garbage,
}

/// A proxy to `server` that is honest for the first `bytes` bytes in either direction.
pub fn faulty_proxy(server: &str, bytes: usize, fault: Fault) -> String {
    let server = server.to_string();
    let (address, _thread) = peer(move |client| {
        let server = TcpStream::connect(server).unwrap();
        let (a, b) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        let up = std::thread::spawn(move || pump(a, b, bytes, fault));
        pump(server, client, bytes, fault);
        up.join().unwrap();
    });
    address
}

fn pump(mut from: TcpStream, mut to: TcpStream, mut honest: usize, fault: Fault) {
    let mut buffer = [0; 4096];
    while let Ok(n @ 1..) = from.read(&mut buffer) {
        let n = n.min(honest);
        honest -= n;
        if to.write_all(&buffer[..n]).is_err() {
            break;
        }
        if honest == 0 {
            match fault {
                Fault::Close => {
                    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
                }
                // Both ends stay open, and nothing comes.
                Fault::Stall => std::thread::sleep(Duration::from_secs(60)),
                Fault::Garbage => while to.write_all(&[0xa5; 4096]).is_ok() {},
            }
            return;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
