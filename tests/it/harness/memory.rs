//! What a node takes of the machine's memory.

/// The resident memory of a process, in bytes.
pub fn resident(pid: u32) -> usize {
    of_status(pid, "VmRSS")
}

/// The most resident memory that a process has had since [`forget_peak`], in bytes.
pub fn peak(pid: u32) -> usize {
    of_status(pid, "VmHWM")
}

pub fn forget_peak(pid: u32) {
    std::fs::write(format!("/proc/{pid}/clear_refs"), "5").unwrap();
}

fn of_status(pid: u32, name: &str) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    let kib: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib << 10
}
