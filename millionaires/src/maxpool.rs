//! MaxPool: shares of the maximum of each window.
//!
//! max(x, y) = y + ReLU(x - y) in the domain; a window is a tournament of neighbours ([`crate::tournament`]), left to
//! right, an odd last element carried up: d elements take d - 1 ReLUs in ceil(log2 d) levels, or more
//! comparisons in fewer flights. Windows may differ in size (padding is left out of them). All windows of a chunk share
//! the messages of a level.

use crate::drelu::{Precision, SignDomain};
use crate::tournament::{Contest, Entrants, Sizes};
use sci_core::geometry::PoolGeometry;
use sci_core::{Cost, Error, Party, Result, Shares};
use sci_ot::Peer;
use sci_ot::peer::Settings;
use sci_ot::plan::Plan;
use std::ops::Range;
use zeroize::Zeroizing;

/// Which input elements each output looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Windows {
    starts: Vec<usize>,
    members: Vec<usize>,
}

impl Windows {
    /// From one list of input positions per output, each in row-major order.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if a window is empty.
    pub fn new<'a>(windows: impl IntoIterator<Item = &'a [usize]>) -> Result<Self> {
        let mut all = Self { starts: vec![0], members: Vec::new() };
        for window in windows {
            if window.is_empty() {
                return Err(Error::invalid("pooling window", "at least one element", 0));
            }
            all.members.extend_from_slice(window);
            all.starts.push(all.members.len());
        }
        Ok(all)
    }

    /// The windows of a pooling layer, plane by plane; padding is left out.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if a window lies in the padding as a whole.
    pub fn of(geometry: &PoolGeometry) -> Result<Self> {
        let plane: Vec<Vec<usize>> =
            (0..geometry.positions()).map(|p| geometry.members(p).collect()).collect();
        let mut all = Self { starts: vec![0], members: Vec::new() };
        for start in (0..geometry.planes()).map(|p| p * geometry.input_plane()) {
            for window in &plane {
                if window.is_empty() {
                    return Err(Error::invalid("pooling window", "at least one element", 0));
                }
                all.members.extend(window.iter().map(|at| start + at));
                all.starts.push(all.members.len());
            }
        }
        Ok(all)
    }

    /// Number of outputs.
    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn sizes(&self, range: Range<usize>) -> Vec<usize> {
        range.map(|w| self.starts[w + 1] - self.starts[w]).collect()
    }

    /// How many outputs of a range have windows of each size.
    fn counts(&self, range: Range<usize>) -> Sizes {
        let mut counts = Sizes::new();
        self.sizes(range).into_iter().for_each(|size| *counts.entry(size).or_default() += 1);
        counts
    }

    /// How many neighbours are played at once, and the chunks.
    fn plan<D: SignDomain>(&self, contest: Contest<D>, settings: Settings) -> (usize, Plan) {
        let sizes = self.counts(0..self.len());
        let (span, largest) = (contest.span(&sizes, settings), sizes.keys().max().copied());
        (span, Plan::new(self.len(), contest.load(largest.unwrap_or(1), span, settings)))
    }
}

/// Shares of the maximum of each window.
///
/// Correct where x - y of any two elements does not overflow the signed view (or the significant bits);
/// beyond that it is what the formula says, in cleartext too.
///
/// # Errors
/// [`Error::Misuse`] if a window points beyond the input; otherwise as [`SignDomain::msb_lane`].
pub fn maxpool<D: SignDomain>(
    peer: &mut Peer,
    x: &Shares<D>,
    windows: &Windows,
    precision: Precision,
) -> Result<Shares<D>> {
    if windows.members.iter().any(|&i| i >= x.len()) {
        return Err(Error::misuse("a pooling window points beyond the input"));
    }
    let domain = x.domain();
    let contest = Contest { domain, precision, indices: None };
    let (span, plan) = windows.plan(contest, peer.settings());
    peer.map_shares(&plan, domain, |lane, range| {
        let members = &windows.members[windows.starts[range.start]..windows.starts[range.end]];
        let values = Zeroizing::new(members.iter().map(|&i| x.values()[i]).collect::<Vec<_>>());
        let entrants = Entrants { values, indices: Zeroizing::default() };
        Ok(contest.lane(lane, entrants, windows.sizes(range), span)?.values)
    })
}

/// The cost of [`maxpool`].
///
/// # Errors
/// As [`SignDomain::msb_cost`].
pub fn maxpool_cost<D: SignDomain>(
    windows: &Windows,
    domain: D,
    settings: Settings,
    precision: Precision,
) -> Result<Cost> {
    domain.msb_cost(1, settings, precision, Party::Server)?;
    let contest = Contest { domain, precision, indices: None };
    let (span, plan) = windows.plan(contest, settings);
    let mut ranges = plan.chunks();
    Ok(plan.cost(|_, leader| {
        let sizes = ranges.next().map_or_else(Sizes::new, |range| windows.counts(range));
        contest.cost(sizes, span, settings, leader).unwrap_or_default()
    }))
}
