//! Products with the server's weights: convolution, linear layers, scaling.

use super::domain::cheapest_matmul;
use super::{NetDomain, Side, TwoParty};
use crate::linear::factor_bits;
use athos::llil::Broadcast;
use athos::product::Factors;
use athos::{Error, Result, WeightId, Weights, product};
use sci_core::Shares;
use sci_core::geometry::{ConvGeometry, LinearGeometry};
use sci_ot::linear::elementwise;
use std::ops::Range;
use zeroize::Zeroizing;

impl<D: NetDomain, S: Side<D>> TwoParty<'_, D, S> {
    /// Shares of W X for the client's share X: rows, inner and columns, and where W stands in its tensor.
    fn cross(
        &mut self,
        weight: WeightId,
        range: Range<usize>,
        shape: [usize; 3],
        shares: &[u64],
    ) -> Result<Shares<D>> {
        let weight_bits = factor_bits(self.program, weight)?;
        let mut own = Zeroizing::default();
        let operand = self.side.operand(shares, &mut own, |weights| {
            let all = signed(weights, weight)?;
            let part = all.get(range).map(<[i64]>::to_vec);
            part.ok_or_else(|| Error::Misuse(format!("a range beyond {weight}")))
        })?;
        Ok(cheapest_matmul(self.peer, self.domain, shape, weight_bits, operand)?)
    }

    /// Shares of W x plus the bias by lattice encryption, or `None` if this instruction is done by OT.
    pub(super) fn by_lattice(
        &mut self,
        x: &Shares<D>,
        bias: Option<WeightId>,
        repeat: impl FnOnce(&[u64]) -> Result<Vec<u64>> + Send,
    ) -> Result<Option<Shares<D>>> {
        let Some(layer) = self.protocols.layer(self.instruction) else { return Ok(None) };
        let mut out = self.side.lattice(self.peer.main(), self.instruction, layer, x)?;
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
        let (rows, inner) = (geometry.group_out(), geometry.patch_len());
        let columns = geometry.positions();
        let image_len = geometry.in_channels() * geometry.input_plane();
        let mut values = Vec::with_capacity(geometry.output_len());
        let mut patches = Zeroizing::new(vec![0; inner * columns]);
        for image in x.values().chunks_exact(image_len) {
            for group in 0..geometry.groups() {
                geometry.im2col(image, group, 0..columns, 0, &mut patches)?;
                let range = group * rows * inner..(group + 1) * rows * inner;
                let part = self.cross(weight, range, [rows, inner, columns], &patches)?;
                values.extend_from_slice(part.values());
            }
        }
        let (domain, bits) = (self.domain, self.program.weight_bits);
        let mut out = Shares::from_canonical(domain, values);
        self.side.alone(&mut out, |weights| {
            let bias = bias.map(|bias| elements(weights, bias, domain)).transpose()?;
            let bias = bias.as_ref().map(|bias| bias.as_slice());
            let own = signed(weights, weight)?;
            let factors = Factors { values: &own, bits };
            product::conv(domain, x.values(), factors, bias, geometry)
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
        let transposed = Zeroizing::new(transpose(x.values(), columns, inner));
        let shape = [rows, inner, columns];
        let product = self.cross(weight, 0..rows * inner, shape, &transposed)?;
        let (domain, bits) = (self.domain, self.program.weight_bits);
        let mut out = Shares::from_canonical(domain, transpose(product.values(), rows, columns));
        self.side.alone(&mut out, |weights| {
            let bias = bias.map(|bias| elements(weights, bias, domain)).transpose()?;
            let bias = bias.as_ref().map(|bias| bias.as_slice());
            let own = signed(weights, weight)?;
            let factors = Factors { values: &own, bits };
            product::linear(domain, x.values(), factors, bias, geometry)
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
