//! Oblivious transfer, and all that is one OT away.
//!
//! The order of the modules is the order of the construction: [`base`] OT on Ristretto seeds the
//! extensions [`iknp`] (correlated OT, 128-bit rows) and [`kkot`] (1-of-N OT, 256-bit rows). Both
//! stand behind the traits of [`chosen`], which take the live choices, so that a protocol does
//! not know which extension serves it. Above them are the message forms ([`cot`], [`one_of_n`]), bit
//! [`triple`]s, MUX and B2A ([`select`]) and matrix products ([`linear`]).
//!
//! [`peer::Peer`] is a session with OT engines in both directions on each of its lanes; the public
//! functions of this crate and of those above take a `&mut Peer` and whole batches, and run kernels on
//! `&mut Lane` in chunks.

pub mod base;
pub mod chosen;
pub mod cot;
pub mod demand;
mod extension;
pub mod iknp;
pub mod kind;
pub mod kkot;
pub mod linear;
pub mod one_of_n;
pub mod pair;
pub mod peer;
pub mod plan;
pub mod select;
pub mod silent;
pub mod testing;
pub mod triple;

pub use chosen::{Choices, Group, OtReceiver, OtSender};
pub use kind::OtKind;
pub use peer::{Lane, Peer, Role};
