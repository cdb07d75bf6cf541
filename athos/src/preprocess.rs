//! From a picture or a row of numbers to the network's input.

use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// In which order a pixel's channels enter the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ChannelOrder {
    /// One channel.
    #[default]
    #[serde(rename = "GRAY")]
    Gray,
    /// Red first.
    #[serde(rename = "RGB")]
    Rgb,
    /// Blue first.
    #[serde(rename = "BGR")]
    Bgr,
}

/// How the pixels given to [`Preprocess::apply`] lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// One plane after another.
    Planar,
    /// One pixel after another, as image decoders write.
    Interleaved,
}

/// What the client's file holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InputKind {
    /// A picture.
    #[default]
    Image,
    /// Numbers, such as a row of a table.
    Tensor,
}

/// `x = (p·scale - mean[c]) / std[c]` in 64-bit floats and rounded once to 32 bits. The serde form is
/// that of a flat `preprocess.toml`; fields left out mean "nothing to do".
///
/// `mean` and `std` have one entry, or one for each channel in the network's order; of numbers, the
/// first axis counts as channels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Preprocess {
    /// Picture or numbers.
    pub kind: InputKind,
    /// A picture: `[height, width]` that its reader resizes to before the crop. Numbers: the shape
    /// without batch dimension.
    pub size: Vec<usize>,
    /// Side of the centred square of a picture that is kept. Without `size` any picture that is large enough will do.
    pub crop: Option<usize>,
    /// Channels as the network wants them; pictures are given as gray or RGB.
    pub order: ChannelOrder,
    /// Multiplies the raw value.
    pub scale: f64,
    /// Subtracted after scaling.
    pub mean: Vec<f64>,
    /// Divided by at the end.
    pub std: Vec<f64>,
    /// Class names; the index is the class.
    pub classes: Vec<String>,
}

/// Equality of the fields; a checked value holds no NaN.
impl Eq for Preprocess {}

const MAX_ENTRIES: usize = 1 << 16;

impl Default for Preprocess {
    fn default() -> Self {
        Self {
            kind: InputKind::Image,
            size: Vec::new(),
            crop: None,
            order: ChannelOrder::Gray,
            scale: 1.0,
            mean: Vec::new(),
            std: Vec::new(),
            classes: Vec::new(),
        }
    }
}

/// The mean and standard deviation of every channel.
type PerChannel = Vec<(f64, f64)>;

impl Preprocess {
    /// Checks the numbers.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the field.
    pub fn check(&self) -> Result<()> {
        let finite = |what: &str, values: &[f64], zero: bool| {
            if values.len() > MAX_ENTRIES {
                return Err(Error::invalid(what, "at most 65536 values", values.len()));
            }
            match values.iter().find(|v| !v.is_finite() || (!zero && **v == 0.0)) {
                Some(v) if zero => Err(Error::invalid(what, "finite numbers", v)),
                Some(v) => Err(Error::invalid(what, "finite numbers other than 0", v)),
                None => Ok(()),
            }
        };
        finite("scale", &[self.scale], false)?;
        finite("mean", &self.mean, true)?;
        finite("std", &self.std, false)?;
        for &side in self.crop.iter().chain(&self.size) {
            if !(1..=MAX_ENTRIES).contains(&side) {
                return Err(Error::invalid("crop or size", "1..=65536", side));
            }
        }
        let axes = self.size.len();
        let allowed = match self.kind {
            InputKind::Image => axes == 0 || axes == 2,
            InputKind::Tensor => axes <= 8 && self.crop.is_none(),
        };
        if !allowed {
            let expected = "[height, width] for an image, up to 8 axes and no crop for a tensor";
            return Err(Error::invalid("size", expected, format_args!("{:?}", self.size)));
        }
        if self.classes.len() > MAX_ENTRIES {
            return Err(Error::invalid("classes", "at most 65536 names", self.classes.len()));
        }
        Ok(())
    }

    fn per_channel(&self, channels: usize) -> Result<PerChannel> {
        let expand = |what: &str, values: &[f64], default: f64| match values {
            [] => Ok(vec![default; channels]),
            [value] => Ok(vec![*value; channels]),
            _ if values.len() == channels => Ok(values.to_vec()),
            _ => {
                let expected = format!("1 or {channels} values");
                Err(Error::invalid(what, expected, values.len()))
            }
        };
        let (mean, std) = (expand("mean", &self.mean, 0.0)?, expand("std", &self.std, 1.0)?);
        Ok(mean.into_iter().zip(std).collect())
    }

    fn normalise(&self, value: f64, (mean, std): (f64, f64)) -> f32 {
        ((value * self.scale - mean) / std) as f32
    }

    fn is_kind(&self, kind: InputKind) -> Result<()> {
        self.check()?;
        if self.kind == kind {
            return Ok(());
        }
        Err(Error::invalid("input", format_args!("{:?}", self.kind), format_args!("{kind:?}")))
    }

    /// A picture of `[channels, height, width]` (gray or RGB) to the input `[channels, h, w]`. The
    /// caller has resized it to [`Preprocess::size`] if that is given.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the picture has other channels, another size than announced or is
    /// smaller than the crop.
    pub fn apply(&self, pixels: &[u8], shape: [usize; 3], layout: Layout) -> Result<Vec<f32>> {
        self.is_kind(InputKind::Image)?;
        let [channels, height, width] = shape;
        let wanted = if self.order == ChannelOrder::Gray { 1 } else { 3 };
        if channels != wanted {
            return Err(Error::invalid("channels of the picture", wanted, channels));
        }
        let plane = height.saturating_mul(width);
        if Some(pixels.len()) != plane.checked_mul(channels) {
            let expected = format!("{channels} channels of {height} x {width}");
            return Err(Error::invalid("pixels", expected, pixels.len()));
        }
        if !self.size.is_empty() && self.size != [height, width] {
            let expected = format!("{:?}", self.size);
            let got = format!("{:?}", [height, width]);
            return Err(Error::invalid("height and width of the picture", expected, got));
        }
        let [h, w] = self.crop.map_or([height, width], |side| [side; 2]);
        if h > height || w > width {
            let got = format!("{height} x {width}");
            return Err(Error::invalid("picture", format_args!("at least {h} x {w}"), got));
        }
        let (top, left) = ((height - h) / 2, (width - w) / 2);
        let mut out = Vec::with_capacity(channels * h * w);
        for (c, parameters) in self.per_channel(channels)?.into_iter().enumerate() {
            let source = if self.order == ChannelOrder::Bgr { channels - 1 - c } else { c };
            for y in top..top + h {
                for x in left..left + w {
                    let at = match layout {
                        Layout::Planar => source * plane + y * width + x,
                        Layout::Interleaved => (y * width + x) * channels + source,
                    };
                    let pixel = pixels.get(at).copied().unwrap_or_default();
                    out.push(self.normalise(pixel.into(), parameters));
                }
            }
        }
        Ok(out)
    }

    /// Numbers of shape `[channels, ...]` to the input.
    ///
    /// # Errors
    /// [`Error::Invalid`] if there are not as many as [`Preprocess::size`] says, or mean or std are
    /// for another number of channels.
    pub fn apply_numbers(&self, values: &[f64]) -> Result<Vec<f32>> {
        self.is_kind(InputKind::Tensor)?;
        let wanted = self.size.iter().try_fold(1usize, |n, &axis| n.checked_mul(axis));
        if !self.size.is_empty() && wanted != Some(values.len()) {
            let expected = format!("as many as the shape {:?}", self.size);
            return Err(Error::invalid("numbers", expected, values.len()));
        }
        let channels = self.size.first().copied().unwrap_or(values.len()).max(1);
        let parameters = self.per_channel(channels)?;
        let planes = values.chunks((values.len() / channels).max(1)).zip(parameters);
        Ok(planes
            .flat_map(|(plane, parameters)| plane.iter().map(move |&p| (p, parameters)))
            .map(|(p, parameters)| self.normalise(p, parameters))
            .collect())
    }
}

/// floor(x·2^scale) of every number, which has to be finite and in the signed view of the domain.
///
/// # Errors
/// [`Error::Overflow`] with the bitwidth that works.
pub fn quantise(values: &[f32], scale: u32, domain: sci_core::AnyDomain) -> Result<Vec<i64>> {
    crate::fixed::quantise("input", values, scale, domain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crops_reorders_and_normalises() {
        let preprocess = Preprocess {
            crop: Some(1),
            order: ChannelOrder::Bgr,
            scale: 2.0,
            mean: vec![1.0, 2.0, 3.0],
            std: vec![1.0, 2.0, 4.0],
            ..Preprocess::default()
        };
        let planar: Vec<u8> = (0..27).collect();
        let interleaved: Vec<u8> =
            (0..9).flat_map(|p| [planar[p], planar[9 + p], planar[18 + p]]).collect();
        let expected = vec![22.0 * 2.0 - 1.0, (13.0 * 2.0 - 2.0) / 2.0, (4.0 * 2.0 - 3.0) / 4.0];
        assert_eq!(preprocess.apply(&planar, [3, 3, 3], Layout::Planar).unwrap(), expected);
        let got = preprocess.apply(&interleaved, [3, 3, 3], Layout::Interleaved).unwrap();
        assert_eq!(got, expected);
        assert!(preprocess.apply(&planar, [1, 3, 9], Layout::Planar).is_err());
        assert!(preprocess.apply(&planar[1..], [3, 3, 3], Layout::Planar).is_err());
        assert!(preprocess.apply_numbers(&[0.0; 27]).is_err(), "not a picture");
        let resized = Preprocess { size: vec![4, 4], ..preprocess.clone() };
        assert!(resized.apply(&planar, [3, 3, 3], Layout::Planar).is_err());
        let larger = Preprocess { crop: Some(4), ..preprocess };
        assert!(larger.apply(&planar, [3, 3, 3], Layout::Planar).is_err());
    }

    #[test]
    fn the_serde_form_is_a_flat_toml_file() {
        let file = "kind = \"image\"\nsize = [8, 8]\norder = \"BGR\"\nscale = 0.5\n\
                    mean = [1.0, 2.0, 3.0]\nclasses = [\"a\", \"b\"]";
        let preprocess: Preprocess = toml::from_str(file).unwrap();
        let expected = Preprocess {
            size: vec![8, 8],
            order: ChannelOrder::Bgr,
            scale: 0.5,
            mean: vec![1.0, 2.0, 3.0],
            classes: vec!["a".into(), "b".into()],
            ..Preprocess::default()
        };
        assert_eq!(preprocess, expected);
        assert_eq!(toml::from_str::<Preprocess>("").unwrap(), Preprocess::default());
        assert!(toml::from_str::<Preprocess>("colour = 1").is_err());
    }

    #[test]
    fn rounding_happens_once() {
        let preprocess = Preprocess { scale: 1.0 / 240.0, ..Preprocess::default() };
        assert_eq!(preprocess.apply(&[15], [1, 1, 1], Layout::Planar).unwrap(), vec![0.0625]);
    }

    #[test]
    fn numbers_are_normalised_by_channel() {
        let preprocess = Preprocess {
            kind: InputKind::Tensor,
            size: vec![2],
            mean: vec![1.0, 2.0],
            std: vec![2.0, 4.0],
            ..Preprocess::default()
        };
        assert_eq!(preprocess.apply_numbers(&[3.0, 4.0]).unwrap(), vec![1.0, 0.5]);
        assert!(preprocess.apply_numbers(&[3.0, 4.0, 5.0]).is_err());
        let planes = Preprocess { size: vec![2, 2], ..preprocess };
        assert_eq!(planes.apply_numbers(&[3.0, 5.0, 2.0, 6.0]).unwrap(), vec![1.0, 2.0, 0.0, 1.0]);
    }

    #[test]
    fn numbers_that_cannot_be_are_refused() {
        for bad in [
            Preprocess { scale: f64::NAN, ..Preprocess::default() },
            Preprocess { std: vec![0.0], ..Preprocess::default() },
            Preprocess { mean: vec![f64::INFINITY], ..Preprocess::default() },
            Preprocess { crop: Some(0), ..Preprocess::default() },
            Preprocess { size: vec![3], ..Preprocess::default() },
            Preprocess { size: vec![3, 0], ..Preprocess::default() },
        ] {
            assert!(bad.check().is_err(), "{bad:?}");
        }
    }
}
