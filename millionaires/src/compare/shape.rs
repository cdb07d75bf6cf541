//! The public shape of a batch of comparisons: its digits, its OT groups, its triples.

use super::{Comparison, Relation};
use sci_core::{Error, Result};
use sci_ot::OtKind;
use sci_ot::chosen::Group;
use sci_ot::one_of_n::{First, Messages};
use sci_ot::peer::Settings;
use sci_ot::triple::Need;
use std::ops::Range;

/// Correlated OTs of a block: half a MiB of rows, which stay in the second cache level with what is made of them.
const BLOCK_OTS: usize = 1 << 15;

/// One digit of one comparison, or of a pair of twins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leaf {
    pub(super) job: usize,
    /// How many comparisons from `job` on it serves: 1 or 2.
    pub(super) jobs: usize,
    pub(super) shift: u32,
    pub(super) width: u32,
    pub(super) relation: Relation,
}

impl Leaf {
    /// Bits for one comparison.
    pub(super) fn bits_each(self) -> u32 {
        match self.relation {
            Relation::GreaterAndEqual => 2,
            Relation::Greater | Relation::Equal => 1,
        }
    }

    pub(super) fn message_bits(self) -> u32 {
        self.bits_each() * self.jobs as u32
    }

    /// So many messages of leaves like this one.
    fn messages(self, group: usize, count: usize, ot: OtKind) -> Messages {
        let (log_n, bits) = (self.width, self.message_bits());
        Messages { group, count, log_n, bits, first: First::of_shares(ot, log_n, bits) }
    }

    /// Bits on the wire, in both directions.
    fn sent_bits(self, ot: OtKind) -> usize {
        let extension = match (ot, self.width) {
            (OtKind::Silent, width) => width as usize,
            (OtKind::Iknp, 1) => 128,
            (OtKind::Iknp, _) => 256,
        };
        // Eight take as many bytes as one takes bits.
        extension + self.messages(0, 8, ot).wire_len()
    }

    pub(super) fn digit(self, value: u64) -> u64 {
        (value >> self.shift) & (u64::MAX >> (64 - self.width))
    }

    /// Leaves of the same shape share a group of OT instances.
    pub(super) fn joins(self, other: Self) -> bool {
        (self.width, self.relation, self.jobs) == (other.width, other.relation, other.jobs)
    }
}

/// The leaves of a comparison, or of twins, whose digits are so wide, lowest first.
fn leaves(job: usize, jobs: usize, relation: Relation, widths: &[u32]) -> Vec<Leaf> {
    let mut shift = 0;
    let leaf = |&width: &u32| {
        let relation = match relation {
            Relation::Greater if shift > 0 => Relation::GreaterAndEqual,
            other => other,
        };
        let leaf = Leaf { job, jobs, shift, width, relation };
        shift += width;
        leaf
    };
    widths.iter().map(leaf).collect()
}

/// The ceil(bits / radix) digits of a comparison, or of twins. They are as equal as can be, because a leaf grows with
/// 2^width, and the wider ones are the lowest, whose messages are shorter. Only where it is cheaper all are of `radix` bits but
/// for the top one: with IKNP, if that is a single bit, whose OT is half as long as any other.
fn digits(job: usize, jobs: usize, comparison: &Comparison, radix: u32, ot: OtKind) -> Vec<Leaf> {
    let &Comparison { bits, relation, .. } = comparison;
    let digits = bits.div_ceil(radix);
    let equal: Vec<u32> =
        (0..digits).map(|j| bits / digits + u32::from(j < bits % digits)).collect();
    let ragged: Vec<u32> = (0..digits).map(|j| radix.min(bits - j * radix)).collect();
    let [equal, ragged] = [equal, ragged].map(|widths| leaves(job, jobs, relation, &widths));
    let cost = |leaves: &[Leaf]| leaves.iter().map(|leaf| leaf.sent_bits(ot)).sum::<usize>();
    if cost(&ragged) < cost(&equal) { ragged } else { equal }
}

/// The public shape of a batch: its leaves by group, its triples.
pub(super) struct Shape {
    /// Groups of leaves of the same width and relation.
    pub(super) leaves: Vec<Vec<Leaf>>,
    /// ANDs of each level of the joint tree, in planes of n bits.
    pub(super) levels: Vec<Need>,
    /// Single ANDs that the caller asked for beside.
    pub(super) spare: usize,
    /// Who deals the triples.
    pub(super) ot: OtKind,
}

impl Shape {
    pub(super) fn new(jobs: &[Comparison], settings: Settings, spare: usize) -> Result<Self> {
        let Settings { radix, ot, .. } = settings;
        if !(1..=8).contains(&radix) {
            return Err(Error::invalid("radix", "1..=8", radix));
        }
        let mut shape = Self { leaves: Vec::new(), levels: Vec::new(), spare, ot };
        for (job, comparison) in jobs.iter().enumerate() {
            if !(1..=64).contains(&comparison.bits) {
                return Err(Error::misuse(format!("comparison of {} bits", comparison.bits)));
            }
            shape.add_tree(comparison.bits.div_ceil(radix) as usize, comparison.relation);
            if comparison.twin {
                let fits = |first: &Comparison| Comparison { twin: true, ..*first } == *comparison;
                match job.checked_sub(1).map(|before| jobs[before]) {
                    Some(first) if !first.twin && fits(&first) => continue,
                    _ => return Err(Error::misuse("a twin of no comparison like it")),
                }
            }
            let twins = jobs.get(job + 1).is_some_and(|next| next.twin);
            let served = if twins { 2 } else { 1 };
            digits(job, served, comparison, radix, ot)
                .into_iter()
                .for_each(|leaf| shape.add_leaf(leaf));
        }
        Ok(shape)
    }

    pub(super) fn add_leaf(&mut self, leaf: Leaf) {
        match self.leaves.iter_mut().find(|group| group[0].joins(leaf)) {
            Some(group) => group.push(leaf),
            None => self.leaves.push(vec![leaf]),
        }
    }

    pub(super) fn add_tree(&mut self, mut nodes: usize, relation: Relation) {
        let mut level = 0;
        while nodes > 1 {
            let joins = nodes / 2;
            let (singles, pairs) = match relation {
                Relation::Greater => (1, joins - 1),
                Relation::GreaterAndEqual => (0, joins),
                Relation::Equal => (joins, 0),
            };
            if self.levels.len() == level {
                self.levels.push(Need::default());
            }
            self.levels[level].singles += singles;
            self.levels[level].pairs += pairs;
            nodes = nodes.div_ceil(2);
            level += 1;
        }
    }

    /// Triples for n instances.
    pub(super) fn need(&self, n: usize) -> Need {
        Need {
            singles: n * (self.spare + self.levels.iter().map(|l| l.singles).sum::<usize>()),
            pairs: n * self.levels.iter().map(|l| l.pairs).sum::<usize>(),
        }
    }

    pub(super) fn groups(&self, n: usize) -> Vec<Group> {
        let leaves = self.leaves.iter();
        leaves
            .map(|group| Group { log_n: group[0].width, count: group.len() * n })
            .chain(self.need(n).groups(self.ot))
            .collect()
    }

    /// OT instances of the leaves, as correlated OTs: what an engine without such blocks takes at once.
    pub(super) fn ots(&self, n: usize) -> usize {
        let leaves = self.leaves.iter();
        leaves.map(|group| group[0].width as usize * group.len() * n).sum()
    }

    /// The blocks of a batch of n instances. With IKNP, whose extensions have triples beside the leaves, it is one.
    pub(super) fn blocks(&self, n: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        let block = match self.ot {
            OtKind::Iknp => n,
            // Whole words of every plane, so that blocks take as many bytes as all at once.
            OtKind::Silent => (BLOCK_OTS / self.ots(1).max(1) / 64).max(1) * 64,
        };
        (0..n).step_by(block.max(1)).map(move |first| first..(first + block).min(n))
    }

    /// The messages of the leaves, group by group.
    pub(super) fn messages(&self, n: usize) -> impl Iterator<Item = (&Vec<Leaf>, Messages)> {
        self.leaves.iter().enumerate().map(move |(group, leaves)| {
            (leaves, leaves[0].messages(group, leaves.len() * n, self.ot))
        })
    }

    pub(super) fn message_bytes(&self, n: usize) -> usize {
        let leaves: usize = self.messages(n).map(|(_, messages)| messages.wire_len()).sum();
        leaves + self.need(n).message_bytes(self.ot)
    }
}
