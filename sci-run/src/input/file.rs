//! What a file holds, by its name's extension.

use super::{Input, Values};
use crate::failure::{Failure, Result};
use athos::preprocess::Layout;
use image::{DynamicImage, ImageFormat, ImageReader, Limits};
use ndarray::ArrayViewD;
use ndarray_npy::{ViewNpyError, ViewNpyExt};
use std::io::Cursor;
use std::path::Path;
use zeroize::Zeroizing;

/// The longest side of a picture.
const MAX_SIDE: u32 = 1 << 14;
/// What decoding a picture may allocate.
const MAX_DECODE: u64 = 1 << 30;
/// The most inputs of one table.
const MAX_ROWS: usize = 1 << 20;
/// npy data starts at a multiple of this.
const NPY_ALIGNMENT: usize = 64;

/// Appends the inputs of one file.
pub(super) fn read(name: &str, bytes: &[u8], inputs: &mut Vec<Input>) -> Result<()> {
    let extension = Path::new(name).extension().unwrap_or_default().to_ascii_lowercase();
    let values = match extension.to_str() {
        Some("png") => picture(bytes, ImageFormat::Png)?,
        Some("jpg" | "jpeg") => picture(bytes, ImageFormat::Jpeg)?,
        Some("npy") => array(bytes)?,
        Some("csv") => return table(name, bytes, inputs),
        _ => {
            let got =
                if extension.is_empty() { "none".into() } else { extension.to_string_lossy() };
            return Err(Failure::invalid(
                "extension of the input",
                "png, jpg, jpeg, npy or csv",
                got,
            )
            .hint("or the name of an embedded set: digits, breast-cancer"));
        }
    };
    inputs.push(Input { name: name.to_string(), label: None, values });
    Ok(())
}

fn picture(bytes: &[u8], format: ImageFormat) -> Result<Values> {
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_DECODE);
    reader.limits(limits);
    let kind = format.extensions_str().first().copied().unwrap_or("picture");
    let image = reader
        .decode()
        .map_err(|e| Failure::invalid("picture", format_args!("a {kind} file"), e))?;
    let (height, width) = (image.height() as usize, image.width() as usize);
    let (pixels, channels) = match image {
        DynamicImage::ImageLuma8(image) => (image.into_raw(), 1),
        DynamicImage::ImageRgb8(image) => (image.into_raw(), 3),
        // An opaque alpha channel says nothing; any other would need a background.
        DynamicImage::ImageLumaA8(image) => (opaque(image.into_raw(), 1)?, 1),
        DynamicImage::ImageRgba8(image) => (opaque(image.into_raw(), 3)?, 3),
        other => {
            let got = format!("{:?}", other.color());
            return Err(Failure::invalid("picture", "8 bits a channel, grey or colour", got));
        }
    };
    let (pixels, shape) = (Zeroizing::new(pixels), [channels, height, width]);
    Ok(Values::Picture { pixels, shape, layout: Layout::Interleaved })
}

fn opaque(pixels: Vec<u8>, channels: usize) -> Result<Vec<u8>> {
    let pixels = Zeroizing::new(pixels);
    let mut out = Vec::with_capacity(pixels.len());
    for pixel in pixels.chunks_exact(channels + 1) {
        let (colour, alpha) = pixel.split_at(channels);
        if alpha != [u8::MAX] {
            return Err(Failure::invalid("picture", "no transparent pixels", "some"));
        }
        out.extend_from_slice(colour);
    }
    Ok(out)
}

/// A copy that starts where floats may, for a view of floats needs them aligned in memory.
pub(super) struct Aligned {
    buffer: Zeroizing<Vec<u8>>,
    start: usize,
    len: usize,
}

impl Aligned {
    pub(super) fn bytes(&self) -> &[u8] {
        self.buffer.get(self.start..self.start + self.len).unwrap_or_default()
    }
}

pub(super) fn aligned(bytes: &[u8]) -> Aligned {
    let mut buffer = Zeroizing::new(vec![0; bytes.len() + NPY_ALIGNMENT]);
    let start = buffer.as_ptr().align_offset(NPY_ALIGNMENT).min(NPY_ALIGNMENT);
    let len = bytes.len();
    if let Some(place) = buffer.get_mut(start..start + len) {
        place.copy_from_slice(bytes);
    }
    Aligned { buffer, start, len }
}

/// Reads an array without trusting the size in its header: the view only refers to bytes that are
/// there.
fn array(bytes: &[u8]) -> Result<Values> {
    let aligned = aligned(bytes);
    let place = aligned.bytes();
    match ArrayViewD::<u8>::view_npy(place) {
        Ok(view) => {
            let pixels = Zeroizing::new(view.iter().copied().collect::<Vec<u8>>());
            let layout = Layout::Planar;
            return Ok(match *view.shape() {
                [c @ (1 | 3), h, w] | [1, c @ (1 | 3), h, w] => {
                    Values::Picture { pixels, shape: [c, h, w], layout }
                }
                _ => {
                    let numbers = pixels.iter().map(|&x| f64::from(x)).collect();
                    let shape = Some(view.shape().to_vec());
                    Values::Raw { numbers: Zeroizing::new(numbers), shape }
                }
            });
        }
        Err(ViewNpyError::WrongDescriptor(_)) => {}
        Err(e) => return Err(Failure::invalid("array", "an npy file", e)),
    }
    match ArrayViewD::<f32>::view_npy(place) {
        Ok(view) => {
            let shape = view.shape().to_vec();
            let numbers = Zeroizing::new(view.iter().copied().collect());
            Ok(Values::Ready { numbers, shape })
        }
        Err(e) => Err(Failure::invalid("array", "an npy file of u8 or little-endian f32", e)),
    }
}

fn table(name: &str, bytes: &[u8], inputs: &mut Vec<Input>) -> Result<()> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(bytes);
    let first = inputs.len();
    for (row, record) in reader.records().enumerate() {
        let line = row + 1;
        let record = record.map_err(|e| {
            Failure::invalid(format_args!("line {line}"), "comma-separated values", e)
        })?;
        let numbers: Result<Vec<f64>, &str> =
            record.iter().map(|field| field.parse().map_err(|_| field)).collect();
        let numbers = match numbers {
            Ok(numbers) => Zeroizing::new(numbers),
            Err(_) if row == 0 => continue,
            Err(_) => {
                return Err(Failure::invalid(
                    format_args!("line {line}"),
                    "numbers",
                    "another field",
                ));
            }
        };
        if inputs.len() - first == MAX_ROWS {
            return Err(Failure::invalid("rows", format_args!("at most {MAX_ROWS}"), "more"));
        }
        let values = Values::Raw { numbers, shape: None };
        inputs.push(Input { name: format!("{name}:{line}"), label: None, values });
    }
    match inputs.get_mut(first..) {
        Some([only]) => only.name = name.to_string(),
        Some([]) | None => return Err(Failure::invalid("table", "a row of numbers", "none")),
        Some(_) => {}
    }
    Ok(())
}
