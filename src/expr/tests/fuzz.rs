//! Nothing that is typed makes the compiler panic or overflow; what it calls safe never fails.

use proptest::prelude::*;

use super::*;
use crate::expr::parse::MAX_BYTES;

fn whole(text: &str) {
    let names = Names::new();
    let world = World::new();
    let mut scope = names.scope();
    scope.error = true;
    let place = Place::exact(3, text.len());
    if let Ok(parsed) = parse_text(text, place) {
        for syntax in parsed.exprs() {
            references(syntax);
            status_guards(syntax);
        }
        let mut problems = Vec::new();
        if let Some(template) = super::check_text(&parsed, &scope, &mut problems) {
            let value = eval_template(&template, &world);
            if template.is_safe()
                && let Err(error) = value
            {
                // Overflow to infinity is outside of what the types prove.
                assert_eq!(error.message, "the result is not finite", "{text}");
            }
        } else {
            assert!(!problems.is_empty(), "{text}: refused without a word");
        }
        for text in said(text, &problems) {
            assert!(!text.contains("mismatched"), "{text}");
        }
    }
}

/// Texts that are often expressions.
fn near_expression() -> impl Strategy<Value = String> {
    let atoms = prop::sample::select(vec![
        "params.n",
        "params.x",
        "params.s",
        "params.flag",
        "params.xs",
        "params.names",
        "params.o",
        "params.maybe",
        "params.any",
        "params",
        "steps.a.output",
        "steps.a.output.rows",
        "steps.b.output",
        "steps.b.output.rows",
        "steps.a.status",
        "steps['my-step'].output.v",
        "steps.my-step.output",
        "steps.free.output.f",
        "buckets.raw.uri",
        "run.id",
        "1",
        "0",
        "2.5",
        "-3",
        "1e300",
        "''",
        "'a'",
        "'}}'",
        "true",
        "false",
        "null",
        "[]",
        "{}",
        "x",
        "steps",
        "[1, 2]",
        "{'a': 1}",
        "é",
        "'\\q'",
        "9007199254740993",
        "1u",
        "b'a'",
        "if",
        "in",
        "{",
        ")",
        "${{",
        "}}",
        ".",
        "\n",
    ])
    .prop_map(str::to_owned);
    atoms.prop_recursive(6, 40, 3, |inner| {
        let op = prop::sample::select(vec![
            "+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "&&", "||", " in ", "?", ":", ",", ".",
        ]);
        let function = prop::sample::select(vec![
            "size",
            "contains",
            "startsWith",
            "endsWith",
            "string",
            "int",
            "double",
            "min",
            "max",
            "abs",
            "floor",
            "ceil",
            "join",
            "split",
            "keys",
            "default",
            "has",
            "map",
            "sise",
        ]);
        prop_oneof![
            4 => (inner.clone(), op, inner.clone()).prop_map(|(a, op, b)| format!("{a} {op} {b}")),
            1 => inner.clone().prop_map(|a| format!("({a})")),
            1 => inner.clone().prop_map(|a| format!("!{a}")),
            1 => inner.clone().prop_map(|a| format!("-{a}")),
            1 => (inner.clone(), inner.clone(), inner.clone()).prop_map(|(a, b, c)| format!("({a} ? {b} : {c})")),
            1 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a}[{b}]")),
            1 => inner.clone().prop_map(|a| format!("{a}.rows")),
            3 => (function.clone(), prop::collection::vec(inner.clone(), 0..3))
                .prop_map(|(f, arguments)| format!("{f}({})", arguments.join(", "))),
            1 => (inner.clone(), function, inner).prop_map(|(a, f, b)| format!("{a}.{f}({b})")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text(text in "\\PC{0,40}") {
        whole(&text);
        whole(&format!("a ${{{{ {text} }}}} b"));
    }

    #[test]
    fn near_text(text in near_expression()) {
        whole(&format!("${{{{ {text} }}}}"));
        whole(&format!("{text}: ${{{{ {text} }}}}"));
    }
}

#[test]
fn long_chains_in_a_small_stack() {
    let thread = std::thread::Builder::new().stack_size(2 * 1024 * 1024);
    let run = thread.spawn(|| {
        let names = Names::new();
        let chain = |first: &str, rest: &str| {
            let times = (MAX_BYTES - first.len()) / rest.len();
            format!("{first}{}", rest.repeat(times))
        };
        let texts = [
            (true, chain("1", "+1")),
            (true, chain("1", "-1")),
            (true, chain("1", "*1")),
            (true, chain("1<1", "<1")),
            (true, chain("true", "&&true")),
            (true, chain("true", "||true")),
            (true, chain("true", "&&1<2||true")),
            (true, chain("params.any", ".b")),
            (true, chain("params.any", "[0]")),
            (true, chain("params.any", "['a']")),
            (true, chain("params.s", ".string()")),
            (false, chain("params.any", ".default(1)")),
            (true, "!".repeat(4092) + "true"),
            (true, "-".repeat(4095) + "1"),
            (false, chain("", "(")),
            (false, chain("", "[")),
            (false, chain("", "{'a':")),
            (false, chain("", "true?1:")),
            (true, chain("steps.a", "-b")),
            (true, format!("has(params.any{})", ".b".repeat(2000))),
            (true, format!("{}1{}", "(".repeat(32), ")".repeat(32))),
            (true, format!("{}1{}", "[".repeat(32), "]".repeat(32))),
            (true, format!("{}1{}", "{'a':".repeat(32), "}".repeat(32))),
            (true, format!("{}1{}", "abs(".repeat(32), ")".repeat(32))),
            (true, format!("{}1{}", "-(1+".repeat(32), ")".repeat(32))),
            (true, format!("{}1{}", "!(true?1:".repeat(32), ")".repeat(32))),
            (false, format!("{}1{}", "(true?1:true?2:".repeat(32), ")".repeat(32))),
        ];
        for (must_parse, text) in texts {
            let Ok(syntax) = parse(&text, Place::exact(0, text.len())) else {
                assert!(!must_parse, "{text}");
                continue;
            };
            references(&syntax);
            status_guards(&syntax);
            let mut problems = Vec::new();
            if let Some(expr) = super::check(&syntax, &names.scope(), &mut problems) {
                ran_if_true(&expr);
                let _ = eval(&expr, &World::new());
            }
        }
    });
    run.unwrap().join().unwrap();
}
