//! What every OT extension offers: batches of instances that take the receiver's *live* choices and
//! end in pads.
//!
//! An extension run (`extend`) costs one flight from receiver to sender. After it the sender can compute a
//! 128-bit pad for every message of every instance, the receiver just for the chosen ones. A
//! pad is used for one purpose only: the next `extend` forgets it and moves the tweak on. What is
//! sent under the pads (corrections in a domain, one-bit messages, ...) is the business of
//! [`crate::cot`] and [`crate::one_of_n`].
//!
//! The implementations differ in what travels: IKNP sends 128 bits per correlated OT, KKOT 256 per
//! 1-of-N OT; [`crate::silent`] sends one bit per COT and takes log2 N COTs for a 1-of-N OT.

use crate::one_of_n::xor_pad_bits;
use sci_core::channel::Stream;
use sci_core::prg::SecretBlocks;
use sci_core::{Bits, Block, Prg, Result};
use std::ops::Range;

/// A batch of `count` instances of 1-of-2^log_n OT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group {
    /// log2 of the number of messages of an instance, 1..=8.
    pub log_n: u32,
    /// Number of instances.
    pub count: usize,
}

/// The receiver's choices for one [`Group`]: plane b holds bit b of every choice.
#[derive(Clone, Debug)]
pub struct Choices {
    /// `log_n` planes of `count` bits.
    pub planes: Vec<Bits>,
}

impl Choices {
    /// The shape that the sender must name.
    pub fn group(&self) -> Group {
        Group { log_n: self.planes.len() as u32, count: self.planes.first().map_or(0, Bits::len) }
    }
}

/// Where the choices under which pads were made differ from those that were asked for: nowhere, with engines that
/// extend by live choices. Public, and uniform.
#[derive(Clone, Debug, Default)]
pub struct Flips(Bits);

impl Flips {
    pub(crate) fn of(bits: Bits) -> Self {
        Self(bits)
    }

    /// Those of instance `first` and of all that follow.
    pub(crate) fn starting_at(&self, first: usize) -> impl Iterator<Item = u64> + '_ {
        self.0.iter().skip(first).chain(std::iter::repeat(0))
    }
}

/// The sender of correlated OTs.
pub trait CotSender: Send {
    /// Extends by `n` instances. Receives one flight.
    ///
    /// # Errors
    /// If the link fails or the peer's message has another length.
    fn extend_cot(&mut self, stream: &mut Stream, n: usize) -> Result<()>;

    /// Sees to it that extensions of together `n` instances need no message but their own, whatever
    /// the engine does in the background. To be called by both parties at the same point; needed
    /// only where both directions of a lane are about to extend at once ([`crate::Lane::prepare`]).
    ///
    /// # Errors
    /// As [`CotSender::extend_cot`].
    fn prepare(&mut self, _stream: &mut Stream, _n: usize) -> Result<()> {
        Ok(())
    }

    /// Does, ahead of need, what the next `n` instances take besides messages of their own; nothing if the engine has
    /// no such work. To be called by both parties at the same point ([`crate::Peer::expand_ahead`]).
    ///
    /// # Errors
    /// As [`CotSender::extend_cot`].
    fn expand(&mut self, _stream: &mut Stream, _n: usize) -> Result<()> {
        Ok(())
    }

    /// The next extensions are parts of one of together `n` instances: what the engine chooses by the size of an
    /// extension, it chooses by that. To be called by both parties at the same point.
    fn announce(&mut self, _n: usize) {}

    /// How many instances have been extended so far for which [`CotSender::expand`] has work to do.
    fn taken(&self) -> u64 {
        0
    }

    /// Extends by `n` instances whose choices are uniform.
    ///
    /// # Errors
    /// As [`CotSender::extend_cot`].
    fn extend_random(&mut self, stream: &mut Stream, n: usize) -> Result<()> {
        self.extend_cot(stream, n)
    }

    /// As [`CotSender::extend_cot`], without waiting for choices where the engine can do without them: pads then are
    /// for choices that [`CotSender::flips`] turns into the receiver's. So corrections need not wait for choices.
    ///
    /// # Errors
    /// As [`CotSender::extend_cot`].
    fn extend_deferred(&mut self, stream: &mut Stream, n: usize) -> Result<()> {
        self.extend_cot(stream, n)
    }

    /// What [`CotReceiver::extend_deferred`] returned for `n` instances at the receiver, once for every extension.
    ///
    /// # Errors
    /// As [`CotSender::extend_cot`].
    fn flips(&mut self, _stream: &mut Stream, _n: usize) -> Result<Flips> {
        Ok(Flips::default())
    }

    /// Both pads of instances `first..first + out.len()` of the latest extension.
    fn cot_pads(&self, first: usize, out: &mut [[Block; 2]]);
}

/// The receiver of correlated OTs.
pub trait CotReceiver: Send {
    /// Extends by one instance for each choice bit. Sends one flight.
    ///
    /// # Errors
    /// If the link fails.
    fn extend_cot(&mut self, stream: &mut Stream, choices: &Bits) -> Result<()>;

    /// As [`CotSender::prepare`].
    ///
    /// # Errors
    /// As [`CotReceiver::extend_cot`].
    fn prepare(&mut self, _stream: &mut Stream, _n: usize) -> Result<()> {
        Ok(())
    }

    /// As [`CotSender::expand`].
    ///
    /// # Errors
    /// As [`CotReceiver::extend_cot`].
    fn expand(&mut self, _stream: &mut Stream, _n: usize) -> Result<()> {
        Ok(())
    }

    /// As [`CotSender::announce`].
    fn announce(&mut self, _n: usize) {}

    /// Whether messages besides its own come with an extension of `n` instances now: then all that the peer has sent
    /// before must be received first. Both parties would see the same.
    fn refills(&self, _n: usize) -> bool {
        false
    }

    /// As [`CotSender::taken`].
    fn taken(&self) -> u64 {
        0
    }

    /// Extends by `n` instances and returns their choices, which are uniform.
    ///
    /// # Errors
    /// As [`CotReceiver::extend_cot`].
    fn extend_random(&mut self, stream: &mut Stream, n: usize, prg: &mut Prg) -> Result<Bits> {
        let choices = Bits::sample(n, prg);
        self.extend_cot(stream, &choices)?;
        Ok(choices)
    }

    /// As [`CotReceiver::extend_cot`], for a sender that extends by [`CotSender::extend_deferred`]: the pads are
    /// those of choice xor flip.
    ///
    /// # Errors
    /// As [`CotReceiver::extend_cot`].
    fn extend_deferred(&mut self, stream: &mut Stream, choices: &Bits) -> Result<Flips> {
        self.extend_cot(stream, choices)?;
        Ok(Flips::default())
    }

    /// The chosen pads of instances `first..first + out.len()` of the latest extension.
    fn cot_pads(&self, first: usize, out: &mut [Block]);
}

/// The sender of 1-of-N OTs.
pub trait OneOfNSender: Send {
    /// Extends by the instances of all groups. Receives one flight.
    ///
    /// # Errors
    /// If the link fails or the peer's message has another length.
    fn extend_one_of_n(&mut self, stream: &mut Stream, groups: &[Group]) -> Result<()>;

    /// All pads of some instances of a group of the latest extension: instance-major, `2^log_n` each.
    fn one_of_n_pads(&self, group: usize, range: Range<usize>, out: &mut [Block]);

    /// XORs short pads of some instances of a group into `out`, as many words an instance as
    /// `2^log_n` messages of `bits` bits fill: bit t of the pad of message k is bit t 2^log_n + k.
    /// For the messages of an extension either this or [`OneOfNSender::one_of_n_pads`] serves.
    fn short_pads(
        &self,
        group: usize,
        log_n: u32,
        range: Range<usize>,
        bits: u32,
        out: &mut [u64],
    ) {
        let mut pads = SecretBlocks::zeros(range.len() << log_n);
        self.one_of_n_pads(group, range, &mut pads);
        let words = ((bits as usize) << log_n).div_ceil(64);
        for (pads, words) in pads.chunks_exact(1 << log_n).zip(out.chunks_exact_mut(words)) {
            xor_pad_bits(pads, log_n, bits, words);
        }
    }
}

/// The receiver of 1-of-N OTs.
pub trait OneOfNReceiver: Send {
    /// Extends by the instances of all groups. Sends one flight.
    ///
    /// # Errors
    /// If the link fails.
    fn extend_one_of_n(&mut self, stream: &mut Stream, choices: &[Choices]) -> Result<()>;

    /// The chosen pads of some instances of a group of the latest extension.
    fn one_of_n_pads(&self, group: usize, range: Range<usize>, out: &mut [Block]);

    /// The chosen short pads of some instances, one word each, of which the low `bits` bits count.
    fn short_pads(&self, group: usize, range: Range<usize>, _bits: u32, out: &mut [u64]) {
        let mut pads = SecretBlocks::zeros(range.len());
        self.one_of_n_pads(group, range, &mut pads);
        for (out, pad) in out.iter_mut().zip(pads.iter()) {
            *out = pad.0[0];
        }
    }
}

/// One direction of one lane, sender's side.
pub trait OtSender: CotSender + OneOfNSender {}
impl<T: CotSender + OneOfNSender> OtSender for T {}

/// One direction of one lane, receiver's side.
pub trait OtReceiver: CotReceiver + OneOfNReceiver {}
impl<T: CotReceiver + OneOfNReceiver> OtReceiver for T {}
