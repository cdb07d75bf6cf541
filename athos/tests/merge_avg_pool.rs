//! Truncations merged into the averages behind them: where there is room, what it changes, and the way back.

use athos::calibration::outside;
use athos::llil::{Instruction, Op, Precision, Sign, parse};
use athos::passes::{AvgPoolMerge, merge_avg_pool, narrow, part_avg_pool};
use athos::testing::{Numbers, random_program};
use athos::{Calibration, Limits, Program, PublicProgram, Weights, cleartext};
use sci_core::{AnyDomain, Field};

/// Averages of what a ReLU leaves, truncated before.
fn text(domain: &str, window: &str, side: &str) -> String {
    format!(
        "program p over {domain}, scale 8, weights 8 bits\n\
         %0 = Input : 1x1x8x8 @16  ; x\n\
         %1 = Relu %0 : 1x1x8x8 @16  ; r\n\
         %2 = Truncate %1 by 8, x >= 0 : 1x1x8x8 @8  ; t\n\
         %3 = AvgPool %2 {window}, x >= 0 : 1x1x{side}x{side} @8  ; mean\n\
         output Logits\n"
    )
}

const TWO: &str = "kernel 1x2x2 stride 1x2x2";

fn program(text: &str) -> Program {
    let public = parse(text).unwrap();
    public.check(&Limits::default()).unwrap();
    Program { public, weights: Weights::new(vec![]) }
}

fn with(program: &Program, instructions: Vec<Instruction>) -> Program {
    let public = PublicProgram { instructions, ..program.public.clone() };
    let program = Program { public, weights: program.weights.clone() };
    program.check(&Limits::default()).unwrap();
    program
}

fn seen(program: &Program, input: &[i64], margin: u32) -> Calibration {
    let mut seen = Calibration::new(program, margin);
    seen.observe(program, input).unwrap();
    seen
}

fn inputs(seed: u64, len: usize, bits: u32) -> Vec<i64> {
    let mut numbers = Numbers::new(seed);
    (0..len).map(|_| numbers.signed(bits)).collect()
}

fn always(_: &AvgPoolMerge) -> bool {
    true
}

/// The merged program, if there is room on these inputs.
fn merged(program: &Program, input: &[i64], margin: u32) -> Option<Program> {
    let observed = seen(program, input, margin);
    let found = merge_avg_pool(&program.public, &observed, &always).unwrap();
    found.map(|instructions| with(program, instructions))
}

fn pools(program: &Program) -> usize {
    let shifted = |x: &&Instruction| matches!(x.op, Op::AvgPool { shift, .. } if shift > 0);
    program.public.instructions.iter().filter(shifted).count()
}

#[test]
fn a_truncation_goes_into_the_average_behind_it() {
    let apart = program(&text("2^37", TWO, "4"));
    let input = inputs(1, 64, 20);
    let observed = seen(&apart, &input, 1);
    let mut asked = Vec::new();
    let record = std::sync::Mutex::new(&mut asked);
    let instructions = merge_avg_pool(&apart.public, &observed, &|merge| {
        record.lock().unwrap().push(merge.clone());
        true
    });
    let merged = with(&apart, instructions.unwrap().unwrap());
    let printed = merged.public.to_string();
    assert!(
        printed.contains("%2 = AvgPool %1 kernel 1x2x2 stride 1x2x2 by 8 : 1x1x4x4 @8  ; mean"),
        "{printed}"
    );
    assert_eq!(parse(&printed).unwrap(), merged.public);
    // What the caller is asked about is what narrowing makes of both forms.
    let narrow_apart = narrow(&apart.public, Some(&observed)).unwrap();
    let narrow_merged = narrow(&merged.public, Some(&seen(&merged, &input, 1))).unwrap();
    assert_eq!(asked.len(), 1);
    assert_eq!((&asked[0].truncation, &asked[0].pool), (&narrow_apart[2], &narrow_apart[3]));
    assert_eq!(asked[0].merged.op, narrow_merged[2].op);
    let (Precision::Bits(expected), Precision::Bits(found)) =
        (asked[0].merged.precision, narrow_merged[2].precision)
    else {
        panic!("{asked:?}");
    };
    assert!(found <= expected && expected <= found + 1, "{expected} for {found}");
    // The way back, signs found again, is the program as it was but for a name.
    let mut parted = with(&merged, part_avg_pool(&merged.public).unwrap());
    parted.public.instructions = narrow(&parted.public, None).unwrap();
    parted.public.instructions[2].name = "t".into();
    assert_eq!(parted.public, apart.public);
}

/// floor(S/(d·2^s)), and what stood there before is this or one less.
#[test]
fn averages_are_rounded_once() {
    for domain in ["2^37", "137438822401"] {
        for (window, side) in
            [(TWO, 4), ("kernel 1x3x3 stride 1x2x2 pad 0x1x1..0x0x0", 4), ("kernel 1x8x8", 1)]
        {
            let apart = program(&text(domain, window, &side.to_string()));
            let mut less = [0, 0];
            for seed in 0..20 {
                let input = inputs(seed, 64, 20);
                let merged = merged(&apart, &input, 1).unwrap();
                let Op::AvgPool { geometry, shift, sign } = &merged.public.instructions[2].op
                else {
                    panic!("{}", merged.public);
                };
                assert_eq!((*shift, *sign), (8, Sign::Unknown));
                let before = cleartext::run(&apart, &input).unwrap();
                let after = cleartext::run(&merged, &input).unwrap();
                for (position, (before, after)) in before.iter().zip(&after).enumerate() {
                    let sum: i64 = geometry.members(position).map(|i| input[i].max(0)).sum();
                    let divisor = geometry.divisor(position) as i64 * 256;
                    assert_eq!(*after, sum.div_euclid(divisor), "{window} {position}");
                    assert!((0..=1).contains(&(after - before)), "{before} {after}");
                    less[(after - before) as usize] += 1;
                }
            }
            assert!(less[0] > 0 && less[1] > 0, "{window}: {less:?}");
        }
    }
}

#[test]
fn sums_need_room_to_spare() {
    // 64 numbers of up to 2^19: sums of up to 2^25, 26 bits with their sign.
    let input = vec![(1 << 19) - 1; 64];
    let fits = |bits: u32, margin: u32| {
        let apart = program(&text(&format!("2^{bits}"), "kernel 1x8x8", "1"));
        merged(&apart, &input, margin).is_some()
    };
    assert!(fits(27, 0) && !fits(26, 0), "one bit to spare at least");
    assert!(fits(27, 1) && fits(30, 4) && !fits(30, 5), "the margin");
    // One bit less than would do: truncated sums fit, so that nothing is wrong as it is.
    let apart = program(&text("2^26", "kernel 1x8x8", "1"));
    assert_eq!(cleartext::run(&apart, &input).unwrap(), [(1 << 11) - 1]);
}

#[test]
fn a_truncation_that_others_read_stays() {
    let read = text("2^37", TWO, "4").replace(
        "output",
        "%4 = Reshape %3 : 1x16 @8  ; a\n\
         %5 = Slice %2 from [0, 0, 0, 0] by [1, 1, 2, 2] : 1x1x4x4 @8  ; b\n\
         %6 = Reshape %5 : 1x16 @8  ; c\n\
         %7 = Add %4, %6 : 1x16 @8  ; y\noutput",
    );
    assert!(merged(&program(&read), &inputs(1, 64, 20), 1).is_none());
    // Nor does one merge that is not cheaper, or that another program was observed for.
    let apart = program(&text("2^37", TWO, "4"));
    let observed = seen(&apart, &inputs(1, 64, 20), 1);
    assert!(merge_avg_pool(&apart.public, &observed, &|_| false).unwrap().is_none());
    let other = program(&read);
    assert!(merge_avg_pool(&other.public, &observed, &always).is_err());
}

#[test]
fn text_and_files_refuse_what_is_no_merged_average() {
    let good = text("2^37", TWO, "4").replace("@8  ; mean", "@4  ; mean");
    let by = |shift: u32| good.replace(", x >= 0 : 1x1x4x4", &format!(" by {shift} : 1x1x4x4"));
    assert!(parse(&by(4)).is_ok());
    assert!(parse(&by(0)).is_err());
    // More than the scale has.
    assert!(parse(&by(9)).is_err());
    // A divisor of 64·2^12 needs 19 bits and more.
    let small = text("2^20", "kernel 1x8x8", "1").replace("by 8", "by 4").replace("@8", "@12");
    let small = small.replace(", x >= 0 : 1x1x1x1 @12", " by 12 : 1x1x1x1 @0");
    let error = parse(&small).unwrap_err().to_string();
    assert!(error.contains("21"), "{error}");
    // A sign that does not follow, and fewer bits where the division is no truncation.
    let check = |from: &str, to: &str| {
        let text = by(4).replace(from, to);
        parse(&text).unwrap().check(&Limits::default())
    };
    assert!(check("by 4 :", "by 4 in 20 bits :").is_ok());
    assert!(check("by 4 :", "by 4 in 6 bits :").is_err(), "as many bits as it drops");
    assert!(check("by 8, x >= 0", "by 8").is_ok());
    let nine = "kernel 1x3x3 stride 1x2x2 pad 0x1x1..0x0x0";
    assert!(check(TWO, nine).is_ok());
    let text = by(4).replace(TWO, nine).replace("by 4 :", "by 4 in 20 bits :");
    let error = parse(&text).unwrap().check(&Limits::default()).unwrap_err().to_string();
    assert!(error.contains("AvgPool"), "{error}");
}

/// Merged and narrowed, random programs compute what they compute merged, and go back.
#[test]
fn random_programs_are_merged_and_narrowed() {
    let (mut merges, mut fewer) = (0, 0);
    let field = AnyDomain::Field(Field::new((1 << 59) - 55).unwrap());
    for domain in [AnyDomain::ring(61).unwrap(), field] {
        for seed in 0..800 {
            let mut program = random_program(seed, domain).unwrap();
            for x in &mut program.public.instructions {
                x.precision = Precision::Full;
                if let Op::Truncate { sign, .. } | Op::AvgPool { sign, .. } = &mut x.op {
                    *sign = Sign::Unknown;
                }
            }
            program.public.instructions = part_avg_pool(&program.public).unwrap();
            program.check(&Limits::default()).unwrap();
            assert_eq!(pools(&program), 0);
            let input = inputs(seed, program.public.input().unwrap().len(), 6);
            let Some(merged) = merged(&program, &input, 0) else { continue };
            merges += pools(&merged);
            let before = program.public.instructions.len();
            assert_eq!(merged.public.instructions.len() + pools(&merged), before);
            assert_eq!(
                Program::from_bytes(&merged.to_bytes().unwrap(), &Limits::default())
                    .unwrap()
                    .public,
                merged.public
            );
            let observed = seen(&merged, &input, 0);
            let narrowed = with(&merged, narrow(&merged.public, Some(&observed)).unwrap());
            fewer += narrowed
                .public
                .instructions
                .iter()
                .filter(|x| matches!(x.op, Op::AvgPool { .. }) && x.precision != Precision::Full)
                .count();
            assert_eq!(outside(&narrowed, &input).unwrap(), [], "{}", narrowed.public);
            assert_eq!(
                cleartext::run(&narrowed, &input).unwrap(),
                cleartext::run(&merged, &input).unwrap(),
                "{}",
                narrowed.public
            );
        }
    }
    assert!(merges > 20 && fewer > 10, "{merges} {fewer}");
}
