//! Which OT engine a session uses, and what its extensions cost.

use crate::chosen::Group;
use crate::{iknp, kkot};
use sci_core::{Cost, Party};

/// The engine under all OTs of a session, a public parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum OtKind {
    /// [`iknp`] for correlated OT, [`kkot`] for 1-of-N OT: 128 and 256 bits an instance.
    #[default]
    Iknp,
    /// [`crate::silent`]: one bit a correlated OT, log2 N a 1-of-N OT, and expansion apart.
    Silent,
}

impl OtKind {
    /// The name that the command line and reports use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Iknp => "iknp",
            Self::Silent => "silent",
        }
    }

    /// Payload bytes of an extension by `n` correlated OTs, from receiver to sender.
    pub fn cot_bytes(self, n: usize) -> u64 {
        match self {
            Self::Iknp => iknp::extension_bytes(n),
            Self::Silent => n.div_ceil(8) as u64,
        }
    }

    /// Flights of correlated OTs with their corrections: those over silent OT do not wait for the choices
    /// ([`crate::cot`]).
    pub fn cot_rounds(self) -> u32 {
        match self {
            Self::Iknp => 2,
            Self::Silent => 1,
        }
    }

    /// Payload bytes of an extension by all instances of `groups`, from receiver to sender.
    pub fn groups_bytes(self, groups: &[Group]) -> u64 {
        match self {
            Self::Iknp => kkot::groups_bytes(groups),
            Self::Silent => self.cot_bytes(groups.iter().map(|g| self.group_cots(g)).sum()),
        }
    }

    /// What an extension by `n` correlated OTs costs when `receiver` chooses. Adds no round.
    pub fn cot_cost(self, n: usize, receiver: Party) -> Cost {
        let pads = 3 * n as u64;
        Cost { cots: n as u64, pads, ..Cost::message(receiver, 8 * self.cot_bytes(n)) }
    }

    /// What an extension by all instances of `groups` costs when `receiver` chooses. Adds no round.
    pub fn groups_cost(self, groups: &[Group], receiver: Party) -> Cost {
        Cost {
            cots: groups.iter().map(|g| self.group_cots(g) as u64).sum(),
            rows: groups.iter().map(|g| self.group_rows(g) as u64).sum(),
            pads: groups.iter().map(|g| (g.count as u64) * ((1 << g.log_n) + 1)).sum(),
            ..Cost::message(receiver, 8 * self.groups_bytes(groups))
        }
    }

    /// Memory that the OT rows of `groups` occupy: what a [`crate::plan::Plan`] divides by.
    pub fn memory(self, groups: &[Group]) -> usize {
        groups.iter().map(|g| 16 * self.group_cots(g) + 32 * self.group_rows(g)).sum()
    }

    fn group_cots(self, group: &Group) -> usize {
        match self {
            Self::Iknp if group.log_n > 1 => 0,
            _ => group.log_n as usize * group.count,
        }
    }

    fn group_rows(self, group: &Group) -> usize {
        match self {
            Self::Iknp if group.log_n > 1 => group.count,
            _ => 0,
        }
    }
}
