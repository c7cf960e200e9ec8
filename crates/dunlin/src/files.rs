//! How many files the process may have open, connections among them.
//!
//! A store that cannot open a file takes no write any more until it is opened again, so connections never get
//! the last descriptors.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Left to everything but connections: the files that the store keeps open, as many again for those that it merges,
/// and the few of the process itself. Of a low limit it is half.
const RESERVE: u64 = 2 * store::MAX_OPEN_FILES as u64;

/// Raises the limit as far as it is allowed. Returns how many connections it has room for, at most `wanted`.
pub(crate) fn make_room(wanted: u32) -> u32 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    if let Err(error) = raised {
        tracing::info!(%error, "the limit of open files stays as it is");
    }
    let limit = if raised.is_ok() { maximum } else { current };
    let Some(limit) = limit else { return wanted };
    let room = u32::try_from(room(limit)).unwrap_or(u32::MAX);
    if room < wanted {
        tracing::warn!(
            max_connections = wanted,
            open_files = limit,
            "the limit of open files (ulimit -n) has room for {room} connections only"
        );
    }
    room.min(wanted)
}

/// Connections for which there is room within this limit.
fn room(limit: u64) -> u64 {
    limit - RESERVE.min(limit / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_get_what_the_reserve_leaves_and_half_of_a_low_limit() {
        assert_eq!(room(524_288), 524_288 - RESERVE);
        assert_eq!(room(RESERVE), RESERVE / 2);
        assert_eq!(room(256), 128);
        assert_eq!(room(0), 0);
    }
}
