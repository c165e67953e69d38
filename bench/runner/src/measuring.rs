//! How is a number made?
//!
//! A program measures one workload several times in a run and says the median. Runs of the members
//! of the field alternate, so that what changes on the machine changes for all. What counts is the
//! median of the runs.

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;
use wait_timeout::ChildExt;

use crate::building::Places;
use crate::field::{CALLED, Field, Member, OURS};
use crate::machine::Machine;
use crate::results::{Curve, LatencyResult, Measured, Results, RowResult, ScalingResult};
use crate::rows::{Placement, Row, Unit};

/// How much of everything.
#[derive(Clone, Copy)]
pub struct Effort {
    /// How long a program measures.
    milliseconds: u32,
    runs: usize,
    /// Runs of a whole program like SQLite.
    long_runs: usize,
    scaling_runs: usize,
    latency_runs: usize,
    latency_calls: u32,
    /// How many are taken to see how much memory they need.
    entries: u32,
    /// A program that runs longer hangs.
    patience: Duration,
}

impl Effort {
    pub fn full() -> Effort {
        Effort {
            milliseconds: 60,
            runs: 7,
            long_runs: 5,
            scaling_runs: 5,
            latency_runs: 5,
            latency_calls: 1_000_000,
            entries: 1_000_000,
            patience: Duration::from_secs(15),
        }
    }

    pub fn quick() -> Effort {
        Effort {
            milliseconds: 15,
            runs: 3,
            long_runs: 1,
            scaling_runs: 0,
            latency_runs: 1,
            latency_calls: 50_000,
            entries: 100_000,
            patience: Duration::from_secs(4),
        }
    }
}

/// What calls are timed in.
pub const LATENCY_WORKLOADS: [(&str, usize, &str); 4] = [
    ("churn", 1, "random churn, 10,000 live"),
    ("bursts", 1, "bursts of 1000"),
    ("bursts", 2, "bursts of 1000, 2 threads"),
    ("bursts", 8, "bursts of 1000, 8 threads"),
];

/// How many threads make the calls of the workload with this title.
pub fn threads_of_calls(title: &str) -> usize {
    LATENCY_WORKLOADS.iter().find(|workload| workload.2 == title).map_or(1, |workload| workload.1)
}

/// 1, 2, 3, 4, 6, 8, 12 and so on, up to `most`: powers of two, and what is halfway between.
fn thread_counts(most: usize) -> Vec<usize> {
    let powers = (0..usize::BITS).map(|power| 1_usize << power);
    let mut counts: Vec<usize> = powers
        .flat_map(|power| [power, power + power / 2])
        .take_while(|&count| count < most)
        .chain([most])
        .collect();
    counts.dedup();
    counts
}

pub struct Runner<'a> {
    places: &'a Places,
    machine: &'a Machine,
    field: &'a Field,
    effort: Effort,
    /// The most threads in the picture of scaling.
    to: usize,
}

impl<'a> Runner<'a> {
    pub fn new(
        places: &'a Places,
        machine: &'a Machine,
        field: &'a Field,
        effort: Effort,
        to: usize,
    ) -> Runner<'a> {
        Runner { places, machine, field, effort, to }
    }

    /// What will be done.
    pub fn plan(&self, rows: &[Row], whole: bool) -> String {
        let effort = self.effort;
        let mut plan = format!(
            "Measuring {} rows: {} runs of {} ms for each member of the field, in turn.",
            rows.len(),
            effort.runs,
            effort.milliseconds
        );
        if whole && effort.scaling_runs > 0 {
            plan += &format!(
                "\nThen bursts with 1 to {} threads, {} runs each where no row has them.",
                self.to, effort.scaling_runs
            );
        }
        if whole && effort.latency_runs > 0 {
            plan += &format!(
                "\nThen single calls: runs for each member: {}, calls timed in each: {}.",
                effort.latency_runs, effort.latency_calls
            );
        }
        plan
    }

    fn say(&self, what: &str) {
        print!("{what}");
        let _ = std::io::stdout().flush();
    }

    /// Measures all rows.
    pub fn rows(&self, rows: &[Row], results: &mut Results) -> Result<()> {
        for (number, row) in rows.iter().enumerate() {
            self.say(&format!("[{:>2}/{}] {:<36}", number + 1, rows.len(), row.title));
            if !self.field.has_program(row.program) {
                println!(" skipped");
                continue;
            }
            let measured = self.row(row)?;
            let result = RowResult::new(row, measured);
            println!(" {}", result.summary());
            results.rows.push(result);
        }
        Ok(())
    }

    fn row(&self, row: &Row) -> Result<Vec<Measured>> {
        let runs = match row.unit {
            // The same each time.
            Unit::Bytes => 1,
            _ if row.arguments.contains(&"{ms}") => self.effort.runs,
            _ => self.effort.long_runs,
        };
        let arguments: Vec<String> = row
            .arguments
            .iter()
            .map(|&argument| match argument {
                "{ms}" => self.effort.milliseconds.to_string(),
                "{cpus}" => self.machine.cpu_list(),
                "{entries}" => self.effort.entries.to_string(),
                "{script}" => self.places.script().display().to_string(),
                other => other.to_owned(),
            })
            .collect();
        self.alternate(&self.field.members_of(row), runs, |member| {
            let said = self.run(member, row.program, &arguments, row.placement)?;
            let name = row.unit.said_as();
            let said = said[name].as_f64().with_context(|| format!("no {name} in its output"))?;
            Ok(row.unit.of_said(said))
        })
    }

    /// Lets each member run in turn, `runs` times. One that fails is named and left out; cmempool
    /// may not fail.
    fn alternate(
        &self,
        members: &[&Member],
        runs: usize,
        mut run: impl FnMut(&Member) -> Result<f64>,
    ) -> Result<Vec<Measured>> {
        let mut measured: Vec<Measured> = members.iter().map(|m| Measured::new(m.name)).collect();
        let mut failed = vec![false; members.len()];
        for _ in 0..runs {
            for (i, member) in members.iter().enumerate() {
                if failed[i] {
                    continue;
                }
                match run(member) {
                    Ok(value) => measured[i].runs.push(value),
                    Err(why) if member.name == OURS => return Err(why),
                    Err(why) => {
                        print!(" ({} skipped: {why})", member.name);
                        failed[i] = true;
                    }
                }
            }
        }
        measured.retain(|m| m.runs.len() == runs);
        measured.iter_mut().for_each(Measured::settle);
        Ok(measured)
    }

    /// Runs a program once and returns what it says.
    fn run(
        &self,
        member: &Member,
        program: &str,
        arguments: &[String],
        placement: Placement,
    ) -> Result<Value> {
        let mut command = Command::new(self.places.executable(program, member.build));
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped());
        if let Some(library) = &member.preload {
            command.env("LD_PRELOAD", library);
        }
        let child = match placement {
            Placement::OneCpu => self.machine.on_one_cpu(|| command.spawn()),
            Placement::ACpuEach | Placement::Anywhere => command.spawn(),
        };
        let mut child = child.with_context(|| format!("can't run {program}-{}", member.build))?;
        let Some(status) = child.wait_timeout(self.effort.patience)? else {
            let _ = child.kill();
            let _ = child.wait();
            let seconds = self.effort.patience.as_secs();
            bail!("{program}-{} did not end within {seconds} s", member.build);
        };
        if !status.success() {
            bail!("{program}-{} {} ended with {status}", member.build, arguments.join(" "));
        }
        let mut text = String::new();
        child.stdout.take().context("no output")?.read_to_string(&mut text)?;
        serde_json::from_str(&text)
            .map_err(|_| anyhow!("{program}-{} wrote no line of JSON", member.build))
    }

    /// Measures bursts with more and more threads, but for those that are rows.
    pub fn scaling(&self, results: &mut Results) -> Result<()> {
        if self.effort.scaling_runs == 0 {
            return Ok(());
        }
        for threads in thread_counts(self.to) {
            let row = format!("threads{threads}_bursts");
            if let Some(row) = results.rows.iter().find(|result| result.id == row) {
                let measured = row.measured.iter().filter(|m| m.name != CALLED).cloned().collect();
                results.scaling.push(ScalingResult { threads, measured });
                continue;
            }
            self.say(&format!("{:<44}", format!("bursts of 200, threads: {threads}")));
            let milliseconds = self.effort.milliseconds.to_string();
            let mut arguments = vec!["bursts".to_owned(), threads.to_string(), milliseconds];
            if threads <= self.machine.cpus.len() {
                arguments.push(self.machine.cpu_list());
            }
            let members = self.field.mallocs_and_ours();
            let measured = self.alternate(&members, self.effort.scaling_runs, |member| {
                let said = self.run(member, "threads", &arguments, Placement::ACpuEach)?;
                said["median_ns"].as_f64().context("no median_ns in its output")
            })?;
            let ours = measured.iter().find(|m| m.name == OURS).map_or(0.0, |m| m.median);
            println!(" {ours:.2} ns per pair");
            results.scaling.push(ScalingResult { threads, measured });
        }
        Ok(())
    }

    /// Measures single calls.
    pub fn latency(&self, results: &mut Results) -> Result<()> {
        for (workload, threads, title) in LATENCY_WORKLOADS {
            self.say(&format!("{:<44}", format!("single calls, {title}")));
            let calls = self.effort.latency_calls.to_string();
            let arguments = [workload.to_owned(), calls, threads.to_string()];
            let placement = if threads == 1 { Placement::OneCpu } else { Placement::Anywhere };
            let members = self.field.mallocs_and_ours();
            let mut curves: Vec<Option<Curve>> = members.iter().map(|_| None).collect();
            for _ in 0..self.effort.latency_runs {
                for (member, curve) in members.iter().zip(&mut curves) {
                    match self.run(member, "latency", &arguments, placement) {
                        Ok(said) => match curve {
                            None => *curve = Some(Curve::read(member.name, &said)?),
                            Some(curve) => curve.add(&Curve::read(member.name, &said)?),
                        },
                        Err(why) if member.name == OURS => return Err(why),
                        Err(why) => print!(" ({} skipped: {why})", member.name),
                    }
                }
            }
            let curves: Vec<Curve> = curves.into_iter().flatten().collect();
            println!(" {}", curves.first().map(Curve::summary).unwrap_or_default());
            results.latency.push(LatencyResult::new(workload, title, curves));
        }
        Ok(())
    }
}
