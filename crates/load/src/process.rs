//! What a process has used, from `/proc`: CPU time of its threads to the nanosecond, and resident memory.
//!
//! A thread that ends between two readings takes with it what it used since the first.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::LoadError;

#[derive(Clone, Debug)]
pub(crate) struct Process {
    folder: PathBuf,
}

/// CPU nanoseconds of each thread, by its id.
#[derive(Clone, Debug, Default)]
pub(crate) struct CpuTime(BTreeMap<u64, u64>);

impl Process {
    pub(crate) fn of(pid: u32) -> Result<Self, LoadError> {
        Self::at(format!("/proc/{pid}").into())
    }

    /// This process.
    pub(crate) fn own() -> Result<Self, LoadError> {
        Self::at("/proc/self".into())
    }

    fn at(folder: PathBuf) -> Result<Self, LoadError> {
        let process = Self { folder };
        process.resident_bytes().map(|_| process)
    }

    pub(crate) fn cpu(&self) -> Result<CpuTime, LoadError> {
        let folder = self.folder.join("task");
        let mut times = BTreeMap::new();
        for entry in fs::read_dir(&folder).map_err(|error| unread(&folder, &error))? {
            let path = entry.map_err(|error| unread(&folder, &error))?.path();
            let id = path.file_name().and_then(|name| name.to_str()?.parse().ok());
            // A thread may end while the folder is read.
            let text = fs::read_to_string(path.join("schedstat")).unwrap_or_default();
            if let Some((id, used)) = id.zip(first_number(&text)) {
                times.insert(id, used);
            }
        }
        Ok(CpuTime(times))
    }

    pub(crate) fn resident_bytes(&self) -> Result<u64, LoadError> {
        let path = self.folder.join("status");
        let text = fs::read_to_string(&path).map_err(|error| unread(&path, &error))?;
        resident(&text).ok_or(LoadError::Unread { path, reason: "it has no VmRSS".to_owned() })
    }
}

impl CpuTime {
    pub(crate) fn seconds_since(&self, earlier: &Self) -> f64 {
        let since = |(id, used): (&u64, &u64)| {
            used.saturating_sub(earlier.0.get(id).copied().unwrap_or_default())
        };
        self.0.iter().map(since).sum::<u64>() as f64 / 1e9
    }
}

fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    first_number(line).map(|kilobytes| kilobytes * 1024)
}

fn first_number(text: &str) -> Option<u64> {
    text.split_ascii_whitespace().next()?.parse().ok()
}

fn unread(path: &Path, error: &std::io::Error) -> LoadError {
    LoadError::Unread { path: path.to_owned(), reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_uses_time() {
        let own = Process::own().unwrap();
        assert!(own.resident_bytes().unwrap() > 100_000);
        let before = own.cpu().unwrap();
        let mut sum = 0u64;
        while own.cpu().unwrap().seconds_since(&before) < 0.001 {
            sum = std::hint::black_box(sum.wrapping_mul(31) + 1);
        }
    }

    #[test]
    fn threads_that_began_later_count_and_others_only_since_then() {
        let earlier = CpuTime(BTreeMap::from([(1, 500), (2, 100)]));
        let later = CpuTime(BTreeMap::from([(1, 1_000_000_500), (3, 2_000_000_000)]));
        assert!((later.seconds_since(&earlier) - 3.0).abs() < 1e-9);
    }

    #[test]
    fn resident_memory_is_told_in_kilobytes() {
        assert_eq!(resident("Name:\tx\nVmHWM:\t  9 kB\nVmRSS:\t   4 kB\n"), Some(4096));
        assert_eq!(resident("Name:\tx\n"), None);
    }

    #[test]
    fn a_process_that_does_not_exist_is_an_error() {
        assert!(Process::of(u32::MAX).is_err());
    }
}
