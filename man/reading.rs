//! What does the header declare, and what do its comments say?

/// Something that the header declares and has a comment on.
pub struct Item {
    pub title: String,
    pub name: String,
    pub kind: Kind,
    pub comment: Comment,
}

pub enum Kind {
    /// With its declaration.
    Function(String),
    /// A macro with arguments, and those.
    Macro(String),
    /// A macro without arguments, and its value.
    Constant(String),
    /// A struct or enum with its definition, and its members.
    Type(String, Vec<(String, Comment)>),
    /// Another name for a type, such as that of a function, with its declaration.
    Alias(String),
    Opaque,
}

#[derive(Default)]
pub struct Comment {
    pub paragraphs: Vec<String>,
    /// Paragraphs that follow the tags, and may lean on what those say.
    pub after: Vec<String>,
    /// Name and text.
    pub parameters: Vec<(String, String)>,
    pub returned: Option<String>,
    /// Value of `errno` and text.
    pub errors: Vec<(String, String)>,
    pub threads: Vec<String>,
}

/// All that has a comment, in the header's order.
pub fn items(header: &str) -> Vec<Item> {
    let mut items = Vec::new();
    let mut title = String::new();
    let mut lines = header.lines();
    while let Some(line) = lines.next() {
        if let Some(rest) = line.strip_prefix("/* ---- ") {
            title = rest.trim_end_matches(['-', ' ', '*', '/']).into();
        }
        if !line.starts_with("/**") {
            continue;
        }
        let comment = Comment::new(&raw_comment(line, &mut lines));
        let line = lines.next().expect("a comment is on something");
        let (name, kind) = declared(line, &mut lines);
        items.push(Item { title: title.clone(), name, kind, comment });
    }
    items
}

/// Name and kind of what starts with this line.
fn declared<'a>(line: &'a str, lines: &mut impl Iterator<Item = &'a str>) -> (String, Kind) {
    if let Some(rest) = line.strip_prefix("#define ") {
        let name: String =
            rest.chars().take_while(|&c| c.is_ascii_alphanumeric() || c == '_').collect();
        let rest = &rest[name.len()..];
        let kind = match rest.strip_prefix('(').and_then(|rest| rest.split_once(')')) {
            Some((arguments, _)) => Kind::Macro(arguments.into()),
            None => Kind::Constant(rest.trim_matches([' ', '\\']).into()),
        };
        return (name, kind);
    }
    if line.starts_with("typedef") && line.ends_with('{') {
        let (definition, members) = members(line, lines);
        let name = line.split_whitespace().nth(2).expect("typedef struct NAME {");
        return (name.into(), Kind::Type(definition, members));
    }
    let mut text = String::from(line);
    while !text.ends_with(';') {
        text.push(' ');
        text += lines.next().expect("a declaration ends").trim_start();
    }
    let name = declared_name(&text).to_string();
    if line.starts_with("typedef struct ") && !text.contains('(') {
        return (name, Kind::Opaque);
    }
    let text = text.replace("struct ", "");
    if text.starts_with("typedef") {
        return (name, Kind::Alias(text));
    }
    // What follows the parameters is for compilers.
    let mut depth = 0;
    let end = text.find(|c| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        c == ')' && depth == 0
    });
    (name, Kind::Function(text[..=end.expect("a function has parameters")].to_string() + ";"))
}

/// What a declaration declares: a function, a pointer to one, or an object.
fn declared_name(declaration: &str) -> &str {
    let text = match declaration.split_once("(*") {
        Some((before, pointer)) if !before.contains('(') => pointer.split(')').next(),
        _ => declaration.split(['(', '[', ';', ',', '=']).next(),
    };
    let text = text.unwrap_or_default().trim_end();
    text.rsplit([' ', '*']).next().unwrap_or_default()
}

/// The text of a comment, without what makes it one.
pub fn raw_comment<'a>(first: &str, lines: &mut impl Iterator<Item = &'a str>) -> String {
    let indent = first.len() - first.trim_start().len();
    let first = first[indent..].trim_start_matches(['/', '*']);
    // A comment that begins in its first line is set off by one more space in the others.
    let margin = if first.is_empty() { 1 } else { 2 };
    let mut text = String::new();
    let mut line = first.trim_start();
    loop {
        let (content, ends) = match line.strip_suffix("*/") {
            Some(content) => (content, true),
            None => (line, false),
        };
        text += content.trim_end();
        text.push('\n');
        if ends {
            return text.trim_matches('\n').into();
        }
        let next = lines.next().expect("a comment ends");
        let next = &next[indent..].trim_start();
        if *next == "*/" {
            return text.trim_matches('\n').into();
        }
        let starred = next.strip_prefix('*').expect("each line of a comment starts with a star");
        line = starred.get(margin..).unwrap_or_default();
    }
}

/// The rest of a definition without its comments, and the members with theirs.
fn members<'a>(
    first: &str,
    lines: &mut impl Iterator<Item = &'a str>,
) -> (String, Vec<(String, Comment)>) {
    let mut definition = String::from(first);
    let mut members = Vec::new();
    let mut comment = None;
    loop {
        let line = lines.next().expect("a definition ends");
        if line.trim_start().starts_with("/**") {
            comment = Some(Comment::new(&raw_comment(line, lines)));
            continue;
        }
        definition.push('\n');
        definition += &line.replace("const struct ", "const ");
        if line.starts_with('}') {
            return (definition, members);
        }
        if let Some(comment) = comment.take() {
            members.push((declared_name(line.trim()).into(), comment));
        }
    }
}

/// The text with code that stands between fences indented by four, and the fences gone.
fn indented(text: &str) -> String {
    let mut inside = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.starts_with("```") {
            inside = !inside;
        } else if inside && !line.is_empty() {
            lines.push(format!("    {line}"));
        } else {
            lines.push(line.into());
        }
    }
    lines.join("\n")
}

impl Comment {
    fn new(text: &str) -> Self {
        let mut comment = Self::default();
        for paragraph in indented(text).split("\n\n") {
            if paragraph.starts_with("Threads") {
                comment.threads.push(paragraph.into());
            } else if paragraph.starts_with('@') {
                for tag in paragraph.split("\n@").map(|tag| tag.trim_start_matches('@')) {
                    comment.add_tag(tag);
                }
            } else if !comment.parameters.is_empty() {
                comment.after.push(paragraph.into());
            } else {
                comment.paragraphs.push(paragraph.into());
            }
        }
        comment
    }

    fn add_tag(&mut self, tag: &str) {
        let (kind, text) = tag.split_once(' ').expect("a tag has a text");
        let named = || {
            let (name, text) = text.split_once(' ').expect("a name and a text");
            (name.into(), text.trim().into())
        };
        match kind {
            "param" => self.parameters.push(named()),
            "return" => self.returned = Some(text.into()),
            "errno" => self.errors.push(named()),
            _ => panic!("@{kind} has no place in a man page: use @param, @return or @errno"),
        }
    }
}
