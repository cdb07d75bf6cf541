use super::*;
use crate::{Error, Ring};

/// Windows that break symmetric or square assumptions.
fn windows() -> Vec<([usize; 3], Window)> {
    vec![
        ([1, 5, 7], Window::new([1, 3, 2])),
        ([1, 6, 5], Window::new([1, 3, 3]).with_pads([0, 0, 2], [0, 1, 0])),
        (
            [1, 9, 8],
            Window::new([1, 2, 3])
                .with_stride([1, 2, 3])
                .with_dilation([1, 3, 2])
                .with_pads([0, 1, 2], [0, 2, 1]),
        ),
        ([1, 1, 11], Window::new([1, 1, 4]).with_stride([1, 1, 2]).with_pads([0, 0, 3], [0, 0, 0])),
        (
            [4, 3, 5],
            Window::new([2, 2, 2])
                .with_stride([2, 1, 2])
                .with_dilation([2, 1, 3])
                .with_pads([1, 0, 1], [0, 1, 1]),
        ),
        ([1, 4, 4], Window::new([1, 1, 1]).with_stride([1, 3, 2])),
        ([1, 3, 3], Window::new([1, 3, 3]).with_pads([0, 2, 2], [0, 2, 2])),
        // The kernel is wider than the input and reaches over both sides.
        ([1, 2, 2], Window::new([1, 4, 5]).with_pads([0, 2, 3], [0, 1, 2])),
    ]
}

/// The definition, with signed coordinates and no helper of the module.
fn naive_input(w: &Window, input: [usize; 3], out: [usize; 3], tap: [usize; 3]) -> Option<usize> {
    let mut index = 0;
    for axis in 0..3 {
        let i = (out[axis] * w.stride[axis] + tap[axis] * w.dilation[axis]) as i64
            - w.pad_before[axis] as i64;
        if i < 0 || i >= input[axis] as i64 {
            return None;
        }
        index = index * input[axis] + i as usize;
    }
    Some(index)
}

fn naive_output(w: &Window, input: [usize; 3]) -> [usize; 3] {
    [0, 1, 2].map(|a| {
        let padded = w.pad_before[a] + input[a] + w.pad_after[a];
        let fits = |o: &usize| o * w.stride[a] + (w.kernel[a] - 1) * w.dilation[a] < padded;
        (0..).take_while(fits).count()
    })
}

fn boxes(shape: [usize; 3]) -> Vec<[usize; 3]> {
    let mut all = Vec::new();
    for d in 0..shape[0] {
        for h in 0..shape[1] {
            for w in 0..shape[2] {
                all.push([d, h, w]);
            }
        }
    }
    all
}

#[test]
fn patch_matrices_agree_with_the_definition() {
    for (input, window) in windows() {
        for (groups, ci, co) in [(1, 3, 2), (2, 4, 6), (3, 3, 3)] {
            let spec =
                ConvSpec { batch: 2, in_channels: ci, out_channels: co, groups, input, window };
            let geometry = ConvGeometry::new(spec).unwrap();
            assert_eq!(geometry.output(), naive_output(&window, input), "{spec:?}");
            let plane = geometry.input_plane();
            let image: Vec<u64> = (1..=(ci * plane) as u64).collect();
            for group in 0..groups {
                let mut full = Vec::new();
                for c in 0..ci / groups {
                    for tap in boxes(window.kernel) {
                        for out in boxes(geometry.output()) {
                            let channel = group * (ci / groups) + c;
                            full.push(
                                naive_input(&window, input, out, tap)
                                    .map_or(0, |i| image[channel * plane + i]),
                            );
                        }
                    }
                }
                let n = geometry.positions();
                for range in [0..n, 0..n / 2, n / 3..n, n - 1..n, n..n] {
                    let mut got = vec![u64::MAX; geometry.patch_len() * range.len()];
                    geometry.im2col(&image, group, range.clone(), 0, &mut got).unwrap();
                    let expected: Vec<u64> =
                        full.chunks(n).flat_map(|row| row[range.clone()].to_vec()).collect();
                    assert_eq!(got, expected, "{spec:?} group {group} {range:?}");
                    for (row, expected) in full.chunks(n).enumerate() {
                        let mut got = vec![u64::MAX; range.len()];
                        let here = range.clone();
                        geometry.patch_row(&image, group, row, here.clone(), 0, &mut got).unwrap();
                        assert_eq!(got, expected[here], "{spec:?} {group} {row} {range:?}");
                    }
                }
            }
            assert_eq!(
                geometry.macs(),
                (2 * co * geometry.positions() * geometry.patch_len()) as u64
            );
        }
    }
}

#[test]
fn pooling_windows_agree_with_the_definition() {
    let ring = Ring::new(9).unwrap();
    for (input, window) in windows() {
        for count_include_pad in [false, true] {
            let spec = PoolSpec { batch: 1, channels: 3, input, window, count_include_pad };
            let positions = boxes(naive_output(&window, input));
            let members: Vec<Vec<usize>> = positions
                .iter()
                .map(|&out| {
                    boxes(window.kernel)
                        .into_iter()
                        .filter_map(|tap| naive_input(&window, input, out, tap))
                        .collect()
                })
                .collect();
            let geometry = match PoolGeometry::new(spec) {
                Ok(geometry) => geometry,
                Err(e) => {
                    assert!(members.iter().any(Vec::is_empty), "{spec:?}: {e}");
                    continue;
                }
            };
            assert_eq!(geometry.positions(), members.len());
            let in_all: usize = members.iter().map(Vec::len).sum();
            assert_eq!(geometry.members_len(), 3 * in_all as u64);
            let x: Vec<u64> = (0..geometry.input_len() as u64).map(|i| i * 37 % 512).collect();
            let sums = geometry.sums(ring, &x).unwrap();
            for (p, expected) in members.iter().enumerate() {
                assert_eq!(&geometry.members(p).collect::<Vec<_>>(), expected, "{spec:?} at {p}");
                assert_eq!(geometry.member_count(p), expected.len());
                let divisor = if count_include_pad { window.taps() } else { expected.len() };
                assert_eq!(geometry.divisor(p), divisor as u64);
                for channel in 0..3 {
                    let plane = &x[channel * geometry.input_plane()..];
                    let sum: u64 = expected.iter().map(|&i| plane[i]).sum();
                    assert_eq!(sums[channel * members.len() + p], sum % 512);
                }
            }
            let divisors: Vec<u64> = (0..members.len()).map(|p| geometry.divisor(p)).collect();
            assert_eq!(
                geometry.divides_by_powers_of_two(),
                divisors.iter().all(|d| d.is_power_of_two())
            );
            assert_eq!(Some(geometry.max_divisor()), divisors.iter().copied().max());
            assert_eq!(
                geometry.uniform_divisor().is_some(),
                divisors.iter().all(|&d| d == divisors[0])
            );
            assert_eq!(geometry.members(members.len()).count(), 0);
        }
    }
}

#[test]
fn impossible_shapes_are_refused() {
    let good = ConvSpec {
        batch: 1,
        in_channels: 4,
        out_channels: 4,
        groups: 2,
        input: [1, 8, 8],
        window: Window::new([1, 3, 3]),
    };
    assert!(ConvGeometry::new(good).is_ok());
    let max = usize::MAX;
    let bad = [
        ConvSpec { batch: 0, ..good },
        ConvSpec { batch: max, ..good },
        ConvSpec { groups: 0, ..good },
        ConvSpec { groups: 3, ..good },
        ConvSpec { in_channels: max - 1, ..good },
        ConvSpec { out_channels: 1 << 31, ..good },
        ConvSpec { input: [1, 0, 8], ..good },
        ConvSpec { input: [max, max, max], ..good },
        ConvSpec { input: [1 << 20, 1 << 20, 8], ..good },
        ConvSpec { window: Window::new([1, 9, 3]), ..good },
        ConvSpec { window: Window::new([0, 3, 3]), ..good },
        ConvSpec { window: good.window.with_stride([1, 0, 1]), ..good },
        ConvSpec { window: good.window.with_dilation([1, max, 1]), ..good },
        ConvSpec { window: good.window.with_pads([0; 3], [0, max, 0]), ..good },
        ConvSpec { window: good.window.with_pads([0, 1 << 20, 1 << 20], [0; 3]), ..good },
    ];
    for spec in bad {
        assert!(matches!(ConvGeometry::new(spec), Err(Error::InvalidInput { .. })), "{spec:?}");
    }
    let pool = PoolSpec {
        batch: 1,
        channels: 1,
        input: [1, 1, 1],
        window: Window::new([1, 2, 1]).with_dilation([1, 2, 1]).with_pads([0, 1, 0], [0, 1, 0]),
        count_include_pad: true,
    };
    assert!(PoolGeometry::new(pool).is_err(), "no tap of the window touches the input");
    let far = Window::new([1, 1, 1]).with_pads([0; 3], [0, 1, 0]);
    assert!(PoolGeometry::new(PoolSpec { window: far, ..pool }).is_err());
    assert!(LinearGeometry::new(1, 0, 5).is_err());
    assert!(LinearGeometry::new(max, 2, 5).is_err());
}

#[test]
fn lengths_that_do_not_fit_are_misuse() {
    let geometry = ConvGeometry::new(ConvSpec {
        batch: 1,
        in_channels: 2,
        out_channels: 1,
        groups: 1,
        input: [1, 3, 3],
        window: Window::new([1, 2, 2]),
    })
    .unwrap();
    let (image, mut out) = (vec![0u64; 18], vec![0; 32]);
    assert!(geometry.im2col(&image, 0, 0..4, 0, &mut out).is_ok());
    assert!(geometry.im2col(&image[1..], 0, 0..4, 0, &mut out).is_err());
    assert!(geometry.im2col(&image, 1, 0..4, 0, &mut out).is_err());
    assert!(geometry.im2col(&image, 0, 1..5, 0, &mut out).is_err());
    assert!(geometry.im2col(&image, 0, 0..3, 0, &mut out).is_err());
    assert!(geometry.patch_row(&image, 0, 7, 0..4, 0, &mut out[..4]).is_ok());
    assert!(geometry.patch_row(&image[1..], 0, 7, 0..4, 0, &mut out[..4]).is_err());
    assert!(geometry.patch_row(&image, 1, 7, 0..4, 0, &mut out[..4]).is_err());
    assert!(geometry.patch_row(&image, 0, 8, 0..4, 0, &mut out[..4]).is_err());
    assert!(geometry.patch_row(&image, 0, 7, 1..5, 0, &mut out[..4]).is_err());
    assert!(geometry.patch_row(&image, 0, 7, 0..4, 0, &mut out[..3]).is_err());
}

#[test]
fn deserialised_shapes_are_checked() {
    let linear = LinearGeometry::new(2, 3, 5).unwrap();
    let bytes = postcard::to_allocvec(&linear).unwrap();
    assert_eq!(postcard::from_bytes::<LinearGeometry>(&bytes).unwrap(), linear);
    assert!(postcard::from_bytes::<LinearGeometry>(&[2, 0, 5]).is_err());
}
