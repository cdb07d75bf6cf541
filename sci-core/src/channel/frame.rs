//! The header of a frame.

use crate::{Error, Result};

/// Bytes of a frame header.
pub const HEADER_BYTES: usize = 12;

/// The longest payload of one frame: 64 MiB. Longer messages are sent in chunks.
pub const MAX_FRAME: usize = 64 << 20;

/// The only kind of frame there is so far.
const DATA: u16 = 0;

/// A header whose fields are in range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) len: usize,
    pub(super) stream: u16,
    pub(super) depth: u32,
}

impl Header {
    pub(super) fn encode(self) -> [u8; HEADER_BYTES] {
        debug_assert!((1..=MAX_FRAME).contains(&self.len));
        let mut out = [0; HEADER_BYTES];
        out[0..4].copy_from_slice(&(self.len as u32).to_le_bytes());
        out[4..6].copy_from_slice(&self.stream.to_le_bytes());
        out[6..10].copy_from_slice(&self.depth.to_le_bytes());
        out[10..12].copy_from_slice(&DATA.to_le_bytes());
        out
    }

    /// Parses the header of a link with `streams` streams.
    ///
    /// # Errors
    /// [`Error::PeerMisbehaved`] for an empty or over-long payload, an unknown stream or kind.
    pub(super) fn decode(bytes: &[u8; HEADER_BYTES], streams: usize) -> Result<Self> {
        let [l0, l1, l2, l3, s0, s1, d0, d1, d2, d3, k0, k1] = *bytes;
        let kind = u16::from_le_bytes([k0, k1]);
        if kind != DATA {
            return Err(Error::misbehaved("frame kind", DATA, kind));
        }
        let len = u32::from_le_bytes([l0, l1, l2, l3]);
        let stream = u16::from_le_bytes([s0, s1]);
        if usize::from(stream) >= streams {
            return Err(Error::misbehaved("frame stream", format_args!("below {streams}"), stream));
        }
        match usize::try_from(len) {
            Ok(len @ 1..=MAX_FRAME) => {
                Ok(Self { len, stream, depth: u32::from_le_bytes([d0, d1, d2, d3]) })
            }
            _ => Err(Error::misbehaved("frame length", format_args!("1..={MAX_FRAME} bytes"), len)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_survive_and_bad_ones_do_not() {
        let header = Header { len: MAX_FRAME, stream: 3, depth: 0x0102_0304 };
        assert_eq!(Header::decode(&header.encode(), 4).unwrap(), header);
        assert!(Header::decode(&header.encode(), 3).is_err());
        let mut empty = header.encode();
        empty[..4].fill(0);
        assert!(Header::decode(&empty, 4).is_err());
        let mut long = header.encode();
        long[0] = 1;
        assert!(Header::decode(&long, 4).is_err());
        let mut kind = header.encode();
        kind[11] = 1;
        assert!(Header::decode(&kind, 4).is_err());
    }
}
