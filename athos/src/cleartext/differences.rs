//! What comparisons read: the differences whose signs decide a MaxPool or an ArgMax.

#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use super::{max, tree};
use crate::llil::{AxisGeometry, Instruction, Op};
use sci_core::Domain;

/// The smallest and the largest difference that a MaxPool or an ArgMax compares with zero, by the signed
/// view, given the operand and its shape; none for another operation. A narrow instruction goes on with
/// what its own precision makes of each.
pub(crate) fn differences<D: Domain>(
    domain: D,
    instruction: &Instruction,
    shape: &[usize],
    x: &[u64],
) -> Option<(i64, i64)> {
    let mut seen: Option<(i64, i64)> = None;
    let mut join = |x: u64, y: u64| {
        let difference = domain.to_signed(domain.sub(x, y));
        let (low, high) = seen.unwrap_or((difference, difference));
        seen = Some((low.min(difference), high.max(difference)));
        max(domain, x, y, instruction.precision)
    };
    let mut items = Vec::new();
    match &instruction.op {
        Op::MaxPool { geometry } => {
            for plane in x.chunks(geometry.input_plane()) {
                for position in 0..geometry.positions() {
                    items.clear();
                    items.extend(geometry.members(position).filter_map(|i| plane.get(i).copied()));
                    tree(&mut items, &mut join);
                }
            }
        }
        Op::ArgMax { axis } => {
            let AxisGeometry { len, inner, .. } = AxisGeometry::new(shape, *axis).ok()?;
            for block in x.chunks((len * inner).max(1)) {
                for i in 0..inner {
                    items.clear();
                    items.extend(block.iter().skip(i).step_by(inner.max(1)).copied());
                    tree(&mut items, &mut join);
                }
            }
        }
        _ => {}
    }
    seen
}
