//! One error type for every protocol crate. It says who is at fault, so that a caller can map it
//! to an exit code and a hint without reading the text.

use std::borrow::Cow;

/// Text that is usually static; owned only where a value must be shown.
pub type Text = Cow<'static, str>;

/// The result of every fallible protocol step.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, by culprit. Never carries a secret value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The link failed: closed, refused, timed out.
    #[error("link: {what}")]
    Link {
        /// What was being done and what happened.
        what: Text,
        /// The operating system's word, where there is one.
        #[source]
        source: Option<std::io::Error>,
    },
    /// The peer sent something that no honest peer sends.
    #[error("peer misbehaved: {what}: expected {expected}, got {got}")]
    PeerMisbehaved {
        /// Which message or value.
        what: Text,
        /// What the protocol allows there.
        expected: Text,
        /// What arrived (a length, a kind, a public value).
        got: Text,
    },
    /// The peer is honest but runs something else: another version, other parameters.
    #[error("peer is incompatible: {field}: ours is {ours}, the peer's is {theirs}")]
    PeerIncompatible {
        /// Which public parameter differs.
        field: Text,
        /// Our value.
        ours: Text,
        /// The peer's value.
        theirs: Text,
    },
    /// A value from the caller, a user or a file is out of range.
    #[error("invalid input: {what}: expected {expected}, got {got}")]
    InvalidInput {
        /// Which value.
        what: Text,
        /// What is allowed.
        expected: Text,
        /// What was given.
        got: Text,
    },
    /// The machine cannot give what is needed: memory, randomness, threads.
    #[error("resource: {what}")]
    Resource {
        /// What was asked for.
        what: Text,
    },
    /// The calling code broke the contract of an interface (a defect in the program).
    #[error("misuse: {what}")]
    Misuse {
        /// Which contract.
        what: Text,
    },
}

impl Error {
    /// A link failure with the operating system's error.
    pub fn link(what: impl Into<Text>, source: std::io::Error) -> Self {
        Self::Link { what: what.into(), source: Some(source) }
    }

    /// A link failure without one (a deadline, a closed queue).
    pub fn link_closed(what: impl Into<Text>) -> Self {
        Self::Link { what: what.into(), source: None }
    }

    /// The peer sent something that no honest peer sends.
    pub fn misbehaved(
        what: impl Into<Text>,
        expected: impl std::fmt::Display,
        got: impl std::fmt::Display,
    ) -> Self {
        Self::PeerMisbehaved {
            what: what.into(),
            expected: expected.to_string().into(),
            got: got.to_string().into(),
        }
    }

    /// The peer runs with another public parameter.
    pub fn incompatible(
        field: impl Into<Text>,
        ours: impl std::fmt::Display,
        theirs: impl std::fmt::Display,
    ) -> Self {
        Self::PeerIncompatible {
            field: field.into(),
            ours: ours.to_string().into(),
            theirs: theirs.to_string().into(),
        }
    }

    /// A value from outside is out of range.
    pub fn invalid(
        what: impl Into<Text>,
        expected: impl std::fmt::Display,
        got: impl std::fmt::Display,
    ) -> Self {
        Self::InvalidInput {
            what: what.into(),
            expected: expected.to_string().into(),
            got: got.to_string().into(),
        }
    }

    /// The machine cannot give what is needed.
    pub fn resource(what: impl Into<Text>) -> Self {
        Self::Resource { what: what.into() }
    }

    /// The calling code broke a contract.
    pub fn misuse(what: impl Into<Text>) -> Self {
        Self::Misuse { what: what.into() }
    }

    /// A short machine-readable word for the kind, as printed in `--json` errors.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Link { .. } => "link",
            Self::PeerMisbehaved { .. } => "peer_misbehaved",
            Self::PeerIncompatible { .. } => "peer_incompatible",
            Self::InvalidInput { .. } => "invalid_input",
            Self::Resource { .. } => "resource",
            Self::Misuse { .. } => "misuse",
        }
    }
}
