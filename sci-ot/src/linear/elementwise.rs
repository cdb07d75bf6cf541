//! Secret factors, element by element: rows of one element.

use super::{
    Entries, Job, Matrix, Operand, ProductDomain, Shape, scaled_rows, scaled_rows_cost,
    weight_entries, weight_entry,
};
use crate::kind::OtKind;
use crate::peer::Peer;
use sci_core::{Cost, Error, Party, Result, Shares};

/// Shares of w_i x_i, element by element: w at the server, x the client's share. Two rounds; over Z_2^l
/// n (m lambda + m (l - m) + m (m+1) / 2) bits, over Z_n n m (lambda + eta).
///
/// # Errors
/// As the link and the peer behave.
pub fn elementwise<D: ProductDomain>(
    peer: &mut Peer,
    domain: D,
    weight_bits: u32,
    operand: Matrix<'_>,
) -> Result<Shares<D>> {
    let (count, operand) = match operand {
        Matrix::Weights(w) => {
            let entry = move |e: usize| Ok(weight_entry(domain, weight_bits, w[e]));
            (w.len(), Operand::Entries(Box::new(entry)))
        }
        Matrix::Inputs(x) => {
            let row = |e: usize, out: &mut [u64]| {
                out.copy_from_slice(&x[e..=e]);
                Ok(())
            };
            (x.len(), Operand::Rows(Box::new(row)))
        }
    };
    let job = Job { shape: shape(domain, weight_bits, count), operand, inner: 1 };
    let mut outputs = scaled_rows(peer, &[job])?;
    outputs.pop().ok_or_else(|| Error::misuse("one job has one output"))
}

fn shape<D: ProductDomain>(domain: D, weight_bits: u32, count: usize) -> Shape<D> {
    let entries: Entries = weight_entries(domain, weight_bits);
    Shape { domain, entries, count, width: 1 }
}

/// The cost of [`elementwise`].
pub fn elementwise_cost<D: ProductDomain>(
    ot: OtKind,
    domain: D,
    weight_bits: u32,
    count: usize,
) -> Cost {
    scaled_rows_cost(ot, &[(shape(domain, weight_bits, count), Party::Server)])
}
