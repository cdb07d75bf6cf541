//! The server's weights: transformed once and kept, or transformed in every run.

use super::Layer;
use super::layout::Layout;
use crate::cipher::Context;
use sci_core::{Domain, Error, Result};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// The server's weights: transformed once and kept, or transformed again in every run. Wiped on drop.
pub struct Weights {
    pub(super) values: Vec<i32>,
    /// All polynomials one after the other, or nothing.
    prepared: Vec<u32>,
}

impl Weights {
    /// Weights in the order of the form of the layer, to be transformed in every run.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if there is another number of them or one exceeds the declared bound.
    pub fn on_the_fly<D: Domain>(layer: &Layer<D>, mut values: Vec<i32>) -> Result<Self> {
        let checked = check(layer, &values);
        let arranged = layer.form.arrange_weights(&values);
        values.zeroize();
        checked?;
        Ok(Self { values: arranged, prepared: Vec::new() })
    }

    /// Weights transformed now: [`Weights::prepared_bytes`] of memory, for any number of runs.
    ///
    /// # Errors
    /// As [`Weights::on_the_fly`].
    pub fn prepare<D: Domain>(layer: &Layer<D>, values: Vec<i32>) -> Result<Self> {
        let mut weights = Self::on_the_fly(layer, values)?;
        if layer.scalar {
            return Ok(weights);
        }
        let (layout, context) = (&layer.layout, &*layer.context);
        let len = context.poly_len();
        let mut prepared = vec![0; len * layout.polynomials()];
        let mut coefficients = Zeroizing::new(vec![0; context.n()]);
        let mut polynomials = prepared.chunks_exact_mut(len);
        for block in 0..layout.filter_blocks() {
            for (channels, poly) in layout.channel_range(block).zip(&mut polynomials) {
                layout.weight_coefficients(block, channels, &weights.values, &mut coefficients);
                context.transform_weights(&coefficients, poly);
            }
        }
        weights.prepared = prepared;
        Ok(weights)
    }

    /// Bytes that prepared weights take beyond the weights themselves; 0 if nothing is to be gained.
    pub fn prepared_bytes<D: Domain>(layer: &Layer<D>) -> usize {
        match layer.scalar {
            true => 0,
            false => 4 * layer.context.poly_len() * layer.layout.polynomials(),
        }
    }

    /// Bytes of polynomials that were transformed ahead: 0 if they are transformed in every run.
    pub fn transformed_bytes(&self) -> usize {
        4 * self.prepared.len()
    }

    /// Whether these weights can be those of a layer.
    pub(super) fn fit<D: Domain>(&self, layer: &Layer<D>) -> bool {
        let polynomials = layer.layout.polynomials();
        self.values.len() == layer.layout.geometry().weight_len()
            && [0, layer.context.poly_len() * polynomials].contains(&self.prepared.len())
    }

    /// The prepared polynomials of a block of filters, the first of which is number `first` of all.
    pub(super) fn prepared(&self, len: usize, first: usize, count: usize) -> Option<&[u32]> {
        match self.prepared.is_empty() {
            true => None,
            false => self.prepared.get(first * len..(first + count) * len),
        }
    }

    /// The coefficients of all polynomials of a block of filters.
    pub(super) fn coefficients(
        &self,
        layout: &Layout,
        block: usize,
        n: usize,
    ) -> Zeroizing<Vec<i32>> {
        let channels = layout.channel_range(block);
        let mut all = Zeroizing::new(vec![0; channels.len() * n]);
        for (channels, coefficients) in channels.zip(all.chunks_exact_mut(n)) {
            layout.weight_coefficients(block, channels, &self.values, coefficients);
        }
        all
    }

    /// All polynomials of a block of filters, transformed now.
    pub(super) fn transform<D: Domain>(
        &self,
        layout: &Layout,
        context: &Context<D>,
        block: usize,
    ) -> Zeroizing<Vec<u32>> {
        let (n, len) = (context.n(), context.poly_len());
        let coefficients = self.coefficients(layout, block, n);
        let mut polynomials = Zeroizing::new(vec![0; coefficients.len() / n * len]);
        for (coefficients, poly) in
            coefficients.chunks_exact(n).zip(polynomials.chunks_exact_mut(len))
        {
            context.transform_weights(coefficients, poly);
        }
        polynomials
    }
}

fn check<D: Domain>(layer: &Layer<D>, values: &[i32]) -> Result<()> {
    let expected = layer.weight_len();
    if values.len() != expected {
        return Err(Error::invalid("number of weights", expected, values.len()));
    }
    let bound = layer.context.params().demand().weight_bound;
    let inside = |w: &i32| u64::from(w.unsigned_abs()) <= bound;
    if !values.iter().fold(true, |all, w| all & inside(w)) {
        return Err(Error::invalid("weight", format_args!("up to {bound}"), "a larger one"));
    }
    Ok(())
}

impl Drop for Weights {
    fn drop(&mut self) {
        self.values.zeroize();
        self.prepared.zeroize();
    }
}

impl ZeroizeOnDrop for Weights {}

impl std::fmt::Debug for Weights {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Weights({} values)", self.values.len())
    }
}
