//! Why a link ended.

use crate::Error;
use crate::error::Text;
use std::io;

/// An error that can be told to every stream.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    Link { what: Text, kind: Option<io::ErrorKind> },
    Misbehaved { what: Text, expected: Text, got: Text },
    Incompatible { field: Text, ours: Text, theirs: Text },
    Other { what: Text },
}

impl Failure {
    pub(super) fn of(error: &Error) -> Self {
        match error {
            Error::Link { what, source } => {
                Self::Link { what: what.clone(), kind: source.as_ref().map(io::Error::kind) }
            }
            Error::PeerMisbehaved { what, expected, got } => Self::Misbehaved {
                what: what.clone(),
                expected: expected.clone(),
                got: got.clone(),
            },
            Error::PeerIncompatible { field, ours, theirs } => Self::Incompatible {
                field: field.clone(),
                ours: ours.clone(),
                theirs: theirs.clone(),
            },
            other => Self::Other { what: other.to_string().into() },
        }
    }

    /// The error as somebody sees it who was doing `doing`.
    pub(super) fn error(&self, doing: &str) -> Error {
        match self.clone() {
            Self::Link { what, kind } => Error::Link {
                what: format!("{doing}: {what}").into(),
                source: kind.map(Into::into),
            },
            Self::Misbehaved { what, expected, got } => {
                Error::PeerMisbehaved { what, expected, got }
            }
            Self::Incompatible { field, ours, theirs } => {
                Error::PeerIncompatible { field, ours, theirs }
            }
            Self::Other { what } => {
                Error::link_closed(format!("{doing}: the session was given up ({what})"))
            }
        }
    }
}
