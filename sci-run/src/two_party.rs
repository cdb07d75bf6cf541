//! Two parties run a program on shares over Z_2^l.
//!
//! One backend serves both; the little that a party does differently lies behind [`Side`]. The server
//! holds the weight table, the client the input, which is shared as (0, x) without a message: a share
//! that one party may choose freely may as well be zero. In a linear layer the server multiplies its
//! own share in the clear, and one product by correlated OT covers the client's share. Everything
//! else is the same protocol for both.

use athos::llil::{AxisGeometry, Broadcast, Rearrange, Sign};
use athos::{
    Backend, Error, OutputForm, Program, PublicProgram, Result, WeightId, Weights, execute, product,
};
use millionaires::Precision;
use millionaires::argmax::argmax;
use millionaires::maxpool::{Windows, maxpool};
use millionaires::relu::relu;
use sci_core::geometry::{ConvGeometry, LinearGeometry, PoolGeometry};
use sci_core::session::{Phase, Span};
use sci_core::{AnyDomain, Domain, Party, Ring, Shares};
use sci_ot::Peer;
use sci_ot::cot::{recv_elements, send_elements};
use sci_ot::linear::{Matrix, Product, elementwise, matmul};
use std::ops::Range;
use truncation::avgpool::avgpool;
use truncation::truncate::truncate;
use zeroize::Zeroizing;

/// What one party knows that the other does not.
pub trait Side {
    /// This party's share of the input.
    ///
    /// # Errors
    /// [`Error::Invalid`] if the input does not fit the program.
    fn input(&self, ring: Ring, len: usize) -> Result<Shares<Ring>>;

    /// This party's operand of a product of weights and the client's shares: what `load` makes of the
    /// weights (kept in `own`), or the shares.
    ///
    /// # Errors
    /// What `load` returns.
    fn operand<'a>(
        &self,
        shares: &'a [u64],
        own: &'a mut Zeroizing<Vec<i64>>,
        load: impl FnOnce(&Weights) -> Result<Vec<i64>>,
    ) -> Result<Matrix<'a>>;

    /// Adds to a shared tensor what the owner of the weights computes alone.
    ///
    /// # Errors
    /// What `part` returns.
    fn alone(
        &self,
        out: &mut Shares<Ring>,
        part: impl FnOnce(&Weights) -> Result<Vec<u64>> + Send,
    ) -> Result<()>;
}

/// The server's side.
#[derive(Debug)]
pub struct Serving<'a> {
    weights: &'a Weights,
    /// For what it computes alone: as many threads as the session may use.
    pool: rayon::ThreadPool,
}

/// The client's side.
#[derive(Debug)]
pub struct Asking<'a>(&'a [i64]);

impl Side for Serving<'_> {
    fn input(&self, ring: Ring, len: usize) -> Result<Shares<Ring>> {
        Ok(Shares::zeros(ring, len))
    }

    fn operand<'a>(
        &self,
        _: &'a [u64],
        own: &'a mut Zeroizing<Vec<i64>>,
        load: impl FnOnce(&Weights) -> Result<Vec<i64>>,
    ) -> Result<Matrix<'a>> {
        *own = Zeroizing::new(load(self.weights)?);
        Ok(Matrix::Weights(own))
    }

    fn alone(
        &self,
        out: &mut Shares<Ring>,
        part: impl FnOnce(&Weights) -> Result<Vec<u64>> + Send,
    ) -> Result<()> {
        let own = self.pool.install(|| part(self.weights))?;
        Ok(out.add_assign(&Shares::from_canonical(out.domain(), own))?)
    }
}

impl Side for Asking<'_> {
    fn input(&self, ring: Ring, len: usize) -> Result<Shares<Ring>> {
        if self.0.len() != len {
            return Err(Error::invalid("input", format!("{len} numbers"), self.0.len()));
        }
        let values: Vec<u64> = self.0.iter().map(|&x| ring.from_signed(x)).collect();
        if self.0.iter().zip(&values).any(|(&x, &v)| ring.to_signed(v) != x) {
            let expected = format!("values that fit Z_{ring}");
            return Err(Error::invalid("input", expected, "larger ones"));
        }
        Ok(Shares::from_canonical(ring, values))
    }

    fn operand<'a>(
        &self,
        shares: &'a [u64],
        _: &'a mut Zeroizing<Vec<i64>>,
        _: impl FnOnce(&Weights) -> Result<Vec<i64>>,
    ) -> Result<Matrix<'a>> {
        Ok(Matrix::Inputs(shares))
    }

    fn alone(
        &self,
        _: &mut Shares<Ring>,
        _: impl FnOnce(&Weights) -> Result<Vec<u64>> + Send,
    ) -> Result<()> {
        Ok(())
    }
}

/// One party of a run.
pub struct TwoParty<'a, S> {
    peer: &'a mut Peer,
    program: &'a PublicProgram,
    ring: Ring,
    side: S,
    span: Option<Span>,
}

impl<'a, S> TwoParty<'a, S> {
    fn new(peer: &'a mut Peer, program: &'a PublicProgram, side: S) -> Result<Self> {
        let ring = match program.domain {
            AnyDomain::Ring(ring) => ring,
            AnyDomain::Field(field) => {
                return Err(Error::invalid("domain", "a ring Z_2^l", field));
            }
        };
        Ok(Self { peer, program, ring, side, span: None })
    }
}

impl<'a> TwoParty<'a, Serving<'a>> {
    /// The server.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a domain that has no protocols yet.
    pub fn server(
        peer: &'a mut Peer,
        program: &'a PublicProgram,
        weights: &'a Weights,
    ) -> Result<Self> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(peer.session().threads()).build();
        let pool = pool.map_err(|e| sci_core::Error::resource(format!("no threads: {e}")))?;
        Self::new(peer, program, Serving { weights, pool })
    }
}

impl<'a> TwoParty<'a, Asking<'a>> {
    /// The client, with one quantised input.
    ///
    /// # Errors
    /// As [`TwoParty::server`].
    pub fn client(
        peer: &'a mut Peer,
        program: &'a PublicProgram,
        input: &'a [i64],
    ) -> Result<Self> {
        Self::new(peer, program, Asking(input))
    }
}

/// Opens a tensor to the client: the server sends its shares and learns nothing. One flight.
///
/// # Errors
/// As the link and the peer behave.
pub fn open_to_client(peer: &mut Peer, shares: &Shares<Ring>) -> Result<Option<Vec<u64>>> {
    let ring = shares.domain();
    match peer.party() {
        Party::Server => {
            send_elements(peer.main(), ring, shares.values())?;
            Ok(None)
        }
        Party::Client => {
            let theirs = recv_elements(peer.main(), ring, "output shares", shares.len())?;
            let mut values = shares.values().to_vec();
            ring.add_assign(&mut values, &theirs);
            Ok(Some(values))
        }
    }
}

/// One inference as the server, which learns nothing of it.
///
/// # Errors
/// As the link and the peer behave.
pub fn serve_input(peer: &mut Peer, program: &Program) -> Result<()> {
    let mut backend = TwoParty::server(peer, &program.public, &program.weights)?;
    let output = execute(&program.public, &mut backend, |_| {})?;
    backend.open(&output).map(drop)
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
    mut tell: impl FnMut(usize, usize, &str),
) -> Result<Vec<i64>> {
    let mut backend = TwoParty::client(peer, program, input)?;
    let output = execute(program, &mut backend, |step| {
        tell(step.index, step.total, &step.instruction.name);
    })?;
    let opened = backend.open(&output)?.unwrap_or_default();
    Ok(match program.output_form {
        OutputForm::ArgMax => opened.into_iter().map(|index| index as i64).collect(),
        OutputForm::Logits => opened.into_iter().map(|x| output.domain().to_signed(x)).collect(),
    })
}

impl<S> TwoParty<'_, S> {
    /// Ends the last layer's statistics and opens the result: `Some` at the client.
    ///
    /// # Errors
    /// As [`open_to_client`].
    pub fn open(mut self, output: &Shares<Ring>) -> Result<Option<Vec<u64>>> {
        self.span = None;
        let _span = self.peer.session().span("output", "Open", Phase::Online).backend("ot");
        open_to_client(self.peer, output)
    }

    fn factor_bits(&self, weight: WeightId) -> Result<u32> {
        let info = self.program.weights.get(weight.index());
        let info = info.ok_or_else(|| Error::Misuse(format!("no weight {weight}")))?;
        Ok(self.program.bits_of(info))
    }
}

impl<S: Side> TwoParty<'_, S> {
    /// Shares of W X for the client's share X: rows, inner and columns, and where W stands in its tensor.
    fn cross(
        &mut self,
        weight: WeightId,
        range: Range<usize>,
        [rows, inner, columns]: [usize; 3],
        shares: &[u64],
    ) -> Result<Shares<Ring>> {
        let weight_bits = self.factor_bits(weight)?;
        let product = Product { domain: self.ring, rows, inner, columns, weight_bits };
        let mut own = Zeroizing::default();
        let operand = self.side.operand(shares, &mut own, |weights| {
            let all = signed(weights, weight)?;
            let part = all.get(range).map(<[i64]>::to_vec);
            part.ok_or_else(|| Error::Misuse(format!("a range beyond {weight}")))
        })?;
        Ok(matmul(self.peer, &product, operand, product.cheapest(self.peer.settings().ot))?)
    }
}

fn signed(weights: &Weights, id: WeightId) -> Result<Zeroizing<Vec<i64>>> {
    Ok(Zeroizing::new(weights.get(id)?.to_signed()))
}

fn elements(weights: &Weights, id: WeightId, ring: Ring) -> Result<Zeroizing<Vec<u64>>> {
    Ok(Zeroizing::new(weights.get(id)?.to_domain(ring)))
}

impl<S: Side> Backend for TwoParty<'_, S> {
    type Secret = Shares<Ring>;
    type Error = Error;

    fn enter_layer(&mut self, _: usize, name: &str, op: &'static str) -> Result<()> {
        self.span = None;
        let span = self.peer.session().span(name.to_owned(), op, Phase::Online);
        self.span = Some(span.backend("ot"));
        Ok(())
    }

    fn input(&mut self, shape: &[usize]) -> Result<Shares<Ring>> {
        self.side.input(self.ring, shape.iter().product())
    }

    fn conv(
        &mut self,
        x: &Shares<Ring>,
        weight: WeightId,
        bias: Option<WeightId>,
        geometry: &ConvGeometry,
    ) -> Result<Shares<Ring>> {
        let (rows, inner) = (geometry.group_out(), geometry.patch_len());
        let columns = geometry.positions();
        let image_len = geometry.in_channels() * geometry.input_plane();
        let mut values = Vec::with_capacity(geometry.output_len());
        let mut patches = Zeroizing::new(vec![0; inner * columns]);
        for image in x.values().chunks_exact(image_len) {
            for group in 0..geometry.groups() {
                geometry.im2col(image, group, 0..columns, 0, &mut patches)?;
                let range = group * rows * inner..(group + 1) * rows * inner;
                let part = self.cross(weight, range, [rows, inner, columns], &patches)?;
                values.extend_from_slice(part.values());
            }
        }
        let ring = self.ring;
        let mut out = Shares::from_canonical(ring, values);
        self.side.alone(&mut out, |weights| {
            let bias = bias.map(|bias| elements(weights, bias, ring)).transpose()?;
            let bias = bias.as_ref().map(|bias| bias.as_slice());
            product::conv(ring, x.values(), &signed(weights, weight)?, bias, geometry)
        })?;
        Ok(out)
    }

    fn linear(
        &mut self,
        x: &Shares<Ring>,
        weight: WeightId,
        bias: Option<WeightId>,
        geometry: &LinearGeometry,
    ) -> Result<Shares<Ring>> {
        let (rows, inner, columns) = (geometry.outer(), geometry.inner(), geometry.rows());
        let transposed = Zeroizing::new(transpose(x.values(), columns, inner));
        let shape = [rows, inner, columns];
        let product = self.cross(weight, 0..rows * inner, shape, &transposed)?;
        let ring = self.ring;
        let mut out = Shares::from_canonical(ring, transpose(product.values(), rows, columns));
        self.side.alone(&mut out, |weights| {
            let bias = bias.map(|bias| elements(weights, bias, ring)).transpose()?;
            let bias = bias.as_ref().map(|bias| bias.as_slice());
            product::linear(ring, x.values(), &signed(weights, weight)?, bias, geometry)
        })?;
        Ok(out)
    }

    fn add(&mut self, x: &Shares<Ring>, y: &Shares<Ring>) -> Result<Shares<Ring>> {
        let mut sum = x.clone();
        sum.add_assign(y)?;
        Ok(sum)
    }

    fn sub(&mut self, x: &Shares<Ring>, y: &Shares<Ring>) -> Result<Shares<Ring>> {
        let mut difference = x.clone();
        difference.sub_assign(y)?;
        Ok(difference)
    }

    fn mul_public(&mut self, x: &Shares<Ring>, factor: i64) -> Result<Shares<Ring>> {
        let mut multiple = x.clone();
        multiple.scale_assign(self.ring.from_signed(factor));
        Ok(multiple)
    }

    fn add_weight(
        &mut self,
        x: &Shares<Ring>,
        weight: WeightId,
        broadcast: &Broadcast,
    ) -> Result<Shares<Ring>> {
        let (ring, mut sum) = (self.ring, x.clone());
        self.side.alone(&mut sum, |weights| broadcast.expand(&elements(weights, weight, ring)?))?;
        Ok(sum)
    }

    fn mul_weight(
        &mut self,
        x: &Shares<Ring>,
        weight: WeightId,
        broadcast: &Broadcast,
    ) -> Result<Shares<Ring>> {
        let (ring, weight_bits) = (self.ring, self.factor_bits(weight)?);
        let mut own = Zeroizing::default();
        let operand = self
            .side
            .operand(x.values(), &mut own, |weights| broadcast.expand(&signed(weights, weight)?))?;
        let mut out = elementwise(self.peer, ring, weight_bits, operand)?;
        self.side.alone(&mut out, |weights| {
            let factors = Zeroizing::new(broadcast.expand(&elements(weights, weight, ring)?)?);
            Ok(x.values().iter().zip(factors.iter()).map(|(&x, &w)| ring.mul(x, w)).collect())
        })?;
        Ok(out)
    }

    fn relu(&mut self, x: &Shares<Ring>) -> Result<Shares<Ring>> {
        Ok(relu(self.peer, x, Precision::Full)?)
    }

    fn max_pool(&mut self, x: &Shares<Ring>, geometry: &PoolGeometry) -> Result<Shares<Ring>> {
        Ok(maxpool(self.peer, x, &Windows::of(geometry)?, Precision::Full)?)
    }

    fn avg_pool(&mut self, x: &Shares<Ring>, geometry: &PoolGeometry) -> Result<Shares<Ring>> {
        // The sum may wrap, so that nothing is known of its sign whatever is known of x.
        Ok(avgpool(self.peer, x, geometry, truncation::Sign::Unknown, Precision::Full)?)
    }

    fn truncate(&mut self, x: &Shares<Ring>, shift: u32, sign: Sign) -> Result<Shares<Ring>> {
        let sign = match sign {
            Sign::Unknown => truncation::Sign::Unknown,
            Sign::NonNegative => truncation::Sign::NonNegative,
        };
        Ok(truncate(self.peer, x, shift, sign)?)
    }

    fn arg_max(&mut self, x: &Shares<Ring>, axis: &AxisGeometry) -> Result<Shares<Ring>> {
        let block = (axis.len * axis.inner).max(1);
        let along = |block: &[u64]| {
            let columns = (0..axis.inner).map(|i| block.iter().skip(i).step_by(axis.inner));
            columns.flatten().copied().collect::<Vec<_>>()
        };
        let rows = x.values().chunks_exact(block).flat_map(along).collect();
        let rows = Shares::from_canonical(self.ring, rows);
        Ok(argmax(self.peer, &rows, axis.len, Precision::Full)?)
    }

    fn rearrange(
        &mut self,
        inputs: &[&Shares<Ring>],
        rearrange: &Rearrange,
    ) -> Result<Shares<Ring>> {
        let inputs: Vec<&[u64]> = inputs.iter().map(|x| x.values()).collect();
        Ok(Shares::from_canonical(self.ring, rearrange.apply(&inputs)?))
    }
}

/// Row-major rows x columns to columns x rows.
fn transpose(values: &[u64], rows: usize, columns: usize) -> Vec<u64> {
    if rows == 1 || columns == 1 {
        return values.to_vec();
    }
    (0..columns).flat_map(|c| (0..rows).map(move |r| values[r * columns + c])).collect()
}
