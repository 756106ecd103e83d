use super::*;

/// The text under the span of each node, outermost first.
fn extent(text: &str) -> Vec<String> {
    let syntax = parse(text, Place::exact(0, text.len())).unwrap();
    let mut found = Vec::new();
    let mut stack = vec![&syntax];
    while let Some(part) = stack.pop() {
        found.push(text[part.span.start..part.span.end].to_owned());
        stack.extend(part.children().into_iter().rev());
    }
    found
}

#[test]
fn extents() {
    for (text, parts) in [
        ("a", vec!["a"]),
        ("-1 + x", vec!["-1 + x", "-1", "x"]),
        ("- 1.5", vec!["- 1.5"]),
        ("(a + b) * c", vec!["(a + b) * c", "a + b", "a", "b", "c"]),
        ("((a)) + (b)", vec!["((a)) + (b)", "a", "b"]),
        ("a . b [ 0 ]", vec!["a . b [ 0 ]", "a . b", "a", "0"]),
        ("(a).b", vec!["(a).b", "a"]),
        ("size( x ) > 1", vec!["size( x ) > 1", "size( x )", "x", "1"]),
        ("a.b.join ( ',' )", vec!["a.b.join ( ',' )", "a.b", "a", "','"]),
        ("!(a)", vec!["!(a)", "a"]),
        ("[ 1, [2] ]", vec!["[ 1, [2] ]", "1", "[2]", "2"]),
        ("{'k': (v)}", vec!["{'k': (v)}", "v"]),
        ("x in (xs)", vec!["x in (xs)", "x", "xs"]),
        ("c ? (a) : (b)", vec!["c ? (a) : (b)", "c", "a", "b"]),
        ("'é' + \"ü\"", vec!["'é' + \"ü\"", "'é'", "\"ü\""]),
        ("f() + (g(1))", vec!["f() + (g(1))", "f()", "g(1)", "1"]),
    ] {
        assert_eq!(extent(text), parts, "{text}");
    }
}

#[test]
fn references_in_written_order() {
    let text = "steps.a.output + steps['my-step'].output.v + size(steps.a.status) + buckets.raw.uri";
    let syntax = parse(text, Place::exact(0, text.len())).unwrap();
    let shown = |list: Vec<(String, crate::syntax::span::Span)>| -> Vec<String> {
        list.into_iter()
            .map(|(name, span)| format!("{name} {}", &text[span.start..span.end]))
            .collect()
    };
    assert_eq!(
        shown(references(&syntax)),
        ["a steps.a", "my-step steps['my-step']", "a steps.a"]
    );
    assert_eq!(shown(bucket_references(&syntax)), ["raw buckets.raw"]);
}

#[test]
fn pieces() {
    let scanned = |text: &str| -> Vec<String> {
        let pieces = scan(text, Place::exact(0, text.len())).unwrap();
        pieces
            .into_iter()
            .map(|piece| match piece {
                Piece::Text(text) => format!("text {text}"),
                Piece::Expr { text: inside, place } => {
                    assert_eq!(text[place.whole.start..place.whole.end], inside);
                    format!("expr{inside}")
                }
            })
            .collect()
    };
    assert_eq!(scanned(""), Vec::<String>::new());
    assert_eq!(scanned("}} $ {{ a }}"), ["text }} $ {{ a }}"]);
    assert_eq!(
        scanned("a ${{ b }}${{ c }} d"),
        ["text a ", "expr b ", "expr c ", "text  d"]
    );
    assert_eq!(scanned("$${{ a }} ${{ b }}"), ["text ${{ a }} ", "expr b "]);
    assert_eq!(
        scanned("${{ '}}' + r'\\' + \"}}\\\"}}\" }}"),
        ["expr '}}' + r'\\' + \"}}\\\"}}\" "]
    );
    assert_eq!(scanned("${{ {'a': {'b': 1}} }}"), ["expr {'a': {'b': 1}} "]);
    assert_eq!(scanned("${{{'a':{'b':1}}}}"), ["expr{'a':{'b':1}}"]);
    assert_eq!(scanned("${{ a\n+ b }}\n"), ["expr a\n+ b ", "text \n"]);
}

#[test]
fn limits() {
    let codes = |text: &str| said(text, &parse(text, Place::exact(0, text.len())).unwrap_err());
    let deep = format!("{}1{}", "(".repeat(33), ")".repeat(33));
    assert_eq!(
        codes(&deep),
        [
            "MLP0306 [(] the expression is nested deeper than 32 levels (compute it in a function step, and read that step's `output`)"
        ]
    );
    let long = format!("1{}", "+1".repeat(2048));
    assert!(codes(&long)[0].starts_with("MLP0306 [1+1+"));
}
