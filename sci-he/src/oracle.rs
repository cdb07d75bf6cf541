//! An independent BFV, the crate `fhe`, for tests: our secrets and ciphertexts in its types and back.
//!
//! Its plaintext modulus has to be below its first prime, so that it checks moduli of up to 27 bits here.

use fhe::bfv::{
    BfvParameters, BfvParametersBuilder, Ciphertext, Encoding, EvaluationKey, EvaluationKeyBuilder,
    Plaintext, SecretKey,
};
use fhe_math::rq::traits::TryConvertFrom;
use fhe_math::rq::{Poly, Representation};
use fhe_traits::{DeserializeParametrized, FheDecoder, FheDecrypter, FheEncoder, FheEncrypter};
use prost::Message;
use std::sync::Arc;

/// A secret as `fhe` writes it.
#[derive(Clone, PartialEq, Message)]
struct Secret {
    #[prost(sint64, repeated, tag = "1")]
    coefficients: Vec<i64>,
}

/// The other implementation, with our secret.
pub(crate) struct Oracle {
    parameters: Arc<BfvParameters>,
    secret: SecretKey,
}

impl Oracle {
    /// For our degree, primes of q, plaintext modulus and ternary secret.
    pub(crate) fn new(primes: &[u32], t: u64, secret: &[i8]) -> Self {
        let moduli: Vec<u64> = primes.iter().map(|&p| p.into()).collect();
        assert!(t < moduli[0]);
        let mut builder = BfvParametersBuilder::new();
        builder.set_degree(secret.len()).set_moduli(&moduli).set_plaintext_modulus(t);
        let parameters = builder.build_arc().unwrap();
        let coefficients = secret.iter().map(|&s| s.into()).collect();
        let bytes = Secret { coefficients }.encode_to_vec();
        let secret = SecretKey::from_bytes(&bytes, &parameters).unwrap();
        Self { parameters, secret }
    }

    /// A ciphertext with these residues of c0 and c1, prime by prime, as coefficients.
    pub(crate) fn ciphertext(&self, halves: [&[u32]; 2]) -> Ciphertext {
        let context = self.parameters.context_at_level(0).unwrap();
        let polynomials = halves.map(|half| {
            let residues: Vec<u64> = half.iter().map(|&x| x.into()).collect();
            let form = Representation::PowerBasis;
            let mut poly = Poly::try_convert_from(residues, context, false, form).unwrap();
            poly.change_representation(Representation::Ntt);
            poly
        });
        Ciphertext::new(polynomials.to_vec(), &self.parameters).unwrap()
    }

    /// The residues of both halves as coefficients.
    pub(crate) fn halves(&self, ciphertext: &Ciphertext) -> [Vec<u32>; 2] {
        assert_eq!(ciphertext.len(), 2);
        [0, 1].map(|half| {
            let mut poly = ciphertext[half].clone();
            poly.change_representation(Representation::PowerBasis);
            Vec::<u64>::from(&poly).into_iter().map(|x| x as u32).collect()
        })
    }

    fn plaintext(&self, x: &[u64], encoding: Encoding) -> Plaintext {
        Plaintext::try_encode(x, encoding, &self.parameters).unwrap()
    }

    /// Its own encryption of plaintext coefficients.
    pub(crate) fn encrypt(&self, x: &[u64]) -> Ciphertext {
        let plaintext = self.plaintext(x, Encoding::poly());
        self.secret.try_encrypt(&plaintext, &mut rand::rng()).unwrap()
    }

    /// Its decryption to plaintext coefficients.
    pub(crate) fn decrypt(&self, ciphertext: &Ciphertext) -> Vec<u64> {
        let plaintext = self.secret.try_decrypt(ciphertext).unwrap();
        Vec::<u64>::try_decode(&plaintext, Encoding::poly()).unwrap()
    }

    /// Its product with a plaintext given by coefficients.
    pub(crate) fn times(&self, ciphertext: &Ciphertext, w: &[u64]) -> Ciphertext {
        ciphertext * &self.plaintext(w, Encoding::poly())
    }

    /// Its product of the slots of a ciphertext with plaintext slots.
    pub(crate) fn times_slots(&self, ciphertext: &Ciphertext, w: &[u64]) -> Ciphertext {
        ciphertext * &self.plaintext(w, Encoding::simd())
    }

    /// The coefficients of the plaintext that has these slots.
    pub(crate) fn slots(&self, values: &[u64]) -> Vec<u64> {
        let plaintext = self.plaintext(values, Encoding::simd());
        let ciphertext: Ciphertext = self.secret.try_encrypt(&plaintext, &mut rand::rng()).unwrap();
        self.decrypt(&ciphertext)
    }

    /// Its keys for X -> X^(3^amount), and for X -> X^-1.
    pub(crate) fn rotations(&self, amount: usize) -> EvaluationKey {
        let mut builder = EvaluationKeyBuilder::new(&self.secret).unwrap();
        builder.enable_column_rotation(amount).unwrap().enable_row_rotation().unwrap();
        builder.build(&mut rand::rng()).unwrap()
    }
}
