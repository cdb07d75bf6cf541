//! 3D U-Net (Çiçek et al., "3D U-Net: learning dense volumetric segmentation from sparse annotation",
//! 2016): convolutions without padding, so that what a level hands across is cropped.

use super::network::Network;
use crate::hlil::ValueId;
use crate::{Error, Result};
use sci_core::geometry::Window;

/// How large a network is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UNet3d {
    /// Channels, depth, height, width of the input. A level takes 4 off each axis on the way down, and
    /// what is left has to be even everywhere but at the bottom.
    pub input: [usize; 4],
    /// Channels of the first convolution; each level doubles them.
    pub channels: usize,
    /// Levels, the bottom included.
    pub levels: usize,
    /// Classes of a voxel.
    pub classes: usize,
}

/// As in the paper: 19,069,955 parameters, normalisations not counted, 132x132x116 voxels to 44x44x28.
pub(super) const PAPER: UNet3d =
    UNet3d { input: [3, 132, 132, 116], channels: 32, levels: 4, classes: 3 };

/// The same shape with three levels, an eighth of the channels and one voxel in 24.
pub(super) const SMALL: UNet3d =
    UNet3d { input: [1, 44, 44, 44], channels: 4, levels: 3, classes: 3 };

impl UNet3d {
    pub(super) fn build(&self, n: &mut Network) -> Result<()> {
        let [channels, depth, height, width] = self.input;
        let mut x = n.input(&[1, channels, depth, height, width])?;
        let mut skipped = Vec::new();
        for level in 0..self.levels {
            if level > 0 {
                skipped.push(x);
                let window = Window::new([2; 3]).with_stride([2; 3]);
                self.even(n, x)?;
                x = n.max_pool(&format!("down{level}.pool"), x, window)?;
            }
            let channels = self.channels << level;
            x = convolutions(n, &format!("down{level}"), x, [channels, 2 * channels])?;
        }
        for (level, across) in (0..self.levels).zip(&skipped).rev() {
            let name = format!("up{level}");
            let deeper = n.shape(x)?.get(1).copied().unwrap_or(0);
            x = n.conv_transpose(&format!("{name}.up"), x, deeper, [2; 3])?;
            let across = n.crop(&format!("{name}.crop"), *across, x)?;
            x = n.concat(&format!("{name}.concat"), &[across, x])?;
            let channels = 2 * (self.channels << level);
            x = convolutions(n, &name, x, [channels; 2])?;
        }
        n.conv("classes", x, self.classes, Window::new([1; 3]), true)?;
        Ok(())
    }

    /// Refuses what pools would cut unevenly.
    fn even(&self, n: &Network, x: ValueId) -> Result<()> {
        let shape = n.shape(x)?;
        if shape.iter().skip(2).any(|axis| axis % 2 == 1) {
            let expected = format!("axes that stay even through {} levels", self.levels);
            return Err(Error::invalid("input of a U-Net", expected, format_args!("{shape:?}")));
        }
        Ok(())
    }
}

/// Two convolutions of 3x3x3, each normalised.
fn convolutions(
    n: &mut Network,
    name: &str,
    mut x: ValueId,
    channels: [usize; 2],
) -> Result<ValueId> {
    for (i, channels) in (1..).zip(channels) {
        x = n.conv(&format!("{name}.conv{i}"), x, channels, Window::new([3; 3]), true)?;
        x = n.batch_norm(&format!("{name}.norm{i}"), x, 1.0)?;
        x = n.relu(&format!("{name}.relu{i}"), x)?;
    }
    Ok(x)
}
