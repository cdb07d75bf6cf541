//! Measuring the link before anything is agreed.
//!
//! The server leads: it announces how many bytes it sends and how many it wants back, and takes the time until
//! these are there. A few empty exchanges give the round trip. Then transfers of growing size, down and up, give
//! the rate of each direction: a connection opens its window only by and by, so that the last ones count. It
//! stops once a transfer of [`LARGEST`] bytes is hardly faster than the ones before, or once one has taken so long
//! that nothing more is to be learned.
//!
//! Everything that moves is zero; who watches learns the speed of the link. The client follows, within bounds of
//! its own: [`MAX_EXCHANGES`], [`MAX_BYTES`] in all, and the deadline of every read and write. A client that delays
//! its answers makes the server take the link for slower than it is, and gets the plan for such a link.

use super::wire::Wire;
use super::{Answer, Measured};
use crate::{Error, Result};
use std::time::{Duration, Instant};

/// Empty exchanges; the fastest counts.
const ROUND_TRIPS: usize = 5;
/// Bytes of the first transfer; every other is four times as long.
const FIRST: usize = 32 << 10;
/// Bytes of the longest transfer.
const LARGEST: usize = FIRST << 6;
/// Transfers of the greatest length: the window may still open in the first of them.
const LONG_TRANSFERS: usize = 3;
/// A rate that is better by less than this factor is the same.
const BETTER: f64 = 1.25;
/// A transfer that takes longer than this, and than some round trips, is the last one.
const ENOUGH: Duration = Duration::from_millis(500);
/// A transfer that takes longer than this is the last one, whatever the round trip.
const ENOUGH_BY_FAR: Duration = Duration::from_secs(2);
/// All exchanges together must be done within this, or within the timeout if that is longer. Over 10 kB/s each way, or
/// a round trip of a second, they are.
const LONGEST: Duration = Duration::from_secs(60);

/// The exchanges that a client takes part in.
const MAX_EXCHANGES: usize = 32;
/// The bytes that a client sends and receives in them.
const MAX_BYTES: usize = 16 << 20;

/// The server's part.
pub(super) fn measure(wire: &mut Wire) -> Result<Measured> {
    let limit = LONGEST.max(wire.timeout());
    measure_within(wire, limit)
}

fn measure_within(wire: &mut Wire, limit: Duration) -> Result<Measured> {
    let end = Instant::now() + limit;
    wire.limit(Some(end));
    let measured = exchanges(wire);
    wire.limit(None);
    match measured {
        Err(Error::Link { source: Some(source), .. }) if Instant::now() >= end => {
            let (peer, seconds) = (wire.peer(), limit.as_secs_f64());
            let what =
                format!("handshake: probing the link to {peer}: not done within {seconds} s");
            Err(Error::link(what, source))
        }
        measured => measured,
    }
}

fn exchanges(wire: &mut Wire) -> Result<Measured> {
    let mut rtt = Duration::MAX;
    for _ in 0..ROUND_TRIPS {
        rtt = rtt.min(exchange(wire, 0, 0)?);
    }
    let to_client = rate(rtt, |bytes| exchange(wire, bytes, 0))?;
    let to_server = rate(rtt, |bytes| exchange(wire, 0, bytes))?;
    Ok(Measured { rtt, to_client, to_server })
}

/// The rate of transfers of growing size, in bytes per second: the best of the longest ones.
fn rate(rtt: Duration, mut transfer: impl FnMut(usize) -> Result<Duration>) -> Result<f64> {
    let (mut bytes, mut best, mut long) = (FIRST, 0f64, 0);
    loop {
        // What is faster than the clock tells is fast enough.
        let took = transfer(bytes)?.saturating_sub(rtt).max(Duration::from_micros(1));
        let rate = bytes as f64 / took.as_secs_f64();
        if took >= ENOUGH.max(4 * rtt).min(ENOUGH_BY_FAR) {
            return Ok(best.max(rate));
        }
        // A short transfer opens the window; beside the round trip its own time is lost in noise.
        if bytes >= LARGEST {
            let open = rate < best * BETTER;
            best = best.max(rate);
            long += 1;
            if open || long == LONG_TRANSFERS {
                return Ok(best);
            }
        }
        bytes = (4 * bytes).min(LARGEST);
    }
}

/// Sends `down` bytes, receives `up` and one more; returns how long that took.
fn exchange(wire: &mut Wire, down: usize, up: usize) -> Result<Duration> {
    let start = Instant::now();
    let length = |bytes: usize| u32::try_from(bytes).map_err(|_| Error::misuse("a long probe"));
    wire.send("probe", &Answer::Probe { down: length(down)?, up: length(up)? })?;
    wire.write("probe", &vec![0; down])?;
    wire.receive_blob("answer to the probe", up + 1)?;
    Ok(start.elapsed())
}

/// What a client still takes part in.
pub(super) struct Budget {
    exchanges: usize,
    bytes: usize,
}

impl Budget {
    pub(super) fn new() -> Self {
        Self { exchanges: MAX_EXCHANGES, bytes: MAX_BYTES }
    }

    /// The client's part of one exchange.
    ///
    /// # Errors
    /// [`Error::PeerMisbehaved`] for more than a client takes part in, before a byte of it moves.
    pub(super) fn answer(&mut self, wire: &mut Wire, down: u32, up: u32) -> Result<()> {
        let (down, up) = (down as usize, up as usize);
        let asked = down.saturating_add(up);
        let Some(exchanges) = self.exchanges.checked_sub(1) else {
            let expected = format!("at most {MAX_EXCHANGES}");
            return Err(Error::misbehaved("probes of the link", expected, "more"));
        };
        let Some(bytes) = self.bytes.checked_sub(asked) else {
            let expected = format!("at most {MAX_BYTES} in all");
            return Err(Error::misbehaved("bytes of a probe", expected, asked));
        };
        (self.exchanges, self.bytes) = (exchanges, bytes);
        wire.receive_blob("probe", down)?;
        wire.write("answer to the probe", &vec![0; up + 1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::memory;

    /// A link by formula: the window doubles with every round trip until it is open.
    fn link(rtt: Duration, bytes_per_second: f64) -> impl FnMut(usize) -> Result<Duration> {
        let mut window = 14_000.0;
        move |bytes| {
            let (mut left, mut took) = (bytes as f64, rtt.as_secs_f64());
            while left > window && window < bytes_per_second * rtt.as_secs_f64() {
                left -= window;
                window *= 2.0;
                took += rtt.as_secs_f64();
            }
            Ok(Duration::from_secs_f64(took + left / bytes_per_second))
        }
    }

    #[test]
    fn rates_are_found_on_slow_and_fast_links() {
        for (megabytes, rtt_ms) in [(0.05, 300), (1.0, 10), (40.0, 80), (377.0, 0), (12.5, 30)] {
            let (rtt, true_rate) = (Duration::from_millis(rtt_ms), megabytes * 1e6);
            let mut moved = 0;
            let mut transfer = link(rtt, true_rate);
            let found = rate(rtt, |bytes| {
                moved += bytes;
                transfer(bytes)
            })
            .unwrap();
            assert!((0.5..1.01).contains(&(found / true_rate)), "{megabytes} MB/s: {found}");
            assert!(2 * moved <= MAX_BYTES);
        }
    }

    #[test]
    fn a_client_that_delays_its_answers_ends_the_growth() {
        let mut sizes = Vec::new();
        rate(Duration::from_secs(30), |bytes| {
            sizes.push(bytes);
            Ok(Duration::from_secs(33))
        })
        .unwrap();
        assert_eq!(sizes, [FIRST]);
    }

    #[test]
    fn a_client_that_stops_answering_is_given_up_before_every_deadline() {
        let (server_end, client_end) = memory::pair();
        let patience = Duration::from_secs(600);
        let (mut server, mut client) =
            (Wire::new(server_end, patience), Wire::new(client_end, patience));
        let error = std::thread::scope(|scope| {
            scope.spawn(move || {
                let mut budget = Budget::new();
                for _ in 0..ROUND_TRIPS {
                    if let Ok(Answer::Probe { down, up }) = client.receive("offer") {
                        let _ = budget.answer(&mut client, down, up);
                    }
                }
                let (mut link, ..) = client.into_parts();
                let _ = std::io::copy(&mut link.reader, &mut std::io::sink());
            });
            let error = measure_within(&mut server, Duration::from_millis(200)).unwrap_err();
            server.abandon(error)
        });
        assert!(matches!(error, Error::Link { .. }), "{error}");
        assert!(error.to_string().contains("not done within 0.2 s"), "{error}");
    }

    #[test]
    fn a_slow_link_is_not_loaded_for_long() {
        let mut sizes = Vec::new();
        let mut transfer = link(Duration::ZERO, 50e3);
        rate(Duration::ZERO, |bytes| {
            sizes.push(bytes);
            transfer(bytes)
        })
        .unwrap();
        assert_eq!(sizes, [FIRST]);
    }
}
