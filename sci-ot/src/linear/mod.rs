//! Products of secret matrices over Z_2^l or Z_n by correlated OT (Gilboa's multiplication, CRYPTO 1999,
//! batched as in CrypTFlow2).
//!
//! **Functionality.** One party holds A (d1 x d2, entries of m bits, two's complement or unsigned), the
//! other B (d2 x d3 over the domain). They get additive shares of C = A B and learn nothing else.
//!
//! **Protocol.** The owner of A is the OT receiver. For bit t of entry `a = A[i][k]` one COT carries the
//! whole row `B[k]` as d3 correlations. Over Z_2^l, as bit t weighs 2^t, only l - t bits of each count: the
//! sender subtracts its pads, the receiver adds what it got, both times 2^t. Over Z_n of eta bits the
//! weight is in the correlation, 2^t `B[k]`, and all of its bits travel. The sign bit of a two's complement
//! entry weighs -2^(m-1): its correlations are negated. m is at most the bits of an element; wider
//! weights are first reduced to the domain.
//!
//! **Cost** in bits with IKNP (with silent OT lambda is 1), 2 rounds: over Z_2^l
//! d1 d2 (m lambda + d3 (m (l - m) + m (m+1) / 2)), which for m = l is
//! d1 d2 (l lambda + d3 l (l+1) / 2); over Z_n d1 d2 m (lambda + d3 eta). Rows of more than 2^20 / l elements are
//! cut into tiles of about equal width, each with COTs of its own.
//!
//! Either party may be the receiver (A B or its transpose); [`Product::way`] compares.
//!
//! **Blocks.** A [`Product`] may have many blocks, A_b B_b for b below `blocks`, as a convolution in groups
//! has. They are one protocol run: the entries of all blocks stand one behind the other and are cut into
//! chunks as one sequence, so that the cost is that of one product with as many entries, and the rounds are two.

mod convolution;
mod domain;
mod elementwise;
mod product;
mod rows;

pub use convolution::{convolution, convolution_product};
pub use domain::ProductDomain;
pub use elementwise::{elementwise, elementwise_cost};
pub use product::{Direction, Matrix, Product, Way, matmul};
pub use rows::{Entries, EntryOf, Job, Operand, RowOf, Shape, scaled_rows, scaled_rows_cost};

/// The choices that weights of so many bits are: themselves, or, where they may leave the domain, their
/// representatives.
fn weight_entries<D: ProductDomain>(domain: D, weight_bits: u32) -> Entries {
    match weight_bits < domain.bits() {
        true => Entries { bits: weight_bits, signed: true },
        false => Entries { bits: domain.bits(), signed: false },
    }
}

/// A weight as [`weight_entries`] has it.
fn weight_entry<D: ProductDomain>(domain: D, weight_bits: u32, weight: i64) -> u64 {
    if weight_bits < domain.bits() { weight as u64 } else { domain.from_signed(weight) }
}
