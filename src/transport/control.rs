//! Small things one side tells the other until they are acknowledged.

use crate::wire::frame::Frame;

/// A control frame that goes again until it is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// The app accepted.
    Accept,
    /// Shall we end, nothing happens?
    IdlePropose,
    /// Yes.
    IdleConsent,
    /// No: ask again after so many milliseconds.
    IdleRefuse(u64),
    /// How well the peer's packets arrive here, 0 to 100.
    Quality(u8),
}

impl Control {
    pub(super) fn frame(self) -> Frame<'static> {
        match self {
            Control::Accept => Frame::Accept,
            Control::IdlePropose => Frame::IdlePropose,
            Control::IdleConsent => Frame::IdleConsent,
            Control::IdleRefuse(remaining_ms) => Frame::IdleRefuse { remaining_ms },
            Control::Quality(percent) => Frame::Quality { percent },
        }
    }
}
