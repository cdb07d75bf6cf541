//! Rewriting a float graph, or an integer program, into a cheaper one of the same meaning.
//!
//! A pass on floats is a function on a graph; [`run`] applies a list of them and checks the graph
//! after each. [`sink_truncation`], [`split_max_pool`], [`narrow`] and [`merge_avg_pool`] work on integer
//! programs.

mod batch_norm;
mod constants;
mod dead_code;
mod fold_affine;
mod merge_avg_pool;
mod narrow;
mod rewrite;
mod sink_truncation;
mod split_max_pool;
mod switch_relu;

pub use batch_norm::lower_batch_norm;
pub use constants::fold_constants;
pub use dead_code::remove_dead_code;
pub use fold_affine::fold_affine;
pub use merge_avg_pool::{AvgPoolMerge, merge_avg_pool, part_avg_pool};
pub use narrow::narrow;
pub use sink_truncation::sink_truncation;
pub use split_max_pool::split_max_pool;
pub use switch_relu::{sink_relu_below_concat, switch_relu_max_pool};

use crate::Result;
use crate::hlil::Graph;

/// A named rewriting of float graphs.
pub type Pass = (&'static str, fn(&Graph) -> Result<Graph>);

/// What [`crate::compile`] applies, in order.
pub const PIPELINE: &[Pass] = &[
    ("remove-dead-code", remove_dead_code),
    ("fold-constants", fold_constants),
    ("lower-batch-norm", lower_batch_norm),
    ("fold-affine", fold_affine),
    ("sink-relu-below-concat", sink_relu_below_concat),
    ("switch-relu-max-pool", switch_relu_max_pool),
    ("remove-dead-code", remove_dead_code),
];

/// Passes on integer programs that can be left out like those of the [`PIPELINE`]: the program then
/// costs more.
pub const OPTIONAL: &[&str] = &["split-max-pool"];

/// Applies passes; `observe` sees the name of each and the graph after it.
///
/// # Errors
/// What a pass returns, and [`crate::Error::Misuse`] if its result is ill-typed.
pub fn run(
    mut graph: Graph,
    passes: &[Pass],
    mut observe: impl FnMut(&str, &Graph),
) -> Result<Graph> {
    for (name, pass) in passes {
        graph = pass(&graph)?;
        graph.check()?;
        observe(name, &graph);
    }
    Ok(graph)
}
