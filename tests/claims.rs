//! Does a test stand behind each claim of the documents?
//!
//! `claims.txt` lists the claims: each must stand in its document, and its test must exist. And the other way
//! round: a sentence that says more than "usually" must have its claim there, or the reason why there is
//! nothing to prove.

mod common;

use common::root;

/// What makes a sentence one that must be proven.
const STRONG: [&str; 13] = [
    "every",
    "always",
    "never",
    "certain",
    "certainly",
    "exact",
    "exactly",
    "whatever",
    "impossible",
    "guaranteed",
    "any number",
    "at all",
    "all of it",
];

const DOCUMENTS: [&str; 6] = [
    "README.md",
    "SECURITY.md",
    "docs/guide.md",
    "docs/abi.md",
    "docs/speed.md",
    "include/cmempool.h",
];
/// A document of which rows of tables must be proven for a number of any length, too.
const EXACT: &str = "SECURITY.md";

struct Claim<'a> {
    document: &'a str,
    words: &'a str,
    /// A file and a name in it, or a dash and the reason why there is none.
    proof: (&'a str, &'a str),
}

fn text_of(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn claims(list: &str) -> Vec<Claim<'_>> {
    let (mut document, mut words) = ("", None);
    let mut claims = vec![];
    let comment = |line: &str| line.starts_with('#') && !line.starts_with("## ");
    for line in list.lines().filter(|line| !line.is_empty() && !comment(line)) {
        if let Some(heading) = line.strip_prefix("## ") {
            document = heading;
            assert!(DOCUMENTS.contains(&document), "{document}: not a document that is watched");
        } else if let Some(proof) = line.strip_prefix("    ") {
            let words = words.take().unwrap_or_else(|| panic!("no claim before this: {proof}"));
            let proof = proof.split_once(' ').unwrap_or_else(|| panic!("no name: {proof}"));
            claims.push(Claim { document, words, proof });
        } else {
            assert!(words.replace(line).is_none(), "no test below the claim before this: {line}");
        }
    }
    assert!(words.is_none(), "no test below the last claim");
    claims
}

/// The sentences of a document, on one line each: of paragraphs, items, cells and comments, not of code.
fn sentences(name: &str, text: &str) -> Vec<String> {
    let text = if name.ends_with(".h") { comments(text) } else { text.to_owned() };
    let (mut parts, mut part, mut rows, mut code) = (vec![], String::new(), vec![], false);
    for line in text.lines() {
        let start = line.trim_start();
        let fence = start.starts_with("```");
        code ^= fence;
        let begins = start.is_empty()
            || fence
            || ["|", "#", "- ", "* ", "@"].iter().any(|mark| start.starts_with(mark));
        if begins || code {
            parts.push(std::mem::take(&mut part));
        }
        if start.starts_with('|') {
            // A row is one sentence.
            rows.push(start.to_owned());
        } else if !code && !fence {
            part += start;
            part.push(' ');
        }
    }
    parts.push(part);
    parts.iter().flat_map(|part| split(part)).chain(rows).collect()
}

/// What is between `/*` and `*/`, an empty line after each.
fn comments(text: &str) -> String {
    let mut all = String::new();
    for comment in text.split("/*").skip(1) {
        for line in comment.split("*/").next().unwrap_or_default().lines() {
            all += line.trim_start().trim_start_matches('*');
            all.push('\n');
        }
        all.push('\n');
    }
    all
}

/// At a full stop, colon, semicolon or mark before a capital letter or what sets words apart.
fn split(part: &str) -> Vec<String> {
    let words: Vec<&str> = part.split_whitespace().collect();
    let (mut all, mut sentence) = (vec![], String::new());
    for (i, word) in words.iter().enumerate() {
        sentence += word;
        let ends = word.ends_with(['.', ':', ';', '!', '?']);
        let next = words.get(i + 1).and_then(|next| next.chars().next());
        if next.is_none_or(|c| ends && (c.is_uppercase() || "`\"(*[".contains(c))) {
            all.push(std::mem::take(&mut sentence));
        } else {
            sentence.push(' ');
        }
    }
    all
}

/// Whether these words stand in a sentence, as whole words.
fn has(sentence: &str, words: &str) -> bool {
    let sentence = sentence.to_lowercase();
    sentence.match_indices(words).any(|(start, _)| {
        let before = sentence[..start].chars().next_back();
        let after = sentence[start + words.len()..].chars().next();
        let inside = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
        !inside(before) && !inside(after)
    })
}

/// Of two digits or more, or a power of two.
fn is_number(word: &str) -> bool {
    let word = word.trim_matches(|c: char| c.is_ascii_punctuation());
    let digits = word.strip_prefix("2^").unwrap_or(word);
    (digits.len() > 1 || digits != word) && digits.chars().all(|c| c.is_ascii_digit())
}

fn must_be_proven(document: &str, sentence: &str) -> bool {
    STRONG.iter().any(|words| has(sentence, words))
        || (document == EXACT && sentence.contains(|c: char| c.is_ascii_digit()))
        || (!sentence.starts_with('|') && sentence.split(' ').any(is_number))
}

#[test]
fn claims_stand_and_their_tests_exist() {
    let mut wrong = vec![];
    for Claim { document, words, proof: (file, name) } in claims(include_str!("claims.txt")) {
        if !sentences(document, &text_of(document)).iter().any(|s| s.contains(words)) {
            wrong.push(format!("{document} does not say: {words}"));
        }
        let there = name.len() >= 4
            && match file {
                "-" => true,
                _ => {
                    std::fs::read_to_string(root().join(file)).is_ok_and(|text| text.contains(name))
                }
            };
        if !there {
            wrong.push(format!("{file} is not there or lacks `{name}`: {words}"));
        }
    }
    assert!(wrong.is_empty(), "tests/claims.txt:\n{}", wrong.join("\n"));
}

#[test]
fn strong_sentences_are_claims() {
    let claims = claims(include_str!("claims.txt"));
    let mut open = vec![];
    for document in DOCUMENTS {
        for sentence in sentences(document, &text_of(document)) {
            let listed =
                |claim: &Claim<'_>| claim.document == document && sentence.contains(claim.words);
            if must_be_proven(document, &sentence) && !claims.iter().any(listed) {
                open.push(format!("{document}: {sentence}"));
            }
        }
    }
    assert!(open.is_empty(), "no claim in tests/claims.txt covers these:\n{}", open.join("\n"));
}

#[test]
fn sentences_are_found() {
    let text = "# Never\nOne, every\ntwo. Three; `four` five: six.\n\n- a\n- b\n\n```c\nnever\n```\n| c | d |\n";
    let found = sentences("x.md", text);
    assert_eq!(
        found,
        ["# Never One, every two.", "Three;", "`four` five: six.", "- a", "- b", "| c | d |"]
    );
    let header = "int x; /* never */\n/**\n * Always\n * this.\n */\n#define every\n";
    assert_eq!(sentences("x.h", header), ["never", "Always this."]);
    assert!(has("Every one", "every") && !has("everyone", "every") && !has("an_every", "every"));
    assert!(must_be_proven("SECURITY.md", "in 3") && !must_be_proven("README.md", "in 3"));
    assert!(["16", "2^9,", "(100)"].into_iter().all(is_number));
    assert!(!["3", "64-bit", "0x12", "", "a2^3"].into_iter().any(is_number));
}

#[test]
fn a_list_says_what_is_proven_where() {
    let list =
        "# A list\n\n## README.md\n\nAll is well\n    tests/a.rs well\nNone is\n    - a reason\n";
    let claims = claims(list);
    let seen: Vec<_> = claims.iter().map(|c| (c.document, c.words, c.proof)).collect();
    assert_eq!(
        seen,
        [
            ("README.md", "All is well", ("tests/a.rs", "well")),
            ("README.md", "None is", ("-", "a reason")),
        ]
    );
}
