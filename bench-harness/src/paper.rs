//! The published figures, as data with their provenance.

use serde::Deserialize;
use std::sync::OnceLock;

/// Where a figure comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Source {
    /// Read in the paper.
    #[serde(rename = "read")]
    Read,
    /// Recollected, and in agreement with an independent formula.
    #[serde(rename = "recollected, agrees with a formula")]
    Checked,
    /// Only recollected.
    #[serde(rename = "recollected")]
    Recollected,
    /// Counted in the programs that the authors published.
    #[serde(rename = "counted in the authors' programs")]
    Counted,
}

impl Source {
    /// What stands behind the figure in a table.
    pub fn mark(self) -> &'static str {
        match self {
            Self::Read => "",
            Self::Checked => " (r)",
            Self::Recollected => " (R)",
            Self::Counted => " (c)",
        }
    }
}

/// One published figure.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figure {
    /// The table.
    pub table: String,
    /// The row.
    pub case: String,
    /// `GC`, `ours` with its parameters as the paper names them, or a system.
    pub protocol: String,
    /// The link, if the figure depends on it.
    #[serde(default)]
    pub link: String,
    /// What is counted.
    pub metric: String,
    /// The figure.
    pub value: f64,
    /// Where it comes from.
    pub source: Source,
}

#[derive(Deserialize)]
struct File {
    figure: Vec<Figure>,
}

/// A file for each paper.
const FILES: &[&str] = &[
    include_str!("../paper/cryptflow2.toml"),
    include_str!("../paper/cryptflow.toml"),
    include_str!("../paper/cheetah.toml"),
];

/// All figures.
pub fn figures() -> &'static [Figure] {
    static FIGURES: OnceLock<Vec<Figure>> = OnceLock::new();
    FIGURES.get_or_init(|| {
        // Part of the program, and read by a test.
        let files = FILES.iter().filter_map(|text| toml::from_str::<File>(text).ok());
        files.flat_map(|file| file.figure).collect()
    })
}

/// One figure.
pub fn find(
    table: &str,
    case: &str,
    protocol: &str,
    link: &str,
    metric: &str,
) -> Option<&'static Figure> {
    figures().iter().find(|f| {
        (f.table.as_str(), f.case.as_str(), f.protocol.as_str(), f.metric.as_str())
            == (table, case, protocol, metric)
            && (f.link.is_empty() || f.link == link)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_are_read_and_say_nothing_twice() {
        let files = FILES.iter().map(|text| toml::from_str::<File>(text).unwrap());
        let all: Vec<Figure> = files.flat_map(|file| file.figure).collect();
        assert!(all.len() > 40 && all == figures());
        for (i, a) in all.iter().enumerate() {
            let same = |b: &Figure| {
                (&a.table, &a.case, &a.protocol, &a.link, &a.metric)
                    == (&b.table, &b.case, &b.protocol, &b.link, &b.metric)
            };
            assert!(!all[i + 1..].iter().any(same), "{a:?}");
            assert!(a.value > 0.0, "{a:?}");
        }
        assert_eq!(find("table1", "32 bits", "ours, m = 7", "lan", "bits").unwrap().value, 2930.0);
    }
}
