//! The other layers, against their own definitions.

use super::*;

/// The definition of a transposed convolution: every input adds to the outputs that it reaches.
fn naive_transposed(ring: Ring, spec: &ConvTransposedSpec, x: &[u64], w: &[i32]) -> Vec<u64> {
    let ConvTransposedSpec { batch, in_channels, out_channels, groups, input, output, window } =
        *spec;
    let (gi, go) = (in_channels / groups, out_channels / groups);
    let plane: usize = output.iter().product();
    let mut y = vec![0; batch * out_channels * plane];
    let at = |i: usize, s: [usize; 3]| [i / (s[1] * s[2]), i / s[2] % s[1], i % s[2]];
    let inputs: usize = input.iter().product();
    for (number, &x) in x.iter().enumerate() {
        let (i, channel) = (at(number % inputs, input), number / inputs % in_channels);
        let image = number / inputs / in_channels;
        for o in 0..go {
            for k in 0..window.taps() {
                let tap = at(k, window.kernel);
                let place = [0, 1, 2].map(|a| {
                    (i[a] * window.stride[a] + tap[a] * window.dilation[a])
                        .checked_sub(window.pad_before[a])
                        .filter(|&p| p < output[a])
                });
                let [Some(d), Some(h), Some(v)] = place else { continue };
                let filter = channel / gi * go + o;
                let weight = ring.from_signed(w[(channel * go + o) * window.taps() + k].into());
                let to =
                    (image * out_channels + filter) * plane + (d * output[1] + h) * output[2] + v;
                y[to] = ring.add(y[to], ring.mul(x, weight));
            }
        }
    }
    y
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10, max_shrink_iters: 20, ..ProptestConfig::default() })]

    #[test]
    fn a_transposed_convolution_is_its_definition(
        batch in 1usize..3,
        (groups, gi, go) in (1usize..3, 1usize..4, 1usize..4),
        input in (1usize..3, 1usize..8, 1usize..8),
        kernel in (1usize..3, 1usize..6, 1usize..6),
        stride in (1usize..3, 1usize..4, 1usize..4),
        dilation in (1usize..3, 1usize..3, 1usize..3),
        before in (0usize..2, 0usize..3, 0usize..3),
        extra in (0usize..2, 0usize..2, 0usize..3),
        bits in 1u32..=64,
        seed: u64,
    ) {
        let axes = |(d, h, w): (usize, usize, usize)| [d, h, w];
        let (input, extra) = (axes(input), axes(extra));
        let window = Window::new(axes(kernel))
            .with_stride(axes(stride))
            .with_dilation(axes(dilation))
            .with_pads(axes(before), [0; 3]);
        let output = [0, 1, 2].map(|a| {
            ((input[a] - 1) * window.stride[a] + (window.kernel[a] - 1) * window.dilation[a] + 1 + extra[a])
                .saturating_sub(window.pad_before[a])
        });
        prop_assume!(output.iter().all(|&o| o > 0));
        let (in_channels, out_channels) = (groups * gi, groups * go);
        let spec =
            ConvTransposedSpec { batch, in_channels, out_channels, groups, input, output, window };
        let ring = Ring::new(bits).unwrap();
        let layer = Layer::conv_transposed(&spec, ring, 100, Privacy::default()).unwrap();
        prop_assert_eq!(layer.weight_len(), in_channels * go * window.taps());
        check_layer(&layer, seed, |x, w| naive_transposed(ring, &spec, x, w));
    }

    #[test]
    fn matrix_products_with_rows(
        rows in 1usize..9,
        inner in 1usize..70,
        outer in 1usize..70,
        bits in 1u32..=64,
        seed: u64,
    ) {
        let ring = Ring::new(bits).unwrap();
        let geometry = LinearGeometry::new(rows, inner, outer).unwrap();
        let layer = Layer::fully_connected(&geometry, ring, 1 << 15, Privacy::default()).unwrap();
        check_layer(&layer, seed, |x, w| {
            x.chunks(inner)
                .flat_map(|x| {
                    w.chunks(inner).map(|w| {
                        x.iter().zip(w).fold(0, |sum, (&x, &w)| {
                            ring.add(sum, ring.mul(x, ring.from_signed(w.into())))
                        })
                    })
                })
                .collect()
        });
    }

    #[test]
    fn elementwise_products_repeat_their_weights(
        shape in proptest::collection::vec(1usize..6, 1..5),
        repeated: u8,
        bits in 1u32..=64,
        seed: u64,
    ) {
        let weight_shape: Vec<usize> = shape
            .iter()
            .enumerate()
            .map(|(axis, &n)| if repeated >> axis & 1 == 1 { 1 } else { n })
            .collect();
        let ring = Ring::new(bits).unwrap();
        let layer =
            Layer::elementwise(&shape, &weight_shape, ring, 1 << 20, Privacy::default()).unwrap();
        check_layer(&layer, seed, |x, w| {
            let mut y = Vec::new();
            for (i, &x) in x.iter().enumerate() {
                let (mut rest, mut at, mut stride) = (i, 0, 1);
                for axis in (0..shape.len()).rev() {
                    if weight_shape[axis] > 1 {
                        at += rest % shape[axis] * stride;
                        stride *= shape[axis];
                    }
                    rest /= shape[axis];
                }
                y.push(ring.mul(x, ring.from_signed(w[at].into())));
            }
            y
        });
    }
}

#[test]
fn scaling_of_channels_and_shapes_that_do_not_fit() {
    let field = Field::new(137_438_822_401).unwrap();
    let (shape, weights) = ([1, 24, 9, 9], [1, 24, 1, 1]);
    let layer = Layer::elementwise(&shape, &weights, field, 1 << 11, Privacy::default()).unwrap();
    assert!(layer.layout().levels() > 0, "small planes share responses");
    check_layer(&layer, 3, |x, w| {
        let scaled = x.iter().enumerate();
        scaled.map(|(i, &x)| field.mul(x, field.from_signed(w[i / 81].into()))).collect()
    });
    let wrong = Layer::elementwise(&[2, 3], &[3, 2], field, 1, Privacy::default());
    assert!(matches!(wrong, Err(Error::InvalidInput { .. })));
}
