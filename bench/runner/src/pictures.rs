//! What does it look like?

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::coord::ranged1d::{KeyPointHint, Ranged};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::field::{CALLED, OURS};
use crate::results::Results;

/// Draws all pictures into a directory.
pub fn draw(results: &Results, directory: &Path) -> Result<()> {
    let path = |name: &str| directory.join(name);
    // The library's errors borrow from what is drawn on.
    let failed = |error: Box<dyn std::error::Error>| anyhow!("can't draw: {error}");
    ratios(results, &path("ratios.svg")).map_err(failed)?;
    scaling(results, &path("scaling.svg")).map_err(failed)?;
    latency(results, &path("latency.svg")).map_err(failed)?;
    println!("Wrote ratios.svg, scaling.svg and latency.svg beside it");
    Ok(())
}

pub type Drawn = std::result::Result<(), Box<dyn std::error::Error>>;

const FONT: &str = "sans-serif";
pub const INK: RGBColor = RGBColor(40, 40, 40);
pub const FAINT: RGBColor = RGBColor(222, 222, 222);

/// A member's colour in every picture; cmempool's stands out.
fn colour(results: &Results, name: &str) -> RGBColor {
    const OTHERS: [RGBColor; 10] = [
        RGBColor(110, 110, 110),
        RGBColor(31, 119, 180),
        RGBColor(44, 160, 44),
        RGBColor(148, 103, 189),
        RGBColor(230, 150, 30),
        RGBColor(23, 175, 190),
        RGBColor(140, 86, 75),
        RGBColor(227, 119, 194),
        RGBColor(190, 190, 60),
        RGBColor(0, 0, 0),
    ];
    if name == OURS {
        return RGBColor(214, 30, 40);
    }
    let place = results.field.iter().position(|member| member.name == name).unwrap_or(1);
    OTHERS[(place.max(1) - 1) % OTHERS.len()]
}

fn machine(results: &Results) -> String {
    let machine = &results.machine;
    format!("{}, {} CPUs, Linux {}", machine.processor, machine.cpus, machine.kernel)
}

pub fn text<'a>(size: u32) -> TextStyle<'a> {
    (FONT, size).into_font().color(&INK)
}

pub fn titled<'a>(
    root: &DrawingArea<SVGBackend<'a>, plotters::coord::Shift>,
    title: &str,
    below: &str,
) -> std::result::Result<
    DrawingArea<SVGBackend<'a>, plotters::coord::Shift>,
    Box<dyn std::error::Error>,
> {
    root.fill(&WHITE)?;
    root.draw(&Text::new(title.to_owned(), (16, 12), text(20)))?;
    root.draw(&Text::new(below.to_owned(), (16, 38), text(13)))?;
    Ok(root.split_vertically(62).1)
}

/// A row of names with their colours, wrapped at `width`.
fn legend<'a>(
    results: &Results,
    root: &DrawingArea<SVGBackend<'a>, plotters::coord::Shift>,
    names: &[&str],
    (left, top): (i32, i32),
) -> Drawn {
    let (mut x, mut y) = (left, top);
    for &name in names {
        if x > 830 {
            (x, y) = (left, y + 20);
        }
        let fill = colour(results, name).filled();
        root.draw(&Circle::new((x, y), if name == OURS { 6 } else { 4 }, fill))?;
        root.draw(&Text::new(name.to_owned(), (x + 10, y - 7), text(13)))?;
        x += 30 + 8 * name.len() as i32;
    }
    Ok(())
}

/// The members that appear in something, in the order of the field.
fn names_in(results: &Results, appears: impl Fn(&str) -> bool) -> Vec<&str> {
    results.field.iter().map(|member| member.name.as_str()).filter(|name| appears(name)).collect()
}

/// Per row, everybody's time as a multiple of the best peer's.
fn ratios(results: &Results, path: &Path) -> Drawn {
    const LINE: i32 = 27;
    let rows: Vec<_> = results.rows.iter().filter(|row| row.ratio.is_some()).collect();
    let height = 62 + 60 + LINE * rows.len() as i32 + 50;
    let root = SVGBackend::new(path, (1000, height as u32)).into_drawing_area();
    let below = format!(
        "Median time, the best peer's being 1; further left is faster. {}",
        machine(results)
    );
    let area = titled(&root, "cmempool beside the field, per workload", &below)?;
    let names = names_in(results, |name| {
        name != CALLED && rows.iter().any(|row| row.measured.iter().any(|m| m.name == name))
    });
    legend(results, &area, &names, (20, 12))?;

    let (left, right, top) = (300.0, 970.0, 50);
    let bottom = top + LINE * rows.len() as i32;
    let (low, high) = (0.125_f64, 16.0_f64);
    let x_of = |ratio: f64| {
        let part = (ratio.clamp(low, high) / low).ln() / (high / low).ln();
        (left + part * (right - left)) as i32
    };
    let centred = text(13).pos(Pos::new(HPos::Center, VPos::Top));
    for ratio in [0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0] {
        let x = x_of(ratio);
        let line = if ratio == 1.0 { INK } else { FAINT };
        area.draw(&PathElement::new([(x, top), (x, bottom)], line))?;
        let edge = if ratio == high { "+" } else { "" };
        area.draw(&Text::new(format!("{ratio}{edge}"), (x, bottom + 6), centred.clone()))?;
    }
    for (i, row) in rows.iter().enumerate() {
        let y = top + LINE * i as i32 + LINE / 2;
        area.draw(&PathElement::new([(left as i32, y), (right as i32, y)], FAINT))?;
        let right_bound = text(13).pos(Pos::new(HPos::Right, VPos::Center));
        area.draw(&Text::new(row.title.clone(), (left as i32 - 14, y), right_bound))?;
        let best = row.best_peer.as_deref().and_then(|name| row.of(name)).map_or(1.0, |m| m.median);
        // Ours last, so that nothing covers it.
        for member in row.measured.iter().filter(|m| m.name != OURS && m.name != CALLED) {
            let fill = colour(results, &member.name).filled();
            area.draw(&Circle::new((x_of(member.median / best), y), 4, fill))?;
        }
        if let Some(ours) = row.of(OURS) {
            let fill = colour(results, OURS);
            let spread = [ours.quartiles.0, ours.quartiles.1].map(|value| (x_of(value / best), y));
            area.draw(&PathElement::new(spread, fill.stroke_width(3)))?;
            area.draw(&Circle::new((x_of(ours.median / best), y), 6, fill.filled()))?;
        }
    }
    root.present()?;
    Ok(())
}

/// Pairs per second of all threads together, by the number of threads.
fn scaling(results: &Results, path: &Path) -> Drawn {
    if results.scaling.is_empty() {
        return Ok(());
    }
    let root = SVGBackend::new(path, (900, 520)).into_drawing_area();
    let below = format!(
        "Million pairs of alloc and free per second, bursts of 200 x 64 B, one pool. {}",
        machine(results)
    );
    let area = titled(&root, "More threads", &below)?;
    let names = names_in(results, |name| {
        results.scaling.iter().any(|point| point.measured.iter().any(|m| m.name == name))
    });
    legend(results, &area, &names, (20, 12))?;
    let area = area.split_vertically(28).1;
    let throughput = |nanoseconds: f64| 1e3 / nanoseconds;
    let highest = results
        .scaling
        .iter()
        .flat_map(|point| &point.measured)
        .map(|m| throughput(m.median))
        .fold(0.0, f64::max);
    let most = results.scaling.iter().map(|point| point.threads).max().unwrap_or(1) as f64;
    let mut chart = ChartBuilder::on(&area)
        .margin(16)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d(0.8..most + 0.2, 0.0..highest * 1.08)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(WHITE)
        .bold_line_style(FAINT)
        .x_labels(results.scaling.len())
        .x_label_formatter(&|x| format!("{x:.0}"))
        .y_label_formatter(&|y| format!("{y:.0}"))
        .x_desc("threads")
        .y_desc("million pairs per second")
        .label_style(text(13))
        .draw()?;
    for name in names.iter().rev() {
        let points: Vec<(f64, f64)> = results
            .scaling
            .iter()
            .filter_map(|point| {
                let measured = point.measured.iter().find(|m| m.name == *name)?;
                Some((point.threads as f64, throughput(measured.median)))
            })
            .collect();
        let style = colour(results, name).stroke_width(if *name == OURS { 4 } else { 2 });
        chart.draw_series(LineSeries::new(points.clone(), style))?;
        let fill = colour(results, name).filled();
        let size = if *name == OURS { 5 } else { 3 };
        chart.draw_series(points.into_iter().map(|point| Circle::new(point, size, fill)))?;
        // The middle half of the runs.
        let spreads = results.scaling.iter().filter_map(|point| {
            let measured = point.measured.iter().find(|m| m.name == *name)?;
            let (low, high) = measured.quartiles;
            let at = |nanoseconds| (point.threads as f64, throughput(nanoseconds));
            Some(PathElement::new([at(low), at(high)], style))
        });
        chart.draw_series(spreads)?;
    }
    root.present()?;
    Ok(())
}

/// Where the longest time is drawn on the axis of nines: percentile 100 itself is infinitely far.
const LONGEST_AT: f64 = 5.0;

/// How many nines a percentile has: 90 is 1, 99 is 2.
fn nines(percentile: f64) -> f64 {
    -(1.0 - percentile / 100.0).log10()
}

/// An axis of nines, from the median to the longest time.
struct Nines;

impl Ranged for Nines {
    type FormatOption = plotters::coord::ranged1d::NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let from = nines(50.0);
        let part = (value - from) / (LONGEST_AT + 0.15 - from);
        limit.0 + (part * f64::from(limit.1 - limit.0)) as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        vec![nines(50.0), 1.0, 2.0, 3.0, 4.0, LONGEST_AT]
    }

    fn range(&self) -> std::ops::Range<f64> {
        nines(50.0)..LONGEST_AT + 0.15
    }
}

impl plotters::coord::ranged1d::ValueFormatter<f64> for Nines {
    fn format_ext(&self, value: &f64) -> String {
        match value {
            v if *v >= LONGEST_AT => "max".to_owned(),
            v if *v < 0.9 => "p50".to_owned(),
            v if *v < 1.5 => "p90".to_owned(),
            v if *v < 2.5 => "p99".to_owned(),
            v if *v < 3.5 => "p99.9".to_owned(),
            _ => "p99.99".to_owned(),
        }
    }
}

/// Percentile curves of single calls: one panel for each workload and kind of call.
fn latency(results: &Results, path: &Path) -> Drawn {
    if results.latency.is_empty() {
        return Ok(());
    }
    let height = 100 + 330 * results.latency.len() as u32;
    let root = SVGBackend::new(path, (1000, height)).into_drawing_area();
    let (timer, step) =
        results.latency[0].members.first().map_or((0.0, 0.0), |first| (first.timer, first.step));
    let below = format!(
        "Nanoseconds by percentile; timing nothing takes {timer:.0} ns, included; the clock's step is {step:.0} ns. {}",
        machine(results)
    );
    let area = titled(&root, "Single calls, the slowest ones included", &below)?;
    let names = names_in(results, |name| {
        results.latency.iter().any(|latency| latency.members.iter().any(|m| m.name == name))
    });
    legend(results, &area, &names, (20, 12))?;
    let panels = area.split_vertically(28).1.split_evenly((results.latency.len(), 2));
    let longest = results
        .latency
        .iter()
        .flat_map(|latency| &latency.members)
        .map(|member| member.alloc.longest.max(member.free.longest))
        .fold(1000.0, f64::max);
    for (i, latency) in results.latency.iter().enumerate() {
        for (j, kind) in ["alloc", "free"].into_iter().enumerate() {
            let mut chart = ChartBuilder::on(&panels[i * 2 + j])
                .caption(format!("{kind}, {}", latency.title), text(14))
                .margin(12)
                .x_label_area_size(28)
                .y_label_area_size(66)
                .build_cartesian_2d(Nines, (10.0..longest * 1.5).log_scale())?;
            chart
                .configure_mesh()
                .light_line_style(WHITE)
                .bold_line_style(FAINT)
                .y_label_formatter(&|ns| duration(*ns))
                .label_style(text(12))
                .draw()?;
            for name in names.iter().rev() {
                let Some(member) = latency.members.iter().find(|m| m.name == *name) else {
                    continue;
                };
                let percentiles = if j == 0 { &member.alloc } else { &member.free };
                let mut points: Vec<(f64, f64)> = percentiles
                    .curve
                    .iter()
                    .filter(|(percentile, _)| (50.0..=99.99).contains(percentile))
                    .map(|&(percentile, ns)| (nines(percentile), ns))
                    .collect();
                points.push((LONGEST_AT, percentiles.longest));
                let width = if *name == OURS { 4 } else { 2 };
                let style = colour(results, name).stroke_width(width);
                chart.draw_series(LineSeries::new(points, style))?;
            }
        }
    }
    root.present()?;
    Ok(())
}

/// Nanoseconds in the unit that a person would use.
fn duration(nanoseconds: f64) -> String {
    match nanoseconds {
        ns if ns < 1e3 => format!("{ns:.0} ns"),
        ns if ns < 1e6 => format!("{:.0} µs", ns / 1e3),
        ns => format!("{:.0} ms", ns / 1e6),
    }
}
