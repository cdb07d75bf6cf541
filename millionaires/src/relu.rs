//! ReLU: shares of max(x, 0) by the signed view, as DReLU followed by MUX (CrypTFlow2 section 3.2).
//!
//! Over Z_2^l with IKNP and m = 7: F_MILL on l - 1 bits and 2 (lambda + l) bits of MUX, 2962 bits at
//! l = 32; 4 + ceil(log2 q) rounds, one less with silent OT.
//!
//! **Time** at l = 32, m = 4 on a 2.6 GHz EPYC, in cycles of both parties for an element (`cargo run --release -p
//! truncation --example layer_cost -- relu 20 32 4 3 K`): 4,600 over IKNP (K = 0) with 518 bytes; 6,200 over
//! silent OT with k up to 2^17 and 44.6 bytes besides expansion, 8,200 with 2^19. An element takes 47 COTs:
//! their expansion, bound by gathers ([`sci_ot::silent`]), is about 3,300 of the 6,200, the pads of
//! leaves and triples, bound by AES key schedules, most of the rest. Over IKNP a core a party makes an
//! element in about the time that its bytes take at 300 MB/s each way: faster links are bound by
//! AES, slower ones by the link; over silent OT the link bounds below about 20 MB/s.

use crate::drelu::{Precision, SignDomain, drelu_lane};
use sci_core::{Cost, Party, Result, Shares};
use sci_ot::cot::Elements;
use sci_ot::peer::Settings;
use sci_ot::plan::Plan;
use sci_ot::select::{mux_lane, mux_lane_cost, mux_plain_lane, mux_plain_lane_cost};
use sci_ot::{Lane, Peer};

/// Which MUX closes a ReLU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MuxForm {
    /// Two correlated OTs: ours.
    #[default]
    Correlated,
    /// Two plain OTs: the paper's text, for its figures.
    Plain,
}

/// ReLU on one lane.
///
/// # Errors
/// As [`SignDomain::msb_lane`].
pub fn relu_lane<D: SignDomain>(
    lane: &mut Lane,
    domain: D,
    x: &[u64],
    precision: Precision,
) -> Result<Elements> {
    let positive = drelu_lane(lane, domain, x, precision)?;
    mux_lane(lane, domain, &positive, x)
}

/// The cost of [`relu_lane`].
///
/// # Errors
/// As [`SignDomain::msb_cost`].
pub fn relu_lane_cost<D: SignDomain>(
    n: usize,
    domain: D,
    settings: Settings,
    precision: Precision,
    leader: Party,
) -> Result<Cost> {
    Ok(domain.msb_cost(n, settings, precision, leader)? + mux_lane_cost(settings.ot, n, domain))
}

fn plan<D: SignDomain>(n: usize, domain: D, settings: Settings, precision: Precision) -> Plan {
    Plan::new(n, domain.msb_load(settings, precision).and(64))
}

/// Shares of ReLU(x) for a batch.
///
/// # Errors
/// As [`SignDomain::msb_lane`].
pub fn relu<D: SignDomain>(
    peer: &mut Peer,
    x: &Shares<D>,
    precision: Precision,
) -> Result<Shares<D>> {
    relu_with(peer, x, precision, MuxForm::Correlated)
}

/// [`relu`] with a chosen form of MUX.
///
/// # Errors
/// As [`SignDomain::msb_lane`].
pub fn relu_with<D: SignDomain>(
    peer: &mut Peer,
    x: &Shares<D>,
    precision: Precision,
    form: MuxForm,
) -> Result<Shares<D>> {
    let domain = x.domain();
    let plan = plan(x.len(), domain, peer.settings(), precision);
    peer.map_shares(&plan, domain, |lane, range| {
        let x = &x.values()[range];
        let positive = drelu_lane(lane, domain, x, precision)?;
        match form {
            MuxForm::Correlated => mux_lane(lane, domain, &positive, x),
            MuxForm::Plain => mux_plain_lane(lane, domain, &positive, x),
        }
    })
}

/// The cost of [`relu`] ([`MuxForm::Correlated`]) or of the paper's form.
///
/// # Errors
/// As [`SignDomain::msb_cost`].
pub fn relu_cost<D: SignDomain>(
    n: usize,
    domain: D,
    settings: Settings,
    precision: Precision,
    form: MuxForm,
) -> Result<Cost> {
    domain.msb_cost(1, settings, precision, Party::Server)?;
    Ok(plan(n, domain, settings, precision).cost(|n, leader| {
        let sign = domain.msb_cost(n, settings, precision, leader).unwrap_or_default();
        sign + match form {
            MuxForm::Correlated => mux_lane_cost(settings.ot, n, domain),
            MuxForm::Plain => mux_plain_lane_cost(settings.ot, n, domain),
        }
    }))
}
