//! The function app: its module, its settings, the users' packages and what they require.

use indexmap::IndexMap;
use minijinja::context;
use minijinja::value::Serde;
use serde_json::json;

use super::cron;
use super::layout::Py;
use super::limits::{AzureProblem, Pin};
use super::monitoring::{self, Watch};
use super::names::{self, FunctionNames};
use super::serving;
use super::training;
use crate::diagnostics::Problems;
use crate::expr::python;
use crate::model::{FunctionUse, HandlerAction, Kind, Pipeline, Trigger, TriggerKind, identifier};
use crate::targets::package::{self, CORE_MODULE, Package};
use crate::targets::{Artifacts, Sources};

/// Names that `function_app.py` uses.
const USED: [&str; 27] = [
    "app",
    "buckets",
    "datetime",
    "df",
    "drift_detected",
    "end_service",
    "func",
    "look_at_service",
    "mlpipe_activity",
    "mlpipe_monitor",
    "mlpipe_run",
    "mlpipe_service",
    "mlpipe_sub",
    "mlpipe_topic",
    "object_created",
    "os",
    "publish",
    "run_service",
    "run_step",
    "start_by_request",
    "start_once",
    "start_service",
    "stop",
    "timezone",
    "topic_message",
    "topics",
    "Schedule",
];

/// The modules that are the same in every app.
pub const RUNTIME: [(&str, &str); 17] = [
    (
        "mlpipe_activity.py",
        include_str!("../../../targets/azure/mlpipe_activity.py"),
    ),
    (
        "mlpipe_batch.py",
        include_str!("../../../targets/azure/mlpipe_batch.py"),
    ),
    ("mlpipe_dag.py", include_str!("../../../targets/azure/mlpipe_dag.py")),
    (
        "mlpipe_endpoint.py",
        include_str!("../../../targets/azure/mlpipe_endpoint.py"),
    ),
    ("mlpipe_expr.py", include_str!("../../../targets/azure/mlpipe_expr.py")),
    (
        "mlpipe_fibers.py",
        include_str!("../../../targets/azure/mlpipe_fibers.py"),
    ),
    ("mlpipe_job.py", include_str!("../../../targets/azure/mlpipe_job.py")),
    (
        "mlpipe_monitor.py",
        include_str!("../../../targets/azure/mlpipe_monitor.py"),
    ),
    (
        "mlpipe_params.py",
        include_str!("../../../targets/azure/mlpipe_params.py"),
    ),
    (
        "mlpipe_progress.py",
        include_str!("../../../targets/azure/mlpipe_progress.py"),
    ),
    ("mlpipe_rest.py", include_str!("../../../targets/azure/mlpipe_rest.py")),
    ("mlpipe_run.py", include_str!("../../../targets/azure/mlpipe_run.py")),
    (
        "mlpipe_service.py",
        include_str!("../../../targets/azure/mlpipe_service.py"),
    ),
    (
        "mlpipe_start.py",
        include_str!("../../../targets/azure/mlpipe_start.py"),
    ),
    ("mlpipe_sub.py", include_str!("../../../targets/azure/mlpipe_sub.py")),
    (
        "mlpipe_topic.py",
        include_str!("../../../targets/azure/mlpipe_topic.py"),
    ),
    (
        "mlpipe_train.py",
        include_str!("../../../targets/azure/mlpipe_train.py"),
    ),
];

/// What the app needs from PyPI; version 2 of the durable library needs Python 3.13.
const REQUIREMENTS: [&str; 2] = ["azure-functions>=1.21,<2", "azure-functions-durable>=1.3,<2"];

/// A function that starts runs.
#[derive(Clone, Debug)]
pub struct Starter<'a> {
    /// The name of the function.
    pub name: String,
    /// What starts it.
    pub trigger: &'a Trigger,
    /// `object-created-1`: distinct in the pipeline.
    pub id: String,
}

/// A pipeline of the app: the one that was compiled, or one that it runs.
pub struct Member<'a> {
    /// The pipeline.
    pub pipeline: &'a Pipeline,
    /// The module that says what it does.
    pub module: String,
    /// What the names of its activities start with; none of a step's own has a dash.
    prefix: String,
    /// The orchestrator's function.
    orchestrator: String,
    /// The function of the orchestrator of a slice of a list, where it has lists.
    items: Option<String>,
    /// Names of the activities' functions, as `pipeline.functions()` lists them.
    activities: Vec<String>,
}

impl Member<'_> {
    /// The activity of a step.
    fn activity(&self, step: &str) -> String {
        format!("{}{}", self.prefix, identifier(step))
    }
}

/// The names of everything in the app.
pub struct App<'a> {
    /// Its pipelines, the one that was compiled first.
    pub members: Vec<Member<'a>>,
    /// The starters, in file order.
    pub starters: Vec<Starter<'a>>,
    /// Timers that look at endpoints, with the names of their functions.
    watches: Vec<(String, Watch<'a>)>,
}

impl App<'_> {
    /// Whether a pipeline publishes to a topic.
    fn publishes(&self) -> bool {
        self.members
            .iter()
            .any(|member| published_topics(member.pipeline).next().is_some())
    }

    /// Whether a managed service runs a step.
    fn uses_services(&self) -> bool {
        let root = self.members.first();
        self.has_jobs() || root.is_some_and(|root| training::has_workspace(root.pipeline))
    }

    fn has_jobs(&self) -> bool {
        let mut steps = self.members.iter().flat_map(|member| &member.pipeline.steps);
        steps.any(|step| matches!(step.kind, Kind::Job(_)))
    }

    /// Whether an orchestration runs others, which it may have to stop.
    fn has_sub_orchestrations(&self) -> bool {
        self.members.len() > 1 || self.members.iter().any(|member| member.items.is_some()) || self.uses_services()
    }
}

/// The topics that its steps and its failure handler publish to, as often as they do.
pub fn published_topics(pipeline: &Pipeline) -> impl Iterator<Item = &str> {
    let steps = pipeline.steps.iter().filter_map(|step| match &step.kind {
        Kind::Approval(approval) => Some(approval.topic.as_str()),
        Kind::Notify(notify) => Some(notify.topic.as_str()),
        Kind::Monitor(monitor) => Some(monitor.alert.as_str()),
        Kind::Function(_)
        | Kind::Endpoint(_)
        | Kind::BatchPredict(_)
        | Kind::Wait(_)
        | Kind::Fail { .. }
        | Kind::Job(_)
        | Kind::Train(_)
        | Kind::Pipeline(_)
        | Kind::Group(_) => None,
    });
    let handler = pipeline.on_failure.iter().filter_map(|handler| match &handler.action {
        HandlerAction::Notify(notify) => Some(notify.topic.as_str()),
        HandlerAction::Function { .. } => None,
    });
    steps.chain(handler)
}

/// The module of a pipeline that another one runs.
pub fn child_module(pipeline: &Pipeline) -> String {
    format!("mlpipe_pipeline_{}", identifier(&pipeline.name))
}

/// What the names of a child's activities start with.
pub fn child_prefix(pipeline: &Pipeline) -> String {
    format!("{}-", identifier(&pipeline.name))
}

/// Names the functions: steps first, so that an activity is called as its step wherever it can be.
pub fn app(pipeline: &Pipeline) -> App<'_> {
    let family = pipeline.family();
    let modules: Vec<String> = std::iter::once("mlpipe_pipeline".to_owned())
        .chain(family.iter().skip(1).map(|child| child_module(child)))
        .collect();
    let used: Vec<&str> = USED.into_iter().chain(modules.iter().map(String::as_str)).collect();
    let mut names = FunctionNames::new(&used);
    let mut members: Vec<Member<'_>> = Vec::new();
    for (pipeline, module) in family.into_iter().zip(&modules) {
        let prefix = if members.is_empty() {
            String::new()
        } else {
            child_prefix(pipeline)
        };
        let functions = pipeline.functions();
        let activities = functions
            .iter()
            .map(|function| names.give(&identifier(&format!("{prefix}{}", function.step))))
            .collect();
        members.push(Member {
            pipeline,
            module: module.clone(),
            prefix,
            orchestrator: String::new(),
            items: None,
            activities,
        });
    }
    for member in &mut members {
        member.orchestrator = names.give(&names::orchestrator(member.pipeline));
        if member.pipeline.steps.iter().any(|step| step.for_each.is_some()) {
            member.items = Some(names.give(&identifier(&names::items_orchestrator(member.pipeline))));
        }
    }
    let starters = pipeline
        .triggers
        .iter()
        .zip(1..)
        .map(|(trigger, number)| {
            let kind = match trigger.kind {
                TriggerKind::ObjectCreated { .. } => "object-created",
                TriggerKind::Schedule { .. } => "schedule",
                TriggerKind::Topic { .. } => "topic",
                TriggerKind::Http => "http",
            };
            let id = format!("{kind}-{number}");
            Starter {
                name: names.give(&format!("start_on_{}", identifier(&id))),
                trigger,
                id,
            }
        })
        .collect();
    let watches = monitoring::watches(pipeline)
        .into_iter()
        .map(|watch| (names.give(&format!("watch_{}", identifier(&watch.step.path))), watch))
        .collect();
    App {
        members,
        starters,
        watches,
    }
}

/// The functions of a pipeline and of all that it runs.
pub fn all_functions(pipeline: &Pipeline) -> Vec<FunctionUse<'_>> {
    let family = pipeline.family();
    family.into_iter().flat_map(Pipeline::functions).collect()
}

/// Adds everything below `app/`, but for the pipeline's own module.
pub fn write(
    pipeline: &Pipeline,
    app: &App<'_>,
    sources: &Sources,
    artifacts: &mut Artifacts,
    problems: &mut Problems,
) -> Result<(), minijinja::Error> {
    artifacts.text("app/function_app.py", function_app(pipeline, app)?);
    artifacts.json("app/host.json", &host(pipeline));
    let at = artifacts.files.len();
    for (name, text) in RUNTIME {
        let needed = match name {
            "mlpipe_start.py" => !app.starters.is_empty(),
            "mlpipe_topic.py" => app.publishes(),
            "mlpipe_rest.py" | "mlpipe_service.py" => app.uses_services(),
            "mlpipe_job.py" => app.has_jobs(),
            "mlpipe_monitor.py" => monitoring::all(pipeline).next().is_some(),
            "mlpipe_endpoint.py" => serving::used(pipeline),
            // The others read storage as it does.
            "mlpipe_train.py" => training::has_workspace(pipeline),
            "mlpipe_batch.py" => training::predicts(pipeline),
            _ => true,
        };
        if needed {
            artifacts.text(format!("app/{name}"), text);
        }
    }
    let packages: Vec<(&Pipeline, Package<'_>)> = app
        .members
        .iter()
        .flat_map(|member| {
            let packages = package::packages(member.pipeline);
            packages.into_iter().map(|package| (member.pipeline, package))
        })
        .collect();
    let mut requirements = Vec::new();
    for (owner, package) in &packages {
        let folder = format!("app/{}", package.name);
        artifacts.text(
            format!("{folder}/{CORE_MODULE}"),
            package::core_module(&package.functions, &owner.secrets)?,
        );
        let user = package::copy_sources(package, sources, &folder, artifacts);
        requirements.push((package, user));
    }
    let text = merged_requirements(pipeline, app, &requirements, problems);
    artifacts
        .files
        .shift_insert(at, "app/requirements.txt".to_owned(), text.into_bytes());
    artifacts.text("app/.funcignore", ".venv\n__pycache__\nlocal.settings.json\n");
    Ok(())
}

fn function_app(pipeline: &Pipeline, app: &App<'_>) -> Result<String, minijinja::Error> {
    let members: Vec<_> = app.members.iter().map(member).collect();
    let activities: Vec<_> = app.members.iter().flat_map(activities).collect();
    let starters: Vec<_> = app.starters.iter().map(|starter| start(pipeline, starter)).collect();
    let has = |kind: &str| starters.iter().any(|starter| starter["kind"] == kind);
    let guarded = starters.iter().any(|starter| starter["guarded"] == true);
    let names = [
        ("Schedule", guarded),
        ("object_created", has("object_created")),
        ("start_by_request", has("http")),
        ("start_once", has("object_created") || has("topic") || guarded),
        ("topic_message", has("topic")),
    ];
    let start_names: Vec<&str> = names
        .into_iter()
        .filter(|(_, used)| *used)
        .map(|(name, _)| name)
        .collect();
    super::environment()?.get_template("function_app")?.render(context! {
        title => &pipeline.name,
        name => names::orchestrator(pipeline),
        members => minijinja::Value::from(Serde(&members)),
        stop => app.has_sub_orchestrations().then_some(names::STOP),
        publish => app.publishes().then_some(names::PUBLISH),
        service => app.uses_services().then_some(names::SERVICE),
        start_names => start_names.join(", "),
        guarded,
        watches => minijinja::Value::from(Serde(&app.watches.iter().map(watch).collect::<Vec<_>>())),
        drift => monitoring::drifts(pipeline).then(|| json!({
            "function": monitoring::DRIFT_FUNCTION,
            "monitors": monitoring::drift_monitors(pipeline),
        })).map(|drift| minijinja::Value::from(Serde(drift))),
        reads_buckets => has("object_created"),
        starters => minijinja::Value::from(Serde(&starters)),
        activities => minijinja::Value::from(Serde(&activities)),
    })
}

fn member(member: &Member<'_>) -> serde_json::Value {
    let orchestrator = names::orchestrator(member.pipeline);
    json!({
        "module": member.module,
        "prefix": (!member.prefix.is_empty()).then_some(&member.prefix),
        "name": member.pipeline.name,
        "orchestrator": member.orchestrator,
        "orchestration": (orchestrator != member.orchestrator).then_some(&orchestrator),
        "items": member.items,
        "items_orchestration": names::items_orchestrator(member.pipeline),
    })
}

fn activities(member: &Member<'_>) -> Vec<serde_json::Value> {
    let functions = member.pipeline.functions();
    let named = functions.iter().zip(&member.activities);
    let activities = named.map(|(function, name)| {
        let activity = member.activity(function.step);
        json!({
            "function": name,
            "activity": (activity != *name).then_some(activity),
            "package": python::string_literal(&function.call.package),
            "description": function.description.map(one_line),
        })
    });
    activities.collect()
}

/// A timer that looks at an endpoint, in UTC.
fn watch((function, watch): &(String, Watch<'_>)) -> serde_json::Value {
    json!({
        "function": function,
        "endpoint": watch.monitor.endpoint,
        "ncrontab": cron::timer(&watch.monitor.schedule, "UTC").ncrontab,
        "bounds": watch.bounds(),
    })
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn start(pipeline: &Pipeline, starter: &Starter<'_>) -> serde_json::Value {
    let params = Py::Dict(
        starter
            .trigger
            .params
            .iter()
            .map(|(name, value)| (python::string_literal(name), Py::template(value)))
            .collect(),
    );
    let params = params.render(4, "params = ".len());
    let mut fields = json!({"function": starter.name, "id": starter.id, "params": params});
    let more = match &starter.trigger.kind {
        TriggerKind::ObjectCreated { bucket, prefix, suffix } => json!({
            "kind": "object_created",
            "bucket": python::string_literal(bucket),
            "about": about_object(bucket, prefix, suffix),
            "reads_trigger": params.contains("trigger."),
        }),
        TriggerKind::Topic { topic } => json!({"kind": "topic", "topic": topic}),
        TriggerKind::Http => json!({"kind": "http", "route": route(pipeline, starter)}),
        TriggerKind::Schedule { cron, timezone } => {
            let timer = cron::timer(cron, timezone);
            json!({
                "kind": "schedule",
                "ncrontab": timer.ncrontab,
                "guarded": timer.guarded,
                "constant": format!("SCHEDULE_{}", pipeline_place(pipeline, starter)),
                "cron": cron.to_string(),
                "timezone": timezone,
            })
        }
    };
    if let (Some(fields), serde_json::Value::Object(more)) = (fields.as_object_mut(), more) {
        fields.extend(more);
    }
    fields
}

/// Where requests go, below `/api/`: it stays when other triggers come and go.
pub fn route(pipeline: &Pipeline, starter: &Starter<'_>) -> String {
    let before = pipeline.triggers.iter().take(pipeline_place(pipeline, starter) - 1);
    match before
        .filter(|trigger| matches!(trigger.kind, TriggerKind::Http))
        .count()
    {
        0 => "start".to_owned(),
        earlier => format!("start-{}", earlier + 1),
    }
}

fn pipeline_place(pipeline: &Pipeline, starter: &Starter<'_>) -> usize {
    pipeline
        .triggers
        .iter()
        .position(|trigger| std::ptr::eq(trigger, starter.trigger))
        .unwrap_or_default()
        + 1
}

fn about_object(bucket: &str, prefix: &str, suffix: &str) -> String {
    let mut text = format!("A new object in the bucket `{bucket}`");
    if !prefix.is_empty() {
        text.push_str(&format!(" below `{prefix}`"));
    }
    if !suffix.is_empty() {
        text.push_str(&format!(" that ends in `{suffix}`"));
    }
    // It stands in a comment.
    text.replace(|c: char| c.is_control(), " ")
}

/// The longest that an activity may run: the durable timer of each attempt is the bound that users see, this one frees
/// what hangs. It ends the worker process with all activities in it, so it is far off: the default of the plan, or more.
fn function_timeout(pipeline: &Pipeline) -> String {
    let longest = all_functions(pipeline)
        .iter()
        .map(|function| function.attempt_timeout)
        .max()
        .unwrap_or_default();
    let seconds = longest.saturating_add(60).max(30 * 60);
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let clock = format!("{:02}:{:02}:{:02}", rest / 3600, rest / 60 % 60, rest % 60);
    if days == 0 { clock } else { format!("{days}.{clock}") }
}

fn host(pipeline: &Pipeline) -> serde_json::Value {
    json!({
        "version": "2.0",
        "functionTimeout": function_timeout(pipeline),
        "logging": {
            "applicationInsights": {
                "samplingSettings": { "isEnabled": true, "excludedTypes": "Request" },
            },
        },
        "extensions": {
            "durableTask": { "hubName": names::task_hub(pipeline) },
        },
        "extensionBundle": {
            "id": "Microsoft.Azure.Functions.ExtensionBundle",
            "version": "[4.*, 5.0.0)",
        },
    })
}

/// One list for the app: all packages share its Python environment.
fn merged_requirements(
    pipeline: &Pipeline,
    app: &App<'_>,
    packages: &[(&Package<'_>, String)],
    problems: &mut Problems,
) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut pins: IndexMap<String, Pin> = IndexMap::new();
    for (package, text) in packages {
        for line in text.lines() {
            let line = relocated(line.trim_end(), package.name);
            if let Some((name, version)) = pin(&line) {
                let here = Pin {
                    source_folder: package.source.to_owned(),
                    version,
                };
                match pins.get(&name) {
                    Some(other) if other.version != here.version => problems.push(AzureProblem::Requirements {
                        name: name.clone(),
                        first: other.clone(),
                        second: here,
                    }),
                    Some(_) => {}
                    None => {
                        pins.insert(name, here);
                    }
                }
            }
            if line.is_empty() || !lines.contains(&line) {
                lines.push(line);
            }
        }
    }
    let publishes = app.publishes();
    let sdks = [
        (
            "azure-identity",
            publishes || app.uses_services() || !pipeline.secrets.is_empty(),
        ),
        ("azure-keyvault-secrets", !pipeline.secrets.is_empty()),
        ("azure-eventgrid", publishes),
    ];
    let sdks = sdks.into_iter().filter(|(_, used)| *used).map(|(name, _)| name);
    let zones = pipeline.triggers.iter().any(|trigger| match &trigger.kind {
        TriggerKind::Schedule { cron, timezone } => cron::timer(cron, timezone).guarded,
        TriggerKind::ObjectCreated { .. } | TriggerKind::Topic { .. } | TriggerKind::Http => false,
    });
    let added: Vec<&str> = REQUIREMENTS
        .into_iter()
        .chain(sdks)
        .chain(zones.then_some("tzdata"))
        .collect();
    package::requirements(&lines.join("\n"), "adlfs", &added)
}

/// A line that names another file, which now lies in the package's folder.
fn relocated(line: &str, package: &str) -> String {
    for option in ["-r ", "--requirement ", "-c ", "--constraint "] {
        if let Some(path) = line.strip_prefix(option) {
            return format!("{option}{package}/{}", path.trim_start());
        }
    }
    line.to_owned()
}

/// `name==version`, the name in its normal form (PEP 503).
fn pin(line: &str) -> Option<(String, String)> {
    let line = line.split([';', '#']).next()?;
    let (name, version) = line.split_once("==")?;
    let name = name
        .split('[')
        .next()?
        .trim()
        .to_ascii_lowercase()
        .replace(['_', '.'], "-");
    Some((name, version.trim().to_owned()))
}
