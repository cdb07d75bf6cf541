//! Garbled circuits: the baseline that the protocols of the workspace are measured against.
//!
//! A circuit of AND, XOR and NOT is evaluated in two flights, whatever its depth: the evaluator asks for
//! the labels of its input bits by OT, the garbler answers with them and the garbled tables. XOR and NOT
//! are free (Kolesnikov and Schneider, ICALP 2008), an AND is two 128-bit ciphertexts (half-gates: Zahur,
//! Rosulek, Evans, EUROCRYPT 2015) or, with [`Gates::ThreeHalves`], three of 64 bits and 5 bits.
//!
//! * [`circuit`] builds circuits as straight-line programs over a small register file;
//! * the garbling itself works on 64 instances of one circuit at a time, and streams tables as it
//!   makes them: memory is bounded by a tile, whatever the batch;
//! * [`Garbling`] runs the functions of the papers on it: [`Garbling::compare`], [`Garbling::relu`],
//!   [`Garbling::divide`], [`Garbling::truncate`] and [`Garbling::avgpool`], over Z_2^l and Z_n, shares in and
//!   fresh shares out, exact on every input. Beside each stands its cost, to which tests hold what is sent;
//!
//! * [`Garbling::multiply_single`] and [`Garbling::multiply_fixed`] multiply floating-point and fixed-point numbers;
//! * [`ahead`] is ReLU in two phases, as Delphi has it: garbling and OT before the input is known.
//!
//! **Hash.** H_i(x) = AES_{k_i}(s) xor s for s = sigma(x), sigma(high || low) = (high xor low) || high,
//! and k_i = start xor i, one key for each half of each gate of each instance: the tweakable circular correlation
//! robust hash of Guo, Katz, Wang, Weng and Yu ("Better concrete security for half-gates garbling", eprint
//! 2019/1168) in the ideal-cipher model, whose bound does not degrade with the number of gates. Three halves take three
//! keys and a sigma of their own (`gate/three_halves.rs`).
//!
//! **Labels.** The garbler's active labels are pseudo-random from a seed that both know, so that they
//! cost nothing: the label of 0 is the active one, xor Delta if the bit is 1.
//!
//! **Who learns what.** Semi-honest parties learn nothing but their shares. A party's roles alternate
//! from chunk to chunk, and a batch of more than 2 MiB of OT rows and tables is cut, so that both directions of the
//! link carry them; that favours the baseline.

pub mod ahead;
pub mod circuit;
mod evaluator;
pub mod functions;
mod garbler;
mod gate;
mod multiply;
mod protocol;

pub use gate::Gates;
pub use multiply::{multiply_fixed_cost, multiply_single_cost};
pub use protocol::{
    Garbling, Scheme, avgpool_cost, compare_cost, divide_cost, relu_cost, truncate_cost,
};
