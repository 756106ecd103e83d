//! What can be wrong with an expression. One variant a code.

use miette::Diagnostic;
use thiserror::Error;

use super::Type;
use crate::syntax::span::Span;

/// A problem of an expression: how it is written, what it names, which types it mixes.
#[derive(Clone, Debug, PartialEq, Error, Diagnostic)]
pub enum ExprProblem {
    /// `${{` without its `}}`.
    #[error("`${{{{` without its `}}}}`")]
    #[diagnostic(
        code(MLP0301),
        help("end the expression with `}}}}`; a literal `${{{{` is written `$${{{{`")
    )]
    Unterminated {
        /// The `${{`.
        #[label("starts here")]
        span: Span,
    },

    /// `${{ }}`.
    #[error("empty expression")]
    #[diagnostic(code(MLP0302), help("write an expression, as in `${{{{ params.name }}}}`"))]
    Empty {
        /// The whole expression.
        #[label("nothing in here")]
        span: Span,
    },

    /// A token that cannot stand where it does.
    #[error("unexpected `{found}`")]
    #[diagnostic(code(MLP0303))]
    Unexpected {
        /// The token.
        found: String,
        /// Where it stands.
        #[label("not expected here")]
        span: Span,
        /// What to type instead, where that is known.
        #[help]
        help: Option<String>,
    },

    /// The text ends within an expression.
    #[error("the expression ends too early")]
    #[diagnostic(code(MLP0304))]
    EndsEarly {
        /// Its end.
        #[label("more is expected here")]
        span: Span,
        /// What is missing, where that is known.
        #[help]
        help: Option<String>,
    },

    /// A string literal without its closing quote, or with an escape that CEL does not know.
    #[error("{what} in a string")]
    #[diagnostic(
        code(MLP0305),
        help(
            "strings are written `'…'` or `\"…\"`, with the escapes `\\\\`, `\\'`, `\\\"`, `\\n`, `\\r`, `\\t` and `\\u0041`"
        )
    )]
    StringLiteral {
        /// `no closing quote`, `unknown escape`.
        what: &'static str,
        /// The string.
        #[label("this string")]
        span: Span,
    },

    /// More than 4096 bytes, or more than 32 levels of brackets.
    #[error("the expression {what}")]
    #[diagnostic(code(MLP0306), help("compute it in a function step, and read that step's `output`"))]
    TooLarge {
        /// `is longer than 4096 bytes`, `is nested deeper than 32 levels`.
        what: &'static str,
        /// The expression, or the bracket that is one too many.
        #[label("here")]
        span: Span,
    },

    /// Bytes, unsigned integers, messages, optional syntax: in CEL, but not here.
    #[error("{what} are not part of the language")]
    #[diagnostic(code(MLP0307))]
    Unsupported {
        /// `bytes`, `unsigned integers`, …: a plural.
        what: &'static str,
        /// Where it stands.
        #[label("not supported")]
        span: Span,
        /// What to write instead.
        #[help]
        help: Option<String>,
    },

    /// An integer that a double cannot hold, or a number that is not finite.
    #[error("number out of range (`NumberOutOfRange`): {found}")]
    #[diagnostic(
        code(MLP0308),
        help("integers reach from -9007199254740991 to 9007199254740991; pass a larger one as a string")
    )]
    NumberOutOfRange {
        /// As written.
        found: String,
        /// Where it stands.
        #[label("a double does not hold this")]
        span: Span,
    },

    /// An object literal with a key that is not a constant string, or with the same key twice.
    #[error("{what} in an object")]
    #[diagnostic(
        code(MLP0309),
        help("keys are constant strings, each written once: `{{'rows': 1, 'name': params.name}}`")
    )]
    ObjectKey {
        /// `a key that is not a constant string`, `the key twice: `a``.
        what: String,
        /// The key.
        #[label("this key")]
        span: Span,
    },

    /// A name that stands for nothing.
    #[error("unknown name: `{name}`")]
    #[diagnostic(code(MLP0310))]
    UnknownName {
        /// As written.
        name: String,
        /// Where it stands.
        #[label("unknown")]
        span: Span,
        /// A near miss, or the names there are.
        #[help]
        help: Option<String>,
    },

    /// `params.X`, `steps.X`, `buckets.X` of something that the file does not declare.
    #[error("unknown {what}: `{name}`")]
    #[diagnostic(code(MLP0311))]
    Undeclared {
        /// `param`, `step`, `bucket`.
        what: &'static str,
        /// As written.
        name: String,
        /// Where it stands.
        #[label("not declared in this file")]
        span: Span,
        /// A near miss, or how to declare it.
        #[help]
        help: Option<String>,
    },

    /// A call of a function that does not exist.
    #[error("unknown function: `{name}`")]
    #[diagnostic(code(MLP0312))]
    UnknownFunction {
        /// As written.
        name: String,
        /// Where it stands.
        #[label("unknown")]
        span: Span,
        /// A near miss, or the functions there are.
        #[help]
        help: Option<String>,
    },

    /// A field that the type does not have.
    #[error("`{of}` has no `{name}`")]
    #[diagnostic(code(MLP0313))]
    UnknownField {
        /// What it was read from, as written or its type.
        of: String,
        /// The field.
        name: String,
        /// Where the field stands.
        #[label("no such field")]
        span: Span,
        /// A near miss, or the fields there are.
        #[help]
        help: Option<String>,
    },

    /// `steps`, `steps.X`, `buckets.X`, `run` without what follows.
    #[error("`{name}` is not a value by itself")]
    #[diagnostic(code(MLP0314))]
    NotAValue {
        /// As written.
        name: String,
        /// Where it stands.
        #[label("a field is missing")]
        span: Span,
        /// What to add.
        #[help]
        help: Option<String>,
    },

    /// A name that exists, but not in this place.
    #[error("`{name}` is not known here")]
    #[diagnostic(code(MLP0315))]
    NotHere {
        /// `error`, `trigger`, `params`, `steps`.
        name: String,
        /// Where it stands.
        #[label("not known here")]
        span: Span,
        /// Where it is known.
        #[help]
        help: Option<String>,
    },

    /// `steps.X` of a step that cannot have ended when this is evaluated.
    #[error("step `{step}` cannot be read here: {reason}")]
    #[diagnostic(code(MLP0316))]
    StepOutOfReach {
        /// The step.
        step: String,
        /// Why.
        reason: &'static str,
        /// Where its id stands.
        #[label("not ended yet")]
        span: Span,
        /// What to read instead.
        #[help]
        help: Option<String>,
    },

    /// `steps.my-step.output`.
    #[error("`-` in the name of a {what} reads as a subtraction")]
    #[diagnostic(code(MLP0317), help("write `{fixed}`"))]
    DashedName {
        /// `step`, `bucket`.
        what: &'static str,
        /// What to write.
        fixed: String,
        /// The reference.
        #[label("reads as a subtraction")]
        span: Span,
    },

    /// Too few or too many arguments.
    #[error("`{function}` takes {expected}, found {found}")]
    #[diagnostic(code(MLP0320), help("write `{usage}`"))]
    ArgumentCount {
        /// The function.
        function: &'static str,
        /// `1 argument`, `2 arguments`, `at least 1 argument`.
        expected: String,
        /// How many there are.
        found: usize,
        /// `size(x)`.
        usage: &'static str,
        /// The call.
        #[label("{found} here")]
        span: Span,
    },

    /// An argument of a type that the function does not take.
    #[error("`{function}` takes {expected}, found {found}")]
    #[diagnostic(code(MLP0321))]
    ArgumentType {
        /// The function.
        function: &'static str,
        /// `a string`, `a list or an object`.
        expected: &'static str,
        /// The argument's type.
        found: Type,
        /// The argument.
        #[label("{found}")]
        span: Span,
        /// How to convert it, where that is known.
        #[help]
        help: Option<String>,
    },

    /// An infix operator between types that it does not take.
    #[error("`{operator}` between {left} and {right}")]
    #[diagnostic(code(MLP0322))]
    Operands {
        /// As written.
        operator: &'static str,
        /// Type on its left.
        left: Type,
        /// Type on its right.
        right: Type,
        /// The left operand.
        #[label("{left}")]
        left_span: Span,
        /// The right operand.
        #[label("{right}")]
        right_span: Span,
        /// What the operator takes.
        #[help]
        help: Option<String>,
    },

    /// A prefix operator before a type that it does not take.
    #[error("`{operator}` takes {expected}, found {found}")]
    #[diagnostic(code(MLP0323))]
    Operand {
        /// As written.
        operator: &'static str,
        /// `a number`, `a boolean`.
        expected: &'static str,
        /// The operand's type.
        found: Type,
        /// The operand.
        #[label("{found}")]
        span: Span,
        /// How to convert it, where that is known.
        #[help]
        help: Option<String>,
    },

    /// `==`, `!=` or `in` between types that have no value in common.
    #[error("{left} and {right} are never equal")]
    #[diagnostic(code(MLP0324))]
    NeverEqual {
        /// Type on the left.
        left: Type,
        /// Type on the right.
        right: Type,
        /// The left operand.
        #[label("{left}")]
        left_span: Span,
        /// The right operand.
        #[label("{right}")]
        right_span: Span,
        /// How to convert one of them, where that is known.
        #[help]
        help: Option<String>,
    },

    /// `.field` or `[index]` on a value that has neither.
    #[error("{found} has no {what}")]
    #[diagnostic(code(MLP0325))]
    NoFields {
        /// The type.
        found: Type,
        /// `fields`, `items`.
        what: &'static str,
        /// The value.
        #[label("{found}")]
        span: Span,
        /// What to write instead.
        #[help]
        help: Option<String>,
    },

    /// `list['a']`, `object[0]`, `list[1.5]`.
    #[error("{of} is indexed by {expected}, found {found}")]
    #[diagnostic(code(MLP0326))]
    IndexType {
        /// `a list`, `an object`.
        of: &'static str,
        /// `an integer`, `a string`.
        expected: &'static str,
        /// The index's type.
        found: Type,
        /// The index.
        #[label("{found}")]
        span: Span,
        /// What to write instead.
        #[help]
        help: Option<String>,
    },

    /// `default(a + b, c)`.
    #[error("`{function}` takes a path as its first argument")]
    #[diagnostic(
        code(MLP0327),
        help("a path is a name with fields and indices behind it, as in `steps.a.output.rows` or `params.xs[0]`")
    )]
    NotAPath {
        /// `default`, `has`.
        function: &'static str,
        /// The argument.
        #[label("not a path")]
        span: Span,
    },

    /// A value of another type than its place takes.
    #[error("{place} takes {expected}, found {found}")]
    #[diagnostic(code(MLP0328))]
    Expected {
        /// `` `when` ``, `` `message` ``.
        place: &'static str,
        /// The place's type.
        expected: Type,
        /// The expression's type.
        found: Type,
        /// The expression.
        #[label("{found}")]
        span: Span,
        /// What to write instead.
        #[help]
        help: Option<String>,
    },

    /// An expression within text whose type has no text.
    #[error("{found} within text")]
    #[diagnostic(
        code(MLP0329),
        help("only strings, numbers and booleans become text; use one of its fields, or `join(list, ', ')`")
    )]
    NotText {
        /// The expression's type.
        found: Type,
        /// The expression.
        #[label("{found}")]
        span: Span,
    },

    /// Something that fails whenever it is evaluated.
    #[error("{what}")]
    #[diagnostic(code(MLP0330))]
    AlwaysFails {
        /// `division by zero`, `empty separator`, …
        what: &'static str,
        /// What fails.
        #[label("fails whenever it is evaluated")]
        span: Span,
        /// What to write instead.
        #[help]
        help: Option<String>,
    },

    /// A trigger's params with more than constants, text and `trigger.*`.
    #[error("a trigger's `params` only join text and `trigger.*`")]
    #[diagnostic(
        code(MLP0331),
        help("write `trigger.key`, `trigger.bucket` or `trigger.uri`, joined with `+`; compute the rest in a step")
    )]
    TriggerParams {
        /// What is too much.
        #[label("not possible here")]
        span: Span,
    },

    /// A field of a possibly skipped step's output is read without a guard.
    #[error("step `{step}` may be skipped: its output is null then, and this read fails")]
    #[diagnostic(
        code(MLP0332),
        severity(Warning),
        help(
            "write `default({path}…, value)`, guard it with `{reference}.status == 'succeeded' && …`, or add `{step}` to `needs`"
        )
    )]
    MaySkip {
        /// The step.
        step: String,
        /// `steps.X.output`.
        path: String,
        /// `steps.X`.
        reference: String,
        /// The read.
        #[label("fails where `{step}` was skipped")]
        span: Span,
    },

    /// `steps.X.status == 'failed'`.
    #[error("a status is never `{found}`")]
    #[diagnostic(
        code(MLP0333),
        severity(Warning),
        help("a step that ended is `succeeded` or `skipped`: a failed step ends the pipeline")
    )]
    StatusNever {
        /// The string it is compared with.
        found: String,
        /// The string.
        #[label("never equal")]
        span: Span,
    },

    /// A regular expression that not every engine reads alike.
    #[error("not a pattern that all engines read alike: {what}")]
    #[diagnostic(code(MLP0334))]
    Pattern {
        /// What is in it.
        what: String,
        /// The pattern.
        #[label("{what}")]
        span: Span,
        /// What to write instead.
        #[help]
        help: &'static str,
    },

    /// A macro with other arguments than a name and an expression.
    #[error("`{name}` takes a name and an expression over it")]
    #[diagnostic(code(MLP0335), help("write `{usage}`"))]
    MacroForm {
        /// The macro.
        name: &'static str,
        /// How it is written.
        usage: &'static str,
        /// The call.
        #[label("not written so")]
        span: Span,
    },

    /// A macro's name that means something else there.
    #[error("`{name}` cannot name an item here")]
    #[diagnostic(
        code(MLP0336),
        help("take another: lower-case letters, digits and `_`, and no name that means something else here")
    )]
    MacroName {
        /// The name.
        name: String,
        /// Its place.
        #[label("not free")]
        span: Span,
    },
}
