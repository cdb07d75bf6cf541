//! The tables and figures: what is run, and beside what it is put.

pub mod accuracy;
pub mod accuracy_over_scale;
pub mod appendix_g_networks;
pub mod appendix_h_avgpool;
pub mod bitwidth_scaling;
pub mod cryptflow_table1_products;
pub mod cryptflow_table7_2pc;
pub mod depth_scaling;
pub mod figure1_scaling;
pub mod link_scaling;
pub mod table1_millionaires;
pub mod table2_relu;
pub mod table3_avgpool;
pub mod table4_relu_layers;
pub mod table5_delphi;
pub mod table6_delphi_online;
pub mod table7_networks;
pub mod thread_scaling;
pub mod truncation_vs_gc;

use crate::job::{DomainSpec, Function, Job, Protocol};
use crate::pair::{Measurement, Result};
use crate::result::Line;
use crate::suite::{Suite, Table};
use sci_ot::OtKind;

/// All of them, in the order of the papers.
pub const ALL: [Table; 19] = [
    table1_millionaires::TABLE,
    table2_relu::TABLE,
    table3_avgpool::TABLE,
    table4_relu_layers::TABLE,
    table5_delphi::TABLE,
    table6_delphi_online::TABLE,
    table7_networks::TABLE,
    figure1_scaling::TABLE,
    truncation_vs_gc::TABLE,
    bitwidth_scaling::TABLE,
    link_scaling::TABLE,
    depth_scaling::TABLE,
    thread_scaling::TABLE,
    accuracy::TABLE,
    accuracy_over_scale::TABLE,
    appendix_g_networks::TABLE,
    appendix_h_avgpool::TABLE,
    cryptflow_table1_products::TABLE,
    cryptflow_table7_2pc::TABLE,
];

/// The prime below 2^32 that the reference implementation of SCI-HE uses: 1 mod 2^14.
pub const PRIME_32: u64 = 4_293_918_721;
/// The one of 37 bits.
pub const PRIME_37: u64 = 137_438_822_401;

/// Both links of CrypTFlow2.
pub const LINKS: [&str; 2] = ["lan", "wan"];

/// Measures one layer by one protocol over several links.
pub(crate) struct Layer<'a> {
    pub case: &'a str,
    pub function: Function,
    pub domain: DomainSpec,
    pub protocol: Protocol,
    pub elements: usize,
}

impl Layer<'_> {
    /// One measurement a link.
    pub fn over(&self, suite: &mut Suite, links: &[&str]) -> Result<Vec<Measurement>> {
        let jobs = links.iter().map(|link| Job {
            function: self.function,
            domain: self.domain,
            protocol: self.protocol,
            elements: self.elements,
            link: (*link).into(),
            threads: suite.threads(),
        });
        jobs.collect::<Vec<_>>().iter().map(|job| suite.measure(job)).collect()
    }

    fn line(&self, metric: &str, value: f64) -> Line {
        Line {
            case: self.case.into(),
            protocol: self.protocol.to_string(),
            metric: metric.into(),
            value,
            extrapolated: 1.0,
            ..Line::default()
        }
    }

    /// Bits an element, rounds, and what silent OT sends beside.
    pub fn exact(&self, measured: &[Measurement]) -> Vec<Line> {
        let Some(first) = measured.first() else { return Vec::new() };
        let bits = |bytes: f64| 8.0 * bytes / self.elements as f64;
        let mut lines = vec![
            self.line("bits", bits(first.bytes() as f64)),
            self.line("rounds", f64::from(first.rounds())),
        ];
        if self.protocol.settings().ot == OtKind::Silent {
            lines.push(self.line("expansion bits", bits(first.expansion())));
        }
        lines
    }

    /// Microseconds of an element by link, and CPU time of both parties.
    pub fn times(&self, measured: &[Measurement]) -> Vec<Line> {
        let scale = 1e6 / self.elements as f64;
        let mut lines = Vec::new();
        for one in measured {
            let (median, spread) = one.spread(|sample| sample.seconds * scale);
            let link = one.job.link.clone();
            let spread = Some(spread);
            let runs = one.samples.len();
            lines.push(Line { link, spread, runs, ..self.line("us an element", median) });
        }
        lines
    }
}

/// Puts garbled circuits with IKNP beside every other line of the same case, link and metric.
pub(crate) fn beside_garbled(lines: Vec<Line>) -> Vec<Line> {
    beside(lines, Protocol::Garbled)
}

/// Puts another form of garbled circuits there.
pub(crate) fn beside(mut lines: Vec<Line>, baseline: Protocol) -> Vec<Line> {
    let baseline = baseline.to_string();
    let of_baseline: Vec<Line> = lines.iter().filter(|l| l.protocol == baseline).cloned().collect();
    for line in lines.iter_mut().filter(|line| line.protocol != baseline) {
        let same = of_baseline.iter().find(|other| {
            (&other.case, &other.link, &other.metric) == (&line.case, &line.link, &line.metric)
        });
        line.garbled = same.map(|other| other.value);
    }
    lines
}

/// Measures protocols on one case: bits and rounds beside the paper's, times over both links.
pub(crate) fn compare(
    suite: &mut Suite,
    table: &str,
    case: &str,
    function: Function,
    domain: DomainSpec,
    elements: usize,
    protocols: &[(Protocol, &str)],
) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for &(protocol, in_paper) in protocols {
        let layer = Layer { case, function, domain, protocol, elements };
        let measured = layer.over(suite, &LINKS)?;
        let exact = layer.exact(&measured).into_iter();
        lines.extend(exact.map(|line| line.beside_paper(table, case, in_paper)));
        lines.extend(layer.times(&measured));
    }
    Ok(lines)
}
