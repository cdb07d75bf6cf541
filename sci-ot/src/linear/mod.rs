//! Products of secret matrices over Z_2^l or Z_n by correlated OT (PROTOCOLS A10; Gilboa's multiplication,
//! batched).
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
//! d1 d2 (l lambda + d3 l (l+1) / 2); over Z_n d1 d2 m (lambda + d3 eta).
//!
//! Either party may be the receiver (A B or its transpose); [`Product::cheapest`] compares.

mod domain;
mod rows;

pub use domain::ProductDomain;
pub use rows::{Entries, Job, Operand, Shape, scaled_rows, scaled_rows_cost};

use crate::kind::OtKind;
use crate::peer::Peer;
use sci_core::{Cost, Error, Party, Result, Shares};
use zeroize::Zeroizing;

/// Which matrix gives the choice bits of a product W X, W (rows x inner) at the server, X (inner x
/// columns) at the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The server chooses with the bits of W; rows of X are the correlations.
    WeightsChoose,
    /// The client chooses with the bits of X; columns of W are the correlations.
    InputsChoose,
}

/// In which directions a product runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// All of it in one.
    One(Direction),
    /// Half the rows of W in each, side by side.
    Both,
}

/// The public shape of W X.
#[derive(Clone, Copy, Debug)]
pub struct Product<D> {
    /// Z_2^l or Z_n.
    pub domain: D,
    /// Rows of W.
    pub rows: usize,
    /// Columns of W, rows of X.
    pub inner: usize,
    /// Columns of X.
    pub columns: usize,
    /// Two's complement bits of an entry of W; 64 for weights that may be anything.
    pub weight_bits: u32,
}

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

impl<D: ProductDomain> Product<D> {
    fn shape(&self, direction: Direction) -> Shape<D> {
        let domain = self.domain;
        match direction {
            Direction::WeightsChoose => Shape {
                domain,
                entries: weight_entries(domain, self.weight_bits),
                count: self.rows * self.inner,
                width: self.columns,
            },
            Direction::InputsChoose => Shape {
                domain,
                entries: Entries { bits: domain.bits(), signed: false },
                count: self.columns * self.inner,
                width: self.rows,
            },
        }
    }

    /// The same with other rows of W.
    fn with_rows(self, rows: usize) -> Self {
        Self { rows, ..self }
    }

    /// How many rows go each way: the weights choose for the first, the inputs for the others.
    fn split(&self, way: Way) -> [(Direction, usize); 2] {
        let first = match way {
            Way::One(Direction::WeightsChoose) => self.rows,
            Way::One(Direction::InputsChoose) => 0,
            Way::Both => self.rows / 2,
        };
        [(Direction::WeightsChoose, first), (Direction::InputsChoose, self.rows - first)]
    }

    /// The exact cost.
    pub fn cost(&self, ot: OtKind, way: Way) -> Cost {
        let jobs = self.split(way).map(|(direction, rows)| {
            let receiver = match direction {
                Direction::WeightsChoose => Party::Server,
                Direction::InputsChoose => Party::Client,
            };
            (self.with_rows(rows).shape(direction), receiver)
        });
        scaled_rows_cost(ot, &jobs)
    }

    /// The way that sends the fewest bytes; half the rows each way where that costs at most a tenth
    /// more, as with weights that fill the ring, because it halves the time on a full-duplex link.
    pub fn cheapest(&self, ot: OtKind) -> Way {
        let [weights, inputs] = [Direction::WeightsChoose, Direction::InputsChoose]
            .map(|direction| (self.cost(ot, Way::One(direction)).bytes(), direction));
        let (least, direction) = if weights.0 <= inputs.0 { weights } else { inputs };
        let both = self.cost(ot, Way::Both).bytes();
        if both <= least + least / 10 { Way::Both } else { Way::One(direction) }
    }
}

/// This party's matrix.
#[derive(Clone, Copy)]
pub enum Matrix<'a> {
    /// The server's W, row-major, two's complement.
    Weights(&'a [i64]),
    /// The client's X, row-major.
    Inputs(&'a [u64]),
}

/// Shares of W X, rows x columns, row-major.
///
/// # Errors
/// [`Error::Misuse`] if the matrix does not fit the product; otherwise as the link and the peer
/// behave.
pub fn matmul<D: ProductDomain>(
    peer: &mut Peer,
    product: &Product<D>,
    matrix: Matrix<'_>,
    way: Way,
) -> Result<Shares<D>> {
    let Product { domain, rows, inner, columns, weight_bits } = *product;
    let (have, want) = match matrix {
        Matrix::Weights(w) => (w.len(), rows * inner),
        Matrix::Inputs(x) => (x.len(), inner * columns),
    };
    if have != want {
        return Err(Error::misuse(format!("a matrix of {have} entries where {want} belong")));
    }
    if have == 0 || rows * columns == 0 {
        return Ok(Shares::zeros(domain, rows * columns));
    }
    let [(_, first), (_, second)] = product.split(way);
    let shapes = product.split(way).map(|(way, rows)| product.with_rows(rows).shape(way));
    let [mut top, bottom] = match matrix {
        Matrix::Weights(w) => {
            let (top, bottom) = w.split_at(first * inner);
            let columns = transpose(bottom.iter().map(|&w| domain.from_signed(w)), second, inner);
            let entry = |e: usize| weight_entry(domain, weight_bits, top[e]);
            let row = |e: usize| &columns[e % inner * second..][..second];
            run(peer, shapes, [Operand::Entries(&entry), Operand::Rows(&row)], inner)?
        }
        Matrix::Inputs(x) => {
            let row = |e: usize| &x[e % inner * columns..][..columns];
            let entry = |e: usize| x[e % inner * columns + e / inner];
            run(peer, shapes, [Operand::Rows(&row), Operand::Entries(&entry)], inner)?
        }
    };
    top.extend_from_slice(&transpose(bottom.iter().copied(), columns, second));
    Ok(Shares::from_canonical(domain, std::mem::take(&mut *top)))
}

/// Both jobs of a product.
fn run<D: ProductDomain>(
    peer: &mut Peer,
    shapes: [Shape<D>; 2],
    operands: [Operand<'_>; 2],
    inner: usize,
) -> Result<[Zeroizing<Vec<u64>>; 2]> {
    let jobs = shapes.into_iter().zip(operands);
    let jobs: Vec<_> = jobs.map(|(shape, operand)| Job { shape, operand, inner }).collect();
    let mut outputs = scaled_rows(peer, &jobs)?.into_iter().map(Shares::into_values);
    let mut next = || Zeroizing::new(outputs.next().unwrap_or_default());
    Ok([next(), next()])
}

/// Row-major rows x columns to columns x rows.
fn transpose(
    values: impl Iterator<Item = u64>,
    rows: usize,
    columns: usize,
) -> Zeroizing<Vec<u64>> {
    let mut out = Zeroizing::new(vec![0; rows * columns]);
    for (at, value) in values.enumerate() {
        out[at % columns * rows + at / columns] = value;
    }
    out
}

/// Shares of w_i x_i, element by element: w at the server, x the client's share. Two rounds; over Z_2^l
/// n (m lambda + m (l - m) + m (m+1) / 2) bits, over Z_n n m (lambda + eta).
///
/// # Errors
/// As [`matmul`].
pub fn elementwise<D: ProductDomain>(
    peer: &mut Peer,
    domain: D,
    weight_bits: u32,
    operand: Matrix<'_>,
) -> Result<Shares<D>> {
    let count = match operand {
        Matrix::Weights(w) => w.len(),
        Matrix::Inputs(x) => x.len(),
    };
    let shape = elementwise_shape(domain, weight_bits, count);
    let mut outputs = match operand {
        Matrix::Weights(w) => {
            let entry = |e: usize| weight_entry(domain, weight_bits, w[e]);
            scaled_rows(peer, &[Job { shape, operand: Operand::Entries(&entry), inner: 1 }])?
        }
        Matrix::Inputs(x) => {
            let row = |e: usize| std::slice::from_ref(&x[e]);
            scaled_rows(peer, &[Job { shape, operand: Operand::Rows(&row), inner: 1 }])?
        }
    };
    outputs.pop().ok_or_else(|| Error::misuse("one job has one output"))
}

fn elementwise_shape<D: ProductDomain>(domain: D, weight_bits: u32, count: usize) -> Shape<D> {
    Shape { domain, entries: weight_entries(domain, weight_bits), count, width: 1 }
}

/// The cost of [`elementwise`].
pub fn elementwise_cost<D: ProductDomain>(
    ot: OtKind,
    domain: D,
    weight_bits: u32,
    count: usize,
) -> Cost {
    scaled_rows_cost(ot, &[(elementwise_shape(domain, weight_bits, count), Party::Server)])
}
