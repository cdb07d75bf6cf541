//! Products W_b X_b of several blocks, in either direction or both.

use super::{
    Entries, Job, Operand, ProductDomain, Shape, scaled_rows, scaled_rows_cost, weight_entries,
    weight_entry,
};
use crate::kind::OtKind;
use crate::peer::{Peer, Settings};
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
    /// In both, side by side: so many columns of every block, or rows if a block has more of these, by
    /// [`Direction::WeightsChoose`] and the others by [`Direction::InputsChoose`]. (Cut across its longer side a product
    /// has few more COTs than in one: each part has all those of its entries along the shorter one.)
    Split(usize),
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
        Shape { domain, entries, count: product.blocks * lines * inner, width }
    }

    /// Who owns the entries.
    fn receiver(&self) -> Party {
        match self.direction {
            Direction::WeightsChoose => Party::Server,
            Direction::InputsChoose => Party::Client,
        }
    }

    /// Lines of entries a block.
    fn lines(&self) -> usize {
        match self.direction {
            Direction::WeightsChoose => self.rows.len(),
            Direction::InputsChoose => self.columns.len(),
        }
    }
}

/// Entry e of the weights, or of the inputs, in a part of so many `lines` of `inner` entries a block: its block, its
/// line within the part, and its place in the line.
fn entry_place(lines: usize, inner: usize, e: usize) -> [usize; 3] {
    [e / (lines * inner), e / inner % lines, e % inner]
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
        let Self { rows, columns, .. } = *self;
        let longer = rows.max(columns);
        let at = match way {
            Way::One(Direction::WeightsChoose) => longer,
            Way::One(Direction::InputsChoose) => 0,
            Way::Split(at) => at.min(longer),
        };
        // The rows and columns that the weights choose for, and those that the inputs do.
        let [weights, inputs] = match rows > columns {
            true => [(0..at, 0..columns), (at..rows, 0..columns)],
            false => [(0..rows, 0..at), (0..rows, at..columns)],
        };
        let most = Shape::widest(self.domain);
        let weights = tiles(weights.1, most).map(|columns| Part {
            direction: Direction::WeightsChoose,
            rows: weights.0.clone(),
            columns,
        });
        let inputs = tiles(inputs.0, most).map(|rows| Part {
            direction: Direction::InputsChoose,
            rows,
            columns: inputs.1.clone(),
        });
        weights.chain(inputs).filter(|part| part.lines() > 0).collect()
    }

    /// The exact cost.
    pub fn cost(&self, ot: OtKind, way: Way) -> Cost {
        let jobs = self.parts(way).into_iter().map(|part| (part.shape(self), part.receiver()));
        scaled_rows_cost(ot, &jobs.collect::<Vec<_>>())
    }

    /// The way with the fewest bytes in the fuller direction of the link, among those that send, both ways, at most
    /// [`Settings::surplus`] percent more than the fewest.
    pub fn way(&self, settings: Settings) -> Way {
        let bytes = |way| {
            let cost = self.cost(settings.ot, way);
            (cost.server_to_client.max(cost.client_to_server), cost.bytes(), way)
        };
        let [weights, inputs] =
            [Direction::WeightsChoose, Direction::InputsChoose].map(|one| bytes(Way::One(one)));
        // Where both directions carry about the same: the first cut at which the client's, which the weights load,
        // carries no less than the server's, and the one before it.
        let (mut even, mut end) = (0, self.rows.max(self.columns));
        while even < end {
            let middle = even.midpoint(end);
            let cost = self.cost(settings.ot, Way::Split(middle));
            if cost.client_to_server < cost.server_to_client {
                even = middle + 1
            } else {
                end = middle
            }
        }
        let splits = [even.saturating_sub(1), even].map(|at| bytes(Way::Split(at)));
        let ways = [weights, inputs, splits[0], splits[1]];
        let least = ways.iter().fold(u64::MAX, |least, way| least.min(way.1));
        let most = u128::from(least) * (100 + u128::from(settings.surplus)) / 100;
        let allowed = ways.into_iter().filter(|way| u128::from(way.1) <= most);
        allowed.min_by_key(|way| (way.0, way.1)).map_or(weights.2, |way| way.2)
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
    let lines = part.lines();
    match part.direction {
        Direction::WeightsChoose => Operand::Entries(Box::new(move |e| {
            let [block, row, k] = entry_place(lines, inner, e);
            let at = (block * rows + part.rows.start + row) * inner + k;
            Ok(weight_entry(domain, weight_bits, w[at]))
        })),
        Direction::InputsChoose => Operand::Rows(Box::new(move |e, out| {
            let [block, _, k] = entry_place(lines, inner, e);
            let column = w[(block * rows + part.rows.start) * inner + k..].iter().step_by(inner);
            out.iter_mut().zip(column).for_each(|(out, &w)| *out = domain.from_signed(w));
            Ok(())
        })),
    }
}

/// The client's part of a job.
fn inputs_operand(part: Part, inner: usize, x: &dyn Inputs) -> Operand<'_> {
    let lines = part.lines();
    match part.direction {
        Direction::WeightsChoose => Operand::Rows(Box::new(move |e, out| {
            let [block, _, k] = entry_place(lines, inner, e);
            x.row(block, k, part.columns.clone(), out)
        })),
        Direction::InputsChoose => Operand::Entries(Box::new(move |e| {
            let [block, column, k] = entry_place(lines, inner, e);
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
    let blocks = out.chunks_exact_mut(product.rows * product.columns);
    for (out, values) in blocks.zip(values.chunks_exact(rows * columns)) {
        let lines = out.chunks_exact_mut(product.columns);
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
