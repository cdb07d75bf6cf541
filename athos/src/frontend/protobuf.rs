//! Bounding what decoding a protobuf can allocate, before it is decoded.

use crate::{Error, Result};
use prost::bytes::Buf;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

/// The largest file.
pub const MAX_FILE_BYTES: usize = 1 << 30;

/// The most messages and strings of a file. An empty one takes two bytes there and up to some
/// hundred in memory, so their number is bounded before anything is decoded.
pub const MAX_MESSAGES: usize = 1 << 20;

/// Where messages are inside messages: tags of this level and what is below them; nothing below
/// means that the bytes are counted once and not looked into.
pub(super) struct Level(pub(super) &'static [(u32, Level)]);

/// Messages that are not looked into.
pub(super) const LEAF: Level = Level(&[]);

/// Walks over a file once.
///
/// # Errors
/// [`Error::Invalid`] if it is too large, holds too many messages or is no protobuf.
pub(super) fn check_counts(bytes: &[u8], what: &'static str, level: &Level) -> Result<()> {
    if bytes.len() > MAX_FILE_BYTES {
        return Err(Error::invalid("model file", "at most 2^30 bytes", bytes.len()));
    }
    let mut left = MAX_MESSAGES;
    count(bytes, what, level, &mut left)
}

fn count(mut bytes: &[u8], what: &'static str, level: &Level, left: &mut usize) -> Result<()> {
    let malformed = |e: prost::DecodeError| Error::invalid("model file", what, e);
    while bytes.has_remaining() {
        let (tag, wire_type) = decode_key(&mut bytes).map_err(malformed)?;
        let inner = level.0.iter().find(|(known, _)| *known == tag);
        match inner {
            Some((_, inner)) if wire_type == WireType::LengthDelimited => {
                let len = decode_varint(&mut bytes).map_err(malformed)?;
                let len = usize::try_from(len).unwrap_or(usize::MAX);
                let (message, rest) = bytes
                    .split_at_checked(len)
                    .ok_or_else(|| Error::invalid("model file", what, "a truncated message"))?;
                *left = left
                    .checked_sub(1)
                    .ok_or_else(|| Error::invalid("model file", "at most 2^20 messages", "more"))?;
                if !inner.0.is_empty() {
                    count(message, what, inner, left)?;
                }
                bytes = rest;
            }
            _ => skip_field(wire_type, tag, &mut bytes, DecodeContext::default())
                .map_err(malformed)?,
        }
    }
    Ok(())
}

/// The wire type of the first field with a tag, if there is one.
pub(super) fn first_field(mut bytes: &[u8], tag: u32) -> Option<WireType> {
    while bytes.has_remaining() {
        let (found, wire_type) = decode_key(&mut bytes).ok()?;
        if found == tag {
            return Some(wire_type);
        }
        skip_field(wire_type, found, &mut bytes, DecodeContext::default()).ok()?;
    }
    None
}
