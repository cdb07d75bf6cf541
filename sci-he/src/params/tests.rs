use super::*;
use sci_core::Field;

fn demand(bits: u32, weight_bits: u32, terms: u64, privacy: Privacy) -> Demand<Ring> {
    let domain = Ring::new(bits).unwrap();
    Demand { domain, weight_bound: 1 << (weight_bits - 1), terms, privacy }
}

const TERMS: [u64; 4] = [576, 4608, 36864, 131_072];

#[test]
fn the_largest_bitwidths_are_pinned() {
    let table = |degree, privacy| {
        [12, 14, 16].map(|weight_bits| {
            TERMS.map(|terms| largest_bitwidth(&demand(37, weight_bits, terms, privacy), degree))
        })
    };
    let pinned = [[48, 47, 45, 44], [46, 45, 43, 42], [44, 43, 41, 40]].map(|r| r.map(Some));
    assert_eq!(table(4096, Privacy::Coefficient), pinned);
    let pinned = [[34, 33, 31, 30], [32, 31, 29, 28], [30, 29, 27, 26]].map(|r| r.map(Some));
    assert_eq!(table(4096, Privacy::default()), pinned);
    assert_eq!(table(8192, Privacy::default()), [[Some(64); 4]; 3]);
}

#[test]
fn every_parameter_set_is_within_its_tables() {
    for (degree, limit) in SECURITY {
        for bits in [1, 8, 31, 37, 41, 60, 64] {
            for (weight_bits, terms) in [(1, 1), (12, 576), (16, 131_072), (31, 1 << 20)] {
                for privacy in [Privacy::Coefficient, Privacy::default()] {
                    let wanted = demand(bits, weight_bits, terms, privacy);
                    let Ok(params) = Params::new(wanted, degree) else { continue };
                    assert!(params.modulus_bits() <= f64::from(limit));
                    assert!(params.budget_used() < 1.0, "{params:?}");
                    let outputs = match privacy {
                        Privacy::Run { log2_outputs } => 1 << log2_outputs,
                        Privacy::Coefficient => 1,
                    };
                    assert!(params.distance(outputs) <= (-40f64).exp2());
                    assert!(params.error_rms() <= params.error_bound());
                    for (i, &p) in params.primes().iter().enumerate() {
                        assert!(p < 1 << 28 && (p as usize - 1).is_multiple_of(2 * degree));
                        assert!((2..p).take_while(|d| d * d <= p).all(|d| p % d != 0));
                        assert!(!params.primes()[..i].contains(&p));
                    }
                }
            }
        }
    }
}

#[test]
fn the_modulus_and_response_are_as_narrow_as_reckoned() {
    let params = Params::new(demand(37, 12, 4608, Privacy::default()), 8192).unwrap();
    assert_eq!(params.modulus_bits().ceil(), 112.0);
    // Without rounding a modulus of 110 bits would do, all of it sent.
    assert!((105..=108).contains(&params.request_bits()), "{}", params.request_bits());
    assert!((3.9..7.0).contains(&params.request_step().log2()), "{}", params.request_step());
    assert!((46..=48).contains(&params.c1_bits()) && (38..=40).contains(&params.c0_bits()));
}

#[test]
fn what_does_not_fit_is_refused_with_what_does() {
    let error = Params::new(demand(48, 12, 4608, Privacy::Coefficient), 4096).unwrap_err();
    assert!(error.to_string().contains("at most 47 bits"), "{error}");
    assert!(Params::new(demand(47, 12, 4608, Privacy::Coefficient), 4096).is_ok());
    let wide = Params::new(demand(37, 31, 1 << 40, Privacy::Run { log2_outputs: 40 }), 4096);
    assert!(wide.unwrap_err().to_string().contains("no bitwidth works"));
    for (weight_bound, terms, degree) in
        [(0, 1, 4096), (MAX_WEIGHT + 1, 1, 4096), (1, 0, 4096), (1, 1 << 41, 4096), (1, 1, 2048)]
    {
        let wrong = Demand { weight_bound, terms, ..demand(8, 2, 1, Privacy::Coefficient) };
        assert!(matches!(Params::new(wrong, degree), Err(Error::InvalidInput { .. })));
    }
    let endless = demand(8, 2, 1, Privacy::Run { log2_outputs: 41 });
    assert!(matches!(Params::smallest(endless), Err(Error::InvalidInput { .. })));
}

#[test]
fn the_smallest_degree_is_chosen_and_fields_work() {
    let coefficient = Params::smallest(demand(37, 12, 4608, Privacy::Coefficient)).unwrap();
    assert_eq!(coefficient.degree(), 4096);
    assert_eq!(Params::smallest(demand(37, 12, 4608, Privacy::default())).unwrap().degree(), 8192);
    let domain = Field::new(137_438_822_401).unwrap();
    let demand = Demand { domain, weight_bound: 2048, terms: 576, privacy: Privacy::Coefficient };
    assert_eq!(Params::smallest(demand).unwrap().degree(), 4096);
}

/// 2^28 - 2^16 + 1 and its multiples against moduli that are coprime to every prime of a request.
#[test]
fn no_prime_of_a_request_divides_the_plaintext_modulus() {
    const P: u64 = 268_369_921;
    let params = |n: u64| {
        let domain = Field::new(n).unwrap();
        let wanted = Demand { domain, weight_bound: 100, terms: 9, privacy: Privacy::default() };
        Params::new(wanted, 8192).unwrap()
    };
    let usual = params(P + 2);
    assert!(usual.primes().contains(&(P as u32)));
    for n in [P, 3 * P, (P - 1) * P] {
        let params = params(n);
        assert!(params.primes().iter().all(|&p| n % u64::from(p) != 0), "{n}");
        assert!(crate::cipher::Context::new(params).is_ok());
    }
    // All else stays: the next prime takes the place.
    assert_eq!(params(P).primes().len(), usual.primes().len());
    let forged = Params { primes: usual.primes.clone(), ..params(P) };
    assert!(matches!(crate::cipher::Context::new(forged), Err(Error::Misuse { .. })));
}
