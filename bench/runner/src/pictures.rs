//! What does it look like?

use std::path::Path;

use anyhow::{Result, anyhow};
use plotters::coord::Shift;
use plotters::coord::ranged1d::{KeyPointHint, Ranged};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::field::{CALLED, OURS};
use crate::measuring::threads_of_calls;
use crate::results::{Results, RowResult};
use crate::rows::threads_of;

/// Draws all pictures into a directory.
pub fn draw(results: &Results, directory: &Path) -> Result<()> {
    let write = |name: &str, picture: Picture| -> Result<()> {
        // The library's errors borrow from what is drawn on.
        match picture.map_err(|error| anyhow!("can't draw: {error}"))? {
            Some(svg) => Ok(std::fs::write(directory.join(name), svg)?),
            None => Ok(()),
        }
    };
    write("ratios.svg", ratios(results))?;
    write("scaling.svg", scaling(results))?;
    write("latency.svg", latency(results))?;
    println!("Wrote ratios.svg, scaling.svg and latency.svg beside it");
    Ok(())
}

pub type Outcome<T> = std::result::Result<T, Box<dyn std::error::Error>>;
pub type Drawn = Outcome<()>;
/// An SVG; none where nothing was measured.
type Picture = Outcome<Option<String>>;
pub type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Helvetica and its likes, as in the pictures that are drawn by hand.
const FONT: &str = "Helvetica, Arial, Liberation Sans, sans-serif";
pub const INK: RGBColor = RGBColor(40, 40, 40);
/// Of lines after the data, and of the frames around it.
pub const FAINT: RGBColor = RGBColor(222, 222, 222);
/// Behind what ran with more threads than there are CPUs.
const CROWDED: RGBColor = RGBColor(255, 244, 214);

/// A picture of this size on a white card with a title, and a line below it: readable on a page of
/// any colour. Returns the SVG.
pub fn card(
    size: (u32, u32),
    title: &str,
    below: &str,
    content: impl FnOnce(&Area<'_>) -> Drawn,
) -> Outcome<String> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        root.draw(&Text::new(title.to_owned(), (20, 16), bold(18.0)))?;
        root.draw(&Text::new(below.to_owned(), (20, 44), text(13.0)))?;
        content(&root.split_vertically(CARD_HEAD).1)?;
        root.present()?;
    }
    let (width, height) = size;
    let (tag, rest) = svg.split_once(">\n").ok_or("no tag of an SVG")?;
    Ok(format!(
        "{tag} role=\"img\" aria-labelledby=\"title\">\n\
         <title id=\"title\">{title}</title>\n\
         <rect x=\"1\" y=\"1\" width=\"{}\" height=\"{}\" rx=\"10\" fill=\"#ffffff\" stroke=\"#d1d9e0\"/>\n\
         {rest}",
        width - 2,
        height - 2
    ))
}

/// The height of a card's title and the line below it.
pub const CARD_HEAD: i32 = 70;

/// Text of a size in pixels; the library counts in something else.
pub fn text<'a>(pixels: f64) -> TextStyle<'a> {
    (FONT, pixels * 1.24).into_font().color(&INK)
}

pub fn bold<'a>(pixels: f64) -> TextStyle<'a> {
    (FONT, pixels * 1.24, FontStyle::Bold).into_font().color(&INK)
}

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

/// A row of names with their colours, wrapped, at the top of an area. Returns what is below it.
fn legend<'a>(results: &Results, area: &Area<'a>, names: &[&str]) -> Outcome<Area<'a>> {
    const LINE: i32 = 22;
    let right = area.dim_in_pixel().0 as i32 - 20;
    let (mut x, mut y) = (20, 8);
    for &name in names {
        let width = if name == OURS { 50 } else { 34 } + 8 * name.len() as i32;
        if x + width > right {
            (x, y) = (20, y + LINE);
        }
        let fill = colour(results, name).filled();
        let (half, style) = if name == OURS { (6, bold(13.0)) } else { (4, text(13.0)) };
        area.draw(&Rectangle::new([(x + 6 - half, y - half), (x + 6 + half, y + half)], fill))?;
        let style = style.pos(Pos::new(HPos::Left, VPos::Center));
        area.draw(&Text::new(name.to_owned(), (x + 18, y), style))?;
        x += width;
    }
    Ok(area.split_vertically(y + LINE).1)
}

/// The members that appear in something, in the order of the field.
fn names_in(results: &Results, appears: impl Fn(&str) -> bool) -> Vec<&str> {
    results.field.iter().map(|member| member.name.as_str()).filter(|name| appears(name)).collect()
}

/// What a row's mark means, if threads had to share CPUs.
fn crowded_note(results: &Results) -> String {
    format!("more threads than the {} CPUs", results.machine.cpus)
}

/// Per row, everybody's time as a multiple of the best peer's.
fn ratios(results: &Results) -> Picture {
    const LINE: i32 = 27;
    let rows: Vec<_> = results.rows.iter().filter(|row| row.ratio.is_some()).collect();
    let crowded = |row: &RowResult| threads_of(&row.id) > results.machine.cpus;
    let names = names_in(results, |name| {
        name != CALLED && rows.iter().any(|row| row.measured.iter().any(|m| m.name == name))
    });
    let height = CARD_HEAD + 52 + LINE * rows.len() as i32 + 84;
    let title = "Time or memory of each workload: cmempool beside other allocators";
    let below = format!("Medians, the best of the others being 1. {}", machine(results));
    let svg = card((1000, height as u32), title, &below, |area| {
        let area = legend(results, area, &names)?;
        let (left, right, top) = (300.0, 960.0, 6);
        let bottom = top + LINE * rows.len() as i32;
        let (low, high) = (0.125_f64, 16.0_f64);
        let x_of = |ratio: f64| {
            let part = (ratio.clamp(low, high) / low).ln() / (high / low).ln();
            (left + part * (right - left)) as i32
        };
        // Marks at the ends lie inside, too.
        let (first, last) = (left as i32 - 8, right as i32 + 8);
        for (i, _) in rows.iter().enumerate().filter(|(_, row)| crowded(row)) {
            let y = top + LINE * i as i32;
            let band = [(first, y), (last, y + LINE)];
            area.draw(&Rectangle::new(band, CROWDED.filled()))?;
        }
        let centred = text(12.0).pos(Pos::new(HPos::Center, VPos::Top));
        for ratio in [0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0] {
            let x = x_of(ratio);
            let line = if ratio == 1.0 { INK } else { FAINT };
            area.draw(&PathElement::new([(x, top), (x, bottom)], line))?;
            let label = match ratio {
                r if r == low => format!("1/{} or less", 1.0 / r),
                r if r == high => format!("{r} or more"),
                r if r < 1.0 => format!("1/{}", 1.0 / r),
                r => format!("{r}"),
            };
            area.draw(&Text::new(label, (x, bottom + 8), centred.clone()))?;
        }
        let axis =
            "times as long, or as much, as the best of the others \u{2013} further left is better";
        let middle = (first + last) / 2;
        area.draw(&Text::new(axis, (middle, bottom + 30), centred.clone()))?;
        for (i, row) in rows.iter().enumerate() {
            let y = top + LINE * i as i32 + LINE / 2;
            area.draw(&PathElement::new([(first, y), (last, y)], FAINT))?;
            let right_bound = text(13.0).pos(Pos::new(HPos::Right, VPos::Center));
            let name = format!("{}{}", row.title, if crowded(row) { " *" } else { "" });
            area.draw(&Text::new(name, (first - 10, y), right_bound))?;
            let best =
                row.best_peer.as_deref().and_then(|name| row.of(name)).map_or(1.0, |m| m.median);
            // Ours last, so that nothing covers it.
            for member in row.measured.iter().filter(|m| m.name != OURS && m.name != CALLED) {
                let fill = colour(results, &member.name).filled();
                area.draw(&Circle::new((x_of(member.median / best), y), 4, fill))?;
            }
            if let Some(ours) = row.of(OURS) {
                let fill = colour(results, OURS);
                let spread =
                    [ours.quartiles.0, ours.quartiles.1].map(|value| (x_of(value / best), y));
                area.draw(&PathElement::new(spread, fill.stroke_width(3)))?;
                area.draw(&Circle::new((x_of(ours.median / best), y), 6, fill.filled()))?;
            }
        }
        area.draw(&Rectangle::new([(first, top), (last, bottom)], FAINT))?;
        let foot = format!(
            "The bar of cmempool's mark is the middle half of its runs. * {}",
            crowded_note(results)
        );
        area.draw(&Text::new(foot, (20, bottom + 54), text(12.0)))?;
        Ok(())
    })?;
    Ok(Some(svg))
}

/// An axis of numbers of threads, with those that were measured named.
struct Threads(Vec<f64>);

impl Threads {
    /// Some room beside the first and the last.
    fn ends(&self) -> (f64, f64) {
        let last = self.0.last().copied().unwrap_or(1.0);
        let room = (last / 40.0).max(0.2);
        (1.0 - room, last + room)
    }
}

impl Ranged for Threads {
    type FormatOption = plotters::coord::ranged1d::NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        let (from, to) = self.ends();
        limit.0 + ((value - from) / (to - from) * f64::from(limit.1 - limit.0)) as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.0.clone()
    }

    fn range(&self) -> std::ops::Range<f64> {
        let (from, to) = self.ends();
        from..to
    }
}

impl plotters::coord::ranged1d::ValueFormatter<f64> for Threads {
    fn format_ext(&self, value: &f64) -> String {
        format!("{value:.0}")
    }
}

/// Pairs per second of all threads together, by the number of threads.
fn scaling(results: &Results) -> Picture {
    if results.scaling.is_empty() {
        return Ok(None);
    }
    let names = names_in(results, |name| {
        results.scaling.iter().any(|point| point.measured.iter().any(|m| m.name == name))
    });
    let throughput = |nanoseconds: f64| 1e3 / nanoseconds;
    // The shorter time is the higher speed, and the spread belongs to what is drawn.
    let highest = results
        .scaling
        .iter()
        .flat_map(|point| &point.measured)
        .map(|m| throughput(m.median.min(m.quartiles.0)))
        .fold(0.0, f64::max);
    let counts = Threads(results.scaling.iter().map(|point| point.threads as f64).collect());
    let (first, last) = counts.ends();
    let cpus = results.machine.cpus as f64;
    let top = highest * 1.1;
    let title = "More threads on one pool: all their pairs of alloc and free in a second";
    let below = format!(
        "Bursts of 200 x 64 B; medians, and the middle half of the runs. {}",
        machine(results)
    );
    let svg = card((1000, 560), title, &below, |area| {
        let area = legend(results, area, &names)?;
        let mut chart = ChartBuilder::on(&area)
            .margin(20)
            .margin_top(4)
            .x_label_area_size(44)
            .y_label_area_size(70)
            .build_cartesian_2d(counts, 0.0..top)?;
        if cpus < last {
            let band = [((cpus + 0.5).max(first), 0.0), (last, top)];
            chart.draw_series([Rectangle::new(band, CROWDED.filled())])?;
        }
        chart
            .configure_mesh()
            .disable_x_mesh()
            .light_line_style(TRANSPARENT)
            .bold_line_style(FAINT)
            .y_label_formatter(&|y| format!("{y:.0}"))
            .x_desc("threads")
            .y_desc("million pairs per second")
            .label_style(text(12.0))
            .axis_desc_style(text(13.0))
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
        chart.draw_series([Rectangle::new([(first, 0.0), (last, top)], FAINT)])?;
        if cpus < last {
            let right_bound = text(12.0).pos(Pos::new(HPos::Right, VPos::Top));
            let (x, y) = chart.backend_coord(&(last, top));
            let (left, above) = area.get_base_pixel();
            let place = (x - left - 8, y - above + 6);
            area.draw(&Text::new(crowded_note(results), place, right_bound))?;
        }
        Ok(())
    })?;
    Ok(Some(svg))
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
fn latency(results: &Results) -> Picture {
    let Some(first) = results.latency.first().and_then(|latency| latency.members.first()) else {
        return Ok(None);
    };
    let names = names_in(results, |name| {
        results.latency.iter().any(|latency| latency.members.iter().any(|m| m.name == name))
    });
    let times = || {
        let members = results.latency.iter().flat_map(|latency| &latency.members);
        members.flat_map(|member| [&member.alloc, &member.free]).flat_map(|side| {
            let curve = side.curve.iter().filter(|(percentile, _)| SHOWN.contains(percentile));
            curve.map(|&(_, ns)| ns).chain([side.longest])
        })
    };
    let longest = times().fold(1000.0, f64::max) * 1.5;
    let shortest = 10_f64.powf(times().fold(10.0, f64::min).max(0.1).log10().floor());
    let height = CARD_HEAD as u32 + 30 + 330 * results.latency.len() as u32;
    let title = "How long single calls take, from the median to the slowest of a run";
    let below = format!(
        "To time nothing takes {:.0} ns, which is included; the clock's step is {:.0} ns. {}",
        first.timer,
        first.step,
        machine(results)
    );
    let svg = card((1000, height), title, &below, |area| {
        let area = legend(results, area, &names)?;
        let panels = area.split_evenly((results.latency.len(), 2));
        for (i, latency) in results.latency.iter().enumerate() {
            let crowded = threads_of_calls(&latency.title) > results.machine.cpus;
            for (j, kind) in ["alloc", "free"].into_iter().enumerate() {
                let panel = &panels[i * 2 + j];
                let note =
                    if crowded { format!(" ({})", crowded_note(results)) } else { String::new() };
                let mut chart = ChartBuilder::on(panel)
                    .caption(format!("{kind}, {}{note}", latency.title), text(13.0))
                    .margin(14)
                    .x_label_area_size(42)
                    .y_label_area_size(72)
                    .build_cartesian_2d(Nines, (shortest..longest).log_scale())?;
                let all = [(nines(50.0), shortest), (Nines.range().end, longest)];
                if crowded {
                    chart.draw_series([Rectangle::new(all, CROWDED.filled())])?;
                }
                chart
                    .configure_mesh()
                    .light_line_style(TRANSPARENT)
                    .bold_line_style(FAINT)
                    .x_desc("percentile of the calls")
                    .y_desc("time of a call")
                    .y_label_formatter(&|ns| duration(*ns))
                    .label_style(text(12.0))
                    .axis_desc_style(text(12.0))
                    .draw()?;
                for name in names.iter().rev() {
                    let Some(member) = latency.members.iter().find(|m| m.name == *name) else {
                        continue;
                    };
                    let percentiles = if j == 0 { &member.alloc } else { &member.free };
                    let mut points: Vec<(f64, f64)> = percentiles
                        .curve
                        .iter()
                        .filter(|(percentile, _)| SHOWN.contains(percentile))
                        .map(|&(percentile, ns)| (nines(percentile), ns))
                        .collect();
                    points.push((LONGEST_AT, percentiles.longest));
                    let width = if *name == OURS { 4 } else { 2 };
                    let style = colour(results, name).stroke_width(width);
                    chart.draw_series(LineSeries::new(points, style))?;
                }
                chart.draw_series([Rectangle::new(all, FAINT)])?;
            }
        }
        Ok(())
    })?;
    Ok(Some(svg))
}

/// The percentiles that are drawn; then comes the longest time.
const SHOWN: std::ops::RangeInclusive<f64> = 50.0..=99.99;

/// Nanoseconds in the unit that a person would use.
fn duration(nanoseconds: f64) -> String {
    match nanoseconds {
        ns if ns < 1e3 => format!("{ns:.0} ns"),
        ns if ns < 1e6 => format!("{:.0} µs", ns / 1e3),
        ns => format!("{:.0} ms", ns / 1e6),
    }
}
