//! What a person would write where types prove it, and guards where they don't.

use indexmap::IndexMap;

use super::{Names, print, template};
use crate::expr::{Local, Place, Scope, Steps, Template, Type, check, check_text, parse, parse_text};

struct Plain;

impl Names for Plain {
    fn output(&self, step: &str) -> String {
        format!("${step}")
    }

    fn status(&self, step: &str) -> Option<String> {
        Some(format!("${step}Status"))
    }

    fn step_error(&self, step: &str) -> Option<String> {
        Some(format!("${step}Error"))
    }

    fn local(&self, _: &str, what: Local) -> String {
        match what {
            Local::Item => "$item",
            Local::Index => "$index",
            Local::Previous => "$previous",
            Local::Output => "$output",
        }
        .to_owned()
    }

    fn params(&self) -> &str {
        "$params"
    }

    fn error(&self) -> &str {
        "$failure"
    }

    fn topic_name(&self, _: &str) -> String {
        super::placeholder("AlertsTopicName")
    }
    fn bucket_name(&self, _: &str) -> String {
        super::placeholder("RawBucketName")
    }

    fn pipeline(&self) -> &str {
        "churn"
    }
}

fn object(fields: &[(&str, Type)]) -> Type {
    Type::Object(
        fields
            .iter()
            .map(|(name, ty)| ((*name).to_owned(), ty.clone()))
            .collect(),
    )
}

fn in_scope<T>(run: impl FnOnce(&Scope<'_>) -> T) -> T {
    let params = IndexMap::from([
        ("n".to_owned(), Type::Number),
        ("i".to_owned(), Type::Integer),
        ("s".to_owned(), Type::String),
        ("t".to_owned(), Type::String),
        ("xs".to_owned(), Type::List(Box::new(Type::String))),
        ("any".to_owned(), Type::Any),
    ]);
    let typed = object(&[
        ("auc", Type::Number),
        ("rows", Type::Integer),
        ("shards", Type::List(Box::new(Type::String))),
        ("note", Type::String.optional()),
    ]);
    let steps = Steps::at_the_top([
        ("eval", typed.clone(), false),
        ("maybe", typed.clone(), true),
        ("free", Type::Any, false),
    ]);
    run(&Scope {
        params: Some(&params),
        steps: Some(&steps),
        buckets: &["raw"],
        run: true,
        ..Scope::default()
    })
}

fn printed(text: &str) -> String {
    in_scope(|scope| {
        let syntax = parse(text, Place::exact(0, text.len())).unwrap();
        let mut problems = Vec::new();
        let expr = check(&syntax, scope, &mut problems).unwrap_or_else(|| panic!("{text}: {problems:?}"));
        super::with_placeholders(&print(&expr, &Plain))
    })
}

fn written(text: &str) -> serde_json::Value {
    in_scope(|scope| {
        let parsed = parse_text(text, Place::exact(0, text.len())).unwrap();
        let read: Template = check_text(&parsed, scope, &mut Vec::new()).unwrap();
        template(&read, &Plain)
    })
}

#[test]
fn what_types_prove_is_plain() {
    let table = [
        ("steps.eval.output.auc >= params.n", "$eval.auc >= $params.n"),
        ("steps.eval.output.shards[0]", "$eval.shards[0]"),
        ("steps.eval.status == 'succeeded'", "$evalStatus = 'succeeded'"),
        (
            "buckets.raw.uri + '/' + params.s",
            "'s3://${RawBucketName}/' & $params.s",
        ),
        ("run.name + run.id", "'churn' & $states.context.Execution.Name"),
        ("params.s in params.xs", "$params.s in $params.xs"),
        ("contains(params.xs, 'a')", "'a' in $params.xs"),
        (
            "size(params.xs) > 0 && !(params.n < 1)",
            "$count($params.xs) > 0 and $not($params.n < 1)",
        ),
        ("params.i + 1 - (2 - params.i)", "$params.i + 1 - (2 - $params.i)"),
        ("params.n / 100", "$params.n / 100"),
        ("params.n > 1 ? 'a' : 'b'", "$params.n > 1 ? 'a' : 'b'"),
        ("params.s.startsWith('in/')", "$substring($params.s, 0, 3) = 'in/'"),
        ("params.s.endsWith('.csv')", "$substring($params.s, -4) = '.csv'"),
        ("split(params.s, ',')", "$split($params.s, ',')"),
        ("join(params.xs, '-')", "$join($params.xs, '-')"),
        ("string(params.i)", "$formatBase($params.i)"),
        ("string(size(params.s))", "$string($length($params.s))"),
        ("min(params.n, 1)", "$min([$params.n, 1])"),
        ("[params.xs, ['a']]", "[[$params.xs], ['a']]"),
        ("{'k': params.n}", "{'k': $params.n}"),
        ("params.xs + ['a']", "$append($params.xs, ['a'])"),
        ("params.s == \"it's\"", "$params.s = \"it's\""),
        ("params.s + '${x}'", "$params.s & '\\u0024{x}'"),
        ("params.s < 'm'", "$params.s < 'm'"),
    ];
    for (text, expected) in table {
        assert_eq!(printed(text), expected, "{text}");
    }
}

#[test]
fn what_types_do_not_prove_is_guarded() {
    let table = [
        ("steps.free.output.a", "$type($free) = 'object' ? $free.a"),
        (
            "steps.free.output.a.b",
            "$type($free) = 'object' and $type($free.a) = 'object' ? $free.a.b",
        ),
        ("steps.free.output[0]", "$type($free) = 'array' ? $free[0]"),
        ("steps.free.output.a > 1", "$type($free) = 'object' ? $free.a > 1"),
        (
            "steps.free.output.a == 1",
            "$type($free) = 'object' and $exists($free.a) ? $free.a = 1",
        ),
        ("steps.maybe.output.auc", "$maybe.auc"),
        ("has(steps.maybe.output.auc)", "$maybe.auc != null"),
        (
            "default(steps.maybe.output.auc, 0)",
            "$maybe.auc != null ? $maybe.auc : 0",
        ),
        (
            "default(steps.free.output.auc, 0)",
            "$type($free) = 'object' and $free.auc != null ? $free.auc : 0",
        ),
        (
            "has(steps.free.output.a) && steps.free.output.a == 1",
            "$type($free) = 'object' and $free.a != null and \
             ($type($free) = 'object' and $exists($free.a) ? $free.a = 1 : $error('no value'))",
        ),
        ("!params.any", "$type($params.any) = 'boolean' ? $not($params.any)"),
        ("1 / params.i", "$params.i != 0 ? 1 / $params.i"),
        (
            "1 / params.n",
            "($finiteOf := function($x) { $x + 0 }; $finiteOf(1 / $params.n))",
        ),
        (
            "params.s < params.t",
            "($orderOf := function($x) { $type($x) = 'string' ? $replace($replace($x, /\\uffff/, '\\uffff\\u0000'), /[\\ud800-\\udbff]/, '\\uffff$0') : $x }; \
             $orderOf($params.s) < $orderOf($params.t))",
        ),
        (
            "[params.any]",
            "($oneOf := function($x) { $type($x) = 'array' ? [[$x]] : $x }; [$oneOf($params.any)])",
        ),
    ];
    for (text, expected) in table {
        assert_eq!(printed(text), expected, "{text}");
    }
}

#[test]
fn templates_keep_constants_as_they_are() {
    assert_eq!(written("plain"), "plain");
    assert_eq!(written("{% not an expression %}"), "{% '{% not an expression %}' %}");
    assert_eq!(written("${Bucket}"), "{% '\\u0024{Bucket}' %}");
    assert_eq!(written("${{ params.s }}"), "{% $params.s %}");
    assert_eq!(
        written("${{ params.s }}-${{ params.i }}"),
        "{% $params.s & '-' & $formatBase($params.i) %}"
    );
    let uri = super::with_placeholders(written("${{ buckets.raw.uri }}/x").as_str().unwrap());
    assert_eq!(uri, "s3://${RawBucketName}/x");
}

#[test]
fn long_chains_do_not_overflow_the_stack() {
    let sum = vec!["params.i"; 370].join(" + ");
    assert!(printed(&sum).ends_with("$params.i + $params.i"));
    let path = format!("params.any{}", ".a".repeat(2000));
    assert!(printed(&path).starts_with("($itemOf := "));
}
