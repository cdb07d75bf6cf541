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

const PROTOCOLS: [Protocol; 5] = [
    Protocol::Iknp { radix: 4 },
    Protocol::Silent { radix: 4 },
    Protocol::Garbled,
    Protocol::GarbledSilent,
    Protocol::GarbledThreeHalves,
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
    for protocol in &PROTOCOLS[..2] {
        runs(&job(Function::ReluTruncate { shift: 12 }, DomainSpec::Ring(41), *protocol));
    }
}

#[test]
fn products_of_fixed_and_floating_point() {
    let fixed = Function::MultiplyFixed { shift: 12 };
    for (function, bits, protocol) in [
        (Function::MultiplySingle, 32, Protocol::Garbled),
        (fixed, 32, Protocol::GarbledSilent),
        (fixed, 32, Protocol::Iknp { radix: 4 }),
        (fixed, 64, Protocol::Silent { radix: 4 }),
    ] {
        runs(&job(function, DomainSpec::Ring(bits), protocol));
    }
    for (function, domain, protocol) in [
        (Function::MultiplySingle, DomainSpec::Ring(31), Protocol::Garbled),
        (Function::MultiplySingle, DomainSpec::Ring(32), Protocol::Iknp { radix: 4 }),
        (fixed, DomainSpec::Field(65_537), Protocol::Garbled),
    ] {
        assert!(Pair::start(PROGRAM, &job(function, domain, protocol)).is_err());
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

/// Both phases are held to their formulas, and nothing is expanded online, by [`Pair::run`] itself.
#[test]
fn phases_before_the_input_is_there() {
    let field = DomainSpec::Field(4_293_918_721);
    for (function, domain, protocol) in [
        (Function::Relu, field, Protocol::GarbledAhead),
        (Function::Relu, DomainSpec::Ring(41), Protocol::GarbledAhead),
        (Function::Relu, field, Protocol::SilentAhead { radix: 4 }),
        (
            Function::ReluTruncate { shift: 12 },
            DomainSpec::Ring(41),
            Protocol::SilentAhead { radix: 2 },
        ),
    ] {
        let job = job(function, domain, protocol);
        let samples = Pair::start(PROGRAM, &job).and_then(|mut pair| pair.run(2));
        let samples = samples.unwrap_or_else(|e| panic!("{job:?}: {e}"));
        assert!(samples.iter().all(|s| s.offline_seconds > 0.0 && s.seconds > 0.0), "{samples:?}");
    }
    let other = Function::Divide { d: 49 };
    assert!(Pair::start(PROGRAM, &job(other, field, Protocol::GarbledAhead)).is_err());
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
        job(Function::ReluTruncate { shift: 12 }, DomainSpec::Ring(32), Protocol::Garbled),
        job(Function::ReluTruncate { shift: 3 }, DomainSpec::Field(65_537), PROTOCOLS[0]),
        job(Function::Relu, DomainSpec::Ring(32), Protocol::Iknp { radix: 0 }),
        Job {
            link: "string".into(),
            ..job(Function::Relu, DomainSpec::Ring(8), Protocol::Garbled)
        },
    ] {
        assert!(Pair::start(PROGRAM, &job).is_err(), "{job:?}");
    }
}
