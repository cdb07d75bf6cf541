//! Dilated volumes by lattice encryption: convolved without dilation, with the same result and fewer bytes.

use sci_core::geometry::{ConvGeometry, ConvSpec, Window};
use sci_core::testing::{reveal, share_arithmetic};
use sci_core::{Block, Domain, Prg, Ring, Shares};
use sci_he::params::Privacy;
use sci_ot::peer::Settings;
use sci_ot::testing::{assert_cost, run_peers};
use sci_run::linear::packing::{Layer, Packing, Setup, Weights, run_client, run_server};

fn fail(e: athos::Error) -> sci_core::Error {
    sci_core::Error::misuse(e.to_string())
}

/// The patch matrix times the weights.
fn convolved(ring: Ring, geometry: &ConvGeometry, weights: &[i32], input: &[u64]) -> Vec<u64> {
    let (patch, n) = (geometry.patch_len(), geometry.positions());
    let mut patches = vec![0; patch * n];
    geometry.im2col(input, 0, 0..n, 0, &mut patches).unwrap();
    let at = |w: &[i32], p: usize| {
        w.iter().enumerate().fold(0, |sum, (k, &w)| {
            ring.add(sum, ring.mul(ring.from_signed(i64::from(w)), patches[k * n + p]))
        })
    };
    weights.chunks(patch).flat_map(|w| (0..n).map(|p| at(w, p)).collect::<Vec<_>>()).collect()
}

#[test]
fn dilated_volumes_cost_little_more_than_others() {
    let ring = Ring::new(37).unwrap();
    let cube = |dilation| {
        let pads = [dilation; 3];
        let window = Window::new([3; 3]).with_dilation(pads).with_pads(pads, pads);
        let input = [16; 3];
        let spec = ConvSpec { batch: 1, in_channels: 2, out_channels: 2, groups: 1, input, window };
        ConvGeometry::new(spec).unwrap()
    };
    let plan = |geometry: &ConvGeometry| {
        Layer::conv(Packing::Coefficient, geometry, ring, 1 << 12, Privacy::default()).unwrap()
    };
    let plain = plan(&cube(1)).cost().bytes();
    for dilation in [2, 4, 8] {
        let geometry = cube(dilation);
        let layer = plan(&geometry);
        // As it is a dilation by 2 still fits one ciphertext.
        let undone = matches!(layer, Layer::Coefficient(_, Some(_)));
        assert_eq!(undone, dilation > 2, "dilation {dilation}");
        assert!(layer.cost().bytes() < 8 * plain, "{} and {plain}", layer.cost().bytes());

        let mut prg = Prg::new(Block([1, dilation as u64]));
        let numbers = (0..geometry.weight_len()).map(|_| (prg.next_u64() >> 52) as i32 - 2048);
        let numbers: Vec<i32> = numbers.collect();
        let weights = Weights::within(&layer, numbers.clone(), u64::MAX).unwrap();
        let mut x = vec![0; geometry.input_len()];
        ring.sample_into(&mut prg, &mut x);
        let (first, second) = share_arithmetic(ring, &x, &mut prg);
        let setup = Setup::new(std::iter::once(&layer)).unwrap().unwrap();
        let (server, client) = run_peers(
            Settings::default(),
            |peer| {
                let mut prg = Prg::from_os()?;
                let keys = setup.receive(peer.main(), 1).map_err(fail)?;
                let share = Shares::from_canonical(ring, first.clone());
                run_server(peer.main(), &layer, &keys, &weights, &share, &mut prg).map_err(fail)
            },
            |peer| {
                let mut prg = Prg::from_os()?;
                let keys = setup.send(peer.main(), 1, &mut prg).map_err(fail)?;
                let share = Shares::from_canonical(ring, second.clone());
                run_client(peer.main(), &layer, &keys, &share, &mut prg).map_err(fail)
            },
        )
        .unwrap();
        let y = reveal(ring, server.value.values(), client.value.values());
        assert_eq!(y, convolved(ring, &geometry, &numbers, &x), "dilation {dilation}");
        // Keys and requests go the same way in one flight.
        let cost = layer.cost().beside(setup.cost());
        assert_cost(&server, &client, cost, "a dilated convolution");
    }
}
