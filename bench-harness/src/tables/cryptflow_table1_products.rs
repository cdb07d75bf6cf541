//! Table I of CrypTFlow: products of floating-point numbers beside those of fixed-point numbers.

use super::Layer;
use crate::job::{DomainSpec, Function, Protocol};
use crate::pair::Result;
use crate::plot::Plot;
use crate::result::Line;
use crate::suite::{Suite, Table};

/// Bits of a number, as many as a single has.
const BITS: u32 = 32;
/// The float product; the others are held against it.
const FLOAT: &str = "float, GC, IKNP";

/// The table.
pub const TABLE: Table = Table {
    name: "cryptflow_table1_products",
    title: "CrypTFlow, table I: products of floating-point and fixed-point numbers, over the LAN",
    notes: &[
        "A number of the server's times one of the client's, all side by side, the product shared. float: IEEE 754 single \
         precision by a garbled circuit of 1305 AND gates, rounded to nearest even, subnormals flushed. fixed: 32 bits, \
         the product truncated by 2^12, exactly; ours is a product by correlated OT and a faithful truncation.",
        "In the column of garbled circuits stands the floating-point product of the same run: the last column is what \
         fixed point saves. In the paper that is 28 times for one product, 57 for 10, 126 for 100 and for 1000.",
    ],
    run,
    plot: Plot::Curves { metric: "ms", labels: ["products", "milliseconds for all"] },
};

fn run(suite: &mut Suite) -> Result<Vec<Line>> {
    let fixed = Function::MultiplyFixed { shift: 12 };
    let forms = [
        ("float", Function::MultiplySingle, Protocol::Garbled),
        ("fixed", fixed, Protocol::Garbled),
        ("fixed", fixed, Protocol::Iknp { radix: 4 }),
        ("fixed", fixed, Protocol::Silent { radix: 4 }),
    ];
    let all = [1, 10, 100, 1000];
    let mut lines = Vec::new();
    for &elements in &all[..suite.mode().pick(2, 4, 4)] {
        let case = format!("{elements} product{}", if elements == 1 { "" } else { "s" });
        for (kind, function, protocol) in forms {
            let domain = DomainSpec::Ring(BITS);
            let layer = Layer { case: &case, function, domain, protocol, elements };
            let measured = layer.over(suite, &["lan"])?;
            let named = |line: Line| Line {
                protocol: format!("{kind}, {protocol}"),
                x: Some(elements as f64),
                ..line
            };
            for one in &measured {
                let (median, spread) = one.spread(|sample| 1e3 * sample.seconds);
                let time = Line {
                    link: one.job.link.clone(),
                    metric: "ms".into(),
                    value: median,
                    spread: Some(spread),
                    runs: one.samples.len(),
                    ..layer.line("ms", median)
                };
                // The paper's fixed point is no garbled circuit.
                let compared = kind == "float" || !protocol.is_garbled();
                let in_paper = if compared { kind } else { "" };
                lines.push(named(time.beside_paper("cryptflow table1", &case, in_paper)));
            }
            lines.extend(layer.exact(&measured).into_iter().map(named));
        }
    }
    let floats: Vec<Line> = lines.iter().filter(|l| l.protocol == FLOAT).cloned().collect();
    for line in lines.iter_mut().filter(|line| line.protocol != FLOAT) {
        let same = floats.iter().find(|f| (&f.case, &f.metric) == (&line.case, &line.metric));
        line.garbled = same.map(|float| float.value);
    }
    Ok(lines)
}
