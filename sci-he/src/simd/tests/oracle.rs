//! Slots, rotations and products against those of an independent BFV.

use super::*;
use crate::oracle::Oracle;
use crate::sample;
use crate::simd::keys::RotationKey;
use crate::simd::switch::Switcher;

const SMALL: u64 = 65_537;

/// A plaintext of one block of slots turned by `by` in both rows.
fn turned(slots: &[u64], by: usize) -> Vec<u64> {
    let row = slots.len() / 2;
    let turn = |half: &[u64]| (0..row).map(|s| half[(s + by) % row]).collect::<Vec<_>>();
    [turn(&slots[..row]), turn(&slots[row..])].concat()
}

/// 3^i = 5^k modulo 2N for the i that is returned: `fhe` numbers its slots by powers of 3, we by powers of 5,
/// and every even k has one.
fn amount(degree: usize, k: usize) -> usize {
    let power = |base: usize, times: usize| (0..times).fold(1, |p, _| p * base % (2 * degree));
    let (mut i, mut three) = (0, 1);
    while three != power(5, k) {
        (i, three) = (i + 1, three * 3 % (2 * degree));
        assert!(i < degree, "5^{k} is no power of 3");
    }
    i
}

#[test]
fn another_implementation_agrees() {
    let field = Field::new(SMALL).unwrap();
    let layer = Layer::elementwise(&[8192], &[8192], field, 1 << 11, Privacy::default()).unwrap();
    let context = layer.context();
    let n = context.n();
    let mut prg = Prg::new(52u128.into());
    let mut ternary = vec![0; n];
    sample::ternary(&mut prg, &mut ternary);
    let secret = SecretKey::from_ternary(context, &ternary);
    let other = Oracle::new(context.params().primes(), SMALL, &ternary);
    let mut draw = || {
        let mut slots = vec![0; n];
        field.sample_into(&mut prg, &mut slots);
        slots
    };
    let (x, w) = (draw(), draw());
    let product: Vec<u64> = x.iter().zip(&w).map(|(&x, &w)| field.mul(x, w)).collect();
    let (encoded, factor) = (context.encode(&x), context.encode(&w));
    // Its slots are ours in another order, the same for every vector.
    let places = context.decode(other.slots(&(0..n as u64).collect::<Vec<_>>()).into());
    let slots = context.decode(other.slots(&x).into());
    assert!(slots.iter().zip(places.iter()).all(|(&value, &place)| value == x[place as usize]));
    let mut sorted = places.to_vec();
    sorted.sort_unstable();
    assert!(sorted.iter().enumerate().all(|(i, &place)| place == i as u64));
    // Their products of polynomials are products of our slots.
    let theirs = other.encrypt(&encoded);
    let decode = |poly: Vec<u64>| context.decode(poly.into()).to_vec();
    assert_eq!(decode(other.decrypt(&other.times(&theirs, &factor))), product);
    let mut ordered = vec![0; n];
    places.iter().zip(&w).for_each(|(&place, &w)| ordered[place as usize] = w);
    assert_eq!(decode(other.decrypt(&other.times_slots(&theirs, &ordered))), product);
    // Their automorphisms are our rotations, and ours with our keys decrypt under their scheme.
    let mut prg = Prg::new(53u128.into());
    let request = secret.encrypt(context, &encoded, &mut prg);
    let ours = Ciphertext::receive(context, &request, None).unwrap();
    let coefficients = |ciphertext: &Ciphertext| {
        let (mut c0, mut c1) = (ciphertext.c0.clone(), ciphertext.c1.clone());
        context.inverse(0, &mut c0);
        context.inverse(0, &mut c1);
        other.ciphertext([&c0, &c1])
    };
    assert_eq!(decode(other.decrypt(&coefficients(&ours))), x);
    let circuit = layer.packing.circuit();
    let mut switcher = Switcher::new(context);
    switcher.decompose(&ours);
    for k in [2, 46] {
        let keys = other.rotations(amount(n, k));
        let turns = keys.rotates_columns_by(&theirs, amount(n, k)).unwrap();
        assert_eq!(decode(other.decrypt(&turns)), turned(&x, k));
        let element = circuit.rotation(k);
        let key = secret.rotation_key(context, element, &mut prg);
        let key = RotationKey::receive(context, element, &key).unwrap();
        let rotated = switcher.rotate(&ours, &key);
        assert_eq!(decode(other.decrypt(&coefficients(&rotated))), turned(&x, k));
    }
    let keys = other.rotations(amount(n, 2));
    let exchanged = [&x[n / 2..], &x[..n / 2]].concat();
    assert_eq!(decode(other.decrypt(&keys.rotates_rows(&theirs).unwrap())), exchanged);
    let key = secret.rotation_key(context, circuit.exchange(), &mut prg);
    let key = RotationKey::receive(context, circuit.exchange(), &key).unwrap();
    let rotated = switcher.rotate(&ours, &key);
    assert_eq!(decode(other.decrypt(&coefficients(&rotated))), exchanged);
}
