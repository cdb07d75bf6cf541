//! Clients that do not follow the plan, over a stream.

use super::*;
use sci_core::session::Session;

/// What the server makes of a client that sends proper keys and then requests of these lengths.
fn served(layer: &Layer<Ring>, lengths: &[usize]) -> Error {
    let setup = &Setup::new([layer]);
    let (server, ()) = run_pair(
        |mut session: Session| {
            let (stream, mut prg) = (session.stream(), Prg::from_os()?);
            let keys = ServerKeys::receive(stream, setup)?;
            let weights = Weights::on_the_fly(layer, vec![1; layer.weight_len()])?;
            let share = Shares::new(Ring::new(37)?, vec![0; layer.input_len()])?;
            let served = run_server(stream, layer, &keys, &weights, &share, &mut prg);
            assert!(stream.is_poisoned());
            served
        },
        |mut session| {
            let stream = session.stream();
            ClientKeys::send(stream, setup, &mut Prg::from_os().unwrap()).unwrap();
            lengths.iter().for_each(|&len| stream.send(&vec![0; len]).unwrap());
        },
    );
    server.unwrap_err()
}

/// A client that leaves early, and one that encrypts for other parameters.
#[test]
fn a_wrong_count_and_other_parameters_are_typed_errors() {
    let geometry = ConvGeometry::new(spec([64, 8, 1], [1, 28, 28], Window::new([1; 3]))).unwrap();
    let plan =
        |bits| Layer::conv(&geometry, Ring::new(bits).unwrap(), 100, Privacy::default()).unwrap();
    let (layer, other) = (plan(37), plan(20));
    let (count, len) = (layer.layout().requests(), layer.context().request_len());
    assert!(count > 1 && other.context().request_len() != len);
    let error = served(&layer, &vec![len; count - 1]);
    assert!(matches!(error, Error::Link { .. }), "{error}");
    let error = served(&layer, &[len, other.context().request_len()]);
    assert!(matches!(error, Error::PeerMisbehaved { .. }), "{error}");
    // Keys for another modulus; those of the two layers are for the same.
    let wide = plan(64);
    assert_ne!(wide.context().params().primes(), layer.context().params().primes());
    let setups = [Setup::new([&layer]), Setup::new([&wide])];
    let (error, _) = run_pair(
        |mut session| ServerKeys::receive(session.stream(), &setups[0]).unwrap_err(),
        |mut session| ClientKeys::send(session.stream(), &setups[1], &mut Prg::from_os()?),
    );
    assert!(matches!(error, Error::PeerMisbehaved { .. }), "{error}");
}

/// Programs of a server that asks for kernels of many phases: refused with the limit, or planned.
#[test]
fn kernels_of_many_phases_are_planned_or_refused_at_once() {
    let plan = |k: usize, stride: usize| {
        let window = Window::new([1, k, k]).with_stride([1, stride, stride]);
        let geometry = ConvGeometry::new(spec([1, 1, 1], [1, k, k], window)).unwrap();
        Layer::conv(&geometry, Ring::new(37).unwrap(), 100, Privacy::default())
    };
    for (k, stride) in [(4096, 4096), (4096, 64), (4096, 1), (300, 1)] {
        let error = plan(k, stride).unwrap_err();
        assert!(matches!(error, Error::InvalidInput { .. }), "{error}");
    }
    let most = plan(256, 256).unwrap();
    assert_eq!(most.layout().requests(), (1 << 16) / most.layout().channels_per_request());
}

/// What holds the server's share shows no residue.
#[test]
fn an_inbox_prints_its_size_alone() {
    let ring = Ring::new(37).unwrap();
    for (channels, window, scalar) in [
        ([3, 4, 1], Window::new([1, 3, 3]).with_stride([1, 2, 2]), false),
        ([3, 11, 1], Window::new([1; 3]), true),
    ] {
        let geometry = ConvGeometry::new(spec(channels, [1, 56, 56], window)).unwrap();
        let layer = Layer::conv(&geometry, ring, 100, Privacy::default()).unwrap();
        assert_eq!(layer.is_scalar(), scalar);
        let mut prg = Prg::new(12u128.into());
        let (_, messages) = ClientKeys::generate(&Setup::new([&layer]), &mut prg);
        let mut messages = messages.into_iter();
        let keys = ServerKeys::parse(&Setup::new([&layer]), |_, _| Ok(messages.next().unwrap()));
        let (share, len) = (vec![1; geometry.input_len()], layer.context().request_len());
        let inbox = layer.intake(&keys.unwrap(), &share, &mut prg, || Ok(vec![0; len])).unwrap();
        let layout = layer.layout();
        let shown = match scalar {
            true => format!("Inbox(ScalarInbox({} tiles))", layout.tiles()),
            false => format!("Inbox({} requests)", layout.requests()),
        };
        assert_eq!(format!("{inbox:?}"), shown);
    }
}
