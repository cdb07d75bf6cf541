//! The plan of a layer's homomorphic part: which rotations, which products, in which order.
//!
//! A *packing* says which slot holds what and which plaintexts multiply which rotations of which
//! requests. Every sum of a response has the form
//!
//! ```text
//! sum over j < J of rot_(j·g)( sum over requests i and copies b of rot_b(x_i)·u_(i,b,j) ),
//! ```
//!
//! once without and, where channels of one row meet those of the other, once with an exchange of the
//! rows after it: baby steps on the requests, giant steps on the sums. The giant steps are taken in
//! Horner's way, with one key: rot_g(... rot_g(A_(J-1)) + A_(J-2) ...) + A_0. Copies stand in lines (the rows
//! of a kernel): a hop leads from the start of one line to that of the next, and all other copies of
//! a line are rotations of its start that share one decomposition. *Folds* at the end add up parts
//! of a sum that stand in different slots.

use super::params::Growth;
use std::collections::BTreeSet;
use std::fmt::Debug;

/// One product of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Product {
    /// The request.
    pub(super) request: usize,
    /// Which of its copies.
    pub(super) copy: usize,
    /// The sum that it goes into: giant step, plus the number of giant steps if rows are exchanged.
    pub(super) group: usize,
    /// The rotation before it was split into copy and giant step; its meaning is the packing's.
    pub(super) amount: i64,
}

/// Copies that share a decomposition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Rotation from the start of the line before, or from the request.
    pub(super) hop: usize,
    /// Rotations from the start, ascending.
    pub(super) columns: Vec<usize>,
}

/// The plan of all responses to one unit of requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Circuit {
    /// Slots of a row: N/2.
    pub(super) row: usize,
    /// Requests of a unit.
    pub(super) requests: usize,
    /// m: plaintexts repeat with period m/2.
    pub(super) period: usize,
    pub(super) lines: Vec<Line>,
    /// g.
    pub(super) step: usize,
    /// J.
    pub(super) giants: usize,
    /// Whether some products exchange rows.
    pub(super) swap: bool,
    /// Rotations that are added to their argument, at the end.
    pub(super) folds: Vec<usize>,
    /// Whether the rows are added, after the folds.
    pub(super) fold_rows: bool,
    /// The products of each response, ascending by group.
    pub(super) products: Vec<Vec<Product>>,
}

impl Circuit {
    pub(super) fn copies(&self) -> usize {
        self.lines.iter().map(|line| line.columns.len()).sum()
    }

    /// Which copies of each request some product uses.
    pub(super) fn used(&self) -> Vec<Vec<bool>> {
        let mut used = vec![vec![false; self.copies()]; self.requests];
        for product in self.products.iter().flatten() {
            used[product.request][product.copy] = true;
        }
        used
    }

    /// Sums of a response.
    pub(super) fn groups(&self) -> usize {
        self.giants * (1 + usize::from(self.swap))
    }

    /// X -> X^this rotates by an amount; 1 if that is nothing.
    pub(super) fn rotation(&self, amount: usize) -> usize {
        let order = 4 * self.row as u64;
        super::small::pow_mod(5, (amount % self.row) as u64, order) as usize
    }

    /// X -> X^this exchanges the rows.
    pub(super) fn exchange(&self) -> usize {
        4 * self.row - 1
    }

    /// The automorphisms that the circuit needs keys for.
    pub(super) fn elements(&self) -> BTreeSet<usize> {
        let mut elements: BTreeSet<usize> = BTreeSet::new();
        for line in &self.lines {
            elements.insert(self.rotation(line.hop));
            elements.extend(line.columns.iter().map(|&column| self.rotation(column)));
        }
        if self.giants > 1 {
            elements.insert(self.rotation(self.step));
        }
        elements.extend(self.folds.iter().map(|&fold| self.rotation(fold)));
        if self.swap || self.fold_rows {
            elements.insert(self.exchange());
        }
        elements.remove(&1);
        elements
    }

    /// Rotations of the requests of a unit.
    pub(super) fn early(&self) -> usize {
        let moves = |amount| usize::from(self.rotation(amount) != 1);
        let mut count = 0;
        for used in self.used() {
            let mut rest = used.as_slice();
            for line in &self.lines {
                let (now, later) = rest.split_at(line.columns.len());
                count += moves(line.hop) * usize::from(rest.contains(&true));
                let columns = line.columns.iter().zip(now).filter(|(_, used)| **used);
                count += columns.map(|(&column, _)| moves(column)).sum::<usize>();
                rest = later;
            }
        }
        count
    }

    /// Rotations of sums for one response.
    pub(super) fn late(&self) -> usize {
        self.groups() - 1 + self.folds.len() + usize::from(self.fold_rows)
    }

    /// What it does to errors: the largest figures over the responses.
    pub(super) fn growth(&self) -> Growth {
        let factor = 1usize << (self.folds.len() + usize::from(self.fold_rows));
        let line_of: Vec<usize> = self
            .lines
            .iter()
            .enumerate()
            .flat_map(|(i, line)| line.columns.iter().map(move |_| i))
            .collect();
        let (mut requests, mut uses, mut reuse) = (0, 0, 0);
        let mut after_hops = vec![0; self.lines.len()];
        for products in &self.products {
            let mut by_line = vec![vec![0usize; self.lines.len()]; self.requests];
            let mut by_copy = vec![0usize; self.requests * self.copies()];
            for product in products {
                by_line[product.request][line_of[product.copy]] += 1;
                by_copy[product.request * self.copies() + product.copy] += 1;
            }
            reuse = by_copy.into_iter().fold(reuse, usize::max);
            let entering = by_line.iter().filter(|lines| lines.iter().any(|&count| count > 0));
            requests = requests.max(entering.count());
            for mut lines in by_line {
                for i in (1..lines.len()).rev() {
                    lines[i - 1] += lines[i];
                }
                uses = uses.max(lines[0]);
                for (most, count) in after_hops.iter_mut().zip(lines) {
                    *most = count.max(*most);
                }
            }
        }
        for (line, count) in self.lines.iter().zip(&mut after_hops) {
            *count *= factor * usize::from(self.rotation(line.hop) != 1);
        }
        Growth {
            requests,
            period: self.period,
            uses: uses * factor,
            reuse: reuse * factor,
            after_hops,
            late: self.late() * factor,
        }
    }
}

/// Distinct rotations as lines: those within `stride` of each other from the first one on.
pub(super) fn lines(amounts: &BTreeSet<usize>, stride: usize) -> Vec<Line> {
    let offset = amounts.iter().map(|amount| amount % stride).min().unwrap_or(0);
    let mut lines: Vec<Line> = Vec::new();
    let mut at = 0;
    for &amount in amounts {
        let start = (amount - offset) / stride * stride + offset;
        if lines.is_empty() || start != at {
            lines.push(Line { hop: start - at, columns: Vec::new() });
            at = start;
        }
        if let Some(line) = lines.last_mut() {
            line.columns.push(amount - start);
        }
    }
    lines
}

/// Where a layer's values stand in slots. All of it is public.
pub(super) trait Packing: Debug + Send + Sync {
    fn circuit(&self) -> &Circuit;

    /// How often the circuit runs, each time on requests of its own.
    fn units(&self) -> usize;

    /// Elements of the input, of the weights and of the output.
    fn lengths(&self) -> [usize; 3];

    /// Writes the slots (row 0 first; zero before) of a request of a unit.
    fn fill(&self, unit: usize, request: usize, x: &[u64], slots: &mut [u64]);

    /// Writes the plaintext of a product: m values, those of row 0 first.
    fn plaintext(&self, response: usize, product: &Product, weights: &[u64], out: &mut [u64]);

    /// Visits the slots of a response that are outputs, each with its index in the output.
    fn outputs(&self, unit: usize, response: usize, visit: &mut dyn FnMut(usize, usize));

    /// `Some(k)` if the slots of a response repeat with period k in both rows, so that k coefficients
    /// determine them; `None` if all travel.
    fn repeats(&self) -> Option<usize>;
}

/// Estimated nanoseconds of both parties, and bytes, for a choice between packings.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weighing {
    /// N.
    pub(super) degree: usize,
    /// Primes of q.
    pub(super) primes: usize,
    /// Special primes.
    pub(super) special: usize,
    pub(super) request_len: usize,
    pub(super) rotation_key_len: usize,
}

/// Nanoseconds that a byte is worth: a link of 100 MB/s.
const BYTE: f64 = 10.0;

/// A key is shared by this many layers.
const SHARED: f64 = 8.0;

impl Weighing {
    /// The weight of a layer: time of the products, transforms and bytes.
    pub(super) fn score(&self, packing: &dyn Packing, response_len: usize) -> f64 {
        let circuit = packing.circuit();
        let (n, q, all) =
            (self.degree as f64, self.primes as f64, (self.primes + self.special) as f64);
        let digits = self.primes.div_ceil(self.special) as f64;
        let multiply = 0.45 * n;
        let transform = 0.17 * n * n.log2();
        let decompose = transform * (q + digits * all - q);
        let rotate = 2.0 * transform * all + 2.0 * digits * all * multiply + 2.0 * q * 2.0 * n;
        let responses = circuit.products.len() as f64;
        let products: usize = circuit.products.iter().map(Vec::len).sum();
        let copies = circuit.used().iter().flatten().filter(|used| **used).count() as f64;
        let lines = copies * circuit.lines.len() as f64 / circuit.copies() as f64;
        let unit = decompose * lines
            + rotate * copies
            + circuit.requests as f64 * (3.0 * q * transform + self.request_len as f64 * BYTE)
            + products as f64 * 2.0 * q * multiply
            + responses
                * ((decompose + rotate) * circuit.late() as f64
                    + 4.0 * q * transform
                    + 60.0 * n
                    + response_len as f64 * BYTE);
        let keys = circuit.elements().len() as f64 * self.rotation_key_len as f64 * BYTE / SHARED;
        unit * packing.units() as f64 + keys
    }
}
