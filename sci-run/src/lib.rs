//! The program users run: a server with a trained network, a client with an input, a prediction that
//! only the client sees.
//!
//! [`cli`] turns the command line into what is to be done; [`orchestrator`] does a local run with
//! two processes, [`serve`] and [`infer`] are those processes, or run on two machines; [`report`]
//! says what came out and what it cost.

pub mod calibrate;
pub mod cli;
pub mod cost;
pub mod embedded;
pub mod failure;
pub mod infer;
pub mod input;
pub mod layer_check;
pub mod linear;
pub mod link;
pub mod model;
pub mod orchestrator;
pub mod outputs;
pub mod parameters;
pub mod party;
pub mod planner;
pub mod report;
pub mod serve;
pub mod tools;
pub mod tune;
pub mod two_party;
pub mod voice;
pub mod zoo_command;

use cli::{Command, Console, Parsed};
use failure::{EXIT_FAILED, Failure, Result};
use std::ffi::OsString;
use std::io::{IsTerminal, Read};
use tracing_subscriber::filter::LevelFilter;
use voice::{Voice, print};

/// Does what the command line says and returns the exit code. `orphaned` is called, on another
/// thread, if this is the child of an orchestrator that has gone.
pub fn run(args: impl IntoIterator<Item = OsString>, orphaned: fn()) -> u8 {
    match cli::parse(args) {
        Parsed::Print(text) => {
            print(text.as_bytes());
            0
        }
        Parsed::Wrong(failure, console) => {
            Voice::new(console, false).failed(&failure);
            failure.exit
        }
        Parsed::Run(command, console) => {
            log(console);
            let child = match &*command {
                Command::Serve(serve) => serve.child.is_some(),
                Command::Infer(infer) => infer.child.is_some(),
                _ => false,
            };
            let voice = Voice::new(console, child);
            let done = if child { watch_parent(orphaned) } else { Ok(()) };
            match done.and_then(|()| execute(&command, console, &voice)) {
                Ok(code) => code,
                Err(failure) => {
                    voice.failed(&failure);
                    failure.exit
                }
            }
        }
    }
}

fn execute(command: &Command, console: Console, voice: &Voice) -> Result<u8> {
    match command {
        Command::Local(local) => {
            let report = orchestrator::run(local, console, voice)?;
            // Who asks for inexact truncation gets it, and is told.
            let equal = report.bitwise_equal == Some(true) || !report.exact;
            voice.report(report);
            return Ok(if equal { 0 } else { EXIT_FAILED });
        }
        Command::Serve(serve) => serve::run(serve, voice)?,
        Command::Infer(infer) => {
            let report = infer::run(infer, voice)?;
            voice.report(report);
        }
        Command::Compile(compile) => tools::compile(compile, console.json)?,
        Command::Inspect(inspect) => tools::inspect(inspect, console.json)?,
        Command::Ops => tools::ops(console.json),
        Command::Tune(tune) => tune::run(tune, console.json)?,
        Command::Check(check) => return layer_check::run(check, console, voice),
        Command::Zoo(zoo) => zoo_command::run(zoo, console.json)?,
    }
    Ok(0)
}

/// Steps and details to stderr, as far as the user asked for them.
fn log(console: Console) {
    let level = match console.verbose {
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        _ => LevelFilter::DEBUG,
    };
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    // A program that embeds this library may have its own.
    let _ = subscriber.try_init();
}

/// The orchestrator holds the other end of stdin for as long as it lives.
fn watch_parent(orphaned: fn()) -> Result<()> {
    let watch = move || {
        let mut waste = [0; 64];
        while matches!(std::io::stdin().read(&mut waste), Ok(1..)) {}
        orphaned();
    };
    let thread = std::thread::Builder::new().name("parent".into()).spawn(watch);
    thread.map(drop).map_err(|e| Failure::new("resource", format_args!("no thread: {e}")))
}
