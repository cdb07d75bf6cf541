//! The first maximum of each of many windows: trees of comparisons, several levels of which are played at once.
//!
//! **Functionality.** Windows lie one after another in a batch of shares. Each is reduced as a binary tree of
//! neighbours, left to right, an odd last element carried up; a node keeps its left element if v_0 - v_1 >= 0 by the
//! signed view (or the significant bits), its right one otherwise. Where no difference wraps, that is the first maximum;
//! where one does, the tree says what it is. Both parties get shares of the value, and of an index that belongs to it if
//! indices came with the elements; they learn nothing else.
//!
//! **Protocol** (the tree is CrypTFlow2's, section 3.4; playing levels at once is ours). A *heat* is `span` = 2^d
//! neighbours, d levels of the tree. All its pairs are compared in one batch, b_ij = 1{v_i - v_j >= 0} for i < j. Who wins is
//! then a matter of bits: with w_i = 1{i has won in its node}, one of which is 1 in every node, element i of a
//! node meets the winner of the other node, so that it has won in the node above if w_i (sum over the other node of
//! w_j b_ij): two rounds of ANDs for every level but the first, the second of them enough where the other node is a
//! single element. At the end one MUX for each element but the last gives v = v_last + sum of w_i (v_i - v_last).
//! With d = 1 this is one DReLU and one MUX a node, the whole of CrypTFlow2's tree.
//!
//! **Cost.** s neighbours take s (s-1) / 2 comparisons instead of s - 1, as many MUXes, and two bits each way for
//! each AND; the tree has log2(n) / d heats instead of log2 n levels. A public function of public sizes takes the d
//! that costs the least, a flight counted as [`Settings::flight`] bytes: over Z_2^32, silent OT and radix 2^4 the
//! largest of 1000 takes 60 rounds by d = 1, 40 by d = 2 and 28 by d = 5. With IKNP, whose triples take
//! messages of their own, d = 1.

use crate::drelu::{Precision, SignDomain, drelu_lane};
use sci_core::{Bits, Cost, Domain, Party, Result, Ring};
use sci_ot::cot::Elements;
use sci_ot::peer::Settings;
use sci_ot::plan::Load;
use sci_ot::select::{mux_both_lane, mux_both_lane_cost, mux_lane, mux_lane_cost};
use sci_ot::triple::{Need, Stock, Supply, and_cost};
use sci_ot::{Lane, OtKind};
use std::collections::BTreeMap;
use std::ops::Range;
use zeroize::Zeroizing;

/// The most levels that are played at once: 496 comparisons for 32 neighbours.
const MOST_LEVELS: u32 = 5;

/// Bytes that a window may hold at a time for levels to be played at once: a chunk has one window at least, however
/// dear the peer says that flights are.
const MOST_HELD: usize = 16 << 20;

/// How many windows there are of each size.
pub(crate) type Sizes = BTreeMap<usize, usize>;

/// What the elements of a tournament are.
#[derive(Clone, Copy)]
pub(crate) struct Contest<D> {
    /// Of the values.
    pub(crate) domain: D,
    /// How many of their bits count.
    pub(crate) precision: Precision,
    /// Of the indices, if there are any.
    pub(crate) indices: Option<Ring>,
}

/// Shares of values and, with a ring of indices, of as many of those.
pub(crate) struct Entrants {
    pub(crate) values: Elements,
    pub(crate) indices: Elements,
}

impl<D: SignDomain> Contest<D> {
    /// How many neighbours are played at once.
    pub(crate) fn span(self, sizes: &Sizes, settings: Settings) -> usize {
        let most = match settings.ot {
            OtKind::Iknp => 1,
            OtKind::Silent => MOST_LEVELS,
        };
        let largest = sizes.keys().max().copied().unwrap_or(1);
        let fits = |span: &usize| self.load(largest, *span, settings).held <= MOST_HELD;
        let spans = (1..=most).map(|levels| 1 << levels).filter(fits);
        let weight = |span: &usize| {
            let cost = self.cost(sizes.clone(), *span, settings, Party::Server);
            cost.map_or(u64::MAX, |cost| cost.weighed(settings.flight))
        };
        spans.min_by_key(weight).unwrap_or(2)
    }

    /// What one window takes, for a [`sci_ot::plan::Plan`].
    pub(crate) fn load(self, size: usize, span: usize, settings: Settings) -> Load {
        let first = heats(&Sizes::from([(size, 1)]), span);
        let pairs: usize = first.iter().map(|(size, count)| count * size * (size - 1) / 2).sum();
        let beside = if self.indices.is_some() { 96 } else { 64 };
        let comparison = self.domain.msb_load(settings, self.precision);
        comparison.and(beside).times(pairs.max(1)).and(8 * size)
    }

    /// Reduces every window to one element.
    ///
    /// # Errors
    /// As [`SignDomain::msb_lane`].
    pub(crate) fn lane(
        self,
        lane: &mut Lane,
        mut elements: Entrants,
        mut sizes: Vec<usize>,
        span: usize,
    ) -> Result<Entrants> {
        while sizes.iter().any(|&size| size > 1) {
            let round = Round::of(&sizes, span);
            let wins = round.play(lane, self, &elements.values)?;
            let dv = round.differences(self.domain, &elements.values);
            match self.indices {
                None => {
                    let chosen = mux_lane(lane, self.domain, &wins, &dv)?;
                    elements.values = round.winners(self.domain, &elements.values, &chosen);
                }
                Some(ring) => {
                    let di = round.differences(ring, &elements.indices);
                    let (v, i) = mux_both_lane(lane, &wins, (self.domain, &dv), (ring, &di))?;
                    elements.values = round.winners(self.domain, &elements.values, &v);
                    elements.indices = round.winners(ring, &elements.indices, &i);
                }
            }
            sizes.iter_mut().for_each(|size| *size = size.div_ceil(span));
        }
        Ok(elements)
    }

    /// The cost of [`Contest::lane`].
    ///
    /// # Errors
    /// As [`SignDomain::msb_cost`].
    pub(crate) fn cost(
        self,
        mut sizes: Sizes,
        span: usize,
        settings: Settings,
        leader: Party,
    ) -> Result<Cost> {
        let Self { domain, precision, indices } = self;
        let mut cost = Cost::ZERO;
        while sizes.keys().any(|&size| size > 1) {
            let heats = heats(&sizes, span);
            let sum = |of: &dyn Fn(usize) -> usize| -> usize {
                heats.iter().map(|(&size, &count)| count * of(size)).sum()
            };
            cost += domain.msb_cost(sum(&|s| s * (s - 1) / 2), settings, precision, leader)?;
            let mut width = 1;
            while heats.keys().any(|&size| size > width) {
                for ands in [rows, wins] {
                    let n = sum(&|size| ands(size, width));
                    let planes = Need { singles: 1, pairs: 0 };
                    if n > 0 {
                        cost +=
                            and_cost(n, planes) + Need { singles: n, pairs: 0 }.cost(settings.ot);
                    }
                }
                width *= 2;
            }
            let chosen = sum(&|size| size - 1);
            cost += match indices {
                None => mux_lane_cost(settings.ot, chosen, domain),
                Some(ring) => mux_both_lane_cost(settings.ot, chosen, domain, ring),
            };
            let mut next = Sizes::new();
            for (size, count) in sizes {
                *next.entry(size.div_ceil(span)).or_default() += count;
            }
            sizes = next;
        }
        Ok(cost)
    }
}

/// The heats of windows of some sizes: how many of each size.
fn heats(sizes: &Sizes, span: usize) -> Sizes {
    let mut heats = Sizes::new();
    for (&size, &count) in sizes {
        for start in (0..size).step_by(span) {
            *heats.entry(span.min(size - start)).or_default() += count;
        }
    }
    heats
}

/// The nodes of `width` elements that meet in a heat of `size`: the left one, the right one.
fn meetings(size: usize, width: usize) -> impl Iterator<Item = [Range<usize>; 2]> {
    (0..size.saturating_sub(width)).step_by(2 * width).map(move |first| {
        let middle = first + width;
        [first..middle, middle..size.min(middle + width)]
    })
}

/// ANDs of the first kind when nodes of `width` meet: everyone but the last of the right node against all but the last of
/// the other.
fn rows(size: usize, width: usize) -> usize {
    meetings(size, width)
        .map(|[left, right]| (right.len() - 1) * (left.len() + left.len() - 1))
        .sum()
}

/// ANDs of the second kind: everyone but the last of the right node. None between single elements.
fn wins(size: usize, width: usize) -> usize {
    match width {
        1 => 0,
        _ => meetings(size, width).map(|[left, right]| left.len() + right.len() - 1).sum(),
    }
}

/// Where a heat begins among the elements, and where its winner goes.
#[derive(Clone, Copy)]
struct Heat {
    first: usize,
    at: usize,
}

/// All heats that are played at once, by size.
struct Round {
    classes: BTreeMap<usize, Vec<Heat>>,
    heats: usize,
}

impl Round {
    /// Cuts windows of the given sizes.
    fn of(sizes: &[usize], span: usize) -> Self {
        let mut classes: BTreeMap<usize, Vec<Heat>> = BTreeMap::new();
        let (mut first, mut heats) = (0, 0);
        for &size in sizes {
            for start in (0..size).step_by(span) {
                let heat = Heat { first: first + start, at: heats };
                classes.entry(span.min(size - start)).or_default().push(heat);
                heats += 1;
            }
            first += size;
        }
        Self { classes, heats }
    }

    /// For every class and every i below its last element: 1{i has won}, heat by heat.
    fn play<D: SignDomain>(&self, lane: &mut Lane, of: Contest<D>, values: &[u64]) -> Result<Bits> {
        let differences: Elements = Zeroizing::new(
            self.classes
                .iter()
                .flat_map(|(&size, heats)| pairs(size).map(move |pair| (heats, pair)))
                .flat_map(|(heats, (i, j))| {
                    let difference = move |heat: &Heat| {
                        of.domain.sub(values[heat.first + i], values[heat.first + j])
                    };
                    heats.iter().map(difference)
                })
                .collect(),
        );
        let signs = drelu_lane(lane, of.domain, &differences, of.precision)?;
        let mut at = 0;
        let mut brackets: Vec<Bracket> = Vec::with_capacity(self.classes.len());
        for (&size, heats) in &self.classes {
            let mut plane = |_: (usize, usize)| {
                at += heats.len();
                signs.slice(at - heats.len()..at)
            };
            let beats = pairs(size).map(&mut plane).collect();
            brackets.push(Bracket { size, beats, wins: vec![Bits::default(); size] });
        }
        play(lane, &mut brackets)?;
        let mut wins = Bits::default();
        for bracket in &brackets {
            bracket.wins[..bracket.size - 1].iter().for_each(|plane| wins.extend(plane));
        }
        Ok(wins)
    }

    /// v_i - v_last in the order of [`Round::play`].
    fn differences<D: Domain>(&self, domain: D, values: &[u64]) -> Elements {
        let classes = self.classes.iter();
        let each = classes.flat_map(|(&size, heats)| (0..size - 1).map(move |i| (size, heats, i)));
        let differences = each.flat_map(|(size, heats, i)| {
            let difference = move |heat: &Heat| {
                domain.sub(values[heat.first + i], values[heat.first + size - 1])
            };
            heats.iter().map(difference)
        });
        Zeroizing::new(differences.collect())
    }

    /// v_last and what was chosen of the differences.
    fn winners<D: Domain>(&self, domain: D, values: &[u64], chosen: &[u64]) -> Elements {
        let mut winners = Zeroizing::new(vec![0; self.heats]);
        let mut chosen = chosen.iter();
        for (&size, heats) in &self.classes {
            for heat in heats {
                winners[heat.at] = values[heat.first + size - 1];
            }
            for _ in 1..size {
                for (heat, chosen) in heats.iter().zip(&mut chosen) {
                    winners[heat.at] = domain.add(winners[heat.at], *chosen);
                }
            }
        }
        winners
    }
}

/// i < j, in order.
fn pairs(size: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..size).flat_map(move |i| (i + 1..size).map(move |j| (i, j)))
}

/// The heats of one size while they are played: planes of shared bits over them.
struct Bracket {
    size: usize,
    /// 1{v_i - v_j >= 0} in the order of [`pairs`].
    beats: Vec<Bits>,
    /// 1{i has won in its node}; nothing before the first level, where everyone is alone.
    wins: Vec<Bits>,
}

/// An element that may win a meeting: not the last of the right node, which wins where nobody else does.
struct Player {
    bracket: usize,
    who: usize,
    other: Range<usize>,
}

impl Bracket {
    /// 1{v_i - v_j >= 0} for i < j, the same for i > j: who is left decides.
    fn beats(&self, i: usize, j: usize) -> &Bits {
        let (i, j) = (i.min(j), i.max(j));
        &self.beats[i * (2 * self.size - i - 1) / 2 + j - i - 1]
    }

    /// The factors of [`Player::score`]: w_j and what b_ij differs from that of the last, for every other j.
    fn factors(&self, player: &Player) -> Vec<[Bits; 2]> {
        let last = player.other.end - 1;
        let against = |j| {
            let mut bits = self.beats(player.who, j).clone();
            bits.xor_assign(self.beats(player.who, last));
            [self.wins[j].clone(), bits]
        };
        (player.other.start..last).map(against).collect()
    }

    /// 1{the player beats the winner of the other node}, from the products of its factors.
    fn score(&self, party: Party, player: &Player, products: &[Bits]) -> Bits {
        let mut score = self.beats(player.who, player.other.end - 1).clone();
        products.iter().for_each(|product| score.xor_assign(product));
        // On the right one beats a left one that does not beat it.
        if player.who >= player.other.end && party == Party::Server {
            score.not_assign();
        }
        score
    }

    /// The last of every right node of a level has won where nobody else of the meeting has.
    fn complete(&mut self, party: Party, width: usize) {
        for [left, right] in meetings(self.size, width) {
            let last = right.end - 1;
            let mut rest = self.wins[left.start].clone();
            self.wins[left.start + 1..last].iter().for_each(|wins| rest.xor_assign(wins));
            if party == Party::Server {
                rest.not_assign();
            }
            self.wins[last] = rest;
        }
    }
}

/// Plays all levels of all brackets, in step.
fn play(lane: &mut Lane, brackets: &mut [Bracket]) -> Result<()> {
    let party = lane.party();
    let count = |bracket: &Bracket| bracket.beats.first().map_or(0, Bits::len);
    let levels = || std::iter::successors(Some(1), |width| Some(2 * width));
    let ands = |bracket: &Bracket| -> usize {
        let widths = levels().take_while(|&width| width < bracket.size);
        widths.map(|width| rows(bracket.size, width) + wins(bracket.size, width)).sum()
    };
    let singles = brackets.iter().map(|bracket| count(bracket) * ands(bracket)).sum();
    let mut supply = Supply::from(Stock::deal(lane, Need { singles, pairs: 0 })?);
    let largest = brackets.iter().map(|bracket| bracket.size).max().unwrap_or(1);
    for width in levels().take_while(|&width| width < largest) {
        let players = players(brackets, width);
        let factors: Vec<Vec<[Bits; 2]>> =
            players.iter().map(|player| brackets[player.bracket].factors(player)).collect();
        let products = and(lane, &mut supply, &factors.concat())?;
        let mut products = products.as_slice();
        let mut scores = Vec::with_capacity(players.len());
        for (player, factors) in players.iter().zip(&factors) {
            let (mine, rest) = products.split_at(factors.len());
            products = rest;
            scores.push(brackets[player.bracket].score(party, player, mine));
        }
        if width > 1 {
            let factors: Vec<[Bits; 2]> = players
                .iter()
                .zip(scores)
                .map(|(player, score)| [brackets[player.bracket].wins[player.who].clone(), score])
                .collect();
            scores = and(lane, &mut supply, &factors)?;
        }
        for (player, won) in players.iter().zip(scores) {
            brackets[player.bracket].wins[player.who] = won;
        }
        brackets.iter_mut().for_each(|bracket| bracket.complete(party, width));
    }
    Ok(())
}

/// Who may win when nodes of `width` meet.
fn players(brackets: &[Bracket], width: usize) -> Vec<Player> {
    let mut players = Vec::new();
    for (bracket, &Bracket { size, .. }) in brackets.iter().enumerate() {
        for [left, right] in meetings(size, width) {
            let player = |who, other: &Range<usize>| Player { bracket, who, other: other.clone() };
            players.extend(left.clone().map(|who| player(who, &right)));
            players.extend((right.start..right.end - 1).map(|who| player(who, &left)));
        }
    }
    players
}

/// Products of shared bits, plane by plane; none takes no round.
fn and(lane: &mut Lane, supply: &mut Supply, factors: &[[Bits; 2]]) -> Result<Vec<Bits>> {
    if factors.is_empty() {
        return Ok(Vec::new());
    }
    let factors: Vec<[&Bits; 2]> = factors.iter().map(|[x, y]| [x, y]).collect();
    Ok(supply.and(lane, &factors, &[])?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_meet_as_in_the_tree() {
        let all: Vec<_> = meetings(7, 2).collect();
        assert_eq!(all, [[0..2, 2..4], [4..6, 6..7]]);
        assert_eq!(meetings(7, 4).collect::<Vec<_>>(), [[0..4, 4..7]]);
        assert_eq!(meetings(1, 1).count(), 0);
        assert_eq!((rows(3, 2), wins(3, 2)), (0, 2));
        assert_eq!((rows(4, 2), wins(4, 2)), (3, 3));
        assert_eq!((rows(2, 1), wins(2, 1)), (0, 0));
    }

    #[test]
    fn heats_cover_every_window() {
        let sizes = Sizes::from([(1, 5), (3, 2), (9, 1)]);
        assert_eq!(heats(&sizes, 4), Sizes::from([(1, 6), (3, 2), (4, 2)]));
        let round = Round::of(&[3, 1, 9, 3], 4);
        assert_eq!(round.heats, 6);
        let counted: Sizes = round.classes.iter().map(|(&size, all)| (size, all.len())).collect();
        assert_eq!(counted, Sizes::from([(1, 2), (3, 2), (4, 2)]));
    }

    #[test]
    fn a_dear_flight_merges_levels() {
        let domain = Ring::new(32).unwrap();
        let contest = Contest { domain, precision: Precision::Full, indices: Ring::new(10).ok() };
        let sizes = Sizes::from([(1000, 1)]);
        let span = |ot, flight| contest.span(&sizes, Settings { flight, ..Settings::over(ot) });
        assert_eq!(span(OtKind::Silent, 0), 2);
        assert!(span(OtKind::Silent, 6_000) > 2);
        assert_eq!(span(OtKind::Silent, 10_000_000), 32);
        assert_eq!(span(OtKind::Iknp, 10_000_000), 2);
        // A row that cannot be cut does not grow beyond bounds for that.
        let long = Sizes::from([(1_000_000, 1)]);
        let dear = Settings { flight: 1 << 40, ..Settings::over(OtKind::Silent) };
        assert_eq!(contest.span(&long, dear), 2);
        assert_eq!(contest.span(&Sizes::from([(1000, 500)]), dear), 32);
        for (span, rounds) in [(2, 60), (4, 40), (32, 28)] {
            let settings = Settings::over(OtKind::Silent);
            let cost = contest.cost(sizes.clone(), span, settings, Party::Client).unwrap();
            assert_eq!(cost.rounds, rounds, "{span}");
        }
    }
}
