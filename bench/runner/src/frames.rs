//! Does a picture stay inside its frames, and say what it shows?
//!
//! A card has a title and a white ground, and nothing lies outside it. What is drawn in a member's colour lies in a
//! frame: a rectangle in the colour of frames.

use roxmltree::{Document, Node};

use crate::pictures::FAINT;

/// A rectangle: left, top, right, bottom.
type Rect = [f64; 4];

fn number(node: Node<'_, '_>, name: &str) -> f64 {
    node.attribute(name).and_then(|text| text.parse().ok()).unwrap_or(0.0)
}

fn inside(inner: Rect, outer: Rect) -> bool {
    inner[0] >= outer[0] && inner[1] >= outer[1] && inner[2] <= outer[2] && inner[3] <= outer[3]
}

fn around(points: impl Iterator<Item = (f64, f64)>) -> Option<Rect> {
    points.fold(None, |all: Option<Rect>, (x, y)| {
        let [left, top, right, bottom] = all.unwrap_or([x, y, x, y]);
        Some([left.min(x), top.min(y), right.max(x), bottom.max(y)])
    })
}

/// What a shape covers; None for what is no shape.
fn shape(node: Node<'_, '_>) -> Option<Rect> {
    let at = |name| number(node, name);
    match node.tag_name().name() {
        "rect" => Some([at("x"), at("y"), at("x") + at("width"), at("y") + at("height")]),
        "circle" => {
            let (x, y, r) = (at("cx"), at("cy"), at("r"));
            Some([x - r, y - r, x + r, y + r])
        }
        "line" => around([(at("x1"), at("y1")), (at("x2"), at("y2"))].into_iter()),
        "polyline" | "polygon" => {
            let numbers: Vec<f64> = node
                .attribute("points")?
                .split([' ', ','])
                .filter_map(|text| text.parse().ok())
                .collect();
            around(numbers.chunks_exact(2).map(|pair| (pair[0], pair[1])))
        }
        _ => None,
    }
}

/// How wide a text is, at most, in a wide font that browsers fall back to (DejaVu Sans).
fn width(text: &str, size: f64, bold: bool) -> f64 {
    let ems: f64 = text
        .chars()
        .map(|c| match c {
            'i' | 'j' | 'l' | ' ' | '.' | ',' | ':' | ';' | '\'' | '|' => 0.34,
            'f' | 't' | 'r' | '(' | ')' | '-' | '/' => 0.42,
            'm' | 'w' | 'M' | 'W' => 1.0,
            'A'..='Z' => 0.78,
            _ => 0.64,
        })
        .sum();
    ems * size * if bold { 1.1 } else { 1.0 }
}

/// What its classes say of a text: the rules of a picture drawn by hand, one in a line.
struct Rules<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Rules<'a> {
    fn new(document: &'a Document<'_>) -> Self {
        let style = document.descendants().find(|node| node.tag_name().name() == "style");
        let rules = style.and_then(|node| node.text()).unwrap_or("");
        Self(
            rules
                .lines()
                .filter_map(|line| line.trim_end_matches(" }").split_once(" { "))
                .collect(),
        )
    }

    /// The last rule wins, as in a browser.
    fn of(&self, node: Node<'_, '_>, property: &str) -> Option<&'a str> {
        let classes = || node.attribute("class").unwrap_or("").split(' ');
        let applies = |name: &str| {
            name == node.tag_name().name() || classes().any(|class| name == format!(".{class}"))
        };
        let values =
            self.0.iter().filter(|(name, _)| applies(name)).flat_map(|(_, body)| body.split("; "));
        values
            .filter_map(|rule| rule.split_once(": "))
            .filter(|(name, _)| *name == property)
            .map(|of| of.1)
            .last()
    }
}

/// How far its groups shift a node; None if they turn it.
fn shift(node: Node<'_, '_>) -> Option<(f64, f64)> {
    node.ancestors().filter_map(|node| node.attribute("transform")).try_fold(
        (0.0, 0.0),
        |(x, y), transform| {
            let numbers = transform.strip_prefix("translate(")?.strip_suffix(")")?;
            let mut numbers = numbers.split([' ', ',']).filter_map(|text| text.parse::<f64>().ok());
            Some((x + numbers.next()?, y + numbers.next().unwrap_or(0.0)))
        },
    )
}

fn shifted_shape(node: Node<'_, '_>) -> Option<Rect> {
    let ([left, top, right, bottom], (x, y)) = (shape(node)?, shift(node)?);
    Some([left + x, top + y, right + x, bottom + y])
}

/// What a text covers, and where it is anchored. The plotting library writes style and place into attributes.
fn text(node: Node<'_, '_>, rules: &Rules<'_>) -> Option<(Rect, f64)> {
    if node.tag_name().name() != "text" {
        return None;
    }
    let style = |name| node.attribute(name).or_else(|| rules.of(node, name));
    let size = style("font-size")?.trim_end_matches("px").parse().ok()?;
    let words: String = node
        .descendants()
        .filter(|inner| inner.is_text())
        .filter_map(|inner| inner.text())
        .collect();
    let width = width(words.trim(), size, style("font-weight") == Some("bold"));
    let (right, down) = shift(node)?;
    let (x, y) = (number(node, "x") + right, number(node, "y") + down);
    let left = match style("text-anchor") {
        Some("middle") => x - width / 2.0,
        Some("end") => x - width,
        _ => x,
    };
    // The library shifts what hangs below its place, and what is centred on it.
    let top = if node.attribute("dy") == Some("0.76em") { y } else { y - size / 2.0 };
    Some(([left, top, left + width, top + size], x))
}

/// What is wrong with the texts of a picture that a person drew: one leaves the box in which it begins.
fn texts_outside(svg: &str) -> Vec<String> {
    let document = Document::parse(svg).expect("an SVG");
    let rules = Rules::new(&document);
    let boxes: Vec<Rect> = document
        .descendants()
        .filter(|node| node.tag_name().name() == "rect")
        .filter_map(shifted_shape)
        .collect();
    let mut faults = Vec::new();
    for node in document.descendants() {
        let Some((covered, anchor)) = text(node, &rules) else { continue };
        let at = [anchor, covered[1], anchor, covered[3]];
        let area = |of: &&Rect| (of[2] - of[0]) * (of[3] - of[1]);
        let around = boxes
            .iter()
            .filter(|frame| inside(at, **frame))
            .min_by(|a, b| area(a).total_cmp(&area(b)));
        if !around.is_some_and(|frame| inside(covered, *frame)) {
            faults
                .push(format!("{:?} at {covered:?} leaves {around:?}", node.text().unwrap_or("")));
        }
    }
    faults
}

/// What is wrong with a picture: no title, no ground, or something outside the card or its frames.
pub fn faults(svg: &str) -> Vec<String> {
    let document = Document::parse(svg).expect("an SVG");
    let rules = Rules::new(&document);
    let root = document.root_element();
    let card = [0.0, 0.0, number(root, "width"), number(root, "height")];
    let mut faults = Vec::new();
    if !root.children().any(|node| node.tag_name().name() == "title") {
        faults.push("no title".to_owned());
    }
    let ground = root.children().find_map(|node| {
        (node.is_element() && node.attribute("fill") == Some("#ffffff")).then(|| shape(node))?
    });
    if ground != Some([1.0, 1.0, card[2] - 1.0, card[3] - 1.0]) {
        faults.push("no white ground".to_owned());
    }
    let faint = format!("#{:02X}{:02X}{:02X}", FAINT.0, FAINT.1, FAINT.2);
    let elements = || root.descendants().filter(Node::is_element);
    // A mark on a frame's edge may lie half outside.
    let frames: Vec<Rect> = elements()
        .filter(|node| node.tag_name().name() == "rect" && node.attribute("stroke") == Some(&faint))
        .filter_map(shape)
        .map(|[left, top, right, bottom]| [left - 6.0, top - 6.0, right + 6.0, bottom + 6.0])
        .collect();
    for node in elements() {
        let covered = shifted_shape(node).or_else(|| Some(text(node, &rules)?.0));
        let Some(covered) = covered else { continue };
        let name = format!("{} {:?}", node.tag_name().name(), node.text().unwrap_or("").trim());
        if !inside(covered, card) {
            faults.push(format!("{name} at {covered:?} lies outside the card"));
        }
        let colour = [node.attribute("fill"), node.attribute("stroke")]
            .into_iter()
            .flatten()
            .any(|colour| colour.starts_with('#') && is_vivid(colour));
        let data = matches!(node.tag_name().name(), "circle" | "polyline" | "line" | "polygon");
        if data
            && colour
            && !frames.is_empty()
            && !frames.iter().any(|&frame| inside(covered, frame))
        {
            faults.push(format!("{name} at {covered:?} lies outside the frames"));
        }
    }
    faults
}

/// Whether it is a colour, not a grey.
fn is_vivid(colour: &str) -> bool {
    let part =
        |at: usize| u8::from_str_radix(colour.get(at..at + 2).unwrap_or("0"), 16).unwrap_or(0);
    let parts = [part(1), part(3), part(5)];
    parts.iter().max() != parts.iter().min()
}

#[test]
fn pictures_of_the_results_stay_inside() {
    for name in ["ratios.svg", "scaling.svg", "latency.svg"] {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../results/").to_owned() + name;
        let svg = std::fs::read_to_string(&path).unwrap();
        assert_eq!(faults(&svg), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn pictures_of_extreme_results_stay_inside() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../results/full.json");
    let text = std::fs::read_to_string(path).unwrap();
    let mut results: crate::results::Results = serde_json::from_str(&text).unwrap();
    // Far apart, with spreads that go beyond all medians, and calls faster and slower than any.
    for (i, measured) in results
        .scaling
        .iter_mut()
        .flat_map(|point| &mut point.measured)
        .chain(results.rows.iter_mut().flat_map(|row| &mut row.measured))
        .enumerate()
    {
        let factor = [1.0, 30.0, 0.03][i % 3];
        measured.median *= factor;
        measured.quartiles = (measured.median / 9.0, measured.median * 9.0);
    }
    for (i, member) in results.latency.iter_mut().flat_map(|of| &mut of.members).enumerate() {
        for side in [&mut member.alloc, &mut member.free] {
            side.longest *= if i % 2 == 0 { 50.0 } else { 1.0 };
            for (_, nanoseconds) in &mut side.curve {
                *nanoseconds *= if i % 3 == 0 { 0.01 } else { 1.0 };
            }
        }
    }
    results.machine.cpus = 3;
    let directory = std::env::temp_dir().join(format!("bench-frames-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    crate::pictures::draw(&results, &directory).unwrap();
    for name in ["ratios.svg", "scaling.svg", "latency.svg"] {
        let svg = std::fs::read_to_string(directory.join(name)).unwrap();
        assert_eq!(faults(&svg), Vec::<String>::new(), "{name}");
        let marked = if name == "scaling.svg" { "more threads than the 3 CPUs" } else { "3 CPUs" };
        assert!(svg.contains(marked), "{name} does not say where threads share CPUs");
    }
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn the_picture_of_use_over_time_stays_inside() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/use-over-time.svg");
    let svg = std::fs::read_to_string(path).unwrap();
    assert_eq!(faults(&svg), Vec::<String>::new());
}

#[test]
fn pictures_drawn_by_hand_stay_inside() {
    for name in ["pool.svg", "threads.svg", "memory.svg"] {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/").to_owned() + name;
        let svg = std::fs::read_to_string(path).unwrap();
        assert_eq!(faults(&svg), Vec::<String>::new(), "{name}");
        assert_eq!(texts_outside(&svg), Vec::<String>::new(), "{name}");
    }
}
