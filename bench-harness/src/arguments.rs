//! What a bench target is told: by `SCI_BENCH`, and by cargo and its user as any criterion target.

use crate::pair::Result;
use crate::suite::Mode;

/// Options of criterion that are followed by a value.
const WITH_VALUE: [&str; 19] = [
    "-c",
    "--color",
    "-s",
    "--save-baseline",
    "-b",
    "--baseline",
    "--baseline-lenient",
    "--load-baseline",
    "--format",
    "--sample-size",
    "--warm-up-time",
    "--measurement-time",
    "--nresamples",
    "--noise-threshold",
    "--confidence-level",
    "--significance-level",
    "--profile-time",
    "--plotting-backend",
    "--output-format",
];

/// A command line, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arguments {
    /// How much is run.
    pub mode: Mode,
    /// Only say what there is.
    pub list: bool,
    /// A table is run whole or not at all: if its name contains this.
    filter: Option<String>,
    exact: bool,
}

impl Arguments {
    /// Reads the arguments without the program's name, and the value of `SCI_BENCH`.
    ///
    /// `--quick` and `--test` run the smallest of everything, as does `cargo test`, which lacks `--bench`.
    ///
    /// # Errors
    /// For another value of `SCI_BENCH`.
    pub fn read(
        arguments: impl IntoIterator<Item = String>,
        variable: Option<&str>,
    ) -> Result<Self> {
        let mut read = Self {
            mode: match variable {
                None | Some("" | "default") => Mode::Default,
                Some("quick") => Mode::Quick,
                Some("paper") => Mode::Paper,
                Some(other) => {
                    return Err(format!("SCI_BENCH: default, quick or paper, got {other}"));
                }
            },
            list: false,
            filter: None,
            exact: false,
        };
        let mut by_cargo_bench = false;
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--bench" => by_cargo_bench = true,
                "--quick" | "--test" => read.mode = Mode::Quick,
                "--list" => read.list = true,
                "--exact" => read.exact = true,
                option if WITH_VALUE.contains(&option) => {
                    arguments.next();
                }
                option if option.starts_with('-') => {}
                _ => read.filter = Some(argument),
            }
        }
        if !by_cargo_bench && variable.is_none() {
            read.mode = Mode::Quick;
        }
        Ok(read)
    }

    /// Whether a table of this name is to be run.
    pub fn selects(&self, table: &str) -> bool {
        match &self.filter {
            None => true,
            Some(filter) if self.exact => table == filter,
            Some(filter) => table.contains(filter.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str, variable: Option<&str>) -> Arguments {
        Arguments::read(line.split_whitespace().map(String::from), variable).unwrap()
    }

    #[test]
    fn modes() {
        for (line, variable, mode) in [
            ("--bench", None, Mode::Default),
            ("--bench", Some("paper"), Mode::Paper),
            ("--bench", Some("quick"), Mode::Quick),
            ("--bench --quick", Some("paper"), Mode::Quick),
            ("--test --bench", None, Mode::Quick),
            ("", None, Mode::Quick),
            ("", Some("default"), Mode::Default),
        ] {
            assert_eq!(read(line, variable).mode, mode, "{line} {variable:?}");
        }
        assert!(Arguments::read([], Some("papers")).is_err());
    }

    #[test]
    fn filters_pick_whole_tables() {
        let all = read("--bench --save-baseline table1 --noplot", None);
        assert!(all.selects("table2_relu") && all.selects("table1_millionaires"));
        let one = read("relu --bench", None);
        assert!(one.selects("table2_relu") && !one.selects("table1_millionaires"));
        let exact = read("--exact table2_relu --bench", None);
        assert!(exact.selects("table2_relu") && !exact.selects("table2_relu_again"));
        assert!(read("--list --bench", None).list);
    }
}
