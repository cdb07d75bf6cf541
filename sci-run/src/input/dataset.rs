//! A folder of labelled inputs.
//!
//! | folder | is |
//! |---|---|
//! | `images.npy` | inputs one after another along the first axis, u8 (raw) or f32 (preprocessed) |
//! | `labels.csv` with a column `file` | names of pictures or arrays, relative to the folder |
//! | neither | all png, jpeg and npy files of the folder, in the order of their names |
//!
//! The column `label` of `labels.csv` is the class; with `images.npy` rows are in order, or the column
//! `index` says which. Other columns do not matter. Without labels a set can still be compared with
//! the float network.

use super::{Input, Values, file};
use crate::failure::{Failure, Result};
use athos::preprocess::Layout;
use ndarray::{ArrayView, ArrayViewD, Axis, IxDyn};
use ndarray_npy::{ViewNpyError, ViewNpyExt};
use std::path::{Component, Path};
use zeroize::Zeroizing;

const IMAGES: &str = "images.npy";
const LABELS: &str = "labels.csv";
/// The largest array of inputs.
const MAX_BYTES: u64 = 4 << 30;

/// Reads at most `limit` inputs of a folder.
///
/// # Errors
/// The first file that is not what it has to be.
pub fn dataset(folder: &Path, limit: usize) -> Result<Vec<Input>> {
    let labels = folder.join(LABELS);
    let rows = match labels.exists() {
        true => Some(
            table(&crate::model::read_small(&labels)?)
                .map_err(|failure| failure.at(labels.display()))?,
        ),
        false => None,
    };
    let images = folder.join(IMAGES);
    let inputs = match rows {
        rows if images.exists() => {
            let bytes = crate::model::read(&images, MAX_BYTES)?;
            let mut inputs = stack(&bytes, limit).map_err(|e| e.at(images.display()))?;
            for (i, row) in rows.iter().flatten().enumerate() {
                let place = row.index.unwrap_or(i);
                if let Some(input) = inputs.get_mut(place) {
                    input.label = row.label;
                }
            }
            inputs
        }
        Some(rows) => files(folder, rows, limit)?,
        None => files(folder, listed(folder)?, limit)?,
    };
    match inputs.is_empty() {
        true => Err(Failure::invalid(folder.display(), "inputs", "none")
            .hint("images.npy, or pictures; labels.csv with columns file and label")),
        false => Ok(inputs),
    }
}

/// What is known of one input.
struct Row {
    file: Option<String>,
    index: Option<usize>,
    label: Option<u64>,
}

fn table(bytes: &[u8]) -> Result<Vec<Row>> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(bytes);
    let broken = |e: csv::Error| Failure::invalid("table", "comma-separated values", e);
    let names = reader.headers().map_err(broken)?.clone();
    let column = |name: &str| names.iter().position(|x| x.eq_ignore_ascii_case(name));
    let (file, index, label) = (column("file"), column("index"), column("label"));
    if label.is_none() && file.is_none() {
        return Err(Failure::invalid("first line", "a column label or file", "neither"));
    }
    let mut rows = Vec::new();
    for (line, record) in (2..).zip(reader.records()) {
        let record = record.map_err(broken)?;
        let number = |column: Option<usize>, what: &str| match column.map(|at| record.get(at)) {
            None => Ok(None),
            Some(text) => text.and_then(|text| text.parse().ok()).map(Some).ok_or_else(|| {
                Failure::invalid(format_args!("{what} in line {line}"), "a whole number", "another")
            }),
        };
        let label = number(label, "label")?;
        let index = number(index, "index")?.map(|i| usize::try_from(i).unwrap_or(usize::MAX));
        let file = file.and_then(|at| record.get(at)).map(str::to_string);
        rows.push(Row { file, index, label });
    }
    Ok(rows)
}

/// The inputs of a folder without a table.
fn listed(folder: &Path) -> Result<Vec<Row>> {
    let failed = |e: std::io::Error| Failure::file(folder, &e);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
        let extension = Path::new(&name).extension().unwrap_or_default().to_ascii_lowercase();
        if ["png", "jpg", "jpeg", "npy"].iter().any(|known| extension == *known) {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names.into_iter().map(|file| Row { file: Some(file), index: None, label: None }).collect())
}

fn files(folder: &Path, rows: Vec<Row>, limit: usize) -> Result<Vec<Input>> {
    let mut inputs = Vec::new();
    for row in rows.into_iter().take(limit) {
        let name = row.file.unwrap_or_default();
        let inside = |part: Component<'_>| matches!(part, Component::Normal(_));
        if !Path::new(&name).components().all(inside) {
            return Err(Failure::invalid("file", "a path inside the folder", name));
        }
        let path = folder.join(&name);
        let bytes = crate::model::read_small(&path)?;
        let first = inputs.len();
        file::read(&name, &bytes, &mut inputs).map_err(|failure| failure.at(path.display()))?;
        for input in inputs.iter_mut().skip(first) {
            input.label = row.label;
        }
    }
    Ok(inputs)
}

/// The inputs along the first axis of an array.
fn stack(bytes: &[u8], limit: usize) -> Result<Vec<Input>> {
    let aligned = file::aligned(bytes);
    let place = aligned.bytes();
    match ArrayViewD::<u8>::view_npy(place) {
        Ok(view) => return parts(&view, limit, raw),
        Err(ViewNpyError::WrongDescriptor(_)) => {}
        Err(e) => return Err(Failure::invalid("array", "an npy file", e)),
    }
    match ArrayViewD::<f32>::view_npy(place) {
        Ok(view) => parts(&view, limit, |part| Values::Ready {
            numbers: Zeroizing::new(part.iter().copied().collect()),
            shape: part.shape().to_vec(),
        }),
        Err(e) => Err(Failure::invalid("array", "an npy file of u8 or little-endian f32", e)),
    }
}

fn parts<T>(
    view: &ArrayViewD<'_, T>,
    limit: usize,
    values: impl Fn(ArrayView<'_, T, IxDyn>) -> Values,
) -> Result<Vec<Input>> {
    if view.ndim() < 2 {
        return Err(Failure::invalid("array", "two axes or more", view.ndim()));
    }
    let parts = view.axis_iter(Axis(0)).take(limit).enumerate();
    Ok(parts
        .map(|(i, part)| Input { name: format!("{i}"), label: None, values: values(part) })
        .collect())
}

fn raw(part: ArrayView<'_, u8, IxDyn>) -> Values {
    let pixels: Zeroizing<Vec<u8>> = Zeroizing::new(part.iter().copied().collect());
    match *part.shape() {
        [c @ (1 | 3), h, w] => Values::Picture { pixels, shape: [c, h, w], layout: Layout::Planar },
        ref shape => Values::Raw {
            numbers: Zeroizing::new(pixels.iter().map(|&x| f64::from(x)).collect()),
            shape: Some(shape.to_vec()),
        },
    }
}
