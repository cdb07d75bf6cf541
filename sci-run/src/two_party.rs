//! Two parties run a program on shares over Z_2^l or Z_n.
//!
//! One backend serves both; the little that a party does differently lies behind [`Side`]. The server
//! holds the weight table, the client the input, which is shared as (0, x) without a message: a share
//! that one party may choose freely may as well be zero. In a linear layer by OT the server multiplies
//! its own share in the clear, and one product by correlated OT covers the client's share; in one by
//! lattice encryption it adds its share to what the client encrypted. Everything else is the same
//! protocol for both.

mod backend;
mod domain;
mod products;
mod side;
mod tensor;

pub(crate) use backend::{bits_of, sign_of};
pub use domain::NetDomain;
pub(crate) use domain::{fuses_truncation, linear_product};
pub use side::{Asking, Serving, Side};
pub use tensor::Tensor;

use crate::linear::packing::{ClientKeys, ServerKeys};
use crate::linear::{Prepared, Protocols};
use athos::{Error, OutputForm, Program, PublicProgram, Result, Step, execute};
use sci_core::session::{Phase, Span};
use sci_core::{Domain, Party, Prg, Shares};
use sci_ot::Peer;
use sci_ot::cot::{recv_elements, send_elements};

/// One party of a run.
pub struct TwoParty<'a, D: Domain, S> {
    peer: &'a mut Peer,
    program: &'a PublicProgram,
    domain: D,
    protocols: &'a Protocols<D>,
    side: S,
    instruction: usize,
    span: Option<Span>,
}

impl<'a, D: NetDomain, S: Side<D>> TwoParty<'a, D, S> {
    /// A party of a program over `domain` with its lattice layers.
    pub fn new(
        peer: &'a mut Peer,
        program: &'a PublicProgram,
        domain: D,
        protocols: &'a Protocols<D>,
        side: S,
    ) -> Self {
        Self { peer, program, domain, protocols, side, instruction: 0, span: None }
    }

    /// Runs the program and opens its output: `Some` at the client, signed (indices as they are).
    fn run(mut self, observe: impl FnMut(Step<'_, Tensor<D>>)) -> Result<Option<Vec<i64>>> {
        let output = execute(self.program, &mut self, observe)?;
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

/// What a server has of a model: the program with its weights, and what was derived for its lattice layers.
#[derive(Clone, Copy, Debug)]
pub struct Model<'a, D: Domain> {
    /// The program with its weights.
    pub program: &'a Program,
    /// Its domain.
    pub domain: D,
    /// Its lattice layers.
    pub protocols: &'a Protocols<D>,
    /// The weights of these.
    pub prepared: &'a Prepared,
}

/// The server's part of the lattice setup: the client's keys. One flight, none without lattice layers.
///
/// # Errors
/// As the link and the peer behave.
pub fn receive_keys<D: Domain>(
    peer: &mut Peer,
    protocols: &Protocols<D>,
) -> Result<Option<ServerKeys<D>>> {
    let Some(setup) = protocols.setup() else { return Ok(None) };
    let _span = peer.session().span("lattice encryption", "keys", Phase::Setup);
    let threads = peer.session().threads();
    setup.receive(peer.main(), threads).map(Some)
}

/// The client's part of the lattice setup.
///
/// # Errors
/// As the link behaves.
pub fn send_keys<D: Domain>(
    peer: &mut Peer,
    protocols: &Protocols<D>,
) -> Result<Option<ClientKeys<D>>> {
    let Some(setup) = protocols.setup() else { return Ok(None) };
    let _span = peer.session().span("lattice encryption", "keys", Phase::Setup);
    let threads = peer.session().threads();
    setup.send(peer.main(), threads, &mut Prg::from_os()?).map(Some)
}

/// One inference as the server, which learns nothing of it. `observe` sees this party's shares after every instruction.
///
/// # Errors
/// As the link and the peer behave.
pub fn serve_input<D: NetDomain>(
    peer: &mut Peer,
    model: Model<'_, D>,
    keys: Option<&ServerKeys<D>>,
    observe: impl FnMut(Step<'_, Tensor<D>>),
) -> Result<()> {
    let Model { program: Program { public, weights }, domain, protocols, prepared } = model;
    let side = Serving::new(weights, prepared, keys, peer.session().threads())?;
    TwoParty::new(peer, public, domain, protocols, side).run(observe).map(drop)
}

/// One inference as the client: its output, signed (indices as they are). `observe` sees this party's shares after
/// every instruction.
///
/// # Errors
/// [`Error::Invalid`] if the input does not fit the program; otherwise as the link and the peer behave.
pub fn ask<D: NetDomain>(
    peer: &mut Peer,
    program: &PublicProgram,
    protocols: &Protocols<D>,
    domain: D,
    keys: Option<&ClientKeys<D>>,
    input: &[i64],
    observe: impl FnMut(Step<'_, Tensor<D>>),
) -> Result<Vec<i64>> {
    let side = Asking::new(input, keys)?;
    let opened = TwoParty::new(peer, program, domain, protocols, side).run(observe)?;
    Ok(opened.unwrap_or_default())
}
