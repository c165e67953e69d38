//! How do the header's comments become man pages?
//!
//! Whatever stands in the header under one title, `/* ---- Allocate an entry ---- */`, is one page, called
//! by the first function there; its other names lead to it. What stands under titles without functions
//! joins the header's first comment in the overview, cmempool(3), and so does `overview.man`. `src/capi/mod.rs` says how comments
//! are written.

use std::fmt::Write;

mod reading;

use reading::{Item, Kind, items, raw_comment};

/// A page, and the other names that lead to it.
pub struct Page {
    pub name: String,
    pub text: String,
    pub others: Vec<String>,
}

pub fn pages(header: &str, version: &str, day: &str) -> Vec<Page> {
    let items = items(header);
    let mut titles: Vec<&str> = Vec::new();
    for Item { title, kind, .. } in &items {
        if matches!(kind, Kind::Function(_)) && !titles.contains(&title.as_str()) {
            titles.push(title);
        }
    }
    let part = |title: &&str| {
        let mut part: Vec<&Item> = items.iter().filter(|item| item.title == *title).collect();
        part.sort_by_key(|item| item.kind.rank());
        part
    };
    let parts: Vec<Vec<&Item>> = titles.iter().map(part).collect();
    let general: Vec<&Item> =
        items.iter().filter(|item| !titles.contains(&item.title.as_str())).collect();

    let head = |name: &str| {
        format!(
            ".\\\" Generated from the comments of cmempool.h; `make header` writes it anew.\n\
             .TH {} 3 \"{day}\" \"cmempool {version}\" \"Library Functions Manual\"\n\
             .nh\n.ad l\n",
            name.to_uppercase()
        )
    };
    let text = head("cmempool") + &overview(header, &parts, &general);
    let mut pages = vec![Page { name: "cmempool".into(), text, others: Vec::new() }];
    for part in &parts {
        let name = main_name(part);
        let text = head(name) + &page(part, &parts);
        let others = names(part)[1..].iter().map(|other| (*other).into()).collect();
        pages.push(Page { name: name.into(), text, others });
    }
    pages
}

/// What a page is called by: its functions come first.
fn main_name<'a>(part: &[&'a Item]) -> &'a str {
    &part[0].name
}

/// All that can be asked for by name.
fn names<'a>(part: &[&'a Item]) -> Vec<&'a str> {
    let has_page = |item: &&&Item| !matches!(item.kind, Kind::Constant(_) | Kind::Opaque);
    part.iter().filter(has_page).map(|item| item.name.as_str()).collect()
}

impl Kind {
    /// Where it stands in a page.
    fn rank(&self) -> u32 {
        match self {
            Self::Function(_) => 0,
            Self::Macro(_) => 1,
            Self::Type(..) => 2,
            Self::Alias(_) => 3,
            Self::Constant(_) => 4,
            Self::Opaque => 5,
        }
    }
}

fn overview(header: &str, parts: &[Vec<&Item>], general: &[&Item]) -> String {
    let mut lines = header.lines();
    let first = lines.next().expect("the header is not empty");
    let text = raw_comment(first, &mut lines);
    let (brief, text) = text.split_once(". ").expect("cmempool: brief. And more");
    let (name, brief) = brief.split_once(": ").expect("cmempool: brief");
    let voice = Voice { parts, here: &[], parameters: &[] };
    let mut page = format!(".SH NAME\n{name} \\- {brief}\n");
    page += &library();
    page += ".SH SYNOPSIS\n.B #include <cmempool.h>\n.SH DESCRIPTION\n";
    voice.paragraphs(&mut page, text.split("\n\n"));
    for item in general {
        let _ = writeln!(page, ".TP\n.B {}", escape(&item.name));
        voice.paragraphs(&mut page, item.comment.paragraphs.iter().map(String::as_str));
    }
    page += include_str!("overview.man");
    page += ".SH SEE ALSO\n.TP\n.BR cmempool-try (1)\nrun a program on a pool, and find the one that it needs\n";
    for part in parts {
        let _ = writeln!(page, ".TP\n.BR {} (3)\n{}", main_name(part), part_title(part));
    }
    page
}

/// `Allocate an entry` as it follows names.
fn part_title(part: &[&Item]) -> String {
    let title = &part[0].title;
    title[..1].to_lowercase() + &title[1..]
}

fn library() -> String {
    ".SH LIBRARY\ncmempool, memory pools\n.RI ( libcmempool ,\\~ \\-lcmempool )\n".into()
}

fn page(part: &[&Item], parts: &[Vec<&Item>]) -> String {
    let (names, title) = (names(part), part_title(part));
    let last = names.last().map_or(0, |name| name.len());
    let space = if last + title.len() < 76 { ' ' } else { '\n' };
    let mut page = format!(".SH NAME\n{}{space}\\- {title}\n", names.join(",\n"));
    page += &library();
    synopsis(&mut page, part);
    page += ".SH DESCRIPTION\n";
    for item in part {
        let parameters = item.parameters();
        let voice = Voice { parts, here: part, parameters: &parameters };
        item.heading(&mut page, part);
        voice.paragraphs(&mut page, item.comment.paragraphs.iter().map(String::as_str));
        voice.list(&mut page, "I", &item.comment.parameters);
        for paragraph in &item.comment.after {
            voice.paragraph(&mut page, paragraph, ".PP\n");
        }
        if let Kind::Type(_, members) = &item.kind {
            for (name, comment) in members {
                let _ = writeln!(page, ".TP\n.I {}", escape(name));
                for (number, paragraph) in comment.paragraphs.iter().enumerate() {
                    page += if number > 0 { ".IP\n" } else { "" };
                    page += &voice.text(paragraph);
                }
            }
        }
    }

    // A section in which each item that has something to say does so.
    let mut section = |heading: &str, say: &dyn Fn(&Voice, &Item) -> Option<String>| {
        let said = part.iter().filter_map(|item| {
            let parameters = item.parameters();
            let voice = Voice { parts, here: part, parameters: &parameters };
            say(&voice, item).map(|text| (item, text))
        });
        for (number, (item, text)) in said.enumerate() {
            if number == 0 {
                let _ = writeln!(page, ".SH {heading}");
            }
            item.heading(&mut page, part);
            page += &text;
        }
    };
    section("RETURN VALUE", &|voice, item| {
        item.comment.returned.as_ref().map(|text| voice.text(&sentence(text)))
    });
    section("ERRORS", &|voice, item| {
        let mut list = String::new();
        voice.list(&mut list, "B", &item.comment.errors);
        (!list.is_empty()).then_some(list)
    });
    section("THREADS AND COST", &|voice, item| {
        let mut text = String::new();
        voice.paragraphs(&mut text, item.comment.threads.iter().map(String::as_str));
        (!text.is_empty()).then_some(text)
    });

    page += ".SH SEE ALSO\n";
    see_also(&mut page, parts, main_name(part));
    page
}

fn synopsis(page: &mut String, part: &[&Item]) {
    *page += ".SH SYNOPSIS\n.nf\n.B #include <cmempool.h>\n";
    let mut before = None;
    for item in part {
        let rank = item.kind.rank();
        let text = match &item.kind {
            Kind::Function(declaration) | Kind::Alias(declaration) => broken(declaration),
            Kind::Macro(arguments) => {
                format!("\\fB#define {}(\\fP{arguments}\\fB)\\fP\n", item.name)
            }
            Kind::Type(definition, _) => code(definition),
            // Numbers are of interest; what is longer is so to compilers only.
            Kind::Constant(value) if value.contains(' ') => {
                format!("\\fB#define {}\\fP\n", item.name)
            }
            Kind::Constant(value) => format!("\\fB#define {}\\fP {}\n", item.name, escape(value)),
            Kind::Opaque => continue,
        };
        // Lines that are alike stand together.
        if before != Some(rank) || matches!(item.kind, Kind::Type(..)) {
            *page += ".PP\n";
        }
        before = Some(rank);
        *page += &text;
    }
    *page += ".fi\n";
}

/// A declaration in bold, broken between parameters where it is long.
fn broken(declaration: &str) -> String {
    let mut lines = vec![String::new()];
    let indent = declaration.find('(').map_or(0, |parenthesis| parenthesis + 1);
    for (number, parameter) in declaration.split(", ").enumerate() {
        let line = lines.last_mut().expect("one at least");
        if number > 0 && line.len() + parameter.len() > 68 {
            line.push(',');
            lines.push(" ".repeat(indent) + parameter);
        } else {
            *line += if number > 0 { ", " } else { "" };
            *line += parameter;
        }
    }
    lines.iter().map(|line| format!("\\fB{}\\fP\n", escape(line))).collect()
}

fn see_also(page: &mut String, parts: &[Vec<&Item>], this: &str) {
    let mut names: Vec<_> = parts.iter().map(|part| main_name(part)).chain(["cmempool"]).collect();
    names.retain(|name| *name != this);
    names.sort_unstable_by_key(|name| name.trim_start_matches('_'));
    for (number, name) in names.iter().enumerate() {
        let comma = if number + 1 < names.len() { "," } else { "" };
        let _ = writeln!(page, ".BR {name} (3){comma}");
    }
}

/// A text of a tag, which is a part of a sentence, as a whole one.
fn sentence(text: &str) -> String {
    let mut rest = text.trim_end_matches('.').chars();
    let first = rest.next().map(|c| c.to_uppercase().to_string());
    first.unwrap_or_default() + rest.as_str() + "."
}

impl Item {
    /// What stands for a value of the caller's in the text.
    fn parameters(&self) -> Vec<&str> {
        let declared = match &self.kind {
            Kind::Function(declaration) | Kind::Alias(declaration) => declaration,
            Kind::Macro(arguments) => arguments,
            Kind::Type(_, members) => {
                return members.iter().map(|(name, _)| name.as_str()).collect();
            }
            Kind::Constant(_) | Kind::Opaque => "",
        };
        declared.split([' ', '(', ')', ',', ';', '*']).filter(|word| !word.is_empty()).collect()
    }
}

/// How words in backquotes are to be understood.
struct Voice<'a> {
    parts: &'a [Vec<&'a Item>],
    /// Whose page this is.
    here: &'a [&'a Item],
    parameters: &'a [&'a str],
}

impl Voice<'_> {
    fn list(&self, page: &mut String, font: &str, entries: &[(String, String)]) {
        for (name, text) in entries {
            let _ = write!(page, ".TP\n.{font} {}\n{}", escape(name), self.text(&sentence(text)));
        }
    }

    fn paragraphs<'a>(&self, page: &mut String, paragraphs: impl Iterator<Item = &'a str>) {
        for (number, paragraph) in paragraphs.enumerate() {
            // The first stands right under its heading.
            self.paragraph(page, paragraph, if number > 0 { ".PP\n" } else { "" });
        }
    }

    /// Text, code (indented by four), a list (`- `), or a heading with a list (`  - `).
    fn paragraph(&self, page: &mut String, paragraph: &str, before_text: &str) {
        if paragraph.starts_with("    ") {
            let unindented: Vec<_> =
                paragraph.lines().map(|line| line.get(4..).unwrap_or_default()).collect();
            let _ = write!(page, ".PP\n.in +4n\n.nf\n{}.fi\n.in\n", code(&unindented.join("\n")));
        } else if let Some(list) = paragraph.strip_prefix("- ") {
            self.bullets(page, list.split("\n- "));
        } else if let Some((heading, list)) = paragraph.split_once("\n  - ") {
            let _ = writeln!(page, ".SS {}", escape(heading));
            self.bullets(page, list.split("\n  - "));
        } else {
            *page += before_text;
            *page += &self.text(paragraph);
        }
    }

    fn bullets<'a>(&self, page: &mut String, entries: impl Iterator<Item = &'a str>) {
        for entry in entries {
            let _ = write!(page, ".IP \\(bu 3\n{}", self.text(entry));
        }
    }

    /// Running text, with words in backquotes marked and the rest escaped, in lines of its own.
    fn text(&self, text: &str) -> String {
        let mut marked = String::new();
        for (number, piece) in text.split('`').enumerate() {
            if number % 2 == 1 {
                marked += &self.marked(piece);
            } else {
                marked += &escape_text(piece);
            }
        }
        let mut lines = vec![String::new()];
        for word in marked.split_whitespace() {
            let line = lines.last_mut().expect("one at least");
            if line.is_empty() {
                *line += word;
            } else if line.len() + 1 + word.len() > 78 {
                lines.push(word.into());
            } else {
                line.push(' ');
                *line += word;
            }
        }
        lines.iter().map(|line| guarded(line) + "\n").collect()
    }

    fn marked(&self, word: &str) -> String {
        let has = |part: &[&Item]| names(part).contains(&word);
        let escaped = escape(word).replace(' ', "\\~");
        if self.parameters.contains(&word) {
            format!("\\fI{escaped}\\fP")
        } else if has(self.here) && self.here.iter().any(|item| item.is_called(word)) {
            format!("\\fB{escaped}\\fP()")
        } else if !has(self.here) && self.parts.iter().any(|part| has(part)) {
            format!("\\fB{escaped}\\fP(3)")
        } else {
            format!("\\fB{escaped}\\fP")
        }
    }
}

impl Item {
    /// What follows is about this one; of a page's only item, all is.
    fn heading(&self, page: &mut String, part: &[&Item]) {
        let call = if matches!(self.kind, Kind::Function(_) | Kind::Macro(_)) { "()" } else { "" };
        if part.len() > 1 {
            let _ = writeln!(page, ".SS {}{call}", escape(&self.name));
        }
    }

    fn is_called(&self, name: &str) -> bool {
        self.name == name && matches!(self.kind, Kind::Function(_) | Kind::Macro(_))
    }
}

fn code(text: &str) -> String {
    text.lines().map(|line| guarded(&escape(line)) + "\n").collect()
}

/// A line that starts with a dot or an apostrophe is no request.
fn guarded(line: &str) -> String {
    if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line.into() }
}

/// As it is typed.
fn escape(text: &str) -> String {
    escape_text(text).replace('-', "\\-").replace('\'', "\\(aq").replace('"', "\\(dq")
}

/// As it is read.
fn escape_text(text: &str) -> String {
    text.replace('\\', "\\e").replace('…', "\\[u2026]").replace('^', "\\(ha").replace('~', "\\(ti")
}
