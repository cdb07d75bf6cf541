//! All tables in one document, with what they come to at a glance on top.

use crate::result::{Line, ResultFile, number, times};
use std::collections::BTreeMap;
use std::fmt::Write;

/// What stands above all tables.
const PREFACE: &str = "# Results\n\n\
Written by `cargo bench -p bench-harness`; do not edit. Each table is also there as json, csv and svg.\n\n\
* **measured** is this workspace: both parties are processes of their own on one machine, connected over TCP on \
loopback. Links are shaped in process, in each direction by itself: bytes leave at the given rate and arrive half a \
round trip later (`lan` 377 MB/s and 0.3 ms, `wan` 40 MB/s and 80 ms, `lan-cheetah` 375 MB/s and 0.3 ms, \
`wan-cheetah` 50 MB/s and 40 ms; MB = 10^6 bytes). `bench-harness/scripts/netem_check.py` holds this against links \
that the kernel shapes: [netem_check.md](netem_check.md). Payload and rounds are measured, and every run of a layer \
is held equal to the formulas; every run of a network is held equal to cleartext, bit by bit. Bits of silent OT include \
its corrections, not its expansion, which has a line of its own. Times of layers are those after the set-up. Silent OT \
fills its stocks in bursts: where a run takes less than a stock, the median is a run without one, the greatest one with \
it if there was any, and the bits of the expansion are a mean.\n\
* **paper** is CrypTFlow2's own figure, on two machines with four 3.7 GHz cores each, where no other system is named. \
Unmarked figures were read in the paper; (r) marks what is recollected and agrees with a formula, (R) what is only \
recollected, (c) what was counted in the authors' programs.\n\
* **GC, same run** is our half-gates implementation with OT by IKNP, the papers' baseline, measured beside it. Tables 1 to \
3 have the smallest garbled circuits from symmetric primitives too, three halves with silent OT.\n\
* Ratios above 1 mean that the measured protocol is ahead. * marks what is extrapolated from a stated sample or \
follows from the formulas.\n\n";

/// What a metric is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Time,
    Size,
    Rounds,
}

impl Kind {
    fn of(metric: &str) -> Option<Self> {
        match metric {
            "bits" | "bytes" | "MiB" | "GiB" | "MB" | "GB" => Some(Self::Size),
            "rounds" => Some(Self::Rounds),
            _ if metric.contains("seconds") || metric.starts_with("us ") => Some(Self::Time),
            _ if metric.starts_with("ms") => Some(Self::Time),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Size => "communication",
            Self::Rounds => "rounds",
        }
    }
}

/// Ratios of one kind, with where they stand.
#[derive(Default)]
struct Ratios<'a>(Vec<(f64, &'a Line)>);

impl Ratios<'_> {
    fn extreme(&self, best: bool) -> String {
        let better = |a: &&(f64, &Line), b: &&(f64, &Line)| a.0.total_cmp(&b.0);
        let found = if best { self.0.iter().max_by(better) } else { self.0.iter().min_by(better) };
        let Some((ratio, line)) = found else { return String::new() };
        format!("{} ({})", times(Some(*ratio)), place(line))
    }

    /// In how many cases, over how many links, one of our protocols is ahead or level.
    fn ahead(&self) -> String {
        let mut best: BTreeMap<(&str, &str, &str), f64> = BTreeMap::new();
        for (ratio, line) in &self.0 {
            let key = (line.case.as_str(), line.link.as_str(), line.metric.as_str());
            let entry = best.entry(key).or_insert(0.0);
            *entry = entry.max(*ratio);
        }
        match best.len() {
            0 => String::new(),
            all => format!("{} of {all}", best.values().filter(|ratio| **ratio >= 1.0).count()),
        }
    }
}

fn place(line: &Line) -> String {
    let parts = [line.case.as_str(), line.protocol.as_str(), line.link.as_str()];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("; ")
}

/// A line of ours, not of the baseline.
fn is_ours(line: &&Line) -> bool {
    !line.protocol.contains("GC")
}

/// Where we are ahead, where not, and by how much.
fn glance(files: &[ResultFile]) -> String {
    let head = "## At a glance\n\n\
        Ratios over all cases, protocols and links of a table, and where they stand; \"ahead\" counts the cases and \
        links in which one of our protocols is ahead or level.\n\n\
        | table | what | paper ÷ ours, worst | best | ahead | GC ÷ ours, worst | best | ahead |\n\
        |---|---|---|---|---|---|---|---|\n";
    let mut out = String::new();
    for file in files {
        for kind in [Kind::Time, Kind::Size, Kind::Rounds] {
            let ours = file.lines.iter().filter(is_ours);
            let ours: Vec<&Line> = ours.filter(|l| Kind::of(&l.metric) == Some(kind)).collect();
            let ratios = |of: fn(&Line) -> Option<f64>| {
                Ratios(ours.iter().filter_map(|line| Some((of(line)?, *line))).collect())
            };
            let (paper, garbled) = (ratios(Line::paper_ratio), ratios(Line::garbled_ratio));
            if paper.0.is_empty() && garbled.0.is_empty() {
                continue;
            }
            let cells = [&paper, &garbled]
                .map(|r| format!("{} | {} | {}", r.extreme(false), r.extreme(true), r.ahead()));
            let [paper, garbled] = cells;
            let (name, title) = (&file.name, &file.title);
            let _ =
                writeln!(out, "| [{title}]({name}.md) | {} | {paper} | {garbled} |", kind.name());
        }
    }
    if out.is_empty() { out } else { format!("{head}{out}\n") }
}

/// On what, of which commit, in which time.
fn circumstances(files: &[ResultFile]) -> String {
    let distinct = |of: &dyn Fn(&ResultFile) -> String| {
        let mut all: Vec<String> = files.iter().map(of).collect();
        all.sort();
        all.dedup();
        all.join("; ")
    };
    let seconds: f64 = files.iter().map(|file| file.seconds).sum();
    let by_table =
        files.iter().map(|file| format!("{} {}", file.name, number(file.seconds.round())));
    format!(
        "Machine: {}. Commit: {}. Sizes: {}. Seconds: {} in all ({}).\n\n",
        distinct(&|file| file.machine.to_string()),
        distinct(&|file| file.commit.clone()),
        distinct(&|file| file.sizes.clone()),
        number(seconds.round()),
        by_table.collect::<Vec<_>>().join(", "),
    )
}

/// All tables in one document.
pub fn readme(files: &[ResultFile]) -> String {
    let mut out = PREFACE.to_string();
    if !files.is_empty() {
        out += &circumstances(files);
        out += &glance(files);
    }
    for file in files {
        out += &file.markdown();
        let _ = write!(out, "\n![{}]({}.svg)\n\n", file.title, file.name);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(case: &str, protocol: &str, metric: &str, figures: [Option<f64>; 3]) -> Line {
        let [value, paper, garbled] = figures;
        Line {
            case: case.into(),
            protocol: protocol.into(),
            link: "lan".into(),
            metric: metric.into(),
            value: value.unwrap_or(1.0),
            paper,
            garbled,
            ..Line::default()
        }
    }

    #[test]
    fn the_glance_has_the_extremes_and_counts_cases_by_their_best_protocol() {
        let lines = vec![
            line("a", "ours, m = 7", "seconds", [Some(2.0), Some(1.0), Some(8.0)]),
            line("a", "ours, m = 4", "seconds", [Some(0.5), Some(1.0), Some(8.0)]),
            line("b", "ours, m = 4", "seconds", [Some(4.0), Some(1.0), None]),
            // The baseline is not ours, and peak memory has no better side here.
            line("a", "GC, IKNP", "seconds", [Some(0.001), Some(1.0), None]),
            line("a", "ours, m = 4", "peak", [Some(0.001), Some(1.0), None]),
        ];
        let file = ResultFile { name: "t".into(), title: "T".into(), lines, ..Default::default() };
        let text = readme(&[file]);
        let row = text.lines().find(|row| row.starts_with("| [T](t.md) | time")).unwrap();
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let expected = [
            "0.25x (b; ours, m = 4; lan)",
            "2x (a; ours, m = 4; lan)",
            "1 of 2",
            "4x (a; ours, m = 7; lan)",
            "16x (a; ours, m = 4; lan)",
            "1 of 1",
        ];
        assert_eq!(cells[3..9], expected, "{row}");
        assert_eq!(text.matches("| [T]").count(), 1, "{text}");
    }

    #[test]
    fn no_table_is_no_glance() {
        assert_eq!(readme(&[]), PREFACE);
    }
}
