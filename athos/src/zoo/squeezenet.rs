//! SqueezeNet (Iandola et al., "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters", 2016).

use super::network::{Network, square};
use crate::Result;
use crate::hlil::ValueId;

/// Version 1.0: a 7x7 convolution, pools behind fire 4 and 8.
pub(super) fn v1_0(network: &mut Network) -> Result<()> {
    squeezenet(network, 96, 7, [4, 8])
}

/// Version 1.1: a 3x3 convolution, pools earlier.
pub(super) fn v1_1(network: &mut Network) -> Result<()> {
    squeezenet(network, 64, 3, [3, 5])
}

/// Squeezed channels of the fire modules, 2 to 9; each side expands to four times as many.
const FIRE: [usize; 8] = [16, 16, 32, 32, 48, 48, 64, 64];

fn squeezenet(n: &mut Network, channels: usize, kernel: usize, pools: [usize; 2]) -> Result<()> {
    let input = n.input(&[1, 3, 227, 227])?;
    let x = n.conv("conv1", input, channels, square(kernel, 2, 0), true)?;
    let x = n.relu("relu1", x)?;
    let mut x = n.max_pool("pool1", x, square(3, 2, 0))?;
    for (i, squeezed) in (2..).zip(FIRE) {
        x = fire(n, &format!("fire{i}"), x, squeezed)?;
        if pools.contains(&i) {
            x = n.max_pool(&format!("pool{i}"), x, square(3, 2, 0))?;
        }
    }
    let x = n.conv("conv10", x, 1000, square(1, 1, 0), true)?;
    let x = n.relu("relu10", x)?;
    n.global_avg_pool("pool10", x)?;
    Ok(())
}

fn fire(n: &mut Network, name: &str, x: ValueId, squeezed: usize) -> Result<ValueId> {
    let mut layer = |part: &str, x, channels, kernel: usize| {
        let y =
            n.conv(&format!("{name}.{part}"), x, channels, square(kernel, 1, kernel / 2), true)?;
        n.relu(&format!("{name}.{part}.relu"), y)
    };
    let x = layer("squeeze", x, squeezed, 1)?;
    let parts = [layer("expand1x1", x, 4 * squeezed, 1)?, layer("expand3x3", x, 4 * squeezed, 3)?];
    n.concat(&format!("{name}.concat"), &parts)
}
