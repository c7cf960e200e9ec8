//! A serial as bytes of fixed length, whose order is that of serials.

use types::{Serial, SeriesId};

use crate::{Decoder, Unreadable};

pub const SERIAL_LENGTH: usize = 8 + 2 + SeriesId::LENGTH;

pub fn serial(serial: &Serial) -> [u8; SERIAL_LENGTH] {
    let mut bytes = [0; SERIAL_LENGTH];
    let (ms, counter) = (serial.ms.to_be_bytes(), serial.counter.to_be_bytes());
    let parts = ms.iter().chain(&counter).chain(serial.series.as_bytes());
    for (to, from) in bytes.iter_mut().zip(parts) {
        *to = *from;
    }
    bytes
}

pub fn take_serial(from: &mut Decoder<'_>) -> Result<Serial, Unreadable> {
    let ms = u64::from_be_bytes(from.array()?);
    let counter = u16::from_be_bytes(from.array()?);
    let series = SeriesId::from_bytes(from.take(SeriesId::LENGTH)?);
    Ok(Serial { ms, counter, series: series.ok_or_else(|| from.damaged())? })
}
