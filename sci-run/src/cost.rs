//! What a program costs before it runs: a backend whose tensors are lengths and whose results are the
//! cost functions of the protocols.
//!
//! Payload and rounds are exact: tests hold each layer of a run equal to what is computed here.

use crate::linear::{Protocols, factor_bits};
use crate::two_party::{NetDomain, bits_of, fuses_truncation, linear_product, sign_of};
use athos::llil::{AxisGeometry, Broadcast, Precision, Rearrange, Sign};
use athos::{Backend, Error, OutputForm, PublicProgram, Result, WeightId, execute};
use millionaires::argmax::{argmax_cost, index_ring};
use millionaires::maxpool::{Windows, maxpool_cost};
use millionaires::relu::{MuxForm, relu_cost};
use sci_core::geometry::{ConvGeometry, LinearGeometry, PoolGeometry};
use sci_core::{Cost, Domain, Party, pack};
use sci_ot::linear::{Product, convolution_product, elementwise_cost};
use sci_ot::peer::Settings;
use truncation::avgpool::avgpool_cost;

/// The cost of one instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerCost {
    /// The layer it belongs to.
    pub name: String,
    /// The operation.
    pub op: &'static str,
    /// Payload, rounds and OTs.
    pub cost: Cost,
}

/// The cost of one inference, instruction by instruction, the opening of the output last.
///
/// # Errors
/// [`Error::Invalid`] for settings out of range.
pub fn layers<D: NetDomain>(
    program: &PublicProgram,
    domain: D,
    protocols: &Protocols<D>,
    settings: Settings,
) -> Result<Vec<LayerCost>> {
    let mut reckoning =
        Reckoning { program, settings, domain, protocols, instruction: 0, layers: Vec::new() };
    let outputs = execute(program, &mut reckoning, |_| {})?;
    let bits = match (program.output_form, program.instructions.last()) {
        (OutputForm::ArgMax, Some(last)) => {
            let input = last.inputs.first().and_then(|id| program.instructions.get(id.index()));
            let len = input.map_or(1, |x| x.output.len()) / outputs.max(1);
            index_ring(len.max(1))?.bits()
        }
        _ => domain.bits(),
    };
    let open = 8 * pack::packed_len(outputs, bits) as u64;
    let cost = Cost::message(Party::Server, open).in_rounds(1);
    reckoning.layers.push(LayerCost { name: "output".into(), op: "Open", cost });
    Ok(reckoning.layers)
}

/// The cost of one inference.
///
/// # Errors
/// As [`layers`].
pub fn total<D: NetDomain>(
    program: &PublicProgram,
    domain: D,
    protocols: &Protocols<D>,
    settings: Settings,
) -> Result<Cost> {
    let layers = layers(program, domain, protocols, settings)?;
    Ok(layers.iter().fold(Cost::ZERO, |sum, layer| sum + layer.cost))
}

struct Reckoning<'a, D: Domain> {
    program: &'a PublicProgram,
    settings: Settings,
    domain: D,
    protocols: &'a Protocols<D>,
    instruction: usize,
    layers: Vec<LayerCost>,
}

impl<D: NetDomain> Reckoning<'_, D> {
    fn takes(&mut self, cost: Cost) {
        if let Some(layer) = self.layers.last_mut() {
            layer.cost += cost;
        }
    }

    /// Takes the cost of the lattice layer, or of the product by OT for so many bits of a weight.
    fn product(
        &mut self,
        weight: WeightId,
        by_ot: impl FnOnce(D, u32) -> Product<D>,
    ) -> Result<()> {
        if let Some(layer) = self.protocols.layer(self.instruction) {
            self.takes(layer.cost());
            return Ok(());
        }
        let product = by_ot(self.domain, factor_bits(self.program, weight)?);
        self.takes(product.cost(self.settings.ot, product.way(self.settings)));
        Ok(())
    }
}

impl<D: NetDomain> Backend for Reckoning<'_, D> {
    type Secret = usize;
    type Error = Error;

    fn fuses_truncation(&self) -> bool {
        fuses_truncation(self.protocols)
    }

    fn enter_layer(&mut self, index: usize, name: &str, op: &'static str) -> Result<()> {
        self.instruction = index;
        self.layers.push(LayerCost { name: name.to_owned(), op, cost: Cost::ZERO });
        Ok(())
    }

    fn input(&mut self, shape: &[usize]) -> Result<usize> {
        Ok(shape.iter().product())
    }

    fn conv(
        &mut self,
        _: &usize,
        weight: WeightId,
        _: Option<WeightId>,
        geometry: &ConvGeometry,
    ) -> Result<usize> {
        self.product(weight, |domain, bits| convolution_product(domain, geometry, bits))?;
        Ok(geometry.output_len())
    }

    fn linear(
        &mut self,
        _: &usize,
        weight: WeightId,
        _: Option<WeightId>,
        geometry: &LinearGeometry,
    ) -> Result<usize> {
        self.product(weight, |domain, bits| linear_product(domain, geometry, bits))?;
        Ok(geometry.output_len())
    }

    fn add(&mut self, x: &usize, _: &usize) -> Result<usize> {
        Ok(*x)
    }

    fn sub(&mut self, x: &usize, _: &usize) -> Result<usize> {
        Ok(*x)
    }

    fn mul_public(&mut self, x: &usize, _: i64) -> Result<usize> {
        Ok(*x)
    }

    fn add_weight(&mut self, x: &usize, _: WeightId, _: &Broadcast) -> Result<usize> {
        Ok(*x)
    }

    fn mul_weight(&mut self, x: &usize, weight: WeightId, _: &Broadcast) -> Result<usize> {
        if let Some(layer) = self.protocols.layer(self.instruction) {
            self.takes(layer.cost());
            return Ok(*x);
        }
        let bits = factor_bits(self.program, weight)?;
        self.takes(elementwise_cost(self.settings.ot, self.domain, bits, *x));
        Ok(*x)
    }

    fn relu(&mut self, x: &usize, precision: Precision) -> Result<usize> {
        let (form, precision) = (MuxForm::Correlated, bits_of(precision));
        self.takes(relu_cost(*x, self.domain, self.settings, precision, form)?);
        Ok(*x)
    }

    fn relu_truncate(&mut self, x: &usize, shift: u32, precision: Precision) -> Result<usize> {
        let (n, precision) = (*x, bits_of(precision));
        self.takes(self.domain.relu_truncated_cost(n, shift, precision, self.settings)?);
        Ok(n)
    }

    fn max_pool(
        &mut self,
        _: &usize,
        geometry: &PoolGeometry,
        precision: Precision,
    ) -> Result<usize> {
        let windows = Windows::of(geometry);
        self.takes(maxpool_cost(&windows, self.domain, self.settings, bits_of(precision))?);
        Ok(geometry.output_len())
    }

    fn avg_pool(
        &mut self,
        _: &usize,
        geometry: &PoolGeometry,
        shift: u32,
        sign: Sign,
        precision: Precision,
    ) -> Result<usize> {
        let (sign, precision) = (sign_of(sign), bits_of(precision));
        self.takes(avgpool_cost(self.domain, geometry, shift, sign, precision, self.settings)?);
        Ok(geometry.output_len())
    }

    fn truncate(
        &mut self,
        x: &usize,
        shift: u32,
        sign: Sign,
        precision: Precision,
    ) -> Result<usize> {
        let (sign, precision) = (sign_of(sign), bits_of(precision));
        let exactness = self.protocols.exactness();
        let domain = self.domain;
        let cost = domain.truncated_cost(*x, shift, sign, precision, exactness, self.settings)?;
        self.takes(cost);
        Ok(*x)
    }

    fn arg_max(&mut self, _: &usize, axis: &AxisGeometry, precision: Precision) -> Result<usize> {
        let (rows, precision) = (axis.outer * axis.inner, bits_of(precision));
        self.takes(argmax_cost(rows, axis.len, self.domain, self.settings, precision)?);
        Ok(rows)
    }

    fn rearrange(&mut self, _: &[&usize], rearrange: &Rearrange) -> Result<usize> {
        Ok(rearrange.output_len())
    }
}
