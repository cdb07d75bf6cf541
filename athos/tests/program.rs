//! Programs as files and as messages of a peer; numbers that do not fit; what is secret.

mod support;

use athos::llil::{Builder, Op, Precision, Sign, TensorId, WeightRole};
use athos::testing::{Numbers, random_input, random_program};
use athos::{
    CompileOptions, Error, Limits, OutputForm, Preprocess, Program, PublicProgram, WeightId,
    Weights, cleartext, compile,
};
use sci_core::geometry::{PoolGeometry, PoolSpec, Window};
use sci_core::{AnyDomain, Field};
use support::{Model, residual};

fn ring(bits: u32) -> AnyDomain {
    AnyDomain::ring(bits).unwrap()
}

fn residual_program() -> Program {
    let mut options = CompileOptions::new(ring(32), 12);
    options.preprocess = Some(Preprocess {
        mean: vec![0.5],
        classes: ["a", "b", "c", "d"].map(String::from).to_vec(),
        ..Preprocess::default()
    });
    compile(&residual().encode(), &options).unwrap()
}

#[test]
fn blobs_and_files_round_trip() {
    let limits = Limits::default();
    for seed in 0..50 {
        for domain in [ring(13), ring(64), AnyDomain::Field(Field::new(65537).unwrap())] {
            let program = random_program(seed, domain).unwrap();
            let blob = program.public.to_blob().unwrap();
            assert_eq!(PublicProgram::from_blob(&blob, &limits).unwrap(), program.public);
            let bytes = program.to_bytes().unwrap();
            assert!(Program::recognise(&bytes));
            let again = Program::from_bytes(&bytes, &limits).unwrap();
            assert_eq!(again.public.digest().unwrap(), program.public.digest().unwrap());
            let input = random_input(seed, &program.public).unwrap();
            assert_eq!(
                cleartext::run(&again, &input).unwrap(),
                cleartext::run(&program, &input).unwrap()
            );
        }
    }
}

/// A table of zeros for any public program.
fn zeros(public: &PublicProgram) -> Weights {
    let tensors = public.weights.iter().map(|info| {
        let len = info.shape.iter().product();
        athos::program::WeightData::new(&info.name, &vec![0; len], public.bits_of(info)).unwrap()
    });
    Weights::new(tensors.collect())
}

#[test]
fn hostile_blobs_are_refused_or_run() {
    let limits = Limits {
        max_elements: 1 << 12,
        max_live_elements: 1 << 14,
        max_weights: 1 << 14,
        ..Limits::default()
    };
    let program = residual_program();
    let blob = program.public.to_blob().unwrap();
    assert!(PublicProgram::from_blob(&blob, &limits).is_ok());
    for len in 0..blob.len() {
        assert!(PublicProgram::from_blob(&blob[..len], &limits).is_err(), "{len} bytes");
    }
    assert!(PublicProgram::from_blob(&[&blob[..], &[0]].concat(), &limits).is_err());
    let mut numbers = Numbers::new(3);
    let mut accepted = 0;
    for _ in 0..40_000 {
        let mut damaged = blob.clone();
        for _ in 0..numbers.within(1, 2) {
            let at = numbers.within(0, damaged.len() - 1);
            damaged[at] = numbers.next_u64() as u8;
        }
        let Ok(public) = PublicProgram::from_blob(&damaged, &limits) else { continue };
        accepted += 1;
        if public.macs() < 1 << 20 {
            let weights = zeros(&public);
            let program = Program { public, weights };
            program.check(&limits).unwrap();
            let input = vec![0; program.public.input().unwrap().len()];
            cleartext::run(&program, &input).unwrap();
        }
    }
    assert!(accepted > 100, "names may change freely: {accepted}");
}

#[test]
fn damaged_files_are_refused_or_run() {
    let limits = Limits::default();
    let bytes = residual_program().to_bytes().unwrap();
    for len in 0..bytes.len() {
        assert!(Program::from_bytes(&bytes[..len], &limits).is_err(), "{len} bytes");
    }
    assert!(Program::from_bytes(&[&bytes[..], &[0]].concat(), &limits).is_err());
    assert!(Program::from_bytes(b"another file", &limits).is_err());
    // A weight of 14 bits that is set to 16.
    let mut damaged = bytes.clone();
    let program = residual_program();
    let table = bytes.len() - program.weights.to_bytes().len();
    damaged[table + 1] = 0x7f;
    let error = Program::from_bytes(&damaged, &limits).unwrap_err();
    assert!(matches!(&error, Error::Overflow { tensor, .. } if tensor == "conv1.w"), "{error}");
}

/// What is wrong with a program after an edit.
fn refused(edit: impl FnOnce(&mut PublicProgram)) -> String {
    let mut public = residual_program().public;
    edit(&mut public);
    let error = public.check(&Limits::default()).unwrap_err().to_string();
    let blob = public.to_blob().unwrap();
    assert!(PublicProgram::from_blob(&blob, &Limits::default()).is_err());
    error
}

#[test]
fn ill_typed_programs_are_refused() {
    let has = |error: String, needle: &str| assert!(error.contains(needle), "{error}");
    has(refused(|p| p.instructions[2].inputs[0] = TensorId(2)), "instruction 2 (pool1)");
    has(refused(|p| p.instructions[2].inputs[0] = TensorId(u32::MAX)), "instruction 2 (pool1)");
    has(refused(|p| p.instructions[2].inputs.clear()), "number of inputs");
    has(refused(|p| p.instructions[2].output.shape[0] = 2), "instruction 2 (pool1): output");
    has(refused(|p| p.instructions[2].output.scale = 3), "instruction 2 (pool1): output");
    has(refused(|p| p.instructions[2].precision = Precision::Bits(32)), "significant bits");
    has(refused(|p| p.instructions[2].precision = Precision::Bits(0)), "significant bits");
    has(refused(|p| p.instructions[1].precision = Precision::Bits(9)), "significant bits");
    has(refused(|p| p.instructions[4].precision = Precision::Bits(12)), "significant bits");
    // Nine bits of the ReLU's input are not enough to call it non-negative in all bits.
    has(refused(|p| p.instructions[3].precision = Precision::Bits(9)), "Truncate: expected a sign");
    has(
        refused(|p| p.instructions[4].op = Op::Truncate { shift: 25, sign: Sign::Unknown }),
        "shift: expected 1..=24, got 25",
    );
    has(
        refused(|p| p.instructions[4].op = Op::Truncate { shift: 32, sign: Sign::Unknown }),
        "a bitwidth of 33 works",
    );
    has(refused(|p| p.weights[0].role = WeightRole::Addend), "role of the weight");
    has(refused(|p| p.weights[0].shape.reverse()), "shape of the weight");
    has(refused(|p| p.weights[1].scale = 12), "scale of the bias");
    has(refused(|p| p.weights[0].shape = vec![usize::MAX, 2]), "conv1.w: weight");
    has(refused(|p| p.weights.truncate(2)), "one of 2");
    has(refused(|p| p.weight_bits = 0), "weight bits");
    has(refused(|p| p.weight_bits = 33), "weight bits");
    has(refused(|p| p.output_form = OutputForm::Logits), "last instruction");
    has(refused(|p| p.instructions.clear()), "an input as first instruction");
    has(refused(|p| drop(p.instructions.pop())), "last instruction");
    has(refused(|p| p.domain = ring(4)), "weight bits");
    let op = Op::AddWeight { weight: WeightId(7) };
    has(refused(|p| p.instructions[2].op = op), "weight: expected one of 6");
    has(refused(|p| p.instructions[12] = p.instructions[0].clone()), "one input");
    has(refused(|p| p.preprocess.as_mut().unwrap().scale = f64::NAN), "preprocess: scale");
}

/// Windows overlap: 4 million inputs and a million outputs, but 2^40 members.
#[test]
fn windows_with_too_many_members_are_refused() {
    let mut public = residual_program().public;
    let input = [1, 2047, 2047];
    let window = Window {
        kernel: [1, 1024, 1024],
        stride: [1; 3],
        dilation: [1; 3],
        pad_before: [0; 3],
        pad_after: [0; 3],
    };
    let spec = PoolSpec { batch: 1, channels: 1, input, window, count_include_pad: true };
    let geometry = PoolGeometry::new(spec).unwrap();
    for op in [Op::MaxPool { geometry }, Op::AvgPool { geometry, shift: 0, sign: Sign::Unknown }] {
        let mut builder = Builder::new(ring(32), vec![]);
        let shape = vec![1, 1, 2047, 2047];
        let x = builder.push("x", Op::Input { shape, scale: 0 }, &[]).unwrap();
        builder.push("pool", op, &[x]).unwrap();
        (public.instructions, public.weights) = builder.finish();
        public.output_form = OutputForm::Logits;
        let error = public.check(&Limits::default()).unwrap_err().to_string();
        let expected = "instruction 1 (pool): members of all windows: expected at most 536870912, \
            got 1099511627776";
        assert!(error.contains(expected), "{error}");
        let limits = Limits { max_window_members: 1 << 40, ..Limits::default() };
        public.check(&limits).unwrap();
    }
}

#[test]
fn the_public_part_holds_no_weight() {
    // Weights that no shape, index or default has by chance.
    let mut numbers = Numbers::new(11);
    let mut random = |n: usize| -> Vec<f32> {
        (0..n).map(|_| numbers.signed(24) as f32 / (1 << 22) as f32 + 0.37).collect()
    };
    let (w, b, v) = (random(10), random(5), random(5));
    let model = Model::new(13)
        .input("x", &[0, 2])
        .floats("w", &[5, 2], &w)
        .floats("b", &[5], &b)
        .floats("v", &[1, 5], &v)
        .node_with("Gemm", &["x", "w", "b"], "g", vec![support::int("transB", 1)])
        .node("Relu", &["g"], "r")
        .node("Mul", &["r", "v"], "y")
        .output("y");
    let program = compile(&model.encode(), &CompileOptions::new(ring(48), 16)).unwrap();
    assert_eq!(program.weights.len(), 3);
    let blob = program.public.to_blob().unwrap();
    let contains = |needle: &[u8]| blob.windows(needle.len()).any(|window| window == needle);
    for (id, floats) in [(0, &w), (1, &b), (2, &v)] {
        let integers = program.weights.get(WeightId(id)).unwrap().to_signed();
        let telling: Vec<_> =
            floats.iter().zip(integers).filter(|(_, v)| v.unsigned_abs() > 1 << 14).collect();
        assert!(!telling.is_empty());
        for (float, integer) in telling {
            assert!(!contains(&float.to_le_bytes()));
            assert!(!contains(&f64::from(*float).to_le_bytes()));
            assert!(!contains(&integer.to_le_bytes()[..3]), "{integer}");
            assert!(!contains(&postcard::to_allocvec(&integer).unwrap()[..3]), "{integer}");
        }
    }
    assert_eq!(format!("{:?}", program.weights), format!("{:?}", zeros(&program.public)));
}

fn overflow(bits: u32, scale: u32) -> (String, Option<u32>) {
    let domain = ring(bits);
    match compile(&residual().encode(), &CompileOptions::new(domain, scale)) {
        Err(Error::Overflow { tensor, bitwidth, .. }) => (tensor, bitwidth),
        other => panic!("{other:?}"),
    }
}

#[test]
fn numbers_that_do_not_fit_name_the_bitwidth_that_works() {
    assert_eq!(overflow(12, 12), ("scale".into(), Some(13)));
    let (tensor, bitwidth) = overflow(13, 12);
    assert!(["conv1.bias", "conv1"].contains(&&*tensor), "{tensor}");
    let (tensor, bits) = (0..40).fold((tensor, bitwidth.unwrap()), |(_, bits), _| {
        match compile(&residual().encode(), &CompileOptions::new(ring(bits), 12)) {
            Ok(_) => (String::new(), bits),
            Err(Error::Overflow { tensor, bitwidth, .. }) => {
                assert!(bitwidth.unwrap() > bits, "the hint grows");
                (tensor, bitwidth.unwrap())
            }
            Err(other) => panic!("{other}"),
        }
    });
    assert_eq!(tensor, "", "following the hints ends with a program, at {bits} bits");
    assert!((25..=28).contains(&bits), "{bits}");
    // A field: the truncation by 2^12 needs n > 6·2^12.
    let small = AnyDomain::Field(Field::new(20011).unwrap());
    assert!(compile(&residual().encode(), &CompileOptions::new(small, 12)).is_err());
    let large = AnyDomain::Field(Field::new(137438822401).unwrap());
    let program = compile(&residual().encode(), &CompileOptions::new(large, 12)).unwrap();
    let ring = compile(&residual().encode(), &CompileOptions::new(ring(40), 12)).unwrap();
    let input: Vec<i64> = (0..72).map(|i| i * 50 - 1800).collect();
    assert_eq!(
        cleartext::run(&program, &input).unwrap(),
        cleartext::run(&ring, &input).unwrap(),
        "nothing wraps in either"
    );
}

#[test]
fn inputs_that_do_not_fit_are_refused() {
    let program = residual_program();
    assert!(cleartext::run(&program, &[0; 71]).unwrap_err().to_string().contains("expected 72"));
    let error = cleartext::run(&program, &[1 << 31; 72]).unwrap_err();
    assert!(error.to_string().contains("a bitwidth of 33 works"), "{error}");
    let error = athos::quantise(&[1e6], 12, ring(32)).unwrap_err();
    assert!(error.to_string().contains("a bitwidth of 33 works"), "{error}");
    assert!(athos::quantise(&[f32::NAN], 12, ring(32)).is_err());
    assert_eq!(athos::quantise(&[-0.3, 0.3], 2, ring(8)).unwrap(), [-2, 1]);
    assert_eq!(athos::quantise(&[-8.0], 4, ring(8)).unwrap(), [-128]);
    assert!(athos::quantise(&[8.0], 4, ring(8)).is_err());
}

#[test]
fn the_executor_frees_what_is_dead() {
    let program = residual_program();
    let liveness = athos::llil::Liveness::of(&program.public.instructions);
    // The input and the first convolution are alive together and nothing else is.
    assert_eq!(liveness.peak_elements(), (2 + 3) * 36);
    let mut seen = 0;
    cleartext::run_observed(&program, &[0; 72], |step| {
        assert_eq!(step.index, seen);
        assert_eq!(step.value.len(), step.instruction.output.len());
        seen += 1;
    })
    .unwrap();
    assert_eq!(seen, program.public.instructions.len());
}
