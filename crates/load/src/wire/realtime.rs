//! What both formats of the realtime protocol share: the request that opens a connection, and what the
//! actions of frames mean.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::websocket::{self, Opcode};
use super::{Event, Phase, Place, WireError};
use crate::LoadError;

/// The protocol's version that is asked for.
const VERSION: u32 = 5;

/// A format of frames: where it keeps the few fields that matter.
pub(super) trait Format {
    const NAME: &str;
    const OPCODE: Opcode;

    fn action(frame: &[u8]) -> Option<u64>;
    fn serial(frame: &[u8]) -> Option<u64>;
    fn count(frame: &[u8]) -> Option<u64>;
}

/// With further parameters behind the usual ones.
pub(super) fn hello<F: Format>(place: &Place, more: &str) -> Result<Vec<u8>, LoadError> {
    let key = place.key.as_deref().ok_or(LoadError::NoKey)?;
    let key = utf8_percent_encode(key, NON_ALPHANUMERIC);
    let (path, format) = (place.path_or("/"), F::NAME);
    let target = format!("{path}?v={VERSION}&format={format}&key={key}{more}");
    Ok(websocket::upgrade(place, &target))
}

pub(super) fn read<F: Format>(
    phase: &mut Phase,
    input: &[u8],
    hear: &mut dyn FnMut(Event<'_>),
) -> Result<usize, WireError> {
    let Some(frames) = websocket::open(phase, input)? else { return Ok(0) };
    let read = websocket::read(frames, hear, |frame, hear| {
        hear(event::<F>(frame)?);
        Ok(())
    })?;
    Ok(input.len() - frames.len() + read)
}

fn event<F: Format>(frame: &[u8]) -> Result<Event<'_>, WireError> {
    let text = || String::from_utf8_lossy(frame).into_owned();
    let counted = || {
        let serial = F::serial(frame).ok_or_else(|| WireError(format!("no msgSerial: {}", text())));
        serial.map(|serial| (serial, F::count(frame).unwrap_or(1)))
    };
    Ok(match F::action(frame) {
        Some(14 | 15) => Event::Message(frame),
        Some(1) => {
            let (serial, count) = counted()?;
            Event::Acknowledged { serial, count }
        }
        Some(2) => {
            let (serial, count) = counted()?;
            Event::Refused { serial, count, reason: text() }
        }
        Some(4) => Event::Ready(frame),
        Some(11) => Event::Subscribed(frame),
        Some(6 | 8 | 9 | 13) => Event::Ended(text()),
        Some(_) => Event::Other(frame),
        None => return Err(WireError(format!("a frame without an action: {}", text()))),
    })
}
