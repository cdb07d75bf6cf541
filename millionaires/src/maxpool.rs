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
use sci_ot::cot::Elements;
use sci_ot::peer::Settings;
use sci_ot::plan::Plan;
use std::ops::Range;
use zeroize::Zeroizing;

/// Which input elements each output looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Windows(Form);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Form {
    /// The members of all windows, and where each window starts.
    Lists { starts: Vec<usize>, members: Vec<usize> },
    /// Those of a layer, which are computed where they are needed.
    Layer(PoolGeometry),
}

impl Windows {
    /// From one list of input positions per output, each in row-major order.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] if a window is empty.
    pub fn new<'a>(windows: impl IntoIterator<Item = &'a [usize]>) -> Result<Self> {
        let (mut starts, mut members) = (vec![0], Vec::new());
        for window in windows {
            if window.is_empty() {
                return Err(Error::invalid("pooling window", "at least one element", 0));
            }
            members.extend_from_slice(window);
            starts.push(members.len());
        }
        Ok(Self(Form::Lists { starts, members }))
    }

    /// The windows of a pooling layer, plane by plane; padding is left out.
    pub fn of(geometry: &PoolGeometry) -> Self {
        Self(Form::Layer(*geometry))
    }

    /// Number of outputs.
    pub fn len(&self) -> usize {
        match &self.0 {
            Form::Lists { starts, .. } => starts.len() - 1,
            Form::Layer(geometry) => geometry.output_len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of inputs that the windows need.
    fn input_len(&self) -> usize {
        match &self.0 {
            Form::Lists { members, .. } => members.iter().max().map_or(0, |&last| last + 1),
            Form::Layer(geometry) => geometry.input_len(),
        }
    }

    fn size(&self, window: usize) -> usize {
        match &self.0 {
            Form::Lists { starts, .. } => starts[window + 1] - starts[window],
            Form::Layer(geometry) => geometry.member_count(window % geometry.positions()),
        }
    }

    fn sizes(&self, range: Range<usize>) -> Vec<usize> {
        range.map(|window| self.size(window)).collect()
    }

    /// The members of a range of windows, one window after another.
    fn values(&self, range: Range<usize>, x: &[u64]) -> Elements {
        let values = match &self.0 {
            Form::Lists { starts, members } => {
                members[starts[range.start]..starts[range.end]].iter().map(|&i| x[i]).collect()
            }
            Form::Layer(geometry) => {
                let (positions, plane) = (geometry.positions(), geometry.input_plane());
                let mut values = Vec::with_capacity(range.clone().map(|w| self.size(w)).sum());
                for window in range {
                    let x = &x[window / positions * plane..][..plane];
                    values.extend(geometry.members(window % positions).map(|i| x[i]));
                }
                values
            }
        };
        Zeroizing::new(values)
    }

    /// How many outputs of a range have windows of each size.
    fn counts(&self, range: Range<usize>) -> Sizes {
        let mut counts = Sizes::new();
        range.for_each(|window| *counts.entry(self.size(window)).or_default() += 1);
        counts
    }

    /// How many outputs have windows of each size.
    fn all_counts(&self) -> Sizes {
        let Form::Layer(geometry) = &self.0 else { return self.counts(0..self.len()) };
        let mut counts = self.counts(0..geometry.positions());
        counts.values_mut().for_each(|count| *count *= geometry.planes());
        counts
    }

    /// How many neighbours are played at once, and the chunks.
    fn plan<D: SignDomain>(&self, contest: Contest<D>, settings: Settings) -> (usize, Plan) {
        let sizes = self.all_counts();
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
    if windows.input_len() > x.len() {
        return Err(Error::misuse("a pooling window points beyond the input"));
    }
    let domain = x.domain();
    let contest = Contest { domain, precision, indices: None };
    let (span, plan) = windows.plan(contest, peer.settings());
    peer.map_shares(&plan, domain, |lane, range| {
        let values = windows.values(range.clone(), x.values());
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

#[cfg(test)]
mod tests {
    use super::*;
    use sci_core::geometry::{PoolSpec, Window};

    fn layer(input: usize, kernel: usize, stride: usize, pad: usize) -> PoolGeometry {
        let window = Window {
            kernel: [1, kernel, kernel],
            stride: [1, stride, stride],
            dilation: [1; 3],
            pad_before: [0, pad, pad],
            pad_after: [0, 0, 0],
        };
        let input = [1, input, input];
        PoolGeometry::new(PoolSpec {
            batch: 2,
            channels: 3,
            input,
            window,
            count_include_pad: false,
        })
        .unwrap()
    }

    #[test]
    fn windows_of_a_layer_are_those_of_its_lists() {
        for geometry in [layer(7, 3, 2, 1), layer(6, 2, 2, 0), layer(5, 5, 1, 0), layer(9, 3, 1, 2)]
        {
            let plane = geometry.input_plane();
            let lists: Vec<Vec<usize>> = (0..geometry.planes())
                .flat_map(|p| (0..geometry.positions()).map(move |at| (p, at)))
                .map(|(p, at)| geometry.members(at).map(|i| p * plane + i).collect())
                .collect();
            let lists = Windows::new(lists.iter().map(Vec::as_slice)).unwrap();
            let windows = Windows::of(&geometry);
            assert_eq!(windows.len(), lists.len());
            assert!(windows.input_len() >= lists.input_len());
            assert_eq!(windows.all_counts(), lists.all_counts());
            let x: Vec<u64> = (0..geometry.input_len() as u64).collect();
            for range in [0..windows.len(), 0..1, 3..windows.len() - 1] {
                assert_eq!(windows.sizes(range.clone()), lists.sizes(range.clone()));
                assert_eq!(windows.values(range.clone(), &x), lists.values(range, &x));
            }
        }
    }

    /// 2^40 members.
    #[test]
    fn windows_of_a_layer_take_no_memory() {
        assert_eq!(Windows::of(&layer(2047, 1024, 1, 0)).size(5), 1 << 20);
    }
}
