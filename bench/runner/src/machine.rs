//! On which machine, and on which of its CPUs?

use std::fs::read_to_string;

use anyhow::{Context, Result};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// What the results name the machine by, as it says itself.
pub struct Machine {
    pub processor: String,
    /// The CPUs that this process may use.
    pub cpus: Vec<usize>,
    pub kernel: String,
    pub huge_pages: String,
}

impl Machine {
    pub fn read() -> Result<Machine> {
        let information = read_to_string("/proc/cpuinfo").context("can't read /proc/cpuinfo")?;
        let processor = information
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
            .map_or("unknown processor", |(_, name)| name.trim())
            .to_owned();
        let allowed = sched_getaffinity(Pid::from_raw(0)).context("can't read the CPU affinity")?;
        let cpus = (0..CpuSet::count()).filter(|&cpu| allowed.is_set(cpu).unwrap_or(false));
        let first_line = |path| read_to_string(path).unwrap_or_default().trim().to_owned();
        Ok(Machine {
            processor,
            cpus: cpus.collect(),
            kernel: first_line("/proc/sys/kernel/osrelease"),
            huge_pages: first_line("/sys/kernel/mm/transparent_hugepage/enabled"),
        })
    }

    /// Programs started from now on run on these CPUs. Where the system forbids it, they run
    /// anywhere.
    fn confine(&self, cpus: &[usize]) {
        let mut set = CpuSet::new();
        for &cpu in cpus {
            let _ = set.set(cpu);
        }
        let _ = sched_setaffinity(Pid::from_raw(0), &set);
    }

    /// Runs `action`, whose programs run on the last CPU: the first one serves most interrupts.
    pub fn on_one_cpu<T>(&self, action: impl FnOnce() -> T) -> T {
        self.confine(&self.cpus[self.cpus.len() - 1..]);
        let result = action();
        self.confine(&self.cpus);
        result
    }

    pub fn cpu_list(&self) -> String {
        self.cpus.iter().map(usize::to_string).collect::<Vec<_>>().join(",")
    }
}
