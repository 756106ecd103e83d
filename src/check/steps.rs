//! Steps: from the document to a draft (expressions parsed), and from the draft to the model (expressions typed).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::diagnostics::Problems;
use crate::expr::check::{Scope, check_condition, check_string};
use crate::expr::parse::{Syntax, Text, references};
use crate::expr::{Expr, ExprKind, Template, Type};
use crate::expr::{ran_if_true, status_guards};
use crate::model::{Approval, FunctionCall, Handler, Join, Kind, Notify, OnError, Pipeline, Retry, Step, StepIx, Wait};
use crate::syntax::document::{self, Document};
use crate::syntax::scalars::Spanned;
use crate::syntax::span::Span;
use crate::syntax::{Node, NodeValue, suggest};

use super::children::{ChildDraft, Children};
use super::declared;
use super::managed::{self, JobDraft, TrainDraft};
use super::modifiers::{self, CatchDraft, ForEachDraft, RepeatDraft};
use super::problems::CheckProblem;
use super::serving::{self, BatchDraft, EndpointDraft, MonitorDraft};
use super::templates::{Parsed, Source, collect};

const DEFAULT_SOURCE: &str = "functions";
const DEFAULT_RUNTIME: &str = "python3.12";
const DEFAULT_MEMORY_MIB: u64 = 512;
const DEFAULT_TIMEOUT: u64 = 60;
const DEFAULT_DELAY: u64 = 1;
const DEFAULT_BACKOFF: f64 = 2.0;
const DEFAULT_MAX_DELAY: u64 = 60;
/// A week.
const DEFAULT_APPROVAL: u64 = 7 * 24 * 60 * 60;

/// A step whose expressions were parsed but not typed. A part that could not be parsed is None and was reported.
pub struct Draft {
    /// Its id.
    pub id: String,
    /// Its id behind those of the groups round it.
    pub path: String,
    /// The group that it stands in, or the step in whose `catch` it is written.
    pub parent: Option<StepIx>,
    /// What it does.
    pub kind: DraftKind,
    /// How it follows skips.
    pub join: Join,
    /// Its condition.
    pub when: Option<When>,
    /// Its `for_each`.
    pub for_each: Option<ForEachDraft>,
    /// Its `catch`.
    pub catch: Vec<CatchDraft>,
    /// Its `repeat`.
    pub repeat: Option<RepeatDraft>,
    input: Option<Parsed>,
    output: Option<Type>,
    retry: Retry,
    timeout: Option<u64>,
    expect_seconds: Option<f64>,
    description: Option<String>,
    span: Span,
}

/// A parsed `when`.
pub enum When {
    /// An expression.
    Expr(Box<Syntax>),
    /// A constant.
    Constant(bool, Span),
    /// Reported already.
    Broken,
}

/// What a draft does.
pub enum DraftKind {
    /// User code.
    Function(FunctionCall),
    /// A pause of so many seconds.
    Wait(u64),
    /// A pause to a point in time.
    Until(Option<Parsed>, Span),
    /// A nested DAG.
    Group {
        /// Its steps.
        steps: Vec<StepIx>,
        /// What it gives.
        outputs: Vec<(String, Option<Parsed>)>,
    },
    /// A container.
    Job(Box<JobDraft>),
    /// Training.
    Train(Box<TrainDraft>),
    /// A model that is served.
    Endpoint(Box<EndpointDraft>),
    /// Predictions for files.
    BatchPredict(Box<BatchDraft>),
    /// An endpoint that is watched.
    Monitor(Box<MonitorDraft>),
    /// A message; None was reported.
    Notify(Option<(String, Text)>),
    /// A person's answer; None was reported.
    Approval(Option<ApprovalDraft>),
    /// Another pipeline, and the type of what it gives.
    Pipeline(ChildDraft, Type),
    /// The end; None was reported.
    Fail(Option<(Text, Text)>),
}

/// An approval whose message was parsed.
pub struct ApprovalDraft {
    topic: String,
    /// None: the step's name.
    message: Option<Text>,
    timeout: u64,
}

impl Draft {
    /// Puts it where it stands.
    pub fn at(mut self, path: String, parent: Option<StepIx>) -> Self {
        self.path = path;
        self.parent = parent;
        self
    }

    /// Names of the steps that its own expressions read; a group's outputs see other names and are left out.
    pub fn references(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut add = |syntax: &Syntax| found.extend(references(syntax).into_iter().map(|(step, _)| step));
        if let Some(When::Expr(when)) = &self.when {
            add(when);
        }
        match &self.kind {
            DraftKind::Fail(Some((error, message))) => error.exprs().chain(message.exprs()).for_each(&mut add),
            DraftKind::Until(Some(time), _) => time.each(&mut add),
            DraftKind::Job(job) => job.each(&mut add),
            DraftKind::Train(train) => train.each(&mut add),
            DraftKind::Endpoint(endpoint) => endpoint.each(&mut add),
            DraftKind::BatchPredict(batch) => batch.each(&mut add),
            DraftKind::Monitor(monitor) => monitor.each(&mut add),
            DraftKind::Notify(Some((_, message))) => message.exprs().for_each(&mut add),
            DraftKind::Approval(Some(approval)) => approval.message.iter().flat_map(Text::exprs).for_each(&mut add),
            DraftKind::Pipeline(call, _) => call.each(&mut add),
            _ => {}
        }
        modifiers::each(self, &mut add);
        if let Some(input) = &self.input {
            input.each(&mut add);
        }
        found
    }

    /// Steps that its `when` proves to have run.
    pub fn proven_by_when(&self) -> BTreeSet<String> {
        match &self.when {
            Some(When::Expr(when)) => status_guards(when),
            _ => BTreeSet::new(),
        }
    }

    /// The static type of what its kind gives; of a group it is known when its outputs are.
    pub fn kind_type(&self) -> Type {
        match &self.kind {
            DraftKind::Function(_) => self.output.clone().unwrap_or(Type::Any),
            DraftKind::Wait(_)
            | DraftKind::Until(..)
            | DraftKind::Fail(_)
            | DraftKind::Job(_)
            | DraftKind::Monitor(_)
            | DraftKind::Notify(_) => Type::Null,
            DraftKind::Train(_) => managed::train_type(),
            DraftKind::Endpoint(_) => serving::endpoint_type(),
            DraftKind::BatchPredict(_) => serving::batch_type(),
            DraftKind::Approval(_) => approval_type(),
            DraftKind::Pipeline(_, ty) => ty.clone(),
            DraftKind::Group { .. } => Type::Any,
        }
    }
}

/// `{ approved: boolean, by: optional string, comment: optional string }`
fn approval_type() -> Type {
    let text = || Type::String.optional();
    let fields = [("approved", Type::Boolean), ("by", text()), ("comment", text())];
    Type::Object(fields.into_iter().map(|(name, ty)| (name.to_owned(), ty)).collect())
}

/// Reads a step of the document.
pub fn draft(
    document: &Document,
    children: &Children,
    source: &Source<'_>,
    id: &Spanned<String>,
    step: &document::Step,
    problems: &mut Problems,
) -> Draft {
    let kind = if let Some(function) = &step.function {
        DraftKind::Function(function_call(document, function))
    } else if let Some(wait) = &step.wait {
        match (&wait.duration, &wait.until) {
            (Some(duration), _) => DraftKind::Wait(duration.seconds),
            (None, Some(until)) => DraftKind::Until(source.parse(until, problems), until.span),
            // The shape check saw to it that there is one of the two.
            (None, None) => DraftKind::Until(None, id.span),
        }
    } else if step.steps.is_some() {
        DraftKind::Group {
            steps: Vec::new(),
            outputs: Vec::new(),
        }
    } else if let Some(job) = &step.job {
        DraftKind::Job(Box::new(managed::job(source, job, problems)))
    } else if let Some(train) = &step.train {
        DraftKind::Train(Box::new(managed::train(source, train, problems)))
    } else if let Some(endpoint) = &step.endpoint {
        DraftKind::Endpoint(Box::new(serving::endpoint(document, source, endpoint, problems)))
    } else if let Some(batch) = &step.batch_predict {
        DraftKind::BatchPredict(Box::new(serving::batch(source, batch, problems)))
    } else if let Some(monitor) = &step.monitor {
        DraftKind::Monitor(Box::new(serving::monitor(document, source, id, monitor, problems)))
    } else if let Some(notify) = &step.notify {
        DraftKind::Notify(notify_draft(document, source, notify, problems))
    } else if let Some(approval) = &step.approval {
        DraftKind::Approval(approval_draft(document, source, id, approval, problems))
    } else if let Some(call) = &step.pipeline {
        let call = children.draft(call, source, problems);
        let output = children.output(&call);
        DraftKind::Pipeline(call, output)
    } else if let Some(fail) = &step.fail {
        let place = "`error` and `message` of `fail`";
        let error = text_of(source, &fail.error, place, problems);
        let message = text_of(source, &fail.message, place, problems);
        DraftKind::Fail(error.zip(message))
    } else {
        // The shape check saw to it that there is a kind.
        DraftKind::Fail(None)
    };
    if let Some(outputs) = step.outputs.as_ref().filter(|_| step.steps.is_none()) {
        problems.push(CheckProblem::OutputsOfNoGroup {
            span: source.first_line(outputs.span),
        });
    }
    if !matches!(kind, DraftKind::Function(_)) {
        other_kind(id, step, problems);
    }
    if step.join.is_some() && step.needs.is_empty() {
        problems.push(CheckProblem::JoinWithoutNeeds {
            step: id.value.clone(),
            span: id.span,
        });
    }
    let inherited = matches!(kind, DraftKind::Function(_))
        .then_some(document.defaults.retry.as_ref())
        .flatten();
    let own = step.retry.as_ref();
    Draft {
        id: id.value.clone(),
        path: id.value.clone(),
        parent: None,
        for_each: modifiers::for_each(source, step, problems),
        catch: modifiers::catch(source, step, problems),
        repeat: step
            .repeat
            .as_ref()
            .map(|repeat| modifiers::repeat(source, id, repeat, problems)),
        when: step
            .when
            .as_ref()
            .map(|node| condition(source, id, "when", node, problems)),
        input: match &step.input {
            Some(node) => source.parse(&node.value, problems),
            None => Some(Parsed::Constant(Value::Null)),
        },
        output: step.output.as_ref().map(|node| declared::read_type(&node.0, problems)),
        retry: retry(
            own.map(|retry| &retry.value).or(inherited),
            own.map(|retry| retry.span),
            problems,
        ),
        timeout: step.timeout.as_ref().map(|timeout| timeout.seconds),
        expect_seconds: step.expect.as_ref().map(|expect| expect.duration.seconds as f64),
        description: step.description.clone(),
        join: match step.join {
            Some(document::Join::Any) => Join::Any,
            Some(document::Join::All) | None => Join::All,
        },
        span: id.span,
        kind,
    }
}

fn other_kind(id: &Spanned<String>, step: &document::Step, problems: &mut Problems) {
    let kinds = [
        ("wait", step.wait.is_some()),
        ("steps", step.steps.is_some()),
        ("job", step.job.is_some()),
        ("train", step.train.is_some()),
        ("endpoint", step.endpoint.is_some()),
        ("batch_predict", step.batch_predict.is_some()),
        ("monitor", step.monitor.is_some()),
        ("notify", step.notify.is_some()),
        ("approval", step.approval.is_some()),
        ("pipeline", step.pipeline.is_some()),
    ];
    let kind = kinds.iter().find(|(_, is)| *is).map_or("fail", |(kind, _)| kind);
    let modifiers = [("input", step.input.is_some()), ("output", step.output.is_some())];
    for (modifier, _) in modifiers.into_iter().filter(|(_, present)| *present) {
        problems.push(CheckProblem::ModifierOfOtherKind {
            kind,
            modifier,
            span: id.span,
        });
    }
}

/// Reads a `when` or an `until`: one expression, or a constant.
pub fn condition(
    source: &Source<'_>,
    id: &Spanned<String>,
    key: &'static str,
    node: &Node,
    problems: &mut Problems,
) -> When {
    match &node.value {
        NodeValue::Bool(value) => return When::Constant(*value, node.span),
        NodeValue::String(text) => {
            let Some(parsed) = source.parse_string(text, node.span, problems) else {
                return When::Broken;
            };
            if let Some(syntax) = parsed.single() {
                return When::Expr(Box::new(syntax.clone()));
            }
        }
        _ => {}
    }
    problems.push(CheckProblem::WhenWithoutExpression {
        step: id.value.clone(),
        key,
        span: node.span,
    });
    When::Broken
}

/// The topic and the message of a `notify`.
pub fn notify_draft(
    document: &Document,
    source: &Source<'_>,
    notify: &document::Notify,
    problems: &mut Problems,
) -> Option<(String, Text)> {
    let message = text_of(source, &notify.message, "`message` of a `notify`", problems);
    known_topic(document, &notify.topic, problems)?;
    Some((notify.topic.value.clone(), message?))
}

/// Reports a topic that is not declared.
pub fn known_topic(document: &Document, topic: &Spanned<String>, problems: &mut Problems) -> Option<()> {
    if document.topics.contains_key(topic) {
        return Some(());
    }
    let declared = document.topics.keys().map(|topic| topic.value.as_str());
    problems.push(CheckProblem::UnknownTopic {
        name: topic.value.clone(),
        span: topic.span,
        help: match suggest::nearest(topic, declared) {
            Some(name) => format!("did you mean `{name}`?"),
            None => format!("declare it: `topics: {{ {}: {{}} }}`", topic.value),
        },
    });
    None
}

fn approval_draft(
    document: &Document,
    source: &Source<'_>,
    id: &Spanned<String>,
    approval: &document::Approval,
    problems: &mut Problems,
) -> Option<ApprovalDraft> {
    let message = approval
        .message
        .as_ref()
        .map(|message| text_of(source, message, "`message` of an `approval`", problems));
    let Some(topic) = &approval.topic else {
        problems.push(CheckProblem::ApprovalWithoutTopic {
            step: id.value.clone(),
            span: id.span,
            help: match document.topics.keys().next() {
                Some(topic) => format!("add `topic: {}`", topic.value),
                None => "declare one, `topics: { approvals: {} }`, and add `topic: approvals`".to_owned(),
            },
        });
        return None;
    };
    known_topic(document, topic, problems)?;
    Some(ApprovalDraft {
        topic: topic.value.clone(),
        message: match message {
            None => None,
            Some(message) => Some(message?),
        },
        timeout: approval.timeout.map_or(DEFAULT_APPROVAL, |timeout| timeout.seconds),
    })
}

/// A string that may hold expressions; `place` says where it stands.
pub fn text_of(source: &Source<'_>, node: &Node, place: &str, problems: &mut Problems) -> Option<Text> {
    let NodeValue::String(text) = &node.value else {
        problems.push(crate::syntax::problems::SyntaxProblem::WrongType {
            place: place.to_owned(),
            expected: "a string".to_owned(),
            found: node.kind().to_owned(),
            span: node.span,
            help: Some("put it in quotes to make it a string".to_owned()),
        });
        return None;
    };
    source.parse_string(text, node.span, problems)
}

/// The function with the document's defaults filled in; its package is set by [`with_packages`].
pub fn function_call(document: &Document, function: &document::Function) -> FunctionCall {
    let defaults = &document.defaults.function;
    let (module, name) = function
        .handler
        .rsplit_once('.')
        .unwrap_or((&function.handler, "handler"));
    let source = function.source.as_ref().or(defaults.source.as_ref());
    FunctionCall {
        module: module.to_owned(),
        function: name.to_owned(),
        source: source
            .map_or(DEFAULT_SOURCE, |source| source.trim_end_matches('/'))
            .to_owned(),
        package: String::new(),
        runtime: function
            .runtime
            .or(defaults.runtime)
            .map_or(DEFAULT_RUNTIME, document::Runtime::name)
            .to_owned(),
        memory_mib: function
            .memory
            .or(defaults.memory)
            .map_or(DEFAULT_MEMORY_MIB, |memory| memory.mib),
        timeout: function
            .timeout
            .or(defaults.timeout)
            .map_or(DEFAULT_TIMEOUT, |timeout| timeout.seconds),
    }
}

/// Where the source folder of a function is written, else where its handler is.
pub fn source_span(document: &Document, function: &document::Function) -> Span {
    let source = function.source.as_ref().or(document.defaults.function.source.as_ref());
    source.map_or(function.handler.span, |source| source.span)
}

/// A retry with the language's defaults filled in.
pub fn retry(retry: Option<&document::Retry>, at: Option<Span>, problems: &mut Problems) -> Retry {
    let Some(retry) = retry else { return Retry::NONE };
    let delay = retry.delay.map_or(DEFAULT_DELAY, |delay| delay.seconds);
    let max_delay = retry
        .max_delay
        .map_or(DEFAULT_MAX_DELAY.max(delay), |max_delay| max_delay.seconds);
    if let Some(span) = at.filter(|_| max_delay < delay) {
        problems.push(CheckProblem::MaxDelayBelowDelay { max_delay, delay, span });
    }
    let on = match &retry.on {
        None => vec![OnError::Transient],
        Some(names) => names.iter().map(|name| on_error(name)).collect(),
    };
    Retry {
        attempts: retry.attempts,
        delay,
        backoff: retry.backoff.unwrap_or(DEFAULT_BACKOFF),
        max_delay: max_delay.max(delay),
        on,
    }
}

/// A class of errors or a name, as written.
pub fn on_error(name: &str) -> OnError {
    match name {
        "all" => OnError::All,
        "transient" => OnError::Transient,
        "timeout" => OnError::Timeout,
        _ => OnError::Name(name.to_owned()),
    }
}

/// Types a condition, and adds to the scope what surely ran where it holds.
pub fn check_when(when: &When, scope: &mut Scope<'_>, problems: &mut Problems) -> Option<Expr> {
    match when {
        When::Broken => None,
        When::Constant(value, span) => Some(Expr {
            kind: ExprKind::Literal(Value::Bool(*value)),
            ty: Type::Boolean,
            safe: true,
            span: *span,
        }),
        When::Expr(syntax) => {
            let checked = collect(problems, |found| check_condition(syntax, scope, found))?;
            scope.ran.extend(ran_if_true(&checked));
            Some(checked)
        }
    }
}

/// Types what a draft does, with what its body sees. A group's block is the caller's: it is `group` here.
pub fn kind(
    draft: &Draft,
    group: Option<Kind>,
    children: &Children,
    scope: &Scope<'_>,
    problems: &mut Problems,
) -> Option<Kind> {
    match &draft.kind {
        DraftKind::Function(call) => Some(Kind::Function(call.clone())),
        DraftKind::Wait(seconds) => Some(Kind::Wait(Wait::Duration(*seconds))),
        DraftKind::Until(time, span) => {
            let time = time.as_ref()?.check(scope, problems)?;
            modifiers::check_time(time, *span, problems).map(|time| Kind::Wait(Wait::Until(time)))
        }
        DraftKind::Group { .. } => group,
        DraftKind::Pipeline(call, _) => children.kind(call, scope, problems),
        DraftKind::Job(job) => job.kind(scope, problems),
        DraftKind::Train(train) => train.kind(scope, problems),
        DraftKind::Endpoint(endpoint) => endpoint.kind(scope, problems),
        DraftKind::BatchPredict(batch) => batch.kind(scope, problems),
        DraftKind::Monitor(monitor) => monitor.kind(scope, problems),
        DraftKind::Notify(None) | DraftKind::Approval(None) => None,
        DraftKind::Notify(Some((topic, message))) => {
            let message = collect(problems, |found| check_string(message, "`message`", scope, found))?;
            Some(Kind::Notify(Notify {
                topic: topic.clone(),
                message,
            }))
        }
        DraftKind::Approval(Some(approval)) => {
            let message = match &approval.message {
                Some(message) => collect(problems, |found| check_string(message, "`message`", scope, found))?,
                None => Template::Constant(Value::String(format!("Step {} waits for your approval.", draft.path))),
            };
            Some(Kind::Approval(Approval {
                topic: approval.topic.clone(),
                message,
                timeout: approval.timeout,
            }))
        }
        DraftKind::Fail(None) => None,
        DraftKind::Fail(Some((error, message))) => {
            let error = collect(problems, |found| check_string(error, "`error`", scope, found));
            let message = collect(problems, |found| check_string(message, "`message`", scope, found));
            error.zip(message).map(|(error, message)| Kind::Fail { error, message })
        }
    }
}

/// Types a draft's input, with what its body sees.
pub fn input(draft: &Draft, scope: &Scope<'_>, problems: &mut Problems) -> Option<Template> {
    draft.input.as_ref()?.check(scope, problems)
}

/// The step, without what the graph says of it (`needs`, `after`, `may_skip`, `implied`) and without modifiers.
pub fn plain(draft: &Draft, kind: Kind, input: Template) -> Step {
    Step {
        id: draft.id.clone(),
        path: draft.path.clone(),
        parent: draft.parent,
        description: draft.description.clone(),
        kind,
        needs: Vec::new(),
        join: draft.join,
        when: None,
        for_each: None,
        catch: Vec::new(),
        repeat: None,
        input,
        output: draft.output.clone(),
        retry: draft.retry.clone(),
        timeout: draft.timeout,
        expect_seconds: draft.expect_seconds,
        after: BTreeSet::new(),
        may_skip: false,
        implied: BTreeSet::new(),
        span: draft.span,
    }
}

/// Gives each source folder a package name of its own: its last path component behind `prefix`, numbered where it is taken.
pub fn with_packages(mut pipeline: Pipeline, prefix: &str, taken: &mut BTreeSet<String>) -> Pipeline {
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    for (source, package) in sources_mut(&mut pipeline) {
        if let Some(name) = names.get(source) {
            package.clone_from(name);
            continue;
        }
        let base = format!("{prefix}{}", package_name(source));
        let mut name = base.clone();
        let mut number = 2;
        while !taken.insert(name.clone()) {
            name = format!("{base}_{number}");
            number += 1;
        }
        names.insert(source.clone(), name.clone());
        *package = name;
    }
    pipeline
}

/// Every folder of code with the name of its package.
pub fn sources_mut(pipeline: &mut Pipeline) -> impl Iterator<Item = (&mut String, &mut String)> {
    let steps = pipeline.steps.iter_mut().filter_map(|step| match &mut step.kind {
        Kind::Function(call) => Some((&mut call.source, &mut call.package)),
        Kind::Train(train) => Some((&mut train.source, &mut train.package)),
        Kind::Wait(_)
        | Kind::Fail { .. }
        | Kind::Job(_)
        | Kind::Endpoint(_)
        | Kind::BatchPredict(_)
        | Kind::Monitor(_)
        | Kind::Notify(_)
        | Kind::Approval(_)
        | Kind::Pipeline(_)
        | Kind::Group(_) => None,
    });
    let handler = pipeline.on_failure.iter_mut().filter_map(Handler::function_mut);
    steps.chain(handler.map(|call| (&mut call.source, &mut call.package)))
}

fn package_name(source: &str) -> String {
    let last = source
        .rsplit('/')
        .find(|part| !matches!(*part, "" | "." | ".."))
        .unwrap_or(DEFAULT_SOURCE);
    let name: String = last
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        format!("_{name}")
    } else {
        name
    }
}
