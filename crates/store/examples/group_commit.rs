//! Measures what this disk allows: durable appends per second, and how long each waits, with few and
//! with many in flight. Run it in release; the directory to use is the argument, else a temporary one.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use store::{DEFAULT_RETENTION, Durable, Outcomes, Place, Store, Write, WriteRequest, Writer};
use types::{AppId, Body, ChannelName, Data, Entry, EntryId, Message, Serial, SeriesId, Timestamp};

const DURATION: Duration = Duration::from_secs(5);
const PAYLOAD_BYTES: usize = 300;
const CHANNELS: u64 = 100;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let given = std::env::args().nth(1);
    let name = format!("dunlin-group-commit-{}", std::process::id());
    let directory = given.map_or_else(std::env::temp_dir, Into::into).join(name);
    let outcome = measure(&directory);
    std::fs::remove_dir_all(&directory)?;
    outcome
}

fn measure(directory: &Path) -> Result<(), Failure> {
    let mut out = std::io::stdout();
    writeln!(out, "in flight   appends/s   entries/batch   commit mean/max ms   wait p50/p99 ms")?;
    for in_flight in [1, 64, 1024] {
        let folder = directory.join(in_flight.to_string());
        std::fs::create_dir_all(&folder)?;
        let (done, outcomes) = mpsc::channel();
        let completed = move |batch: Outcomes<Instant>| {
            let _receiver_gone = done.send((batch, Instant::now()));
        };
        let writer = Writer::start(Store::open(&folder, DEFAULT_RETENTION)?, completed)?;
        let mut waits = append_for(DURATION, in_flight, &writer, &outcomes)?;
        waits.sort();
        let counters = writer.counters();
        let wait = |percent: usize| waits.get(waits.len() * percent / 100).map_or(0.0, millis);
        writeln!(
            out,
            "{in_flight:9} {:11.0} {:15.1} {:14.2} / {:.1} {:12.2} / {:.2}",
            counters.entries as f64 / DURATION.as_secs_f64(),
            counters.entries as f64 / counters.batches as f64,
            counters.commit_micros as f64 / counters.batches as f64 / 1e3,
            counters.max_commit_micros as f64 / 1e3,
            wait(50),
            wait(99),
        )?;
    }
    Ok(())
}

/// Keeps `in_flight` appends waiting; returns how long each took.
fn append_for(
    duration: Duration,
    in_flight: usize,
    writer: &Writer<Instant>,
    outcomes: &Receiver<(Outcomes<Instant>, Instant)>,
) -> Result<Vec<Duration>, Failure> {
    let started = Instant::now();
    let mut waits = Vec::new();
    let mut position = 0;
    while started.elapsed() < duration {
        let mut requests = Vec::new();
        while usize::try_from(position)? < waits.len() + in_flight {
            position += 1;
            let write = Write::Entries {
                app: AppId::from("app"),
                channel: ChannelName::parse(format!("channel-{}", position % CHANNELS))?,
                entries: vec![Arc::new(entry(position).ok_or("a series of this length")?)],
                place: Place::History,
            };
            requests.push(WriteRequest { write, token: Instant::now() });
        }
        if !writer.try_write(requests).is_empty() {
            return Err("the queue is full".into());
        }
        let (batch, completed) = outcomes.recv()?;
        for (asked, durable) in batch {
            match durable {
                Durable::Yes => waits.push(completed - asked),
                Durable::No => return Err("an append failed".into()),
            }
        }
    }
    Ok(waits)
}

/// A message that does not compress.
fn entry(position: u64) -> Option<Entry> {
    let mut state = position.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let payload: Vec<u8> = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    })
    .take(PAYLOAD_BYTES)
    .collect();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).ok()?;
    let ms = u64::try_from(now.as_millis()).ok()?;
    let message = Message { data: Data::Binary(payload.into()), ..Message::default() };
    Some(Entry {
        id: EntryId::Named(position.to_string().into()),
        serial: Serial {
            ms,
            counter: u16::try_from(position % 1000).ok()?,
            series: SeriesId::from_bytes(b"dun000000001")?,
        },
        position,
        timestamp: Timestamp(ms),
        connection_id: None,
        body: Body::Messages(vec![message]),
    })
}

fn millis(duration: &Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
