//! Two parties over TCP through the public interface alone: listen, shake hands, run lanes, count.

use sci_core::channel::{Stream, lanes, tcp};
use sci_core::session::{Phase, PublicOffer, Session, SessionOptions};
use sci_core::testing::patient;
use sci_core::{Error, Party, Result};
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(10);

/// A lane with state beside its stream, as protocols have it.
struct Worker {
    stream: Stream,
    done: usize,
}

impl lanes::Lane for Worker {
    fn stream(&mut self) -> &mut Stream {
        &mut self.stream
    }
}

/// Both parties send a chunk per lane, then the server answers.
fn protocol(mut session: Session) -> Result<(Session, usize)> {
    let party = session.party();
    let permits = session.permits().clone();
    let mut workers: Vec<_> =
        session.take_streams().into_iter().map(|stream| Worker { stream, done: 0 }).collect();
    let span = session.span("layer", "Exchange", Phase::Online).backend("test");
    let sizes = lanes::run(&mut workers, &permits, |lane, worker| {
        let len = 10_000 * (lane + 1);
        worker.stream.send_with(len, |out| out.fill(lane as u8))?;
        let got = worker.stream.recv("chunk", len)?;
        if got.iter().any(|&x| x != lane as u8) {
            return Err(Error::misbehaved("chunk", lane, "something else"));
        }
        match party {
            Party::Server => worker.stream.send(&[1])?,
            Party::Client => drop(worker.stream.recv("answer", 1)?),
        }
        worker.done += 1;
        Ok(len)
    })?;
    drop(span);
    assert!(workers.iter_mut().all(|worker| worker.done == 1));
    Ok((session, sizes.iter().sum()))
}

#[test]
fn a_session_over_tcp() -> Result<()> {
    let listener = tcp::listen("127.0.0.1:0")?;
    let address = listener.local_addr().to_string();
    let options = SessionOptions { threads: 2, lanes: 5, ..patient() };
    let offer = PublicOffer {
        parameters: vec![("bitwidth".into(), "37".into())],
        blob: b"program".to_vec(),
    };
    let (server, client) = std::thread::scope(|scope| {
        let server = scope.spawn(|| {
            let link = listener.accept(Some(DEADLINE))?;
            protocol(Session::serve(link, options, &offer)?)
        });
        let client = || {
            let link = tcp::connect(&address, DEADLINE)?;
            let required = vec![("bitwidth".to_string(), "37".to_string())];
            let (session, offer) = Session::join(link, patient(), required, 1000, |offer| {
                match offer.parameter("lanes") {
                    Some("5") => Ok(()),
                    other => Err(Error::incompatible("lanes", 5, other.unwrap_or("none"))),
                }
            })?;
            assert_eq!(offer.blob, b"program");
            protocol(session)
        };
        let client = client();
        (server.join().unwrap(), client)
    });
    let ((server, sent), (client, _)) = (server?, client?);
    assert_eq!(sent, 210_000);
    let (server, client) = (server.stats(), client.stats());
    for stats in [&server, &client] {
        let online = stats.phase(Phase::Online);
        assert_eq!(online.rounds, 2);
        assert_eq!(stats.outside.bytes(), 0);
        assert_eq!((&*stats.layers[0].name, &*stats.layers[0].backend), ("layer", "test"));
    }
    assert_eq!(server.total().bytes_sent, 210_006);
    assert_eq!(server.total().bytes_sent, client.total().bytes_received);
    assert_eq!(client.total().bytes_sent, 210_000);
    assert_eq!(server.headers_sent, 12 * 12);
    Ok(())
}

#[test]
fn an_absent_peer_is_named() {
    let listener = tcp::listen("127.0.0.1:0").unwrap();
    let address = listener.local_addr().to_string();
    drop(listener);
    let error = tcp::connect(&address, Duration::from_millis(100)).unwrap_err();
    assert_eq!(error.kind(), "link");
    assert!(error.to_string().contains(&address), "{error}");
}
