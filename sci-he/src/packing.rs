//! Packing: many responses with few wanted coefficients become one, by automorphisms (PackRLWEs).
//!
//! *What it does.* Up to 2^d responses, each wanted only at multiples of 2^d, become one ciphertext that
//! holds the wanted coefficient k of response j at k + rev(j), rev the reversal of the d bits of j. Level
//! i = d, ..., 1 joins two ciphertexts that hold theirs at multiples of 2^i:
//!
//! ```text
//! (even, odd)  ->  even + X^s·odd + g_i(even - X^s·odd),     s = 2^(i-1),  g_i: X -> X^(1 + 2N/2^i)
//! ```
//!
//! g_i fixes X^k for multiples k of 2^i and negates it for odd multiples of s, so that what is wanted is
//! doubled and whatever else stands at odd multiples of s cancels. It keeps the number of twos in an
//! exponent, hence what stands elsewhere stays elsewhere, and a later level removes it. The factor
//! 2^d is divided out beforehand, modulo q', exactly. A missing odd neighbour costs a doubling only.
//!
//! *At which modulus.* After flooding, the error may grow a little again, so a response is first rescaled
//! from q to q', a product of as few 31-bit primes as hold t and the error of packing: two for 37-bit
//! shares against the four of q. A key switch then takes 12 transforms, one at the modulus q 40, and the
//! keys of a level take 190 KiB, not 1.1 MiB; that is why packing follows the rescaling. Primes of 31
//! bits leave room that 28 would not (56 bits: three levels at most, or a third prime).
//!
//! *Key switching.* The digits of c1 are its residues, centred; a key for level i holds, for each digit
//! j, an encryption of S·g_i(s) under the prime p_j and of zero under all others, at the modulus S·q' with
//! the special prime S, by which the product is divided. Noise: [`crate::params`].
//!
//! *Privacy.* The unwanted coefficients of c0 are zero before packing, so that its input is what would
//! have been sent without it; packing is a function of that input and of public keys, and so tells the
//! client nothing more. The keys are encryptions of functions of the secret (circular security, as
//! always in this field) under fresh errors, and tell the server nothing.

mod keys;
mod tree;

pub(crate) use keys::packing_keys;
pub use keys::{PackingContext, PackingKeys};
pub(crate) use tree::{JoinScratch, Packed, reversed};

#[cfg(test)]
mod tests;
