//! `problems.txt` and `types.txt`: a line is an expression, the indented lines below are what is said of it.
//! `# word` switches the scope. `UPDATE=1 cargo test` writes them.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;

use super::*;

#[test]
fn problems() {
    holds("problems.txt", |_| String::new());
}

#[test]
fn types() {
    holds("types.txt", |expr| {
        let safe = if expr.safe { "" } else { ", may fail" };
        format!("    {}{safe}\n", expr.ty)
    });
}

fn holds(file: &str, shown: impl Fn(&Expr) -> String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/expr/tests").join(file);
    let expected = std::fs::read_to_string(&path).unwrap();
    let names = Names::new();
    let mut scope = names.scope();
    let mut found = String::new();
    for line in expected.lines().filter(|line| !line.starts_with(' ')) {
        writeln!(found, "{line}").unwrap();
        match line.strip_prefix("# ") {
            Some("handler") => {
                scope = Scope {
                    steps: None,
                    no_steps: "a handler runs whichever step failed: read `error.step`",
                    error: true,
                    ..names.scope()
                }
            }
            Some("trigger") => {
                scope = Scope {
                    no_steps: "a trigger fires before any step",
                    trigger: &[TriggerField::Key, TriggerField::Bucket, TriggerField::Uri],
                    ..Scope::default()
                }
            }
            Some("step") => scope = names.scope(),
            Some(_) => {}
            None => {
                let text = line.replace("\\n", "\n");
                let (expr, problems) = within(&text, &scope);
                for said in said(&text, &problems) {
                    writeln!(found, "    {said}").unwrap();
                }
                if let Some(expr) = expr {
                    found.push_str(&shown(&expr));
                }
            }
        }
    }
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, found).unwrap();
    } else {
        similar_asserts(&expected, &found);
    }
}

/// A line with `${{` is a whole YAML string.
fn within(text: &str, scope: &Scope) -> (Option<Expr>, Vec<ExprProblem>) {
    if !text.contains("${{") {
        return checked(text, scope);
    }
    let mut problems = Vec::new();
    match parse_text(text, Place::exact(0, text.len())) {
        Ok(parsed) => {
            super::check_text(&parsed, scope, &mut problems);
        }
        Err(found) => problems = found,
    }
    (None, problems)
}

#[track_caller]
fn similar_asserts(expected: &str, found: &str) {
    for (expected, found) in expected.lines().zip(found.lines()) {
        assert_eq!(expected, found);
    }
    assert_eq!(expected, found);
}

fn ran(text: &str) -> (String, String, String) {
    let names = Names::new();
    let (expr, problems) = checked(text, &names.scope());
    let expr = expr.unwrap_or_else(|| panic!("{text}: {problems:?}"));
    let list = |set: BTreeSet<String>| set.into_iter().collect::<Vec<_>>().join(" ");
    let syntax = parse(text, Place::exact(0, text.len())).unwrap();
    (
        list(ran_if_true(&expr)),
        list(ran_if_evaluated(&expr)),
        list(status_guards(&syntax)),
    )
}

#[test]
fn guards() {
    for (text, if_true, evaluated) in [
        ("true", "", ""),
        ("steps.b.status == 'succeeded'", "b", ""),
        ("'succeeded' == steps.b.status", "b", ""),
        ("steps.b.status == 'skipped'", "", ""),
        ("steps.b.status != 'skipped'", "b", ""),
        ("!(steps.b.status == 'skipped')", "b", ""),
        ("steps.b.status != 'succeeded'", "", ""),
        ("steps.b.output != null", "b", ""),
        ("steps.b.output == null", "", ""),
        ("steps.b.output == {'rows': 1}", "", ""),
        ("steps.free.output == 1", "free", ""),
        ("steps.free.output != 1", "", ""),
        ("steps.b.error != null", "b", ""),
        ("has(steps.b.output.rows)", "b", ""),
        ("!has(steps.b.output.rows)", "", ""),
        ("steps.b.output.rows > 1", "b", "b"),
        ("steps.a.status == 'succeeded' && has(steps.b.output)", "a b", ""),
        ("steps.a.status == 'succeeded' || has(steps.b.output)", "", ""),
        ("steps.a.output.rows > 1 || steps.b.output.rows > 1", "a", "a"),
        ("steps.b.status == 'succeeded' || has(steps.b.output)", "b", ""),
        ("steps.b.status == 'skipped' ? false : true", "b", ""),
        (
            "params.flag ? has(steps.b.output) : has(steps.a.output) && has(steps.b.output)",
            "b",
            "",
        ),
        ("params.flag ? has(steps.b.output) : false", "b", ""),
        ("default(steps.b.output.rows, 0) > 1", "", ""),
        ("size(steps.b.output.shards) > steps.a.output.rows", "a b", "a b"),
    ] {
        let (found_true, found_evaluated, guards) = ran(text);
        assert_eq!(
            (found_true.as_str(), found_evaluated.as_str()),
            (if_true, evaluated),
            "{text}"
        );
        assert_eq!(guards, if_true, "{text}, before types are known");
    }
}

#[test]
fn spans_in_the_file() {
    let text = "n=${{ params.n }} ${{ steps.a.output + ['é', params.zz] }}";
    let parsed = parse_text(text, Place::exact(100, text.len())).unwrap();
    let names = Names::new();
    let mut problems = Vec::new();
    assert_eq!(super::check_text(&parsed, &names.scope(), &mut problems), None);
    let at = text.find("params.zz").unwrap();
    let expected = crate::syntax::span::Span::new(100 + at, 100 + at + 9);
    let ExprProblem::Undeclared { span, .. } = problems[0] else {
        panic!("{problems:?}")
    };
    assert_eq!(span, expected);
    let whole = parse_text(text, Place::whole((7..9).into())).unwrap();
    problems.clear();
    super::check_text(&whole, &names.scope(), &mut problems);
    let ExprProblem::Undeclared { span, .. } = problems[0] else {
        panic!("{problems:?}")
    };
    assert_eq!(span, crate::syntax::span::Span::new(7, 9));
}
