//! Table 3 of CrypTFlow2, and the comparison with garbled circuits of its appendix: AvgPool by 49.

use super::{PRIME_32, beside_garbled, compare};
use crate::job::{DomainSpec, Function, Protocol};
use crate::plot::Plot;
use crate::suite::Table;

/// The table.
pub const TABLE: Table = Table {
    name: "table3_avgpool",
    title: "Table 3: AvgPool over windows of 49",
    notes: &[
        "The sum of a window is local, the division is what is measured; it rounds down, exactly.",
        "Our garbled circuits divide by the public 49 with as few gates as the remainder has bits, where those of the \
         paper hold a general divider: the baseline here is about a third of the paper's size.",
    ],
    run: |suite| {
        let n = suite.mode().pick(64, 1 << 11, 1 << 16);
        let domains =
            [("Z_2^32", DomainSpec::Ring(32), 8), ("Z_n, 32 bits", DomainSpec::Field(PRIME_32), 7)];
        let mut lines = Vec::new();
        for (case, domain, radix) in domains {
            let protocols = [
                (Protocol::Garbled, "GC"),
                (Protocol::GarbledThreeHalves, ""),
                (Protocol::Iknp { radix }, "ours"),
                (Protocol::Iknp { radix: 4 }, ""),
                (Protocol::Silent { radix: 4 }, ""),
            ];
            let function = Function::Divide { d: 49 };
            lines.extend(compare(suite, "table3", case, function, domain, n, &protocols)?);
        }
        Ok(beside_garbled(lines))
    },
    plot: Plot::Bars { metric: "bits", label: "bits an output" },
};
