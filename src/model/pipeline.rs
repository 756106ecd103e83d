//! The types of a checked pipeline. Ids are distinct also after `-` became `_`; every reference resolves.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::Value;

use super::{BatchPredict, ENDPOINT_SECONDS, Endpoint, Job, Monitor, Train};
use crate::expr::{Expr, ExprKind, Template, Type, equal, matches};
use crate::syntax::span::Span;

/// A step's place in [`Pipeline::steps`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StepIx(pub usize);

/// A pipeline that passed every check.
#[derive(Clone, Debug)]
pub struct Pipeline {
    /// `^[a-z][a-z0-9-]{0,39}$`.
    pub name: String,
    /// What the user says it does.
    pub description: Option<String>,
    /// Labels of every resource, in file order; in a form that every cloud takes.
    pub labels: IndexMap<String, String>,
    /// The execution's input, in file order.
    pub params: Vec<Param>,
    /// Logical buckets, in file order; then those of the pipelines that it runs. Equal ids are one bucket.
    pub buckets: Vec<Bucket>,
    /// Topics, in the same order.
    pub topics: Vec<Topic>,
    /// Secrets' ids, in the same order.
    pub secrets: Vec<String>,
    /// What starts it, in file order.
    pub triggers: Vec<Trigger>,
    /// Every step of the file, also those within groups and those written in place of a failed one: a step before the
    /// steps in it, else in file order.
    pub steps: Vec<Step>,
    /// The steps at the top, and what a successful execution gives.
    pub root: Block,
    /// Runs once when the pipeline failed.
    pub on_failure: Option<Handler>,
    /// The pipelines that its steps run, each once, in the order of first use.
    pub children: Vec<Arc<Pipeline>>,
    /// What only one cloud needs.
    pub targets: TargetSettings,
}

/// A pipeline's place in [`Pipeline::children`] of the one that runs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChildIx(pub usize);

/// The environment variable that tells a function of a secret: `MLPIPE_SECRET_API_KEY` of `api-key`. Locally it holds the
/// value; in a cloud, where to find it.
pub fn secret_variable(id: &str) -> String {
    format!("MLPIPE_SECRET_{}", id.to_ascii_uppercase().replace('-', "_"))
}

/// A typed parameter of an execution.
#[derive(Clone, Debug)]
pub struct Param {
    /// Its name: an identifier.
    pub name: String,
    /// Its type.
    pub ty: Type,
    /// The value when none is given; None: required, unless the type is optional (then null).
    pub default: Option<Value>,
    /// What the user says of it.
    pub description: Option<String>,
    /// The values it may take; empty: all of its type.
    pub allowed: Vec<Value>,
    /// Least value of a number.
    pub minimum: Option<f64>,
    /// Greatest value of a number.
    pub maximum: Option<f64>,
}

/// A bucket by its logical name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Logical id.
    pub id: String,
    /// Keep old versions of objects.
    pub versioning: bool,
    /// Delete objects after so many days.
    pub expire_after_days: Option<u64>,
    /// Names of buckets that exist already, per cloud (`aws`, `gcp`, `azure`: account/container). A cloud without a name gets a new bucket.
    pub existing: IndexMap<String, String>,
}

/// A topic by its logical name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Logical id.
    pub id: String,
}

/// What starts the pipeline.
#[derive(Clone, Debug)]
pub struct Trigger {
    /// The event.
    pub kind: TriggerKind,
    /// The execution's params: constants, `trigger.*` references ([`ExprKind::Trigger`]) and text of both; nothing else.
    pub params: Vec<(String, Template)>,
}

/// The kinds of trigger.
#[derive(Clone, Debug)]
pub enum TriggerKind {
    /// An object was created or replaced in a bucket.
    ObjectCreated {
        /// Logical bucket id.
        bucket: String,
        /// Only keys that start so; empty: all.
        prefix: String,
        /// Only keys that end so; empty: all.
        suffix: String,
    },
    /// A cron schedule of five fields.
    Schedule {
        /// The schedule.
        cron: Cron,
        /// IANA name, `UTC` by default.
        timezone: String,
    },
    /// A message was published to a topic.
    Topic {
        /// The topic's id.
        topic: String,
    },
    /// An HTTP request by somebody who may; its body is the params, and the trigger gives none.
    Http,
}

/// The five fields of a cron line, normalised: names of days are `SUN`…`SAT`, at most one of the two day fields is restricted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cron {
    /// `0-59`, `*`, lists, ranges, `/` steps.
    pub minute: String,
    /// `0-23`.
    pub hour: String,
    /// `1-31` or `*`.
    pub day_of_month: String,
    /// `1-12` or names.
    pub month: String,
    /// `SUN`…`SAT`, ranges and lists of them, or `*`.
    pub day_of_week: String,
}

impl fmt::Display for Cron {
    /// The line of five fields.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            minute,
            hour,
            day_of_month,
            month,
            day_of_week,
        } = self;
        write!(f, "{minute} {hour} {day_of_month} {month} {day_of_week}")
    }
}

/// A path or an id as an identifier: `.` and `-` become `_`. Those of a pipeline's steps stay distinct.
pub fn identifier(path: &str) -> String {
    path.replace(['.', '-'], "_")
}

/// A DAG of steps with what it gives: the whole pipeline, or a group.
#[derive(Clone, Debug, Default)]
pub struct Block {
    /// In file order; a step depends only on steps of its own block, without cycles.
    pub steps: Vec<StepIx>,
    /// Evaluated last, in file order.
    pub outputs: Vec<(String, Template)>,
}

/// A step. From the outside in it is: `when`, `for_each`, `catch`, `repeat`, `retry`, `timeout`, `kind`.
#[derive(Clone, Debug)]
pub struct Step {
    /// `^[a-z][a-z0-9_-]{0,39}$`; distinct among what its expressions can see.
    pub id: String,
    /// The ids of the groups round it and its own, dotted: `group.inner`. Distinct also after `.` and `-` became `_`.
    pub path: String,
    /// The group that it stands in, or the step in whose `catch` it is written.
    pub parent: Option<StepIx>,
    /// What the user says it does.
    pub description: Option<String>,
    /// What runs.
    pub kind: Kind,
    /// Steps whose skip this step follows, in written order.
    pub needs: Vec<StepIx>,
    /// How it follows them.
    pub join: Join,
    /// Runs only where this is true.
    pub when: Option<Expr>,
    /// Runs once for each item of a list; its output is the list of the outputs.
    pub for_each: Option<ForEach>,
    /// What takes the place of a failure, in written order: the first that matches.
    pub catch: Vec<Catch>,
    /// Runs again and again.
    pub repeat: Option<Repeat>,
    /// What the function receives; `Constant(null)` where nothing is written.
    pub input: Template,
    /// The declared shape of its output: of one item, where there is a `for_each`.
    pub output: Option<Type>,
    /// Attempts and waits between them.
    pub retry: Retry,
    /// Bound of one attempt, in seconds, as written on the step.
    pub timeout: Option<u64>,
    /// Expected duration in seconds, for planning.
    pub expect_seconds: Option<f64>,
    /// All of its block that must have ended before it starts: `needs` and references, sorted, without repeats.
    pub after: BTreeSet<StepIx>,
    /// True where some run of its block may skip it.
    pub may_skip: bool,
    /// Steps (among those that may be skipped, in its block or round it) that surely ran whenever this one runs.
    pub implied: BTreeSet<StepIx>,
    /// Where its id stands.
    pub span: Span,
}

/// What a step does.
#[derive(Clone, Debug)]
pub enum Kind {
    /// User code.
    Function(FunctionCall),
    /// A pause.
    Wait(Wait),
    /// The end of the pipeline, failed.
    Fail {
        /// The error's name: a template of type string.
        error: Template,
        /// The error's message: a template of type string.
        message: Template,
    },
    /// A container, run to its end; its output is null.
    Job(Box<Job>),
    /// Training; its output is `{ job_name, model_uri, metrics }`.
    Train(Box<Train>),
    /// A model that is served; its output is `{ endpoint_name, url }`.
    Endpoint(Box<Endpoint>),
    /// Predictions for files; its output is `{ job_name, output_uri, predictions }`.
    BatchPredict(Box<BatchPredict>),
    /// An endpoint that is watched; its output is null.
    Monitor(Box<Monitor>),
    /// A message to a topic; its output is null.
    Notify(Notify),
    /// A person's answer; its output is `{ approved, by, comment }`.
    Approval(Approval),
    /// Another pipeline, run to its end; its output is the object of that pipeline's outputs.
    Pipeline(ChildCall),
    /// A nested DAG; its output is the object of the block's outputs.
    Group(Block),
}

/// A message to a topic.
#[derive(Clone, Debug)]
pub struct Notify {
    /// The topic's id.
    pub topic: String,
    /// The text: a template of type string.
    pub message: Template,
}

/// A person's answer.
#[derive(Clone, Debug)]
pub struct Approval {
    /// The id of the topic that the request is published to.
    pub topic: String,
    /// What the person reads: a template of type string.
    pub message: Template,
    /// How long to wait for the answer, in seconds; the step's own timeout may be less.
    pub timeout: u64,
}

/// A call of another pipeline.
#[derive(Clone, Debug)]
pub struct ChildCall {
    /// The pipeline.
    pub child: ChildIx,
    /// Its params: an object. They fit the declared ones as far as types tell.
    pub params: Template,
}

/// How long a pause is.
#[derive(Clone, Debug)]
pub enum Wait {
    /// So many seconds.
    Duration(u64),
    /// To a point in time: RFC 3339 text or a number of Unix seconds. One that has passed is no wait.
    Until(Template),
}

/// `for_each`.
#[derive(Clone, Debug)]
pub struct ForEach {
    /// Evaluated once; a list.
    pub list: Template,
    /// The name of the item in expressions.
    pub item: String,
    /// The name of the item's position, from 0.
    pub index: String,
    /// Most items that run at once; None: as many as the engine can.
    pub max_concurrency: Option<u32>,
}

/// One entry of `catch`.
#[derive(Clone, Debug)]
pub struct Catch {
    /// Which errors; never empty. `all` is every error.
    pub on: Vec<OnError>,
    /// What takes the place of the output.
    pub fallback: Fallback,
}

/// What takes the place of a failed step's output.
#[derive(Clone, Debug)]
pub enum Fallback {
    /// A value; may read `error`.
    Output(Template),
    /// The output of another step, whose expressions may read `error`. It has no modifiers but `input`, `retry` and `timeout`.
    Do(StepIx),
}

/// `repeat`.
#[derive(Clone, Debug)]
pub struct Repeat {
    /// Evaluated after each run, over its `output`: a boolean that ends it.
    pub until: Expr,
    /// Most runs; at least 1.
    pub max: u32,
    /// Seconds between one run and the next.
    pub delay: u64,
}

/// A user's function.
#[derive(Clone, Debug, PartialEq)]
pub struct FunctionCall {
    /// Python module path below the source folder, dotted: `validate` or `pkg.validate`.
    pub module: String,
    /// The function's name in it.
    pub function: String,
    /// Folder of the code, relative to the pipeline file, `/`-separated, as written.
    pub source: String,
    /// Folder name in the artifacts: distinct per source, made of its last path component.
    pub package: String,
    /// `python3.12`.
    pub runtime: String,
    /// In MiB.
    pub memory_mib: u64,
    /// The function's own limit, in seconds.
    pub timeout: u64,
}

/// How a step follows skips of its needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Join {
    /// Skipped when any of them was.
    All,
    /// Skipped when all of them were.
    Any,
}

/// Retries of a step: always present; one attempt means none.
#[derive(Clone, Debug, PartialEq)]
pub struct Retry {
    /// Counts the first try; at least 1.
    pub attempts: u32,
    /// Seconds before the second try; at least 1.
    pub delay: u64,
    /// Factor from one wait to the next; at least 1.
    pub backoff: f64,
    /// Cap of one wait in seconds; at least `delay`.
    pub max_delay: u64,
    /// Which errors are tried again.
    pub on: Vec<OnError>,
}

/// A class of errors, or one by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OnError {
    /// In a `retry` everything but `ExpressionError` and `ParamMismatch`, which no retry mends; in a `catch` everything.
    All,
    /// `WorkerCrashed`, `ServiceUnavailable`.
    Transient,
    /// `timeout`.
    Timeout,
    /// An error name.
    Name(String),
}

impl OnError {
    /// The names of errors that it stands for; none of `all`, which is no list.
    pub fn names(&self) -> Vec<&str> {
        match self {
            Self::All => Vec::new(),
            Self::Transient => vec!["WorkerCrashed", "ServiceUnavailable"],
            Self::Timeout => vec!["timeout"],
            Self::Name(name) => vec![name],
        }
    }
}

/// A step written in place: `on_failure`.
#[derive(Clone, Debug)]
pub struct Handler {
    /// What runs.
    pub action: HandlerAction,
    /// Attempts and waits between them.
    pub retry: Retry,
    /// Bound of one attempt, in seconds.
    pub timeout: Option<u64>,
    /// What the user says it does.
    pub description: Option<String>,
}

/// What a failure handler does. Its expressions may read `error`, `params`, `buckets`, `topics`, `run`.
#[derive(Clone, Debug)]
pub enum HandlerAction {
    /// Runs user code.
    Function {
        /// The code.
        call: FunctionCall,
        /// What it receives.
        input: Template,
    },
    /// Publishes a message.
    Notify(Notify),
}

/// `targets:` of the file.
#[derive(Clone, Debug, Default)]
pub struct TargetSettings {
    /// AWS.
    pub aws: AwsSettings,
    /// Google Cloud.
    pub gcp: GcpSettings,
    /// Azure.
    pub azure: AzureSettings,
    /// The local engine.
    pub local: LocalSettings,
}

/// `targets.aws`.
#[derive(Clone, Debug, Default)]
pub struct AwsSettings {
    /// `eu-central-1`.
    pub region: Option<String>,
}

/// `targets.gcp`.
#[derive(Clone, Debug, Default)]
pub struct GcpSettings {
    /// Project id.
    pub project: Option<String>,
    /// `europe-west6`.
    pub region: Option<String>,
}

/// `targets.azure`.
#[derive(Clone, Debug, Default)]
pub struct AzureSettings {
    /// `westeurope`.
    pub location: Option<String>,
}

/// `targets.local`.
#[derive(Clone, Debug, Default)]
pub struct LocalSettings {
    /// Folder of each bucket, relative to the pipeline file.
    pub buckets: IndexMap<String, String>,
    /// What runs containers.
    pub containers: Containers,
}

/// What runs containers on the desk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Containers {
    /// Docker.
    #[default]
    Docker,
    /// Podman.
    Podman,
    /// Nothing: the command runs as a plain process.
    Process,
}

impl Containers {
    /// The name as typed, and of the program.
    pub fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
            Self::Process => "process",
        }
    }
}

impl Pipeline {
    /// The step at `ix`.
    pub fn step(&self, ix: StepIx) -> &Step {
        &self.steps[ix.0]
    }

    /// All indices, in file order.
    pub fn indices(&self) -> impl DoubleEndedIterator<Item = StepIx> + use<> {
        (0..self.steps.len()).map(StepIx)
    }

    /// The steps that are neither groups nor written in a `catch`, in file order.
    pub fn leaves(&self) -> impl Iterator<Item = StepIx> {
        let of_kind = |ix: &StepIx| !matches!(self.step(*ix).kind, Kind::Group(_));
        self.indices().filter(move |ix| of_kind(ix) && !self.is_fallback(*ix))
    }

    /// True where the step is written in a `catch`.
    pub fn is_fallback(&self, ix: StepIx) -> bool {
        self.step(ix)
            .parent
            .is_some_and(|parent| self.step(parent).fallbacks().any(|fallback| fallback == ix))
    }

    /// A pipeline that it runs.
    pub fn child(&self, ix: ChildIx) -> &Pipeline {
        &self.children[ix.0]
    }

    /// Itself, then every pipeline that it runs or that those run, each once. Their names are distinct.
    pub fn family(&self) -> Vec<&Pipeline> {
        let mut found = Vec::new();
        let mut seen = BTreeSet::new();
        self.add_family(&mut found, &mut seen);
        found
    }

    fn add_family<'a>(&'a self, found: &mut Vec<&'a Pipeline>, seen: &mut BTreeSet<&'a str>) {
        if seen.insert(&self.name) {
            found.push(self);
            self.children.iter().for_each(|child| child.add_family(found, seen));
        }
    }

    /// The folders of code that its functions and trainings are in, in file order, each once.
    pub fn sources(&self) -> Vec<&str> {
        let functions = self
            .functions()
            .into_iter()
            .map(|function| function.call.source.as_str());
        let trainings = self.steps.iter().filter_map(|step| match &step.kind {
            Kind::Train(train) => Some(train.source.as_str()),
            _ => None,
        });
        let mut found = Vec::new();
        for source in functions.chain(trainings) {
            if !found.contains(&source) {
                found.push(source);
            }
        }
        found
    }

    /// Every function in the file with its step's name, `on_failure` last. Those of the pipelines that it runs are theirs.
    pub fn functions(&self) -> Vec<FunctionUse<'_>> {
        let steps = self.steps.iter().filter_map(|step| match &step.kind {
            Kind::Function(call) => Some(FunctionUse {
                step: &step.path,
                call,
                output: step.output.as_ref(),
                attempt_timeout: step.attempt_timeout(),
                description: step.description.as_deref(),
            }),
            Kind::Wait(_)
            | Kind::Fail { .. }
            | Kind::Job(_)
            | Kind::Train(_)
            | Kind::Endpoint(_)
            | Kind::BatchPredict(_)
            | Kind::Monitor(_)
            | Kind::Notify(_)
            | Kind::Approval(_)
            | Kind::Pipeline(_)
            | Kind::Group(_) => None,
        });
        let handler = self.on_failure.iter().filter_map(|handler| match &handler.action {
            HandlerAction::Function { call, .. } => Some(FunctionUse {
                step: ON_FAILURE,
                call,
                output: None,
                attempt_timeout: handler
                    .timeout
                    .map_or(call.timeout, |timeout| timeout.min(call.timeout)),
                description: handler.description.as_deref(),
            }),
            HandlerAction::Notify(_) => None,
        });
        steps.chain(handler).collect()
    }
}

/// The step name of the failure handler.
pub const ON_FAILURE: &str = "on_failure";

/// A function with the step that runs it.
#[derive(Clone, Copy, Debug)]
pub struct FunctionUse<'a> {
    /// The step's path.
    pub step: &'a str,
    /// The code.
    pub call: &'a FunctionCall,
    /// The declared shape of the output.
    pub output: Option<&'a Type>,
    /// Bound of one attempt in seconds: the lesser of the step's timeout and the function's own.
    pub attempt_timeout: u64,
    /// What the user says of the step.
    pub description: Option<&'a str>,
}

impl Step {
    /// Bound of one attempt in seconds: the lesser of the step's timeout and its kind's own.
    pub fn attempt_timeout(&self) -> u64 {
        let own = match &self.kind {
            Kind::Function(call) => call.timeout,
            Kind::Job(job) => job.max_duration,
            Kind::Train(train) => train.max_duration,
            Kind::Endpoint(_) => ENDPOINT_SECONDS,
            Kind::BatchPredict(batch) => batch.max_duration,
            Kind::Approval(approval) => approval.timeout,
            Kind::Wait(_)
            | Kind::Fail { .. }
            | Kind::Monitor(_)
            | Kind::Notify(_)
            | Kind::Pipeline(_)
            | Kind::Group(_) => u64::MAX,
        };
        self.timeout.map_or(own, |timeout| timeout.min(own))
    }

    /// The block of a group.
    pub fn block(&self) -> Option<&Block> {
        match &self.kind {
            Kind::Group(block) => Some(block),
            Kind::Function(_)
            | Kind::Wait(_)
            | Kind::Fail { .. }
            | Kind::Job(_)
            | Kind::Train(_)
            | Kind::Endpoint(_)
            | Kind::BatchPredict(_)
            | Kind::Monitor(_)
            | Kind::Notify(_)
            | Kind::Approval(_)
            | Kind::Pipeline(_) => None,
        }
    }

    /// Every expression of the step itself, not those of steps in it: of its modifiers, its kind and a group's outputs.
    pub fn each_expr<'a>(&'a self, visit: &mut dyn FnMut(&'a Expr)) {
        if let Some(when) = &self.when {
            visit(when);
        }
        if let Some(for_each) = &self.for_each {
            for_each.list.each_expr(visit);
        }
        self.input.each_expr(visit);
        match &self.kind {
            Kind::Function(_) | Kind::Wait(Wait::Duration(_)) => {}
            Kind::Wait(Wait::Until(time)) => time.each_expr(visit),
            Kind::Fail { error, message } => {
                error.each_expr(visit);
                message.each_expr(visit);
            }
            Kind::Job(job) => {
                job.command.iter().for_each(|word| word.each_expr(visit));
                job.env.iter().for_each(|(_, value)| value.each_expr(visit));
            }
            Kind::Train(train) => {
                let values = train.hyperparameters.iter().chain(&train.data);
                values.for_each(|(_, value)| value.each_expr(visit));
            }
            Kind::Endpoint(endpoint) => {
                let models = endpoint.variants.iter().map(|variant| &variant.model);
                models.for_each(|model| model.each_expr(visit));
            }
            Kind::BatchPredict(batch) => {
                let texts = [&batch.model, &batch.input, &batch.output];
                texts.into_iter().for_each(|text| text.each_expr(visit));
            }
            Kind::Monitor(monitor) => monitor.baseline.iter().for_each(|text| text.each_expr(visit)),
            Kind::Notify(notify) => notify.message.each_expr(visit),
            Kind::Approval(approval) => approval.message.each_expr(visit),
            Kind::Pipeline(call) => call.params.each_expr(visit),
            Kind::Group(block) => block.outputs.iter().for_each(|(_, output)| output.each_expr(visit)),
        }
        if let Some(repeat) = &self.repeat {
            visit(&repeat.until);
        }
        for catch in &self.catch {
            if let Fallback::Output(output) = &catch.fallback {
                output.each_expr(visit);
            }
        }
    }

    /// The steps in its `catch`.
    pub fn fallbacks(&self) -> impl Iterator<Item = StepIx> {
        self.catch.iter().filter_map(|catch| match &catch.fallback {
            Fallback::Do(step) => Some(*step),
            Fallback::Output(_) => None,
        })
    }

    /// True where it is no more than its kind: no list, no fallback, no repetition.
    pub fn is_plain(&self) -> bool {
        self.for_each.is_none() && self.catch.is_empty() && self.repeat.is_none()
    }
}

impl Handler {
    /// Bound of one attempt in seconds.
    pub fn attempt_timeout(&self) -> u64 {
        let own = match &self.action {
            HandlerAction::Function { call, .. } => call.timeout,
            HandlerAction::Notify(_) => u64::MAX,
        };
        self.timeout.map_or(own, |timeout| timeout.min(own))
    }

    /// Every expression of it.
    pub fn each_expr<'a>(&'a self, visit: &mut dyn FnMut(&'a Expr)) {
        match &self.action {
            HandlerAction::Function { input, .. } => input.each_expr(visit),
            HandlerAction::Notify(notify) => notify.message.each_expr(visit),
        }
    }

    /// The code, where it runs some.
    pub fn function_mut(&mut self) -> Option<&mut FunctionCall> {
        match &mut self.action {
            HandlerAction::Function { call, .. } => Some(call),
            HandlerAction::Notify(_) => None,
        }
    }
}

impl Param {
    /// What is wrong with a value for it.
    pub fn fits(&self, value: &Value) -> Result<(), String> {
        if matches(value, &self.ty, &self.name).is_err() {
            return Err(format!("param `{}` must be {}", self.name, self.ty));
        }
        if !self.allowed.is_empty() && !self.allowed.iter().any(|allowed| equal(allowed, value)) {
            let allowed: Vec<String> = self.allowed.iter().map(Value::to_string).collect();
            return Err(format!("param `{}` must be one of {}", self.name, allowed.join(", ")));
        }
        let Some(number) = value.as_f64() else { return Ok(()) };
        match (self.minimum, self.maximum) {
            (Some(minimum), _) if number < minimum => Err(format!("param `{}` must be at least {minimum}", self.name)),
            (_, Some(maximum)) if number > maximum => Err(format!("param `{}` must be at most {maximum}", self.name)),
            _ => Ok(()),
        }
    }

    /// True where it must be given.
    pub fn is_required(&self) -> bool {
        self.default.is_none() && !matches!(self.ty, Type::Optional(_))
    }
}

impl Retry {
    /// No retries.
    pub const NONE: Self = Self {
        attempts: 1,
        delay: 1,
        backoff: 1.0,
        max_delay: 1,
        on: Vec::new(),
    };

    /// Seconds to wait before try `next`, counted from 1 (`next` is at least 2).
    pub fn wait_before(&self, next: u32) -> f64 {
        let exponent = i32::try_from(next.saturating_sub(2)).unwrap_or(i32::MAX);
        (self.delay as f64 * self.backoff.powi(exponent)).min(self.max_delay as f64)
    }
}

/// Which steps' outputs and statuses are read by expressions of others, and by `outputs`.
pub fn step_reads(expr: &Expr) -> Vec<(&str, StepRead)> {
    let mut reads = Vec::new();
    expr.walk(&mut |part| match &part.kind {
        ExprKind::StepOutput(step) => reads.push((step.as_str(), StepRead::Output)),
        ExprKind::StepStatus(step) => reads.push((step.as_str(), StepRead::Status)),
        ExprKind::StepError(step) => reads.push((step.as_str(), StepRead::Error)),
        _ => {}
    });
    reads
}

/// What of a step an expression reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepRead {
    /// `steps.X.output`.
    Output,
    /// `steps.X.status`.
    Status,
    /// `steps.X.error`.
    Error,
}
