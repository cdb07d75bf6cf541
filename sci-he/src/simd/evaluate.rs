//! The server's computation for one unit: rotated copies, products, giant steps, folds.

use super::circuit::{Circuit, Packing};
use super::context::Context;
use super::kernels::{self, accumulate_constant};
use super::keys::{Ciphertext, RotationKey};
use super::small::Small;
use super::switch::Switcher;
use crate::kernels::accumulate;
use crate::params::LAZY;
use sci_core::{Domain, Error, Result};
use std::collections::BTreeMap;
use zeroize::{Zeroize, Zeroizing};

/// Coefficients whose sums share a pass over the products of a response: two pages of each.
const BLOCK: usize = 1024;

/// Runs of equal values shorter than this are written out.
const SHORT: usize = 32;

/// Rotation keys by automorphism.
pub(super) type RotationKeys = BTreeMap<usize, RotationKey>;

/// Copies of one request; those that no product uses are missing.
pub(super) type Copies = Vec<Option<Ciphertext>>;

/// Makes plaintexts of products.
#[derive(Debug)]
pub(super) struct Plaintexts {
    domain: Small,
    primes: Vec<Small>,
    /// Place of each value (row 0 first) in the transform.
    places: Vec<u32>,
}

impl Plaintexts {
    pub(super) fn new<D: Domain>(context: &Context<D>, period: usize) -> Self {
        let (domain, primes) = context.small_transforms(period);
        let half = period / 2;
        let place = |i| super::context::class_index(i / half, i % half, period) as u32;
        Self { domain, primes, places: (0..period).map(place).collect() }
    }

    /// Residues of one plaintext: its period times the number of primes of q.
    pub(super) fn len(&self) -> usize {
        self.places.len() * self.primes.len()
    }

    /// The transform, prime by prime, of the plaintext with these values.
    pub(super) fn transform<D: Domain>(
        &self,
        context: &Context<D>,
        values: &[u64],
        out: &mut [u32],
    ) {
        let mut poly = Zeroizing::new(vec![0; values.len()]);
        for (&at, &value) in self.places.iter().zip(values) {
            poly[at as usize] = value;
        }
        self.domain.inverse(&mut poly);
        let domain = context.params().domain();
        let integers: Vec<i64> = poly.iter().map(|&x| domain.to_signed(x)).collect();
        let integers = Zeroizing::new(integers);
        let mut residues = poly;
        let tables = context.primes.iter().zip(&self.primes);
        for ((c, small), out) in tables.zip(out.chunks_exact_mut(values.len())) {
            kernels::signed(&c.m, c.one, c.lift, &integers, out);
            residues.iter_mut().zip(&*out).for_each(|(wide, &r)| *wide = r.into());
            small.forward(&mut residues);
            out.iter_mut().zip(residues.iter()).for_each(|(x, &r)| *x = r as u32);
        }
    }

    /// The transforms of all plaintexts of a response.
    pub(super) fn response<D: Domain>(
        &self,
        context: &Context<D>,
        packing: &dyn Packing,
        response: usize,
        weights: &[u64],
    ) -> Zeroizing<Vec<u32>> {
        let products = &packing.circuit().products[response];
        let mut all = Zeroizing::new(vec![0; products.len() * self.len()]);
        let mut values = Zeroizing::new(vec![0; self.places.len()]);
        for (product, out) in products.iter().zip(all.chunks_exact_mut(self.len())) {
            packing.plaintext(response, product, weights, &mut values);
            self.transform(context, &values, out);
        }
        all
    }
}

/// A server's work on one circuit with the keys of one client.
pub(super) struct Evaluator<'a, D: Domain> {
    context: &'a Context<D>,
    circuit: &'a Circuit,
    keys: &'a RotationKeys,
    switcher: Switcher<'a, D>,
}

impl<'a, D: Domain> Evaluator<'a, D> {
    pub(super) fn new(
        context: &'a Context<D>,
        circuit: &'a Circuit,
        keys: &'a RotationKeys,
    ) -> Self {
        Self { context, circuit, keys, switcher: Switcher::new(context) }
    }

    /// The key of an automorphism, or `None` for the identity.
    fn key(&self, element: usize) -> Result<Option<&'a RotationKey>> {
        if element == 1 {
            return Ok(None);
        }
        let missing = || Error::misuse("rotation keys of a session without this layer");
        self.keys.get(&element).map(Some).ok_or_else(missing)
    }

    /// The rotated copies of a request that are used, in the order of the lines.
    pub(super) fn copies(&mut self, request: &Ciphertext, used: &[bool]) -> Result<Copies> {
        let circuit = self.circuit;
        let mut copies = Vec::with_capacity(circuit.copies());
        let mut start = request.clone();
        let mut rest = used;
        for line in &circuit.lines {
            if !rest.contains(&true) {
                break;
            }
            if let Some(key) = self.key(circuit.rotation(line.hop))? {
                self.switcher.decompose(&start);
                start = self.switcher.rotate(&start, key);
            }
            let mut decomposed = false;
            let (now, later) = rest.split_at(line.columns.len());
            for (&column, &used) in line.columns.iter().zip(now) {
                if !used {
                    copies.push(None);
                    continue;
                }
                let Some(key) = self.key(circuit.rotation(column))? else {
                    copies.push(Some(start.clone()));
                    continue;
                };
                if !decomposed {
                    self.switcher.decompose(&start);
                    decomposed = true;
                }
                copies.push(Some(self.switcher.rotate(&start, key)));
            }
            rest = later;
        }
        Ok(copies)
    }

    /// The sum of a response from the copies of all requests and the transforms of its plaintexts.
    pub(super) fn respond(
        &mut self,
        response: usize,
        copies: &[Copies],
        plaintexts: &[u32],
    ) -> Result<Ciphertext> {
        let circuit = self.circuit;
        let step = match circuit.giants {
            1 => None,
            _ => self.key(circuit.rotation(circuit.step))?,
        };
        let exchange = match circuit.swap || circuit.fold_rows {
            true => self.key(circuit.exchange())?,
            false => None,
        };
        let mut total = self.horner(response, 0, copies, plaintexts, step);
        if circuit.swap {
            let other = self.horner(response, 1, copies, plaintexts, step);
            self.add_rotated(&mut total, &other, exchange);
        }
        for &fold in &circuit.folds {
            let key = self.key(circuit.rotation(fold))?;
            let other = total.clone();
            self.add_rotated(&mut total, &other, key);
        }
        if circuit.fold_rows {
            let other = total.clone();
            self.add_rotated(&mut total, &other, exchange);
        }
        Ok(total)
    }

    fn add_rotated(&mut self, to: &mut Ciphertext, from: &Ciphertext, key: Option<&RotationKey>) {
        if let Some(key) = key {
            self.switcher.decompose(from);
            self.switcher.rotate_into(from, key, to);
        }
    }

    /// The giant steps of the sums without (0) or with (1) an exchange of rows.
    fn horner(
        &mut self,
        response: usize,
        side: usize,
        copies: &[Copies],
        plaintexts: &[u32],
        step: Option<&RotationKey>,
    ) -> Ciphertext {
        let giants = self.circuit.giants;
        let first = side * giants;
        let mut total = self.sum(response, first + giants - 1, copies, plaintexts);
        for group in (first..first + giants - 1).rev() {
            let mut next = self.sum(response, group, copies, plaintexts);
            self.add_rotated(&mut next, &total, step);
            total = next;
        }
        total
    }

    /// The sum of the products of one group, block by block so that the accumulators stay in the
    /// first-level cache.
    fn sum(
        &self,
        response: usize,
        group: usize,
        copies: &[Copies],
        plaintexts: &[u32],
    ) -> Ciphertext {
        let (n, period) = (self.context.n(), self.circuit.period);
        let products = &self.circuit.products[response];
        let first = products.partition_point(|product| product.group < group);
        let end = products.partition_point(|product| product.group <= group);
        let primes = self.context.params().primes().len();
        let len = period * primes;
        let mut sum = Ciphertext::zero(self.context);
        let (mut a0, mut a1) = ([0u64; BLOCK], [0u64; BLOCK]);
        let mut written = [0u32; BLOCK];
        let run = n / period;
        for (i, c) in self.context.primes[..primes].iter().enumerate() {
            for block in 0..n / BLOCK {
                let range = i * n + block * BLOCK..i * n + (block + 1) * BLOCK;
                a0.fill(0);
                a1.fill(0);
                for (done, at) in (first..end).enumerate() {
                    if done > 0 && done % (LAZY - 1) == 0 {
                        // A reduced sum counts as one product.
                        for a in a0.iter_mut().chain(&mut a1) {
                            *a = c.m.scale(*a, c.one).into();
                        }
                    }
                    let product = &products[at];
                    let Some(copy) = &copies[product.request][product.copy] else { continue };
                    let (x0, x1) = (&copy.c0[range.clone()], &copy.c1[range.clone()]);
                    let w = &plaintexts[at * len + i * period..at * len + (i + 1) * period];
                    if run >= BLOCK {
                        accumulate_constant(&mut a0, &mut a1, w[block * BLOCK / run], x0, x1);
                    } else if run == 1 {
                        let w = &w[block * BLOCK..(block + 1) * BLOCK];
                        accumulate(&mut a0, &mut a1, w, x0, x1);
                    } else {
                        let w = &w[block * BLOCK / run..(block + 1) * BLOCK / run];
                        if run < SHORT {
                            for (run, &w) in written.chunks_exact_mut(run).zip(w) {
                                run.fill(w);
                            }
                            accumulate(&mut a0, &mut a1, &written, x0, x1);
                            continue;
                        }
                        let sums = a0.chunks_exact_mut(run).zip(a1.chunks_exact_mut(run));
                        let values = x0.chunks_exact(run).zip(x1.chunks_exact(run));
                        for ((sums, values), &w) in sums.zip(values).zip(w) {
                            accumulate_constant(sums.0, sums.1, w, values.0, values.1);
                        }
                    }
                }
                kernels::scale_sums(&c.m, c.one, &a0, &mut sum.c0[range.clone()]);
                kernels::scale_sums(&c.m, c.one, &a1, &mut sum.c1[range]);
            }
        }
        written.zeroize();
        sum
    }
}
