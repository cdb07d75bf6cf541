//! The two-party functions: plans, roles, costs.

use crate::circuit::Circuit;
use crate::evaluator::evaluate;
use crate::functions::{Gadget, GarbledDomain, checked_divisor, comparison};
use crate::garbler::{Garbled, garble};
use crate::gate::{Gates, TILE};
use sci_core::geometry::PoolGeometry;
use sci_core::hash::Tweak;
use sci_core::transpose::{bit_planes, from_bit_planes};
use sci_core::{BitShares, Bits, Block, Cost, Domain, Error, Party, Prg, Result, Shares};
use sci_ot::cot::Elements;
use sci_ot::plan::{Load, Plan};
use sci_ot::{Lane, OtKind, Peer, Role};
use std::ops::Range;
use zeroize::Zeroizing;

/// Bytes of the session's hash key and label seed.
const SEEDS: usize = 32;

/// How circuits are garbled and where the labels of the evaluator's inputs come from: all that a cost depends on
/// beside the function. An [`OtKind`] alone means half-gates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scheme {
    /// The AND gates.
    pub gates: Gates,
    /// The OTs.
    pub ot: OtKind,
}

impl From<OtKind> for Scheme {
    fn from(ot: OtKind) -> Self {
        Self { gates: Gates::HalfGates, ot }
    }
}

/// What the instances of a chunk have in common.
#[derive(Clone, Copy)]
pub(crate) struct Batch<'a> {
    pub circuit: &'a Circuit,
    /// How its AND gates are garbled.
    pub gates: Gates,
    /// Number of instances.
    pub n: usize,
    /// Start point of the hash.
    pub start: Block,
    labels: Block,
    /// Number of the call, and of its first instance here: no other batch has the same.
    call: u64,
    first: usize,
}

/// A call of a function: the hash key, the seed of its labels, its number.
#[derive(Clone, Copy)]
pub(crate) struct Call {
    gates: Gates,
    start: Block,
    labels: Block,
    number: u64,
}

impl Call {
    /// The instances of a chunk.
    pub(crate) fn batch<'a>(&self, circuit: &'a Circuit, range: &Range<usize>) -> Batch<'a> {
        let Self { gates, start, labels, number: call } = *self;
        Batch { circuit, gates, n: range.len(), start, labels, call, first: range.start }
    }
}

impl Batch<'_> {
    /// Numbers and sizes of the tiles.
    pub(crate) fn tiles(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let n = self.n;
        (0..n.div_ceil(TILE)).map(move |at| (at, TILE.min(n - at * TILE)))
    }

    /// Bytes by which the labels of one instance's inputs are corrected.
    pub(crate) fn correction_bytes(&self) -> usize {
        16 * self.circuit.evaluator_inputs()
    }

    /// Bytes of a frame of `m` instances.
    pub(crate) fn frame_bytes(&self, m: usize) -> usize {
        m * self.correction_bytes() + self.circuit.ands() * self.gates.table_bytes(m)
    }

    /// The tweak of an AND gate of a tile: as many numbers follow as it has hashes.
    pub(crate) fn tweak(&self, at: usize, m: usize, gate: usize) -> Tweak {
        let instance = self.first + at * TILE;
        let before = self.gates.keys() * (instance * self.circuit.ands() + gate * m);
        Tweak::new(self.call, before as u64)
    }

    /// The active labels of the garbler's inputs in a tile, which both parties know.
    pub(crate) fn labels(&self, at: usize) -> Prg {
        Prg::with_stream(self.labels, (self.first / TILE + at) as u64)
    }
}

/// Two parties who garble circuits for each other.
///
/// ```
/// use garbled::Garbling;
/// use sci_core::{Ring, Shares};
/// use sci_ot::peer::Settings;
/// use sci_ot::testing::run_peers;
/// let ring = Ring::new(16)?;
/// // 3 = 65533 + 6 and -2 = 1 - 3.
/// let (server, client) = run_peers(
///     Settings::default(),
///     |peer| Garbling::new(peer)?.relu(&Shares::new(ring, vec![65533, 1])?),
///     |peer| Garbling::new(peer)?.relu(&Shares::new(ring, vec![6, 65533])?),
/// )?;
/// let sum = |i: usize| server.value.values()[i].wrapping_add(client.value.values()[i]) & 0xffff;
/// assert_eq!([sum(0), sum(1)], [3, 0]);
/// # Ok::<(), sci_core::Error>(())
/// ```
pub struct Garbling<'p> {
    peer: &'p mut Peer,
    gates: Gates,
    start: Block,
    labels: Prg,
    calls: u64,
}

impl<'p> Garbling<'p> {
    /// With half-gates, as [`Garbling::with_gates`].
    ///
    /// # Errors
    /// If the link or the operating system fails.
    pub fn new(peer: &'p mut Peer) -> Result<Self> {
        Self::with_gates(peer, Gates::HalfGates)
    }

    /// Agrees on the key of the hash and the seed of the labels: 32 bytes from the server, one flight. They are public
    /// and fresh, so that no tweak ever meets the same key again. Both parties must name the same gates.
    ///
    /// # Errors
    /// If the link or the operating system fails.
    pub fn with_gates(peer: &'p mut Peer, gates: Gates) -> Result<Self> {
        let mut seeds = [0; SEEDS];
        match peer.party() {
            Party::Server => {
                Prg::from_os()?.fill_bytes(&mut seeds);
                peer.main().send(&seeds)?;
            }
            Party::Client => seeds.copy_from_slice(&peer.main().recv("garbling seeds", SEEDS)?),
        }
        let halves = seeds.as_chunks::<16>().0;
        let [start, labels] = [0, 1].map(|i| Block::from_bytes(halves[i]));
        Ok(Self { peer, gates, start, labels: Prg::new(labels), calls: 0 })
    }

    /// The cost of [`Garbling::new`].
    pub fn setup_cost() -> Cost {
        Cost::message(Party::Server, 8 * SEEDS as u64).in_rounds(1)
    }

    /// How AND gates are garbled.
    pub fn gates(&self) -> Gates {
        self.gates
    }

    /// The peers below.
    pub fn peer(&mut self) -> &mut Peer {
        self.peer
    }

    /// XOR shares of 1{a_i > b_i} for the server's a and the client's b, all below 2^bits (bits in 1..=64). With IKNP 4
    /// lambda bits a bit of an integer: l AND gates and l OTs. Two rounds.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for a bitwidth or a value out of range; otherwise as the link and the peer behave.
    pub fn compare(&mut self, bits: u32, values: &[u64]) -> Result<BitShares> {
        check_bits(bits)?;
        if let Some(at) = values.iter().position(|&x| bits < 64 && x >> bits != 0) {
            let expected = format!("an integer of {bits} bits");
            return Err(Error::invalid("value", expected, format!("a longer one at {at}")));
        }
        let circuit = comparison(bits);
        let plan = plan(values.len(), &circuit, self.gates);
        let call = self.next_call();
        self.peer.map_bits(&plan, |lane, range| {
            let n = range.len();
            let batch = call.batch(&circuit, &range);
            // The garbler's number is the first input: where the client garbles both are complemented, since a > b
            // iff the complement of b is greater than that of a.
            let server_garbles = (lane.party() == Party::Server) == (lane.role() == Role::Sender);
            let mask = u64::MAX >> (64 - bits);
            let own = |x: &u64| if server_garbles { *x } else { !x & mask };
            let numbers: Elements = Zeroizing::new(values[range].iter().map(own).collect());
            let inputs = planes(&[&numbers], &[bits]);
            let mut colours = match lane.role() {
                Role::Sender => garble(lane, &batch, &inputs)?.colours,
                Role::Receiver => evaluate(lane, &batch, &inputs)?,
            };
            Bits::from_words(n, std::mem::take(&mut colours))
        })
    }

    /// Fresh shares of max(x, 0). Two rounds; over Z_2^l with IKNP 8 lambda l - 4 lambda bits an element.
    ///
    /// # Errors
    /// As the link and the peer behave.
    pub fn relu<D: GarbledDomain>(&mut self, x: &Shares<D>) -> Result<Shares<D>> {
        let function = x.domain().relu();
        self.run(&*function, x)
    }

    /// Fresh shares of floor(x / d), rounded down, by the signed view. Two rounds.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for d = 0; otherwise as the link and the peer behave.
    pub fn divide<D: GarbledDomain>(&mut self, x: &Shares<D>, d: u64) -> Result<Shares<D>> {
        let function = x.domain().divide(checked_divisor(d)?);
        self.run(&*function, x)
    }

    /// Fresh shares of floor(x / 2^shift). Two rounds.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for a shift of 64 or more; otherwise as the link and the peer behave.
    pub fn truncate<D: GarbledDomain>(&mut self, x: &Shares<D>, shift: u32) -> Result<Shares<D>> {
        self.divide(x, power(shift)?)
    }

    /// AvgPool: sums of the windows, then the division. Two rounds for each divisor that occurs.
    ///
    /// # Errors
    /// If the batch does not fit the geometry; otherwise as the link and the peer behave.
    pub fn avgpool<D: GarbledDomain>(
        &mut self,
        x: &Shares<D>,
        geometry: &PoolGeometry,
    ) -> Result<Shares<D>> {
        let domain = x.domain();
        let sums = geometry.sums(domain, x.values())?;
        let mut out = vec![0; sums.len()];
        for (divisor, places) in places(geometry) {
            let part = places.iter().map(|&at| sums[at]).collect();
            let part = self.divide(&Shares::from_canonical(domain, part), divisor)?;
            places.iter().zip(part.values()).for_each(|(&at, &y)| out[at] = y);
        }
        Ok(Shares::from_canonical(domain, out))
    }

    /// The next call.
    pub(crate) fn next_call(&mut self) -> Call {
        self.calls += 1;
        let Self { gates, start, .. } = *self;
        Call { gates, start, labels: self.labels.next_block(), number: self.calls }
    }

    fn run<D: Domain>(&mut self, gadget: &dyn Gadget, x: &Shares<D>) -> Result<Shares<D>> {
        let domain = x.domain();
        let circuit = gadget.circuit();
        let plan = plan(x.len(), circuit, self.gates);
        let call = self.next_call();
        self.peer.map_shares(&plan, domain, |lane, range| {
            let batch = call.batch(circuit, &range);
            match lane.role() {
                Role::Sender => garbler(lane, gadget, &batch, domain, &x.values()[range]),
                Role::Receiver => evaluator(lane, gadget, &batch, domain, &x.values()[range]),
            }
        })
    }
}

fn garbler<D: Domain>(
    lane: &mut Lane,
    gadget: &dyn Gadget,
    batch: &Batch<'_>,
    domain: D,
    x: &[u64],
) -> Result<Elements> {
    let entered = gadget.enter(&mut lane.prg, x);
    let words: Vec<&[u64]> = entered.words.iter().map(|word| word.as_slice()).collect();
    let inputs = planes(&words, gadget.widths());
    let Garbled { colours, masks } = garble(lane, batch, &inputs)?;
    if gadget.decoded() {
        send_colours(lane, batch.n, &colours)?;
        return Ok(entered.shares);
    }
    let mut shares = values(&masks, domain.bits(), batch.n);
    shares.iter_mut().for_each(|share| *share = gadget.share_of_mask(*share));
    Ok(shares)
}

fn evaluator<D: Domain>(
    lane: &mut Lane,
    gadget: &dyn Gadget,
    batch: &Batch<'_>,
    domain: D,
    x: &[u64],
) -> Result<Elements> {
    let inputs = planes(&[x], &[domain.bits()]);
    let mut out = evaluate(lane, batch, &inputs)?;
    if !gadget.decoded() {
        return Ok(values(&out, domain.bits(), batch.n));
    }
    let decoding = recv_colours(lane, batch)?;
    decode(lane, domain, batch.n, &decoding, &mut out)
}

/// Sends colours of the outputs: those of 0, or those that an evaluation ended with.
pub(crate) fn send_colours(lane: &mut Lane, n: usize, colours: &[u64]) -> Result<()> {
    let mut decoding = Bits::default();
    for plane in colours.chunks_exact(n.div_ceil(TILE).max(1)) {
        decoding.extend(&Bits::from_words(n, plane.to_vec())?);
    }
    lane.stream.send_with(decoding.wire_len(), |out| decoding.write(out))
}

/// Receives what [`send_colours`] sends.
pub(crate) fn recv_colours(lane: &mut Lane, batch: &Batch<'_>) -> Result<Bits> {
    let len = batch.circuit.outputs() * batch.n;
    let frame = lane.stream.recv("colours of the output", len.div_ceil(8))?;
    Bits::read(len, &frame)
}

/// The elements that the planes of an evaluation hold.
pub(crate) fn decode<D: Domain>(
    lane: &mut Lane,
    domain: D,
    n: usize,
    decoding: &Bits,
    out: &mut [u64],
) -> Result<Elements> {
    for (i, plane) in out.chunks_exact_mut(n.div_ceil(TILE).max(1)).enumerate() {
        let colours = decoding.slice(i * n..(i + 1) * n);
        plane.iter_mut().zip(colours.words()).for_each(|(out, colours)| *out ^= colours);
    }
    let shares = values(out, domain.bits(), n);
    if shares.iter().all(|&share| domain.is_canonical(share)) {
        return Ok(shares);
    }
    let error =
        Error::misbehaved("garbled output", format!("an element of Z_{domain}"), "a larger one");
    Err(lane.stream.give_up(error))
}

/// Bit planes of the words of all elements.
pub(crate) fn planes(words: &[&[u64]], widths: &[u32]) -> Zeroizing<Vec<u64>> {
    let per_plane = words.first().map_or(0, |word| word.len().div_ceil(TILE));
    let total: u32 = widths.iter().sum();
    let mut out = Zeroizing::new(vec![0; total as usize * per_plane]);
    let mut rest = out.as_mut_slice();
    for (word, &width) in words.iter().zip(widths) {
        let (now, later) = rest.split_at_mut(width as usize * per_plane);
        bit_planes(word, width, now, per_plane);
        rest = later;
    }
    out
}

/// The elements that planes hold.
pub(crate) fn values(planes: &[u64], bits: u32, n: usize) -> Elements {
    let mut out = Zeroizing::new(vec![0; n]);
    from_bit_planes(planes, bits, &mut out, n.div_ceil(TILE));
    out
}

/// How a batch is cut: by its work, which is the rows of the OTs and the tables, so that both directions of the link
/// carry these as soon as it pays; and by what is held, which is the rows. Tables are made and used a tile at a time.
pub(crate) fn plan(n: usize, circuit: &Circuit, gates: Gates) -> Plan {
    let held = 16 * circuit.evaluator_inputs();
    let tables = (gates.table_bytes(TILE) * circuit.ands()).div_ceil(TILE);
    Plan::new(n, Load { rows: held + tables, held })
}

fn check_bits(bits: u32) -> Result<()> {
    if (1..=64).contains(&bits) { Ok(()) } else { Err(Error::invalid("bitwidth", "1..=64", bits)) }
}

fn power(shift: u32) -> Result<u64> {
    1u64.checked_shl(shift).ok_or_else(|| Error::invalid("shift", "0..=63", shift))
}

/// The outputs of a pooling layer by divisor.
fn places(geometry: &PoolGeometry) -> Vec<(u64, Vec<usize>)> {
    let mut by_divisor = std::collections::BTreeMap::<u64, Vec<usize>>::new();
    for at in 0..geometry.output_len() {
        let divisor = geometry.divisor(at % geometry.positions());
        by_divisor.entry(divisor).or_default().push(at);
    }
    by_divisor.into_iter().collect()
}

/// The cost of a circuit whose garbler reveals `decoded` output bits.
pub(crate) fn circuit_cost(
    n: usize,
    circuit: &Circuit,
    Scheme { gates, ot }: Scheme,
    decoded: usize,
) -> Cost {
    plan(n, circuit, gates).cost(|n, garbler| {
        let inputs = n * circuit.evaluator_inputs();
        let bits = 128 * inputs as u64 + 8 * (gates.bytes(n) * circuit.ands()) as u64;
        let mut cost = ot.cot_cost(inputs, garbler.peer())
            + Cost::message(garbler, bits)
            + Cost::message(garbler, (n * decoded) as u64);
        cost.pads += gates.hashes().iter().sum::<u64>() * (n * circuit.ands()) as u64;
        cost.in_rounds(2)
    })
}

/// The cost of [`Garbling::compare`]. Hashes of gates count as pads.
///
/// # Errors
/// For a bitwidth out of range.
pub fn compare_cost(n: usize, bits: u32, scheme: impl Into<Scheme>) -> Result<Cost> {
    check_bits(bits)?;
    Ok(circuit_cost(n, &comparison(bits), scheme.into(), 0))
}

/// The cost of [`Garbling::relu`].
pub fn relu_cost<D: GarbledDomain>(n: usize, domain: D, scheme: impl Into<Scheme>) -> Cost {
    gadget_cost(n, &*domain.relu(), scheme.into())
}

/// The cost of [`Garbling::divide`].
///
/// # Errors
/// For d = 0.
pub fn divide_cost<D: GarbledDomain>(
    n: usize,
    domain: D,
    d: u64,
    scheme: impl Into<Scheme>,
) -> Result<Cost> {
    Ok(gadget_cost(n, &*domain.divide(checked_divisor(d)?), scheme.into()))
}

/// The cost of [`Garbling::truncate`].
///
/// # Errors
/// For a shift of 64 or more.
pub fn truncate_cost<D: GarbledDomain>(
    n: usize,
    domain: D,
    shift: u32,
    scheme: impl Into<Scheme>,
) -> Result<Cost> {
    divide_cost(n, domain, power(shift)?, scheme)
}

/// The cost of [`Garbling::avgpool`].
///
/// # Errors
/// Never for a valid geometry.
pub fn avgpool_cost<D: GarbledDomain>(
    domain: D,
    geometry: &PoolGeometry,
    scheme: impl Into<Scheme>,
) -> Result<Cost> {
    let scheme = scheme.into();
    places(geometry).iter().try_fold(Cost::ZERO, |sum, (divisor, places)| {
        Ok(sum + divide_cost(places.len(), domain, *divisor, scheme)?)
    })
}

fn gadget_cost(n: usize, gadget: &dyn Gadget, scheme: Scheme) -> Cost {
    let circuit = gadget.circuit();
    circuit_cost(n, circuit, scheme, if gadget.decoded() { circuit.outputs() } else { 0 })
}
