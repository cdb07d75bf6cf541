//! A graph as a list of statements, the form in which the CrypTFlow paper shows its programs.

use super::{Graph, Node, Op, ValueId};
use std::collections::HashSet;
use std::fmt;

/// Shows a graph as `y = Operation(x, W);`, the last operation as `output(...)`. Shapes and parameters
/// of windows are left out.
#[derive(Clone, Copy, Debug)]
pub struct Statements<'a>(pub &'a Graph);

impl fmt::Display for Statements<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(graph) = self;
        let mut names = Names::default();
        let names: Vec<String> = graph.nodes().iter().map(|x| names.unique(&x.name)).collect();
        let call = |node: &Node| {
            let name = |id: &ValueId| names.get(id.index()).map_or("?", String::as_str);
            let arguments: Vec<&str> = node.inputs.iter().map(name).collect();
            call(&node.op, &arguments)
        };
        let last = graph.output().ok();
        for (i, node) in graph.nodes().iter().enumerate() {
            let silent = matches!(node.op, Op::Input { .. } | Op::Constant(_));
            match names.get(i) {
                _ if last == Some(ValueId(i)) && !silent => writeln!(f, "output({});", call(node))?,
                Some(name) if last == Some(ValueId(i)) => writeln!(f, "output({name});")?,
                Some(name) if !silent => writeln!(f, "{name} = {};", call(node))?,
                _ => {}
            }
        }
        Ok(())
    }
}

/// The operation in the paper's words.
fn call(op: &Op, arguments: &[&str]) -> String {
    let joined = arguments.join(", ");
    match (op, arguments) {
        (Op::Linear { .. }, [x, w, b]) => format!("MatAdd(MatMul({x}, {w}), {b})"),
        (Op::Linear { .. }, _) => format!("MatMul({joined})"),
        (Op::Conv { .. }, [x, w, b]) => format!("MatAdd(Conv({x}, {w}), {b})"),
        (Op::Add, _) => format!("MatAdd({joined})"),
        (Op::Sub, _) => format!("MatSub({joined})"),
        (Op::Mul, _) => format!("ElemWiseMul({joined})"),
        (Op::MulPublic { factor }, [x]) => format!("ScalarMul({x}, {factor})"),
        _ => format!("{}({joined})", op.name()),
    }
}

/// Identifiers for arbitrary names, each used once.
#[derive(Debug, Default)]
pub(crate) struct Names(HashSet<String>);

impl Names {
    pub(crate) fn unique(&mut self, name: &str) -> String {
        let letter = |c: char| if c.is_alphanumeric() { c } else { '_' };
        let mut base: String = name.chars().map(letter).collect();
        if !base.starts_with(|c: char| c.is_alphabetic() || c == '_') {
            base.insert(0, '_');
        }
        let mut unique = base.clone();
        let mut count = 1;
        while !self.0.insert(unique.clone()) {
            count += 1;
            unique = format!("{base}_{count}");
        }
        unique
    }
}
