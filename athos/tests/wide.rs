//! A run over the integers gives the least bitwidth.

use athos::cleartext::{self, run_wide};
use athos::llil::Precision;
use athos::testing::{random_input, random_program};
use athos::{Error, Limits, OutputForm, Program};
use sci_core::AnyDomain;

/// The same program over Z_2^bits, if it is one, looking at all bits: a random program claims
/// precisions that nothing proves.
fn over(mut program: Program, bits: u32) -> Option<Program> {
    program.public.domain = AnyDomain::ring(bits).unwrap();
    for instruction in &mut program.public.instructions {
        instruction.precision = Precision::Full;
    }
    program.public.check(&Limits::default()).is_ok().then_some(program)
}

/// All tensors of a run over Z_2^bits.
fn tensors(program: &Program, input: &[i64]) -> Vec<Vec<u64>> {
    let mut all = Vec::new();
    cleartext::run_observed(program, input, |step| all.push(step.value.clone())).unwrap();
    all
}

#[test]
fn the_bitwidth_suffices_and_one_less_does_not() {
    let (mut enough, mut lost, mut kept, mut refused) = (0, 0, 0, 0);
    for bits in [6, 9, 13, 18] {
        let domain = AnyDomain::ring(bits).unwrap();
        for seed in 0..150 {
            let make = || random_program(seed, domain).unwrap();
            let input = random_input(seed, &make().public).unwrap();
            let run = match run_wide(&make(), &input) {
                Ok(run) => run,
                Err(Error::Overflow { bitwidth: None, .. }) => {
                    refused += 1;
                    continue;
                }
                Err(error) => panic!("{error}"),
            };
            assert_eq!(run.needed.len(), run.ranges.len());
            if let Some(program) = over(make(), run.bitwidth) {
                assert_eq!(
                    cleartext::run(&program, &input).unwrap(),
                    run.output,
                    "seed {seed}, {} bits:\n{}",
                    run.bitwidth,
                    program.public
                );
                enough += 1;
            }
            // One bit less: some tensor is not the true one any more, even where the output is.
            let less = run.bitwidth - 1;
            let fits = |&x: &i64| x >> (less.max(1) - 1) == x >> 63;
            let Some(program) = over(make(), less.max(1)).filter(|_| input.iter().all(fits)) else {
                continue;
            };
            let true_ones = tensors(&over(make(), 64).unwrap(), &input);
            let mask = (1u64 << less) - 1;
            let indices = program.public.output_form == OutputForm::ArgMax;
            let last = true_ones.len() - 1;
            let wrong = tensors(&program, &input).iter().zip(&true_ones).enumerate().any(
                |(i, (got, wanted))| {
                    let mask = if indices && i == last { u64::MAX } else { mask };
                    got.iter().zip(wanted).any(|(got, wanted)| *got != wanted & mask)
                },
            );
            // A logit may be looked at by nobody but the client.
            let seen = wrong || cleartext::run(&program, &input).unwrap() != run.output;
            *(if seen { &mut lost } else { &mut kept }) += 1;
        }
    }
    assert!(enough > 200, "{enough}");
    assert!(lost > 100 && kept * 10 < lost, "{lost} lost, {kept} kept");
    assert!(refused < 300, "{refused}");
}
