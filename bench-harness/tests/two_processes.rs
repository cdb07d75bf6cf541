//! Parties as processes of the built binary: results are right, payload and rounds are those of the formulas.

use bench_harness::job::{DomainSpec, Function, Job, Protocol};
use bench_harness::pair::Pair;

const PROGRAM: &str = env!("CARGO_BIN_EXE_sci-bench-party");

fn job(function: Function, domain: DomainSpec, protocol: Protocol) -> Job {
    Job { function, domain, protocol, elements: 100, link: "loopback".into(), threads: 1 }
}

/// Two runs each: the parties themselves check the first result, [`Pair::run`] every run's payload and rounds.
fn runs(job: &Job) {
    let samples = Pair::start(PROGRAM, job).and_then(|mut pair| pair.run(2));
    let samples = samples.unwrap_or_else(|e| panic!("{job:?}: {e}"));
    assert_eq!(samples.len(), 2);
    assert!(samples.iter().all(|s| s.bytes[0] + s.bytes[1] > 0 && s.rounds > 0), "{samples:?}");
}

const PROTOCOLS: [Protocol; 4] = [
    Protocol::Iknp { radix: 4 },
    Protocol::Silent { radix: 4 },
    Protocol::Garbled,
    Protocol::GarbledSilent,
];

#[test]
fn every_function_by_every_protocol_over_rings() {
    for (i, function) in [
        Function::Compare,
        Function::Relu,
        Function::ReluPaperMux,
        Function::Truncate { shift: 12 },
        Function::TruncatePositive { shift: 12 },
        Function::Divide { d: 49 },
    ]
    .into_iter()
    .enumerate()
    {
        for protocol in [PROTOCOLS[i % 4], PROTOCOLS[(i + 2) % 4]] {
            runs(&job(function, DomainSpec::Ring(32), protocol));
        }
    }
}

#[test]
fn every_function_over_fields() {
    for (i, function) in
        [Function::Relu, Function::Truncate { shift: 3 }, Function::Divide { d: 49 }]
            .into_iter()
            .enumerate()
    {
        for protocol in [PROTOCOLS[i], PROTOCOLS[2]] {
            runs(&job(function, DomainSpec::Field(4_293_918_721), protocol));
        }
    }
}

#[test]
fn a_shaped_link_carries_the_same() {
    let link = "50,2".into();
    runs(&Job { link, ..job(Function::Relu, DomainSpec::Ring(16), Protocol::Garbled) });
}

#[test]
fn impossible_jobs_are_refused() {
    for job in [
        job(Function::Compare, DomainSpec::Field(17), Protocol::Garbled),
        job(Function::Relu, DomainSpec::Ring(65), Protocol::Garbled),
        job(Function::Relu, DomainSpec::Ring(32), Protocol::Iknp { radix: 0 }),
        Job {
            link: "string".into(),
            ..job(Function::Relu, DomainSpec::Ring(8), Protocol::Garbled)
        },
    ] {
        assert!(Pair::start(PROGRAM, &job).is_err(), "{job:?}");
    }
}
