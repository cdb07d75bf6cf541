//! Values worth testing, and batches of them with the shares of both parties.

use super::share_arithmetic;
use crate::{Domain, Party, Prg, Shares};

/// The values around zero, the change of sign and the wrap, each once, in order.
pub fn edges<D: Domain>(domain: D) -> Vec<u64> {
    let last = (domain.modulus() - 1) as u64;
    let half = (domain.modulus() / 2) as u64;
    let near = [0, 1, 2, half.saturating_sub(1), half, half + 1, last.saturating_sub(1), last];
    let mut edges: Vec<u64> = near.into_iter().filter(|&x| domain.is_canonical(x)).collect();
    edges.sort_unstable();
    edges.dedup();
    edges
}

/// [`edges`] and some random values.
pub fn edges_and_random<D: Domain>(domain: D, random: usize, prg: &mut Prg) -> Vec<u64> {
    let mut values = edges(domain);
    values.extend((0..random).map(|_| domain.sample(prg)));
    values
}

/// Values and the additive shares of both parties.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shared<D> {
    domain: D,
    /// What is shared.
    pub values: Vec<u64>,
    /// The server's shares.
    pub server: Vec<u64>,
    /// The client's.
    pub client: Vec<u64>,
}

impl<D: Domain> Shared<D> {
    /// Random shares.
    pub fn random(domain: D, values: &[u64], prg: &mut Prg) -> Self {
        let (server, client) = share_arithmetic(domain, values, prg);
        Self { domain, values: values.to_vec(), server, client }
    }

    /// Every value with every one of the masks as the server's share.
    pub fn masked(domain: D, values: &[u64], masks: &[u64]) -> Self {
        let pairs = || values.iter().flat_map(|&x| masks.iter().map(move |&mask| (x, mask)));
        Self {
            domain,
            values: pairs().map(|(x, _)| x).collect(),
            server: pairs().map(|(_, mask)| mask).collect(),
            client: pairs().map(|(x, mask)| domain.sub(x, mask)).collect(),
        }
    }

    /// Every value with edge shares and three random ones.
    pub fn at_edges(domain: D, values: &[u64], prg: &mut Prg) -> Self {
        Self::masked(domain, values, &edges_and_random(domain, 3, prg))
    }

    /// Every one of the values with every share there is, for small domains.
    pub fn exhaustive(domain: D, values: &[u64]) -> Self {
        let all: Vec<u64> = (0..domain.modulus() as u64).collect();
        Self::masked(domain, values, &all)
    }

    /// The same with the parties exchanged.
    #[must_use]
    pub fn exchanged(self) -> Self {
        Self { server: self.client, client: self.server, ..self }
    }

    /// The domain.
    pub fn domain(&self) -> D {
        self.domain
    }

    /// Number of values.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// What a party has.
    pub fn of(&self, party: Party) -> Shares<D> {
        let own = match party {
            Party::Server => &self.server,
            Party::Client => &self.client,
        };
        Shares::from_canonical(self.domain, own.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::reveal;
    use crate::{Block, Field, Ring};

    fn check<D: Domain>(domain: D) {
        let edges = edges(domain);
        assert!(edges.iter().all(|&x| domain.is_canonical(x)));
        for negative in [false, true] {
            assert!(edges.iter().any(|&x| (domain.to_signed(x) < 0) == negative));
        }
        let mut prg = Prg::new(Block::from(3));
        let batches = [
            Shared::random(domain, &edges, &mut prg),
            Shared::at_edges(domain, &edges, &mut prg),
            Shared::masked(domain, &edges, &edges).exchanged(),
        ];
        for batch in batches {
            assert!(!batch.is_empty() && batch.domain() == domain);
            let [server, client] = [Party::Server, Party::Client].map(|party| batch.of(party));
            assert_eq!(reveal(domain, server.values(), client.values()), batch.values);
        }
    }

    #[test]
    fn shares_add_up() {
        [1, 2, 3, 8, 37, 64].into_iter().for_each(|bits| check(Ring::new(bits).unwrap()));
        [2, 3, 7, 1000, 1 << 62].into_iter().for_each(|n| check(Field::new(n).unwrap()));
        let small = Field::new(5).unwrap();
        assert_eq!(Shared::exhaustive(small, &[0, 4]).len(), 10);
    }
}
