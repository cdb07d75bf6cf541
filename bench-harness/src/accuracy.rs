//! How often a network is right in floats and in fixed point, on labelled data, by the engines of `athos`.

use crate::network::shared;
use crate::pair::Result;
use athos::hlil::Graph;
use athos::preprocess::Preprocess;
use athos::{CompileOptions, OutputForm, PublicProgram, cleartext, compile_graph, quantise};
use rayon::prelude::*;
use sci_core::AnyDomain;
use sci_run::cli::Plan;
use sci_run::input::{self, Input};
use sci_run::model::Source;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::cmp::Ordering;
use std::fs;
use std::sync::OnceLock;

/// Pixels of the photographs at hand, from whose middle a network's own size is cut.
const PHOTOGRAPH: [usize; 2] = [227; 2];

/// A network and labelled inputs, ready for any precision.
pub struct Study {
    graph: Graph,
    preprocess: Option<Preprocess>,
    inputs: Vec<Input>,
    /// What the float network said: the same for every precision.
    float: OnceLock<Vec<Judged>>,
}

/// Right predictions of so many inputs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Hits {
    /// Inputs.
    pub inputs: usize,
    /// The label is the best class.
    pub top1: usize,
    /// The label is among the best five.
    pub top5: usize,
}

impl Hits {
    fn of(judged: &[Judged]) -> Self {
        Self {
            inputs: judged.len(),
            top1: judged.iter().filter(|one| one.rank == 0).count(),
            top5: judged.iter().filter(|one| one.rank < 5).count(),
        }
    }

    /// Per cent of the inputs.
    pub fn percent(&self, hits: usize) -> f64 {
        100.0 * hits as f64 / self.inputs.max(1) as f64
    }
}

/// Floats beside fixed point of some precision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Accuracy {
    /// In floats.
    pub float: Hits,
    /// In fixed point.
    pub fixed: Hits,
    /// Inputs of which fixed point has another best class.
    pub changed: usize,
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

impl Study {
    /// A model of `SCI_MODELS_DIR` with the first inputs of its data set; none if it is not at hand.
    ///
    /// # Errors
    /// What is wrong with the files.
    pub fn shared(model: &str, limit: usize) -> Result<Option<Self>> {
        let places = [format!("models/{model}.onnx"), "models/models.json".into()];
        let [Some(file), Some(index)] = places.map(|path| shared(&path)) else {
            return Ok(None);
        };
        let index = fs::read_to_string(&index).map_err(|e| format!("{}: {e}", index.display()))?;
        let index: Map<String, Value> = serde_json::from_str(&index).map_err(text)?;
        let Some(Value::Object(mut rule)) = index.get(model).cloned() else {
            return Err(format!("{model}: not in models.json"));
        };
        let folder = rule.remove("dataset").and_then(|name| name.as_str().map(String::from));
        let folder = folder.ok_or_else(|| format!("{model}: models.json names no data set"))?;
        let Some(folder) = shared(&format!("data/{folder}")) else { return Ok(None) };
        let mut preprocess: Preprocess =
            serde_json::from_value(Value::Object(rule)).map_err(text)?;
        if preprocess.crop.is_some() {
            preprocess.size = PHOTOGRAPH.to_vec();
        }
        Ok(Some(Self {
            graph: Source::File(file).graph().map_err(text)?,
            preprocess: Some(preprocess),
            inputs: input::dataset(&folder, limit).map_err(text)?,
            float: OnceLock::new(),
        }))
    }

    /// An embedded model with its own inputs.
    ///
    /// # Errors
    /// For another name.
    pub fn embedded(model: &str) -> Result<Self> {
        let source = Source::parse(model).map_err(text)?;
        let options = source.options(&Plan::default()).map_err(text)?;
        Ok(Self {
            graph: source.graph().map_err(text)?,
            preprocess: options.preprocess,
            inputs: input::read(&[model.to_string()]).map_err(text)?,
            float: OnceLock::new(),
        })
    }

    /// Runs all inputs in floats and in fixed point of `bitwidth` bits, `scale` of them after the point. What
    /// overflows wraps, as it does between two parties.
    ///
    /// # Errors
    /// For an input without a label, and for numbers of the model that do not fit.
    pub fn measure(&self, (bitwidth, scale): (u32, u32)) -> Result<Accuracy> {
        let domain = AnyDomain::ring(bitwidth).map_err(text)?;
        let mut options = CompileOptions::new(domain, scale);
        options.output = OutputForm::Logits;
        options.preprocess.clone_from(&self.preprocess);
        let program = compile_graph(self.graph.clone(), &options).map_err(text)?;
        let float = self.float(&program.public)?;
        let fixed = self.judge(&program.public, |numbers, label| {
            let numbers = quantise(numbers, scale, domain).map_err(text)?;
            let logits = cleartext::run(&program, &numbers).map_err(text)?;
            Ok(Judged::new(&logits, i64::cmp, label))
        })?;
        let pairs = float.iter().zip(&fixed);
        let changed = pairs.filter(|(float, fixed)| float.best != fixed.best).count();
        Ok(Accuracy { float: Hits::of(float), fixed: Hits::of(&fixed), changed })
    }

    /// By the float network, at the first call.
    fn float(&self, program: &PublicProgram) -> Result<&[Judged]> {
        if let Some(judged) = self.float.get() {
            return Ok(judged);
        }
        let judged = self.judge(program, |numbers, label| {
            let logits = self.graph.evaluate(numbers).map_err(text)?;
            Ok(Judged::new(logits.data(), f32::total_cmp, label))
        })?;
        Ok(self.float.get_or_init(|| judged))
    }

    /// All inputs, preprocessed, on all threads.
    fn judge(
        &self,
        program: &PublicProgram,
        network: impl Fn(&[f32], u64) -> Result<Judged> + Sync,
    ) -> Result<Vec<Judged>> {
        let one = |input: &Input| {
            let label = input.label.ok_or_else(|| format!("{}: no label", input.name))?;
            network(&input.numbers(program).map_err(text)?, label)
        };
        self.inputs.par_iter().map(one).collect()
    }
}

/// What a network said of an input.
struct Judged {
    best: usize,
    /// How many classes stand before the label.
    rank: usize,
}

impl Judged {
    /// Ties go to the lower index, as ArgMax has it.
    fn new<T>(logits: &[T], order: impl Fn(&T, &T) -> Ordering, label: u64) -> Self {
        let mut classes: Vec<usize> = (0..logits.len()).collect();
        // Stable: of equal ones the lower index stays first.
        classes.sort_by(|&a, &b| order(&logits[b], &logits[a]));
        let rank = classes.iter().position(|&class| class as u64 == label);
        Self {
            best: classes.first().copied().unwrap_or_default(),
            rank: rank.unwrap_or(classes.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_and_ties() {
        let judged = |label| Judged::new(&[3, 7, 7, -1, 0, 2, 1], i32::cmp, label);
        assert_eq!((judged(1).best, judged(1).rank), (1, 0));
        assert_eq!((judged(2).rank, judged(0).rank, judged(3).rank, judged(9).rank), (1, 2, 6, 7));
    }

    /// The README's figure: one of the ten pictures is read wrongly, by the float model too; with two bits after the
    /// point hardly any is read rightly.
    #[test]
    fn the_embedded_digits() {
        let study = Study::embedded("digits").unwrap();
        let fine = study.measure((37, 12)).unwrap();
        assert_eq!((fine.float.inputs, fine.float.top1, fine.fixed.top1), (10, 9, 9));
        assert_eq!((fine.changed, fine.fixed.percent(fine.fixed.top1)), (0, 90.0));
        let coarse = study.measure((37, 1)).unwrap();
        assert!(coarse.fixed.top1 < 9 && coarse.changed > 0, "{coarse:?}");
        assert!(study.measure((8, 12)).is_err());
    }
}
