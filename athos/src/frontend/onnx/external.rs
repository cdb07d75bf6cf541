//! Constants that a model keeps in other files.
//!
//! Only plain relative paths below the model's folder are opened, after symbolic links are resolved; only
//! the declared number of bytes is read, and all of them together are bounded.

use super::proto::{StringStringEntryProto, TensorProto};
use super::tensor::element_size;
use crate::frontend::MAX_FILE_BYTES;
use crate::{Error, Result};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};

/// The folder of a model, and how many more bytes may be read from it.
#[derive(Debug)]
pub(super) struct Folder<'a> {
    path: Option<&'a Path>,
    left: u64,
}

/// Where the bytes of a tensor are.
struct Place<'a> {
    location: &'a str,
    offset: u64,
    length: Option<u64>,
}

impl<'a> Place<'a> {
    fn of(entries: &'a [StringStringEntryProto], name: &str) -> Result<Self> {
        let number = |entry: &StringStringEntryProto| {
            let wrong =
                |_| Error::invalid(format!("{name}: {}", entry.key), "a number", &entry.value);
            entry.value.parse::<u64>().map_err(wrong)
        };
        let mut place = Self { location: "", offset: 0, length: None };
        for entry in entries {
            match entry.key.as_str() {
                "location" => place.location = &entry.value,
                "offset" => place.offset = number(entry)?,
                "length" => place.length = Some(number(entry)?),
                _ => {}
            }
        }
        Ok(place)
    }
}

impl<'a> Folder<'a> {
    pub(super) fn new(path: Option<&'a Path>) -> Self {
        Self { path, left: 2 * MAX_FILE_BYTES as u64 }
    }

    /// A tensor with its data inside, if it is kept elsewhere.
    pub(super) fn load(&mut self, tensor: &TensorProto, name: &str) -> Result<Option<TensorProto>> {
        if tensor.data_location == 0 && tensor.external_data.is_empty() {
            return Ok(None);
        }
        let Some(folder) = self.path else {
            return Err(Error::invalid(name, "data inside the model file", "external data"));
        };
        let place = Place::of(&tensor.external_data, name)?;
        let file = open(folder, place.location, name)?;
        let elements =
            tensor.dims.iter().try_fold(1u64, |n, &axis| n.checked_mul(u64::try_from(axis).ok()?));
        let wanted = elements.zip(element_size(tensor.data_type));
        let wanted = wanted.and_then(|(n, size)| n.checked_mul(size)).ok_or_else(|| {
            Error::invalid(name, "a size and an element type that can be read", "others")
        })?;
        if let Some(length) = place.length.filter(|&length| length != wanted) {
            return Err(Error::invalid(format!("{name}: length"), wanted, length));
        }
        let left = self.left.checked_sub(wanted);
        self.left =
            left.ok_or_else(|| Error::invalid(name, "at most 2 GiB of external data", "more"))?;
        let raw_data = part(file, place.offset, wanted, name)?;
        Ok(Some(TensorProto {
            dims: tensor.dims.clone(),
            data_type: tensor.data_type,
            raw_data,
            ..TensorProto::default()
        }))
    }
}

/// A file below a folder.
fn open(folder: &Path, location: &str, name: &str) -> Result<File> {
    let refused = |why: &str| {
        let what = format!("{name}: external data {location:?}");
        Error::invalid(what, "a file below the model's folder", why)
    };
    let relative = PathBuf::from(location);
    let plain = |part: Component<'_>| matches!(part, Component::Normal(_));
    if location.is_empty() || !relative.components().all(plain) {
        return Err(refused("a path that may leave it"));
    }
    let real = |path: &Path| path.canonicalize().map_err(|e| refused(&e.to_string()));
    let (folder, path) = (real(folder)?, real(&folder.join(relative))?);
    if !path.starts_with(&folder) {
        return Err(refused("a link that leaves it"));
    }
    let file = File::open(&path).map_err(|e| refused(&e.to_string()))?;
    let metadata = file.metadata().map_err(|e| refused(&e.to_string()))?;
    if metadata.is_file() { Ok(file) } else { Err(refused("no file")) }
}

fn part(mut file: File, offset: u64, length: u64, name: &str) -> Result<Vec<u8>> {
    let failed = |e: std::io::Error| Error::invalid(name, "readable external data", e);
    let size = file.metadata().map_err(failed)?.len();
    if offset.checked_add(length).is_none_or(|end| end > size) {
        let got = format!("{length} bytes from {offset} of a file of {size}");
        return Err(Error::invalid(name, "bytes that the file has", got));
    }
    file.seek(SeekFrom::Start(offset)).map_err(failed)?;
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
    file.read_exact(&mut bytes).map_err(failed)?;
    Ok(bytes)
}
