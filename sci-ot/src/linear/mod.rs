//! Products of secret matrices over Z_2^l by correlated OT (PROTOCOLS A10; Gilboa's multiplication, batched).
//!
//! **Functionality.** One party holds A (d1 x d2, entries of m bits, two's complement or unsigned), the
//! other B (d2 x d3 over Z_2^l). They get additive shares of C = A B and learn nothing else.
//!
//! **Protocol.** The owner of A is the OT receiver. For bit t of entry `a = A[i][k]` one COT carries the
//! whole row `B[k]` as d3 correlations; as bit t weighs 2^t, only l - t bits of each count. The sender
//! subtracts its pads, the receiver adds what it got, both times 2^t. The sign bit of a two's complement entry
//! weighs -2^(m-1): its correlations are negated.
//!
//! **Cost** in bits: d1 d2 (m lambda + d3 (m (l - m) + m (m+1) / 2)), which for m = l is
//! d1 d2 (l lambda + d3 l (l+1) / 2); 2 rounds.
//!
//! Either party may be the receiver (A B or its transpose); [`Product::cheapest`] compares.

mod rows;

pub use rows::{Entries, Job, Operand, Shape, scaled_rows, scaled_rows_cost};

use crate::kind::OtKind;
use crate::peer::Peer;
use sci_core::{Cost, Domain, Error, Party, Result, Ring, Shares};
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
pub struct Product {
    /// Z_2^l.
    pub ring: Ring,
    /// Rows of W.
    pub rows: usize,
    /// Columns of W, rows of X.
    pub inner: usize,
    /// Columns of X.
    pub columns: usize,
    /// Two's complement bits of an entry of W; l for weights that may be anything.
    pub weight_bits: u32,
}

impl Product {
    fn shape(&self, direction: Direction) -> Shape {
        let l = self.ring.bitwidth().get();
        match direction {
            Direction::WeightsChoose => Shape {
                ring: self.ring,
                entries: Entries { bits: self.weight_bits.min(64), signed: true },
                count: self.rows * self.inner,
                width: self.columns,
            },
            Direction::InputsChoose => Shape {
                ring: self.ring,
                entries: Entries { bits: l, signed: false },
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
pub fn matmul(
    peer: &mut Peer,
    product: &Product,
    matrix: Matrix<'_>,
    way: Way,
) -> Result<Shares<Ring>> {
    let Product { ring, rows, inner, columns, .. } = *product;
    let (have, want) = match matrix {
        Matrix::Weights(w) => (w.len(), rows * inner),
        Matrix::Inputs(x) => (x.len(), inner * columns),
    };
    if have != want {
        return Err(Error::misuse(format!("a matrix of {have} entries where {want} belong")));
    }
    if have == 0 || rows * columns == 0 {
        return Ok(Shares::zeros(ring, rows * columns));
    }
    let [(_, first), (_, second)] = product.split(way);
    let shapes = product.split(way).map(|(way, rows)| product.with_rows(rows).shape(way));
    let [mut top, bottom] = match matrix {
        Matrix::Weights(w) => {
            let (top, bottom) = w.split_at(first * inner);
            let columns = transpose(bottom.iter().map(|&w| ring.from_signed(w)), second, inner);
            let entry = |e: usize| top[e] as u64;
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
    Ok(Shares::from_canonical(ring, std::mem::take(&mut *top)))
}

/// Both jobs of a product.
fn run(
    peer: &mut Peer,
    shapes: [Shape; 2],
    operands: [Operand<'_>; 2],
    inner: usize,
) -> Result<[Zeroizing<Vec<u64>>; 2]> {
    let jobs = shapes.into_iter().zip(operands);
    let jobs: Vec<Job<'_>> = jobs.map(|(shape, operand)| Job { shape, operand, inner }).collect();
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

/// Shares of w_i x_i, element by element: w at the server, x the client's share. Two rounds,
/// n (m lambda + m (l - m) + m (m+1) / 2) bits.
///
/// # Errors
/// As [`matmul`].
pub fn elementwise(
    peer: &mut Peer,
    ring: Ring,
    weight_bits: u32,
    operand: Matrix<'_>,
) -> Result<Shares<Ring>> {
    let count = match operand {
        Matrix::Weights(w) => w.len(),
        Matrix::Inputs(x) => x.len(),
    };
    let shape = elementwise_shape(ring, weight_bits, count);
    let mut outputs = match operand {
        Matrix::Weights(w) => {
            let entry = |e: usize| w[e] as u64;
            scaled_rows(peer, &[Job { shape, operand: Operand::Entries(&entry), inner: 1 }])?
        }
        Matrix::Inputs(x) => {
            let row = |e: usize| std::slice::from_ref(&x[e]);
            scaled_rows(peer, &[Job { shape, operand: Operand::Rows(&row), inner: 1 }])?
        }
    };
    outputs.pop().ok_or_else(|| Error::misuse("one job has one output"))
}

fn elementwise_shape(ring: Ring, weight_bits: u32, count: usize) -> Shape {
    Shape { ring, entries: Entries { bits: weight_bits.min(64), signed: true }, count, width: 1 }
}

/// The cost of [`elementwise`].
pub fn elementwise_cost(ot: OtKind, ring: Ring, weight_bits: u32, count: usize) -> Cost {
    scaled_rows_cost(ot, &[(elementwise_shape(ring, weight_bits, count), Party::Server)])
}
