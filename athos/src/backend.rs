//! What it takes to run a program: functions that manipulate shares, or plain values.

use crate::llil::{AxisGeometry, Broadcast, Precision, Rearrange, Sign, WeightId};
use sci_core::geometry::{ConvGeometry, LinearGeometry, PoolGeometry};

/// One party's, or a cleartext, implementation of every operation of [`crate::llil::Op`].
///
/// The instance of the server owns the weight table, the one of the client knows shapes alone, so no
/// optional weights cross this interface. Tensors are flat and row-major. What a function computes is
/// said at the operation of the same name; it is called with shapes that the typing rules accepted.
/// Reshape needs no function: the executor renames. Signs, differences and truncated numbers are read in
/// as many low bits as the [`Precision`] says.
pub trait Backend {
    /// A tensor: shares, or values.
    type Secret;
    /// What can go wrong; carries a broken contract of this crate too.
    type Error: From<crate::Error>;

    /// Whether [`Backend::relu_truncate`] is to be called where a program has a ReLU and, behind it, a truncation of the
    /// same bits. The truncation is then done where the ReLU is, and what is observed of the ReLU is what it returns.
    fn fuses_truncation(&self) -> bool {
        false
    }

    /// Called before every instruction: statistics and session paths start here.
    fn enter_layer(
        &mut self,
        index: usize,
        name: &str,
        op: &'static str,
    ) -> Result<(), Self::Error>;

    /// The client's tensor of this shape.
    fn input(&mut self, shape: &[usize]) -> Result<Self::Secret, Self::Error>;

    /// Convolution plus bias.
    fn conv(
        &mut self,
        x: &Self::Secret,
        weight: WeightId,
        bias: Option<WeightId>,
        geometry: &ConvGeometry,
    ) -> Result<Self::Secret, Self::Error>;

    /// x·W^T plus bias.
    fn linear(
        &mut self,
        x: &Self::Secret,
        weight: WeightId,
        bias: Option<WeightId>,
        geometry: &LinearGeometry,
    ) -> Result<Self::Secret, Self::Error>;

    /// x + y.
    fn add(&mut self, x: &Self::Secret, y: &Self::Secret) -> Result<Self::Secret, Self::Error>;

    /// x - y.
    fn sub(&mut self, x: &Self::Secret, y: &Self::Secret) -> Result<Self::Secret, Self::Error>;

    /// x·2^shift.
    fn scale_up(&mut self, x: &Self::Secret, shift: u32) -> Result<Self::Secret, Self::Error> {
        let factor = 1i64.checked_shl(shift).filter(|&factor| factor > 0);
        let factor = factor.ok_or_else(|| crate::Error::Misuse(format!("a shift by {shift}")))?;
        self.mul_public(x, factor)
    }

    /// x·factor.
    fn mul_public(&mut self, x: &Self::Secret, factor: i64) -> Result<Self::Secret, Self::Error>;

    /// x + w, repeated.
    fn add_weight(
        &mut self,
        x: &Self::Secret,
        weight: WeightId,
        broadcast: &Broadcast,
    ) -> Result<Self::Secret, Self::Error>;

    /// x·w, repeated.
    fn mul_weight(
        &mut self,
        x: &Self::Secret,
        weight: WeightId,
        broadcast: &Broadcast,
    ) -> Result<Self::Secret, Self::Error>;

    /// x where its signed view is at least 0, else 0.
    fn relu(&mut self, x: &Self::Secret, precision: Precision)
    -> Result<Self::Secret, Self::Error>;

    /// Maxima of windows.
    fn max_pool(
        &mut self,
        x: &Self::Secret,
        geometry: &PoolGeometry,
        precision: Precision,
    ) -> Result<Self::Secret, Self::Error>;

    /// Averages of windows, truncated by `shift`; a divisor of 1 and no shift leave the sum as it is. The
    /// sign is certain; so is the precision, unless [`crate::llil::divides_by_shifting`] holds.
    fn avg_pool(
        &mut self,
        x: &Self::Secret,
        geometry: &PoolGeometry,
        shift: u32,
        sign: Sign,
        precision: Precision,
    ) -> Result<Self::Secret, Self::Error>;

    /// Floor of the signed view over 2^shift.
    fn truncate(
        &mut self,
        x: &Self::Secret,
        shift: u32,
        sign: Sign,
        precision: Precision,
    ) -> Result<Self::Secret, Self::Error>;

    /// Floor of ReLU(x) over 2^shift, both of the same bits.
    fn relu_truncate(
        &mut self,
        x: &Self::Secret,
        shift: u32,
        precision: Precision,
    ) -> Result<Self::Secret, Self::Error> {
        let positive = self.relu(x, precision)?;
        self.truncate(&positive, shift, Sign::NonNegative, precision)
    }

    /// Indices of maxima along an axis: `[outer, inner]` of them.
    fn arg_max(
        &mut self,
        x: &Self::Secret,
        axis: &AxisGeometry,
        precision: Precision,
    ) -> Result<Self::Secret, Self::Error>;

    /// Concat, Transpose, Pad or Slice: local, with [`Rearrange::apply`].
    fn rearrange(
        &mut self,
        inputs: &[&Self::Secret],
        rearrange: &Rearrange,
    ) -> Result<Self::Secret, Self::Error>;
}
