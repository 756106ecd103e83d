//! No input makes the compiler panic, and no problem points outside the file.

use mlpipe::plan::plan;

use crate::support::{AllThere, files, good_pipelines, on_big_stack, rendered, root, validate};

/// A generator of numbers that are random enough and the same on every machine.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or(0) % sides.max(1)
    }

    fn pick<'a>(&mut self, texts: &[&'a str]) -> &'a str {
        texts[self.roll(texts.len())]
    }
}

/// Pieces that stand for something in YAML or in an expression.
const PIECES: [&str; 34] = [
    "${{",
    "}}",
    "$${{",
    "{",
    "}",
    "[",
    "]",
    ": ",
    "- ",
    "\n",
    "\t",
    "\"",
    "'",
    "#",
    "&a ",
    "*a",
    "!x ",
    "<<: ",
    "|\n",
    "---\n",
    "é",
    "日",
    "\u{feff}",
    "\r\n",
    "null",
    "1e999",
    ".nan",
    "-1",
    "steps.a.output",
    "params",
    "0",
    "~",
    "\u{0}",
    "? ",
];

fn mutate(text: &str, dice: &mut Dice) -> String {
    let mut text = text.to_owned();
    for _ in 0..=dice.roll(3) {
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let (a, b) = (dice.roll(lines.len()), dice.roll(lines.len()));
        text = match dice.roll(8) {
            // Cut a line, duplicate one, swap two, drop the rest.
            0 => lines
                .iter()
                .enumerate()
                .filter(|(i, _)| *i != a)
                .map(|(_, line)| *line)
                .collect(),
            1 => lines
                .iter()
                .enumerate()
                .flat_map(|(i, line)| vec![*line; if i == a { 2 } else { 1 }])
                .collect(),
            2 => {
                let mut lines = lines;
                if !lines.is_empty() {
                    lines.swap(a, b);
                }
                lines.concat()
            }
            3 => lines[..a].concat(),
            // Replace, insert or remove within the text.
            4 | 5 => {
                let at = boundary(&text, dice);
                format!("{}{}{}", &text[..at], dice.pick(&PIECES), &text[at..])
            }
            6 => {
                let at = boundary(&text, dice);
                let rest: String = text[at..].chars().skip(1 + dice.roll(4)).collect();
                format!("{}{rest}", &text[..at])
            }
            _ => {
                let words: Vec<&str> = text.split(' ').collect();
                let (a, b) = (dice.roll(words.len()), dice.roll(words.len()));
                let mut words = words.clone();
                words[a] = words[b];
                words.join(" ")
            }
        };
    }
    text
}

fn boundary(text: &str, dice: &mut Dice) -> usize {
    let mut at = dice.roll(text.len() + 1);
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// Reads, checks, plans and renders; every label lies within the text.
fn survive(text: &str, render: bool) {
    let (pipeline, problems) = validate(text, &AllThere);
    match &pipeline {
        Some(pipeline) => {
            let _ = plan(pipeline);
        }
        None => assert!(problems.has_errors(), "refused without a word:\n{text}"),
    }
    for problem in problems.sorted() {
        assert!(problem.code().starts_with("MLP"), "{problem:?}");
        for label in problem.diagnostic().labels().into_iter().flatten() {
            let (start, end) = (label.offset(), label.offset() + label.len());
            assert!(text.get(start..end).is_some(), "{problem:?} is not within\n{text}");
        }
    }
    if render {
        let _ = rendered(&problems, text);
    }
}

#[test]
fn mutations_of_real_pipelines() {
    on_big_stack(|| {
        let mut seeds = good_pipelines();
        seeds.extend(files(&root().join("tests/diagnostics"), &|path| {
            path.ends_with("pipeline.yaml")
        }));
        let texts: Vec<String> = seeds
            .iter()
            .map(|path| std::fs::read_to_string(path).expect("a pipeline"))
            .collect();
        let mut dice = Dice(20_261_124);
        for round in 0..2_000 {
            let text = &texts[dice.roll(texts.len())];
            survive(&mutate(text, &mut dice), round % 10 == 0);
        }
    });
}

#[test]
fn nasty_files() {
    on_big_stack(|| {
        let steps = |steps: &str| format!("mlpipe: v1\nname: p\nsteps:\n{steps}");
        let input = |value: &str| steps(&format!("  a: {{ function: {{ handler: a.b }}, input: {value} }}\n"));
        let texts = [
            String::new(),
            "\n".to_owned(),
            "# nothing\n".to_owned(),
            "[]".to_owned(),
            "{}".to_owned(),
            "text".to_owned(),
            "\t".to_owned(),
            "\u{feff}".to_owned(),
            format!("\u{feff}{}", steps("  a: { wait: { duration: 5s } }\n")),
            steps("  a: { wait: { duration: 5s } }\n").replace('\n', "\r\n"),
            "\u{0}".to_owned(),
            "---\n---\n".to_owned(),
            "...".to_owned(),
            "[".repeat(10_000),
            "{a: ".repeat(10_000),
            "- ".repeat(10_000),
            format!("{}{}", "[".repeat(10_000), "]".repeat(10_000)),
            format!("{}: 1\n", "k".repeat(100_000)),
            input("1e999"),
            input(".nan"),
            input("-.inf"),
            input("0x1fffffffffffffffff"),
            input("2026-11-24"),
            input("yes"),
            input("on"),
            input("!Ref x"),
            input("!!binary aGk="),
            input("!!str 5"),
            input("~"),
            input("{1: 2, null: 3, [4]: 5}"),
            input("&a [*a]"),
            input("{<<: {a: 1}}"),
            input("\"${{ \u{0} }}\""),
            input(&format!("\"${{{{ {}1{} }}}}\"", "(".repeat(10_000), ")".repeat(10_000))),
            input(&format!("\"${{{{ {}1 }}}}\"", "-".repeat(3_000))),
            input(&format!("\"${{{{ {}true }}}}\"", "!".repeat(3_000))),
            input(&format!("\"${{{{ 1{} }}}}\"", " + 1".repeat(1_000))),
            input(&format!("\"{}\"", "${{ 1 }}".repeat(2_000))),
            steps("  a:\n  a:\n  a:\n"),
            steps(""),
            steps(
                &(0..500)
                    .map(|i| format!("  s{i}: {{ wait: {{ duration: 1s }}, needs: [s{}] }}\n", (i + 1) % 500))
                    .collect::<String>(),
            ),
        ];
        for text in &texts {
            survive(text, true);
        }
    });
}
