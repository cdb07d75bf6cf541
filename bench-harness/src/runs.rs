//! The runs that a table of the papers' sizes is made of, kept one by one beside the results: a file of a commit, a line
//! of JSON a run.
//!
//! Such a table takes hours. A run of it takes what this file has of the same commit and the same machine, and measures
//! the rest; committed with the results, the file goes from one checkout to the next, and a reader has every figure that
//! a median is of.

use crate::machine::Machine;
use crate::pair::Result;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// A line of the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Entry {
    /// What was run.
    key: String,
    /// On which machine.
    machine: String,
    /// Seconds that it took with all that is around it.
    seconds: f64,
    /// What it came to.
    figures: Value,
}

/// What was run before, and what is added.
pub(crate) struct Runs {
    path: PathBuf,
    machine: String,
    kept: BTreeMap<String, Entry>,
    seconds: f64,
}

impl Runs {
    /// The runs of a table and a commit below `directory`, as far as they are of this machine.
    ///
    /// # Errors
    /// If there is a file that cannot be read, or a whole line of it that is none of these.
    pub(crate) fn open(
        directory: &Path,
        table: &str,
        commit: &str,
        machine: &Machine,
    ) -> Result<Self> {
        let path = directory.join("runs").join(format!("{table}-{commit}.jsonl"));
        let machine = machine.to_string();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(failed(&path, error)),
        };
        // What follows the last end of a line is of a run that was interrupted as it wrote.
        let whole = &text[..text.rfind('\n').map_or(0, |at| at + 1)];
        if whole.len() < text.len() {
            fs::write(&path, whole).map_err(|e| failed(&path, e))?;
        }
        let mut kept = BTreeMap::new();
        for line in whole.lines() {
            let entry: Entry = serde_json::from_str(line).map_err(|e| failed(&path, e))?;
            if entry.machine == machine {
                kept.insert(entry.key.clone(), entry);
            }
        }
        Ok(Self { path, machine, kept, seconds: 0.0 })
    }

    /// What a run came to, if it is here and of this form.
    pub(crate) fn get<T: DeserializeOwned>(&mut self, key: &str) -> Option<T> {
        let entry = self.kept.get(key)?;
        let figures = serde_json::from_value(entry.figures.clone()).ok()?;
        self.seconds += entry.seconds;
        Some(figures)
    }

    /// Adds a run.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn add<T: Serialize>(&mut self, key: &str, seconds: f64, figures: &T) -> Result<()> {
        let failed = |error: &dyn std::fmt::Display| failed(&self.path, error);
        let figures = serde_json::to_value(figures).map_err(|e| failed(&e))?;
        let entry = Entry { key: key.into(), machine: self.machine.clone(), seconds, figures };
        let line = serde_json::to_string(&entry).map_err(|e| failed(&e))? + "\n";
        if let Some(directory) = self.path.parent() {
            fs::create_dir_all(directory).map_err(|e| failed(&e))?;
        }
        let file = OpenOptions::new().create(true).append(true).open(&self.path);
        file.and_then(|mut file| file.write_all(line.as_bytes())).map_err(|e| failed(&e))?;
        // Whoever asks for it again gets it; its seconds are of the caller's own time.
        self.kept.insert(entry.key.clone(), Entry { seconds: 0.0, ..entry });
        Ok(())
    }

    /// Seconds that those runs took before, of which [`Runs::get`] told.
    pub(crate) fn seconds(&self) -> f64 {
        self.seconds
    }
}

fn failed(path: &Path, error: impl std::fmt::Display) -> String {
    format!("{}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(cores: usize) -> Machine {
        Machine { processor: "P".into(), cores, ..Machine::default() }
    }

    #[test]
    fn runs_of_this_commit_and_machine_are_found_again() {
        let directory = tempfile::tempdir().unwrap();
        let open =
            |commit, cores| Runs::open(directory.path(), "t", commit, &machine(cores)).unwrap();
        let mut runs = open("c1", 2);
        assert_eq!(runs.get::<u32>("a"), None);
        runs.add("a", 2.5, &7).unwrap();
        runs.add("b", 1.5, &vec![1.25, 1e300]).unwrap();
        assert_eq!((runs.get("a"), runs.seconds()), (Some(7), 0.0));
        open("c1", 4).add("a", 9.0, &8).unwrap();

        let mut again = open("c1", 2);
        // Of a busier time, the same machine.
        assert_eq!(again.machine, Machine { load: 3.0, ..machine(2) }.to_string());
        assert_eq!(again.get::<u32>("b"), None);
        assert_eq!((again.get("a"), again.get("b")), (Some(7), Some(vec![1.25, 1e300])));
        assert_eq!(again.seconds(), 4.0);
        assert_eq!(open("c1", 4).get("a"), Some(8));
        assert_eq!(open("c2", 2).get::<u32>("a"), None);
    }

    #[test]
    fn a_line_that_was_cut_is_measured_again_and_another_text_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let open = || Runs::open(directory.path(), "t", "c", &machine(2));
        open().unwrap().add("a", 1.0, &1).unwrap();
        let path = open().unwrap().path;
        let whole = fs::read_to_string(&path).unwrap();
        fs::write(&path, whole.clone() + &whole[..whole.len() / 2]).unwrap();
        let mut runs = open().unwrap();
        runs.add("b", 1.0, &2).unwrap();
        assert_eq!(runs.get("a"), Some(1));
        assert_eq!(open().unwrap().get("b"), Some(2));
        fs::write(&path, "no run\n").unwrap();
        assert!(open().err().unwrap().contains("t-c.jsonl"));
    }
}
