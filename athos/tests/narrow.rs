//! Fewer significant bits: certain ones never change a result, observed ones change none where they hold.

mod support;

use athos::calibration::outside;
use athos::llil::range::Ranges;
use athos::llil::{Op, Precision, Sign};
use athos::passes::narrow;
use athos::testing::{Numbers, random_input, random_program};
use athos::{Calibration, CompileOptions, Limits, Program, cleartext, compile};
use sci_core::AnyDomain;
use support::{Model, ints, residual};

/// A random program that looks at all bits and knows no sign.
fn wide(seed: u64, domain: AnyDomain) -> Program {
    let mut program = random_program(seed, domain).unwrap();
    for instruction in &mut program.public.instructions {
        instruction.precision = Precision::Full;
        if let Op::Truncate { sign, .. } | Op::AvgPool { sign, .. } = &mut instruction.op {
            *sign = Sign::Unknown;
        }
    }
    program
}

fn narrowed(program: &Program, observed: Option<&Calibration>) -> Program {
    let mut public = program.public.clone();
    public.instructions = narrow(&public, observed).unwrap();
    let narrowed = Program { public, weights: program.weights.clone() };
    narrowed.check(&Limits::default()).unwrap();
    narrowed
}

fn precisions(program: &Program) -> usize {
    let instructions = &program.public.instructions;
    instructions.iter().filter(|x| x.precision != Precision::Full).count()
}

fn signs(program: &Program) -> usize {
    let known = |op: &Op| match op {
        Op::Truncate { sign, .. } | Op::AvgPool { sign, .. } => *sign == Sign::NonNegative,
        _ => false,
    };
    program.public.instructions.iter().filter(|x| known(&x.op)).count()
}

#[test]
fn certain_bits_change_nothing_on_any_input() {
    let (mut bits, mut known) = (0, 0);
    for domain in [AnyDomain::ring(16), AnyDomain::ring(37), AnyDomain::ring(64)] {
        let domain = domain.unwrap();
        for seed in 0..200 {
            let program = wide(seed, domain);
            let narrow = narrowed(&program, None);
            bits += precisions(&narrow);
            known += signs(&narrow);
            for k in 0..3 {
                let input = random_input(seed + 1000 * k, &program.public).unwrap();
                assert_eq!(
                    cleartext::run(&narrow, &input).unwrap(),
                    cleartext::run(&program, &input).unwrap(),
                    "before:\n{}\nafter:\n{}",
                    program.public,
                    narrow.public
                );
                // Every certain range holds.
                let public = &narrow.public;
                let ranges = Ranges::of(domain, public.weight_bits, &public.instructions).unwrap();
                let AnyDomain::Ring(ring) = domain else { unreachable!() };
                cleartext::run_observed(&narrow, &input, |step| {
                    let id = athos::llil::TensorId(step.index as u32);
                    let range = ranges.get(id).unwrap();
                    for &x in step.value {
                        use sci_core::Domain;
                        let unused = 64 - range.view;
                        let seen = (((ring.to_signed(x) as u64) << unused) as i64) >> unused;
                        let held = (range.low..=range.high).contains(&i128::from(seen));
                        assert!(held, "%{} = {seen}: {range:?}\n{public}", step.index);
                    }
                })
                .unwrap();
            }
        }
    }
    assert!(bits > 100 && known > 40, "{bits} {known}");
}

/// An input of few bits.
fn small(seed: u64, program: &Program) -> Vec<i64> {
    let mut numbers = Numbers::new(seed);
    (0..program.public.input().unwrap().len()).map(|_| numbers.signed(5)).collect()
}

#[test]
fn observed_bits_change_nothing_where_they_were_observed() {
    let (mut fewer, mut left, mut differ) = (0, 0, 0);
    for seed in 0..200 {
        let program = wide(seed, AnyDomain::ring(41).unwrap());
        let mut observed = Calibration::new(&program, 0);
        for k in 0..3 {
            observed.observe(&program, &small(seed + k, &program)).unwrap();
        }
        let narrow = narrowed(&program, Some(&observed));
        fewer += precisions(&narrow);
        for k in 0..3 {
            let input = small(seed + k, &program);
            let (before, after) =
                (cleartext::run(&program, &input), cleartext::run(&narrow, &input));
            assert_eq!(after.unwrap(), before.unwrap(), "{}", narrow.public);
            assert_eq!(outside(&narrow, &input).unwrap(), [], "{}", narrow.public);
        }
        // Outside of them it is told where, if there is any difference.
        let input = random_input(seed, &program.public).unwrap();
        let changed =
            cleartext::run(&program, &input).unwrap() != cleartext::run(&narrow, &input).unwrap();
        let outside = outside(&narrow, &input).unwrap();
        assert!(!changed || !outside.is_empty(), "{}", narrow.public);
        left += usize::from(!outside.is_empty());
        differ += usize::from(changed);
    }
    assert!(fewer > 200 && left > 50 && differ > 20, "{fewer} {left} {differ}");
}

#[test]
fn a_margin_leaves_room() {
    let options = CompileOptions::new(AnyDomain::ring(41).unwrap(), 12);
    let program = compile(&residual().encode(), &options).unwrap();
    let bits = |margin: u32| -> u32 {
        let mut observed = Calibration::new(&program, margin);
        observed.observe(&program, &[100; 72]).unwrap();
        let narrow = narrowed(&program, Some(&observed));
        let bits = narrow.public.instructions.iter().map(|x| match x.precision {
            Precision::Full => 41,
            Precision::Bits(k) => k,
        });
        bits.sum()
    };
    assert!(bits(0) < bits(1) && bits(1) < bits(6) && bits(6) < bits(41));
    let mut own = program.public.clone();
    own.instructions = narrow(&own, None).unwrap();
    assert_eq!(own, program.public, "what is certain was found while compiling");
}

#[test]
fn a_network_is_narrowed_layer_by_layer() {
    let domain = AnyDomain::ring(41).unwrap();
    let mut program = compile(&residual().encode(), &CompileOptions::new(domain, 12)).unwrap();
    let wide = program.to_bytes().unwrap();
    let input: Vec<i64> = (0..72).map(|i| i * 50 - 1800).collect();
    let mut observed = Calibration::new(&program, 1);
    observed.observe(&program, &input).unwrap();
    athos::narrow(&mut program, &observed, &Limits::default()).unwrap();
    let text = program.public.to_string();
    for (op, needle) in [
        ("Relu", "relu1"),
        ("MaxPool", "pool1"),
        ("Truncate", "conv1"),
        ("Relu", "relu2"),
        ("ArgMax", "probabilities"),
    ] {
        let line = text.lines().find(|line| line.contains(op) && line.ends_with(needle));
        assert!(line.is_some_and(|line| line.contains(" bits : ")), "{op} {needle}:\n{text}");
    }
    // The sign that the ReLU made known stays known in as many bits.
    assert!(text.contains("by 12, x >= 0 in "), "{text}");
    let wide = Program::from_bytes(&wide, &Limits::default()).unwrap();
    assert_eq!(cleartext::run(&program, &input).unwrap(), cleartext::run(&wide, &input).unwrap());
    let other = Calibration::new(&self::wide(1, domain), 0);
    assert!(athos::narrow(&mut program, &other, &Limits::default()).is_err());
}

#[test]
fn relus_side_by_side_look_at_the_same_bits() {
    let model = Model::new(13)
        .input("x", &[1, 2, 4, 4])
        .ramp("small", &[2, 2, 1, 1], 0.01)
        .ramp("large", &[2, 2, 1, 1], 1.0)
        .node("Conv", &["x", "small"], "a")
        .node("Conv", &["x", "large"], "b")
        .node("Relu", &["a"], "r")
        .node("Relu", &["b"], "s")
        .node_with("Concat", &["r", "s"], "c", vec![support::int("axis", 1)])
        .ramp("last", &[2, 4, 1, 1], 0.1)
        .node("Conv", &["c", "last"], "y")
        .output("y");
    let mut options = CompileOptions::new(AnyDomain::ring(41).unwrap(), 12);
    let relus =
        |program: &Program| program.public.instructions.iter().filter(|x| x.op == Op::Relu).count();
    assert_eq!(relus(&compile(&model.encode(), &options).unwrap()), 1, "one layer by default");
    options.skip = vec!["sink-relu-below-concat".into()];
    let mut program = compile(&model.encode(), &options).unwrap();
    assert_eq!(relus(&program), 2);
    let mut observed = Calibration::new(&program, 0);
    observed.observe(&program, &(0..32).map(|i| i * 300 - 4800).collect::<Vec<_>>()).unwrap();
    athos::narrow(&mut program, &observed, &Limits::default()).unwrap();
    let bits = |name: &str| {
        let found = program.public.instructions.iter().find(|x| x.name == name && x.op == Op::Relu);
        found.map(|x| x.precision)
    };
    assert!(matches!(bits("r"), Some(Precision::Bits(_))), "{}", program.public);
    assert_eq!(bits("r"), bits("s"), "{}", program.public);
    assert_eq!(signs(&program), 1, "{}", program.public);
}

#[test]
fn a_field_keeps_all_bits_and_learns_signs() {
    let field = sci_core::Field::new(137_438_822_401).unwrap();
    let model = Model::new(13)
        .input("x", &[1, 1, 4, 4])
        .node("Relu", &["x"], "r")
        .ramp("w", &[1, 1, 1, 1], 0.5)
        .node_with("Conv", &["r", "w"], "c", vec![ints("pads", &[0, 0, 0, 0])])
        .node("Relu", &["c"], "s")
        .node("GlobalAveragePool", &["s"], "y")
        .output("y");
    let mut options = CompileOptions::new(AnyDomain::Field(field), 12);
    options.output = athos::OutputForm::Logits;
    let program = compile(&model.encode(), &options).unwrap();
    assert_eq!(precisions(&program), 0);
    assert!(signs(&program) >= 1, "{}", program.public);
}

/// Two windows far apart, each of numbers that are close to each other.
fn windows(middles: [i64; 2], spread: i64) -> Vec<i64> {
    let [a, b] = middles;
    vec![a, a + 1, b, b, a, a + spread, b, b - spread]
}

#[test]
fn maxima_need_the_bits_of_what_they_compare() {
    let model = Model::new(13).input("x", &[1, 1, 2, 4]).node_with(
        "MaxPool",
        &["x"],
        "y",
        vec![ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])],
    );
    let mut options = CompileOptions::new(AnyDomain::ring(41).unwrap(), 12);
    options.output = athos::OutputForm::Logits;
    let mut program = compile(&model.output("y").encode(), &options).unwrap();
    let full = program.public.readings();
    assert_eq!((full[0].numbers, full[0].bits, full[0].full()), (6, 41, 6 * 41));
    let mut observed = Calibration::new(&program, 0);
    observed.observe(&program, &windows([90_000, -90_000], 3)).unwrap();
    assert_eq!(observed.derived(athos::llil::TensorId(1)), Some((-3, 3)));
    athos::narrow(&mut program, &observed, &Limits::default()).unwrap();
    let narrow = program.public.readings();
    assert_eq!((narrow[0].op, narrow[0].bits, narrow[0].read()), ("MaxPool", 3, 18));
    // Far from what was seen, and still inside; then one window with a larger difference.
    let input = windows([-500_000, 12], 3);
    assert_eq!(outside(&program, &input).unwrap(), []);
    assert_eq!(cleartext::run(&program, &input).unwrap(), [-499_997, 12]);
    let input = windows([90_000, -90_000], 4);
    let left = outside(&program, &input).unwrap();
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!((left[0].name.as_str(), left[0].bits, left[0].needed), ("y", 3, 4));
}

/// An instruction is named exactly if what it reads in its bits is not what is there.
#[test]
fn nothing_is_named_that_reads_what_is_there() {
    use sci_core::Domain;
    let (mut named, mut silent) = (0, 0);
    for seed in 0..300 {
        let domain = AnyDomain::ring(41).unwrap();
        let AnyDomain::Ring(ring) = domain else { unreachable!() };
        let program = wide(seed, domain);
        let mut observed = Calibration::new(&program, 0);
        observed.observe(&program, &small(seed, &program)).unwrap();
        let narrow = narrowed(&program, Some(&observed));
        let input = random_input(seed, &program.public).unwrap();
        let named_at: Vec<usize> =
            outside(&narrow, &input).unwrap().into_iter().map(|x| x.index).collect();
        let mut values: Vec<Vec<u64>> = Vec::new();
        cleartext::run_observed(&narrow, &input, |step| {
            let x = step.instruction;
            if let (Op::Relu | Op::Truncate { .. } | Op::AvgPool { .. }, Precision::Bits(bits)) =
                (&x.op, x.precision)
            {
                let unused = 64 - bits;
                let mut read = values[x.inputs[0].index()].clone();
                if let Op::AvgPool { geometry, .. } = &x.op {
                    read = geometry.sums(ring, &read).unwrap();
                }
                let wrong = read.iter().any(|&v| {
                    let seen = ((v << unused) as i64) >> unused;
                    seen != ring.to_signed(v)
                });
                assert_eq!(
                    wrong,
                    named_at.contains(&step.index),
                    "%{}\n{}",
                    step.index,
                    narrow.public
                );
                named += usize::from(wrong);
                silent += usize::from(!wrong);
            }
            values.push(step.value.clone());
        })
        .unwrap();
    }
    assert!(named > 50 && silent > 50, "{named} {silent}");
}
