//! How full were a ranged pool's classes, over time?
//!
//! A column for each file of samples, a row for each class, one scale per row: so that what differs
//! between two runs is seen at a glance.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::pictures::{Area, CARD_HEAD, Drawn, FAINT, INK, Outcome, bold, card, text};

const FIELDS: &str = "minute,elem_size,capacity,used,peak_used,dynamic_used,dynamic_peak,exhausted";

/// The figures of one class at one moment.
#[derive(Clone, Copy)]
struct Sample {
    minute: u32,
    capacity: u32,
    used: u32,
    peak_used: u32,
    dynamic_used: u32,
    dynamic_peak: u32,
    exhausted: u32,
}

impl Sample {
    /// The most entries at once so far, those from the heap included: the class was all out when it
    /// took from there.
    fn most(&self) -> u32 {
        if self.dynamic_peak > 0 { self.capacity + self.dynamic_peak } else { self.peak_used }
    }
}

/// A run of the program: its samples by class.
struct Run {
    name: String,
    classes: BTreeMap<u32, Vec<Sample>>,
}

impl Run {
    fn read(path: &Path) -> Result<Run> {
        let name = path.file_stem().context("a file has a name")?.to_string_lossy().into_owned();
        let content = std::fs::read_to_string(path)?;
        let mut lines = content.lines();
        if lines.next() != Some(FIELDS) {
            bail!("the first line must be {FIELDS}");
        }
        let mut classes: BTreeMap<u32, Vec<Sample>> = BTreeMap::new();
        for line in lines {
            let numbers: Vec<u32> = line
                .split(',')
                .map(|number| number.parse().with_context(|| format!("no number in {line}")))
                .collect::<Result<_>>()?;
            let &[minute, size, capacity, used, peak_used, dynamic_used, dynamic_peak, exhausted] =
                &numbers[..]
            else {
                bail!("{} numbers in {line}", numbers.len());
            };
            classes.entry(size).or_default().push(Sample {
                minute,
                capacity,
                used,
                peak_used,
                dynamic_used,
                dynamic_peak,
                exhausted,
            });
        }
        if classes.is_empty() {
            bail!("no samples");
        }
        Ok(Run { name, classes })
    }

    fn all(&self) -> impl Iterator<Item = &Sample> {
        self.classes.values().flatten()
    }
}

/// Draws the runs side by side.
pub fn draw(picture: &Path, files: &[PathBuf]) -> Result<()> {
    let runs: Vec<Run> = files
        .iter()
        .map(|file| Run::read(file).with_context(|| format!("samples in {}", file.display())))
        .collect::<Result<_>>()?;
    // The library's errors borrow from what is drawn on.
    let svg = runs_beside_each_other(&runs).map_err(|error| anyhow!("can't draw: {error}"))?;
    std::fs::write(picture, svg)?;
    println!("Wrote {}", picture.display());
    Ok(())
}

const USED: RGBColor = RGBColor(120, 170, 215);
const MOST: RGBColor = RGBColor(20, 80, 140);
const SHORT: RGBColor = RGBColor(214, 30, 40);
const WHEN_SHORT: RGBColor = RGBColor(252, 222, 222);

/// Where a panel's plot lies, in pixels, and what is at its edges.
struct Panel<'p, 'a> {
    area: &'p Area<'a>,
    left: i32,
    right: i32,
    top: i32,
    bottom: i32,
    minutes: (u32, u32),
    highest: u32,
}

const PANEL: i32 = 86;
const ROW: i32 = PANEL + 34;
const WIDTH: i32 = 1000;
/// Left of the first column, for the sizes; and left of each plot, for its scale.
const SIZES: i32 = 84;
const SCALE: i32 = 36;
const HEAD: i32 = 84;

fn runs_beside_each_other(runs: &[Run]) -> Outcome<String> {
    let sizes: Vec<u32> = {
        let mut sizes: Vec<u32> = runs.iter().flat_map(|run| run.classes.keys().copied()).collect();
        sizes.sort_unstable();
        sizes.dedup();
        sizes
    };
    let all = || runs.iter().flat_map(Run::all);
    let times = || all().map(|sample| sample.minute);
    let minutes = (times().min().unwrap_or(0), times().max().unwrap_or(0).max(1));

    let height = CARD_HEAD + HEAD + ROW * sizes.len() as i32 + 52;
    let title = "A ranged pool in use: which classes have too few entries, which too many?";
    let below = "Entries of each class that are out, over a day of c-examples/server.c, whose \
                 clients are made up. Drawn by `make demo`.";
    card((WIDTH as u32, height as u32), title, below, |area| {
        legend(area, 10)?;
        let column = (WIDTH - SIZES - 10) / runs.len() as i32;
        for (i, run) in runs.iter().enumerate() {
            let left = SIZES + column * i as i32;
            let title = format!("Counts {}", run.name);
            area.draw(&Text::new(title, (left + SCALE, HEAD - 38), bold(15.0)))?;
        }
        for (j, &size) in sizes.iter().enumerate() {
            let top = HEAD + ROW * j as i32;
            let of_size = || runs.iter().filter_map(|run| run.classes.get(&size)).flatten();
            let highest = of_size().map(|sample| sample.capacity.max(sample.most())).max();
            let beside = text(15.0).pos(Pos::new(HPos::Left, VPos::Center));
            area.draw(&Text::new(format!("{size} B"), (20, top + ROW / 2), beside))?;
            for (i, run) in runs.iter().enumerate() {
                let left = SIZES + column * i as i32 + SCALE;
                let panel = Panel {
                    area,
                    left,
                    right: left + column - SCALE - 24,
                    top: top + 20,
                    bottom: top + 20 + PANEL,
                    minutes,
                    highest: highest.unwrap_or(1),
                };
                let samples = run.classes.get(&size).map_or(&[][..], Vec::as_slice);
                panel.draw(samples, j + 1 == sizes.len())?;
            }
        }
        let middle = text(12.0).pos(Pos::new(HPos::Center, VPos::Top));
        let axis = "time of day; upwards: entries";
        area.draw(&Text::new(axis, (WIDTH / 2, HEAD + ROW * sizes.len() as i32 + 20), middle))?;
        Ok(())
    })
}

fn legend(area: &Area<'_>, y: i32) -> Drawn {
    let mut x = 20;
    let mut entry = |words: &str, width: i32, mark: &dyn Fn(i32) -> Drawn| -> Drawn {
        mark(x)?;
        let beside = text(13.0).pos(Pos::new(HPos::Left, VPos::Center));
        area.draw(&Text::new(words.to_owned(), (x + 28, y), beside))?;
        x += width;
        Ok(())
    };
    let block = |colour: RGBColor| {
        move |x: i32| -> Drawn {
            Ok(area.draw(&Rectangle::new([(x, y - 6), (x + 20, y + 6)], colour.filled()))?)
        }
    };
    entry("out", 76, &block(USED))?;
    entry("out, from the heap", 174, &block(SHORT))?;
    entry("the class was exhausted", 212, &block(WHEN_SHORT))?;
    entry("most at once so far (high-water mark)", 298, &|x| {
        Ok(area.draw(&Rectangle::new([(x, y - 1), (x + 20, y + 1)], MOST.filled()))?)
    })?;
    entry("capacity", 0, &|x| {
        Ok([x, x + 11].into_iter().try_for_each(|x| {
            area.draw(&PathElement::new([(x, y), (x + 7, y)], INK.stroke_width(2)))
        })?)
    })
}

impl Panel<'_, '_> {
    fn x(&self, minute: u32) -> i32 {
        let (first, last) = self.minutes;
        let part = f64::from(minute - first) / f64::from((last - first).max(1));
        self.left + (part * f64::from(self.right - self.left)).round() as i32
    }

    fn y(&self, entries: u32) -> i32 {
        // Some air above the highest line.
        let part = f64::from(entries) / (f64::from(self.highest) * 1.06);
        self.bottom - (part * f64::from(self.bottom - self.top)).round() as i32
    }

    fn draw(&self, samples: &[Sample], is_last: bool) -> Drawn {
        let when_short = samples.windows(2).filter(|pair| pair[1].exhausted > pair[0].exhausted);
        for pair in when_short {
            let (from, to) = (self.x(pair[0].minute), self.x(pair[1].minute));
            let fill = WHEN_SHORT.filled();
            self.area.draw(&Rectangle::new([(from, self.top), (to, self.bottom)], fill))?;
        }
        self.grid(is_last)?;
        let Some(last) = samples.last() else {
            let (x, y) = (self.left + 6, (self.top + self.bottom) / 2);
            let centred = text(13.0).pos(Pos::new(HPos::Left, VPos::Center));
            self.area.draw(&Text::new("no such class", (x, y), centred))?;
            return Ok(());
        };
        self.band(samples, |_| 0, |sample| sample.used, USED)?;
        let all_out = |sample: &Sample| sample.used + sample.dynamic_used;
        self.band(samples, |sample| sample.used, all_out, SHORT)?;
        let most = self.line(samples, Sample::most);
        self.area.draw(&PathElement::new(most, MOST.stroke_width(2)))?;
        let y = self.y(last.capacity);
        for x in (self.left..self.right).step_by(11) {
            let dash = [(x, y), ((x + 7).min(self.right), y)];
            self.area.draw(&PathElement::new(dash, INK.stroke_width(2)))?;
        }
        self.caption(last)
    }

    /// What lies between two lines.
    fn band(
        &self,
        samples: &[Sample],
        low: impl Fn(&Sample) -> u32,
        high: impl Fn(&Sample) -> u32,
        colour: RGBColor,
    ) -> Drawn {
        // Only where there is something: no seam along the rest.
        for part in samples.chunk_by(|a, b| low(a) < high(a) || low(b) < high(b)) {
            if part.len() < 2 {
                continue;
            }
            let mut edge = self.line(part, &high);
            edge.extend(self.line(part, &low).into_iter().rev());
            self.area.draw(&Polygon::new(edge, colour.filled()))?;
        }
        Ok(())
    }

    /// Without the points between two of the same height.
    fn line(&self, samples: &[Sample], entries: impl Fn(&Sample) -> u32) -> Vec<(i32, i32)> {
        let mut line: Vec<(i32, i32)> = Vec::new();
        for sample in samples {
            let (x, y) = (self.x(sample.minute), self.y(entries(sample)));
            match line[..] {
                [.., (_, y1), (_, y2)] if y1 == y && y2 == y => line.pop(),
                _ => None,
            };
            line.push((x, y));
        }
        line
    }

    fn grid(&self, with_hours: bool) -> Drawn {
        let frame = [(self.left, self.top), (self.right, self.bottom)];
        self.area.draw(&Rectangle::new(frame, FAINT))?;
        const HOURS: u32 = 3 * 60;
        let (first, last) = self.minutes;
        for minute in (first.div_ceil(HOURS) * HOURS..=last).step_by(HOURS as usize) {
            let x = self.x(minute);
            self.area.draw(&PathElement::new([(x, self.top), (x, self.bottom)], FAINT))?;
            if with_hours {
                let hour = format!("{:02}:00", minute / 60 % 24);
                let centred = text(12.0).pos(Pos::new(HPos::Center, VPos::Top));
                self.area.draw(&Text::new(hour, (x, self.bottom + 6), centred))?;
            }
        }
        let step = step(self.highest);
        for entries in (0..=self.highest).step_by(step as usize) {
            let y = self.y(entries);
            let line = if entries == 0 { INK } else { FAINT };
            self.area.draw(&PathElement::new([(self.left, y), (self.right, y)], line))?;
            let beside = text(12.0).pos(Pos::new(HPos::Right, VPos::Center));
            self.area.draw(&Text::new(entries.to_string(), (self.left - 6, y), beside))?;
        }
        Ok(())
    }

    fn caption(&self, last: &Sample) -> Drawn {
        let place = (self.left, self.top - 18);
        let (capacity, most) = (last.capacity, last.most());
        let (words, style) = if last.exhausted > 0 {
            let words =
                format!("{most} needed, {capacity} there: exhausted {} times", last.exhausted);
            (words, bold(13.0).color(&SHORT))
        } else if most == 0 {
            (format!("never used: 0 of {capacity}"), text(13.0))
        } else {
            (format!("at most {most} of {capacity}"), text(13.0))
        };
        self.area.draw(&Text::new(words, place, style))?;
        Ok(())
    }
}

/// Between lines of a scale: 1, 2 or 5 and zeros, for two to five lines.
fn step(highest: u32) -> u32 {
    let steps = (0..9).flat_map(|zeros| [1, 2, 5].map(|digit| digit * 10_u32.pow(zeros)));
    steps.into_iter().find(|step| highest / step <= 4).unwrap_or(highest.max(1))
}
