//! Densely connected networks (Huang et al., "Densely connected convolutional networks", 2017).

use super::network::{Network, square};
use crate::Result;
use crate::hlil::ValueId;

/// Channels that every layer adds.
const GROWTH: usize = 32;
/// Layers of the four blocks.
const LAYERS: [usize; 4] = [6, 12, 24, 16];

/// DenseNet-121.
pub(super) fn densenet121(n: &mut Network) -> Result<()> {
    let x = n.input(&[1, 3, 224, 224])?;
    let x = n.conv("stem.conv", x, 64, square(7, 2, 3), false)?;
    let x = norm_relu(n, "stem", x)?;
    let mut x = n.max_pool("stem.pool", x, square(3, 2, 1))?;
    for (block, layers) in (1..).zip(LAYERS) {
        if block > 1 {
            let name = format!("transition{}", block - 1);
            let channels = n.shape(x)?.get(1).copied().unwrap_or(0) / 2;
            let y = norm_relu(n, &name, x)?;
            let y = n.conv(&format!("{name}.conv"), y, channels, square(1, 1, 0), false)?;
            x = n.avg_pool(&format!("{name}.pool"), y, square(2, 2, 0))?;
        }
        for i in 1..=layers {
            x = layer(n, &format!("block{block}.{i}"), x)?;
        }
    }
    let x = norm_relu(n, "last", x)?;
    let x = n.global_avg_pool("mean", x)?;
    n.linear("classes", x, 1000)?;
    Ok(())
}

fn norm_relu(n: &mut Network, name: &str, x: ValueId) -> Result<ValueId> {
    let y = n.batch_norm(&format!("{name}.norm"), x, 1.0)?;
    n.relu(&format!("{name}.relu"), y)
}

/// What a layer is given, and what it adds.
fn layer(n: &mut Network, name: &str, x: ValueId) -> Result<ValueId> {
    let y = norm_relu(n, &format!("{name}.1"), x)?;
    let y = n.conv(&format!("{name}.1.conv"), y, 4 * GROWTH, square(1, 1, 0), false)?;
    let y = norm_relu(n, &format!("{name}.2"), y)?;
    let y = n.conv(&format!("{name}.2.conv"), y, GROWTH, square(3, 1, 1), false)?;
    n.concat(&format!("{name}.concat"), &[x, y])
}
