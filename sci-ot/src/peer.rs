//! A session with OT engines in both directions on each of its lanes.
//!
//! [`Peer::establish`] runs 128 base OTs in one direction and grows everything else from them: IKNP
//! from server to client gives the random OTs that seed the client's extensions, and one more
//! IKNP run seeds the server's 1-of-N extension (with silent OT there is none). Four flights, 36 KiB, no
//! further public-key operation.
//!
//! The public functions of the protocol crates cut a batch into the chunks of a [`Plan`] and run a
//! kernel on each through [`Peer::map_chunks`]: lanes work side by side, so that one computes
//! while another waits for the link. In every chunk one party *leads* (is the OT sender of asymmetric
//! steps); chunks alternate.

use crate::base;
use crate::chosen::{OtReceiver, OtSender};
use crate::cot;
use crate::extension::{Code, ExtensionReceiver, ExtensionSender, SenderSeeds};
use crate::iknp::{IknpReceiver, IknpSender};
use crate::kind::OtKind;
use crate::kkot::{ExtensionOtReceiver, ExtensionOtSender};
use crate::plan::Plan;
use crate::silent::{
    self, Ahead, Bell, Growth, Meter, Seeds, SharedProducer, SilentOtReceiver, SilentOtSender,
    Terms,
};
use sci_core::channel::{Permits, Stream, lanes};
use sci_core::hash::{CrHash, derive};
use sci_core::prg::ColumnPrgs;
use sci_core::{BitShares, Bits, Block, Domain, Error, Party, Prg, Result, Session, Shares};
use std::ops::Range;
use std::sync::Arc;

/// Columns of IKNP.
const COT_BASE: usize = 128;
/// Columns of KKOT.
const ROW_BASE: usize = 256;
/// The generator stream and tweak path of the bootstrap; lanes have small numbers.
const BOOTSTRAP: u64 = u64::MAX;

/// Public choices that both parties agree on in the handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Bits of a digit in comparisons, 1..=8.
    pub radix: u32,
    /// The engine under all OTs.
    pub ot: OtKind,
    /// log2 of the dimension of the largest LPN set that silent OT may grow to, 16..=19.
    pub silent_log_k: u32,
    /// How many bytes of payload, both ways, may be spent to save a flight where a protocol has the choice: what could
    /// be made and sent in the time of one. 0: none.
    pub flight: u64,
    /// How many percent more bytes, both ways, a product may take so that the fuller direction of a full-duplex link has
    /// fewer ([`crate::linear::Product::way`]), 0..=100.
    pub surplus: u32,
}

impl Settings {
    /// With IKNP the wide leaves save bytes and cost hashing; four bits need the least time.
    pub const DEFAULT_RADIX: u32 = 4;
    /// The greatest [`Settings::flight`]: twice what 1000 MB/s carry each way in the flight of a round trip of 500 ms.
    pub const MAX_FLIGHT: u64 = 1_000_000_000;
    /// What costs no time where bytes are cheap, and halves that of products with weights that fill the ring.
    pub const DEFAULT_SURPLUS: u32 = 10;
    /// The greatest [`Settings::surplus`]. Both directions together would carry twice the bytes: nothing is gained.
    pub const MAX_SURPLUS: u32 = 100;
    /// Fast where memory is close, 0.73 bit a COT. Slower links want 2^19: 0.22.
    pub const DEFAULT_SILENT_LOG_K: u32 = 17;

    /// The default settings over another engine.
    pub fn over(ot: OtKind) -> Self {
        Self { ot, ..Self::default() }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            radix: Self::DEFAULT_RADIX,
            ot: OtKind::default(),
            silent_log_k: Self::DEFAULT_SILENT_LOG_K,
            flight: 0,
            surplus: Self::DEFAULT_SURPLUS,
        }
    }
}

/// The part this party plays in an asymmetric step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Leads: the OT sender.
    Sender,
    /// The OT receiver.
    Receiver,
}

/// One logical conversation with its own OT extensions.
pub struct Lane {
    /// The framed stream.
    pub stream: Stream,
    /// OTs in which this party sends.
    pub send: Box<dyn OtSender>,
    /// OTs in which this party receives.
    pub recv: Box<dyn OtReceiver>,
    /// Local randomness.
    pub prg: Prg,
    pub(crate) party: Party,
    leader: Party,
    settings: Settings,
}

impl Lane {
    /// This party.
    pub fn party(&self) -> Party {
        self.party
    }

    /// The part this party plays in the current chunk.
    pub fn role(&self) -> Role {
        if self.party == self.leader { Role::Sender } else { Role::Receiver }
    }

    /// The agreed settings.
    pub fn settings(&self) -> Settings {
        self.settings
    }
}

impl Lane {
    /// Sees to it that the next extensions, of together `sends` instances in which this party sends
    /// and `receives` in which it receives, need no message but their own. Where both directions
    /// extend side by side each party would otherwise wait for the other's refill. Both must call it at the same
    /// point, one with the numbers of the other exchanged.
    ///
    /// # Errors
    /// As the link and the peer behave.
    pub fn prepare(&mut self, sends: usize, receives: usize) -> Result<()> {
        match self.party {
            Party::Server => {
                self.send.prepare(&mut self.stream, sends)?;
                self.recv.prepare(&mut self.stream, receives)
            }
            Party::Client => {
                self.recv.prepare(&mut self.stream, receives)?;
                self.send.prepare(&mut self.stream, sends)
            }
        }
    }
}

impl Lane {
    /// The next extensions are parts of one of together `sends` instances in which this party sends, and of one of
    /// `receives` in which it receives. Both must call it at the same point.
    pub fn announce(&mut self, sends: usize, receives: usize) {
        self.send.announce(sends);
        self.recv.announce(receives);
    }
}

impl lanes::Lane for Lane {
    fn stream(&mut self) -> &mut Stream {
        &mut self.stream
    }
}

/// Extension state that all lanes share: seeds and hash keys, by direction.
struct Foundation {
    cot_send: Arc<SenderSeeds>,
    row_send: Arc<SenderSeeds>,
    cot_recv: Arc<[ColumnPrgs; 2]>,
    row_recv: Arc<[ColumnPrgs; 2]>,
    send_hash: Arc<CrHash>,
    recv_hash: Arc<CrHash>,
}

/// Both parties after the set-up of oblivious transfer.
pub struct Peer {
    session: Session,
    main: Stream,
    pub(crate) lanes: Vec<Lane>,
    permits: Arc<Permits>,
    settings: Settings,
    /// Who expands silent OT ahead of need.
    ahead: Option<Ahead>,
}

impl Peer {
    /// Runs the base OTs and their bootstrap. Both parties must call it with the same settings.
    ///
    /// # Errors
    /// [`Error::InvalidInput`] for settings out of range; otherwise as the link and the peer behave.
    pub fn establish(mut session: Session, settings: Settings) -> Result<Self> {
        if !(1..=8).contains(&settings.radix) {
            return Err(Error::invalid("radix", "1..=8", settings.radix));
        }
        if !(16..=19).contains(&settings.silent_log_k) {
            let given = settings.silent_log_k;
            return Err(Error::invalid("log2 k of silent OT", "16..=19", given));
        }
        if settings.flight > Settings::MAX_FLIGHT {
            let most = format_args!("at most {} bytes", Settings::MAX_FLIGHT);
            return Err(Error::invalid("flight", most, settings.flight));
        }
        if settings.surplus > Settings::MAX_SURPLUS {
            return Err(Error::invalid("surplus", "0..=100", settings.surplus));
        }
        let party = session.party();
        let foundation = match party {
            Party::Server => server_foundation(&mut session, settings.ot)?,
            Party::Client => client_foundation(&mut session, settings.ot)?,
        };
        let permits = Arc::clone(session.permits());
        let mut streams = session.take_streams().into_iter();
        let (Some(main), true) = (streams.next(), session.lanes() > 0) else {
            return Err(Error::misuse("a session without lanes"));
        };
        let (bell, mut pools) = (Arc::default(), Vec::new());
        let lanes = streams
            .map(|stream| foundation.lane(stream, &session, settings, &bell, &mut pools))
            .collect::<Result<Vec<_>>>()?;
        let ahead = match pools.is_empty() {
            true => None,
            false => Some(Ahead::start(bell, &permits, pools)?),
        };
        let mut peer = Self { session, main, lanes, permits, settings, ahead };
        // What follows is a chain of its own, not part of the last flight of the set-up.
        peer.align();
        Ok(peer)
    }

    /// This party.
    pub fn party(&self) -> Party {
        self.session.party()
    }

    /// The agreed settings.
    pub fn settings(&self) -> Settings {
        self.settings
    }

    /// The session below: its identity, its spans and figures.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// The main stream, for what is not cut into chunks.
    pub fn main(&mut self) -> &mut Stream {
        &mut self.main
    }

    /// Runs what computes on all cores and talks over the main stream. While it waits for the link, correlated OTs are
    /// expanded ahead of need.
    ///
    /// # Errors
    /// What `work` returns.
    pub fn on_main<T, E>(
        &mut self,
        work: impl FnOnce(&mut Stream) -> std::result::Result<T, E>,
    ) -> std::result::Result<T, E> {
        let _open = self.ahead.as_ref().map(Ahead::open);
        self.main.attach_permits(&self.permits, self.permits.total());
        let result = work(&mut self.main);
        self.main.detach_permits();
        result
    }

    /// Brings the main stream and all lanes to the same depth: what follows depends on all of them.
    fn align(&mut self) {
        let depth = lanes::align(&mut self.lanes).max(self.main.depth());
        self.main.set_depth(depth);
        for lane in &mut self.lanes {
            lane.stream.set_depth(depth);
        }
    }

    /// Runs `kernel` on every chunk of the plan, lanes side by side; results in the order of the chunks.
    ///
    /// # Errors
    /// The first error of any chunk; the session is then given up.
    pub fn map_chunks<T: Send>(
        &mut self,
        plan: &Plan,
        kernel: impl Fn(&mut Lane, Range<usize>) -> Result<T> + Sync,
    ) -> Result<Vec<T>> {
        let chunks: Vec<Range<usize>> = plan.chunks().collect();
        let active = chunks.len().min(self.lanes.len());
        self.align();
        let _open = self.ahead.as_ref().map(Ahead::open);
        let mut by_lane = lanes::run(&mut self.lanes[..active], &self.permits, |index, lane| {
            let base = lane.stream.depth();
            let mut deepest = base;
            let mut results = Vec::new();
            for (chunk, range) in chunks.iter().enumerate().skip(index).step_by(active) {
                // Chunks do not depend on each other: each starts its chain anew.
                lane.stream.set_depth(base);
                lane.leader = Plan::leader(chunk);
                results.push(kernel(lane, range.clone())?);
                deepest = deepest.max(lane.stream.depth());
            }
            lane.stream.set_depth(deepest);
            Ok(results.into_iter())
        })?;
        drop(_open);
        self.align();
        Ok((0..chunks.len()).filter_map(|chunk| by_lane[chunk % active].next()).collect())
    }

    /// [`Peer::map_chunks`] for kernels that return elements of a domain.
    ///
    /// # Errors
    /// As [`Peer::map_chunks`].
    pub fn map_shares<D: Domain>(
        &mut self,
        plan: &Plan,
        domain: D,
        kernel: impl Fn(&mut Lane, Range<usize>) -> Result<cot::Elements> + Sync,
    ) -> Result<Shares<D>> {
        let parts = self.map_chunks(plan, kernel)?;
        let mut values = Vec::with_capacity(parts.iter().map(|p| p.len()).sum());
        parts.iter().for_each(|part| values.extend_from_slice(part));
        Ok(Shares::from_canonical(domain, values))
    }

    /// [`Peer::map_chunks`] for kernels that return bits.
    ///
    /// # Errors
    /// As [`Peer::map_chunks`].
    pub fn map_bits(
        &mut self,
        plan: &Plan,
        kernel: impl Fn(&mut Lane, Range<usize>) -> Result<Bits> + Sync,
    ) -> Result<BitShares> {
        let mut all = Bits::default();
        self.map_chunks(plan, kernel)?.iter().for_each(|part| all.extend(part));
        Ok(BitShares::new(all))
    }
}

impl Foundation {
    /// A lane, and its pools among the others.
    fn lane(
        &self,
        stream: Stream,
        session: &Session,
        settings: Settings,
        bell: &Arc<Bell>,
        pools: &mut Vec<SharedProducer>,
    ) -> Result<Lane> {
        let (id, party) = (u64::from(stream.id()), session.party());
        let (send, recv): (Box<dyn OtSender>, Box<dyn OtReceiver>) = match settings.ot {
            OtKind::Iknp => {
                let (seeds, hash) = (Arc::clone(&self.cot_send), Arc::clone(&self.send_hash));
                let cot_send = IknpSender::new(seeds, hash, id);
                let (seeds, hash) = (Arc::clone(&self.cot_recv), Arc::clone(&self.recv_hash));
                let cot_recv = IknpReceiver::new(seeds, hash, id);
                (
                    Box::new(ExtensionOtSender::new(cot_send, Arc::clone(&self.row_send), id)),
                    Box::new(ExtensionOtReceiver::new(cot_recv, Arc::clone(&self.row_recv), id)),
                )
            }
            OtKind::Silent => {
                let meter =
                    Meter { recorder: session.recorder().clone(), threads: session.threads() };
                let growth = Growth { largest: settings.silent_log_k };
                let seeds = silent_seeds(session.id(), party);
                let (ahead, bell) =
                    (silent::outputs_ahead(settings.flight, 2 * session.lanes()), Arc::clone(bell));
                let sends = Terms { lane: id, seeds, growth, ahead, meter, bell };
                let seeds = silent_seeds(session.id(), party.peer());
                let receives = Terms { seeds, ..sends.clone() };
                let (seeds, hash) = (Arc::clone(&self.cot_send), Arc::clone(&self.send_hash));
                let rows = ExtensionSender::new(Code::Repetition, seeds, id);
                let send = SilentOtSender::new(rows, hash, sends)?;
                let (seeds, hash) = (Arc::clone(&self.cot_recv), Arc::clone(&self.recv_hash));
                let rows = ExtensionReceiver::new(Code::Repetition, seeds, id);
                let recv = SilentOtReceiver::new(rows, hash, receives)?;
                pools.extend([send.pool(), recv.pool()]);
                (Box::new(send), Box::new(recv))
            }
        };
        let prg = Prg::from_os()?;
        Ok(Lane { stream, send, recv, prg, party, leader: Party::Server, settings })
    }
}

/// The public seeds of the silent OTs that `sender` sends.
fn silent_seeds(session: &[u8; 32], sender: Party) -> Seeds {
    let (trees, matrices) = match sender {
        Party::Server => ("OT trees, server to client", "OT matrices, server to client"),
        Party::Client => ("OT trees, client to server", "OT matrices, client to server"),
    };
    Seeds { trees: derive(session, trees), matrices: derive(session, matrices) }
}

/// The hash key of the OTs that `sender` sends.
fn hash_of(session: &[u8; 32], sender: Party) -> Arc<CrHash> {
    let label = match sender {
        Party::Server => "COT pads, server to client",
        Party::Client => "COT pads, client to server",
    };
    Arc::new(CrHash::new(derive(session, label)))
}

fn sender_seeds(delta: Bits, keys: &[Block]) -> Arc<SenderSeeds> {
    Arc::new(SenderSeeds { delta, columns: ColumnPrgs::new(keys) })
}

fn receiver_seeds(pairs: &[[Block; 2]]) -> Arc<[ColumnPrgs; 2]> {
    let column = |b: usize| {
        let keys = zeroize::Zeroizing::new(pairs.iter().map(|p| p[b]).collect::<Vec<_>>());
        ColumnPrgs::new(&keys)
    };
    Arc::new([column(0), column(1)])
}

/// Base OTs of the 1-of-N extension: silent OT has none.
fn row_base(ot: OtKind) -> usize {
    match ot {
        OtKind::Iknp => ROW_BASE,
        OtKind::Silent => 0,
    }
}

/// The sender's choices. With silent OT the first is 1, the convention under which the lowest bit of
/// a correlated OT is its choice; that leaves 127 random bits.
fn delta(ot: OtKind, n: usize, prg: &mut Prg) -> Bits {
    let mut delta = Bits::sample(n, prg);
    if ot == OtKind::Silent {
        delta.set(0, true);
    }
    delta
}

fn server_foundation(session: &mut Session, ot: OtKind) -> Result<Foundation> {
    let row_base = row_base(ot);
    let id = *session.id();
    let (send_hash, recv_hash) = (hash_of(&id, Party::Server), hash_of(&id, Party::Client));
    let mut prg = Prg::from_os()?;
    let stream = session.stream();

    let delta = delta(ot, COT_BASE, &mut prg);
    let keys = base::receive(stream, &id, &delta, &mut prg)?;
    let cot_send = sender_seeds(delta, &keys);

    let mut grow = IknpSender::new(Arc::clone(&cot_send), Arc::clone(&send_hash), BOOTSTRAP);
    let pairs = cot::send_random(stream, &mut grow, COT_BASE + row_base)?;
    let (cot_pairs, row_pairs) = pairs.split_at(COT_BASE);
    let (cot_recv, row_recv) = (receiver_seeds(cot_pairs), receiver_seeds(row_pairs));

    let mut grow = IknpReceiver::new(Arc::clone(&cot_recv), Arc::clone(&recv_hash), BOOTSTRAP);
    let delta = Bits::sample(row_base, &mut prg);
    let keys = cot::recv_random(stream, &mut grow, &delta)?;
    let row_send = sender_seeds(delta, &keys);
    Ok(Foundation { cot_send, row_send, cot_recv, row_recv, send_hash, recv_hash })
}

fn client_foundation(session: &mut Session, ot: OtKind) -> Result<Foundation> {
    let row_base = row_base(ot);
    let id = *session.id();
    let (send_hash, recv_hash) = (hash_of(&id, Party::Client), hash_of(&id, Party::Server));
    let mut prg = Prg::from_os()?;
    let stream = session.stream();

    let pairs = base::send(stream, &id, COT_BASE, &mut prg)?;
    let cot_recv = receiver_seeds(&pairs);

    let mut grow = IknpReceiver::new(Arc::clone(&cot_recv), Arc::clone(&recv_hash), BOOTSTRAP);
    let delta = delta(ot, COT_BASE + row_base, &mut prg);
    let keys = cot::recv_random(stream, &mut grow, &delta)?;
    let (cot_keys, row_keys) = keys.split_at(COT_BASE);
    let cot_send = sender_seeds(delta.slice(0..COT_BASE), cot_keys);
    let row_send = sender_seeds(delta.slice(COT_BASE..COT_BASE + row_base), row_keys);

    let mut grow = IknpSender::new(Arc::clone(&cot_send), Arc::clone(&send_hash), BOOTSTRAP);
    let pairs = cot::send_random(stream, &mut grow, row_base)?;
    let row_recv = receiver_seeds(&pairs);
    Ok(Foundation { cot_send, row_send, cot_recv, row_recv, send_hash, recv_hash })
}
