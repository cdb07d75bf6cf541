//! MaxPool: shares of the maximum of each window.
//!
//! max(x, y) = y + ReLU(x - y) in the domain; a window is reduced as a tree, neighbours left to right, an odd
//! last element carried up, so that d elements take d - 1 ReLUs in ceil(log2 d) levels. Windows may differ
//! in size (padding is left out of them). All windows of a chunk share the messages of a level.

use crate::drelu::{Precision, SignDomain};
use crate::relu::{relu_lane, relu_lane_cost};
use sci_core::geometry::PoolGeometry;
use sci_core::{Cost, Error, Party, Result, Shares};
use sci_ot::cot::Elements;
use sci_ot::peer::Settings;
use sci_ot::plan::Plan;
use sci_ot::{Lane, Peer};
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

    fn largest(&self) -> usize {
        self.sizes(0..self.len()).into_iter().max().unwrap_or(1)
    }

    fn plan<D: SignDomain>(&self, domain: D, settings: Settings, precision: Precision) -> Plan {
        let (relu, largest) = (domain.msb_load(settings, precision).and(64), self.largest());
        Plan::new(self.len(), relu.times((largest / 2).max(1)).and(8 * largest))
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
    let plan = windows.plan(domain, peer.settings(), precision);
    peer.map_shares(&plan, domain, |lane, range| {
        let members = &windows.members[windows.starts[range.start]..windows.starts[range.end]];
        let values = Zeroizing::new(members.iter().map(|&i| x.values()[i]).collect::<Vec<_>>());
        maximum_lane(lane, domain, values, windows.sizes(range), precision)
    })
}

/// Pairs of one level: positions of the left and right elements, window by window.
fn level_pairs(sizes: &[usize]) -> impl Iterator<Item = usize> + '_ {
    sizes
        .iter()
        .scan(0, |start, &size| {
            let first = *start;
            *start += size;
            Some((0..size / 2).map(move |p| first + 2 * p))
        })
        .flatten()
}

/// Reduces concatenated windows of the given sizes to one value each.
fn maximum_lane<D: SignDomain>(
    lane: &mut Lane,
    domain: D,
    mut values: Elements,
    mut sizes: Vec<usize>,
    precision: Precision,
) -> Result<Elements> {
    while sizes.iter().any(|&s| s > 1) {
        let differences: Elements = Zeroizing::new(
            level_pairs(&sizes).map(|i| domain.sub(values[i], values[i + 1])).collect(),
        );
        let relu = relu_lane(lane, domain, &differences, precision)?;
        let mut next = Zeroizing::new(Vec::with_capacity(values.len().div_ceil(2)));
        let (mut first, mut pair) = (0, relu.iter());
        for size in &mut sizes {
            for p in 0..*size / 2 {
                let right = values[first + 2 * p + 1];
                next.push(domain.add(right, pair.next().copied().unwrap_or(0)));
            }
            if *size % 2 == 1 {
                next.push(values[first + *size - 1]);
            }
            first += *size;
            *size = size.div_ceil(2);
        }
        values = next;
    }
    Ok(values)
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
    let plan = windows.plan(domain, settings, precision);
    let mut ranges = plan.chunks();
    Ok(plan.cost(|_, leader| {
        let mut sizes = ranges.next().map_or_else(Vec::new, |range| windows.sizes(range));
        let mut cost = Cost::ZERO;
        while sizes.iter().any(|&s| s > 1) {
            let pairs = sizes.iter().map(|s| s / 2).sum();
            cost += relu_lane_cost(pairs, domain, settings, precision, leader).unwrap_or_default();
            sizes.iter_mut().for_each(|s| *s = s.div_ceil(2));
        }
        cost
    }))
}
