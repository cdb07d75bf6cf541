//! Expansion as an offline phase: how many correlated OTs a part of a protocol takes, and making them beforehand.
//!
//! What a layer takes is a function of public sizes. Who has run one like it knows the number, lane by lane and
//! direction by direction, and can have the OTs expanded before the next inputs are there; online,
//! each then costs its correction bit. With IKNP the live choices go into the extension: nothing can be done
//! ahead, and the demand is zero.
//!
//! ```
//! use sci_core::Party;
//! use sci_ot::plan::Plan;
//! use sci_ot::{OtKind, Peer, peer::Settings, testing::run_both};
//! let extend = |party: Party, peer: &mut Peer| {
//!     peer.map_chunks(&Plan::whole(100_000), |lane, range| match party {
//!         Party::Server => lane.send.extend_random(&mut lane.stream, range.len()),
//!         Party::Client => {
//!             let prg = &mut lane.prg;
//!             lane.recv.extend_random(&mut lane.stream, range.len(), prg).map(drop)
//!         }
//!     })
//! };
//! run_both(Settings::over(OtKind::Silent), |party, peer| {
//!     let before = peer.taken();
//!     extend(party, peer)?;
//!     let demand = peer.taken().since(&before);
//!     assert_eq!(demand.total(), 100_000);
//!     peer.expand_ahead(&demand)?;
//!     // No expansion here: only what was done above is used.
//!     extend(party, peer)
//! })?;
//! # Ok::<(), sci_core::Error>(())
//! ```

use crate::peer::{Lane, Peer};
use crate::plan::Plan;
use sci_core::{Party, Result};

/// Correlated OTs by lane and direction: public, and the same for both parties.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Demand {
    /// Those that the server sends and those that the client sends, for each lane.
    lanes: Vec<[u64; 2]>,
}

impl Demand {
    /// What has been taken since.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let mut lanes = self.lanes.clone();
        for (lane, before) in lanes.iter_mut().flatten().zip(before.lanes.iter().flatten()) {
            *lane = lane.saturating_sub(*before);
        }
        Self { lanes }
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        self.lanes.iter().flatten().sum()
    }
}

impl Lane {
    /// The counts of both directions in the order of [`Demand`].
    fn taken(&self) -> [u64; 2] {
        let (sends, receives) = (self.send.taken(), self.recv.taken());
        match self.party() {
            Party::Server => [sends, receives],
            Party::Client => [receives, sends],
        }
    }

    fn expand(&mut self, [server, client]: [usize; 2]) -> Result<()> {
        let Self { stream, send, recv, .. } = self;
        match self.party {
            Party::Server => {
                send.expand(stream, server)?;
                recv.expand(stream, client)
            }
            Party::Client => {
                recv.expand(stream, server)?;
                send.expand(stream, client)
            }
        }
    }
}

impl Peer {
    /// The correlated OTs that the session has taken so far.
    pub fn taken(&self) -> Demand {
        Demand { lanes: self.lanes.iter().map(Lane::taken).collect() }
    }

    /// Makes the correlated OTs of a demand, so that what takes that many next expands nothing. Both
    /// parties must call it at the same point with the same demand. It holds 16 bytes for each OT until it is taken;
    /// what travels is that of the rounds that begin, and counts as expansion ([`crate::silent::LAYER`]).
    ///
    /// # Errors
    /// As the link and the peer behave.
    pub fn expand_ahead(&mut self, demand: &Demand) -> Result<()> {
        let plan = Plan::pieces(demand.lanes.len().min(self.lanes.len()), 1);
        let each = |lane: &mut Lane, range: std::ops::Range<usize>| {
            let wanted = demand.lanes.get(range.start).copied().unwrap_or_default();
            lane.expand(wanted.map(|n| usize::try_from(n).unwrap_or(usize::MAX)))
        };
        self.map_chunks(&plan, each).map(drop)
    }
}
