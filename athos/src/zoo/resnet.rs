//! Residual networks (He et al., "Deep residual learning for image recognition", 2016).

use super::network::{Network, square};
use crate::Result;
use crate::hlil::ValueId;

/// What the last normalisation of a residual branch multiplies with: the sum over dozens of blocks
/// then stays of the size of its first terms.
const BRANCH_GAIN: f32 = 0.25;

/// A convolution and a batch normalisation.
fn conv_norm(
    n: &mut Network,
    name: &str,
    x: ValueId,
    channels: usize,
    (kernel, stride): (usize, usize),
    gain: f32,
) -> Result<ValueId> {
    let y =
        n.conv(&format!("{name}.conv"), x, channels, square(kernel, stride, kernel / 2), false)?;
    n.batch_norm(&format!("{name}.norm"), y, gain)
}

/// The branch of a block, by the channels of its layers as (channels, kernel, stride), plus what it
/// is given: through a 1x1 convolution where the shape changes.
fn block(
    n: &mut Network,
    name: &str,
    x: ValueId,
    layers: &[(usize, usize, usize)],
) -> Result<ValueId> {
    let mut y = x;
    for (i, &(channels, kernel, stride)) in layers.iter().enumerate() {
        let last = i + 1 == layers.len();
        let gain = if last { BRANCH_GAIN } else { 1.0 };
        y = conv_norm(n, &format!("{name}.{}", i + 1), y, channels, (kernel, stride), gain)?;
        if !last {
            y = n.relu(&format!("{name}.{}.relu", i + 1), y)?;
        }
    }
    let shortcut = if n.shape(x)? == n.shape(y)? {
        x
    } else {
        let channels = layers.last().map_or(0, |layer| layer.0);
        let stride = layers.iter().map(|layer| layer.2).product();
        conv_norm(n, &format!("{name}.shortcut"), x, channels, (1, stride), 1.0)?
    };
    let sum = n.add(&format!("{name}.sum"), y, shortcut)?;
    n.relu(&format!("{name}.relu"), sum)
}

/// 7x7 convolution and pool, four stages of blocks, mean, classes.
fn imagenet(
    n: &mut Network,
    blocks: [usize; 4],
    classes: usize,
    layers: impl Fn(usize, usize) -> Vec<(usize, usize, usize)>,
) -> Result<()> {
    let x = n.input(&[1, 3, 224, 224])?;
    let x = conv_norm(n, "stem", x, 64, (7, 2), 1.0)?;
    let x = n.relu("stem.relu", x)?;
    let mut x = n.max_pool("stem.pool", x, square(3, 2, 1))?;
    for (stage, (blocks, width)) in (1..).zip(blocks.into_iter().zip([64, 128, 256, 512])) {
        for i in 0..blocks {
            let stride = if stage > 1 && i == 0 { 2 } else { 1 };
            x = block(n, &format!("stage{stage}.{}", i + 1), x, &layers(width, stride))?;
        }
    }
    let x = n.global_avg_pool("mean", x)?;
    n.linear("classes", x, classes)?;
    Ok(())
}

/// Blocks of two 3x3 convolutions: ResNet-18 and -34.
pub(super) fn basic(n: &mut Network, blocks: [usize; 4]) -> Result<()> {
    imagenet(n, blocks, 1000, |width, stride| vec![(width, 3, stride), (width, 3, 1)])
}

/// Blocks of 1x1, 3x3 (with the stride: version 1.5) and 1x1 convolutions: ResNet-50 and deeper. The
/// 1001st class is the background of the TensorFlow models that the papers run.
pub(super) fn bottleneck(n: &mut Network, blocks: [usize; 4]) -> Result<()> {
    imagenet(n, blocks, 1001, |width, stride| {
        vec![(width, 1, 1), (width, 3, stride), (4 * width, 1, 1)]
    })
}

/// ResNet-32 for CIFAR-100: three stages of five blocks.
pub(super) fn cifar100(n: &mut Network) -> Result<()> {
    let x = n.input(&[1, 3, 32, 32])?;
    let x = conv_norm(n, "stem", x, 16, (3, 1), 1.0)?;
    let mut x = n.relu("stem.relu", x)?;
    for (stage, width) in (1..).zip([16, 32, 64]) {
        for i in 0..5 {
            let stride = if stage > 1 && i == 0 { 2 } else { 1 };
            let layers = [(width, 3, stride), (width, 3, 1)];
            x = block(n, &format!("stage{stage}.{}", i + 1), x, &layers)?;
        }
    }
    let x = n.global_avg_pool("mean", x)?;
    n.linear("classes", x, 100)?;
    Ok(())
}
