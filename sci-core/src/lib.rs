//! What a share is, and how two parties talk.
//!
//! Everything above this crate is written against four ideas:
//!
//! * a [`Domain`] is the arithmetic of Z_2^l ([`Ring`]) or Z_n ([`Field`]) on `u64` representatives;
//! * a batch of [`Shares`] or [`BitShares`] is one party's half of a whole layer;
//! * a [`channel::Stream`] is one logical, full-duplex, framed and counted conversation; several of
//!   them share one link, so that chunks of a layer overlap computation with communication;
//! * a [`Session`] is what two parties have after the handshake: an identity that every
//!   tweak and seed derives from, the agreed public parameters, and the statistics.

mod aes_simd;
pub mod bits;
pub mod channel;
pub mod cost;
pub mod domain;
pub mod error;
pub mod field;
pub mod geometry;
pub mod hash;
pub mod pack;
pub mod prg;
pub mod ring;
pub mod session;
pub mod share;
pub mod testing;
pub mod transpose;

pub use bits::Bits;
pub use cost::Cost;
pub use domain::{AnyDomain, Domain};
pub use error::{Error, Result};
pub use field::Field;
pub use prg::{Block, Prg};
pub use ring::{Bitwidth, Ring};
pub use session::{Party, Session};
pub use share::{BitShares, Shares};
