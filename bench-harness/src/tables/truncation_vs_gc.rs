//! Truncation by 2^12 beside garbled circuits, over both domains.

use super::{PRIME_32, beside_garbled, compare};
use crate::job::{DomainSpec, Function, Protocol};
use crate::plot::Plot;
use crate::suite::Table;

/// The table.
pub const TABLE: Table = Table {
    name: "truncation_vs_gc",
    title: "Truncation by 2^12",
    notes: &[
        "Exact, for any sign; \"x >= 0\" is the form after a ReLU. A shift costs a garbled circuit no gate, only the \
         sums that open and close the shares.",
    ],
    run: |suite| {
        let n = suite.mode().pick(64, 1 << 13, 1 << 20);
        let shift = 12;
        let cases = [
            ("Z_2^32", DomainSpec::Ring(32), Function::Truncate { shift }),
            ("Z_2^32, x >= 0", DomainSpec::Ring(32), Function::TruncatePositive { shift }),
            ("Z_n, 32 bits", DomainSpec::Field(PRIME_32), Function::Truncate { shift }),
        ];
        let mut lines = Vec::new();
        for (case, domain, function) in cases {
            let protocols = [
                (Protocol::Garbled, ""),
                (Protocol::Iknp { radix: 7 }, ""),
                (Protocol::Iknp { radix: 4 }, ""),
                (Protocol::Silent { radix: 4 }, ""),
            ];
            lines.extend(compare(suite, "", case, function, domain, n, &protocols)?);
        }
        Ok(beside_garbled(lines))
    },
    plot: Plot::Bars { metric: "bits", label: "bits a truncation" },
};
