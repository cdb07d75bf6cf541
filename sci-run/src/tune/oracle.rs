//! What a program is predicted to cost, for the tuner.

use crate::cli::Plan;
use crate::failure::Result;
use crate::linear::{Packing, Style};
use crate::planner::{self, Backend, Request};
use crate::two_party::NetDomain;
use athos::autotune::{CostOracle, Prediction};
use athos::{Error, PublicProgram};
use sci_core::AnyDomain;
use sci_core::channel::shaped::LinkShape;

/// Every backend over the link that decides, LAN and WAN.
#[derive(Debug)]
pub(super) struct Oracle {
    /// The first one decides.
    requests: Vec<(String, Request)>,
}

impl Oracle {
    pub(super) fn new(link: LinkShape, threads: usize, plan: &Plan) -> Result<Self> {
        // The sweep is over rings.
        let style = Style { packing: Packing::Coefficient, privacy: plan.privacy };
        let mut links = vec![link];
        for name in ["lan", "wan"] {
            let link: LinkShape = name.parse()?;
            if !links.contains(&link) {
                links.push(link);
            }
        }
        let mut requests = Vec::new();
        for link in links {
            for backend in [Backend::Auto, Backend::Ot, Backend::He] {
                let request = Request {
                    backend,
                    style,
                    exactness: plan.exactness,
                    link,
                    threads,
                    ot: plan.ot,
                    radix: plan.radix,
                };
                requests.push((format!("{} {link}", backend.name()), request));
            }
        }
        Ok(Self { requests })
    }
}

impl CostOracle for Oracle {
    fn predict(&self, program: &PublicProgram) -> athos::Result<Vec<Prediction>> {
        let of = |request: &Request| match program.domain {
            AnyDomain::Ring(ring) => predict(program, ring, request),
            AnyDomain::Field(field) => predict(program, field, request),
        };
        let mut predictions = Vec::new();
        for (plan, request) in &self.requests {
            match of(request) {
                Ok((seconds, bytes)) => {
                    predictions.push(Prediction { plan: plan.clone(), seconds, bytes });
                }
                // Lattice encryption has no parameters for every program.
                Err(_) if request.backend == Backend::He => {}
                Err(error) => return Err(error),
            }
        }
        Ok(predictions)
    }
}

fn predict<D: NetDomain>(
    program: &PublicProgram,
    domain: D,
    request: &Request,
) -> Result<(f64, u64), Error> {
    let decision = planner::decide(program, domain, request)?;
    planner::predict(program, domain, &decision, request)
}
