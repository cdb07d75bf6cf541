//! Products element by element: no rotations, one request and one response for N elements.
//!
//! Element i of the tensor stands in slot i mod N (row 0 first) of request i / N, its weight in that
//! slot of the plaintext, their product in that slot of the response. A tensor of at most O elements,
//! O a power of two up to N/2, is repeated with period O in both rows: then so are the products, which is
//! a polynomial in X^(N/2O) that X -> X^-1 leaves alone, and only O of its coefficients travel.

use super::circuit::{Circuit, Line, Packing, Product};
use crate::broadcast;
use sci_core::Result;
use std::sync::Arc;

/// The packing of an element-wise product.
#[derive(Debug)]
pub(super) struct ElementwisePacking {
    /// The weight of each element.
    sources: Arc<Vec<u32>>,
    weights: usize,
    /// O, if there is one request only.
    repeated: Option<usize>,
    circuit: Circuit,
}

/// The weight of each element and how many there are, for shapes that fit.
#[derive(Debug)]
pub(super) struct Shape {
    sources: Arc<Vec<u32>>,
    weights: usize,
}

impl Shape {
    /// # Errors
    /// [`sci_core::Error::InvalidInput`] unless every axis of the weights is 1 or that of the tensor.
    pub(super) fn new(shape: &[usize], weight_shape: &[usize]) -> Result<Self> {
        let (sources, weights) = broadcast::sources(shape, weight_shape)?;
        Ok(Self { sources: Arc::new(sources), weights })
    }
}

impl ElementwisePacking {
    pub(super) fn new(shape: &Shape, row: usize) -> Self {
        let total = shape.sources.len();
        let repeated = (total <= row).then(|| total.next_power_of_two());
        let requests = total.div_ceil(2 * row).max(1);
        let product = |request| vec![Product { request, copy: 0, group: 0, amount: 0 }];
        let circuit = Circuit {
            row,
            requests,
            period: 2 * repeated.unwrap_or(row),
            lines: vec![Line { hop: 0, columns: vec![0] }],
            step: 1,
            giants: 1,
            swap: false,
            folds: Vec::new(),
            fold_rows: false,
            products: (0..requests).map(product).collect(),
        };
        Self { sources: Arc::clone(&shape.sources), weights: shape.weights, repeated, circuit }
    }

    /// The element in a slot of a request or response.
    fn element(&self, request: usize, slot: usize) -> usize {
        match self.repeated {
            Some(period) => slot % period,
            None => request * 2 * self.circuit.row + slot,
        }
    }
}

impl Packing for ElementwisePacking {
    fn circuit(&self) -> &Circuit {
        &self.circuit
    }

    fn units(&self) -> usize {
        1
    }

    fn lengths(&self) -> [usize; 3] {
        [self.sources.len(), self.weights, self.sources.len()]
    }

    fn fill(&self, _unit: usize, request: usize, x: &[u64], slots: &mut [u64]) {
        for (slot, value) in slots.iter_mut().enumerate() {
            *value = x.get(self.element(request, slot)).copied().unwrap_or(0);
        }
    }

    fn plaintext(&self, response: usize, _product: &Product, weights: &[u64], out: &mut [u64]) {
        for (slot, value) in out.iter_mut().enumerate() {
            let source = self.sources.get(self.element(response, slot));
            *value = source.map_or(0, |&source| weights[source as usize]);
        }
    }

    fn outputs(&self, _unit: usize, response: usize, visit: &mut dyn FnMut(usize, usize)) {
        let slots = self.repeated.unwrap_or(2 * self.circuit.row);
        let elements = (0..slots).map(|slot| (slot, self.element(response, slot)));
        let inside = elements.take_while(|&(_, element)| element < self.sources.len());
        inside.for_each(|(slot, element)| visit(slot, element));
    }

    fn repeats(&self) -> Option<usize> {
        self.repeated
    }
}
