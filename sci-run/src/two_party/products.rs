//! Products with the server's weights: convolution, linear layers, scaling.

use super::domain::linear_product;
use super::{NetDomain, Side, TwoParty};
use crate::linear::factor_bits;
use athos::llil::Broadcast;
use athos::product::{Factors, Width};
use athos::{Result, WeightId, Weights, product};
use sci_core::Shares;
use sci_core::geometry::{ConvGeometry, LinearGeometry};
use sci_ot::linear::{convolution, convolution_product, elementwise, matmul};
use zeroize::Zeroizing;

impl<D: NetDomain, S: Side<D>> TwoParty<'_, D, S> {
    /// Shares of W x plus the bias by lattice encryption, or `None` if this instruction is done by OT.
    pub(super) fn by_lattice(
        &mut self,
        x: &Shares<D>,
        bias: Option<WeightId>,
        repeat: impl FnOnce(&[u64]) -> Result<Vec<u64>> + Send,
    ) -> Result<Option<Shares<D>>> {
        let Some(layer) = self.protocols.layer(self.instruction) else { return Ok(None) };
        let (side, at) = (&mut self.side, self.instruction);
        let mut out = self.peer.on_main(|stream| side.lattice(stream, at, layer, x))?;
        if let Some(bias) = bias {
            let domain = self.domain;
            self.side.alone(&mut out, |weights| repeat(&elements(weights, bias, domain)?))?;
        }
        Ok(Some(out))
    }

    pub(super) fn conv_by_ot(
        &mut self,
        x: &Shares<D>,
        weight: WeightId,
        bias: Option<WeightId>,
        geometry: &ConvGeometry,
    ) -> Result<Shares<D>> {
        let (domain, bits) = (self.domain, self.program.weight_bits);
        let weight_bits = factor_bits(self.program, weight)?;
        let mut own = Zeroizing::default();
        let load = |weights: &Weights| Ok(signed(weights, weight)?.to_vec());
        let operand = self.side.operand(x.values(), &mut own, load)?;
        let product = convolution_product(domain, geometry, weight_bits);
        let way = product.way(self.peer.settings());
        let mut out = convolution(self.peer, domain, geometry, weight_bits, operand, way)?;
        self.side.alone(&mut out, |weights| {
            let bias = bias.map(|bias| elements(weights, bias, domain)).transpose()?;
            let bias = bias.as_ref().map(|bias| bias.as_slice());
            let own = signed(weights, weight)?;
            let factors = Factors { values: &own, bits };
            product::conv(domain, x.values(), Width::Domain, factors, bias, geometry)
        })?;
        Ok(out)
    }

    pub(super) fn linear_by_ot(
        &mut self,
        x: &Shares<D>,
        weight: WeightId,
        bias: Option<WeightId>,
        geometry: &LinearGeometry,
    ) -> Result<Shares<D>> {
        let (rows, inner, columns) = (geometry.outer(), geometry.inner(), geometry.rows());
        let (domain, bits) = (self.domain, self.program.weight_bits);
        let product = linear_product(domain, geometry, factor_bits(self.program, weight)?);
        let transposed = Zeroizing::new(transpose(x.values(), columns, inner));
        let mut own = Zeroizing::default();
        let load = |weights: &Weights| Ok(signed(weights, weight)?.to_vec());
        let operand = self.side.operand(&transposed, &mut own, load)?;
        let way = product.way(self.peer.settings());
        let part = matmul(self.peer, &product, operand, way)?;
        let mut out = Shares::from_canonical(domain, transpose(part.values(), rows, columns));
        self.side.alone(&mut out, |weights| {
            let bias = bias.map(|bias| elements(weights, bias, domain)).transpose()?;
            let bias = bias.as_ref().map(|bias| bias.as_slice());
            let own = signed(weights, weight)?;
            let factors = Factors { values: &own, bits };
            product::linear(domain, x.values(), Width::Domain, factors, bias, geometry)
        })?;
        Ok(out)
    }

    pub(super) fn scaling_by_ot(
        &mut self,
        x: &Shares<D>,
        weight: WeightId,
        broadcast: &Broadcast,
    ) -> Result<Shares<D>> {
        let (domain, weight_bits) = (self.domain, factor_bits(self.program, weight)?);
        let mut own = Zeroizing::default();
        let operand = self
            .side
            .operand(x.values(), &mut own, |weights| broadcast.expand(&signed(weights, weight)?))?;
        let mut out = elementwise(self.peer, domain, weight_bits, operand)?;
        self.side.alone(&mut out, |weights| {
            let factors = Zeroizing::new(broadcast.expand(&elements(weights, weight, domain)?)?);
            Ok(x.values().iter().zip(factors.iter()).map(|(&x, &w)| domain.mul(x, w)).collect())
        })?;
        Ok(out)
    }
}

/// The weights as signed integers.
pub(super) fn signed(weights: &Weights, id: WeightId) -> Result<Zeroizing<Vec<i64>>> {
    Ok(Zeroizing::new(weights.get(id)?.to_signed()))
}

/// The weights as elements of the domain.
pub(super) fn elements<D: NetDomain>(
    weights: &Weights,
    id: WeightId,
    domain: D,
) -> Result<Zeroizing<Vec<u64>>> {
    Ok(Zeroizing::new(weights.get(id)?.to_domain(domain)))
}

/// Row-major rows x columns to columns x rows.
fn transpose(values: &[u64], rows: usize, columns: usize) -> Vec<u64> {
    if rows == 1 || columns == 1 {
        return values.to_vec();
    }
    (0..columns).flat_map(|c| (0..rows).map(move |r| values[r * columns + c])).collect()
}
