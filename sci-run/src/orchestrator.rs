//! A local run: server and client as two processes of this program over TCP on loopback.
//!
//! Only the server's process reads the model and only the client's the inputs. The orchestrator,
//! which may see both, compares what the client learned with a cleartext run.

mod child;
mod watch;

use crate::cli::{Console, Local};
use crate::failure::{Failure, Result};
use crate::input;
use crate::outputs;
use crate::parameters;
use crate::party;
use crate::planner::Backend;
use crate::report::{Report, hex};
use crate::voice::Voice;
use athos::cleartext;
use sci_core::Party;
use std::ffi::OsString;
use watch::{Outcome, Watch};

/// Runs both parties and compares.
///
/// # Errors
/// The cause of the first failure of a party. Unequal outputs are no error here: the report says
/// it, and a note says where.
pub fn run(local: &Local, console: Console, voice: &Voice) -> Result<Report> {
    let threads = party::local_threads(&local.party);
    let common = common(local, threads, console);
    let mut watch = Watch::new(voice);
    watch.start(Party::Server, server(local, &common))?;
    let address = watch.address()?;
    watch.start(Party::Client, client(local, &common, &address))?;
    let outcome = watch.finish()?;
    voice.clear();
    compare(local, outcome, voice)
}

fn arguments<const N: usize>(arguments: [&str; N]) -> Vec<OsString> {
    arguments.map(OsString::from).to_vec()
}

fn server(local: &Local, common: &[OsString]) -> Vec<OsString> {
    let mut line = arguments(["serve", "--listen", "127.0.0.1:0", "--once", "--max-inputs"]);
    line.push(u32::MAX.to_string().into());
    line.extend_from_slice(common);
    if let Some(path) = &local.plan.preprocess {
        line.extend(["--preprocess".into(), path.into()]);
    }
    if let Some(axes) = &local.plan.input_shape {
        let axes: Vec<String> = axes.iter().map(ToString::to_string).collect();
        line.extend(["--input-shape".into(), axes.join("x").into()]);
    }
    line.extend(["--".into(), local.model.argument()]);
    line
}

fn client(local: &Local, common: &[OsString], address: &str) -> Vec<OsString> {
    let mut line = arguments(["infer", "--connect", address]);
    line.extend_from_slice(common);
    line.push("--".into());
    line.extend(local.inputs.iter().map(OsString::from));
    line
}

/// What both are told: for the server the plan, for the client the same as requirements.
fn common(local: &Local, threads: usize, console: Console) -> Vec<OsString> {
    let mut line = arguments(["--announce"]);
    let mut option = |name: &str, value: Option<String>| {
        line.extend(value.into_iter().flat_map(|value| [name.into(), value.into()]));
    };
    let (plan, party) = (&local.plan, &local.party);
    option("--shape", Some(local.link.to_string()));
    option("--threads", Some(threads.to_string()));
    option("--memory", Some(party.memory.to_string()));
    option("--timeout", Some(party.timeout.as_secs_f64().to_string()));
    option("--bitwidth", plan.bitwidth.map(|bits| bits.to_string()));
    option("--scale", plan.scale.map(|bits| bits.to_string()));
    option("--backend", Some(plan.backend.name().to_string()));
    option("--domain", plan.domain.map(|kind| kind.name().to_string()));
    let lattices = plan.backend != Backend::Ot;
    option("--packing", plan.packing.map(|packing| packing.name().to_string()));
    option("--he-privacy", lattices.then(|| plan.privacy.name().to_string()));
    option("--truncation", Some(plan.exactness.name().into()));
    option("--ot", Some(plan.ot.name().to_string()));
    option("--radix", plan.radix.map(|bits| bits.to_string()));
    option("--output", plan.output.map(|form| parameters::output_name(form).into()));
    line.extend((0..console.verbose).map(|_| "-v".into()));
    line
}

/// Joins what the parties know, and holds it against the cleartext run.
fn compare(local: &Local, outcome: Outcome, voice: &Voice) -> Result<Report> {
    let Outcome { server, client, outputs: opened } = outcome;
    let program = local.model.load(&local.plan)?;
    let inputs = input::read(&local.inputs)?;
    let digest = hex(&program.public.digest()?);
    if [&server.digest, &client.digest].iter().any(|theirs| **theirs != digest) {
        let cause = "the model changed during the run: its digest is another one now";
        return Err(Failure::new("invalid_input", cause).hint("run again"));
    }
    if opened.len() != inputs.len() {
        return Err(Failure::invalid("outputs of the client", inputs.len(), opened.len()));
    }
    let mut equal = true;
    for (input, got) in inputs.iter().zip(&opened) {
        let expected = cleartext::run(&program, &input.quantise(&program.public)?)?;
        if expected != *got {
            equal = false;
            voice.note(difference(&input.name, &expected, got));
        }
    }
    if let Some(path) = &local.output_file {
        outputs::write(path, &program.public, &opened)?;
    }
    let mut report = client;
    report.bitwise_equal = Some(equal);
    report.peak_rss_bytes.server = server.peak_rss_bytes.server;
    for prediction in report.predictions.iter_mut().flatten() {
        prediction.name_classes(program.public.class_names());
    }
    Ok(report)
}

/// Where two outputs differ first.
fn difference(name: &str, expected: &[i64], got: &[i64]) -> String {
    let place = expected.iter().zip(got).position(|(a, b)| a != b);
    match place.and_then(|i| Some((i, expected.get(i)?, got.get(i)?))) {
        Some((i, expected, got)) => {
            format!("{name}: output {i} is {got}, the cleartext run gives {expected}")
        }
        None => format!("{name}: {} outputs, the cleartext run has {}", got.len(), expected.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Command, Parsed, parse};
    use crate::linear::{Assignment, Engine, Style};
    use crate::link::PlannedLink;
    use crate::parameters::Offered;
    use crate::report::Figures;
    use sci_core::channel::shaped::LinkShape;
    use sci_core::session::Stats;
    use std::time::Duration;

    fn local() -> Local {
        let line = ["sci-run", "--model", "breast-cancer"].map(OsString::from);
        match parse(line) {
            Parsed::Run(command, _) => match *command {
                Command::Local(local) => local,
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    /// What honest parties would report for these outputs.
    fn outcome(local: &Local, change: impl FnOnce(&mut Vec<Vec<i64>>)) -> Outcome {
        let program = local.model.load(&local.plan).unwrap();
        let inputs = input::read(&local.inputs).unwrap();
        let output = |input: &input::Input| {
            cleartext::run(&program, &input.quantise(&program.public).unwrap()).unwrap()
        };
        let mut outputs = inputs.iter().map(output).collect();
        change(&mut outputs);
        let (stats, connecting) = (Stats::default(), Duration::ZERO);
        let offered = Offered {
            backend: Backend::Ot,
            assignment: Assignment::uniform(&program.public, Engine::Ot),
            style: Style::default(),
            exactness: truncation::Exactness::Faithful,
            settings: sci_ot::peer::Settings::default(),
            max_inputs: 10,
            link: PlannedLink::given(LinkShape::LOOPBACK),
        };
        let report = |party| {
            let figures =
                Figures { party, stats: &stats, connecting, offered: &offered, threads: 1 };
            figures.report(&program.public, &program.public.digest().unwrap())
        };
        Outcome { server: report(Party::Server), client: report(Party::Client), outputs }
    }

    #[test]
    fn every_output_is_compared() {
        let (local, voice) = (local(), Voice::new(Console::default(), true));
        let compared = |outcome| compare(&local, outcome, &voice);
        let report = compared(outcome(&local, |_| ())).unwrap();
        assert_eq!(report.bitwise_equal, Some(true));
        for place in [0, 9] {
            let report = compared(outcome(&local, |outputs| outputs[place][0] ^= 1)).unwrap();
            assert_eq!(report.bitwise_equal, Some(false));
        }
        let report = compared(outcome(&local, |outputs| outputs[3].push(0))).unwrap();
        assert_eq!(report.bitwise_equal, Some(false));
        assert!(compared(outcome(&local, |outputs| outputs.truncate(9))).is_err());
        let mut other = outcome(&local, |_| ());
        other.server.digest = "00".into();
        assert!(compared(other).is_err());
    }
}
