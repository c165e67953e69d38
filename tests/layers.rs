//! Do the rooms of `src/` stand on each other as `src/lib.rs` says?
//!
//! Each room imports those before it in the list alone, within a room no files import each other in a
//! circle, what the system gives is used in `os/` only, and no file is longer than a person reads at once.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};
use syn::{Attribute, Item, UseTree};

/// The most lines of a file.
const LONGEST: usize = 400;

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The rooms in the order in which `lib.rs` lists them.
fn rooms() -> Vec<String> {
    let text = fs::read_to_string(source().join("lib.rs")).unwrap();
    let names = text.lines().filter_map(|line| line.strip_prefix("//! | `")?.split_once("/`"));
    names.map(|(name, _)| name.to_string()).collect()
}

/// A file: its module path, such as `pool::body`.
struct File {
    module: String,
    path: PathBuf,
    text: String,
    syntax: syn::File,
}

fn files() -> Vec<File> {
    let mut found = Vec::new();
    let mut open = vec![source()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            let inner = path.strip_prefix(source()).unwrap().with_extension("");
            let mut parts: Vec<_> = inner.iter().map(|part| part.to_str().unwrap()).collect();
            parts.pop_if(|last| *last == "mod");
            let module = parts.join("::");
            let syntax = syn::parse_file(&text).unwrap();
            found.push(File { module, path, text, syntax });
        }
    }
    found
}

/// Whether something is there in tests alone.
fn is_of_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg") && {
            let condition = quote_of(attribute);
            condition.contains("test") && !condition.contains("not")
        }
    })
}

fn quote_of(attribute: &Attribute) -> String {
    match &attribute.meta {
        syn::Meta::List(list) => list.tokens.to_string(),
        _ => String::new(),
    }
}

/// What a file names of this crate: whole paths from its root.
struct Names {
    module: String, // where in the file the visit is
    found: BTreeSet<String>,
}

impl Names {
    fn note(&mut self, path: &[String]) {
        let mut at: Vec<&str> = self.module.split("::").collect();
        let mut rest = path;
        match path.first().map(String::as_str) {
            Some("crate") => {
                at.clear();
                rest = &path[1..];
            }
            Some("self") => rest = &path[1..],
            Some("super") => {}
            _ => return,
        }
        while rest.first().is_some_and(|part| part == "super") {
            at.pop();
            rest = &rest[1..];
        }
        at.extend(rest.iter().map(String::as_str));
        self.found.insert(at.join("::"));
    }

    fn note_tree(&mut self, before: &mut Vec<String>, tree: &UseTree) {
        match tree {
            UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.note_tree(before, &path.tree);
                before.pop();
            }
            UseTree::Group(group) => {
                group.items.iter().for_each(|tree| self.note_tree(before, tree));
            }
            UseTree::Name(name) => {
                let own = name.ident == "self";
                let path = [before.clone(), vec![name.ident.to_string()]].concat();
                self.note(if own { before } else { &path });
            }
            UseTree::Rename(rename) => {
                self.note(&[before.clone(), vec![rename.ident.to_string()]].concat());
            }
            UseTree::Glob(_) => self.note(before),
        }
    }
}

impl<'ast> Visit<'ast> for Names {
    fn visit_item(&mut self, item: &'ast Item) {
        let attributes = match item {
            Item::Mod(item) => &item.attrs,
            Item::Fn(item) => &item.attrs,
            Item::Use(item) => &item.attrs,
            Item::Impl(item) => &item.attrs,
            _ => &vec![],
        };
        if is_of_tests(attributes) {
            return;
        }
        let before = self.module.clone();
        if let Item::Mod(inner) = item {
            self.module = format!("{before}::{}", inner.ident);
        }
        visit::visit_item(self, item);
        self.module = before;
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        if !is_of_tests(&item.attrs) {
            visit::visit_impl_item_fn(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.note_tree(&mut Vec::new(), &item.tree);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let parts: Vec<_> = path.segments.iter().map(|part| part.ident.to_string()).collect();
        if parts.len() > 1 {
            self.note(&parts);
        }
        visit::visit_path(self, path);
    }
}

/// Files that are there for tests alone: those that a `mod` line of a test names, and those below.
fn modules_of_tests(files: &[File]) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for file in files {
        for item in &file.syntax.items {
            if let Item::Mod(item) = item
                && item.content.is_none()
                && is_of_tests(&item.attrs)
            {
                found.insert(format!("{}::{}", file.module, item.ident));
            }
        }
    }
    found
}

fn is_below(module: &str, above: &str) -> bool {
    module == above || module.strip_prefix(above).is_some_and(|rest| rest.starts_with("::"))
}

/// Which files each file imports, those of tests left out.
fn imports() -> BTreeMap<String, BTreeSet<String>> {
    let files = files();
    let of_tests = modules_of_tests(&files);
    let is_test = |module: &str| of_tests.iter().any(|test| is_below(module, test));
    let known: BTreeSet<&str> = files.iter().map(|file| file.module.as_str()).collect();
    let mut imports = BTreeMap::new();
    for file in files.iter().filter(|file| !is_test(&file.module) && file.module != "lib") {
        let mut names = Names { module: file.module.clone(), found: BTreeSet::new() };
        names.visit_file(&file.syntax);
        let mut targets = BTreeSet::new();
        for name in names.found {
            // The longest beginning of the path that is a file.
            let mut at = name.as_str();
            while !known.contains(at) {
                let Some((shorter, _)) = at.rsplit_once("::") else { break };
                at = shorter;
            }
            if known.contains(at) && at != file.module {
                targets.insert(at.to_string());
            }
        }
        imports.insert(file.module.clone(), targets);
    }
    imports
}

fn room_of(module: &str) -> &str {
    module.split("::").next().unwrap()
}

#[test]
fn rooms_stand_on_those_before_them() {
    let rooms = rooms();
    let folders: BTreeSet<_> = fs::read_dir(source())
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    assert_eq!(rooms.iter().cloned().collect::<BTreeSet<_>>(), folders, "lib.rs lists all rooms");
    let number = |module: &str| rooms.iter().position(|room| room == room_of(module)).unwrap();
    for (from, targets) in imports() {
        for to in targets {
            assert!(
                number(&to) <= number(&from),
                "{from} imports {to}, of a room later in lib.rs's list"
            );
        }
    }
}

#[test]
fn no_files_import_each_other() {
    let mut left = imports();
    // Who imports nobody that is left, or is imported by nobody, is in no circle.
    loop {
        let imported: BTreeSet<String> = left.values().flatten().cloned().collect();
        let before = left.len();
        let known: BTreeSet<String> = left.keys().cloned().collect();
        left.retain(|module, targets| {
            targets.retain(|target| known.contains(target));
            !targets.is_empty() && imported.contains(module)
        });
        if left.len() == before {
            break;
        }
    }
    assert!(left.is_empty(), "these files import each other in a circle: {left:#?}");
}

#[test]
fn the_system_is_in_one_room() {
    for file in files().iter().filter(|file| room_of(&file.module) != "os") {
        let text = without_tests(&file.text);
        let words = [
            "libc::",
            "target_os",
            "target_env",
            "target_arch",
            "cfg(unix",
            "cfg(windows",
            "extern \"system\"",
            "asm!",
        ];
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap();
            for word in words {
                let at = format!("{}:{}", file.path.display(), number + 1);
                assert!(!code.contains(word), "{at}: \"{word}\" is for os/ alone");
            }
        }
    }
}

/// A file without the module of its tests.
fn without_tests(text: &str) -> String {
    match text.split_once("#[cfg(test)]\nmod tests {") {
        Some((before, rest)) => {
            let (_, after) = rest.split_once("\n}\n").expect("the module ends");
            before.to_string() + after
        }
        None => text.to_string(),
    }
}

#[test]
fn no_file_is_too_long() {
    for file in files() {
        let lines = file.text.lines().count();
        assert!(lines <= LONGEST, "{}: {lines} lines", file.path.display());
    }
}

#[test]
fn each_file_begins_with_its_question() {
    for file in files() {
        assert!(file.text.starts_with("//! "), "{}: no first line", file.path.display());
    }
}
