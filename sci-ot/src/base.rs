//! Base OT on Ristretto: random 1-of-2 OTs of 128-bit keys from public-key operations.
//!
//! **Functionality.** For i in 0..n the sender learns two uniform keys k_i^0, k_i^1; the receiver, with
//! choice bit c_i, learns k_i^{c_i} and nothing of the other.
//!
//! **Protocol** (Chou and Orlandi, "The Simplest Protocol for Oblivious Transfer", LATINCRYPT 2015).
//! The sender draws a and sends A = aG. The receiver draws b_i and sends B_i = b_i G + c_i A. The
//! keys are k_i^0 = H(i, A, B_i, a B_i) and k_i^1 = H(i, A, B_i, a B_i - a A); the receiver's is
//! H(i, A, B_i, b_i A). Secure against semi-honest parties under CDH in the Ristretto group, with
//! SHA-256 as a random oracle; the session identifier is hashed in, so that keys of two sessions are
//! unrelated.
//!
//! **Cost.** 32 bytes one way, then 32 n bytes back; 2 rounds; 2n scalar multiplications a party.

use curve25519_dalek::RistrettoPoint;
use curve25519_dalek::constants::RISTRETTO_BASEPOINT_TABLE;
use curve25519_dalek::ristretto::{CompressedRistretto, RistrettoBasepointTable};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::{Identity, IsIdentity};
use sci_core::channel::Stream;
use sci_core::{Bits, Block, Error, Prg, Result};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable};
use zeroize::Zeroizing;

const POINT: usize = 32;

/// The sender's side: `n` pairs of keys.
///
/// # Errors
/// [`Error::PeerMisbehaved`] if a point of the receiver is not a canonical Ristretto encoding;
/// [`Error::Link`] if the link fails.
pub fn send(
    stream: &mut Stream,
    session: &[u8; 32],
    n: usize,
    prg: &mut Prg,
) -> Result<Zeroizing<Vec<[Block; 2]>>> {
    let a = random_scalar(prg);
    let public = RISTRETTO_BASEPOINT_TABLE * &*a;
    let encoded = public.compress();
    stream.send(encoded.as_bytes())?;

    let reply = stream.recv("base OT points", n * POINT)?;
    let shift = Zeroizing::new(public * *a);
    let mut keys = Zeroizing::new(Vec::with_capacity(n));
    for (i, bytes) in reply.chunks_exact(POINT).enumerate() {
        let (wire, point) = decode(bytes, "base OT point of the receiver")?;
        let shared = Zeroizing::new(point * *a);
        let other = Zeroizing::new(*shared - *shift);
        keys.push([&shared, &other].map(|p| derive(session, i, &encoded, &wire, p)));
    }
    Ok(keys)
}

/// The receiver's side: one key for each choice bit.
///
/// # Errors
/// [`Error::PeerMisbehaved`] if the sender's point is not a canonical Ristretto encoding or is the
/// identity; [`Error::Link`] if the link fails.
pub fn receive(
    stream: &mut Stream,
    session: &[u8; 32],
    choices: &Bits,
    prg: &mut Prg,
) -> Result<Zeroizing<Vec<Block>>> {
    let (encoded, public) = {
        let first = stream.recv("base OT sender point", POINT)?;
        decode(&first, "base OT point of the sender")?
    };
    if public.is_identity() {
        return Err(Error::misbehaved("base OT point of the sender", "a point", "the identity"));
    }
    let table = RistrettoBasepointTable::create(&public);
    let mut keys = Zeroizing::new(Vec::with_capacity(choices.len()));
    let mut wire = Vec::with_capacity(choices.len() * POINT);
    for (i, choice) in choices.iter().enumerate() {
        let b = random_scalar(prg);
        let chosen = Choice::from(choice as u8);
        let offset =
            RistrettoPoint::conditional_select(&RistrettoPoint::identity(), &public, chosen);
        let point = (RISTRETTO_BASEPOINT_TABLE * &*b + offset).compress();
        let shared = Zeroizing::new(&table * &*b);
        keys.push(derive(session, i, &encoded, &point, &shared));
        wire.extend_from_slice(point.as_bytes());
    }
    stream.send(&wire)?;
    Ok(keys)
}

fn random_scalar(prg: &mut Prg) -> Zeroizing<Scalar> {
    let mut wide = Zeroizing::new([0; 64]);
    prg.fill_bytes(&mut *wide);
    Zeroizing::new(Scalar::from_bytes_mod_order_wide(&wide))
}

fn decode(bytes: &[u8], what: &'static str) -> Result<(CompressedRistretto, RistrettoPoint)> {
    let malformed = || Error::misbehaved(what, "a canonical Ristretto encoding", "other bytes");
    let encoded = CompressedRistretto::from_slice(bytes).map_err(|_| malformed())?;
    let point = encoded.decompress().ok_or_else(malformed)?;
    Ok((encoded, point))
}

fn derive(
    session: &[u8; 32],
    index: usize,
    a: &CompressedRistretto,
    b: &CompressedRistretto,
    shared: &RistrettoPoint,
) -> Block {
    let digest = Sha256::new()
        .chain_update(b"sci base OT 1")
        .chain_update(session)
        .chain_update((index as u64).to_le_bytes())
        .chain_update(a.as_bytes())
        .chain_update(b.as_bytes())
        .chain_update(shared.compress().as_bytes())
        .finalize();
    let mut key = [0; 16];
    key.copy_from_slice(&digest[..16]);
    Block::from_bytes(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sci_core::testing::run_pair;

    #[test]
    fn the_receiver_gets_the_chosen_key_and_only_that() {
        let choices = Bits::from_fn(40, |i| (i as u64 * 7) >> 1);
        let theirs = choices.clone();
        let (pairs, keys) = run_pair(
            |mut s| {
                let id = *s.id();
                send(s.stream(), &id, 40, &mut Prg::from_os().unwrap()).unwrap()
            },
            move |mut s| {
                let id = *s.id();
                receive(s.stream(), &id, &theirs, &mut Prg::from_os().unwrap()).unwrap()
            },
        );
        for (i, choice) in choices.iter().enumerate() {
            let chosen = choice as usize;
            assert!(keys[i] == pairs[i][chosen], "{i}");
            assert!(keys[i] != pairs[i][1 - chosen], "{i}");
            assert!(i == 0 || pairs[i] != pairs[i - 1], "{i}");
        }
    }

    #[test]
    fn points_off_the_group_are_refused() {
        let (sender, ()) = run_pair(
            |mut s| {
                let id = *s.id();
                send(s.stream(), &id, 2, &mut Prg::from_os().unwrap()).map(|_| ())
            },
            |mut s| {
                drop(s.stream().recv("point", POINT).unwrap());
                s.stream().send(&[0xff; 2 * POINT]).unwrap();
                // Keep the link open until the sender has judged.
                let _ = s.stream().recv("nothing", 1);
            },
        );
        assert!(matches!(sender, Err(Error::PeerMisbehaved { .. })), "{sender:?}");

        let (receiver, ()) = {
            let (a, b) = run_pair(
                |mut s| {
                    s.stream().send(RistrettoPoint::identity().compress().as_bytes()).unwrap();
                    let _ = s.stream().recv("nothing", 1);
                },
                |mut s| {
                    let id = *s.id();
                    let choices = Bits::zeros(1);
                    receive(s.stream(), &id, &choices, &mut Prg::from_os().unwrap()).map(|_| ())
                },
            );
            (b, a)
        };
        assert!(matches!(receiver, Err(Error::PeerMisbehaved { .. })), "{receiver:?}");
    }
}
