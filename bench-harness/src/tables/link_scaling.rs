//! ReLU over every link.

use super::{Layer, beside_garbled};
use crate::job::{DomainSpec, Function, Protocol};
use crate::plot::Plot;
use crate::suite::Table;

/// The figure.
pub const TABLE: Table = Table {
    name: "link_scaling",
    title: "ReLU over Z_2^37 by link",
    notes: &[
        "`lan-cheetah` is 375 MB/s and 0.3 ms, `wan-cheetah` 50 MB/s and 40 ms, the links of Cheetah; `loopback` is not \
         shaped.",
    ],
    run: |suite| {
        let elements = suite.mode().pick(64, 1 << 14, 1 << 20);
        let links = ["loopback", "lan", "lan-cheetah", "wan-cheetah", "wan"];
        let mut lines = Vec::new();
        for protocol in
            [Protocol::Garbled, Protocol::Iknp { radix: 4 }, Protocol::Silent { radix: 4 }]
        {
            let case = "Z_2^37";
            let domain = DomainSpec::Ring(37);
            let layer = Layer { case, function: Function::Relu, domain, protocol, elements };
            let measured = layer.over(suite, &links)?;
            lines.extend(layer.exact(&measured));
            lines.extend(layer.times(&measured));
        }
        Ok(beside_garbled(lines))
    },
    plot: Plot::Bars { metric: "us an element", label: "microseconds a ReLU" },
};
