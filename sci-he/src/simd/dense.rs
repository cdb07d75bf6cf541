//! Fully connected layers by the hybrid diagonal method.
//!
//! A response has O outputs, a power of two, and output o in all slots s = o mod O of both rows once
//! the sums are folded. Before that, block j of O slots of row r, with G = N/O blocks in both rows,
//! holds the part of the sum that reads tau channels: those numbered g·tau.. for g = r·G/2 + j, channel
//! g·tau + v in the slots that are v modulo tau. A request holds G·tau channels, tau a power of two up
//! to O. The sum over t < tau of rot_t(x) times the weights of the channels met is that part: slot o of
//! block j meets each residue modulo tau once, those before the end of its block from group j and the
//! rest from group j + 1; and since this split depends on o only, all groups are complete after the
//! rotations by O, 2·O, ... N/4 and the exchange of rows have been added.
//!
//! The folded sum repeats with period O in both rows: it is a polynomial in X^(N/2O) that X -> X^-1
//! leaves alone, so that O of its coefficients determine it and no others travel.

use super::circuit::{Circuit, Packing, Product, lines};
use sci_core::geometry::LinearGeometry;
use std::collections::BTreeSet;

/// The packing of a fully connected layer.
#[derive(Debug)]
pub(super) struct DensePacking {
    geometry: LinearGeometry,
    /// O.
    outputs: usize,
    /// tau.
    diagonals: usize,
    circuit: Circuit,
}

impl DensePacking {
    /// Every sensible packing for rows of `row` slots.
    pub(super) fn for_each(geometry: &LinearGeometry, row: usize, mut visit: impl FnMut(Self)) {
        let most = geometry.outer().next_power_of_two().min(row);
        let mut outputs = most;
        while outputs > 0 && geometry.outer().div_ceil(outputs) <= 16 {
            let mut diagonals = 1;
            while diagonals <= outputs {
                let requests = geometry.inner().div_ceil(2 * row / outputs * diagonals);
                let mut step = 1;
                while step <= diagonals && requests * step <= 1024 && requests <= 64 {
                    visit(Self::new(geometry, row, outputs, diagonals, step));
                    step *= 2;
                }
                if requests == 1 {
                    break;
                }
                diagonals *= 2;
            }
            outputs /= 2;
        }
    }

    fn new(
        geometry: &LinearGeometry,
        row: usize,
        outputs: usize,
        diagonals: usize,
        step: usize,
    ) -> Self {
        let requests = geometry.inner().div_ceil(2 * row / outputs * diagonals);
        let copies: BTreeSet<usize> = (0..step).collect();
        let products = (0..diagonals).flat_map(|t| {
            (0..requests).map(move |request| Product {
                request,
                copy: t % step,
                group: t / step,
                amount: t as i64,
            })
        });
        let products = products.collect();
        let folds = std::iter::successors(Some(outputs), |fold| Some(2 * fold));
        let circuit = Circuit {
            row,
            requests,
            period: 2 * row,
            lines: lines(&copies, row),
            step,
            giants: diagonals / step,
            swap: false,
            folds: folds.take_while(|&fold| fold < row).collect(),
            fold_rows: true,
            products: vec![products; geometry.outer().div_ceil(outputs)],
        };
        Self { geometry: *geometry, outputs, diagonals, circuit }
    }

    /// The channel in a slot of a request.
    fn channel(&self, request: usize, row: usize, slot: usize) -> usize {
        let groups = self.circuit.row / self.outputs;
        let group = (request * 2 + row) * groups + slot / self.outputs;
        group * self.diagonals + slot % self.diagonals
    }
}

impl Packing for DensePacking {
    fn circuit(&self) -> &Circuit {
        &self.circuit
    }

    fn units(&self) -> usize {
        self.geometry.rows()
    }

    fn lengths(&self) -> [usize; 3] {
        [self.geometry.input_len(), self.geometry.weight_len(), self.geometry.output_len()]
    }

    fn fill(&self, unit: usize, request: usize, x: &[u64], slots: &mut [u64]) {
        let inner = self.geometry.inner();
        let x = &x[unit * inner..][..inner];
        for (i, slot) in slots.iter_mut().enumerate() {
            let channel = self.channel(request, i / self.circuit.row, i % self.circuit.row);
            *slot = x.get(channel).copied().unwrap_or(0);
        }
    }

    fn plaintext(&self, response: usize, product: &Product, weights: &[u64], out: &mut [u64]) {
        let row = self.circuit.row;
        let back = product.group * self.circuit.step;
        for (i, value) in out.iter_mut().enumerate() {
            // The sum stands back slots further until that rotation is made.
            let slot = i % row;
            let output = response * self.outputs + (slot + row - back % row) % self.outputs;
            let copy = (slot + product.amount as usize - back) % row;
            let channel = self.channel(product.request, i / row, copy);
            let inside = output < self.geometry.outer() && channel < self.geometry.inner();
            *value = if inside { weights[output * self.geometry.inner() + channel] } else { 0 };
        }
    }

    fn outputs(&self, unit: usize, response: usize, visit: &mut dyn FnMut(usize, usize)) {
        let first = response * self.outputs;
        for place in 0..self.outputs.min(self.geometry.outer() - first) {
            visit(place, unit * self.geometry.outer() + first + place);
        }
    }

    fn repeats(&self) -> Option<usize> {
        Some(self.outputs)
    }
}
