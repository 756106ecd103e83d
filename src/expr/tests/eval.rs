use serde_json::{Value, json};

use super::*;

/// The value, or the evaluator's words after `!`.
fn value(text: &str) -> Result<Value, String> {
    let names = Names::new();
    let mut scope = names.scope();
    scope.error = true;
    let (expr, problems) = checked(text, &scope);
    let expr = expr.unwrap_or_else(|| panic!("{text}: {:?}", said(text, &problems)));
    let world = World::new();
    let result = eval(&expr, &world);
    // Overflow to infinity is outside of what the types prove.
    if let Err(error) = &result
        && error.message != "the result is not finite"
    {
        assert!(!expr.safe, "{text} is called safe: {error}");
    }
    result.map_err(|error| error.message)
}

#[track_caller]
fn table(rows: &[(&str, Value)]) {
    for (text, expected) in rows {
        let found = value(text);
        // As text: 1 and 1.0 differ.
        assert_eq!(
            found.as_ref().map(ToString::to_string),
            Ok(expected.to_string()),
            "{text}"
        );
    }
}

#[track_caller]
fn fails(rows: &[(&str, &str)]) {
    for (text, message) in rows {
        assert_eq!(value(text), Err((*message).to_owned()), "{text}");
    }
}

#[test]
fn literals() {
    table(&[
        ("null", json!(null)),
        ("true", json!(true)),
        ("1", json!(1)),
        ("-1", json!(-1)),
        ("1.0", json!(1)),
        ("-0.0", json!(0)),
        ("0x10", json!(16)),
        ("1.5e3", json!(1500)),
        (".5", json!(0.5)),
        ("1e300", json!(1e300)),
        ("9007199254740991", json!(9_007_199_254_740_991_i64)),
        ("'a'", json!("a")),
        ("\"it's\"", json!("it's")),
        (r"'a\n\u00e9\''", json!("a\né'")),
        (r"r'a\n'", json!("a\\n")),
        ("'''a'b'''", json!("a'b")),
        ("[]", json!([])),
        ("[1, 'a', [null]]", json!([1, "a", [null]])),
        ("{}", json!({})),
        ("{'b': 1, 'a': {'c': params.n}}", json!({"b": 1, "a": {"c": 7}})),
    ]);
}

#[test]
fn names() {
    table(&[
        ("params.n", json!(7)),
        ("params['n']", json!(7)),
        ("params.o.a", json!(1)),
        ("params.maybe", json!(null)),
        ("size(params)", json!(9)),
        ("steps.a.output.rows", json!(10)),
        ("steps.a.output.shards[1]", json!("q")),
        ("steps['my-step'].output.v", json!(1)),
        ("steps['my-step']['output']['v']", json!(1)),
        ("steps.a.status", json!("succeeded")),
        ("steps.b.status", json!("skipped")),
        ("steps.b.output", json!(null)),
        ("steps.a.error", json!(null)),
        ("steps.free.output.f.g", json!(1)),
        ("steps.free.output", json!({"f": {"g": 1}, "list": [1, "a"]})),
        ("buckets.raw.uri + '/x'", json!("s3://acme-raw/x")),
        ("buckets.raw.name", json!("acme-raw")),
        (
            "run.id + run.name + run.started_at",
            json!("run-1churn2026-11-24T00:00:00Z"),
        ),
        ("error.step + ': ' + error.message + error.name", json!("a: boomE")),
    ]);
}

#[test]
fn arithmetic() {
    table(&[
        ("1 + 2 * 3", json!(7)),
        ("(1 + 2) * 3", json!(9)),
        ("7 / 2", json!(3.5)),
        ("4 / 2", json!(2)),
        ("0.1 + 0.2", json!(0.300_000_000_000_000_04)),
        ("7 % 3", json!(1)),
        ("-7 % 3", json!(-1)),
        ("7 % -3", json!(1)),
        ("-6 % 3", json!(0)),
        ("5.5 % 2", json!(1.5)),
        ("10 - 2 - 3", json!(5)),
        ("-params.n", json!(-7)),
        ("-(1 - 1)", json!(0)),
        ("params.x * 2", json!(5)),
        ("'a' + 'b'", json!("ab")),
        ("[1] + ['a'] + []", json!([1, "a"])),
    ]);
    fails(&[
        ("1 / (params.n - 7)", "division by zero"),
        ("1 % (params.n - 7)", "division by zero"),
        ("1e308 * 10", "the result is not finite"),
        ("params.any + 1", "`+` between object and number"),
        ("params.any.list - 1", "`-` between list and number"),
        ("-params.any", "`-` takes a number, found object"),
        ("params.maybe + 'a'", "`+` between null and string"),
    ]);
}

#[test]
fn comparison() {
    table(&[
        ("1 == 1.0", json!(true)),
        ("params.any == 1", json!(false)),
        ("params.any.deep == [{'k': 1}]", json!(true)),
        ("{'a': 1, 'b': [2]} == {'b': [2.0], 'a': 1.0}", json!(true)),
        ("{'a': 1} == {'a': 1, 'b': null}", json!(false)),
        ("[1, 2] == [2, 1]", json!(false)),
        ("[true] == [1]", json!(false)),
        ("null == null", json!(true)),
        ("params.maybe == null", json!(true)),
        ("params.n != null", json!(true)),
        ("'a' != 'b'", json!(true)),
        ("2 < 10", json!(true)),
        ("'2' < '10'", json!(false)),
        ("'Z' < 'a'", json!(true)),
        ("'a' < 'aa'", json!(true)),
        ("'\u{ffff}' < '\u{10000}'", json!(true)),
        ("1 <= 1.0 && 1 >= 1 && !(1 > 1)", json!(true)),
        ("2 in [1, 2.0]", json!(true)),
        ("'x' in params.names", json!(false)),
        ("'a' in params.o", json!(true)),
        ("'b' in params.o", json!(true)),
        ("'c' in params.o", json!(false)),
        ("[1] in [[1]]", json!(true)),
    ]);
    fails(&[
        ("params.any < 1", "`<` between object and number"),
        ("params.maybe < 'a'", "`<` between null and string"),
        ("1 in params.any", "`in` between number and object"),
        ("'k' in params.any.deep[0].k", "`in` between string and number"),
    ]);
}

#[test]
fn booleans_are_lazy() {
    table(&[
        ("true && false", json!(false)),
        ("false && params.any.missing", json!(false)),
        ("true || params.any.missing", json!(true)),
        ("false || true", json!(true)),
        ("!params.flag", json!(false)),
        ("params.flag ? 1 : params.any.missing", json!(1)),
        ("!params.flag ? params.any.missing : 'b'", json!("b")),
        ("false ? 1 : false ? 2 : 3", json!(3)),
        ("true || false && params.any.missing", json!(true)),
    ]);
    fails(&[
        ("true && params.any", "`&&` takes booleans, found object"),
        ("params.any || true", "`||` takes booleans, found object"),
        ("params.any.missing && false", "no field `missing`"),
        ("params.any ? 1 : 2", "`?` takes booleans, found object"),
        ("!params.any", "`!` takes a boolean, found object"),
    ]);
}

#[test]
fn access() {
    table(&[
        ("[1, 2][0]", json!(1)),
        ("params.xs[1.0]", json!(1)),
        ("params.xs[params.n - 5]", json!(2)),
        ("{'a': 1}['a']", json!(1)),
        ("{'a': 1}.a", json!(1)),
        ("params.o['' + 'a']", json!(1)),
        ("params.any.deep[0].k", json!(1)),
        ("params.any['deep'][0]['k']", json!(1)),
    ]);
    fails(&[
        ("params.xs[3]", "index 3 is out of range: the list has 3"),
        ("params.xs[params.n - 8]", "index -1 is out of range: the list has 3"),
        ("params.xs[params.x]", "the index is not an integer"),
        ("params.any[0]", "object cannot be indexed by number"),
        ("params.any.list['' + 'a']", "list cannot be indexed by string"),
        ("params.any.list.a", "list has no field `a`"),
        ("params.any.deep[0].k.z", "number has no field `z`"),
        ("params.any.nope", "no field `nope`"),
        ("steps.b.output.rows", "null has no field `rows`"),
        ("params.o.b + 'x'", "`+` between null and string"),
    ]);
}

#[test]
fn paths() {
    table(&[
        ("default(params.n, 0)", json!(7)),
        ("default(params.maybe, 'd')", json!("d")),
        ("default(params.o.b, 'd')", json!("d")),
        ("default(steps.b.output.rows, 0)", json!(0)),
        ("default(steps.b.output, {'rows': 1})", json!({"rows": 1})),
        ("default(params.any.no.where.at[3].all, 'd')", json!("d")),
        ("default(params.any.deep[0].k.z, 'd')", json!("d")),
        ("default(params.any.list['k'], 'd')", json!("d")),
        ("default(params.any[0], 'd')", json!("d")),
        ("default(params.xs[9], 4)", json!(4)),
        ("default(params.xs[0 - 1], 4)", json!(4)),
        ("default(params.xs[params.x], 4)", json!(4)),
        ("default(params.xs[0], params.any.missing)", json!(3)),
        ("params.maybe.default('d')", json!("d")),
        ("has(params.maybe)", json!(false)),
        ("has(params.n)", json!(true)),
        ("has(params.any.deep[0].k)", json!(true)),
        ("has(params.any.deep[1].k)", json!(false)),
        ("has(steps.b.output.rows)", json!(false)),
        ("has(steps.a.output)", json!(true)),
        ("has(steps.a.output.note)", json!(false)),
    ]);
    fails(&[
        ("default(params.maybe, params.any.missing)", "no field `missing`"),
        ("default(params.xs[1 / (params.n - 7)], 1)", "division by zero"),
    ]);
}

#[test]
fn conversions() {
    table(&[
        ("string('a')", json!("a")),
        ("string(1.0)", json!("1")),
        ("string(-0.0)", json!("0")),
        ("string(0.1 + 0.2)", json!("0.30000000000000004")),
        ("string(1e21)", json!("1e+21")),
        ("string(1e20)", json!("100000000000000000000")),
        ("string(123456789012345680000.0)", json!("123456789012345680000")),
        ("string(1.5e-7)", json!("1.5e-7")),
        ("string(0.000001)", json!("0.000001")),
        ("string(5e-324)", json!("5e-324")),
        ("string(1.7976931348623157e308)", json!("1.7976931348623157e+308")),
        ("string(-12.5)", json!("-12.5")),
        ("string(100)", json!("100")),
        ("string(true)", json!("true")),
        ("int(3.9)", json!(3)),
        ("int(-3.9)", json!(-3)),
        ("int('-42')", json!(-42)),
        ("int('007')", json!(7)),
        ("int('-0')", json!(0)),
        ("double(2)", json!(2)),
        ("double('2.50')", json!(2.5)),
        ("double('-1E+2')", json!(-100)),
        ("double('1e-7')", json!(1e-7)),
    ]);
    fails(&[
        ("string(params.any)", "object has no text"),
        ("string(params.maybe)", "null has no text"),
        ("int('1.0')", "the string is not an integer"),
        ("int('+1')", "the string is not an integer"),
        ("int('')", "the string is not an integer"),
        ("int('-')", "the string is not an integer"),
        ("int(' 1')", "the string is not an integer"),
        ("int('9007199254740992')", "the integer is beyond 9007199254740991"),
        (
            "int('99999999999999999999999')",
            "the integer is beyond 9007199254740991",
        ),
        ("int(1e16)", "the integer is beyond 9007199254740991"),
        ("int(params.any)", "`int` takes a number or a string, found object"),
        ("double('1.')", "the string is not a number"),
        ("double('.5')", "the string is not a number"),
        ("double('01')", "the string is not a number"),
        ("double('inf')", "the string is not a number"),
        ("double('NaN')", "the string is not a number"),
        ("double('1e999')", "the number is not finite"),
        ("double('1e5e5')", "the string is not a number"),
    ]);
}

#[test]
fn functions() {
    table(&[
        ("size('héllo😀')", json!(6)),
        ("size(params.xs)", json!(3)),
        ("size({'a': 1})", json!(1)),
        ("params.s.size()", json!(5)),
        ("contains('abc', 'b')", json!(true)),
        ("contains('abc', '')", json!(true)),
        ("contains([1, [2]], [2.0])", json!(true)),
        ("params.names.contains('c')", json!(false)),
        ("startsWith('abc', 'ab')", json!(true)),
        ("'abc'.endsWith('bc')", json!(true)),
        ("min(3, 1, 2)", json!(1)),
        ("max(params.xs)", json!(3)),
        ("max([1.5])", json!(1.5)),
        ("min(1.0, 2)", json!(1)),
        ("abs(-2.5)", json!(2.5)),
        ("floor(-1.5)", json!(-2)),
        ("ceil(-1.5)", json!(-1)),
        ("ceil(-0.5)", json!(0)),
        ("floor(1e300)", json!(1e300)),
        ("join(params.names, '-')", json!("a-b")),
        ("join([], '-')", json!("")),
        ("split('a,b,', ',')", json!(["a", "b", ""])),
        ("split('', ',')", json!([""])),
        ("split('aXXb', 'XX')", json!(["a", "b"])),
        ("keys({'b': 1, 'a': 2, 'Z': 3, 'é': 4})", json!(["Z", "a", "b", "é"])),
        ("split(params.s, 'l').join('L')", json!("héLLo")),
    ]);
    fails(&[
        (
            "size(params.any.deep[0].k)",
            "`size` takes a string, a list or an object, found number",
        ),
        (
            "contains('a', params.any.list[0])",
            "`contains` takes two strings, or a list and an item, found string and number",
        ),
        ("min(params.any.list, 1)", "`min` takes numbers, found list and number"),
        (
            "max(split('a', ',') + params.any.list)",
            "`max` takes a list of numbers with at least one, found list",
        ),
        ("min(params.any.none)", "no field `none`"),
        ("join(params.any.list, ',')", "`join` takes a list of strings"),
        ("split('a', params.s + '' == 'x' ? 'x' : '')", "the separator is empty"),
        ("keys(params.any.list)", "`keys` takes an object, found list"),
    ]);
}

#[test]
fn templates() {
    let names = Names::new();
    let world = World::new();
    for (text, expected) in [
        ("", json!("")),
        ("plain", json!("plain")),
        ("${{ params.n }}", json!(7)),
        (" ${{ params.n }}", json!(" 7")),
        (
            "n=${{ params.n }}, x=${{ params.x }}${{ params.flag }}!",
            json!("n=7, x=2.5true!"),
        ),
        ("$${{ params.n }} and ${{ 'a' }}", json!("${{ params.n }} and a")),
        ("$$${{ 1 }}", json!("$${{ 1 }}")),
        ("${{ {'a': {'b': '}}'}} }}", json!({"a": {"b": "}}"}})),
        ("${{{'a': {'b': 1}}}}", json!({"a": {"b": 1}})),
        ("a }} b { ${{ 1 }}}", json!("a }} b { 1}")),
    ] {
        let parsed = parse_text(text, Place::exact(0, text.len())).unwrap();
        let mut problems = Vec::new();
        let template = super::check_text(&parsed, &names.scope(), &mut problems).unwrap();
        assert_eq!(eval_template(&template, &world), Ok(expected), "{text}");
    }
}

#[test]
fn shapes() {
    let ty = object(&[
        ("rows", Type::Integer),
        ("xs", list(object(&[("a b", Type::String)]))),
        ("maybe", Type::Number.optional()),
        ("any", Type::Any),
    ]);
    let good = json!({"rows": 1.0, "xs": [{"a b": "", "more": 1}], "any": null, "extra": []});
    assert_eq!(matches(&good, &ty, "output"), Ok(()));
    for (value, message) in [
        (json!(null), "output: expected object, found null"),
        (json!({}), "output.rows: expected integer, found nothing"),
        (json!({"rows": "1"}), "output.rows: expected integer, found string"),
        (json!({"rows": 1.5}), "output.rows: expected integer, found number"),
        (json!({"rows": 1, "xs": {}}), "output.xs: expected list, found object"),
        (
            json!({"rows": 1, "xs": [1]}),
            "output.xs[0]: expected object, found number",
        ),
        (
            json!({"rows": 1, "xs": [{"a b": true}]}),
            "output.xs[0][\"a b\"]: expected string, found boolean",
        ),
        (
            json!({"rows": 1, "xs": [], "maybe": "x", "any": 1}),
            "output.maybe: expected number, found string",
        ),
        (json!({"rows": 1, "xs": []}), "output.any: expected any, found nothing"),
    ] {
        let found = matches(&value, &ty, "output").map_err(|mismatch| mismatch.to_string());
        assert_eq!(found, Err(message.to_owned()));
    }
}
