//! ReLU over the bitwidth.

use super::{Layer, beside_garbled};
use crate::job::{DomainSpec, Function, Protocol};
use crate::pair::Result;
use crate::plot::Plot;
use crate::result::Line;
use crate::suite::{Suite, Table};

/// The figure.
pub const TABLE: Table = Table {
    name: "bitwidth_scaling",
    title: "ReLU over Z_2^l by bitwidth",
    notes: &["Bits of one ReLU; times over the LAN."],
    run,
    plot: Plot::Curves { metric: "bits", labels: ["bitwidth l", "bits a ReLU"] },
};

fn run(suite: &mut Suite) -> Result<Vec<Line>> {
    let widths: &[u32] =
        suite.mode().pick(&[8, 64], &[8, 16, 32, 41, 64], &[4, 8, 16, 24, 32, 37, 41, 48, 56, 64]);
    let elements = suite.mode().pick(64, 1 << 12, 1 << 18);
    let mut lines = Vec::new();
    for &bits in widths {
        let case = format!("l = {bits}");
        for protocol in
            [Protocol::Garbled, Protocol::Iknp { radix: 4 }, Protocol::Silent { radix: 4 }]
        {
            let domain = DomainSpec::Ring(bits);
            let layer = Layer { case: &case, function: Function::Relu, domain, protocol, elements };
            let measured = layer.over(suite, &["lan"])?;
            let all = layer.exact(&measured).into_iter().chain(layer.times(&measured));
            lines.extend(all.map(|line| Line { x: Some(f64::from(bits)), ..line }));
        }
    }
    Ok(beside_garbled(lines))
}
