//! What can be wrong with the file's form.

// The derive reads some fields only through their labels.
#![allow(unused_assignments)]

use miette::{Diagnostic, LabeledSpan};
use thiserror::Error;

use super::span::Span;

/// Problems of YAML and of the document's shape.
#[derive(Debug, Error, Diagnostic)]
pub enum SyntaxProblem {
    /// The text is no YAML.
    #[error("cannot read the YAML: {detail}")]
    #[diagnostic(code(MLP0101))]
    Yaml {
        /// What the parser says.
        detail: String,
        /// Where it stopped.
        #[label("here")]
        span: Span,
        /// What to type.
        #[help]
        help: String,
    },

    /// Aliases multiply beyond any use.
    #[error("aliases expand to more nodes than a pipeline may have")]
    #[diagnostic(code(MLP0102), help("write the values out instead of `*alias`"))]
    AliasBomb {
        /// Where the budget ran out.
        #[label("expansion stopped here")]
        span: Span,
    },

    /// A key stands twice in one mapping.
    #[error("key `{key}` is repeated")]
    #[diagnostic(code(MLP0103), help("remove one of the two, or rename it"))]
    RepeatedKey {
        /// The key.
        key: String,
        /// The second one.
        #[label("again here")]
        span: Span,
        /// The first one.
        #[label("first here")]
        first: Span,
    },

    /// A number that a double cannot hold exactly.
    #[error("number out of range (`NumberOutOfRange`)")]
    #[diagnostic(
        code(MLP0104),
        help("integers reach from -9007199254740991 to 9007199254740991; quote a larger one to pass it as a string")
    )]
    NumberOutOfRange {
        /// The number.
        #[label("a double cannot hold this")]
        span: Span,
    },

    /// The file is too big.
    #[error("the file has {bytes} bytes, the limit is {limit}")]
    #[diagnostic(code(MLP0105), help("move data out of the pipeline file"))]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },

    /// A key that the language does not have.
    #[error("unknown key `{key}` in {place}")]
    #[diagnostic(code(MLP0110))]
    UnknownKey {
        /// The key.
        key: String,
        /// What holds it.
        place: String,
        /// The key's place.
        #[label("not a key of {place}")]
        span: Span,
        /// What to type.
        #[help]
        help: String,
    },

    /// A key that must be there.
    #[error("{place} has no `{key}`")]
    #[diagnostic(code(MLP0111))]
    MissingKey {
        /// The key.
        key: String,
        /// What should hold it.
        place: String,
        /// The holder's place.
        #[label("`{key}` is missing here")]
        span: Span,
        /// What to type.
        #[help]
        help: String,
    },

    /// A value of another type.
    #[error("{place} must be {expected}, found {found}")]
    #[diagnostic(code(MLP0112))]
    WrongType {
        /// The key.
        place: String,
        /// What it takes.
        expected: String,
        /// What it has.
        found: String,
        /// The value.
        #[label("{found}")]
        span: Span,
        /// What to type.
        #[help]
        help: Option<String>,
    },

    /// A text that does not have the form of its key.
    #[error("`{text}` is not {expected}")]
    #[diagnostic(code(MLP0113))]
    BadText {
        /// What was written.
        text: String,
        /// What form it should have.
        expected: String,
        /// The value.
        #[label("not {expected}")]
        span: Span,
        /// What to type.
        #[help]
        help: String,
    },

    /// None or several of a set of keys of which there must be one.
    #[error("{place} has {found}: exactly one is needed")]
    #[diagnostic(code(MLP0114))]
    NotOneOf {
        /// What holds the keys.
        place: String,
        /// Which are there.
        found: String,
        /// The keys that are there, or the holder.
        #[label(collection)]
        spans: Vec<LabeledSpan>,
        /// The keys to choose from.
        #[help]
        help: String,
    },

    /// A number outside its bounds.
    #[error("`{place}` must be {bound}, found {found}")]
    #[diagnostic(code(MLP0115))]
    OutOfBounds {
        /// The key.
        place: String,
        /// `at least 1`.
        bound: String,
        /// The value.
        found: String,
        /// Its place.
        #[label("must be {bound}")]
        span: Span,
        /// What to type.
        #[help]
        help: String,
    },

    /// `--stage` names none of the file's stages.
    #[error("no stage is named `{name}`")]
    #[diagnostic(code(MLP0120))]
    UnknownStage {
        /// What was asked for.
        name: String,
        /// Where the stages stand.
        #[label("the stages of this file")]
        span: Option<Span>,
        /// What there is.
        #[help]
        help: String,
    },

    /// A stage has a key that is the same for all.
    #[error("stage `{stage}` cannot change `{key}`")]
    #[diagnostic(code(MLP0121))]
    FixedKey {
        /// The stage.
        stage: String,
        /// The key.
        key: String,
        /// Its place.
        #[label("the same in every stage")]
        span: Span,
        /// What to do.
        #[help]
        help: String,
    },

    /// A stage removes a key that is not there.
    #[error("null removes `{key}`, which is not there")]
    #[diagnostic(code(MLP0122), severity(Warning))]
    RemovesNothing {
        /// The key.
        key: String,
        /// Its place in the stage.
        #[label("nothing to remove")]
        span: Span,
        /// What to do.
        #[help]
        help: String,
    },
}
