//! Table 2 of CrypTFlow2: ReLU over Z_2^32 and a 32-bit Z_n.

use super::{PRIME_32, beside_garbled, compare};
use crate::job::{DomainSpec, Function, Protocol};
use crate::plot::Plot;
use crate::suite::Table;

/// The table.
pub const TABLE: Table = Table {
    name: "table2_relu",
    title: "Table 2: ReLU",
    notes: &[
        "Our MUX takes two correlated OTs, the paper's text two plain ones, 64 bits more at 32 bits (`paper's MUX`). The \
         rest of what we take less is that digits of a comparison are equally wide, 7, 6, 6, 6 and 6 bits for 31 where the \
         paper has 7, 7, 7, 7 and 3, and that the sign over Z_n ends in an AND, not in a 1-of-4 OT.",
        "Garbled circuits over Z_2^l are as large as the paper's formula 8 lambda l - 4 lambda says; over Z_n our \
         circuit is smaller than the paper's 18 lambda eta - 6 lambda. Three halves (Rosulek, Roy, CRYPTO 2021), with \
         197 bits an AND gate where half-gates have 256, are the smallest garbled circuits from symmetric primitives.",
    ],
    run: |suite| {
        let n = suite.mode().pick(64, 1 << 13, 1 << 20);
        let domains =
            [("Z_2^32", DomainSpec::Ring(32)), ("Z_n, 32 bits", DomainSpec::Field(PRIME_32))];
        let mut lines = Vec::new();
        for (case, domain) in domains {
            let protocols = [
                (Protocol::Garbled, "GC"),
                (Protocol::GarbledThreeHalves, ""),
                (Protocol::Iknp { radix: 7 }, "ours"),
                (Protocol::Iknp { radix: 4 }, ""),
                (Protocol::Silent { radix: 4 }, ""),
            ];
            lines.extend(compare(suite, "table2", case, Function::Relu, domain, n, &protocols)?);
            let protocols = [(Protocol::Iknp { radix: 7 }, "ours")];
            let function = Function::ReluPaperMux;
            let paper = compare(suite, "table2", case, function, domain, n, &protocols)?;
            lines.extend(paper.into_iter().map(|mut line| {
                line.protocol += ", paper's MUX";
                line
            }));
        }
        Ok(beside_garbled(lines))
    },
    plot: Plot::Bars { metric: "bits", label: "bits a ReLU" },
};
