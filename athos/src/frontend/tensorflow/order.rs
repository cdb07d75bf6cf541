//! Nodes in an order in which each comes after what it reads.

use super::proto::NodeDef;
use super::reference;
use crate::{Error, Result};
use std::collections::HashMap;

/// The nodes of a file, sorted.
pub(super) struct Order<'a> {
    names: HashMap<&'a str, usize>,
    /// What each node reads, without those that only have to run before.
    reads: Vec<Vec<usize>>,
    sorted: Vec<usize>,
}

impl<'a> Order<'a> {
    /// # Errors
    /// [`Error::Invalid`] for a name that is defined twice or not at all, or a cycle.
    pub(super) fn of(nodes: &'a [NodeDef]) -> Result<Self> {
        let mut names = HashMap::with_capacity(nodes.len());
        for (i, node) in nodes.iter().enumerate() {
            if node.name.is_empty() || names.insert(node.name.as_str(), i).is_some() {
                return Err(Error::invalid(node.name.as_str(), "a name of its own", "another's"));
            }
        }
        let mut reads = Vec::with_capacity(nodes.len());
        let mut readers = vec![Vec::new(); nodes.len()];
        let mut waiting = vec![0usize; nodes.len()];
        for (i, node) in nodes.iter().enumerate() {
            let mut data = Vec::new();
            for input in &node.input {
                let name = reference(input).map_or_else(|| input.trim_start_matches('^'), |x| x.0);
                let &source = names.get(name).ok_or_else(|| {
                    let what = format!("{}: input {input}", node.name);
                    Error::invalid(what, "a node of the graph", "a dangling name")
                })?;
                if reference(input).is_some() {
                    data.push(source);
                }
                if let (Some(readers), Some(count)) = (readers.get_mut(source), waiting.get_mut(i))
                {
                    readers.push(i);
                    *count += 1;
                }
            }
            reads.push(data);
        }
        let ready = |(i, &count): (usize, &usize)| (count == 0).then_some(i);
        let mut sorted: Vec<usize> = waiting.iter().enumerate().filter_map(ready).collect();
        let mut next = 0;
        while let Some(&i) = sorted.get(next) {
            next += 1;
            for &reader in readers.get(i).map_or(&[][..], Vec::as_slice) {
                if let Some(count) = waiting.get_mut(reader) {
                    *count -= 1;
                    if *count == 0 {
                        sorted.push(reader);
                    }
                }
            }
        }
        if sorted.len() < nodes.len() {
            let stuck = waiting.iter().position(|&count| count > 0).and_then(|i| nodes.get(i));
            let name = stuck.map_or("graph", |node| &node.name);
            return Err(Error::invalid(name, "inputs that come before it", "a cycle"));
        }
        Ok(Self { names, reads, sorted })
    }

    /// A node by its name, perhaps with the number of an output.
    pub(super) fn find(&self, name: &str) -> Result<usize> {
        let name = reference(name).map_or(name, |x| x.0);
        let node = self.names.get(name).copied();
        node.ok_or_else(|| Error::invalid("output", "a node of the graph", name))
    }

    /// The one node whose value nothing reads and that is more than a constant.
    pub(super) fn only_sink(&self, nodes: &[NodeDef]) -> Result<usize> {
        let mut read = vec![false; nodes.len()];
        for &i in self.reads.iter().flatten() {
            if let Some(read) = read.get_mut(i) {
                *read = true;
            }
        }
        let sinks = nodes.iter().zip(read).enumerate().filter(|(_, (node, read))| {
            !read && !matches!(node.op.as_str(), "Const" | "NoOp" | "Assert" | "Placeholder")
        });
        let sinks: Vec<(usize, &str)> = sinks.map(|(i, (node, _))| (i, &*node.name)).collect();
        match sinks.as_slice() {
            [(i, _)] => Ok(*i),
            [] => Err(Error::invalid("outputs of the graph", 1, 0)),
            several => {
                let names: Vec<&str> = several.iter().take(8).map(|(_, name)| *name).collect();
                let got = format!("{}: {}", several.len(), names.join(", "));
                Err(Error::invalid("outputs of the graph", "1, or one named", got))
            }
        }
    }

    /// What an output is computed from, itself included, in order.
    pub(super) fn needed_for(&self, output: usize) -> Vec<usize> {
        let mut needed = vec![false; self.reads.len()];
        let mut stack = vec![output];
        while let Some(i) = stack.pop() {
            if let Some(mark) = needed.get_mut(i).filter(|mark| !**mark) {
                *mark = true;
                stack.extend(self.reads.get(i).into_iter().flatten());
            }
        }
        let kept = self.sorted.iter().copied();
        kept.filter(|&i| needed.get(i) == Some(&true)).collect()
    }
}
