//! What the outputs of a run mean: a class, a class for every position, or logits.

use crate::failure::{Failure, Result};
use crate::input::Input;
use crate::report::{ClassMap, Prediction};
use athos::llil::{AxisGeometry, Op};
use athos::{OutputForm, PublicProgram};
use ndarray::{ArrayD, IxDyn};
use ndarray_npy::{WritableElement, write_npy};
use sci_core::Error;
use std::path::Path;

/// What an output says of an input.
///
/// # Errors
/// An index that no honest peer's shares add up to.
pub fn prediction(program: &PublicProgram, input: &Input, output: &[i64]) -> Result<Prediction> {
    let unit = 2f64.powi(-i32::try_from(program.output()?.scale).unwrap_or(i32::MAX));
    let (classes, shape, logits) = match program.output_form {
        OutputForm::ArgMax => (indices(program, output)?, program.output()?.shape.clone(), None),
        OutputForm::Logits => {
            let (classes, shape) = largest(program, output)?;
            let logits = output.iter().map(|&x| x as f64 * unit).collect();
            (classes, shape, Some(logits))
        }
    };
    let (input, label) = (input.name.clone(), input.label);
    let mut prediction = match *classes {
        [class] => Prediction { class: Some(class), logits, ..Prediction::of(input, label) },
        _ => {
            let map = ClassMap { shape, counts: counts(&classes, count(program)) };
            Prediction { map: Some(map), ..Prediction::of(input, label) }
        }
    };
    prediction.name_classes(program.class_names());
    Ok(prediction)
}

/// How many classes there are.
fn count(program: &PublicProgram) -> usize {
    let last = program.instructions.last();
    let classes = last.and_then(|last| match last.op {
        Op::ArgMax { axis } => {
            let input = program.instructions.get(last.inputs.first()?.index())?;
            input.output.shape.get(axis).copied()
        }
        _ => last.output.shape.get(class_axis(&last.output.shape)).copied(),
    });
    classes.unwrap_or_default()
}

/// Behind the batch, where there is one.
fn class_axis(shape: &[usize]) -> usize {
    usize::from(shape.len() > 1)
}

/// The classes that an opened argmax names.
fn indices(program: &PublicProgram, output: &[i64]) -> Result<Vec<u64>> {
    let classes = count(program) as u64;
    let index = |&index: &i64| match u64::try_from(index) {
        Ok(class) if class < classes => Ok(class),
        _ => Err(Error::misbehaved("class", format_args!("below {classes}"), index).into()),
    };
    output.iter().map(index).collect()
}

/// The classes of the largest logits, the first of equal ones, and the shape without the axis of the classes.
fn largest(program: &PublicProgram, output: &[i64]) -> Result<(Vec<u64>, Vec<usize>)> {
    let mut shape = program.output()?.shape.clone();
    let axis = class_axis(&shape);
    let geometry = AxisGeometry::new(&shape, axis)?;
    let AxisGeometry { outer, len, inner } = geometry;
    let at = |position: usize, class: usize| {
        output.get((position / inner * len + class) * inner + position % inner)
    };
    let best = |position: usize| {
        let better =
            |best, class| if at(position, class) > at(position, best) { class } else { best };
        (1..len).fold(0, better) as u64
    };
    shape.remove(axis);
    Ok(((0..outer * inner).map(best).collect(), shape))
}

fn counts(classes: &[u64], count: usize) -> Vec<u64> {
    let mut counts = vec![0; count];
    for &class in classes {
        if let Some(count) = usize::try_from(class).ok().and_then(|class| counts.get_mut(class)) {
            *count += 1;
        }
    }
    counts
}

/// Writes the outputs of all inputs to one npy file, one after another along the first axis: classes as u8 (u32
/// where there are more than 256), or logits as f64.
///
/// # Errors
/// Those of the file, and a class beyond what the program has.
pub fn write(path: &Path, program: &PublicProgram, outputs: &[Vec<i64>]) -> Result<()> {
    let values = outputs.iter().flatten();
    match program.output_form {
        OutputForm::Logits => {
            let unit = 2f64.powi(-i32::try_from(program.output()?.scale).unwrap_or(i32::MAX));
            array(path, program, values.map(|&x| x as f64 * unit).collect())
        }
        OutputForm::ArgMax if count(program) <= 1 << u8::BITS => {
            let classes: Result<Vec<u8>, _> = values.map(|&x| u8::try_from(x)).collect();
            array(path, program, classes.map_err(|e| Failure::invalid("class", "below 256", e))?)
        }
        OutputForm::ArgMax => {
            let classes: Result<Vec<u32>, _> = values.map(|&x| u32::try_from(x)).collect();
            array(path, program, classes.map_err(|e| Failure::invalid("class", "below 2^32", e))?)
        }
    }
}

fn array<T: WritableElement>(path: &Path, program: &PublicProgram, values: Vec<T>) -> Result<()> {
    let mut shape = program.output()?.shape.clone();
    let one: usize = shape.iter().product();
    match shape.first_mut() {
        Some(first) => *first *= values.len() / one.max(1),
        None => shape.push(values.len()),
    }
    let failed =
        |e: &dyn std::fmt::Display| Failure::new("file", format_args!("{}: {e}", path.display()));
    let array = ArrayD::from_shape_vec(IxDyn(&shape), values).map_err(|e| failed(&e))?;
    write_npy(path, &array).map_err(|e| failed(&e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Plan;
    use crate::model::Source;

    /// The digits' program as if its output had other axes.
    fn program(shape: &[usize], form: OutputForm) -> PublicProgram {
        let plan = Plan { output: Some(form), ..Plan::default() };
        let mut public = Source::parse("digits").unwrap().load(&plan).unwrap().public;
        public.instructions.last_mut().unwrap().output.shape = shape.to_vec();
        public
    }

    fn input() -> Input {
        crate::input::read(&["random".to_string()]).unwrap().remove(0)
    }

    #[test]
    fn one_class_many_classes_and_classes_that_are_none() {
        let one = program(&[1], OutputForm::ArgMax);
        let prediction =
            |program: &PublicProgram, output: &[i64]| super::prediction(program, &input(), output);
        let class = prediction(&one, &[7]).unwrap();
        assert_eq!((class.class, class.map), (Some(7), None));
        for wrong in [-1, 10] {
            assert!(prediction(&one, &[wrong]).is_err());
        }
        let many = program(&[1, 2, 2], OutputForm::ArgMax);
        let map = prediction(&many, &[0, 3, 3, 9]).unwrap();
        assert_eq!(map.class, None);
        let map = map.map.unwrap();
        assert_eq!((map.shape, map.counts), (vec![1, 2, 2], vec![1, 0, 0, 2, 0, 0, 0, 0, 0, 1]));
        assert!(prediction(&many, &[0, 0, 10, 0]).is_err());
    }

    #[test]
    fn logits_are_compared_along_their_axis() {
        let one = program(&[1, 3], OutputForm::Logits);
        let prediction = super::prediction(&one, &input(), &[5, 9, 9]).unwrap();
        assert_eq!(prediction.class, Some(1));
        assert_eq!(prediction.logits.unwrap().len(), 3);
        // Two positions, classes in planes.
        let two = program(&[1, 3, 2], OutputForm::Logits);
        let prediction = super::prediction(&two, &input(), &[1, 0, 0, 0, 0, 4]).unwrap();
        assert_eq!((prediction.class, &prediction.logits), (None, &None));
        assert_eq!(prediction.map.unwrap().counts, [1, 0, 1]);
    }

    #[test]
    fn arrays_hold_all_inputs() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels.npy");
        let many = program(&[1, 2, 2], OutputForm::ArgMax);
        write(&path, &many, &[vec![0, 1, 2, 3], vec![4, 5, 6, 7]]).unwrap();
        let array: ArrayD<u8> = ndarray_npy::read_npy(&path).unwrap();
        assert_eq!(array.shape(), [2, 2, 2]);
        assert_eq!(array.into_raw_vec_and_offset().0, [0, 1, 2, 3, 4, 5, 6, 7]);
        let logits = program(&[1, 2], OutputForm::Logits);
        write(&path, &logits, &[vec![1 << 12, -(1 << 11)]]).unwrap();
        let array: ArrayD<f64> = ndarray_npy::read_npy(&path).unwrap();
        let scale = logits.output().unwrap().scale as i32;
        assert_eq!(array[[0, 0]], 4096.0 / 2f64.powi(scale));
    }
}
