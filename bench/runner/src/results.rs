//! What is kept, and how is it told?

use std::collections::BTreeMap;
use std::fmt::Write;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::field::{CALLED, Field, OURS};
use crate::machine::Machine;
use crate::rows::{Row, SUMMARY};

#[derive(Serialize, Deserialize)]
pub struct Results {
    pub mode: String,
    pub machine: MachineFacts,
    pub field: Vec<FieldEntry>,
    pub programs: Vec<FieldEntry>,
    pub skipped: Vec<Skipped>,
    pub rows: Vec<RowResult>,
    pub scaling: Vec<ScalingResult>,
    pub latency: Vec<LatencyResult>,
}

#[derive(Serialize, Deserialize)]
pub struct MachineFacts {
    pub processor: String,
    pub cpus: usize,
    pub kernel: String,
    pub transparent_huge_pages: String,
}

#[derive(Serialize, Deserialize)]
pub struct FieldEntry {
    pub name: String,
    pub what: String,
}

#[derive(Serialize, Deserialize)]
pub struct Skipped {
    pub name: String,
    pub why: String,
}

/// What one member of the field needed: every run, and what they say together.
#[derive(Clone, Serialize, Deserialize)]
pub struct Measured {
    pub name: String,
    pub median: f64,
    /// A quarter of the runs are below the lower one, and a quarter above the upper one.
    pub quartiles: (f64, f64),
    pub lowest: f64,
    pub highest: f64,
    pub runs: Vec<f64>,
}

impl Measured {
    pub fn new(name: &str) -> Measured {
        Measured {
            name: name.to_owned(),
            median: 0.0,
            quartiles: (0.0, 0.0),
            lowest: 0.0,
            highest: 0.0,
            runs: Vec::new(),
        }
    }

    /// Works out what the runs say together.
    pub fn settle(&mut self) {
        let mut sorted = self.runs.clone();
        sorted.sort_by(f64::total_cmp);
        if let (Some(&lowest), Some(&highest)) = (sorted.first(), sorted.last()) {
            self.lowest = lowest;
            self.highest = highest;
            self.median = between(&sorted, 0.5);
            self.quartiles = (between(&sorted, 0.25), between(&sorted, 0.75));
        }
    }
}

/// The value below which this part of the sorted values is.
fn between(sorted: &[f64], part: f64) -> f64 {
    let place = part * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    below + (above - below) * place.fract()
}

#[derive(Serialize, Deserialize)]
pub struct RowResult {
    pub id: String,
    pub title: String,
    pub unit: String,
    pub best_peer: Option<String>,
    /// Our time divided by the best peer's.
    pub ratio: Option<f64>,
    /// What we want the ratio to stay below.
    pub aim: Option<f64>,
    pub measured: Vec<Measured>,
}

impl RowResult {
    pub fn new(row: &Row, measured: Vec<Measured>) -> RowResult {
        let ours = measured.iter().find(|m| m.name == OURS).map(|m| m.median);
        let best = measured
            .iter()
            .filter(|m| m.name != OURS && m.name != CALLED)
            .min_by(|a, b| a.median.total_cmp(&b.median))
            .map(|m| (m.name.clone(), m.median));
        RowResult {
            id: row.id.to_owned(),
            title: row.title.to_owned(),
            unit: row.unit.name().to_owned(),
            ratio: ours.zip(best.as_ref()).map(|(ours, best)| ours / best.1),
            best_peer: best.map(|(name, _)| name),
            aim: row.aim,
            measured,
        }
    }

    pub fn of(&self, name: &str) -> Option<&Measured> {
        self.measured.iter().find(|m| m.name == name)
    }

    /// Ours, and the best peer.
    pub fn summary(&self) -> String {
        let time = |name: &str| self.of(name).map_or(String::new(), |m| shown(m.median));
        match (&self.best_peer, self.ratio) {
            (Some(peer), Some(ratio)) => {
                format!("{:>8} {}, {peer} {}: {ratio:.2}", time(OURS), self.unit, time(peer))
            }
            _ => format!("{:>8} {}, no peer", time(OURS), self.unit),
        }
    }
}

#[derive(Serialize, Deserialize)]
pub struct ScalingResult {
    pub threads: usize,
    /// Nanoseconds per pair, of all threads together.
    pub measured: Vec<Measured>,
}

#[derive(Serialize, Deserialize)]
pub struct LatencyResult {
    pub workload: String,
    pub title: String,
    pub members: Vec<LatencyOf>,
}

impl LatencyResult {
    pub fn new(workload: &str, title: &str, curves: Vec<Curve>) -> LatencyResult {
        let members = curves.iter().map(Curve::settle).collect();
        LatencyResult { workload: workload.to_owned(), title: title.to_owned(), members }
    }
}

/// The times of one member's calls, in nanoseconds, the timer's own time included.
#[derive(Serialize, Deserialize)]
pub struct LatencyOf {
    pub name: String,
    /// What timing nothing says.
    pub timer: f64,
    /// The smallest difference that it can see.
    pub step: f64,
    pub alloc: Percentiles,
    pub free: Percentiles,
}

#[derive(Serialize, Deserialize)]
pub struct Percentiles {
    pub calls: u64,
    /// Percentile and nanoseconds, rising.
    pub curve: Vec<(f64, f64)>,
    /// The longest time of a run; the median of the runs.
    pub longest: f64,
}

/// The percentiles that are kept.
const PERCENTILES: [f64; 19] = [
    1.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 98.0, 99.0, 99.5, 99.8, 99.9, 99.95, 99.98, 99.99,
    99.995, 99.998, 99.999, 99.9999,
];

/// Histograms of a member's calls, over its runs.
pub struct Curve {
    name: String,
    ticks_per_ns: f64,
    timer_ticks: f64,
    step_ticks: f64,
    alloc: Histogram,
    free: Histogram,
}

/// Of each run, how many calls took how many ticks, and the longest.
struct Histogram {
    runs: Vec<(BTreeMap<u64, u64>, f64)>,
}

impl Histogram {
    fn read(said: &Value) -> Result<Histogram> {
        let buckets: Vec<(u64, u64)> = serde_json::from_value(said["buckets"].clone())?;
        let longest = said["longest"].as_f64().context("no longest time")?;
        Ok(Histogram { runs: vec![(buckets.into_iter().collect(), longest)] })
    }

    fn add(&mut self, other: &Histogram) {
        self.runs.extend_from_slice(&other.runs);
    }

    /// The median of the runs, of each percentile.
    fn settle(&self, ticks_per_ns: f64) -> Percentiles {
        let median = |mut values: Vec<f64>| {
            values.sort_by(f64::total_cmp);
            between(&values, 0.5) / ticks_per_ns
        };
        let of_runs = |percentile: f64| {
            self.runs.iter().map(|(buckets, _)| ticks_at(buckets, percentile)).collect()
        };
        Percentiles {
            calls: self.runs.iter().flat_map(|(buckets, _)| buckets.values()).sum(),
            curve: PERCENTILES.iter().map(|&p| (p, median(of_runs(p)))).collect(),
            longest: median(self.runs.iter().map(|(_, longest)| *longest).collect()),
        }
    }
}

/// The ticks that so many percent of the calls took at most.
fn ticks_at(buckets: &BTreeMap<u64, u64>, percentile: f64) -> f64 {
    let calls: u64 = buckets.values().sum();
    let mut seen = 0;
    let at = buckets.iter().find(|&(_, &count)| {
        seen += count;
        seen as f64 >= percentile / 100.0 * calls as f64
    });
    at.map_or(f64::NAN, |(&ticks, _)| ticks as f64)
}

impl Curve {
    pub fn read(name: &str, said: &Value) -> Result<Curve> {
        Ok(Curve {
            name: name.to_owned(),
            ticks_per_ns: said["ticks_per_ns"].as_f64().context("no ticks_per_ns")?,
            timer_ticks: said["timer_ticks"].as_f64().context("no timer_ticks")?,
            step_ticks: said["step_ticks"].as_f64().context("no step_ticks")?,
            alloc: Histogram::read(&said["take"])?,
            free: Histogram::read(&said["give"])?,
        })
    }

    pub fn add(&mut self, other: &Curve) {
        self.alloc.add(&other.alloc);
        self.free.add(&other.free);
    }

    fn settle(&self) -> LatencyOf {
        LatencyOf {
            name: self.name.clone(),
            timer: self.timer_ticks / self.ticks_per_ns,
            step: self.step_ticks / self.ticks_per_ns,
            alloc: self.alloc.settle(self.ticks_per_ns),
            free: self.free.settle(self.ticks_per_ns),
        }
    }

    pub fn summary(&self) -> String {
        let settled = self.settle();
        format!(
            "alloc p50 {:.0} ns, p99.99 {:.0} ns (timer {:.0} ns)",
            settled.alloc.at(50.0),
            settled.alloc.at(99.99),
            settled.timer
        )
    }
}

impl Percentiles {
    pub fn at(&self, percentile: f64) -> f64 {
        self.curve.iter().find(|(p, _)| *p == percentile).map_or(f64::NAN, |(_, ns)| *ns)
    }
}

/// Three digits, more or less.
fn shown(value: f64) -> String {
    match value {
        v if v < 10.0 => format!("{v:.2}"),
        v if v < 100.0 => format!("{v:.1}"),
        v => format!("{v:.0}"),
    }
}

impl Results {
    pub fn new(mode: &str, machine: &Machine, field: &Field) -> Results {
        Results {
            mode: mode.to_owned(),
            machine: MachineFacts {
                processor: machine.processor.clone(),
                cpus: machine.cpus.len(),
                kernel: machine.kernel.clone(),
                transparent_huge_pages: machine.huge_pages.clone(),
            },
            field: field
                .members
                .iter()
                .map(|m| FieldEntry { name: m.name.to_owned(), what: m.what.clone() })
                .collect(),
            programs: field
                .programs
                .iter()
                .map(|p| FieldEntry { name: p.name.to_owned(), what: p.what.clone() })
                .collect(),
            skipped: field
                .absent
                .iter()
                .map(|a| Skipped { name: a.name.to_owned(), why: a.why.clone() })
                .collect(),
            rows: Vec::new(),
            scaling: Vec::new(),
            latency: Vec::new(),
        }
    }

    /// All rows and the slowest calls, in Markdown, as docs/speed.md has them.
    pub fn whole_table(&self) -> String {
        let mut table = self.rows_in_markdown(|_| true);
        self.slowest_calls(&mut table);
        table + &self.machine_line()
    }

    /// The rows of the README, in Markdown.
    pub fn summary_table(&self) -> String {
        self.rows_in_markdown(|row| SUMMARY.contains(&row.id.as_str())) + &self.machine_line()
    }

    fn machine_line(&self) -> String {
        let MachineFacts { processor, cpus, kernel, .. } = &self.machine;
        format!("\n{processor}, {cpus} CPUs, Linux {kernel}; `make bench` wrote this.\n")
    }

    fn rows_in_markdown(&self, shows: impl Fn(&RowResult) -> bool) -> String {
        let mut table =
            "| | cmempool | called | best of the others | ratio | aim |\n|---|---:|---:|---:|---:|---:|\n"
                .to_owned();
        for row in self.rows.iter().filter(|row| shows(row)) {
            let (Some(ours), Some(ratio), Some(peer)) = (row.of(OURS), row.ratio, &row.best_peer)
            else {
                continue;
            };
            let best = row.of(peer).map_or(f64::NAN, |best| best.median);
            let called = row.of(CALLED).map_or(String::new(), |m| shown(m.median));
            let aim = row.aim.map_or(String::new(), |aim| format!("{aim}"));
            let (title, unit) = (&row.title, &row.unit);
            let _ = writeln!(
                table,
                "| {title} | {} {unit} | {called} | {peer} {} {unit} | {ratio:.2} | {aim} |",
                shown(ours.median),
                shown(best),
            );
        }
        table
    }

    /// The slowest calls, and how far apart from the best of the others, in steps of the timer.
    fn slowest_calls(&self, table: &mut String) {
        let Some(timer) = self.latency.first().and_then(|latency| latency.members.first()) else {
            return;
        };
        let _ = writeln!(
            table,
            "\n| the slowest calls, one by one: the timer's own {:.0} ns included, its steps {:.1} ns | cmempool | \
             called | best of the others | steps apart | aim |\n\
             |---|---:|---:|---:|---:|---:|",
            timer.timer, timer.step,
        );
        for latency in &self.latency {
            for (call, percentile) in
                [("alloc", 99.9), ("alloc", 99.99), ("free", 99.9), ("free", 99.99)]
            {
                let time = |member: &LatencyOf| {
                    let side = if call == "alloc" { &member.alloc } else { &member.free };
                    side.at(percentile)
                };
                let of = |name| latency.members.iter().find(|member| member.name == name);
                let best = latency
                    .members
                    .iter()
                    .filter(|member| member.name != OURS && member.name != CALLED)
                    .min_by(|a, b| time(a).total_cmp(&time(b)));
                let (Some(ours), Some(called), Some(best)) = (of(OURS), of(CALLED), best) else {
                    continue;
                };
                let _ = writeln!(
                    table,
                    "| {call}, p{percentile}: {} | {:.0} ns | {:.0} | {} {:.0} ns | {:.1} | 1 |",
                    latency.title,
                    time(ours),
                    time(called),
                    best.name,
                    time(best),
                    (time(ours) - time(best)) / timer.step,
                );
            }
        }
    }

    /// The table of all rows, the best peer's time in each marked, and that of latencies.
    pub fn table(&self) -> String {
        let mut names: Vec<&str> = Vec::new();
        for measured in self.rows.iter().flat_map(|row| &row.measured) {
            if !names.contains(&measured.name.as_str()) {
                names.push(&measured.name);
            }
        }
        let order = |name: &&str| self.field.iter().position(|member| member.name == **name);
        names.sort_by_key(order);
        let mut table = format!("{:<40}", "");
        for name in &names {
            let _ = write!(table, "{name:>12}");
        }
        let _ = writeln!(table, "{:>8}  best peer", "ratio");
        for row in &self.rows {
            let _ = write!(table, "{:<40}", format!("{}, {}", row.title, row.unit));
            for name in &names {
                let cell = row.of(name).map_or("-".to_owned(), |m| shown(m.median));
                let _ = write!(table, "{cell:>12}");
            }
            let ratio = row.ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2}"));
            let best = row.best_peer.as_deref().unwrap_or("-");
            let _ = writeln!(table, "{ratio:>8}  {best}");
        }
        for latency in &self.latency {
            let _ =
                writeln!(table, "\nsingle calls, {}: ns, the timer's own included", latency.title);
            let _ = writeln!(
                table,
                "{:<20}{:>28}{:>44}",
                "", "alloc p50 p99 p99.9 p99.99 max", "free p50 p99 p99.9 p99.99 max"
            );
            for member in &latency.members {
                let _ = write!(table, "{:<14}", member.name);
                for side in [&member.alloc, &member.free] {
                    for percentile in [50.0, 99.0, 99.9, 99.99] {
                        let _ = write!(table, "{:>7.0}", side.at(percentile));
                    }
                    let _ = write!(table, "{:>10.0}    ", side.longest);
                }
                let _ = writeln!(table, "  timer {:.0}, steps of {:.0}", member.timer, member.step);
            }
        }
        table
    }
}
