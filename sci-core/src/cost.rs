//! What a protocol costs, computed before it runs. Beside each protocol stands a function that
//! returns its [`Cost`]; tests hold the measured payload and rounds equal to it.

use crate::Party;
use std::ops::{Add, AddAssign, Mul};

/// Payload bytes each way, rounds, and the countable local work of both parties together.
///
/// Payload is what the formulas of the papers count: no frame headers, no base OT, no handshake.
/// Addition composes in sequence (rounds add up); [`Cost::beside`] composes in parallel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Payload bytes from server to client.
    pub server_to_client: u64,
    /// Payload bytes from client to server.
    pub client_to_server: u64,
    /// The longest chain of dependent messages.
    pub rounds: u32,
    /// Correlated OTs consumed.
    pub cots: u64,
    /// 1-of-N OT extension rows (256 bits each) consumed.
    pub rows: u64,
    /// Pads computed by both parties: every message of every OT at its sender, one at its receiver.
    pub pads: u64,
    /// Blocks that pads are stretched to by both parties where a message is a row of elements (products).
    pub stretched: u64,
}

impl Cost {
    /// Nothing at all.
    pub const ZERO: Self = Self {
        server_to_client: 0,
        client_to_server: 0,
        rounds: 0,
        cots: 0,
        rows: 0,
        pads: 0,
        stretched: 0,
    };

    /// One message of `bits` bits from `from`, rounded up to bytes. Adds no round: the protocol
    /// states its own.
    pub fn message(from: Party, bits: u64) -> Self {
        let bytes = bits.div_ceil(8);
        match from {
            Party::Server => Self { server_to_client: bytes, ..Self::ZERO },
            Party::Client => Self { client_to_server: bytes, ..Self::ZERO },
        }
    }

    /// The same cost with another number of rounds.
    pub fn in_rounds(self, rounds: u32) -> Self {
        Self { rounds, ..self }
    }

    /// Side by side in the same flights: everything adds up but the rounds.
    pub fn beside(self, other: Self) -> Self {
        Self { rounds: self.rounds.max(other.rounds), ..self + other }
    }

    /// Payload bytes both ways, each round counted as `flight` more: by what a choice between protocols for the same
    /// is made.
    pub fn weighed(self, flight: u64) -> u64 {
        self.bytes().saturating_add(u64::from(self.rounds).saturating_mul(flight))
    }

    /// Payload bytes both ways.
    pub fn bytes(self) -> u64 {
        self.server_to_client + self.client_to_server
    }
}

impl Add for Cost {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            server_to_client: self.server_to_client + other.server_to_client,
            client_to_server: self.client_to_server + other.client_to_server,
            rounds: self.rounds + other.rounds,
            cots: self.cots + other.cots,
            rows: self.rows + other.rows,
            pads: self.pads + other.pads,
            stretched: self.stretched + other.stretched,
        }
    }
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Mul<u64> for Cost {
    type Output = Self;
    /// `times` runs in sequence.
    fn mul(self, times: u64) -> Self {
        Self {
            server_to_client: self.server_to_client * times,
            client_to_server: self.client_to_server * times,
            rounds: self.rounds * u32::try_from(times).unwrap_or(u32::MAX),
            cots: self.cots * times,
            rows: self.rows * times,
            pads: self.pads * times,
            stretched: self.stretched * times,
        }
    }
}
