//! Where a model comes from: the name of an embedded one, an ONNX file, or a program file.

pub mod modulus;

use crate::cli::{DomainKind, Plan};
use crate::embedded::{EMBEDDED, Embedded};
use crate::failure::{Failure, Result};
use crate::parameters;
use crate::zoo_command::DEFAULT_SEED;
use athos::hlil::Graph;
use athos::zoo::{self, Architecture, Weights};
use athos::{CompileOptions, Limits, Preprocess, Program};
use sci_core::{AnyDomain, Ring};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The largest model file that is read.
const MAX_MODEL_BYTES: u64 = 4 << 30;
/// The largest text or input file that is read.
const MAX_SMALL_BYTES: u64 = 256 << 20;

/// What the user named.
#[derive(Clone, Debug)]
pub enum Source {
    /// Part of this program.
    Embedded(&'static Embedded),
    /// A known architecture with random weights.
    Zoo(&'static Architecture),
    /// A file.
    File(PathBuf),
}

impl Source {
    /// A name is an embedded model; a path has a separator or an extension.
    ///
    /// # Errors
    /// A name that is not known.
    pub fn parse(text: &str) -> Result<Self> {
        if let Some(model) = Embedded::named(text) {
            return Ok(Self::Embedded(model));
        }
        if let Some(architecture) = zoo::find(text) {
            return Ok(Self::Zoo(architecture));
        }
        if is_path(text) {
            return Ok(Self::File(PathBuf::from(text)));
        }
        let names = EMBEDDED.each_ref().map(|model| model.name).join(", ");
        let cause = format!("model: expected {names}, a zoo name or a file, got {text}");
        let hint =
            "`sci-run zoo list` has the names; a path has a separator or an extension: ./name";
        Err(Failure::usage(cause).hint(hint))
    }

    /// The name of the model.
    pub fn name(&self) -> String {
        match self {
            Self::Embedded(model) => model.name.to_string(),
            Self::Zoo(architecture) => architecture.name.to_string(),
            Self::File(path) => {
                let stem = path.file_stem().unwrap_or_default().to_string_lossy();
                let safe = |c: char| if c.is_control() { '_' } else { c };
                stem.chars().take(200).map(safe).collect()
            }
        }
    }

    /// As the user writes it.
    pub fn argument(&self) -> std::ffi::OsString {
        match self {
            Self::Embedded(model) => model.name.into(),
            Self::Zoo(architecture) => architecture.name.into(),
            Self::File(path) => path.into(),
        }
    }

    /// The float graph.
    ///
    /// # Errors
    /// A program file, which has forgotten its floats, and those of reading.
    pub fn graph(&self, plan: &Plan) -> Result<Graph> {
        if let (Some(_), Self::Embedded(_) | Self::Zoo(_)) = (&plan.input_shape, self) {
            let cause = format!("input-shape: {} has its own", self.name());
            return Err(Failure::usage(cause).hint("leave --input-shape out"));
        }
        match self {
            Self::Embedded(model) => Ok(athos::frontend::onnx::read(model.onnx, None)?),
            Self::Zoo(architecture) => Ok(architecture.graph(Weights::Seeded(DEFAULT_SEED))?),
            Self::File(path) => {
                let bytes = read(path, MAX_MODEL_BYTES)?;
                if Program::recognise(&bytes) {
                    let got = "a program file, which has no floats";
                    return Err(Failure::invalid(path.display(), "a model file", got));
                }
                file_graph(path, &bytes, plan)
            }
        }
    }

    /// How to compile it: what the user says, and the preprocessing of an embedded model.
    ///
    /// # Errors
    /// What is wrong with the options or the preprocessing.
    pub fn options(&self, plan: &Plan) -> Result<CompileOptions> {
        let preprocess = match (&plan.preprocess, self) {
            (Some(path), _) => Some(preprocessing(path)?),
            (None, Self::Embedded(model)) => Some(parse_preprocessing(model.preprocess)?),
            (None, _) => None,
        };
        options(self.name(), plan, preprocess)
    }

    /// Reads and compiles the model.
    ///
    /// # Errors
    /// What is wrong with the file, the model or the options.
    pub fn load(&self, plan: &Plan) -> Result<Program> {
        let Self::File(path) = self else {
            return Ok(athos::compile_graph(self.graph(plan)?, &self.options(plan)?)?);
        };
        let place = |failure: Failure| failure.at(path.display());
        let bytes = read(path, MAX_MODEL_BYTES)?;
        if Program::recognise(&bytes) {
            return compiled(&bytes, plan).map_err(place);
        }
        let graph = file_graph(path, &bytes, plan)?;
        athos::compile_graph(graph, &self.options(plan)?).map_err(|e| place(e.into()))
    }

    /// Whether this is a file with a compiled program inside.
    ///
    /// # Errors
    /// Those of reading.
    pub fn is_program(&self) -> Result<bool> {
        match self {
            Self::Embedded(_) | Self::Zoo(_) => Ok(false),
            Self::File(path) => Ok(Program::recognise(&read(path, MAX_MODEL_BYTES)?)),
        }
    }
}

/// The float graph of a model file, which may refer to files beside it.
fn file_graph(path: &Path, bytes: &[u8], plan: &Plan) -> Result<Graph> {
    // The parent of a bare file name is empty: the current folder.
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let graph = athos::frontend::read_in(bytes, plan.input_shape.as_deref(), Some(folder));
    graph.map_err(|error| Failure::from(error).at(path.display()))
}

/// Whether a name on the command line is a path.
pub fn is_path(text: &str) -> bool {
    // The version in "squeezenet1.1" is no extension.
    let named =
        |extension: &std::ffi::OsStr| !extension.as_encoded_bytes().iter().all(u8::is_ascii_digit);
    text.contains(std::path::is_separator) || Path::new(text).extension().is_some_and(named)
}

/// The bytes of a file of bounded size.
///
/// # Errors
/// The file and what happened.
pub fn read(path: &Path, max: u64) -> Result<Vec<u8>> {
    let failed = |e: std::io::Error| Failure::file(path, &e);
    let file = File::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.is_dir() {
        return Err(Failure::new("file", format_args!("{}: is a directory", path.display())));
    }
    let mut bytes = Vec::new();
    file.take(max + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > max {
        return Err(Failure::invalid(path.display(), format_args!("at most {max} bytes"), "more"));
    }
    Ok(bytes)
}

/// [`read`] for everything but models.
///
/// # Errors
/// As [`read`].
pub fn read_small(path: &Path) -> Result<Vec<u8>> {
    read(path, MAX_SMALL_BYTES)
}

/// What the command line says, as the compiler wants it.
fn options(name: String, plan: &Plan, preprocess: Option<Preprocess>) -> Result<CompileOptions> {
    let (bitwidth, scale) = plan.precision()?;
    let domain = match plan.domain.unwrap_or(DomainKind::Ring) {
        DomainKind::Ring => AnyDomain::Ring(Ring::new(bitwidth)?),
        DomainKind::Field => AnyDomain::Field(modulus::field(bitwidth)?),
    };
    plan.check_packing(domain)?;
    let output = plan.output.unwrap_or_default();
    Ok(CompileOptions { name, output, preprocess, ..CompileOptions::new(domain, scale) })
}

/// A program file says everything itself; what the user says must agree.
fn compiled(bytes: &[u8], plan: &Plan) -> Result<Program> {
    let program = Program::from_bytes(bytes, &Limits::default())?;
    let public = &program.public;
    let fixed = |name: &str, wanted: Option<String>, has: String| match wanted {
        Some(wanted) if wanted != has => {
            Err(Failure::usage(format_args!("{name}: the program file has {has}, not {wanted}"))
                .hint("compile the model again with this option"))
        }
        _ => Ok(()),
    };
    fixed(
        "domain",
        plan.domain.map(|kind| kind.name().to_string()),
        parameters::domain_name(public.domain).to_string(),
    )?;
    fixed("bitwidth", plan.bitwidth.map(|l| l.to_string()), {
        parameters::bitwidth(public.domain).to_string()
    })?;
    fixed("scale", plan.scale.map(|s| s.to_string()), public.scale.to_string())?;
    fixed(
        "output",
        plan.output.map(|form| parameters::output_name(form).to_string()),
        parameters::output_name(public.output_form).to_string(),
    )?;
    plan.check_packing(public.domain)?;
    for (name, given) in
        [("preprocess", plan.preprocess.is_some()), ("input-shape", plan.input_shape.is_some())]
    {
        if given {
            return Err(Failure::usage(format_args!("{name}: it is inside the program file"))
                .hint(format_args!("leave --{name} out, or compile the model again with it")));
        }
    }
    Ok(program)
}

/// Reads a preprocessing file.
fn preprocessing(path: &Path) -> Result<Preprocess> {
    let text = String::from_utf8(read_small(path)?)
        .map_err(|_| Failure::invalid(path.display(), "UTF-8 text", "something else"))?;
    parse_preprocessing(&text).map_err(|failure| failure.at(path.display()))
}

fn parse_preprocessing(text: &str) -> Result<Preprocess> {
    let preprocess: Preprocess = toml::from_str(text).map_err(|e| {
        let before = e.span().and_then(|span| text.get(..span.start));
        let line = before.map_or(1, |before| before.matches('\n').count() + 1);
        Failure::new("invalid_input", format_args!("line {line}: {}", e.message()))
    })?;
    preprocess.check()?;
    Ok(preprocess)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embedded_preprocessing_is_read() {
        for (model, classes) in EMBEDDED.iter().zip([10, 2]) {
            let preprocess = parse_preprocessing(model.preprocess).unwrap();
            assert_eq!(preprocess.classes.len(), classes);
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (text, word) in [
            ("scale = 1.0\nnonsense = 3", "nonsense"),
            ("kind = \"sound\"", "sound"),
            ("scale = 0.0", "scale"),
            ("scale = ", "line 1"),
        ] {
            let failure = parse_preprocessing(text).unwrap_err();
            assert!(failure.message.contains(word), "{text}: {failure}");
        }
    }

    #[test]
    fn names_and_paths() {
        assert!(matches!(Source::parse("digits"), Ok(Source::Embedded(_))));
        assert!(matches!(Source::parse("model.onnx"), Ok(Source::File(_))));
        assert!(matches!(Source::parse("./digits"), Ok(Source::File(_))));
        assert!(matches!(Source::parse("resnet50"), Ok(Source::Zoo(_))));
        assert_eq!(Source::parse("resnet").unwrap_err().exit, 2);
        assert_eq!(Source::parse("squeezenet1.1").unwrap_err().exit, 2);
        assert_eq!(Source::parse("a/b.c.onnx").unwrap().name(), "b.c");
    }
}
