//! Table 1 of CrypTFlow2: the millionaires' problem.

use super::{beside_garbled, compare};
use crate::job::{DomainSpec, Function, Protocol};
use crate::plot::Plot;
use crate::suite::Table;

/// The table.
pub const TABLE: Table = Table {
    name: "table1_millionaires",
    title: "Table 1: millionaires' problem, 32-bit integers",
    notes: &[
        "Bits and rounds of one comparison, times of a batch over both links. The paper's other rows at 32 bits: GMW \
         23140 bits in 8 rounds, SC3 13016 bits in 15.",
    ],
    run: |suite| {
        let n = suite.mode().pick(64, 1 << 14, 1 << 20);
        let protocols = [
            (Protocol::Garbled, "GC"),
            (Protocol::GarbledSilent, ""),
            (Protocol::GarbledThreeHalves, ""),
            (Protocol::Iknp { radix: 7 }, "ours, m = 7"),
            (Protocol::Iknp { radix: 4 }, "ours, m = 4"),
            (Protocol::Silent { radix: 4 }, ""),
            (Protocol::Silent { radix: 2 }, ""),
        ];
        let (function, domain) = (Function::Compare, DomainSpec::Ring(32));
        compare(suite, "table1", "32 bits", function, domain, n, &protocols).map(beside_garbled)
    },
    plot: Plot::Bars { metric: "bits", label: "bits a comparison" },
};
