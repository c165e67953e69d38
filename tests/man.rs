//! Are the committed man pages those that the header makes, do they speak of every function, and is
//! their markup clean?

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{is_there, root, run, skip, symbols};

/// A page's text, or where a name leads.
#[derive(PartialEq)]
enum Page {
    Text(String),
    Link(PathBuf),
}

fn pages(directory: &Path) -> BTreeMap<String, Page> {
    let mut pages = BTreeMap::new();
    for file in fs::read_dir(directory).expect("there are pages") {
        let path = file.expect("a directory can be read").path();
        if path.extension().is_none_or(|extension| extension != "3") {
            continue;
        }
        let page = match path.read_link() {
            Ok(target) => Page::Link(target),
            Err(_) => Page::Text(fs::read_to_string(&path).expect("a page is text")),
        };
        let name = path.file_name().expect("a file has a name").to_string_lossy().into_owned();
        pages.insert(name, page);
    }
    pages
}

fn committed() -> PathBuf {
    root().join("man")
}

#[test]
fn are_the_ones_that_the_header_makes() {
    let generated = pages(&Path::new(env!("OUT_DIR")).join("man"));
    let committed = pages(&committed());
    let names = generated.keys().chain(committed.keys());
    for name in names {
        let same = generated.get(name) == committed.get(name);
        assert!(same, "man/{name} is stale; run `make header`");
    }
}

#[test]
fn speak_of_every_function() {
    // Of those that code of the header's calls, and no person does, nobody wants a page.
    for symbol in symbols().into_iter().filter(|symbol| !symbol.ends_with("_missed")) {
        let file = committed().join(format!("{symbol}.3"));
        let text = fs::read_to_string(&file).unwrap_or_else(|error| {
            panic!("no man page has {symbol}: {}: {error}", file.display())
        });
        let section = |name: &str| {
            let (_, rest) = text.split_once(&format!(".SH {name}\n")).expect("each page has it");
            rest.split("\n.SH ").next().unwrap_or_default().to_string()
        };
        let name = section("NAME");
        let named = name.lines().any(|line| line.split([',', ' ']).next() == Some(symbol));
        assert!(named, "{symbol}'s page does not name it");
        // With the parenthesis of its parameters, right after its type.
        let declared = [" ", "*"]
            .iter()
            .any(|before| section("SYNOPSIS").contains(&format!("{before}{symbol}(")));
        assert!(declared, "{symbol}'s page does not declare it");
    }
}

/// A list in a comment is one in the page, not running text with dashes.
#[test]
fn have_lists() {
    for (name, page) in pages(&committed()) {
        let Page::Text(text) = page else { continue };
        let dash = text.lines().find(|line| line.starts_with("- ") || line.contains(" - "));
        assert_eq!(dash, None, "man/{name}");
    }
}

#[test]
fn are_clean() {
    let texts: Vec<PathBuf> = pages(&committed())
        .into_iter()
        .filter(|(_, page)| matches!(page, Page::Text(_)))
        .map(|(name, _)| committed().join(name))
        .collect();
    if is_there("groff") {
        for page in &texts {
            let said = run(Command::new("groff").args(["-man", "-ww", "-z", "-Tutf8"]).arg(page));
            let said = said.expect_success();
            assert!(said.stderr.is_empty(), "{said}");
        }
    } else {
        skip("groff on the man pages: not installed");
    }
    // It knows no --version.
    if Command::new("mandoc").arg("/dev/null").output().is_ok() {
        let said = run(Command::new("mandoc").args(["-Tlint", "-Wstyle"]).args(&texts));
        // A version that is not released yet has no day.
        let complaints = said.stdout.lines().filter(|line| !line.contains("missing date"));
        assert_eq!(complaints.collect::<Vec<_>>(), [""; 0], "{said}");
    } else {
        skip("mandoc on the man pages: not installed");
    }
}
