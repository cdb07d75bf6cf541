//! The engine of every product, as public text.

use super::factor;
use athos::PublicProgram;
use sci_core::{Error, Result};
use std::fmt;

/// What computes a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Engine {
    /// Correlated oblivious transfer.
    Ot,
    /// Lattice homomorphic encryption.
    He,
}

impl Engine {
    /// As in options, reports and parameters.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ot => "ot",
            Self::He => "he",
        }
    }
}

/// The engines of the products of a program, in its order. Its text has runs: `ot`, `he*12 ot`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment(Vec<Engine>);

impl Assignment {
    /// One engine for all products.
    pub fn uniform(program: &PublicProgram, engine: Engine) -> Self {
        Self(products(program).map(|_| engine).collect())
    }

    /// What `choose` says of each product, given its instruction.
    pub fn of(program: &PublicProgram, choose: impl FnMut(usize) -> Engine) -> Self {
        Self(products(program).map(choose).collect())
    }

    /// The engine of every instruction: `None` for what is no product.
    pub fn by_instruction(&self, program: &PublicProgram) -> Vec<Option<Engine>> {
        let mut engines = self.0.iter().copied();
        let instructions = program.instructions.iter();
        instructions.map(|i| factor(&i.op).and_then(|_| engines.next())).collect()
    }

    /// Whether any product is given to this engine.
    pub fn uses(&self, engine: Engine) -> bool {
        self.0.contains(&engine)
    }

    /// Reads the text of an assignment for a program.
    ///
    /// # Errors
    /// [`Error::PeerMisbehaved`] for anything but one engine for each product.
    pub fn parse(text: &str, program: &PublicProgram) -> Result<Self> {
        let count = products(program).count();
        let wrong = || {
            let expected = format!("an engine for each of {count} products");
            Error::misbehaved("parameter plan", expected, text.escape_default())
        };
        let mut engines = Vec::with_capacity(count);
        for run in text.split_ascii_whitespace() {
            let (name, times) = run.split_once('*').unwrap_or((run, "1"));
            let engine = [Engine::Ot, Engine::He].into_iter().find(|engine| engine.name() == name);
            let times = times.parse::<usize>().ok().filter(|n| *n <= count - engines.len());
            let (engine, times) = engine.zip(times).ok_or_else(wrong)?;
            engines.extend(std::iter::repeat_n(engine, times));
        }
        if engines.len() == count { Ok(Self(engines)) } else { Err(wrong()) }
    }
}

impl fmt::Display for Assignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, run) in self.0.chunk_by(|a, b| a == b).enumerate() {
            let separator = if at == 0 { "" } else { " " };
            let name = run.first().map_or("", |engine| engine.name());
            match run.len() {
                1 => write!(f, "{separator}{name}")?,
                times => write!(f, "{separator}{name}*{times}")?,
            }
        }
        Ok(())
    }
}

/// The instructions that are products.
fn products(program: &PublicProgram) -> impl Iterator<Item = usize> + '_ {
    let numbered = program.instructions.iter().enumerate();
    numbered.filter(|(_, i)| factor(&i.op).is_some()).map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Plan;
    use crate::model::Source;

    #[test]
    fn the_text_of_an_assignment_is_read_back() {
        let program = Source::parse("digits").unwrap().load(&Plan::default()).unwrap().public;
        let count = products(&program).count();
        assert!(count > 2);
        let uniform = Assignment::uniform(&program, Engine::He);
        assert_eq!(uniform.to_string(), format!("he*{count}"));
        let mut number = 0;
        let mixed = Assignment::of(&program, |_| {
            number += 1;
            if number == 2 { Engine::Ot } else { Engine::He }
        });
        for assignment in [uniform, mixed, Assignment::uniform(&program, Engine::Ot)] {
            let text = assignment.to_string();
            assert_eq!(Assignment::parse(&text, &program).unwrap(), assignment, "{text}");
            let by_instruction = assignment.by_instruction(&program);
            assert_eq!(by_instruction.len(), program.instructions.len());
            assert_eq!(by_instruction.iter().flatten().count(), count);
        }
        let (short, long) = (format!("he*{}", count - 1), format!("he*{}", count + 1));
        let huge = "ot*18446744073709551615 ot*18446744073709551615";
        for bad in ["", "he", &short, &long, "fhe*3", "he*x", "ot*-1", huge] {
            assert!(Assignment::parse(bad, &program).is_err(), "{bad}");
        }
    }
}
