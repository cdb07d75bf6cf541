//! All tests of comparison, sign, ReLU, MaxPool, ArgMax and conversion once more, over silent OT.

#[path = "field.rs"]
mod field;
#[path = "protocols.rs"]
mod protocols;
