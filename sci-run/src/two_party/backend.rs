//! Every operation of a program as a protocol on shares.

use super::domain::fuses_truncation;
use super::products::elements;
use super::{NetDomain, Side, Tensor, TwoParty};
use crate::linear::Engine;
use athos::llil::{AxisGeometry, Broadcast, Precision, Rearrange, Sign};
use athos::{Backend, Error, Result, WeightId};
use millionaires::argmax::argmax;
use millionaires::maxpool::{Windows, maxpool};
use millionaires::relu::relu;
use sci_core::Shares;
use sci_core::geometry::{ConvGeometry, LinearGeometry, PoolGeometry};
use sci_core::session::Phase;
use truncation::avgpool::avgpool;

impl<D: NetDomain, S: Side<D>> Backend for TwoParty<'_, D, S> {
    type Secret = Tensor<D>;
    type Error = Error;

    fn fuses_truncation(&self) -> bool {
        fuses_truncation(self.protocols)
    }

    fn enter_layer(&mut self, index: usize, name: &str, op: &'static str) -> Result<()> {
        self.instruction = index;
        self.span = None;
        let engine = match self.protocols.layer(index) {
            Some(_) => Engine::He,
            None => Engine::Ot,
        };
        let span = self.peer.session().span(name.to_owned(), op, Phase::Online);
        self.span = Some(span.backend(engine.name()));
        Ok(())
    }

    fn input(&mut self, shape: &[usize]) -> Result<Tensor<D>> {
        Ok(Tensor::Values(self.side.input(self.domain, shape.iter().product())?))
    }

    fn conv(
        &mut self,
        x: &Tensor<D>,
        weight: WeightId,
        bias: Option<WeightId>,
        geometry: &ConvGeometry,
    ) -> Result<Tensor<D>> {
        let x = x.values()?;
        let plane = geometry.positions();
        let repeat = |bias: &[u64]| {
            let image = bias.iter().flat_map(|&b| std::iter::repeat_n(b, plane));
            Ok(image.cycle().take(geometry.output_len()).collect())
        };
        match self.by_lattice(x, bias, repeat)? {
            Some(product) => Ok(Tensor::Values(product)),
            None => self.conv_by_ot(x, weight, bias, geometry).map(Tensor::Values),
        }
    }

    fn linear(
        &mut self,
        x: &Tensor<D>,
        weight: WeightId,
        bias: Option<WeightId>,
        geometry: &LinearGeometry,
    ) -> Result<Tensor<D>> {
        let x = x.values()?;
        let repeat =
            |bias: &[u64]| Ok(bias.iter().copied().cycle().take(geometry.output_len()).collect());
        match self.by_lattice(x, bias, repeat)? {
            Some(product) => Ok(Tensor::Values(product)),
            None => self.linear_by_ot(x, weight, bias, geometry).map(Tensor::Values),
        }
    }

    fn add(&mut self, x: &Tensor<D>, y: &Tensor<D>) -> Result<Tensor<D>> {
        let mut sum = x.values()?.clone();
        sum.add_assign(y.values()?)?;
        Ok(Tensor::Values(sum))
    }

    fn sub(&mut self, x: &Tensor<D>, y: &Tensor<D>) -> Result<Tensor<D>> {
        let mut difference = x.values()?.clone();
        difference.sub_assign(y.values()?)?;
        Ok(Tensor::Values(difference))
    }

    fn mul_public(&mut self, x: &Tensor<D>, factor: i64) -> Result<Tensor<D>> {
        let mut multiple = x.values()?.clone();
        multiple.scale_assign(self.domain.from_signed(factor));
        Ok(Tensor::Values(multiple))
    }

    fn add_weight(
        &mut self,
        x: &Tensor<D>,
        weight: WeightId,
        broadcast: &Broadcast,
    ) -> Result<Tensor<D>> {
        let (domain, mut sum) = (self.domain, x.values()?.clone());
        self.side
            .alone(&mut sum, |weights| broadcast.expand(&elements(weights, weight, domain)?))?;
        Ok(Tensor::Values(sum))
    }

    fn mul_weight(
        &mut self,
        x: &Tensor<D>,
        weight: WeightId,
        broadcast: &Broadcast,
    ) -> Result<Tensor<D>> {
        let x = x.values()?;
        match self.by_lattice(x, None, |_| Ok(Vec::new()))? {
            Some(product) => Ok(Tensor::Values(product)),
            None => self.scaling_by_ot(x, weight, broadcast).map(Tensor::Values),
        }
    }

    fn relu(&mut self, x: &Tensor<D>, precision: Precision) -> Result<Tensor<D>> {
        Ok(Tensor::Values(relu(self.peer, x.values()?, bits_of(precision))?))
    }

    fn relu_truncate(
        &mut self,
        x: &Tensor<D>,
        shift: u32,
        precision: Precision,
    ) -> Result<Tensor<D>> {
        let y = D::relu_truncated(self.peer, x.values()?, shift, bits_of(precision))?;
        Ok(Tensor::Values(y))
    }

    fn max_pool(
        &mut self,
        x: &Tensor<D>,
        geometry: &PoolGeometry,
        precision: Precision,
    ) -> Result<Tensor<D>> {
        let windows = Windows::of(geometry);
        Ok(Tensor::Values(maxpool(self.peer, x.values()?, &windows, bits_of(precision))?))
    }

    fn avg_pool(
        &mut self,
        x: &Tensor<D>,
        geometry: &PoolGeometry,
        shift: u32,
        sign: Sign,
        precision: Precision,
    ) -> Result<Tensor<D>> {
        let (sign, precision) = (sign_of(sign), bits_of(precision));
        Ok(Tensor::Values(avgpool(self.peer, x.values()?, geometry, shift, sign, precision)?))
    }

    fn truncate(
        &mut self,
        x: &Tensor<D>,
        shift: u32,
        sign: Sign,
        precision: Precision,
    ) -> Result<Tensor<D>> {
        let (sign, precision) = (sign_of(sign), bits_of(precision));
        let (x, exactness) = (x.values()?, self.protocols.exactness());
        Ok(Tensor::Values(D::truncated(self.peer, x, shift, sign, precision, exactness)?))
    }

    fn arg_max(
        &mut self,
        x: &Tensor<D>,
        axis: &AxisGeometry,
        precision: Precision,
    ) -> Result<Tensor<D>> {
        let block = (axis.len * axis.inner).max(1);
        let along = |block: &[u64]| {
            let columns = (0..axis.inner).map(|i| block.iter().skip(i).step_by(axis.inner));
            columns.flatten().copied().collect::<Vec<_>>()
        };
        let rows = x.values()?.values().chunks_exact(block).flat_map(along).collect();
        let rows = Shares::from_canonical(self.domain, rows);
        Ok(Tensor::Indices(argmax(self.peer, &rows, axis.len, bits_of(precision))?))
    }

    fn rearrange(&mut self, inputs: &[&Tensor<D>], rearrange: &Rearrange) -> Result<Tensor<D>> {
        let inputs: Vec<&[u64]> =
            inputs.iter().map(|x| Ok(x.values()?.values())).collect::<Result<_>>()?;
        Ok(Tensor::Values(Shares::from_canonical(self.domain, rearrange.apply(&inputs)?)))
    }
}

/// What the protocols call what the compiler knows of a sign.
pub(crate) fn sign_of(sign: Sign) -> truncation::Sign {
    match sign {
        Sign::Unknown => truncation::Sign::Unknown,
        Sign::NonNegative => truncation::Sign::NonNegative,
    }
}

/// What the protocols call the bits that an operation looks at.
pub(crate) fn bits_of(precision: Precision) -> millionaires::Precision {
    match precision {
        Precision::Full => millionaires::Precision::Full,
        Precision::Bits(bits) => millionaires::Precision::Bits(bits),
    }
}
