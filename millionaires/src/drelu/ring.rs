//! The sign over Z_2^l (CrypTFlow2 section 3.2, Algorithm 2).
//!
//! With x_j = 2^(l-1) msb_j + x_j', the top bit of x is msb_0 xor msb_1 xor carry, where
//! carry = 1{x_0' + x_1' > 2^(l-1) - 1} = 1{x_s' > 2^(l-1) - 1 - x_r'}: one comparison of l - 1 bits
//! whose input either party can lead with. l = 1 needs no message.

use super::{Precision, SignDomain};
use crate::compare::{Comparison, Relation, compare_cost, compare_lane, complement, load};
use sci_core::{Bits, Cost, Error, Party, Result, Ring};
use sci_ot::peer::Settings;
use sci_ot::plan::Load;
use sci_ot::{Lane, Role};
use zeroize::Zeroizing;

/// The ring that the sign is read in.
fn narrowed(ring: Ring, precision: Precision) -> Result<Ring> {
    match precision {
        Precision::Full => Ok(ring),
        Precision::Bits(k) if k <= ring.bitwidth().get() => Ring::new(k),
        Precision::Bits(k) => Err(Error::misuse(format!("{k} significant bits of Z_{ring}"))),
    }
}

fn carry(ring: Ring) -> [Comparison; 1] {
    [Comparison::new(ring.bitwidth().get() - 1, Relation::Greater)]
}

impl SignDomain for Ring {
    fn msb_lane(self, lane: &mut Lane, x: &[u64], precision: Precision) -> Result<Bits> {
        let ring = narrowed(self, precision)?;
        let top = ring.bitwidth().get() - 1;
        let mut msb = Bits::from_fn(x.len(), |i| x[i] >> top);
        if top == 0 {
            return Ok(msb);
        }
        let low = u64::MAX >> (64 - top);
        let leads = lane.role() == Role::Sender;
        let inputs: Zeroizing<Vec<u64>> = Zeroizing::new(match leads {
            true => x.iter().map(|x| x & low).collect(),
            false => x.iter().map(|x| complement(top, *x)).collect(),
        });
        let (outcomes, _) = compare_lane(lane, &carry(ring), &[&inputs], 0)?;
        for outcome in &outcomes {
            msb.xor_assign(&outcome.greater);
        }
        Ok(msb)
    }

    fn msb_cost(
        self,
        n: usize,
        settings: Settings,
        precision: Precision,
        leader: Party,
    ) -> Result<Cost> {
        let ring = narrowed(self, precision)?;
        if ring.bitwidth().get() == 1 {
            return Ok(Cost::ZERO);
        }
        compare_cost(n, &carry(ring), settings, 0, leader)
    }

    fn msb_load(self, settings: Settings, precision: Precision) -> Load {
        match narrowed(self, precision) {
            Ok(ring) if ring.bitwidth().get() > 1 => load(&carry(ring), settings),
            _ => Load::held(1),
        }
    }
}
