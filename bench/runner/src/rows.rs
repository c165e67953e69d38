//! What is measured?

use anyhow::{Result, bail};

/// Who takes part in a row.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Against {
    /// Every malloc.
    Mallocs,
    /// Every malloc, and the C++ pools, which one thread alone may use.
    MallocsAndSingleThreadPools,
    /// A pool behind one plain lock.
    LockedPool,
    /// Plain pages from the kernel.
    Pages,
}

/// Which CPUs a program runs on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// One, the same for the whole program.
    OneCpu,
    /// Each thread on one of its own, as far as there are enough.
    ACpuEach,
    /// Wherever the system puts it.
    Anywhere,
}

/// What a number counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Nanoseconds per pair of alloc and free.
    NanosecondsPerPair,
    /// Milliseconds for the whole.
    Milliseconds,
    /// Bytes that the process grows by for each entry.
    Bytes,
}

impl Unit {
    pub fn name(self) -> &'static str {
        match self {
            Unit::NanosecondsPerPair => "ns",
            Unit::Milliseconds => "ms",
            Unit::Bytes => "B",
        }
    }

    /// The name under which a program says it.
    pub fn said_as(self) -> &'static str {
        match self {
            Unit::NanosecondsPerPair | Unit::Milliseconds => "median_ns",
            Unit::Bytes => "bytes",
        }
    }

    /// Of what a program says: nanoseconds, or bytes.
    pub fn of_said(self, said: f64) -> f64 {
        match self {
            Unit::NanosecondsPerPair | Unit::Bytes => said,
            Unit::Milliseconds => said / 1e6,
        }
    }
}

/// One line of the table.
pub struct Row {
    pub id: &'static str,
    pub title: &'static str,
    pub program: &'static str,
    /// The program's arguments; `{ms}` stands for how long it is to measure, `{cpus}` for its CPUs,
    /// `{entries}` for how many to take.
    pub arguments: &'static [&'static str],
    pub against: Against,
    pub placement: Placement,
    pub unit: Unit,
    /// The ratio to the best peer that we want to stay below.
    pub aim: Option<f64>,
}

impl Row {
    const fn new(
        id: &'static str,
        title: &'static str,
        program: &'static str,
        arguments: &'static [&'static str],
    ) -> Row {
        Row {
            id,
            title,
            program,
            arguments,
            against: Against::Mallocs,
            placement: Placement::OneCpu,
            unit: Unit::NanosecondsPerPair,
            aim: None,
        }
    }

    const fn aim(mut self, ratio: f64) -> Row {
        self.aim = Some(ratio);
        self
    }

    const fn against(mut self, against: Against) -> Row {
        self.against = against;
        self
    }

    const fn placed(mut self, placement: Placement) -> Row {
        self.placement = placement;
        self
    }

    const fn bytes(mut self) -> Row {
        self.unit = Unit::Bytes;
        self
    }

    const fn milliseconds(mut self) -> Row {
        self.unit = Unit::Milliseconds;
        self
    }
}

/// All rows, in the order of the table.
pub fn rows() -> Vec<Row> {
    use Against::{LockedPool, MallocsAndSingleThreadPools, Pages};
    use Placement::{ACpuEach, Anywhere};
    vec![
        Row::new("loop", "one entry in a loop", "workloads", &["loop", "{ms}"]).aim(0.55),
        Row::new("bursts", "bursts of 1000", "workloads", &["bursts", "{ms}"]).aim(0.8),
        Row::new("bursts32", "bursts of 32", "workloads", &["bursts32", "{ms}"]).aim(0.7),
        Row::new("bulk32", "bursts of 32, in bulk calls", "workloads", &["bulk32", "{ms}"]),
        Row::new("churn", "random churn, 10,000 live", "workloads", &["churn", "{ms}"]).aim(0.85),
        Row::new("cold", "cold, 500,000 freed and taken again", "workloads", &["cold", "{ms}"])
            .aim(1.0),
        Row::new(
            "cold_churn",
            "cold, random churn, 500,000 live",
            "workloads",
            &["cold_churn", "{ms}"],
        )
        .aim(1.0),
        Row::new("ranged", "ranged, 16-1015 B, 4,000 live", "workloads", &["ranged", "{ms}"])
            .aim(0.85),
        Row::new("ranged_known", "ranged, 8 known sizes", "workloads", &["ranged_known", "{ms}"])
            .aim(0.6),
        Row::new("mixed2", "2 pools mixed at random", "workloads", &["mixed2", "{ms}"]).aim(0.9),
        Row::new("mixed13", "13 pools mixed at random", "workloads", &["mixed13", "{ms}"]).aim(0.9),
        Row::new(
            "threads2_loop",
            "2 threads, each in a loop",
            "threads",
            &["loop", "2", "{ms}", "{cpus}"],
        )
        .aim(0.55)
        .placed(ACpuEach),
        Row::new(
            "threads2_bursts",
            "2 threads, bursts of 200",
            "threads",
            &["bursts", "2", "{ms}", "{cpus}"],
        )
        .aim(0.6)
        .placed(ACpuEach),
        Row::new(
            "pass_on",
            "producer and consumer",
            "threads",
            &["pass_on", "2", "{ms}", "{cpus}"],
        )
        .aim(0.8)
        .placed(ACpuEach),
        Row::new(
            "threads8_bursts",
            "8 threads, bursts of 200",
            "threads",
            &["bursts", "8", "{ms}"],
        )
        .aim(0.6)
        .placed(Anywhere),
        Row::new(
            "threads100_bursts",
            "100 threads, bursts of 200",
            "threads",
            &["bursts", "100", "{ms}"],
        )
        .aim(0.8)
        .placed(Anywhere),
        Row::new(
            "threads1000_bursts",
            "1,000 threads, bursts of 200",
            "threads",
            &["bursts", "1000", "{ms}"],
        )
        .aim(1.0)
        .placed(Anywhere),
        Row::new("fill", "a new pool filled, a malloc warm", "workloads", &["fill", "{ms}"])
            .aim(1.0),
        Row::new(
            "single_loop",
            "single-thread flag, loop",
            "workloads",
            &["loop", "{ms}", "single"],
        )
        .aim(2.0)
        .against(MallocsAndSingleThreadPools),
        Row::new(
            "single_bursts",
            "single-thread flag, bursts of 1000",
            "workloads",
            &["bursts", "{ms}", "single"],
        )
        .aim(1.2)
        .against(MallocsAndSingleThreadPools),
        Row::new(
            "full16",
            "nearly full, 16 entries, 4 threads",
            "threads",
            &["full16", "4", "{ms}"],
        )
        .aim(1.5)
        .against(LockedPool)
        .placed(Anywhere),
        Row::new(
            "full4096",
            "nearly full, 4096 entries, 4 threads",
            "threads",
            &["full4096", "4", "{ms}"],
        )
        .aim(3.0)
        .against(LockedPool)
        .placed(Anywhere),
        Row::new("calloc64", "calloc of 64 B", "workloads", &["calloc64", "{ms}"]).aim(0.6),
        Row::new("calloc4096", "calloc of 4 KiB", "workloads", &["calloc4096", "{ms}"]).aim(0.95),
        Row::new("create", "create and destroy, 16 B-64 KiB", "create", &["{ms}"])
            .aim(0.7)
            .against(Pages)
            .milliseconds(),
        Row::new("memory16", "memory, 16 B", "footprint", &["16", "{entries}"]).bytes(),
        Row::new("memory32", "memory, 32 B", "footprint", &["32", "{entries}"]).bytes(),
        Row::new("memory64", "memory, 64 B", "footprint", &["64", "{entries}"]).bytes(),
        Row::new("memory128", "memory, 128 B", "footprint", &["128", "{entries}"]).bytes(),
        Row::new("memory1024", "memory, 1 KiB", "footprint", &["1024", "{entries}"]).bytes(),
        Row::new("sqlite", "SQLite: insert, update, query", "sqlite", &[]).aim(0.95).milliseconds(),
        Row::new("lua", "Lua: binary trees, strings", "lua", &["{script}"])
            .aim(0.95)
            .milliseconds(),
    ]
}

/// The rows that the README shows, fast ones and slow ones; docs/speed.md has all.
pub const SUMMARY: [&str; 10] = [
    "loop",
    "churn",
    "cold",
    "ranged",
    "threads2_loop",
    "pass_on",
    "threads100_bursts",
    "memory64",
    "sqlite",
    "lua",
];

/// The rows of these names; all if there are none.
pub fn chosen(ids: &[String]) -> Result<Vec<Row>> {
    for id in ids {
        if !rows().iter().any(|row| row.id == id) {
            bail!("there is no row '{id}': --list shows them");
        }
    }
    Ok(rows()
        .into_iter()
        .filter(|row| ids.is_empty() || ids.iter().any(|id| id == row.id))
        .collect())
}

/// How many threads the row of this name runs.
pub fn threads_of(id: &str) -> usize {
    let row = rows().into_iter().find(|row| row.id == id && row.program == "threads");
    row.and_then(|row| row.arguments[1].parse().ok()).unwrap_or(1)
}
