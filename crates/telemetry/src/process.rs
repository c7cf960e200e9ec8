//! What the operating system says about this process.

/// Bytes of memory that are in RAM. Zero where there is no `/proc`.
pub(crate) fn resident_bytes() -> i64 {
    std::fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|status| resident_in(&status))
        .unwrap_or_default()
}

fn resident_in(status: &str) -> Option<i64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: i64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_read_from_the_status_of_the_process() {
        let status = "Name:\tdunlin\nVmHWM:\t   20480 kB\nVmRSS:\t   10240 kB\nThreads:\t8\n";
        assert_eq!(resident_in(status), Some(10_485_760));
    }

    #[test]
    fn a_status_without_memory_gives_none() {
        assert_eq!(resident_in("Name:\tkthread\nVmRSS:\tmuch\n"), None);
        assert_eq!(resident_in(""), None);
    }
}
