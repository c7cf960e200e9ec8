//! Durability: a process that appends is killed, and everything it saw acknowledged is there.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use store::WriteRequest;

use crate::support::{Dir, Done, add, append, channel, ids, message, open, start};

/// Set for the process that is to be killed: the data directory.
const CHILD: &str = "DUNLIN_STORE_APPEND_TO";
const NAME: &str = "crash::everything_acknowledged_is_there_after_a_kill";

#[test]
fn everything_acknowledged_is_there_after_a_kill() {
    if let Some(directory) = std::env::var_os(CHILD) {
        append_until_killed(Path::new(&directory));
    }
    let dir = Dir::new();
    let mut acknowledged = BTreeSet::new();
    for acknowledgements in [1, 300, 40, 3000] {
        acknowledged.extend(kill_after(acknowledgements, dir.path()));
        let stored: BTreeSet<String> = ids(&dir.open(), &channel("orders")).into_iter().collect();
        let lost: Vec<_> = acknowledged.difference(&stored).collect();
        assert!(lost.is_empty(), "lost {lost:?}");
    }
    assert!(acknowledged.len() >= 3341);
}

#[test]
fn a_torn_journal_costs_only_what_is_torn() {
    let (dir, orders) = (Dir::new(), channel("orders"));
    append(&dir.open(), &orders, &[message(1, 1, 10)]);
    append(&dir.open(), &orders, &[message(1, 2, 20)]);
    let journal = std::fs::read_dir(dir.path().join("store"))
        .unwrap()
        .map(|file| file.unwrap().path())
        .find(|path| path.extension() == Some(OsStr::new("jnl")))
        .unwrap();
    let mut bytes = std::fs::read(&journal).unwrap();
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    bytes.truncate(used - 10);
    std::fs::write(&journal, bytes).unwrap();
    assert_eq!(ids(&dir.open(), &orders), ["1-1"]);
}

/// Kills an appending process after so many acknowledgements; returns the ids of all that it gave.
fn kill_after(acknowledgements: usize, directory: &Path) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([NAME, "--exact", "--nocapture"])
        .env(CHILD, directory)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut ids = take_ids(&mut lines, acknowledgements);
    kill(&mut child);
    ids.extend(take_ids(&mut lines, usize::MAX));
    ids
}

fn take_ids(lines: &mut impl Iterator<Item = String>, count: usize) -> Vec<String> {
    let ids = lines.filter_map(|line| {
        let (_, id) = line.split_once("stored ")?;
        id.strip_suffix('.').map(str::to_owned)
    });
    ids.take(count).collect()
}

fn kill(child: &mut Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// The process to be killed: appends without end, with a few in flight, and prints each
/// acknowledged id, with a dot behind it that tells a whole line. Ends when nobody listens any more.
fn append_until_killed(directory: &Path) -> ! {
    let store = open(directory);
    let incarnation = store.next_incarnation().unwrap();
    store.begin_incarnation(incarnation, types::Timestamp(0)).unwrap();
    let run = u32::try_from(incarnation.number).unwrap();
    let writer = start(&store);
    for position in 1.. {
        let entry = message(run, position, u64::from(run) * 1_000_000 + position);
        let id = entry.id.to_string();
        let told: Done = Box::new(move |stored| {
            let told = stored && writeln!(std::io::stdout(), "stored {id}.").is_ok();
            if !told {
                std::process::exit(1);
            }
        });
        let write = add(&channel("orders"), &entry);
        let mut requests = vec![WriteRequest { write, token: told }];
        while !requests.is_empty() {
            requests = writer.try_write(requests);
            std::thread::yield_now();
        }
    }
    unreachable!("positions do not end");
}
