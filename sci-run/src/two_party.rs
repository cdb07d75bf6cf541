//! Two parties run a program on shares over Z_2^l or Z_n.
//!
//! One backend serves both; the little that a party does differently lies behind [`Side`]. The server
//! holds the weight table, the client the input, which is shared as (0, x) without a message: a share
//! that one party may choose freely may as well be zero. In a linear layer by OT the server multiplies
//! its own share in the clear, and one product by correlated OT covers the client's share. Everything
//! else is the same protocol for both.

mod backend;
mod domain;
mod products;
mod side;
mod tensor;

pub(crate) use backend::{divisor, sign_of};
pub use domain::NetDomain;
pub use side::{Asking, Serving, Side};
pub use tensor::Tensor;

use athos::{Error, OutputForm, Program, PublicProgram, Result, execute};
use sci_core::session::{Phase, Span};
use sci_core::{AnyDomain, Domain, Party, Shares};
use sci_ot::Peer;
use sci_ot::cot::{recv_elements, send_elements};

/// One party of a run.
pub struct TwoParty<'a, D, S> {
    peer: &'a mut Peer,
    program: &'a PublicProgram,
    domain: D,
    side: S,
    span: Option<Span>,
}

impl<'a, D: NetDomain, S: Side<D>> TwoParty<'a, D, S> {
    /// A party of a program over `domain`.
    pub fn new(peer: &'a mut Peer, program: &'a PublicProgram, domain: D, side: S) -> Self {
        Self { peer, program, domain, side, span: None }
    }

    /// Runs the program and opens its output: `Some` at the client, signed (indices as they are).
    fn run(mut self, mut tell: impl FnMut(usize, usize, &str)) -> Result<Option<Vec<i64>>> {
        let output = execute(self.program, &mut self, |step| {
            tell(step.index, step.total, &step.instruction.name);
        })?;
        // Ends the last layer's statistics.
        self.span = None;
        let _span = self.peer.session().span("output", "Open", Phase::Online).backend("ot");
        match (self.program.output_form, output) {
            (OutputForm::ArgMax, Tensor::Indices(indices)) => {
                let opened = open_to_client(self.peer, &indices)?;
                Ok(opened.map(|opened| opened.into_iter().map(|index| index as i64).collect()))
            }
            (OutputForm::Logits, Tensor::Values(values)) => {
                let opened = open_to_client(self.peer, &values)?;
                let signed = |opened: Vec<u64>| {
                    opened.into_iter().map(|x| self.domain.to_signed(x)).collect()
                };
                Ok(opened.map(signed))
            }
            // What the program does not say is never opened.
            (form, _) => Err(Error::Misuse(format!("the output is no {form:?}"))),
        }
    }
}

/// Opens a tensor to the client: the server sends its shares and learns nothing. One flight.
///
/// # Errors
/// As the link and the peer behave.
pub fn open_to_client<D: Domain>(peer: &mut Peer, shares: &Shares<D>) -> Result<Option<Vec<u64>>> {
    let domain = shares.domain();
    match peer.party() {
        Party::Server => {
            send_elements(peer.main(), domain, shares.values())?;
            Ok(None)
        }
        Party::Client => {
            let theirs = recv_elements(peer.main(), domain, "output shares", shares.len())?;
            let mut values = shares.values().to_vec();
            domain.add_assign(&mut values, &theirs);
            Ok(Some(values))
        }
    }
}

/// One inference as the server, which learns nothing of it.
///
/// # Errors
/// As the link and the peer behave.
pub fn serve_input(peer: &mut Peer, program: &Program) -> Result<()> {
    let Program { public, weights } = program;
    let side = Serving::new(weights, peer.session().threads())?;
    let opened = match public.domain {
        AnyDomain::Ring(ring) => TwoParty::new(peer, public, ring, side).run(|_, _, _| {}),
        AnyDomain::Field(field) => TwoParty::new(peer, public, field, side).run(|_, _, _| {}),
    };
    opened.map(drop)
}

/// One inference as the client: its output, signed (indices as they are). `tell` hears the number of each
/// finished layer, how many there are, and its name.
///
/// # Errors
/// [`Error::Invalid`] if the input does not fit the program; otherwise as the link and the peer behave.
pub fn ask(
    peer: &mut Peer,
    program: &PublicProgram,
    input: &[i64],
    tell: impl FnMut(usize, usize, &str),
) -> Result<Vec<i64>> {
    let side = Asking(input);
    let opened = match program.domain {
        AnyDomain::Ring(ring) => TwoParty::new(peer, program, ring, side).run(tell),
        AnyDomain::Field(field) => TwoParty::new(peer, program, field, side).run(tell),
    };
    Ok(opened?.unwrap_or_default())
}
