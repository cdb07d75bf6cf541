//! All tests of division, truncation and AvgPool once more, over silent OT.

#[path = "field.rs"]
mod field;
#[path = "protocols.rs"]
mod protocols;
