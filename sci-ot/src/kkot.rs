//! 1-of-N OT for N up to 256 by extension with a Walsh-Hadamard code (Kolesnikov and Kumaresan,
//! CRYPTO 2013).
//!
//! **Functionality.** For each instance j the sender learns N pads, the receiver with choice c_j in
//! 0..N the pad of c_j only. The pad of message k is AES-256 under the key q_j xor (c(k) and delta),
//! applied to the tweak of the instance: two codewords differ in 128 of 256 places, so that every other key has
//! 128 unknown bits. **Cost.** 256 bits per instance from receiver to sender, one flight.
//! **Assumption.** AES-256 as an ideal cipher.
//!
//! 1-of-2 instances need no code: they go to [`crate::iknp`], half the price, in the same flight.

use crate::chosen::{Choices, CotReceiver, CotSender, Group, OneOfNReceiver, OneOfNSender};
use crate::extension::{Code, ExtensionReceiver, ExtensionSender, SenderSeeds, wire_len};
use crate::iknp::{Counter, IknpReceiver, IknpSender, extension_bytes};
use sci_core::channel::Stream;
use sci_core::hash::{Row, hash_codewords, hash_rows};
use sci_core::prg::ColumnPrgs;
use sci_core::{Bits, Block, Error, Result};
use std::ops::Range;
use std::sync::Arc;

/// Payload bytes of the extension for all instances of `groups`, from receiver to sender.
pub fn groups_bytes(groups: &[Group]) -> u64 {
    let places = Places::of(groups);
    wire_len(places.rows, Code::WalshHadamard) + extension_bytes(places.cots)
}

/// Where the instances of each group stand: 1-of-2 in the COT extension, others in the wide one.
#[derive(Default)]
struct Places {
    first: Vec<usize>,
    log_n: Vec<u32>,
    rows: usize,
    cots: usize,
}

impl Places {
    fn of(groups: &[Group]) -> Self {
        let mut places = Self::default();
        for group in groups {
            let total = if group.log_n == 1 { &mut places.cots } else { &mut places.rows };
            places.first.push(*total);
            places.log_n.push(group.log_n);
            *total += group.count;
        }
        places
    }
}

fn check(groups: impl IntoIterator<Item = Group>) -> Result<()> {
    match groups.into_iter().find(|g| !(1..=8).contains(&g.log_n)) {
        Some(group) => Err(Error::misuse(format!("1-of-2^{} OT", group.log_n))),
        None => Ok(()),
    }
}

/// Codeword k of 0..256, and'ed with delta: the mask that turns a row into the key of message k.
fn masks(delta: [Block; 2]) -> Vec<Row> {
    (0..256u32)
        .map(|k| {
            let mut word = [Block::ZERO; 2];
            for (half, block) in word.iter_mut().enumerate() {
                for bit in 0..128u32 {
                    let column = half as u32 * 128 + bit;
                    let parity = u64::from((column & k).count_ones() & 1);
                    block.0[bit as usize / 64] |= parity << (bit % 64);
                }
            }
            [word[0] & delta[0], word[1] & delta[1]]
        })
        .collect()
}

/// The sender of one direction of a lane: 1-of-N by KKOT, correlated OT by IKNP.
pub struct ExtensionOtSender {
    cot: IknpSender,
    wide: ExtensionSender,
    counter: Counter,
    masks: zeroize::Zeroizing<Vec<Row>>,
    places: Places,
}

impl ExtensionOtSender {
    pub(crate) fn new(cot: IknpSender, seeds: Arc<SenderSeeds>, lane: u64) -> Self {
        let masks = masks([seeds.delta_block(0), seeds.delta_block(1)]);
        Self {
            cot,
            wide: ExtensionSender::new(Code::WalshHadamard, seeds, lane),
            counter: Counter::new(lane),
            masks: masks.into(),
            places: Places::default(),
        }
    }
}

impl CotSender for ExtensionOtSender {
    fn extend_cot(&mut self, stream: &mut Stream, n: usize) -> Result<()> {
        self.cot.extend_cot(stream, n)
    }

    fn cot_pads(&self, first: usize, out: &mut [[Block; 2]]) {
        self.cot.cot_pads(first, out);
    }
}

impl OneOfNSender for ExtensionOtSender {
    fn extend_one_of_n(&mut self, stream: &mut Stream, groups: &[Group]) -> Result<()> {
        check(groups.iter().copied())?;
        self.places = Places::of(groups);
        self.counter.advance(self.places.rows);
        self.wide.extend(stream, self.places.rows)?;
        if self.places.cots > 0 {
            self.cot.extend_cot(stream, self.places.cots)?;
        }
        Ok(())
    }

    fn one_of_n_pads(&self, group: usize, range: Range<usize>, out: &mut [Block]) {
        let first = self.places.first[group] + range.start;
        if self.places.log_n[group] == 1 {
            self.cot.cot_pads(first, out.as_chunks_mut().0);
        } else {
            let rows = &self.wide.wide()[first..first + range.len()];
            let masks = &self.masks[..1 << self.places.log_n[group]];
            hash_codewords(self.counter.tweak(first), rows, masks, out);
        }
    }
}

/// The receiver of one direction of a lane.
pub struct ExtensionOtReceiver {
    cot: IknpReceiver,
    wide: ExtensionReceiver,
    counter: Counter,
    places: Places,
}

impl ExtensionOtReceiver {
    pub(crate) fn new(cot: IknpReceiver, seeds: Arc<[ColumnPrgs; 2]>, lane: u64) -> Self {
        Self {
            cot,
            wide: ExtensionReceiver::new(Code::WalshHadamard, seeds, lane),
            counter: Counter::new(lane),
            places: Places::default(),
        }
    }
}

impl CotReceiver for ExtensionOtReceiver {
    fn extend_cot(&mut self, stream: &mut Stream, choices: &Bits) -> Result<()> {
        self.cot.extend_cot(stream, choices)
    }

    fn cot_pads(&self, first: usize, out: &mut [Block]) {
        self.cot.cot_pads(first, out);
    }
}

impl OneOfNReceiver for ExtensionOtReceiver {
    fn extend_one_of_n(&mut self, stream: &mut Stream, choices: &[Choices]) -> Result<()> {
        let groups: Vec<Group> = choices.iter().map(Choices::group).collect();
        check(groups.iter().copied())?;
        self.places = Places::of(&groups);
        self.counter.advance(self.places.rows);

        let wide = choices.iter().filter(|c| c.planes.len() > 1);
        let depth = wide.clone().map(|c| c.planes.len()).max().unwrap_or(0);
        let mut planes = vec![Bits::default(); depth];
        for group in wide {
            let count = group.group().count;
            for (b, plane) in planes.iter_mut().enumerate() {
                match group.planes.get(b) {
                    Some(bits) => plane.extend(bits),
                    None => plane.extend(&Bits::zeros(count)),
                }
            }
        }
        self.wide.extend(stream, self.places.rows, &planes)?;

        let mut narrow = Bits::default();
        for group in choices.iter().filter(|c| c.planes.len() == 1) {
            narrow.extend(&group.planes[0]);
        }
        if !narrow.is_empty() {
            self.cot.extend_cot(stream, &narrow)?;
        }
        Ok(())
    }

    fn one_of_n_pads(&self, group: usize, range: Range<usize>, out: &mut [Block]) {
        let first = self.places.first[group] + range.start;
        if self.places.log_n[group] == 1 {
            self.cot.cot_pads(first, out);
        } else {
            let rows = &self.wide.wide()[first..first + range.len()];
            hash_rows(self.counter.tweak(first), rows, out);
        }
    }
}
