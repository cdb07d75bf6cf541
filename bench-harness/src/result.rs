//! What a table or figure came to, and the forms in which it is kept.

use crate::machine::Machine;
use crate::paper::{self, Source};
use serde::{Deserialize, Serialize};
use std::fmt::Write;

/// Version of the JSON files.
pub const SCHEMA: u32 = 1;

/// One figure of ours beside those it is to be held against.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// What was computed.
    pub case: String,
    /// How.
    pub protocol: String,
    /// Over which link; empty where it makes no difference.
    pub link: String,
    /// What is counted: `bits`, `rounds`, `seconds`, `GiB`…
    pub metric: String,
    /// The figure: of times the median.
    pub value: f64,
    /// Least and greatest, of times.
    pub spread: Option<[f64; 2]>,
    /// Runs, of times.
    pub runs: usize,
    /// How many times as many elements the figure is extrapolated to, 1 if it is measured as it stands.
    pub extrapolated: f64,
    /// The paper's figure.
    pub paper: Option<f64>,
    /// What the paper's figure is worth: nothing if it was read in the paper.
    pub paper_mark: String,
    /// Whose figure it is if not CrypTFlow2's.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub paper_of: String,
    /// Garbled circuits in the same run.
    pub garbled: Option<f64>,
    /// Where the line stands in the plot: number of elements, bits…
    pub x: Option<f64>,
}

/// Whose a figure is if not CrypTFlow2's, which calls its own protocols ours, SCI_OT or SCI_HE.
fn whose<'a>(table: &str, protocol: &'a str) -> &'a str {
    match protocol {
        "Delphi" | "Cheetah" => protocol,
        _ if table.starts_with("cryptflow ") => "CrypTFlow",
        _ => "",
    }
}

impl Line {
    /// With the paper's figure, if there is one.
    #[must_use]
    pub fn beside_paper(mut self, table: &str, case: &str, protocol: &str) -> Self {
        if let Some(figure) = paper::find(table, case, protocol, &self.link, &self.metric) {
            self.paper = Some(figure.value);
            self.paper_mark = figure.source.mark().into();
            self.paper_of = whose(table, protocol).into();
        }
        self
    }

    fn ratio(&self, other: Option<f64>) -> Option<f64> {
        // A quotient of percentages says nothing.
        let other = other.filter(|_| !self.metric.ends_with('%'));
        other.map(|other| other / self.value).filter(|ratio| ratio.is_finite())
    }

    /// Two figures of the same kind say who is ahead; rounds and the like do so too.
    pub fn paper_ratio(&self) -> Option<f64> {
        self.ratio(self.paper)
    }

    /// How many times as much garbled circuits take.
    pub fn garbled_ratio(&self) -> Option<f64> {
        self.ratio(self.garbled)
    }
}

/// Everything about a table.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ResultFile {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Name of the bench target and the files.
    pub name: String,
    /// Heading.
    pub title: String,
    /// What a reader must know, a paragraph each.
    pub notes: Vec<String>,
    /// `default` or `paper`.
    pub sizes: String,
    /// Where.
    pub machine: Machine,
    /// Of which source.
    pub commit: String,
    /// Threads of a party.
    pub threads: usize,
    /// What all of it took.
    #[serde(default)]
    pub seconds: f64,
    /// The figures.
    pub lines: Vec<Line>,
}

/// A figure for people: four digits, no more zeros than needed.
pub fn number(x: f64) -> String {
    if x == 0.0 {
        return "0".into();
    }
    let digits = (3 - x.abs().log10().floor() as i32).clamp(0, 6) as usize;
    let text = format!("{x:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').into() } else { text }
}

fn optional(x: Option<f64>) -> String {
    x.map(number).unwrap_or_default()
}

/// A ratio for people.
pub(crate) fn times(x: Option<f64>) -> String {
    x.map(|x| format!("{}x", number((x * 100.0).round() / 100.0))).unwrap_or_default()
}

impl ResultFile {
    /// Comma-separated values, a line a figure.
    pub fn csv(&self) -> String {
        let mut out =
            "case,protocol,link,metric,ours,least,greatest,runs,extrapolated,paper,paper_source,\
                       paper_by_ours,gc_same_run,gc_by_ours\n"
                .to_string();
        for line in &self.lines {
            let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
            let plain = |x: Option<f64>| x.map(|x| x.to_string()).unwrap_or_default();
            let source = if line.paper.is_some() { line.paper_mark.trim() } else { "" };
            let source = format!("{source} {}", line.paper_of);
            let fields = [
                quoted(&line.case),
                quoted(&line.protocol),
                quoted(&line.link),
                quoted(&line.metric),
                line.value.to_string(),
                plain(line.spread.map(|s| s[0])),
                plain(line.spread.map(|s| s[1])),
                line.runs.to_string(),
                line.extrapolated.to_string(),
                plain(line.paper),
                quoted(source.trim()),
                plain(line.paper_ratio()),
                plain(line.garbled),
                plain(line.garbled_ratio()),
            ];
            out += &fields.join(",");
            out.push('\n');
        }
        out
    }

    /// A section with its table.
    pub fn markdown(&self) -> String {
        let mut out = format!("## {}\n\n", self.title);
        for note in &self.notes {
            let _ = write!(out, "{note}\n\n");
        }
        out += "| case | protocol | link | metric | measured | paper | paper ÷ measured | GC, same run | GC ÷ measured |\n";
        out += "|---|---|---|---|---:|---:|---:|---:|---:|\n";
        for line in &self.lines {
            let mut value = number(line.value);
            match line.spread {
                Some(_) if line.runs == 1 => value += " (1 run)",
                Some([least, greatest]) => {
                    let _ = write!(value, " ({}–{})", number(least), number(greatest));
                }
                None => {}
            }
            if line.extrapolated > 1.0 {
                value += " *";
            }
            let whose = match line.paper_of.as_str() {
                "" => String::new(),
                other => format!(", {other}"),
            };
            let paper = line.paper.map(|p| number(p) + &line.paper_mark + &whose);
            let paper = paper.unwrap_or_default();
            let _ = writeln!(
                out,
                "| {} | {} | {} | {} | {value} | {paper} | {} | {} | {} |",
                line.case,
                line.protocol,
                line.link,
                line.metric,
                times(line.paper_ratio()),
                optional(line.garbled),
                times(line.garbled_ratio()),
            );
        }
        let runs = self.lines.iter().map(|l| l.runs).filter(|&runs| runs > 0);
        let (least, most) = (runs.clone().min().unwrap_or(0), runs.max().unwrap_or(0));
        let counted = match (least, most) {
            (_, 0) => String::new(),
            (_, 1) => " Times: single runs, two processes.".into(),
            _ if least == most => {
                format!(" Times: medians of {most} runs (least–greatest), two processes.")
            }
            _ => format!(
                " Times: medians of {least} to {most} runs (least–greatest), two processes."
            ),
        };
        let _ = write!(
            out,
            "\nSizes: {}.{counted} {} thread(s) a party where no row says otherwise. \
             Commit {}. {}; load average {}. All of it took {:.0} s.\n",
            self.sizes, self.threads, self.commit, self.machine, self.machine.load, self.seconds,
        );
        out
    }

    /// Whether a figure has only been recollected.
    pub fn is_marked(&self, source: Source) -> bool {
        self.lines.iter().any(|line| line.paper.is_some() && line.paper_mark == source.mark())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> ResultFile {
        let line = Line {
            case: "a, \"b\"".into(),
            protocol: "ours".into(),
            metric: "seconds".into(),
            value: 0.5,
            spread: Some([0.25, 1.0]),
            runs: 5,
            extrapolated: 1.0,
            paper: Some(2.0),
            paper_mark: Source::Recollected.mark().into(),
            garbled: Some(5.0),
            ..Line::default()
        };
        ResultFile { title: "T".into(), lines: vec![line], threads: 1, ..ResultFile::default() }
    }

    #[test]
    fn forms() {
        let file = file();
        assert!(
            file.csv()
                .lines()
                .nth(1)
                .unwrap()
                .starts_with("\"a, \"\"b\"\"\",\"ours\",\"\",\"seconds\",0.5,0.25,1,5,")
        );
        let text = file.markdown();
        assert!(text.contains("| 0.5 (0.25–1) | 2 (R) | 4x | 5 | 10x |"), "{text}");
        assert!(text.contains("medians of 5 runs"));
        assert!(file.is_marked(Source::Recollected) && !file.is_marked(Source::Checked));
        let json = serde_json::to_string(&file).unwrap();
        assert_eq!(serde_json::from_str::<ResultFile>(&json).unwrap(), file);
    }

    #[test]
    fn a_figure_of_another_paper_says_whose_it_is() {
        let line = Line { metric: "seconds".into(), link: "lan".into(), ..Line::default() };
        let of = |table: &str, case: &str, protocol: &str| {
            let line = line.clone().beside_paper(table, case, protocol);
            (line.paper.is_some(), line.paper_of)
        };
        assert_eq!(of("table5", "MiniONN", "Delphi"), (true, "Delphi".into()));
        assert_eq!(of("table5", "MiniONN", "ours"), (true, String::new()));
        assert_eq!(of("cryptflow table7", "LogReg", "2PC"), (true, "CrypTFlow".into()));
        assert_eq!(of("table5", "nothing", "Delphi"), (false, String::new()));
    }

    #[test]
    fn numbers_have_four_digits() {
        for (x, text) in [
            (0.0, "0"),
            (32256.0, "32256"),
            (12.3456, "12.35"),
            (0.00123456, "0.001235"),
            (10.0, "10"),
        ] {
            assert_eq!(number(x), text);
        }
    }
}
