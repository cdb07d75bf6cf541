//! Table 4 of CrypTFlow2: all ReLUs of three networks beside garbled circuits.

use super::{LINKS, Layer, PRIME_32, PRIME_37, beside_garbled};
use crate::job::{DomainSpec, Function, Protocol};
use crate::pair::{Measurement, Result};
use crate::plot::Plot;
use crate::result::Line;
use crate::suite::{Mode, Suite, Table};

/// A network of the paper.
struct Network {
    name: &'static str,
    /// ReLUs of one inference, and the layers they are in.
    relus: usize,
    layers: usize,
    /// The bitwidth of the paper.
    bits: u32,
}

const NETWORKS: [Network; 3] = [
    Network { name: "SqueezeNet", relus: 2_033_480, layers: 26, bits: 32 },
    Network { name: "ResNet50", relus: 9_006_592, layers: 49, bits: 37 },
    Network { name: "DenseNet121", relus: 15_065_344, layers: 121, bits: 32 },
];

/// The table.
pub const TABLE: Table = Table {
    name: "table4_relu_layers",
    title: "Table 4: the ReLU layers of three networks",
    notes: &[
        "ReLUs: 2,033,480 in 26 layers (SqueezeNet, l = 32), 9,006,592 in 49 (ResNet50, l = 37), 15,065,344 in 121 \
         (DenseNet121, l = 32). Of each network one layer of the mean size is measured and multiplied up; with silent OT, GiB hold the \
         expansion of an average run, otherwise they are exact, being linear. By default garbled circuits, whose time is \
         that of their bytes, are measured on 2^15 elements: what waits for the link is counted once a layer, the rest \
         multiplied up.",
        "The paper ran four threads a party on two machines; here one thread a party, both on one machine.",
    ],
    run,
    plot: Plot::Bars { metric: "seconds", label: "seconds" },
};

impl Network {
    /// The elements that stand for it.
    fn sample(&self, mode: Mode, protocol: Protocol) -> usize {
        let layer = self.relus.div_ceil(self.layers);
        mode.pick(64, if protocol.is_garbled() { 1 << 15 } else { layer }, layer)
    }

    fn lines(
        &self,
        domain: &str,
        protocol: Protocol,
        measured: &[Measurement],
    ) -> Result<Vec<Line>> {
        let Some(first) = measured.first() else { return Ok(Vec::new()) };
        let (case, times) =
            (format!("{}, {domain}", self.name), self.relus as f64 / first.job.elements as f64);
        let line = |metric: &str, value: f64| Line {
            case: case.clone(),
            protocol: protocol.to_string(),
            metric: metric.into(),
            value,
            extrapolated: 1.0,
            ..Line::default()
        };
        let bytes = (first.bytes() as f64 + first.expansion()) * times;
        let gib = line("GiB", bytes / f64::from(1 << 30));
        let mut lines = vec![Line { extrapolated: times, ..gib }];
        for one in measured {
            let flights = f64::from(one.rounds())
                * one.job.shape().map_err(|e| e.to_string())?.rtt.as_secs_f64()
                / 2.0;
            let whole = |seconds| (seconds - flights) * times + flights * self.layers as f64;
            let (median, spread) = one.spread(|sample| whole(sample.seconds));
            lines.push(Line {
                link: one.job.link.clone(),
                spread: Some(spread),
                runs: one.samples.len(),
                extrapolated: times,
                ..line("seconds", median)
            });
        }
        let in_paper = if protocol.is_garbled() { "GC" } else { "ours" };
        Ok(lines.into_iter().map(|line| line.beside_paper("table4", &case, in_paper)).collect())
    }
}

fn run(suite: &mut Suite) -> Result<Vec<Line>> {
    let protocols = [Protocol::Garbled, Protocol::Iknp { radix: 4 }, Protocol::Silent { radix: 4 }];
    let mut known: Vec<(DomainSpec, Protocol, usize, Vec<Measurement>)> = Vec::new();
    let mut lines = Vec::new();
    for network in &NETWORKS {
        let bits = network.bits;
        let prime = if bits == 32 { PRIME_32 } else { PRIME_37 };
        for (name, domain) in [("Z_2^l", DomainSpec::Ring(bits)), ("Z_n", DomainSpec::Field(prime))]
        {
            for protocol in protocols {
                let elements = network.sample(suite.mode(), protocol);
                let same =
                    known.iter().find(|(d, p, n, _)| (*d, *p, *n) == (domain, protocol, elements));
                let measured = match same {
                    Some((.., measured)) => measured.clone(),
                    None => {
                        let function = Function::Relu;
                        let layer = Layer { case: "", function, domain, protocol, elements };
                        layer.over(suite, &LINKS)?
                    }
                };
                lines.extend(network.lines(name, protocol, &measured)?);
                known.push((domain, protocol, elements, measured));
            }
        }
    }
    Ok(beside_garbled(lines))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Job;
    use crate::pair::Sample;

    /// 26 layers wait 26 times, however few elements were measured.
    #[test]
    fn a_network_waits_once_a_layer() {
        let network = &NETWORKS[0];
        let job = Job {
            function: Function::Relu,
            domain: DomainSpec::Ring(32),
            protocol: Protocol::Garbled,
            elements: network.relus / 100,
            link: "wan".into(),
            threads: 1,
        };
        let sample = Sample { seconds: 1.08, rounds: 2, ..Sample::default() };
        let measured = Measurement { job, setup: 0.0, samples: vec![sample] };
        let lines = network.lines("Z_2^l", Protocol::Garbled, &[measured]).unwrap();
        assert!((lines[1].value - (100.0 + 26.0 * 0.08)).abs() < 0.1, "{lines:?}");
        assert!(lines.iter().all(|line| line.extrapolated > 99.0), "{lines:?}");
    }
}
