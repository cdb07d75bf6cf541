//! Parameters of a node, by name and type.

use super::proto::{AttributeProto, NodeProto, TensorProto};
use crate::{Error, Result};

const FLOAT: i32 = 1;
const INT: i32 = 2;
const STRING: i32 = 3;
const TENSOR: i32 = 4;
const FLOATS: i32 = 6;
const INTS: i32 = 7;

/// More than any operator has.
const MAX_ATTRIBUTES: usize = 64;

/// The parameters of one node.
#[derive(Clone, Copy)]
pub(super) struct Attributes<'a>(&'a [AttributeProto]);

impl<'a> Attributes<'a> {
    pub(super) fn of(node: &'a NodeProto) -> Result<Self> {
        if node.attribute.len() > MAX_ATTRIBUTES {
            let expected = format!("at most {MAX_ATTRIBUTES}");
            return Err(Error::invalid("attributes", expected, node.attribute.len()));
        }
        for (i, attribute) in node.attribute.iter().enumerate() {
            if node.attribute.iter().skip(i + 1).any(|x| x.name == attribute.name) {
                let what = format!("attribute {}", attribute.name);
                return Err(Error::invalid(what, "one value", "several"));
            }
        }
        Ok(Self(&node.attribute))
    }

    /// The first one that is not among the known.
    pub(super) fn unknown(&self, known: &[&str]) -> Option<&'a str> {
        self.0.iter().map(|x| x.name.as_str()).find(|name| !known.contains(name))
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|x| x.name == name)
    }

    fn find(&self, name: &str, kind: i32) -> Result<Option<&'a AttributeProto>> {
        let Some(attribute) = self.0.iter().find(|x| x.name == name) else { return Ok(None) };
        if attribute.r#type != 0 && attribute.r#type != kind {
            let what = format!("attribute {name}");
            return Err(Error::invalid(what, format_args!("type {kind}"), attribute.r#type));
        }
        Ok(Some(attribute))
    }

    pub(super) fn int(&self, name: &str, default: i64) -> Result<i64> {
        Ok(self.find(name, INT)?.map_or(default, |x| x.i))
    }

    pub(super) fn float(&self, name: &str, default: f32) -> Result<f32> {
        let value = self.optional_float(name)?.unwrap_or(default);
        if value.is_finite() {
            return Ok(value);
        }
        Err(Error::invalid(format!("attribute {name}"), "a finite number", value))
    }

    pub(super) fn optional_float(&self, name: &str) -> Result<Option<f32>> {
        Ok(self.find(name, FLOAT)?.map(|x| x.f))
    }

    pub(super) fn text(&self, name: &str, default: &'static str) -> Result<String> {
        let Some(attribute) = self.find(name, STRING)? else { return Ok(default.to_owned()) };
        String::from_utf8(attribute.s.clone())
            .map_err(|_| Error::invalid(format!("attribute {name}"), "text", "other bytes"))
    }

    pub(super) fn tensor(&self, name: &str) -> Result<Option<&'a TensorProto>> {
        Ok(self.find(name, TENSOR)?.and_then(|x| x.t.as_ref()))
    }

    pub(super) fn floats(&self, name: &str) -> Result<Option<&'a [f32]>> {
        Ok(self.find(name, FLOATS)?.map(|x| x.floats.as_slice()))
    }

    pub(super) fn ints(&self, name: &str) -> Result<Option<&'a [i64]>> {
        Ok(self.find(name, INTS)?.map(|x| x.ints.as_slice()))
    }

    /// A list of `len` numbers of at least `least`.
    pub(super) fn sizes(
        &self,
        name: &str,
        len: usize,
        least: i64,
        default: usize,
    ) -> Result<Vec<usize>> {
        let Some(ints) = self.ints(name)? else { return Ok(vec![default; len]) };
        let sizes: Option<Vec<usize>> =
            ints.iter().map(|&v| usize::try_from(v).ok().filter(|_| v >= least)).collect();
        sizes.filter(|sizes| sizes.len() == len).ok_or_else(|| {
            let expected = format!("{len} numbers of at least {least}");
            Error::invalid(format!("attribute {name}"), expected, format_args!("{ints:?}"))
        })
    }
}
