//! What can be wrong with the meaning of a well-formed file.

// The derive reads some fields only through their labels.
#![allow(unused_assignments)]

use miette::Diagnostic;
use thiserror::Error;

use crate::syntax::span::Span;

/// Problems of names, types, the graph, triggers and handlers.
#[derive(Debug, Error, Diagnostic)]
pub enum CheckProblem {
    /// An id that not every cloud could carry.
    #[error("`{id}` is not a {what} name")]
    #[diagnostic(code(MLP0201))]
    BadId {
        /// The id.
        id: String,
        /// `step`, `bucket`, `secret`, `param`, `label`.
        what: &'static str,
        /// Its place.
        #[label("not a {what} name")]
        span: Span,
        /// What form it has.
        #[help]
        help: &'static str,
    },

    /// Two ids that are one where `-` is not allowed.
    #[error("`{id}` and `{other}` are the same name where a cloud turns `-` into `_`")]
    #[diagnostic(code(MLP0202), help("rename one of them"))]
    IdsCollide {
        /// The second id.
        id: String,
        /// The first one.
        other: String,
        /// The second's place.
        #[label("this one")]
        span: Span,
        /// The first's place.
        #[label("collides with this")]
        first: Span,
    },

    /// `needs` names no step.
    #[error("no step is named `{name}`")]
    #[diagnostic(code(MLP0203))]
    UnknownStep {
        /// What was written.
        name: String,
        /// Its place.
        #[label("no such step")]
        span: Span,
        /// What there is.
        #[help]
        help: String,
    },

    /// `needs` names the step itself.
    #[error("step `{name}` needs itself")]
    #[diagnostic(code(MLP0204), help("remove it from `needs`"))]
    NeedsItself {
        /// The step.
        name: String,
        /// Its place.
        #[label("this is the step itself")]
        span: Span,
    },

    /// `needs` names a step twice.
    #[error("step `{name}` is needed twice")]
    #[diagnostic(code(MLP0205), help("remove one of the two"))]
    NeededTwice {
        /// The step.
        name: String,
        /// Its second place.
        #[label("again here")]
        span: Span,
    },

    /// A trigger or a target setting names no bucket.
    #[error("no bucket is named `{name}`")]
    #[diagnostic(code(MLP0206))]
    UnknownBucket {
        /// What was written.
        name: String,
        /// Its place.
        #[label("no such bucket")]
        span: Span,
        /// What there is.
        #[help]
        help: String,
    },

    /// A step with the name of something else.
    #[error("`{id}` is a reserved name")]
    #[diagnostic(
        code(MLP0207),
        help("rename the step: errors use `params`, `outputs` and `on_failure` as step names")
    )]
    ReservedId {
        /// The id.
        id: String,
        /// Its place.
        #[label("reserved")]
        span: Span,
    },

    /// More labels than a resource takes.
    #[error("more labels than every cloud takes on a resource: {found}, the most is {most}")]
    #[diagnostic(code(MLP0208), help("remove labels"))]
    TooManyLabels {
        /// The limit.
        most: usize,
        /// How many there are.
        found: usize,
        /// The first one beyond it.
        #[label("one too many")]
        span: Span,
    },

    /// A name that is no type.
    #[error("`{name}` is not a type")]
    #[diagnostic(code(MLP0210))]
    UnknownType {
        /// What was written.
        name: String,
        /// Its place.
        #[label("not a type")]
        span: Span,
        /// What there is.
        #[help]
        help: String,
    },

    /// A param's settings contradict each other.
    #[error("param `{param}`: {detail}")]
    #[diagnostic(code(MLP0211))]
    BadParam {
        /// The param.
        param: String,
        /// What is wrong.
        detail: String,
        /// Its place.
        #[label("here")]
        span: Span,
        /// What to type.
        #[help]
        help: String,
    },

    /// A modifier that the kind does not take.
    #[error("`{modifier}` does not go on a step of the kind `{kind}`")]
    #[diagnostic(code(MLP0220), help("remove `{modifier}`, or make it a `function` step"))]
    ModifierOfOtherKind {
        /// The step's kind.
        kind: &'static str,
        /// The modifier.
        modifier: &'static str,
        /// The step.
        #[label("of the kind `{kind}`")]
        span: Span,
    },

    /// The longest wait is shorter than the first.
    #[error("`max_delay` ({max_delay} s) is shorter than `delay` ({delay} s)")]
    #[diagnostic(code(MLP0221), help("raise `max_delay` or lower `delay`"))]
    MaxDelayBelowDelay {
        /// In seconds.
        max_delay: u64,
        /// In seconds.
        delay: u64,
        /// The retry.
        #[label("this retry")]
        span: Span,
    },

    /// `join` without anything to join.
    #[error("step `{step}` has `join` but no `needs`")]
    #[diagnostic(code(MLP0222), help("add `needs: [...]`, or remove `join`"))]
    JoinWithoutNeeds {
        /// The step.
        step: String,
        /// Its place.
        #[label("nothing to join")]
        span: Span,
    },

    /// `when` without an expression.
    #[error("`{key}` of step `{step}` is not an expression")]
    #[diagnostic(code(MLP0223), help("write `{key}: ${{{{ … }}}}`"))]
    WhenWithoutExpression {
        /// The step.
        step: String,
        /// `when` or `until`.
        key: &'static str,
        /// Its place.
        #[label("not an expression")]
        span: Span,
    },

    /// A group without steps.
    #[error("group `{step}` has no steps")]
    #[diagnostic(code(MLP0225), help("add a step below its `steps:`, or remove the group"))]
    EmptyGroup {
        /// The group.
        step: String,
        /// Its place.
        #[label("this group")]
        span: Span,
    },

    /// Groups in groups without end.
    #[error("groups are nested deeper than {limit}")]
    #[diagnostic(code(MLP0226), help("move the inner steps one level up"))]
    TooDeep {
        /// The bound.
        limit: usize,
        /// The innermost group that was read.
        #[label("its steps are too deep")]
        span: Span,
    },

    /// A step in a group has the id of one that it can see.
    #[error("`{id}` stands for another step already")]
    #[diagnostic(
        code(MLP0227),
        help("rename one of them: a step in a group sees the steps round the group, so their ids must differ")
    )]
    HidesStep {
        /// The id.
        id: String,
        /// The inner one.
        #[label("this one")]
        span: Span,
        /// The outer one.
        #[label("hides this")]
        first: Span,
    },

    /// `outputs` of a step that is no group.
    #[error("`outputs` on a step that is no group")]
    #[diagnostic(code(MLP0228), help("write `output:` for the shape of what a function gives"))]
    OutputsOfNoGroup {
        /// Their place.
        #[label("only a group has outputs")]
        span: Span,
    },

    /// A helper of `for_each` without it.
    #[error("`{key}` without `for_each`")]
    #[diagnostic(code(MLP0230), help("add `for_each: ${{{{ … }}}}`, or remove `{key}`"))]
    WithoutForEach {
        /// The key.
        key: &'static str,
        /// Its value.
        #[label("there is no list")]
        span: Span,
    },

    /// A name that cannot stand for an item.
    #[error("`{name}` cannot name an item")]
    #[diagnostic(
        code(MLP0231),
        help("lower-case letters, digits and `_`, not a digit first; not a name or function of the language")
    )]
    BadVariable {
        /// The name.
        name: String,
        /// Its place.
        #[label("not a name for an item")]
        span: Span,
    },

    /// `as` and `index` are one name.
    #[error("item and position are both called `{name}`")]
    #[diagnostic(code(MLP0232), help("give `as` or `index` another name"))]
    SameVariable {
        /// The name.
        name: String,
        /// Its place.
        #[label("this name")]
        span: Span,
    },

    /// An `until` that nothing can make true.
    #[error("`until` is never true")]
    #[diagnostic(
        code(MLP0233),
        help("compare `output` with what the step gives at its end; the step would always fail with `RepeatLimit`")
    )]
    UntilNeverTrue {
        /// The condition.
        #[label("never true")]
        span: Span,
    },

    /// An entry of `catch` that no error reaches.
    #[error("this `catch` is never reached: {reason}")]
    #[diagnostic(code(MLP0234), help("move it before the others, or remove it"))]
    NeverCaught {
        /// Why.
        reason: &'static str,
        /// The entry.
        #[label("never reached")]
        span: Span,
    },

    /// `output` and `do` in one entry.
    #[error("a `catch` has `output` and `do`")]
    #[diagnostic(code(MLP0235), help("keep one: a value, or a step that gives it"))]
    TwoFallbacks {
        /// The output.
        #[label("`do` is there too")]
        span: Span,
    },

    /// A point in time that is none.
    #[error("`until` of a `wait` is not a time")]
    #[diagnostic(
        code(MLP0236),
        help("write `2030-01-31T08:00:00Z`, seconds since 1970, or an expression that gives one of them")
    )]
    BadTime {
        /// The value.
        #[label("not a time")]
        span: Span,
    },

    /// An approval that nobody would hear of.
    #[error("the approval `{step}` has no topic")]
    #[diagnostic(code(MLP0237))]
    ApprovalWithoutTopic {
        /// The step.
        step: String,
        /// Its place.
        #[label("published to no topic")]
        span: Span,
        /// What to type.
        #[help]
        help: String,
    },

    /// A topic that is not declared.
    #[error("no topic is named `{name}`")]
    #[diagnostic(code(MLP0238))]
    UnknownTopic {
        /// What was written.
        name: String,
        /// Its place.
        #[label("no such topic")]
        span: Span,
        /// What there is.
        #[help]
        help: String,
    },

    /// A child's file that is not there.
    #[error("the pipeline file `{file}` does not exist")]
    #[diagnostic(code(MLP0240), help("`file` is relative to the file that it stands in"))]
    NoChildFile {
        /// Path relative to the root's folder.
        file: String,
        /// Its place.
        #[label("no such file")]
        span: Span,
    },

    /// A child's file that has problems of its own.
    #[error("the pipeline file `{file}` has {count} {}", if *count == 1 { "problem" } else { "problems" })]
    #[diagnostic(code(MLP0241))]
    BadChild {
        /// Path relative to the root's folder.
        file: String,
        /// How many.
        count: usize,
        /// The first of them.
        #[help]
        help: String,
        /// Its place.
        #[label("this file")]
        span: Span,
    },

    /// A pipeline that runs itself.
    #[error("a pipeline runs itself: {chain}")]
    #[diagnostic(
        code(MLP0242),
        help("remove one of these `pipeline` steps; for a loop write `repeat`, for a list `for_each`")
    )]
    ChildCycle {
        /// `a.yaml → b.yaml → a.yaml`.
        chain: String,
        /// Where it closes.
        #[label("runs a pipeline that it is part of")]
        span: Span,
    },

    /// Two files with one name.
    #[error("two pipelines are named `{name}`: `{first}` and `{second}`")]
    #[diagnostic(
        code(MLP0243),
        help("change `name:` in one of them: each is deployed under its name")
    )]
    SamePipelineName {
        /// The name.
        name: String,
        /// The first file.
        first: String,
        /// The second file.
        second: String,
        /// The call of the second.
        #[label("the second")]
        span: Span,
    },

    /// A child's params do not fit.
    #[error("{detail}")]
    #[diagnostic(code(MLP0244))]
    ChildParam {
        /// What is wrong.
        detail: String,
        /// Its place.
        #[label("here")]
        span: Span,
        /// What to type.
        #[help]
        help: String,
    },

    /// One id, two meanings.
    #[error("the pipeline `{pipeline}` declares the {what} `{id}` differently")]
    #[diagnostic(
        code(MLP0245),
        help("write the same in both files, or rename one: equal ids are one {what} for both pipelines")
    )]
    DeclaredTwice {
        /// `bucket`, `topic`, `secret`.
        what: &'static str,
        /// The id.
        id: String,
        /// The child's name.
        pipeline: String,
        /// The call.
        #[label("this pipeline")]
        span: Span,
    },

    /// A value that a command line cannot carry.
    #[error("hyperparameter `{name}` is {ty}")]
    #[diagnostic(
        code(MLP0246),
        help("a script gets it as `--{name} value`: give a string, a number or a boolean")
    )]
    NoScalar {
        /// The hyperparameter.
        name: String,
        /// Its type.
        ty: String,
        /// Its place.
        #[label("not one value")]
        span: Span,
    },

    /// A name that is no variable of an environment.
    #[error("`{name}` is not a {what} name")]
    #[diagnostic(
        code(MLP0247),
        help("letters, digits and `_`, not a digit first: it becomes an environment variable")
    )]
    BadVariableName {
        /// What was written.
        name: String,
        /// `channel` or `variable`.
        what: &'static str,
        /// Its place.
        #[label("not a {what} name")]
        span: Span,
    },

    /// A pipeline without steps.
    #[error("the pipeline has no steps")]
    #[diagnostic(code(MLP0224), help("add a step below `steps:`"))]
    NoSteps {
        /// The pipeline's name.
        #[label("this pipeline")]
        span: Span,
    },

    /// A variant's name that not every cloud takes.
    #[error("`{name}` is not a name of a variant")]
    #[diagnostic(
        code(MLP0248),
        help("write at most 20 small letters, digits and `-`, a letter first, as in `main` or `canary`")
    )]
    BadVariantName {
        /// As written.
        name: String,
        /// Its place.
        #[label("not a name that every cloud takes")]
        span: Span,
    },

    /// A variant that serves nothing.
    #[error("the variant `{name}` has no model")]
    #[diagnostic(
        code(MLP0249),
        help("give `model` on the endpoint, for all its variants, or on the variant")
    )]
    VariantWithoutModel {
        /// The variant.
        name: String,
        /// Its place.
        #[label("what does it serve?")]
        span: Span,
    },

    /// An endpoint that no request would reach.
    #[error("the weights of the variants of `{endpoint}` are all 0")]
    #[diagnostic(
        code(MLP0250),
        help("give one of them a weight above 0: requests are shared out by the weights")
    )]
    NoWeight {
        /// The endpoint.
        endpoint: String,
        /// The first weight.
        #[label("no variant gets a request")]
        span: Span,
    },

    /// An autoscaling range that is empty.
    #[error("`min: {min}` is above `max: {max}`")]
    #[diagnostic(code(MLP0251), help("write `min: {max}, max: {min}`"))]
    MinAboveMax {
        /// As written.
        min: u32,
        /// As written.
        max: u32,
        /// Their place.
        #[label("no number is in this range")]
        span: Span,
    },

    /// A monitor of an endpoint that nobody makes.
    #[error("no step creates the endpoint `{name}`")]
    #[diagnostic(code(MLP0252))]
    UnknownEndpoint {
        /// As written.
        name: String,
        /// Its place.
        #[label("no such endpoint")]
        span: Span,
        /// What to type.
        #[help]
        help: String,
    },

    /// Drift from nothing.
    #[error("`drift` needs a `baseline` to compare with")]
    #[diagnostic(
        code(MLP0253),
        help("add `baseline:` with the URI of a CSV file of the features as they were in training")
    )]
    DriftWithoutBaseline {
        /// Its place.
        #[label("drift from what?")]
        span: Span,
    },

    /// A monitor that watches nothing.
    #[error("the monitor `{step}` watches nothing")]
    #[diagnostic(code(MLP0254), help("add `drift`, `latency` or `error_rate`"))]
    NothingToWatch {
        /// The step.
        step: String,
        /// Its place.
        #[label("nothing would be told")]
        span: Span,
    },

    /// Steps that wait for each other.
    #[error("steps wait for each other: {path}")]
    #[diagnostic(code(MLP0401), help("remove one of these `needs` or references"))]
    Cycle {
        /// `a → b → a`.
        path: String,
        /// The steps of the cycle.
        #[label(collection, "in the cycle")]
        spans: Vec<miette::LabeledSpan>,
    },

    /// A cron line that cannot be read.
    #[error("`{cron}` is not a cron schedule: {detail}")]
    #[diagnostic(
        code(MLP0501),
        help("write five fields: minute, hour, day of the month, month, day of the week, as in `0 3 * * MON-FRI`")
    )]
    BadCron {
        /// What was written.
        cron: String,
        /// What is wrong.
        detail: String,
        /// Its place.
        #[label("here")]
        span: Span,
    },

    /// Both day fields restricted: every cloud reads that differently.
    #[error("`{cron}` restricts both the day of the month and the day of the week")]
    #[diagnostic(
        code(MLP0502),
        help(
            "leave one of them `*`: Unix reads both as `or`, Azure as `and`, AWS refuses it; write two triggers for `or`"
        )
    )]
    BothDays {
        /// What was written.
        cron: String,
        /// Its place.
        #[label("both day fields")]
        span: Span,
    },

    /// A time zone that does not exist.
    #[error("`{zone}` is not a time zone")]
    #[diagnostic(code(MLP0503))]
    UnknownTimeZone {
        /// What was written.
        zone: String,
        /// Its place.
        #[label("no such zone")]
        span: Span,
        /// What to type.
        #[help]
        help: String,
    },

    /// A trigger's params do not fit the pipeline's.
    #[error("{detail}")]
    #[diagnostic(code(MLP0504))]
    TriggerParam {
        /// What is wrong.
        detail: String,
        /// Its place.
        #[label("here")]
        span: Span,
        /// What to type.
        #[help]
        help: String,
    },

    /// A pipeline that would start itself again and again.
    #[error("`{what}` publishes to `{topic}`, which starts this pipeline again")]
    #[diagnostic(
        code(MLP0505),
        help("publish to another topic, or start the pipeline by another trigger: this would never end")
    )]
    EventLoop {
        /// The step, or `on_failure`.
        what: String,
        /// The topic.
        topic: String,
        /// Where the step stands.
        #[label("publishes to `{topic}`")]
        span: Span,
        /// The trigger.
        #[label("each message on it starts the pipeline")]
        trigger: Span,
    },

    /// A pipeline whose own files would start it again and again.
    #[error("`{step}` writes to the bucket `{bucket}` where a trigger of this pipeline looks")]
    #[diagnostic(
        code(MLP0506),
        help(
            "write below another prefix, or give the trigger a `prefix` or a `suffix` of its own: this would never end"
        )
    )]
    BucketLoop {
        /// The step.
        step: String,
        /// The bucket.
        bucket: String,
        /// Where the step stands.
        #[label("each of its files starts the pipeline")]
        span: Span,
        /// The trigger.
        #[label("looks there")]
        trigger: Span,
    },

    /// A source folder that is not there.
    #[error("the source folder `{source_folder}` does not exist")]
    #[diagnostic(
        code(MLP0601),
        help("create it beside the pipeline file, or set `source` on the function or below `defaults.function`")
    )]
    NoSource {
        /// As written.
        source_folder: String,
        /// Its place.
        #[label("no such folder")]
        span: Span,
    },

    /// A handler's file that is not there.
    #[error("the handler's file `{file}` does not exist")]
    #[diagnostic(code(MLP0602))]
    NoHandlerFile {
        /// Path relative to the pipeline file.
        file: String,
        /// Its place.
        #[label("looked for `{file}`")]
        span: Span,
        /// What there is.
        #[help]
        help: String,
    },

    /// A training script that is not there.
    #[error("the script `{file}` does not exist")]
    #[diagnostic(code(MLP0604))]
    NoScript {
        /// Path relative to the pipeline file.
        file: String,
        /// Its place.
        #[label("looked for `{file}`")]
        span: Span,
        /// What there is.
        #[help]
        help: String,
    },

    /// A handler's function that its file does not define.
    #[error("`{file}` has no function `{function}`")]
    #[diagnostic(code(MLP0603))]
    NoHandlerFunction {
        /// Path relative to the pipeline file.
        file: String,
        /// The function's name.
        function: String,
        /// Its place.
        #[label("no such function")]
        span: Span,
        /// What there is.
        #[help]
        help: String,
    },
}
