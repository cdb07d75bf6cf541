//! The small networks that papers on secure inference measure.

use super::network::{Network, square};
use crate::Result;

/// Seven convolutions, two mean pools and a fully connected layer.
pub(super) fn minionn_cifar10(n: &mut Network) -> Result<()> {
    let mut x = n.input(&[1, 3, 32, 32])?;
    // Channels, kernel, and whether a pool follows.
    let layers = [
        (64, 3, false),
        (64, 3, true),
        (64, 3, false),
        (64, 3, true),
        (64, 3, false),
        (64, 1, false),
        (16, 1, false),
    ];
    for (i, (channels, kernel, pool)) in (1..).zip(layers) {
        x = n.conv(&format!("conv{i}"), x, channels, square(kernel, 1, kernel / 2), true)?;
        x = n.relu(&format!("relu{i}"), x)?;
        if pool {
            x = n.avg_pool(&format!("pool{i}"), x, square(2, 2, 0))?;
        }
    }
    let x = n.flatten(x)?;
    n.linear("classes", x, 10)?;
    Ok(())
}

/// Two 5x5 convolutions with pools and two fully connected layers.
pub(super) fn lenet(n: &mut Network, filters: [usize; 2], hidden: usize) -> Result<()> {
    let mut x = n.input(&[1, 1, 28, 28])?;
    for (i, filters) in (1..).zip(filters) {
        x = n.conv(&format!("conv{i}"), x, filters, square(5, 1, 0), true)?;
        x = n.relu(&format!("relu{i}"), x)?;
        x = n.max_pool(&format!("pool{i}"), x, square(2, 2, 0))?;
    }
    let x = n.flatten(x)?;
    let x = n.linear("hidden", x, hidden)?;
    let x = n.relu("hidden.relu", x)?;
    n.linear("classes", x, 10)?;
    Ok(())
}

/// Two hidden layers of 128.
pub(super) fn secureml_mlp(n: &mut Network) -> Result<()> {
    let mut x = n.input(&[1, 784])?;
    for i in 1..=2 {
        x = n.linear(&format!("hidden{i}"), x, 128)?;
        x = n.relu(&format!("relu{i}"), x)?;
    }
    n.linear("classes", x, 10)?;
    Ok(())
}

/// One layer and a softmax.
pub(super) fn logistic_regression(n: &mut Network) -> Result<()> {
    let x = n.input(&[1, 784])?;
    let x = n.linear("classes", x, 10)?;
    n.softmax(x)?;
    Ok(())
}
