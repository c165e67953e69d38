//! How fast is cmempool, beside the field, on this machine?
//!
//! | file           | the question it answers                              |
//! |----------------|------------------------------------------------------|
//! | `rows.rs`      | what is measured?                                    |
//! | `field.rs`     | against whom?                                        |
//! | `building.rs`  | how are the programs and the peers built?            |
//! | `machine.rs`   | on which machine, and on which of its CPUs?          |
//! | `measuring.rs` | how is a number made?                                |
//! | `results.rs`   | what is kept, and how is it told?                    |
//! | `pictures.rs`  | what does it look like?                              |
//! | `frames.rs`    | does a picture stay inside its frames, and say what it shows? |
//! | `use_over_time.rs` | how full were a ranged pool's classes, over time? |

mod building;
mod field;
#[cfg(test)]
mod frames;
mod machine;
mod measuring;
mod pictures;
mod results;
mod rows;
mod use_over_time;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

use building::Places;
use field::Field;
use machine::Machine;
use measuring::{Effort, Runner};
use results::Results;

/// Measures cmempool against other allocators and writes a table, JSON and pictures.
#[derive(Parser)]
struct Arguments {
    /// Less of everything: under 40 seconds, and noisier.
    #[arg(long)]
    quick: bool,
    /// Measure only these rows (can be given more than once); nothing is written to the results.
    #[arg(long, value_name = "ROW")]
    only: Vec<String>,
    /// Measure scaling with up to so many threads: by default twice the CPUs, and 8 at least.
    #[arg(long, value_name = "THREADS")]
    to: Option<usize>,
    /// List the rows and stop.
    #[arg(long)]
    list: bool,
    /// Draw the pictures and write the documents' tables of the last results anew and stop.
    #[arg(long)]
    draw: bool,
    /// The library's source tree, with its built library below the target directory.
    #[arg(long, default_value = ".")]
    root: PathBuf,
    /// The directory that cargo builds into.
    #[arg(long, default_value = "target")]
    target: PathBuf,
    #[command(subcommand)]
    instead: Option<Instead>,
}

/// What to do instead of measuring.
#[derive(Subcommand)]
enum Instead {
    /// Draws how full each class of a ranged pool was over time: a column for each file.
    UseOverTime {
        /// The picture, an SVG.
        picture: PathBuf,
        /// What c-examples/server.c writes; the file's name without its end is the column's.
        #[arg(required = true)]
        samples: Vec<PathBuf>,
    },
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    if let Some(Instead::UseOverTime { picture, samples }) = &arguments.instead {
        return use_over_time::draw(picture, samples);
    }
    if arguments.list {
        for row in rows::rows() {
            println!("{:<16} {}", row.id, row.title);
        }
        return Ok(());
    }
    let places = Places::new(&arguments.root, &arguments.target)?;
    let mode = if arguments.quick { "quick" } else { "full" };
    let json = places.results.join(format!("{mode}.json"));
    if arguments.draw {
        let text = std::fs::read_to_string(&json)
            .with_context(|| format!("no results in {}: run `make bench` first", json.display()))?;
        let results: Results = serde_json::from_str(&text)?;
        write_tables(&places, &results)?;
        return pictures::draw(&results, &places.results);
    }

    let machine = Machine::read()?;
    let rows = rows::chosen(&arguments.only)?;
    let effort = if arguments.quick { Effort::quick() } else { Effort::full() };
    println!("{}, {} CPUs, Linux {}", machine.processor, machine.cpus.len(), machine.kernel);
    println!("Building what is not built yet: the peers (minutes, once) and the programs.");
    let field = Field::gather(&places)?;
    for member in &field.members {
        println!("  {:<12} {}", member.name, member.what);
    }
    for program in &field.programs {
        println!("  {:<12} {}", program.name, program.what);
    }
    for absent in &field.absent {
        println!("  {:<12} skipped: {}", absent.name, absent.why);
    }

    let to = arguments.to.unwrap_or(8.max(2 * machine.cpus.len()));
    let started = Instant::now();
    let runner = Runner::new(&places, &machine, &field, effort, to);
    let mut results = Results::new(mode, &machine, &field);
    let whole = arguments.only.is_empty();
    println!("{}", runner.plan(&rows, whole));
    runner.rows(&rows, &mut results)?;
    if whole {
        runner.scaling(&mut results)?;
        runner.latency(&mut results)?;
    }
    println!("\n{}", results.table());
    println!("Took {} s.", started.elapsed().as_secs());
    if whole {
        std::fs::create_dir_all(&places.results)?;
        std::fs::write(&json, serde_json::to_string_pretty(&results)? + "\n")?;
        println!("Wrote {}", places.shown(&json));
        if !arguments.quick {
            write_tables(&places, &results)?;
            pictures::draw(&results, &places.results)?;
        }
    }
    Ok(())
}

fn write_tables(places: &Places, results: &Results) -> Result<()> {
    places.write_table("README.md", &results.summary_table())?;
    places.write_table("docs/speed.md", &results.whole_table())
}
