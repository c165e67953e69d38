//! Do `docs/sizing.md` and its picture tell what `c-examples/server.c` does?

mod common;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::process::Command;

use common::{C, Scratch, programs, root, run};

/// The program's answer to these words.
fn server<W: AsRef<OsStr>>(program: &mut Command, words: &[W]) -> String {
    let mut again = Command::new(program.get_program());
    again.args(words).env_remove("CMEMPOOL_OPTIONS");
    for (name, value) in program.get_envs() {
        again.env(name, value.unwrap_or_default());
    }
    run(&mut again).expect_success().stdout
}

fn built(scratch: &Scratch) -> Vec<Command> {
    let source = root().join("c-examples/server.c");
    programs(&C, &source, &["-Wpedantic", "-Werror", "-O2"], scratch)
}

fn text_of(name: &str) -> String {
    let file = std::fs::read_to_string(root().join(name));
    file.unwrap_or_else(|error| panic!("{name} must be there to be tested: {error}"))
}

/// With every address as one, and no empty lines at the end.
fn without_addresses(text: &str) -> String {
    let mut parts = text.trim_end().split(" at 0x");
    let mut result = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        result += " at 0x…";
        result += part.trim_start_matches(|c: char| c.is_ascii_hexdigit());
    }
    result
}

/// The figures of a class at the end of the day.
struct Figures {
    capacity: u32,
    dynamic_peak: u32,
    exhausted: u32,
    /// At once, those from the heap included.
    needed: u32,
}

/// By size, from what the program writes to a file.
fn figures(program: &mut Command, sizing: &str, scratch: &Scratch) -> BTreeMap<u32, Figures> {
    let path = scratch.path().join(sizing);
    server(program, &[OsStr::new(sizing), path.as_os_str()]);
    let samples = std::fs::read_to_string(&path).expect("the program wrote it");
    let mut lines = samples.lines();
    let names: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
    let mut figures = BTreeMap::new();
    let mut count = 0;
    for line in lines {
        let numbers = line.split(',').map(|number| number.parse().expect("a number"));
        let line: BTreeMap<&str, u32> = names.iter().copied().zip(numbers).collect();
        let (capacity, dynamic_peak) = (line["capacity"], line["dynamic_peak"]);
        let needed = if dynamic_peak > 0 { capacity + dynamic_peak } else { line["peak_used"] };
        let exhausted = line["exhausted"];
        let of_class = Figures { capacity, dynamic_peak, exhausted, needed };
        figures.insert(line["elem_size"], of_class);
        count += 1;
    }
    // Each five minutes of a day, and at its end.
    assert_eq!(count, figures.len() * (24 * 12 + 1));
    figures
}

#[test]
fn reports_are_what_the_program_says() {
    let document = text_of("docs/sizing.md");
    let quotes: Vec<&str> = document
        .split("```text\n$ server ")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap_or_default())
        .collect();
    assert_eq!(quotes.len(), 3, "a report of each sizing, and one by phases");
    let scratch = Scratch::new();
    for mut program in built(&scratch) {
        for quote in &quotes {
            let (words, report) = quote.split_once('\n').expect("a report has lines");
            let words: Vec<&str> = words.split(' ').collect();
            let said = without_addresses(&server(&mut program, &words));
            let report = without_addresses(report);
            if !report.contains("\n...") {
                assert_eq!(report, said, "server {words:?}");
                continue;
            }
            // Lines of it, in their order.
            let mut rest = said.lines();
            for line in report.lines().filter(|&line| line != "...") {
                assert!(rest.any(|l| l == line), "server {words:?} lacks, there: {line}\n{said}");
            }
        }
        // What `make run` shows.
        let both = server::<&str>(&mut program, &[]);
        let one_by_one = ["guessed", "measured"].map(|sizing| server(&mut program, &[sizing]));
        assert_eq!(without_addresses(&both), without_addresses(&one_by_one.concat()));
    }
}

#[test]
fn second_sizing_follows_from_the_first() {
    let document = text_of("docs/sizing.md");
    let says = |words: &str| assert!(document.contains(words), "docs/sizing.md lacks: {words}");
    let scratch = Scratch::new();
    for mut program in built(&scratch) {
        let guessed = figures(&mut program, "guessed", &scratch);
        let measured = figures(&mut program, "measured", &scratch);

        // The lesson: one class exhausted, one never used, one far too large.
        let exhausted: Vec<u32> = guessed
            .iter()
            .filter(|(_, class)| class.exhausted > 0)
            .map(|(&size, _)| size)
            .collect();
        assert_eq!(exhausted, [4096]);
        assert_eq!(guessed[&128].needed, 0);
        assert!(guessed[&256].needed * 4 < guessed[&256].capacity);

        let with_margin = |needed: u32| (needed * 5).div_ceil(4).next_multiple_of(10);
        let used = || guessed.iter().filter(|(_, class)| class.needed > 0);
        let expected: BTreeMap<u32, u32> =
            used().map(|(&size, class)| (size, with_margin(class.needed))).collect();
        let chosen: BTreeMap<u32, u32> =
            measured.iter().map(|(&size, class)| (size, class.capacity)).collect();
        assert_eq!(chosen, expected, "a quarter more than was needed, in tens");
        for (size, class) in &measured {
            assert_eq!((class.exhausted, class.dynamic_peak), (0, 0), "{size} bytes");
            assert_eq!(class.needed, guessed[size].needed, "{size} bytes: what was foretold");
        }

        let list: Vec<_> =
            chosen.iter().map(|(size, count)| format!("{{{size}, {count}}}")).collect();
        says(&format!("    {},\n", list.join(", ")));
        let of = |size| &guessed[&size];
        let (short, needed) = (of(4096), of(4096).needed);
        says(&format!("the heap served {} times", short.exhausted));
        says(&format!("{} + {} = {needed} |", short.capacity, short.dynamic_peak));
        says(&format!(
            "| 256 B: `peak` is far below the capacity | too many | `peak`: {} |",
            of(256).needed
        ));
        says(&format!("on this day | `peak`: {} |", of(512).needed));
        let becomes =
            |size| format!("{} becomes {}", of(size).needed, with_margin(of(size).needed));
        says(&format!("{}, {}, and {}.", becomes(256), becomes(512), becomes(4096)));
        says(&format!("the {needed} entries that the report predicted"));
    }
}

#[test]
fn picture_is_of_this_day() {
    let picture = text_of("docs/use-over-time.svg");
    let scratch = Scratch::new();
    let mut program = built(&scratch).swap_remove(0);
    for sizing in ["guessed", "measured"] {
        for (size, class) in figures(&mut program, sizing, &scratch) {
            let Figures { capacity, exhausted, needed, .. } = class;
            let caption = match (exhausted, needed) {
                (0, 0) => format!("never used: 0 of {capacity}"),
                (0, _) => format!("at most {needed} of {capacity}"),
                _ => format!("{needed} needed, {capacity} there: exhausted {exhausted} times"),
            };
            let line = format!("\n{caption}\n");
            assert!(picture.contains(&line), "{sizing}, {size} bytes: `{caption}`: `make demo`");
        }
    }
}
