//! What the user sees when something does not work: a kind, a cause in one line, a hint.

use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;

/// The result of everything in this crate.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

/// Exit code of a run that failed.
pub const EXIT_FAILED: u8 = 1;
/// Exit code of wrong usage.
pub const EXIT_USAGE: u8 = 2;

/// Why a command did not do what it was asked for. Never carries a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// A machine-readable word.
    pub kind: Cow<'static, str>,
    /// The cause, on one line.
    pub message: String,
    /// What to do about it, on one line.
    pub hint: Option<String>,
    /// [`EXIT_FAILED`] or [`EXIT_USAGE`].
    #[serde(skip, default = "failed")]
    pub exit: u8,
}

fn failed() -> u8 {
    EXIT_FAILED
}

/// Several lines of text as one.
fn one_line(text: &str) -> String {
    text.split(['\n', '\r']).map(str::trim).filter(|s| !s.is_empty()).collect::<Vec<_>>().join(" ")
}

impl Failure {
    /// A run that failed.
    pub fn new(kind: &'static str, message: impl fmt::Display) -> Self {
        let message = one_line(&message.to_string());
        Self { kind: kind.into(), message, hint: None, exit: EXIT_FAILED }
    }

    /// A command line that makes no sense.
    pub fn usage(message: impl fmt::Display) -> Self {
        Self { exit: EXIT_USAGE, ..Self::new("usage", message) }
    }

    /// An option value that exists in the plan of this program but not in this version.
    pub fn not_built(what: &str, nearest: &str) -> Self {
        let failure =
            Self { kind: "not_built".into(), ..Self::usage(format!("{what} is not built yet")) };
        failure.hint(nearest)
    }

    /// A file or value that is not what it has to be.
    pub fn invalid(
        what: impl fmt::Display,
        expected: impl fmt::Display,
        got: impl fmt::Display,
    ) -> Self {
        Self::new("invalid_input", format_args!("{what}: expected {expected}, got {got}"))
    }

    /// A file that cannot be read or written.
    pub fn file(path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::new("file", format_args!("{}: {error}", path.display()))
    }

    /// The same with another hint.
    #[must_use]
    pub fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.hint = Some(one_line(&hint.to_string()));
        self
    }

    /// The same with the place where it happened in front.
    #[must_use]
    pub fn at(mut self, place: impl fmt::Display) -> Self {
        self.message = one_line(&format!("{place}: {}", self.message));
        self
    }

    /// Whether what happened at the peer may be the cause of this.
    pub fn may_be_a_consequence(&self) -> bool {
        self.distance() > 0
    }

    /// How far this is from a cause: the link fails after a party has, and a party hears of a
    /// refusal from the one that refused.
    pub fn distance(&self) -> u8 {
        match self.kind.as_ref() {
            "link" => 2,
            "peer_incompatible" | "peer_misbehaved" => 1,
            _ => 0,
        }
    }
}

impl fmt::Display for Failure {
    /// `error: …`, and `hint: …` on a second line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

impl From<sci_core::Error> for Failure {
    fn from(error: sci_core::Error) -> Self {
        use sci_core::Error as E;
        let hint = match &error {
            E::Link { what, .. } if what.contains("cannot listen") => {
                Some("choose another address with --listen; port 0 takes a free one")
            }
            E::Link { what, .. } if what.contains("cannot connect") => {
                Some("check the address, and that the server runs; --timeout sets how long to try")
            }
            E::Link { .. } => {
                Some("see the other side for the cause; --timeout sets how long to wait for it")
            }
            E::PeerMisbehaved { .. } => Some("is the other side sci-run, of the same version?"),
            E::PeerIncompatible { field, .. } if field.contains("version") => {
                Some("run the same version of sci-run on both sides")
            }
            E::PeerIncompatible { .. } => {
                Some("the server decides; ask for what it offers, or start it with other options")
            }
            _ => None,
        };
        let failure = Self::new(error.kind(), &error);
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

impl From<athos::Error> for Failure {
    fn from(error: athos::Error) -> Self {
        use athos::Error as E;
        match error {
            E::Core(error) => error.into(),
            E::Unsupported(_) => {
                Self::new("unsupported", &error).hint("`sci-run ops` lists what is supported")
            }
            E::Overflow { bitwidth: Some(bits), .. } => Self::new("overflow", &error)
                .hint(format_args!("--bitwidth {bits}, or a smaller --scale")),
            E::Overflow { .. } => Self::new("overflow", &error).hint("a smaller --scale"),
            E::Misuse(_) => Self::new("misuse", &error),
            _ => Self::new("invalid_input", &error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_of_cause_and_one_of_hint() {
        let failure = Failure::new("x", "a\n\n b\r\nc").hint("try\nthis");
        assert_eq!(failure.to_string(), "error: a b c\nhint: try this");
        assert_eq!(failure.at("file").message, "file: a b c");
    }

    #[test]
    fn causes_keep_their_kind_and_survive_the_way_to_the_orchestrator() {
        let failure: Failure = sci_core::Error::incompatible("bitwidth", 32, 37).into();
        assert_eq!(failure.kind, "peer_incompatible");
        assert!(failure.message.contains("bitwidth"), "{failure}");
        let text = serde_json::to_string(&failure).unwrap();
        assert_eq!(serde_json::from_str::<Failure>(&text).unwrap(), failure);
        let failure: Failure = athos::Error::Overflow {
            tensor: "w".into(),
            what: "too big".into(),
            bitwidth: Some(40),
        }
        .into();
        assert!(failure.to_string().contains("--bitwidth 40"), "{failure}");
    }
}
