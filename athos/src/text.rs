//! Reading the printed forms of programs: what both languages share.

#![warn(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use crate::{Error, Result};
use sci_core::geometry::{ConvGeometry, ConvSpec, LinearGeometry, PoolGeometry, PoolSpec};
use sci_core::geometry::{Window, spatial};
use std::fmt;
use std::str::FromStr;

/// A name on one line: control characters and backslashes escaped.
pub(crate) struct Name<'a>(pub(crate) &'a str);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '\\' => f.write_str("\\\\")?,
                c if c.is_control() || c == ';' => write!(f, "\\u{{{:x}}}", u32::from(c))?,
                c => write!(f, "{c}")?,
            }
        }
        Ok(())
    }
}

/// The name that was printed so.
fn unescape(text: &str) -> Option<String> {
    let mut name = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        name.push_str(before);
        if let Some(after) = after.strip_prefix('\\') {
            name.push('\\');
            rest = after;
        } else {
            let (code, after) = after.strip_prefix("u{")?.split_once('}')?;
            name.push(char::from_u32(u32::from_str_radix(code, 16).ok()?)?);
            rest = after;
        }
    }
    name.push_str(rest);
    Some(name)
}

/// What is left of a line.
#[derive(Clone, Debug)]
pub(crate) struct Cursor<'a> {
    number: usize,
    rest: &'a str,
}

/// A line `body : tail  ; name`.
pub(crate) struct Line<'a> {
    pub(crate) body: Cursor<'a>,
    pub(crate) tail: Cursor<'a>,
    pub(crate) name: String,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(number: usize, rest: &'a str) -> Self {
        Self { number, rest }
    }

    pub(crate) fn wrong(&self, expected: impl fmt::Display) -> Error {
        let got: String = self.rest.chars().take(60).collect();
        Error::invalid(format!("line {}", self.number), expected, format_args!("{got:?}"))
    }

    /// Splits a line at its name and its type.
    pub(crate) fn split(self) -> Result<Line<'a>> {
        let (rest, name) = self.named()?;
        let (body, tail) =
            rest.rest.rsplit_once(" : ").ok_or_else(|| rest.wrong("a type after ` : `"))?;
        let at = |rest: &'a str| Cursor { number: self.number, rest };
        Ok(Line { body: at(body), tail: at(tail), name })
    }

    /// What stands before the name, and the name.
    pub(crate) fn named(&self) -> Result<(Cursor<'a>, String)> {
        let (rest, name) =
            self.rest.split_once("  ; ").ok_or_else(|| self.wrong("a name after `  ; `"))?;
        let name = unescape(name).ok_or_else(|| self.wrong("an escaped name"))?;
        Ok((Cursor { number: self.number, rest }, name))
    }

    /// The rest as an escaped name.
    pub(crate) fn name(&self) -> Result<String> {
        unescape(self.rest).ok_or_else(|| self.wrong("an escaped name"))
    }

    /// Splits at the last occurrence of a separator.
    pub(crate) fn rsplit(&self, separator: &str) -> Result<(Cursor<'a>, Cursor<'a>)> {
        let (before, after) = self
            .rest
            .rsplit_once(separator)
            .ok_or_else(|| self.wrong(format_args!("`{separator}`")))?;
        let at = |rest: &'a str| Cursor { number: self.number, rest };
        Ok((at(before), at(after)))
    }

    /// Goes past a literal if it stands here.
    pub(crate) fn eat(&mut self, literal: &str) -> bool {
        let rest = self.rest.strip_prefix(literal);
        rest.inspect(|rest| self.rest = rest).is_some()
    }

    pub(crate) fn expect(&mut self, literal: &str) -> Result<()> {
        if self.eat(literal) {
            return Ok(());
        }
        Err(self.wrong(format_args!("`{literal}`")))
    }

    /// Letters.
    pub(crate) fn word(&mut self) -> &'a str {
        let end = self.rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    /// A number of any kind.
    pub(crate) fn number<T: FromStr>(&mut self) -> Result<T> {
        let part = |c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | 'e' | '.');
        let end = self.rest.find(|c: char| !part(c)).unwrap_or(self.rest.len());
        // A range such as 1..2 is two numbers.
        let end = self.rest.find("..").map_or(end, |range| range.min(end));
        let (digits, rest) = self.rest.split_at(end);
        let number = digits.parse().map_err(|_| self.wrong("a number"))?;
        self.rest = rest;
        Ok(number)
    }

    /// `axis N`, `by N` and their like, if they stand here.
    pub(crate) fn option<T: FromStr>(&mut self, word: &str) -> Result<Option<T>> {
        if self.eat(word) { self.number().map(Some) } else { Ok(None) }
    }

    pub(crate) fn field<T: FromStr>(&mut self, word: &str) -> Result<T> {
        self.expect(word)?;
        self.number()
    }

    /// `1x3x8x8` or `scalar`.
    pub(crate) fn shape(&mut self) -> Result<Vec<usize>> {
        if self.eat("scalar") {
            return Ok(Vec::new());
        }
        let mut shape = vec![self.number()?];
        while self.eat("x") {
            shape.push(self.number()?);
        }
        Ok(shape)
    }

    /// `[1, 0]`.
    pub(crate) fn list(&mut self) -> Result<Vec<usize>> {
        self.expect("[")?;
        let mut list = Vec::new();
        while !self.eat("]") {
            if !list.is_empty() {
                self.expect(", ")?;
            }
            list.push(self.number()?);
        }
        Ok(list)
    }

    /// The operands after the operation: ` %1, %2`.
    pub(crate) fn operands(&mut self) -> Result<Vec<usize>> {
        let mut operands = Vec::new();
        while self.eat(if operands.is_empty() { " %" } else { ", %" }) {
            operands.push(self.number()?);
        }
        Ok(operands)
    }

    pub(crate) fn end(&self) -> Result<()> {
        if self.rest.is_empty() { Ok(()) } else { Err(self.wrong("the end of the line")) }
    }

    fn axes(&mut self) -> Result<[usize; 3]> {
        let axes = self.shape()?;
        axes.try_into().map_err(|_| self.wrong("three axes"))
    }

    fn window(&mut self) -> Result<Window> {
        self.expect(" kernel ")?;
        let mut window = Window::new(self.axes()?);
        if self.eat(" stride ") {
            window.stride = self.axes()?;
        }
        if self.eat(" dilation ") {
            window.dilation = self.axes()?;
        }
        if self.eat(" pad ") {
            window.pad_before = self.axes()?;
            self.expect("..")?;
            window.pad_after = self.axes()?;
        }
        Ok(window)
    }

    /// Window and groups of a convolution of these shapes.
    pub(crate) fn conv(&mut self, x: &[usize], filters: &[usize]) -> Result<ConvGeometry> {
        let window = self.window()?;
        let groups = self.option(" groups ")?.unwrap_or(1);
        let (&[batch, in_channels, ref axes @ ..], Some(&out_channels)) = (x, filters.first())
        else {
            return Err(self.wrong("a convolution of an image with filters"));
        };
        let input = spatial("input of a convolution", axes, 1)?;
        let spec = ConvSpec { batch, in_channels, out_channels, groups, input, window };
        Ok(ConvGeometry::new(spec)?)
    }

    /// Window of a pooling of this shape.
    pub(crate) fn pool(&mut self, x: &[usize]) -> Result<PoolGeometry> {
        let window = self.window()?;
        let count_include_pad = self.eat(" counting padding");
        let &[batch, channels, ref axes @ ..] = x else {
            return Err(self.wrong("a pooling of an image"));
        };
        let input = spatial("input of a pooling", axes, 1)?;
        Ok(PoolGeometry::new(PoolSpec { batch, channels, input, window, count_include_pad })?)
    }
}

/// The product of a tensor with a matrix of these shapes.
pub(crate) fn linear(x: &[usize], matrix: &[usize]) -> Result<LinearGeometry> {
    let ([rows @ .., inner], Some(&outer)) = (x, matrix.first()) else {
        return Err(Error::invalid("product", "a tensor and a matrix", "others"));
    };
    let rows = rows.iter().try_fold(1usize, |n, &axis| n.checked_mul(axis)).unwrap_or(usize::MAX);
    Ok(LinearGeometry::new(rows, *inner, outer)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for name in ["", "conv1", "a b  ; c : d", "\\u{3b}", "line\nbreak\\", "π/2"] {
            assert_eq!(unescape(&Name(name).to_string()).as_deref(), Some(name));
            assert!(!Name(name).to_string().contains(['\n', ';']));
        }
        assert_eq!(unescape("\\x"), None);
        assert_eq!(unescape("\\u{zz}"), None);
    }
}
