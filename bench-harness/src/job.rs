//! What a pair of parties is to run, and what it must cost.

use garbled::{Garbling, Gates, Scheme};
use millionaires::compare::{Comparison, Relation, compare_cost, compare_lane, load};
use millionaires::relu::{MuxForm, relu_cost, relu_with};
use millionaires::{Precision, SignDomain};
use sci_core::channel::shaped::LinkShape;
use sci_core::{Block, Cost, Domain, Error, Field, Party, Prg, Result, Ring, Shares};
use sci_ot::peer::Settings;
use sci_ot::plan::Plan;
use sci_ot::{OtKind, Peer, Role};
use serde::{Deserialize, Serialize};
use truncation::Sign;
use truncation::divide::{divide, divide_cost};
use truncation::relu::{relu_truncate, relu_truncate_cost};
use truncation::truncate::{truncate, truncate_cost};

/// Where shares live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DomainSpec {
    /// Z_2^l.
    Ring(u32),
    /// Z_n.
    Field(u64),
}

impl std::fmt::Display for DomainSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Ring(l) => write!(f, "Z_2^{l}"),
            Self::Field(n) => write!(f, "Z_n, {} bits", u64::BITS - n.leading_zeros()),
        }
    }
}

/// A layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Function {
    /// The millionaires' problem on integers as long as an element of the domain.
    Compare,
    /// max(x, 0).
    Relu,
    /// The same with the MUX of the papers' text.
    ReluPaperMux,
    /// x / 2^s rounded down.
    Truncate {
        /// s.
        shift: u32,
    },
    /// The same for x >= 0.
    TruncatePositive {
        /// s.
        shift: u32,
    },
    /// max(x, 0) / 2^s rounded down, by one comparison: ours, over Z_2^l.
    ReluTruncate {
        /// s.
        shift: u32,
    },
    /// a b / 2^s rounded down, a b by the signed view: the server's a, the client's b.
    MultiplyFixed {
        /// s.
        shift: u32,
    },
    /// a b of numbers of single precision.
    MultiplySingle,
    /// x / d rounded down: AvgPool once the windows are summed.
    Divide {
        /// d.
        d: u64,
    },
}

/// Which protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// Those of this workspace, over IKNP and KKOT.
    Iknp {
        /// Bits of a digit.
        radix: u32,
    },
    /// Those of this workspace, over silent OT with LPN sets up to 2^17.
    Silent {
        /// Bits of a digit.
        radix: u32,
    },
    /// Garbled circuits with OT by IKNP.
    Garbled,
    /// Garbled circuits with silent OT.
    GarbledSilent,
    /// Garbled circuits of three halves with silent OT.
    GarbledThreeHalves,
    /// Those of this workspace, over silent OT that is expanded before the input is there.
    SilentAhead {
        /// Bits of a digit.
        radix: u32,
    },
    /// Garbled circuits in Delphi's two phases, with OT by IKNP in the first.
    GarbledAhead,
}

impl Protocol {
    /// Whether it is the baseline.
    pub fn is_garbled(self) -> bool {
        matches!(
            self,
            Self::Garbled | Self::GarbledSilent | Self::GarbledThreeHalves | Self::GarbledAhead
        )
    }

    /// Whether a run has a phase before its input is there.
    pub fn has_offline_phase(self) -> bool {
        matches!(self, Self::SilentAhead { .. } | Self::GarbledAhead)
    }

    /// The settings of the session.
    pub fn settings(self) -> Settings {
        match self {
            Self::Iknp { radix } => Settings { radix, ..Settings::over(OtKind::Iknp) },
            Self::Silent { radix } | Self::SilentAhead { radix } => {
                Settings { radix, ..Settings::over(OtKind::Silent) }
            }
            Self::Garbled | Self::GarbledAhead => Settings::over(OtKind::Iknp),
            Self::GarbledSilent | Self::GarbledThreeHalves => Settings::over(OtKind::Silent),
        }
    }

    /// How the baseline garbles.
    pub fn scheme(self) -> Scheme {
        let gates = match self {
            Self::GarbledThreeHalves => Gates::ThreeHalves,
            _ => Gates::HalfGates,
        };
        Scheme { gates, ot: self.settings().ot }
    }
}

impl std::fmt::Display for Protocol {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Iknp { radix } => write!(f, "ours, IKNP, m = {radix}"),
            Self::Silent { radix } => write!(f, "ours, silent OT, m = {radix}"),
            Self::Garbled => f.write_str("GC, IKNP"),
            Self::GarbledSilent => f.write_str("GC, silent OT"),
            Self::GarbledThreeHalves => f.write_str("GC of three halves, silent OT"),
            Self::SilentAhead { radix } => write!(f, "ours, silent OT ahead, m = {radix}"),
            Self::GarbledAhead => f.write_str("GC in Delphi's phases"),
        }
    }
}

/// One layer over one link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// The layer.
    pub function: Function,
    /// Where shares live.
    pub domain: DomainSpec,
    /// How it is computed.
    pub protocol: Protocol,
    /// Elements.
    pub elements: usize,
    /// As `--link` of the program.
    pub link: String,
    /// Threads of a party.
    pub threads: usize,
}

/// What a job came to: enough to check it.
pub type Output = Vec<u64>;

/// The shared values of a job and both parties' shares: public, so that each can check the other's output.
pub struct Data<D: Domain> {
    /// x, or the server's integer.
    pub first: Vec<u64>,
    /// The client's integer; for shared values unused.
    pub second: Vec<u64>,
    /// The shares.
    pub shares: [Shares<D>; 2],
}

impl Job {
    /// The link.
    ///
    /// # Errors
    /// If its name is none.
    pub fn shape(&self) -> Result<LinkShape> {
        self.link.parse()
    }

    /// What travels once the input is there, by the formulas.
    ///
    /// # Errors
    /// If the job is impossible.
    pub fn cost(&self) -> Result<Cost> {
        if self.protocol == Protocol::GarbledAhead {
            return crate::phases::garbled_costs(self).map(|[_, online]| online);
        }
        match self.domain {
            DomainSpec::Ring(l) => self.ring_cost(Ring::new(l)?),
            DomainSpec::Field(n) => self.cost_over(Field::new(n)?),
        }
    }

    fn ring_cost(&self, ring: Ring) -> Result<Cost> {
        let settings = self.protocol.settings();
        let (n, bits) = (self.elements, ring.bits());
        if let Some(cost) = crate::products::cost(self, ring)? {
            return Ok(cost);
        }
        match self.function {
            Function::Compare if self.protocol.is_garbled() => {
                garbled::compare_cost(n, bits, self.protocol.scheme())
            }
            Function::Compare => {
                let jobs = [Comparison::new(bits, Relation::Greater)];
                compare_cost(1, &jobs, settings, 0, Party::Server)?;
                Ok(Plan::new(n, load(&jobs, settings)).cost(|n, leader| {
                    compare_cost(n, &jobs, settings, 0, leader).unwrap_or_default()
                }))
            }
            Function::Truncate { shift } if !self.protocol.is_garbled() => {
                truncate_cost(n, ring, shift, Sign::Unknown, settings)
            }
            Function::TruncatePositive { shift } if !self.protocol.is_garbled() => {
                truncate_cost(n, ring, shift, Sign::NonNegative, settings)
            }
            Function::ReluTruncate { shift } if !self.protocol.is_garbled() => {
                relu_truncate_cost(n, ring, shift, Precision::Full, settings)
            }
            _ => self.cost_over(ring),
        }
    }

    fn cost_over<D: SignDomain + garbled::functions::GarbledDomain>(
        &self,
        domain: D,
    ) -> Result<Cost> {
        let (n, settings) = (self.elements, self.protocol.settings());
        let relu = |form| relu_cost(n, domain, settings, Precision::Full, form);
        match (self.function, self.protocol.is_garbled()) {
            (Function::Compare, _) => Err(Error::misuse("comparison is over Z_2^l")),
            (Function::Relu | Function::ReluPaperMux, true) => {
                Ok(garbled::relu_cost(n, domain, self.protocol.scheme()))
            }
            (Function::Relu, false) => relu(MuxForm::Correlated),
            (Function::ReluPaperMux, false) => relu(MuxForm::Plain),
            (_, garbled) => {
                let (d, sign) = self.divisor()?;
                if garbled {
                    return garbled::divide_cost(n, domain, d, self.protocol.scheme());
                }
                divide_cost(n, domain, d, sign, Precision::Full, settings)
            }
        }
    }

    fn divisor(&self) -> Result<(u64, Sign)> {
        match self.function {
            Function::Truncate { shift } => Ok((1 << shift, Sign::Unknown)),
            Function::TruncatePositive { shift } => Ok((1 << shift, Sign::NonNegative)),
            Function::Divide { d } => Ok((d, Sign::Unknown)),
            _ => Err(Error::misuse("no division")),
        }
    }

    /// The data of a job, from a fixed seed.
    pub fn data<D: Domain>(&self, domain: D) -> Data<D> {
        let mut prg = Prg::new(Block([20, 20]));
        let mut draw = || {
            let mut values = vec![0; self.elements];
            domain.sample_into(&mut prg, &mut values);
            values
        };
        let (mut first, second, mask) = (draw(), draw(), draw());
        if matches!(self.function, Function::TruncatePositive { .. }) {
            for x in &mut first {
                if domain.to_signed(*x) < 0 {
                    *x = domain.sub(domain.neg(*x), 1);
                }
            }
        }
        let rest = first.iter().zip(&mask).map(|(&x, &m)| domain.sub(x, m)).collect();
        let shares = [mask, rest].map(|values| Shares::from_canonical(domain, values));
        Data { first, second, shares }
    }

    /// Whether the shares of an output are right.
    pub fn is_right<D: Domain>(&self, domain: D, data: &Data<D>, outputs: [&[u64]; 2]) -> bool {
        let signed = |x: u64| i128::from(domain.to_signed(x));
        let expected = |i: usize| {
            let x = data.first[i];
            if let Some(product) = crate::products::expected(self, domain, x, data.second[i]) {
                return product;
            }
            match self.function {
                Function::Compare => u64::from(x > data.second[i]),
                Function::Relu | Function::ReluPaperMux => {
                    if signed(x) < 0 {
                        0
                    } else {
                        x
                    }
                }
                Function::ReluTruncate { shift } => {
                    domain.from_signed((signed(x).max(0) >> shift) as i64)
                }
                _ => {
                    let d = self.divisor().map_or(1, |(d, _)| d);
                    domain.from_signed(signed(x).div_euclid(i128::from(d)) as i64)
                }
            }
        };
        let revealed = |i: usize| match self.function {
            Function::MultiplyFixed { .. } | Function::MultiplySingle
                if self.protocol.is_garbled() =>
            {
                outputs[0][i] ^ outputs[1][i]
            }
            Function::Compare => outputs[0][i] ^ outputs[1][i],
            _ => domain.add(outputs[0][i], outputs[1][i]),
        };
        outputs.iter().all(|out| out.len() == self.elements)
            && (0..self.elements).all(|i| revealed(i) == expected(i))
    }
}

/// A party that is ready to run a job again and again.
pub enum Engine<'p> {
    /// The protocols of this workspace.
    Ours(&'p mut Peer),
    /// The baseline.
    Garbled(Box<Garbling<'p>>),
}

impl<'p> Engine<'p> {
    /// The engine of a protocol.
    ///
    /// # Errors
    /// If the link fails.
    pub fn new(protocol: Protocol, peer: &'p mut Peer) -> Result<Self> {
        Ok(if protocol.is_garbled() {
            Self::Garbled(Box::new(Garbling::with_gates(peer, protocol.scheme().gates)?))
        } else {
            Self::Ours(peer)
        })
    }

    /// The peers below.
    pub fn peer(&mut self) -> &mut Peer {
        match self {
            Self::Ours(peer) => peer,
            Self::Garbled(garbling) => garbling.peer(),
        }
    }

    /// Runs a job over Z_2^l.
    ///
    /// # Errors
    /// Those of the protocol.
    pub fn run_ring(&mut self, job: &Job, party: Party, data: &Data<Ring>) -> Result<Output> {
        let x = &data.shares[party.index()];
        let ring = x.domain();
        let own = if party == Party::Server { &data.first } else { &data.second };
        if let Some(output) = crate::products::run(self, job, party, data)? {
            return Ok(output);
        }
        match (self, job.function) {
            (Self::Garbled(gc), Function::Compare) => {
                Ok(gc.compare(ring.bits(), own)?.iter().collect())
            }
            (Self::Ours(peer), Function::Compare) => compare(peer, ring, own),
            (Self::Ours(peer), Function::Truncate { shift }) => {
                Ok(truncate(peer, x, shift, Sign::Unknown)?.into_values())
            }
            (Self::Ours(peer), Function::TruncatePositive { shift }) => {
                Ok(truncate(peer, x, shift, Sign::NonNegative)?.into_values())
            }
            (Self::Ours(peer), Function::ReluTruncate { shift }) => {
                Ok(relu_truncate(peer, x, shift, Precision::Full)?.into_values())
            }
            (engine, _) => engine.run(job, party, data),
        }
    }

    /// Runs a job over any domain.
    ///
    /// # Errors
    /// Those of the protocol.
    pub fn run<D: SignDomain + garbled::functions::GarbledDomain>(
        &mut self,
        job: &Job,
        party: Party,
        data: &Data<D>,
    ) -> Result<Output> {
        let x = &data.shares[party.index()];
        let shares = match (self, job.function) {
            (_, Function::Compare) => return Err(Error::misuse("comparison is over Z_2^l")),
            (Self::Garbled(gc), Function::Relu | Function::ReluPaperMux) => gc.relu(x)?,
            (Self::Garbled(gc), _) => gc.divide(x, job.divisor()?.0)?,
            (Self::Ours(peer), Function::Relu) => {
                relu_with(peer, x, Precision::Full, MuxForm::Correlated)?
            }
            (Self::Ours(peer), Function::ReluPaperMux) => {
                relu_with(peer, x, Precision::Full, MuxForm::Plain)?
            }
            (Self::Ours(peer), _) => {
                let (d, sign) = job.divisor()?;
                divide(peer, x, d, sign, Precision::Full)?
            }
        };
        Ok(shares.into_values())
    }
}

/// 1{a > b} for the server's a and the client's b, chunk by chunk: who follows enters complements, so that either leads.
fn compare(peer: &mut Peer, ring: Ring, own: &[u64]) -> Result<Output> {
    let jobs = [Comparison::new(ring.bits(), Relation::Greater)];
    let plan = Plan::new(own.len(), load(&jobs, peer.settings()));
    let bits = peer.map_bits(&plan, |lane, range| {
        let server_leads = (lane.party() == Party::Server) == (lane.role() == Role::Sender);
        let flip = if server_leads { 0 } else { ring.mask() };
        let inputs: Vec<u64> = own[range].iter().map(|x| x ^ flip).collect();
        let (mut outcomes, _) = compare_lane(lane, &jobs, &[&inputs], 0)?;
        Ok(outcomes.pop().unwrap_or_default().greater)
    })?;
    Ok(bits.iter().collect())
}
