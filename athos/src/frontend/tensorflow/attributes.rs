//! Parameters of a node, by name and type.

use super::proto::attr_value::Value as Attribute;
use super::proto::{NodeDef, TensorProto, TensorShapeProto};
use crate::{Error, Result};

/// The parameters of one node.
#[derive(Clone, Copy)]
pub(super) struct Attributes<'a>(pub(super) &'a NodeDef);

macro_rules! getter {
    ($(#[$doc:meta])* $name:ident, $kind:ident, $expected:literal, $t:ty, $x:ident => $value:expr) => {
        $(#[$doc])*
        pub(super) fn $name(&self, name: &str) -> Result<Option<$t>> {
            match self.find(name) {
                None => Ok(None),
                Some(Attribute::$kind($x)) => Ok(Some($value)),
                Some(_) => Err(self.wrong(name, $expected)),
            }
        }
    };
}

impl<'a> Attributes<'a> {
    fn find(&self, name: &str) -> Option<&'a Attribute> {
        self.0.attr.get(name)?.value.as_ref()
    }

    fn wrong(&self, name: &str, expected: &str) -> Error {
        Error::invalid(format!("attribute {name}"), expected, "another type")
    }

    getter!(optional_bool, B, "a truth value", bool, x => *x);
    getter!(optional_float, F, "a float", f32, x => *x);
    getter!(shape, Shape, "a shape", &'a TensorShapeProto, x => x);
    getter!(tensor, Tensor, "a tensor", &'a TensorProto, x => x);
    getter!(optional_ints, List, "a list of integers", &'a [i64], x => x.i.as_slice());
    getter!(optional_type, Type, "an element type", i32, x => *x);
    getter!(optional_int, I, "an integer", i64, x => *x);

    pub(super) fn flag(&self, name: &str) -> Result<bool> {
        Ok(self.optional_bool(name)?.unwrap_or(false))
    }

    pub(super) fn int(&self, name: &str, default: i64) -> Result<i64> {
        Ok(self.optional_int(name)?.unwrap_or(default))
    }

    pub(super) fn ints(&self, name: &str) -> Result<&'a [i64]> {
        Ok(self.optional_ints(name)?.unwrap_or(&[]))
    }

    pub(super) fn element_type(&self, name: &str) -> Result<i32> {
        Ok(self.optional_type(name)?.unwrap_or(0))
    }

    pub(super) fn float(&self, name: &str, default: f32) -> Result<f32> {
        let value = self.optional_float(name)?.unwrap_or(default);
        if value.is_finite() {
            return Ok(value);
        }
        Err(Error::invalid(format!("attribute {name}"), "a finite number", value))
    }

    pub(super) fn text(&self, name: &str, default: &'static str) -> Result<&'a str> {
        match self.find(name) {
            None => Ok(default),
            Some(Attribute::S(text)) => {
                std::str::from_utf8(text).map_err(|_| self.wrong(name, "text"))
            }
            Some(_) => Err(self.wrong(name, "text")),
        }
    }

    /// Whether the channels come last, as they do unless said otherwise.
    pub(super) fn channels_last(&self) -> Result<bool> {
        match self.text("data_format", "NHWC")? {
            "NHWC" | "NDHWC" => Ok(true),
            "NCHW" | "NCDHW" => Ok(false),
            other => Err(Error::invalid("data_format", "channels last or first", other)),
        }
    }
}
