//! What a domain must offer for programs to run over it.

use crate::linear::Protocols;
use millionaires::Precision;
use millionaires::relu::{MuxForm, relu, relu_cost};
use sci_core::geometry::LinearGeometry;
use sci_core::{Cost, Error, Field, Result, Ring, Shares};
use sci_ot::Peer;
use sci_ot::linear::{Product, ProductDomain};
use sci_ot::peer::Settings;
use truncation::avgpool::QuotientDomain;
use truncation::relu::{relu_truncate, relu_truncate_cost};
use truncation::truncate::{truncate_with, truncate_with_cost};
use truncation::{Exactness, Sign};

/// A domain with signs, quotients, and products by OT.
pub trait NetDomain: QuotientDomain + ProductDomain {
    /// Shares of floor(x / 2^shift), or with [`Exactness::OneBitError`], which exists over Z_2^l for numbers of
    /// full width, of that or one less.
    ///
    /// # Errors
    /// As the link and the peer behave.
    fn truncated(
        peer: &mut Peer,
        x: &Shares<Self>,
        shift: u32,
        sign: Sign,
        precision: Precision,
        exactness: Exactness,
    ) -> Result<Shares<Self>>;

    /// The cost of [`NetDomain::truncated`].
    ///
    /// # Errors
    /// A shift that the domain does not have.
    fn truncated_cost(
        self,
        n: usize,
        shift: u32,
        sign: Sign,
        precision: Precision,
        exactness: Exactness,
        settings: Settings,
    ) -> Result<Cost>;

    /// Whether [`NetDomain::relu_truncated`] is one protocol, cheaper than a ReLU and a truncation.
    const TRUNCATES_WITH_RELU: bool = false;

    /// Shares of floor(max(x, 0) / 2^shift).
    ///
    /// # Errors
    /// As the link and the peer behave.
    fn relu_truncated(
        peer: &mut Peer,
        x: &Shares<Self>,
        shift: u32,
        precision: Precision,
    ) -> Result<Shares<Self>> {
        let positive = relu(peer, x, precision)?;
        let (sign, exactness) = (Sign::NonNegative, Exactness::Faithful);
        Self::truncated(peer, &positive, shift, sign, precision, exactness)
    }

    /// The cost of [`NetDomain::relu_truncated`].
    ///
    /// # Errors
    /// A shift that the domain does not have.
    fn relu_truncated_cost(
        self,
        n: usize,
        shift: u32,
        precision: Precision,
        settings: Settings,
    ) -> Result<Cost> {
        let (sign, exactness) = (Sign::NonNegative, Exactness::Faithful);
        let relu = relu_cost(n, self, settings, precision, MuxForm::Correlated)?;
        Ok(relu + self.truncated_cost(n, shift, sign, precision, exactness, settings)?)
    }
}

impl NetDomain for Ring {
    const TRUNCATES_WITH_RELU: bool = true;

    fn relu_truncated(
        peer: &mut Peer,
        x: &Shares<Self>,
        shift: u32,
        precision: Precision,
    ) -> Result<Shares<Self>> {
        relu_truncate(peer, x, shift, precision)
    }

    fn relu_truncated_cost(
        self,
        n: usize,
        shift: u32,
        precision: Precision,
        settings: Settings,
    ) -> Result<Cost> {
        relu_truncate_cost(n, self, shift, precision, settings)
    }

    fn truncated(
        peer: &mut Peer,
        x: &Shares<Self>,
        shift: u32,
        sign: Sign,
        precision: Precision,
        exactness: Exactness,
    ) -> Result<Shares<Self>> {
        match (exactness, precision) {
            (Exactness::OneBitError, Precision::Full) => {
                truncate_with(peer, x, shift, sign, exactness)
            }
            _ => Self::quotient(peer, x, divisor(shift)?, sign, precision),
        }
    }

    fn truncated_cost(
        self,
        n: usize,
        shift: u32,
        sign: Sign,
        precision: Precision,
        exactness: Exactness,
        settings: Settings,
    ) -> Result<Cost> {
        match (exactness, precision) {
            (Exactness::OneBitError, Precision::Full) => {
                truncate_with_cost(n, self, shift, sign, exactness, settings)
            }
            _ => self.quotient_cost(n, divisor(shift)?, sign, precision, settings),
        }
    }
}

impl NetDomain for Field {
    fn truncated(
        peer: &mut Peer,
        x: &Shares<Self>,
        shift: u32,
        sign: Sign,
        precision: Precision,
        _: Exactness,
    ) -> Result<Shares<Self>> {
        Self::quotient(peer, x, divisor(shift)?, sign, precision)
    }

    fn truncated_cost(
        self,
        n: usize,
        shift: u32,
        sign: Sign,
        precision: Precision,
        _: Exactness,
        settings: Settings,
    ) -> Result<Cost> {
        self.quotient_cost(n, divisor(shift)?, sign, precision, settings)
    }
}

/// Whether truncations are done by the ReLUs in front of them. (One that may be off by one has its own protocol.)
pub(crate) fn fuses_truncation<D: NetDomain>(protocols: &Protocols<D>) -> bool {
    D::TRUNCATES_WITH_RELU && protocols.exactness() == Exactness::Faithful
}

/// 2^shift as a divisor.
fn divisor(shift: u32) -> Result<u64> {
    1u64.checked_shl(shift).ok_or_else(|| Error::misuse(format!("a shift by {shift}")))
}

/// The product by OT that a linear layer is: its weights times its input, transposed.
pub(crate) fn linear_product<D: NetDomain>(
    domain: D,
    geometry: &LinearGeometry,
    weight_bits: u32,
) -> Product<D> {
    Product {
        domain,
        blocks: 1,
        rows: geometry.outer(),
        inner: geometry.inner(),
        columns: geometry.rows(),
        weight_bits,
    }
}
