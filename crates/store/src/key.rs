//! Keys: how byte order is made to be the order in which history is read.
//!
//! `<app><channel><kind><ms><counter><series>`: app and channel with their lengths in front, so that
//! no name is the beginning of another's keys; the rest of fixed length, big-endian. So the entries
//! of one kind of one channel lie together, in canonical order. Several entries may share a row
//! ([chunk](crate::chunk)), with the key of the first.
//!
//! Objects: `<app><channel>` for the snapshot, and `<app><channel><ms><counter><series>` for operations.
//!
//! Records: `<app><kind><key>`.

use packed::{Decoder, SERIAL_LENGTH, Unreadable, put_bytes, serial, take_serial};
use types::{AppId, ChannelName, ItemPosition, Kind, RecordId, RecordKind, Serial, SeriesId};

/// Milliseconds in which the entries of a channel expire together.
const MINUTE: u64 = 60_000;

/// What the keys of one channel begin with.
pub(crate) fn channel(app: &AppId, channel: &ChannelName) -> Vec<u8> {
    let mut key = Vec::with_capacity(64);
    put_bytes(&mut key, app.as_str().as_bytes());
    put_bytes(&mut key, channel.as_str().as_bytes());
    key
}

/// A lowest and a highest key.
pub(crate) type Bounds = (Vec<u8>, Vec<u8>);

/// The serial of an entry, as its key has it.
pub(crate) type OwnSerial = [u8; SERIAL_LENGTH];

pub(crate) const LOWEST: OwnSerial = [0; SERIAL_LENGTH];
pub(crate) const HIGHEST: OwnSerial = [0xff; SERIAL_LENGTH];

/// The app and the channel that the keys of a channel begin with.
pub(crate) fn take_channel(channel_key: &[u8]) -> Result<(AppId, ChannelName), Unreadable> {
    let mut decoder = Decoder::new(channel_key, "the key of a channel");
    let app = AppId::new(decoder.text()?);
    let channel = ChannelName::parse(decoder.text()?).or(Err(decoder.damaged()))?;
    Ok((app, channel))
}

/// How much of a key says which channel it is of.
pub(crate) fn channel_length(key: &[u8]) -> Option<usize> {
    let mut decoder = Decoder::new(key, "the key of a channel");
    decoder.bytes().and_then(|_app| decoder.bytes()).ok()?;
    Some(key.len() - decoder.rest().len())
}

pub(crate) fn operation(channel: &[u8], serial: &Serial) -> Vec<u8> {
    [channel, &packed::serial(serial)].concat()
}

/// The serial behind the channel's key.
pub(crate) fn serial_behind(channel: &[u8], key: &[u8]) -> Result<Serial, Unreadable> {
    const WHAT: &str = "the key of an operation";
    let serial = key.strip_prefix(channel).ok_or(Unreadable::Damaged(WHAT))?;
    take_serial(&mut Decoder::new(serial, WHAT))
}

/// What the keys of all that is kept of one app begin with.
pub(crate) fn app(app: &AppId) -> Vec<u8> {
    let mut key = Vec::with_capacity(64);
    put_bytes(&mut key, app.as_str().as_bytes());
    key
}

pub(crate) fn record(id: &RecordId) -> Vec<u8> {
    let mut key = app(&id.app);
    key.push(id.kind.code());
    key.extend_from_slice(id.key.as_bytes());
    key
}

/// The record that has this key.
pub(crate) fn take_record(record_key: &[u8]) -> Result<RecordId, Unreadable> {
    const WHAT: &str = "the key of a record";
    let mut decoder = Decoder::new(record_key, WHAT);
    let app = AppId::new(decoder.text()?);
    let code = decoder.byte()?;
    let unknown = Unreadable::UnknownFormat { what: "the kind of a record", found: code.into() };
    let kind = RecordKind::from_code(code).ok_or(unknown)?;
    let key = str::from_utf8(decoder.rest()).or(Err(Unreadable::Damaged(WHAT)))?;
    Ok(RecordId { app, kind, key: key.into() })
}

/// Whether the keys of what is said of messages begin like this.
pub(crate) fn is_about(head: &[u8]) -> bool {
    let kinds = [code(Kind::Changes), code(Kind::Annotations)];
    head.last().is_some_and(|kind| kinds.contains(kind))
}

pub(crate) fn code(kind: Kind) -> u8 {
    match kind {
        Kind::Messages => 0,
        Kind::Presence => 1,
        Kind::Changes => 2,
        Kind::Annotations => 3,
        Kind::Objects => 4,
    }
}

/// What the keys of the entries of one kind begin with.
pub(crate) fn head(channel: &[u8], kind: Kind) -> Vec<u8> {
    [channel, &[code(kind)]].concat()
}

/// The lowest and the highest serial, as keys have them, of the milliseconds from `first` to `last`.
pub(crate) fn span(first: u64, last: u64) -> (OwnSerial, OwnSerial) {
    let (mut low, mut high) = (LOWEST, HIGHEST);
    for (bound, ms) in [(&mut low, first), (&mut high, last)] {
        for (to, from) in bound.iter_mut().zip(ms.to_be_bytes()) {
            *to = from;
        }
    }
    (low, high)
}

pub(crate) fn at(head: &[u8], serial: &OwnSerial) -> Vec<u8> {
    [head, serial].concat()
}

/// What the key of an entry begins with, and the entry's serial.
pub(crate) fn take_entry(entry_key: &[u8]) -> Result<(&[u8], Serial), Unreadable> {
    const WHAT: &str = "a key of history";
    let length = entry_key.len().checked_sub(SERIAL_LENGTH);
    let split = length.and_then(|length| entry_key.split_at_checked(length));
    let (head, serial) = split.ok_or(Unreadable::Damaged(WHAT))?;
    Ok((head, take_serial(&mut Decoder::new(serial, WHAT))?))
}

/// The serial of the entry that has this key.
pub(crate) fn serial_of(entry_key: &[u8]) -> Result<Serial, Unreadable> {
    take_entry(entry_key).map(|(_head, serial)| serial)
}

/// The key in `about` of something that is said of a message:
/// `<app><channel><kind><message's serial and index><own serial>`.
pub(crate) fn about(head: &[u8], message: ItemPosition, own: &OwnSerial) -> Vec<u8> {
    let index = u32::try_from(message.index).unwrap_or(u32::MAX).to_be_bytes();
    [head, &serial(&message.serial), &index, own].concat()
}

pub(crate) fn series(channel: &[u8], series: SeriesId) -> Vec<u8> {
    [channel, series.as_bytes()].concat()
}

/// As [`series`], of the channel that entries begin with.
pub(crate) fn series_of(head: &[u8], series: SeriesId) -> Vec<u8> {
    let channel = head.split_last().map(|(_kind, channel)| channel);
    self::series(channel.unwrap_or_default(), series)
}

/// The key under which expiry finds all entries of one kind, channel and minute: `<end of the minute><head>`.
pub(crate) fn minute(head: &[u8], ms: u64) -> Vec<u8> {
    [&end_of_minute(ms).to_be_bytes(), head].concat()
}

pub(crate) fn end_of_minute(ms: u64) -> u64 {
    (ms / MINUTE + 1).saturating_mul(MINUTE)
}

/// The end of the minute, and the lowest and the highest key that a chunk of it can have.
pub(crate) fn span_of_minute(minute_key: &[u8]) -> Result<(u64, Bounds), Unreadable> {
    let mut decoder = Decoder::new(minute_key, "the index by time");
    let end = u64::from_be_bytes(decoder.array()?);
    let (low, high) = span(end.saturating_sub(MINUTE), end.saturating_sub(1));
    Ok((end, (at(decoder.rest(), &low), at(decoder.rest(), &high))))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn no_channel_has_keys_within_those_of_another() {
        let short = channel(&"app".into(), &ChannelName::parse("a").unwrap());
        let name = format!("\u{1}a{}", "x".repeat(110));
        let long = channel(&"ap".into(), &ChannelName::parse(name.as_str()).unwrap());
        assert_eq!(name.len(), usize::from(b'p'));
        assert!(!long.starts_with(&short));
    }

    proptest! {
        #[test]
        fn keys_are_in_the_order_of_serials_and_tell_them(
            parts in prop::array::uniform2((any::<u64>(), any::<u16>(), 0_u32..9)),
        ) {
            let [one, other] = parts.map(|(ms, counter, number)| {
                let series = SeriesId::from_bytes(format!("dun{number:09}").as_bytes()).unwrap();
                Serial { ms, counter, series }
            });
            let head = head(b"channel", Kind::Messages);
            let [one_key, other_key] =
                [one, other].map(|serial| at(&head, &packed::serial(&serial)));
            prop_assert_eq!(one_key.cmp(&other_key), one.cmp(&other));
            prop_assert_eq!(take_entry(&one_key).unwrap(), (head.as_slice(), one));
            let (low, high) = span(one.ms, one.ms);
            prop_assert!(at(&head, &low) <= one_key && one_key <= at(&head, &high));
            let (end, (low, high)) = span_of_minute(&minute(&head, one.ms)).unwrap();
            prop_assert!(one.ms < end && low <= one_key && one_key <= high);
        }
    }
}
