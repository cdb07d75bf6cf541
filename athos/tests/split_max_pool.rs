//! Maxima along one axis after another: fewer comparisons, no deeper trees, the same maxima.

use athos::llil::{Builder, Op, Precision, TensorId};
use athos::passes::split_max_pool;
use athos::testing::Numbers;
use athos::{CompileOptions, Limits, OutputForm, Program, PublicProgram, Weights, cleartext, zoo};
use sci_core::AnyDomain;
use sci_core::geometry::{PoolGeometry, PoolSpec, Window};

fn domain() -> AnyDomain {
    AnyDomain::ring(24).unwrap()
}

/// A program that pools once.
fn pooled(spec: PoolSpec, precision: Precision) -> Program {
    let mut builder = Builder::new(domain(), vec![]);
    let shape = [&[spec.batch, spec.channels], spec.input.as_slice()].concat();
    let x = builder.push("x", Op::Input { shape, scale: 0 }, &[]).unwrap();
    let geometry = PoolGeometry::new(spec).unwrap();
    builder.push_narrow("pool", Op::MaxPool { geometry }, precision, &[x]).unwrap();
    let (instructions, weights) = builder.finish();
    let public = PublicProgram {
        name: "pool".into(),
        domain: domain(),
        scale: 0,
        weight_bits: 2,
        instructions,
        weights,
        output_form: OutputForm::Logits,
        preprocess: None,
    };
    public.check(&Limits::default()).unwrap();
    Program { public, weights: Weights::new(vec![]) }
}

fn split(program: &Program) -> Program {
    let public = program.public.clone();
    let (instructions, weights) =
        split_max_pool(public.domain, &public.instructions, public.weights.clone()).unwrap();
    let public = PublicProgram { instructions, weights, ..public };
    public.check(&Limits::default()).unwrap();
    Program { public, weights: Weights::new(vec![]) }
}

fn spec(input: [usize; 3], window: Window) -> PoolSpec {
    PoolSpec { batch: 1, channels: 1, input, window, count_include_pad: false }
}

fn text(program: &Program) -> String {
    program.public.instructions[1..].iter().map(|x| format!("{x}\n")).collect()
}

/// Before and after, and how many comparisons each takes.
fn both(input: [usize; 3], window: Window) -> (String, [u64; 2]) {
    let before = pooled(spec(input, window), Precision::Full);
    let after = split(&before);
    let counts = [&before, &after].map(|program| program.public.counts().maxima);
    (text(&after), counts)
}

#[test]
fn overlapping_windows_are_pooled_along_rows_and_then_along_columns() {
    let window = Window::new([1, 3, 3]).with_stride([1, 2, 2]);
    let (text, counts) = both([1, 9, 9], window);
    assert_eq!(
        text,
        "MaxPool %0 kernel 1x1x3 stride 1x1x2 : 1x1x1x9x4 @0  ; pool\n\
         MaxPool %1 kernel 1x3x1 stride 1x2x1 : 1x1x1x4x4 @0  ; pool\n"
    );
    assert_eq!(counts, [16 * 8, 9 * 4 * 2 + 16 * 2]);
    let (text, counts) = both([1, 4, 9], Window::new([1, 3, 3]).with_pads([0, 1, 1], [0, 1, 0]));
    assert_eq!(
        text,
        "MaxPool %0 kernel 1x1x3 pad 0x0x1..0x0x0 : 1x1x1x4x8 @0  ; pool\n\
         MaxPool %1 kernel 1x3x1 pad 0x1x0..0x1x0 : 1x1x1x4x8 @0  ; pool\n"
    );
    // Rows hold 2 or 3 of 3 taps: 23 of 8 windows; columns 10 of 4.
    assert_eq!(counts, [23 * 10 - 32, 4 * (23 - 8) + 8 * (10 - 4)]);
}

#[test]
fn three_axes_are_taken_in_the_cheapest_order() {
    // The shrinking axis goes first, whichever it is.
    let window = Window::new([3, 1, 3]).with_stride([2, 1, 1]);
    let (text, counts) = both([9, 2, 9], window);
    assert_eq!(
        text,
        "MaxPool %0 kernel 3x1x1 stride 2x1x1 : 1x1x4x2x9 @0  ; pool\n\
         MaxPool %1 kernel 1x1x3 : 1x1x4x2x7 @0  ; pool\n"
    );
    assert_eq!(counts, [56 * 8, 72 * 2 + 56 * 2]);
    // Each axis alone: as deep as all at once.
    let (text, counts) = both([4, 4, 4], Window::new([2, 2, 2]));
    assert_eq!(text.matches("MaxPool").count(), 3, "{text}");
    assert_eq!(counts, [27 * 7, 48 + 36 + 27]);
}

#[test]
fn windows_apart_and_deeper_trees_stay() {
    for (input, window) in [
        ([1, 8, 8], Window::new([1, 2, 2]).with_stride([1, 2, 2])),
        ([1, 9, 9], Window::new([1, 3, 3]).with_stride([1, 3, 3])),
        ([1, 9, 9], Window::new([1, 1, 3]).with_stride([1, 1, 2])),
        // Columns that no window reads would be pooled along the rows.
        ([1, 9, 9], Window::new([1, 3, 3]).with_stride([1, 4, 4])),
        // 3 + 3 comparisons one after another instead of 5; 6 instead of 5.
        ([1, 9, 9], Window::new([1, 5, 5])),
        ([9, 9, 9], Window::new([3, 3, 3])),
        ([1, 7, 7], Window::new([1, 7, 7])),
    ] {
        let before = pooled(spec(input, window), Precision::Full);
        assert_eq!(split(&before).public, before.public);
    }
    let window = Window::new([1, 3, 3]).with_stride([1, 2, 2]);
    let narrow = pooled(spec([1, 9, 9], window), Precision::Bits(9));
    assert_eq!(split(&narrow).public, narrow.public);
}

/// The maximum of every window, from the definition.
fn maxima(spec: &PoolSpec, x: &[i64]) -> Vec<i64> {
    let [depth, height, width] = spec.input;
    let output = PoolGeometry::new(*spec).unwrap().output();
    let Window { kernel, stride, dilation, pad_before, .. } = spec.window;
    let inside = |axis: usize, o: usize, k: usize, n: usize| {
        let at = (o * stride[axis] + k * dilation[axis]) as i64 - pad_before[axis] as i64;
        (0..n as i64).contains(&at).then_some(at as usize)
    };
    let mut maxima = Vec::new();
    for plane in x.chunks(depth * height * width) {
        for i in 0..output.iter().product::<usize>() {
            let o = [i / (output[1] * output[2]), i / output[2] % output[1], i % output[2]];
            let mut best = None;
            for d in (0..kernel[0]).filter_map(|k| inside(0, o[0], k, depth)) {
                for h in (0..kernel[1]).filter_map(|k| inside(1, o[1], k, height)) {
                    for w in (0..kernel[2]).filter_map(|k| inside(2, o[2], k, width)) {
                        best = best.max(Some(plane[(d * height + h) * width + w]));
                    }
                }
            }
            maxima.push(best.unwrap());
        }
    }
    maxima
}

/// Depth of the trees of a program's pools.
fn depth(program: &Program) -> u32 {
    let pools = program.public.instructions.iter().filter_map(|x| match &x.op {
        Op::MaxPool { geometry } => {
            (0..geometry.positions()).map(|p| geometry.member_count(p)).max()
        }
        _ => None,
    });
    pools.map(|members| (members as f64).log2().ceil() as u32).sum()
}

/// Strides, dilation and uneven padding, as rounding up makes it: what is below 0 never loses to padding.
#[test]
fn maxima_are_those_of_the_definition() {
    let mut numbers = Numbers::new(11);
    let (mut tried, mut apart) = (0, 0);
    while tried < 600 {
        let mut three = |low, high| [0; 3].map(|_| numbers.within(low, high));
        let window = Window::new(three(1, 4))
            .with_stride(three(1, 3))
            .with_dilation(three(1, 2))
            .with_pads(three(0, 2), three(0, 2));
        let input = three(1, 9);
        let batch = numbers.within(1, 2);
        let spec = PoolSpec { batch, channels: 2, ..spec(input, window) };
        if PoolGeometry::new(spec).is_err() {
            continue;
        }
        tried += 1;
        let before = pooled(spec, Precision::Full);
        let after = split(&before);
        let counts = [&before, &after].map(|program| program.public.counts().maxima);
        assert!(counts[1] <= counts[0] && depth(&after) <= depth(&before), "{}", text(&after));
        let unchanged = after.public == before.public;
        assert_eq!(unchanged, counts[1] == counts[0], "{}", text(&after));
        apart += usize::from(!unchanged);
        let len = before.public.input().unwrap().len();
        let input: Vec<i64> = (0..len).map(|_| numbers.within(0, 2000) as i64 - 1900).collect();
        let expected = maxima(&spec, &input);
        assert_eq!(cleartext::run(&before, &input).unwrap(), expected);
        assert_eq!(cleartext::run(&after, &input).unwrap(), expected, "{}", text(&after));
    }
    assert!(apart > 100, "{apart}");
}

/// Comparisons of maxima and ReLUs of a compiled network.
fn counts(name: &str, skip: &[&str]) -> (u64, u64) {
    let graph = zoo::find(name).unwrap().graph(zoo::Weights::Zero).unwrap();
    let mut options = CompileOptions::new(AnyDomain::ring(37).unwrap(), 12);
    options.output = OutputForm::Logits;
    options.skip = skip.iter().map(|name| (*name).to_owned()).collect();
    let counts = athos::compile_graph(graph, &options).unwrap().public.counts();
    (counts.maxima, counts.relus)
}

/// And as many ReLUs as in the papers.
#[test]
fn the_pools_of_known_networks_take_a_quarter_less() {
    let apart = ["sink-relu-below-concat"];
    let whole = ["sink-relu-below-concat", "split-max-pool"];
    let pool = |n: u64, m: u64, channels: u64| channels * (2 * n * m + 2 * m * m);
    let split = pool(113, 56, 64) + pool(56, 27, 128) + pool(27, 13, 256);
    assert_eq!(counts("squeezenet1_1", &apart), (split, 2_033_480));
    let all_at_once = 8 * (64 * 56 * 56 + 128 * 27 * 27 + 256 * 13 * 13);
    assert_eq!(counts("squeezenet1_1", &whole), (all_at_once, 2_033_480));
    // The first row and column of windows hold two taps of three: 167 along each axis of 56 windows,
    // 111 comparisons. All at once it would be 167^2 - 56^2.
    assert_eq!(counts("resnet50", &[]), (64 * (112 + 56) * 111, 9_006_592));
}

#[test]
fn instructions_behind_a_pool_find_their_operands() {
    let window = Window::new([1, 3, 3]).with_stride([1, 2, 2]);
    let geometry = PoolGeometry::new(spec([1, 5, 5], window)).unwrap();
    let mut builder = Builder::new(domain(), vec![]);
    let x = builder.push("x", Op::Input { shape: vec![1, 1, 5, 5], scale: 0 }, &[]).unwrap();
    let pool = builder.push("pool", Op::MaxPool { geometry }, &[x]).unwrap();
    let twice = builder.push("twice", Op::Add, &[pool, pool]).unwrap();
    builder.push("less", Op::Sub, &[twice, pool]).unwrap();
    let (instructions, weights) = builder.finish();
    let (after, _) = split_max_pool(domain(), &instructions, weights).unwrap();
    let inputs: Vec<&[TensorId]> = after.iter().map(|x| x.inputs.as_slice()).collect();
    let id = TensorId;
    assert_eq!(inputs, [&[][..], &[id(0)], &[id(1)], &[id(2), id(2)], &[id(3), id(2)]]);
}
