//! Comparison of secret integers and what follows from it.
//!
//! [`compare`] is the millionaires' protocol F_MILL of CrypTFlow2; [`drelu`] reads the sign of shared
//! values from it, and [`relu`], [`maxpool`] and [`argmax`] are DReLU and MUX. They are generic over
//! [`SignDomain`], the domains whose sign can be read.

pub mod argmax;
pub mod compare;
pub mod convert;
pub mod drelu;
pub mod equality;
pub mod maxpool;
pub mod relu;
pub mod tournament;

pub use compare::{Comparison, compare_cost};
pub use drelu::{Precision, SignDomain};
