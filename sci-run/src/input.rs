//! The client's inputs: pictures, arrays, rows of numbers.
//!
//! | file | is |
//! |---|---|
//! | png, jpeg | a picture of 8 bits a channel; preprocessing applies |
//! | npy of u8 | a picture in planes, or raw values of the input's shape; preprocessing applies |
//! | npy of f32 | the network's input itself |
//! | csv | a row of raw numbers an input, perhaps below a line of names; preprocessing applies |
//!
//! Files are hostile: sizes are bounded before anything is allocated.

mod dataset;
mod file;

pub use dataset::dataset;

use crate::embedded::Embedded;
use crate::failure::{Failure, Result};
use athos::llil::TensorInfo;
use athos::preprocess::{InputKind, Layout, Preprocess};
use athos::testing::Numbers;
use athos::{PublicProgram, quantise};
use std::fmt;
use std::path::Path;
use zeroize::Zeroizing;

/// The name of an input of noise: numbers between -1 and 1, the same every time. For networks with
/// random weights, whose time and traffic depend on neither.
pub const RANDOM: &str = "random";

/// An input before the public program says what to do with it.
pub struct Input {
    /// For reports: the file, and the row if there are several.
    pub name: String,
    /// The class it is known to show.
    pub label: Option<u64>,
    values: Values,
}

/// What a file holds. Secret: wiped, never printed.
enum Values {
    /// Pixels of `[channels, height, width]`.
    Picture { pixels: Zeroizing<Vec<u8>>, shape: [usize; 3], layout: Layout },
    /// Before preprocessing; the shape if the file has one.
    Raw { numbers: Zeroizing<Vec<f64>>, shape: Option<Vec<usize>> },
    /// Noise of whatever shape the program wants.
    Random,
    /// After it.
    Ready { numbers: Zeroizing<Vec<f32>>, shape: Vec<usize> },
}

/// Reads files, or the inputs of embedded models by their name.
///
/// # Errors
/// The first file that cannot be read, with the cause.
pub fn read(names: &[String]) -> Result<Vec<Input>> {
    let mut inputs = Vec::new();
    for name in names {
        if name == RANDOM {
            let name = name.clone();
            inputs.push(Input { name, label: None, values: Values::Random });
            continue;
        }
        match Embedded::named(name) {
            Some(model) => embedded(model, &mut inputs)?,
            None => {
                let path = Path::new(name);
                let bytes = Zeroizing::new(crate::model::read_small(path)?);
                file::read(name, &bytes, &mut inputs).map_err(|failure| failure.at(name))?;
            }
        }
    }
    Ok(inputs)
}

fn embedded(model: &Embedded, inputs: &mut Vec<Input>) -> Result<()> {
    let first = inputs.len();
    for (name, bytes) in model.inputs {
        file::read(name, bytes, inputs)?;
    }
    for line in model.labels.lines().skip(1) {
        let Some((name, label)) = line.split_once(',') else { continue };
        let mut named = inputs.iter_mut().skip(first);
        if let Some(input) = named.find(|input| input.name == name) {
            input.label = label.trim().parse().ok();
        }
    }
    for input in inputs.iter_mut().skip(first) {
        input.name = format!("{}/{}", model.name, input.name);
    }
    Ok(())
}

impl Input {
    /// The integers that the program takes.
    ///
    /// # Errors
    /// If the shape is not the program's or a value does not fit its domain.
    pub fn quantise(&self, program: &PublicProgram) -> Result<Zeroizing<Vec<i64>>> {
        let place = |failure: Failure| failure.at(&self.name);
        let numbers = self.prepare(program).map_err(place)?;
        let integers = quantise(&numbers, program.scale, program.domain);
        Ok(Zeroizing::new(integers.map_err(|e| place(e.into()))?))
    }

    /// The numbers that the float network takes, by the shape and the preprocessing of its program.
    ///
    /// # Errors
    /// If the shape is not the program's.
    pub fn numbers(&self, program: &PublicProgram) -> Result<Zeroizing<Vec<f32>>> {
        self.prepare(program).map_err(|failure| failure.at(&self.name))
    }

    fn prepare(&self, program: &PublicProgram) -> Result<Zeroizing<Vec<f32>>> {
        let tensor = program.input()?;
        let rule = program.preprocess.as_ref();
        let numbers = match &self.values {
            Values::Ready { numbers, shape } => {
                same_shape(tensor, shape)?;
                numbers.clone()
            }
            Values::Random => noise(tensor.len()),
            Values::Picture { pixels, shape, layout } => {
                picture(tensor, rule, pixels, *shape, *layout)?
            }
            Values::Raw { numbers, shape } => {
                let shape = shape.as_deref();
                shape.map_or(Ok(()), |shape| same_shape(tensor, shape))?;
                row(tensor, rule, numbers)?
            }
        };
        same_count(tensor, numbers.len())?;
        match numbers.iter().all(|x| x.is_finite()) {
            true => Ok(numbers),
            false => Err(Failure::invalid("input", "finite numbers", "another")),
        }
    }
}

/// Numbers of 24 bits between -1 and 1.
fn noise(len: usize) -> Zeroizing<Vec<f32>> {
    let mut numbers = Numbers::new(0);
    let unit = |bits: u64| (bits >> 40) as f32 / (1u32 << 23) as f32 - 1.0;
    Zeroizing::new((0..len).map(|_| unit(numbers.next_u64())).collect())
}

/// Preprocesses a picture; a grey one becomes a colour one if need be.
fn picture(
    tensor: &TensorInfo,
    rule: Option<&Preprocess>,
    pixels: &[u8],
    shape: [usize; 3],
    layout: Layout,
) -> Result<Zeroizing<Vec<f32>>> {
    let default = Preprocess::default();
    let rule = rule.unwrap_or(&default);
    let [given, height, width] = shape;
    let channels = fit_picture(tensor, rule, shape)?;
    if channels == given {
        return Ok(Zeroizing::new(rule.apply(pixels, shape, layout)?));
    }
    let grown = pixels.iter().flat_map(|&p| std::iter::repeat_n(p, channels)).collect();
    let grown: Zeroizing<Vec<u8>> = Zeroizing::new(grown);
    let shape = [channels, height, width];
    Ok(Zeroizing::new(rule.apply(&grown, shape, Layout::Interleaved)?))
}

/// Preprocesses a row of numbers; where the network wants a picture they are its pixels, plane by
/// plane.
fn row(
    tensor: &TensorInfo,
    rule: Option<&Preprocess>,
    numbers: &[f64],
) -> Result<Zeroizing<Vec<f32>>> {
    let Some(rule) = rule else {
        return Ok(Zeroizing::new(numbers.iter().map(|&x| x as f32).collect()));
    };
    let (InputKind::Image, &[1, channels, rows, columns]) = (rule.kind, tensor.shape.as_slice())
    else {
        same_count(tensor, numbers.len())?;
        return Ok(Zeroizing::new(rule.apply_numbers(numbers)?));
    };
    let [rows, columns] = rule.size.as_slice().try_into().unwrap_or([rows, columns]);
    let wanted = channels.saturating_mul(rows).saturating_mul(columns);
    if numbers.len() != wanted {
        let expected = format!("{wanted} (pixels of shape {channels}x{rows}x{columns})");
        return Err(Failure::invalid("number of values", expected, numbers.len()));
    }
    let pixels: Option<Vec<u8>> =
        numbers.iter().map(|&x| (f64::from(x as u8) == x).then_some(x as u8)).collect();
    let pixels = pixels.map(Zeroizing::new);
    let pixels =
        pixels.ok_or_else(|| Failure::invalid("pixels", "whole numbers 0..=255", "others"))?;
    picture(tensor, Some(rule), &pixels, [channels, rows, columns], Layout::Planar)
}

/// Checks a picture against what the program wants; returns the channels to give it: a grey one
/// becomes a colour one if need be.
fn fit_picture(
    tensor: &TensorInfo,
    rule: &Preprocess,
    [channels, height, width]: [usize; 3],
) -> Result<usize> {
    let &[1, wanted, rows, columns] = tensor.shape.as_slice() else {
        let expected = format!("numbers of shape {}", shape_text(&tensor.shape));
        return Err(Failure::invalid("input", expected, "a picture"));
    };
    // Without a size of its own a rule that crops takes the middle of any picture that is large enough.
    let (least, exact) = match (<[usize; 2]>::try_from(rule.size.as_slice()), rule.crop) {
        (Ok(size), _) => (size, true),
        (Err(_), Some(side)) => ([side; 2], false),
        (Err(_), None) => ([rows, columns], true),
    };
    let [rows, columns] = least;
    let fits = match exact {
        true => [height, width] == least,
        false => height >= rows && width >= columns,
    };
    if !fits {
        let bound = if exact { "" } else { "at least " };
        return Err(Failure::invalid(
            "picture",
            format_args!("{bound}{rows} x {columns} pixels (height x width)"),
            format_args!("{height} x {width}"),
        )
        .hint("crop or scale the picture to this size"));
    }
    if channels == wanted || channels == 1 {
        return Ok(wanted);
    }
    let name = |n: usize| match n {
        1 => "a grey picture".to_string(),
        3 => "a colour picture".to_string(),
        n => format!("{n} channels"),
    };
    Err(Failure::invalid("picture", name(wanted), name(channels)))
}

/// With or without axes of one before the others: the batch, or the only channel.
fn same_shape(tensor: &TensorInfo, got: &[usize]) -> Result<()> {
    let wanted = tensor.shape.as_slice();
    if long(got) == long(wanted) {
        return Ok(());
    }
    Err(Failure::invalid("shape of the input", shape_text(wanted), shape_text(got)))
}

/// The axes from the first one that is longer than 1.
fn long(shape: &[usize]) -> &[usize] {
    let ones = shape.iter().take_while(|&&n| n == 1).count();
    shape.get(ones..).unwrap_or_default()
}

fn same_count(tensor: &TensorInfo, got: usize) -> Result<()> {
    if got == tensor.len() {
        return Ok(());
    }
    let expected = format!("{} (shape {})", tensor.len(), shape_text(&tensor.shape));
    Err(Failure::invalid("number of values", expected, got))
}

fn shape_text(shape: &[usize]) -> String {
    shape.iter().map(ToString::to_string).collect::<Vec<_>>().join("x")
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Input({})", self.name)
    }
}

#[cfg(test)]
mod tests;
