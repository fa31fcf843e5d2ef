//! The git protocol, seen from a client that only reads: packets, the server's
//! advertisement, listing refs and asking for a pack. Pure encoding and
//! decoding over any byte stream; who carries the bytes is `session`'s business.
//!
//! Version 2 is asked for and version 0 understood. A request for a pack is one
//! message: what the mirror has is known from comparing refs, so everything is
//! said at once and ended with `done`, and no round of negotiation follows.

pub(crate) mod advertisement;
pub(crate) mod packet;
pub(crate) mod request;

pub(crate) use advertisement::{AdvertisedRef, Advertisement};
pub(crate) use packet::{PacketReader, WireError};
