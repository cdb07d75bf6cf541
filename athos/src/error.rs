//! What can be wrong with a model, an option or a program, with the culprit named.

use std::fmt;

/// The result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a model could not be compiled, or a program not be read or run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file, an option or a shape is not what it has to be.
    #[error("{what}: expected {expected}, got {got}")]
    Invalid {
        /// Which node, tensor, field or option.
        what: String,
        /// What is allowed there.
        expected: String,
        /// What was found.
        got: String,
    },
    /// The model uses operators, or forms of them, that cannot be compiled: all of them.
    #[error("{}", UnsupportedList(.0))]
    Unsupported(Vec<UnsupportedNode>),
    /// A number does not fit the domain or the scale.
    #[error("{tensor}: {what}{}", hint(*.bitwidth))]
    Overflow {
        /// Which tensor, weight or node.
        tensor: String,
        /// What does not fit where (bounds, never values of weights).
        what: String,
        /// The smallest bitwidth that works, if any does.
        bitwidth: Option<u32>,
    },
    /// The interface was used against its contract (a defect in the program).
    #[error("misuse: {0}")]
    Misuse(String),
    /// From below.
    #[error(transparent)]
    Core(#[from] sci_core::Error),
}

/// A node that cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsupportedNode {
    /// The node's name, or that of its first output.
    pub node: String,
    /// The operator.
    pub op: String,
    /// What about it, and the nearest form that works.
    pub nearest: String,
}

struct UnsupportedList<'a>(&'a [UnsupportedNode]);

impl fmt::Display for UnsupportedList<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let noun = if self.0.len() == 1 { "node" } else { "nodes" };
        write!(f, "{} unsupported {noun}:", self.0.len())?;
        for (i, UnsupportedNode { node, op, nearest }) in self.0.iter().enumerate() {
            let separator = if i == 0 { " " } else { "; " };
            write!(f, "{separator}{node} ({op}): {nearest}")?;
        }
        Ok(())
    }
}

fn hint(bitwidth: Option<u32>) -> String {
    bitwidth.map_or_else(String::new, |bits| format!("; a bitwidth of {bits} works"))
}

impl Error {
    /// Something from outside is not what it has to be.
    pub fn invalid(
        what: impl Into<String>,
        expected: impl fmt::Display,
        got: impl fmt::Display,
    ) -> Self {
        Self::Invalid { what: what.into(), expected: expected.to_string(), got: got.to_string() }
    }

    /// The same error with the place where it happened in front.
    #[must_use]
    pub fn at(self, place: &str) -> Self {
        match self {
            Self::Invalid { what, expected, got } => {
                Self::Invalid { what: format!("{place}: {what}"), expected, got }
            }
            Self::Overflow { tensor, what, bitwidth } => {
                Self::Overflow { tensor: format!("{place}: {tensor}"), what, bitwidth }
            }
            Self::Core(sci_core::Error::InvalidInput { what, expected, got }) => Self::Invalid {
                what: format!("{place}: {what}"),
                expected: expected.into_owned(),
                got: got.into_owned(),
            },
            other => other,
        }
    }
}

/// For backends whose error is that of the protocol crates.
impl From<Error> for sci_core::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Core(error) => error,
            Error::Misuse(what) => Self::misuse(what),
            Error::Invalid { what, expected, got } => Self::invalid(what, expected, got),
            Error::Unsupported(_) => Self::invalid("model", "supported operators", error),
            Error::Overflow { ref tensor, .. } => {
                Self::invalid(tensor.clone(), "numbers that fit the domain", &error)
            }
        }
    }
}
