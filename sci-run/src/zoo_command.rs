//! `sci-run zoo`: known architectures with random weights.

use crate::failure::{Failure, Result};
use crate::voice::print;
use athos::zoo::{self, ARCHITECTURES, Architecture, Weights};
use std::fs;
use std::path::PathBuf;

/// The seed of the weights where none is given, the same for every party and every run.
pub const DEFAULT_SEED: u64 = 1;

/// What to do with the zoo.
#[derive(Debug)]
pub enum ZooCommand {
    /// Show all names.
    List,
    /// Write one as an ONNX file.
    Export {
        /// Which.
        architecture: &'static Architecture,
        /// Of the weights.
        seed: u64,
        /// Where to.
        path: PathBuf,
    },
}

/// Does it.
///
/// # Errors
/// Those of the file.
pub fn run(command: &ZooCommand, json: bool) -> Result<()> {
    match command {
        ZooCommand::List => list(json),
        ZooCommand::Export { architecture, seed, path } => {
            let graph = architecture.graph(Weights::Seeded(*seed))?;
            let onnx = zoo::to_onnx(&graph, architecture.name)?;
            fs::write(path, &onnx).map_err(|e| Failure::file(path, &e))?;
            let (name, path) = (architecture.name, path.display());
            let text = match json {
                true => serde_json::json!({
                    "schema": crate::report::SCHEMA, "model": name, "seed": seed,
                    "file": path.to_string(), "bytes": onnx.len(),
                })
                .to_string(),
                false => format!("{path}: {name} with random weights of seed {seed}"),
            };
            print((text + "\n").as_bytes());
            Ok(())
        }
    }
}

fn list(json: bool) -> Result<()> {
    if json {
        let all =
            ARCHITECTURES.iter().map(|x| serde_json::json!({"name": x.name, "about": x.about}));
        let object = serde_json::json!({
            "schema": crate::report::SCHEMA, "architectures": all.collect::<Vec<_>>(),
        });
        print(format!("{object}\n").as_bytes());
        return Ok(());
    }
    for Architecture { name, about, .. } in ARCHITECTURES {
        print(format!("{name:22} {about}\n").as_bytes());
    }
    Ok(())
}

/// The architecture of a name.
///
/// # Errors
/// A name that is not known, with those that are.
pub fn find(name: &str) -> Result<&'static Architecture> {
    zoo::find(name).ok_or_else(|| {
        let cause = format!("architecture: expected one of the zoo, got {name}");
        Failure::usage(cause).hint("sci-run zoo list")
    })
}
