//! Products W_b X_b of several blocks, in either direction or both.

use super::{
    Entries, Job, Operand, ProductDomain, Shape, scaled_rows, scaled_rows_cost, weight_entries,
    weight_entry,
};
use crate::kind::OtKind;
use crate::peer::Peer;
use sci_core::{Cost, Error, Party, Result, Shares};
use std::ops::Range;
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
    /// Half the blocks in each, side by side; of a single block half the rows of W.
    Both,
}

/// The public shape of W_b X_b for every b below `blocks`.
#[derive(Clone, Copy, Debug)]
pub struct Product<D> {
    /// Z_2^l or Z_n.
    pub domain: D,
    /// Pairs of matrices.
    pub blocks: usize,
    /// Rows of W.
    pub rows: usize,
    /// Columns of W, rows of X.
    pub inner: usize,
    /// Columns of X.
    pub columns: usize,
    /// Two's complement bits of an entry of W; 64 for weights that may be anything.
    pub weight_bits: u32,
}

/// A part of the outputs that one job computes.
#[derive(Clone, Debug)]
struct Part {
    direction: Direction,
    blocks: Range<usize>,
    rows: Range<usize>,
    columns: Range<usize>,
}

impl Part {
    /// The shape of its job.
    fn shape<D: ProductDomain>(&self, product: &Product<D>) -> Shape<D> {
        let Product { domain, inner, weight_bits, .. } = *product;
        let (entries, lines, width) = match self.direction {
            Direction::WeightsChoose => {
                let entries = weight_entries(domain, weight_bits);
                (entries, self.rows.len(), self.columns.len())
            }
            Direction::InputsChoose => {
                let entries = Entries { bits: domain.bits(), signed: false };
                (entries, self.columns.len(), self.rows.len())
            }
        };
        Shape { domain, entries, count: self.blocks.len() * lines * inner, width }
    }

    /// Who owns the entries.
    fn receiver(&self) -> Party {
        match self.direction {
            Direction::WeightsChoose => Party::Server,
            Direction::InputsChoose => Party::Client,
        }
    }

    /// Entry e of the weights, or of the inputs, in a part of so many `lines` of `inner` entries a block: its
    /// block, its line within the part, and its place in the line.
    fn place(&self, lines: usize, inner: usize, e: usize) -> [usize; 3] {
        [self.blocks.start + e / (lines * inner), e / inner % lines, e % inner]
    }
}

/// `range` in as few pieces of about equal length as have no more than `most` elements each.
fn tiles(range: Range<usize>, most: usize) -> impl Iterator<Item = Range<usize>> {
    let (len, pieces) = (range.len(), range.len().div_ceil(most.max(1)));
    let cut = move |i: usize| range.start + len * i / pieces;
    (0..pieces).map(move |i| cut(i)..cut(i + 1))
}

impl<D: ProductDomain> Product<D> {
    /// The jobs of a way.
    fn parts(&self, way: Way) -> Vec<Part> {
        let Self { blocks, rows, columns, .. } = *self;
        // What the weights choose for, and what the inputs do.
        let [weights, inputs] = match way {
            Way::One(Direction::WeightsChoose) => [(0..blocks, 0..rows), (0..0, 0..0)],
            Way::One(Direction::InputsChoose) => [(0..0, 0..0), (0..blocks, 0..rows)],
            Way::Both if blocks > 1 => [(0..blocks / 2, 0..rows), (blocks / 2..blocks, 0..rows)],
            Way::Both => [(0..blocks, 0..rows / 2), (0..blocks, rows / 2..rows)],
        };
        let most = Shape::widest(self.domain);
        let weights = tiles(0..columns, most).map(|columns| Part {
            direction: Direction::WeightsChoose,
            blocks: weights.0.clone(),
            rows: weights.1.clone(),
            columns,
        });
        let inputs = tiles(inputs.1, most).map(|rows| Part {
            direction: Direction::InputsChoose,
            blocks: inputs.0.clone(),
            rows,
            columns: 0..columns,
        });
        let parts = weights.chain(inputs);
        parts.filter(|part| !part.blocks.is_empty() && !part.rows.is_empty()).collect()
    }

    /// The exact cost.
    pub fn cost(&self, ot: OtKind, way: Way) -> Cost {
        let jobs = self.parts(way).into_iter().map(|part| (part.shape(self), part.receiver()));
        scaled_rows_cost(ot, &jobs.collect::<Vec<_>>())
    }

    /// The way that sends the fewest bytes; half of it each way where that costs at most a tenth
    /// more, as with weights that fill the ring, because it halves the time on a full-duplex link.
    pub fn cheapest(&self, ot: OtKind) -> Way {
        let [weights, inputs] = [Direction::WeightsChoose, Direction::InputsChoose]
            .map(|direction| (self.cost(ot, Way::One(direction)).bytes(), direction));
        let (least, direction) = if weights.0 <= inputs.0 { weights } else { inputs };
        let both = self.cost(ot, Way::Both).bytes();
        if both <= least + least / 10 { Way::Both } else { Way::One(direction) }
    }

    /// Entries of all W.
    fn weights(&self) -> usize {
        self.blocks * self.rows * self.inner
    }

    /// Entries of all X.
    fn inputs(&self) -> usize {
        self.blocks * self.inner * self.columns
    }
}

/// This party's matrices, block by block.
#[derive(Clone, Copy)]
pub enum Matrix<'a> {
    /// The server's W, row-major, two's complement.
    Weights(&'a [i64]),
    /// The client's X, row-major.
    Inputs(&'a [u64]),
}

/// Where the client's matrices are read.
pub(super) trait Inputs: Sync {
    /// Writes some columns of row `k` of X of a block.
    fn row(&self, block: usize, k: usize, columns: Range<usize>, out: &mut [u64]) -> Result<()>;
}

/// Matrices that lie in memory as a whole.
struct Dense<'a> {
    values: &'a [u64],
    inner: usize,
    columns: usize,
}

impl Inputs for Dense<'_> {
    fn row(&self, block: usize, k: usize, columns: Range<usize>, out: &mut [u64]) -> Result<()> {
        let row = &self.values[(block * self.inner + k) * self.columns..][..self.columns];
        out.copy_from_slice(&row[columns]);
        Ok(())
    }
}

/// What a party multiplies.
pub(super) enum Factors<'a> {
    /// All W.
    Weights(&'a [i64]),
    /// All X.
    Inputs(&'a dyn Inputs),
}

/// Shares of W_b X_b, blocks x rows x columns, row-major. Two rounds.
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
    match matrix {
        Matrix::Weights(w) => multiply(peer, product, Factors::Weights(w), way),
        Matrix::Inputs(x) => {
            check("inputs", x.len(), product.inputs())?;
            let dense = Dense { values: x, inner: product.inner, columns: product.columns };
            multiply(peer, product, Factors::Inputs(&dense), way)
        }
    }
}

/// Refuses a matrix of another size.
pub(super) fn check(what: &str, have: usize, want: usize) -> Result<()> {
    if have == want {
        return Ok(());
    }
    Err(Error::misuse(format!("{have} {what} where {want} belong")))
}

/// [`matmul`] of factors that may be derived.
pub(super) fn multiply<D: ProductDomain>(
    peer: &mut Peer,
    product: &Product<D>,
    factors: Factors<'_>,
    way: Way,
) -> Result<Shares<D>> {
    let len = product.blocks * product.rows * product.columns;
    if let Factors::Weights(w) = &factors {
        check("weights", w.len(), product.weights())?;
    }
    let mut out = Shares::zeros(product.domain, len);
    if len == 0 || product.inner == 0 {
        return Ok(out);
    }
    let parts = product.parts(way);
    let job = |part: &'_ Part| Job {
        shape: part.shape(product),
        operand: match factors {
            Factors::Weights(w) => weights_operand(part.clone(), *product, w),
            Factors::Inputs(x) => inputs_operand(part.clone(), product.inner, x),
        },
        inner: product.inner,
    };
    let jobs: Vec<_> = parts.iter().map(job).collect();
    for (part, values) in parts.iter().zip(scaled_rows(peer, &jobs)?) {
        if part.direction == Direction::WeightsChoose && values.len() == len {
            return Ok(values);
        }
        place(part, product, values.values(), out.values_mut());
    }
    Ok(out)
}

/// The server's part of a job.
fn weights_operand<D: ProductDomain>(part: Part, product: Product<D>, w: &[i64]) -> Operand<'_> {
    let Product { domain, rows, inner, weight_bits, .. } = product;
    let lines = match part.direction {
        Direction::WeightsChoose => part.rows.len(),
        Direction::InputsChoose => part.columns.len(),
    };
    match part.direction {
        Direction::WeightsChoose => Operand::Entries(Box::new(move |e| {
            let [block, row, k] = part.place(lines, inner, e);
            let at = (block * rows + part.rows.start + row) * inner + k;
            Ok(weight_entry(domain, weight_bits, w[at]))
        })),
        Direction::InputsChoose => Operand::Rows(Box::new(move |e, out| {
            let [block, _, k] = part.place(lines, inner, e);
            let column = w[(block * rows + part.rows.start) * inner + k..].iter().step_by(inner);
            out.iter_mut().zip(column).for_each(|(out, &w)| *out = domain.from_signed(w));
            Ok(())
        })),
    }
}

/// The client's part of a job.
fn inputs_operand(part: Part, inner: usize, x: &dyn Inputs) -> Operand<'_> {
    let lines = match part.direction {
        Direction::WeightsChoose => part.rows.len(),
        Direction::InputsChoose => part.columns.len(),
    };
    match part.direction {
        Direction::WeightsChoose => Operand::Rows(Box::new(move |e, out| {
            let [block, _, k] = part.place(lines, inner, e);
            x.row(block, k, part.columns.clone(), out)
        })),
        Direction::InputsChoose => Operand::Entries(Box::new(move |e| {
            let [block, column, k] = part.place(lines, inner, e);
            let column = part.columns.start + column;
            let mut entry = Zeroizing::new([0]);
            x.row(block, k, column..column + 1, &mut entry[..])?;
            Ok(entry[0])
        })),
    }
}

/// Writes the output of a part where it belongs.
fn place<D>(part: &Part, product: &Product<D>, values: &[u64], out: &mut [u64]) {
    let (rows, columns) = (part.rows.len(), part.columns.len());
    let blocks = part.blocks.clone().zip(values.chunks_exact(rows * columns));
    for (block, values) in blocks {
        let lines = out[block * product.rows * product.columns..].chunks_exact_mut(product.columns);
        for (row, line) in lines.skip(part.rows.start).take(rows).enumerate() {
            let line = &mut line[part.columns.clone()];
            match part.direction {
                Direction::WeightsChoose => {
                    line.copy_from_slice(&values[row * columns..][..columns]);
                }
                Direction::InputsChoose => {
                    let column = values[row..].iter().step_by(rows);
                    line.iter_mut().zip(column).for_each(|(out, &value)| *out = value);
                }
            }
        }
    }
}
