//! The machine, the commit, and the process, for the record.

use serde::{Deserialize, Serialize};
use std::process::Command;

/// Where something was measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Model of the processor.
    pub processor: String,
    /// Logical cores.
    pub cores: usize,
    /// Main memory in GiB.
    pub memory_gib: f64,
    /// Kernel.
    pub system: String,
    /// Processes that wanted a core in the minute before the end: far above the number of cores it says that times
    /// are those of a busy machine.
    pub load: f64,
}

fn field(text: &str, name: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_string())
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

impl Machine {
    /// This one; what the system does not tell stays empty.
    pub fn this() -> Self {
        let memory = field(&read("/proc/meminfo"), "MemTotal");
        let kib = memory.and_then(|m| m.split_whitespace().next()?.parse::<f64>().ok());
        Self {
            processor: field(&read("/proc/cpuinfo"), "model name").unwrap_or_default(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_gib: (kib.unwrap_or_default() / (1 << 20) as f64 * 10.0).round() / 10.0,
            system: format!(
                "{} {}",
                std::env::consts::OS,
                read("/proc/sys/kernel/osrelease").trim()
            ),
            load: read("/proc/loadavg")
                .split(' ')
                .next()
                .and_then(|x| x.parse().ok())
                .unwrap_or(0.0),
        }
    }
}

impl std::fmt::Display for Machine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { processor, cores, memory_gib, system, .. } = self;
        write!(f, "{processor}, {cores} cores, {memory_gib} GiB, {system}")
    }
}

/// The last commit that changed what is measured, with a `+` if anything differs from it: neither results nor
/// texts change a figure.
pub fn commit() -> String {
    let git = |arguments: &[&str]| {
        let directory = env!("CARGO_MANIFEST_DIR");
        let output = Command::new("git").arg("-C").arg(directory).args(arguments).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_string())
    };
    let measured = [":(top)", ":(top,exclude)results", ":(top,exclude,glob)**/*.md"];
    let with = |command: &[&'static str]| [command, &["--"], &measured].concat();
    let last = git(&with(&["log", "-1", "--abbrev=12", "--format=%h"]));
    let Some(last) = last.filter(|commit| !commit.is_empty()) else { return "unknown".into() };
    let changed = git(&with(&["status", "--porcelain"]));
    let clean = changed.is_some_and(|files| files.is_empty());
    if clean { last } else { last + "+" }
}

/// User and system time of this process in seconds, where /proc tells; ticks are 10 ms.
pub fn cpu_seconds() -> Option<f64> {
    ticks([11, 12])
}

/// The same of all processes that this one started and waited for, and of theirs.
pub fn children_cpu_seconds() -> Option<f64> {
    ticks([13, 14])
}

/// Two fields after the name, in seconds.
fn ticks(fields: [usize; 2]) -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let all: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
    let [user, system] = fields.map(|at| all.get(at).and_then(|x| x.parse::<f64>().ok()));
    Some((user? + system?) / 100.0)
}

/// The largest resident set of this process in bytes, where /proc tells.
pub fn peak_rss() -> Option<u64> {
    let text = field(&read("/proc/self/status"), "VmHWM")?;
    Some(text.split_whitespace().next()?.parse::<u64>().ok()? << 10)
}
