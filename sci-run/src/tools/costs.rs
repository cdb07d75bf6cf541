//! What every product of a program would cost by each engine.

use crate::cli::Compile;
use crate::failure::{Failure, Result};
use crate::linear::Engine;
use crate::party;
use crate::planner::{self, Alternative, Decision, Request};
use crate::report::{SCHEMA, human_bytes, printable};
use crate::two_party::NetDomain;
use crate::voice::print;
use athos::PublicProgram;
use sci_core::Domain;
use serde::Serialize;
use std::fmt::Write;

#[derive(Debug, Serialize)]
struct Table {
    schema: u32,
    model: String,
    link: String,
    threads: usize,
    /// The engine of every product in the plan that `--backend auto` takes.
    plan: String,
    radix: u32,
    /// Keys of lattice encryption, once a session.
    key_bytes: u64,
    products: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    name: String,
    op: String,
    ot: Figures,
    he: Option<Figures>,
    /// Why there is no `he`.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
    faster: &'static str,
}

#[derive(Debug, Serialize)]
struct Figures {
    client_to_server: u64,
    server_to_client: u64,
    rounds: u32,
    seconds: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    degree: Option<usize>,
}

/// Prints them.
///
/// # Errors
/// Those of planning.
pub(super) fn show<D: NetDomain>(
    program: &PublicProgram,
    domain: D,
    compile: &Compile,
    json: bool,
) -> Result<()> {
    let request = Request {
        backend: compile.plan.backend,
        style: compile.plan.style_over(domain.any()),
        exactness: compile.plan.exactness,
        link: compile.link,
        threads: party::cores(),
        ot: compile.plan.ot,
        radix: compile.plan.radix,
    };
    let decision = planner::decide(program, domain, &request)?;
    let alternatives = planner::alternatives(program, domain, &request)?;
    let table = table(program, &request, &decision, &alternatives);
    if json {
        let text = serde_json::to_string(&table)
            .map_err(|e| Failure::new("misuse", format_args!("cannot print: {e}")))?;
        print((text + "\n").as_bytes());
    } else {
        print(text(&table).as_bytes());
    }
    Ok(())
}

fn table<D: Domain>(
    program: &PublicProgram,
    request: &Request,
    decision: &Decision<D>,
    alternatives: &[Alternative<D>],
) -> Table {
    let row = |alternative: &Alternative<D>| {
        let instruction = program.instructions.get(alternative.instruction);
        let figures = |cost: &sci_core::Cost, seconds, degree| Figures {
            client_to_server: cost.client_to_server,
            server_to_client: cost.server_to_client,
            rounds: cost.rounds,
            seconds,
            degree,
        };
        let he = alternative.he.as_ref();
        Row {
            name: instruction.map_or(String::new(), |i| printable(&i.name)),
            op: instruction.map_or("", |i| i.op.name()).into(),
            ot: figures(&alternative.ot, alternative.ot_seconds, None),
            he: he.ok().map(|he| {
                let degree = he.layer.degree();
                figures(&he.layer.cost(), he.seconds, Some(degree))
            }),
            refused: he.err().map(ToString::to_string),
            faster: alternative.faster().name(),
        }
    };
    Table {
        schema: SCHEMA,
        model: printable(&program.name),
        link: request.link.to_string(),
        threads: request.threads,
        plan: decision.assignment.to_string(),
        radix: decision.settings.radix,
        key_bytes: decision.protocols.key_cost().bytes(),
        products: alternatives.iter().map(row).collect(),
    }
}

fn text(table: &Table) -> String {
    let Table { model, link, threads, plan, radix, key_bytes, products, .. } = table;
    let mut out = format!(
        "{model} over link {link}, {threads} threads a party: predicted cost of every product\n\n"
    );
    let width = products.iter().map(|row| row.name.chars().count()).max().unwrap_or(0).max(5);
    let mut line = |cells: [&str; 7]| {
        let [name, op, ot, ot_time, he, he_time, faster] = cells;
        let _ = writeln!(
            out,
            "{name:width$}  {op:10}  {ot:>10}  {ot_time:>9}  {he:>10}  {he_time:>9}  {faster}"
        );
    };
    line(["layer", "operation", "ot", "", "he", "", "faster"]);
    for row in products {
        let bytes = |f: &Figures| human_bytes(f.client_to_server + f.server_to_client);
        let time = |f: &Figures| format!("{:.4} s", f.seconds);
        let (he, he_time) = match &row.he {
            Some(he) => (bytes(he), time(he)),
            None => ("none".into(), String::new()),
        };
        line([&row.name, &row.op, &bytes(&row.ot), &time(&row.ot), &he, &he_time, row.faster]);
    }
    let (he, keys) = (Engine::He.name(), human_bytes(*key_bytes));
    let _ = writeln!(out, "\nplan {plan}\nradix {radix}\nkeys of {he}: {keys} a session");
    out
}
