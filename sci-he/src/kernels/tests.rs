use super::*;
use sci_core::{Block, Prg};

const P: u32 = 268_369_921;

fn draw(prg: &mut Prg, len: usize) -> Vec<u32> {
    (0..len).map(|i| if i % 5 == 0 { P - 1 } else { prg.next_u64() as u32 % P }).collect()
}

/// Against the definition, with more products than the accumulator holds, for what runs here, for AVX2 where a
/// processor has more, and for the portable loops.
#[test]
fn sums_of_products_are_their_definition() {
    let m = Modulus::new(P, 4096).unwrap();
    let mut prg = Prg::new(Block::from(1));
    for count in [0, 1, 3, 255, 256, 600] {
        let len = 2 * CHUNK;
        let all: Vec<[Vec<u32>; 3]> =
            (0..count).map(|_| [(); 3].map(|()| draw(&mut prg, len))).collect();
        let products: Vec<Product<'_>> =
            all.iter().map(|[w, x0, x1]| (w.as_slice(), x0.as_slice(), x1.as_slice())).collect();
        let mut out = [vec![7; len], vec![7; len]];
        let [out0, out1] = &mut out;
        dot(&m, 256, &products, out0, out1);
        let expected = |half: usize| -> Vec<u32> {
            (0..len)
                .map(|j| {
                    let sum: u128 = all
                        .iter()
                        .map(|factors| u128::from(factors[0][j]) * u128::from(factors[half][j]))
                        .sum();
                    (sum % u128::from(P)) as u32
                })
                .collect()
        };
        assert_eq!(out, [expected(1), expected(2)], "{count}");
        let products = &products[..count.min(255)];
        let sums = |dot: &dyn Fn(&mut [u64; CHUNK], &mut [u64; CHUNK])| {
            let mut sums = [[3; CHUNK]; 2];
            let [a0, a1] = &mut sums;
            dot(a0, a1);
            sums
        };
        let portable = sums(&|a0, a1| dot_portable(products, CHUNK, a0, a1));
        assert_eq!(sums(&|a0, a1| dot_block(products, CHUNK, a0, a1)), portable);
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") {
            #[expect(unsafe_code, reason = "calls a function whose features were just detected")]
            // SAFETY: the processor has AVX2.
            let avx2 = sums(&|a0, a1| unsafe { avx2::dot(products, CHUNK, a0, a1) });
            assert_eq!(avx2, portable);
        }
    }
}

#[test]
fn recentring_keeps_the_signed_value() {
    let (from, to) = (1_073_692_673, Modulus::new(P, 4096).unwrap());
    let wide = Modulus::new(from, 4096).unwrap();
    let x = [0, 1, from / 2, from / 2 + 1, from - 1];
    let mut out = [0; 5];
    recentre(P, &wide, &[0, 1, P / 2, P / 2 + 1, P - 1], &mut out);
    assert_eq!(out, [0, 1, P / 2, from - P / 2, from - 1]);
    // Between primes of one width.
    let other = Modulus::new(1_073_643_521, 4096).unwrap();
    recentre(from, &other, &x, &mut out);
    let p = other.p;
    assert_eq!(out, [0, 1, from / 2, p - from / 2, p - 1]);
    assert!(to.p < from);
}
