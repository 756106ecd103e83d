//! The function app: its module, its settings, the users' packages and what they require.

use indexmap::IndexMap;
use minijinja::context;
use minijinja::value::Serde;
use serde_json::json;

use super::cron;
use super::layout::Py;
use super::limits::{AzureProblem, Pin};
use super::names::{self, FunctionNames};
use crate::diagnostics::Problems;
use crate::expr::python;
use crate::model::{Pipeline, Trigger, TriggerKind, identifier};
use crate::targets::package::{self, CORE_MODULE, Package};
use crate::targets::{Artifacts, Sources};

/// Names that `function_app.py` uses.
const USED: [&str; 17] = [
    "app",
    "buckets",
    "datetime",
    "define",
    "df",
    "func",
    "items",
    "mlpipe_run",
    "mlpipe_sub",
    "object_created",
    "run_step",
    "start_once",
    "stop",
    "timezone",
    "NAME",
    "PARAMS",
    "Schedule",
];

/// The modules that are the same in every app.
pub const RUNTIME: [(&str, &str); 8] = [
    ("mlpipe_dag.py", include_str!("../../../targets/azure/mlpipe_dag.py")),
    ("mlpipe_expr.py", include_str!("../../../targets/azure/mlpipe_expr.py")),
    (
        "mlpipe_fibers.py",
        include_str!("../../../targets/azure/mlpipe_fibers.py"),
    ),
    (
        "mlpipe_params.py",
        include_str!("../../../targets/azure/mlpipe_params.py"),
    ),
    (
        "mlpipe_progress.py",
        include_str!("../../../targets/azure/mlpipe_progress.py"),
    ),
    ("mlpipe_run.py", include_str!("../../../targets/azure/mlpipe_run.py")),
    (
        "mlpipe_start.py",
        include_str!("../../../targets/azure/mlpipe_start.py"),
    ),
    ("mlpipe_sub.py", include_str!("../../../targets/azure/mlpipe_sub.py")),
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

/// The names of everything in the app.
pub struct App<'a> {
    /// Names of the activities' functions, as `pipeline.functions()` lists them.
    activities: Vec<String>,
    /// The orchestrator's function.
    orchestrator: String,
    /// The starters, in file order.
    pub starters: Vec<Starter<'a>>,
}

/// Names the functions: steps first, so that an activity is called as its step wherever it can be.
pub fn app(pipeline: &Pipeline) -> App<'_> {
    let mut names = FunctionNames::new(&USED);
    let activities = pipeline
        .functions()
        .iter()
        .map(|function| names.give(&identifier(function.step)))
        .collect();
    let orchestrator = names.give(&names::orchestrator(pipeline));
    let starters = pipeline
        .triggers
        .iter()
        .zip(1..)
        .map(|(trigger, number)| {
            let kind = match trigger.kind {
                TriggerKind::ObjectCreated { .. } => "object-created",
                TriggerKind::Schedule { .. } => "schedule",
            };
            let id = format!("{kind}-{number}");
            Starter {
                name: names.give(&format!("start_on_{}", identifier(&id))),
                trigger,
                id,
            }
        })
        .collect();
    App {
        activities,
        orchestrator,
        starters,
    }
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
    let packages = package::packages(pipeline);
    let at = artifacts.files.len();
    for (name, text) in RUNTIME {
        if name != "mlpipe_start.py" || !app.starters.is_empty() {
            artifacts.text(format!("app/{name}"), text);
        }
    }
    artifacts.text("app/mlpipe_activity.py", activity(&packages)?);
    let mut requirements = Vec::new();
    for package in &packages {
        let folder = format!("app/{}", package.name);
        artifacts.text(
            format!("{folder}/{CORE_MODULE}"),
            package::core_module(&package.functions, &pipeline.secrets)?,
        );
        let user = package::copy_sources(package, sources, &folder, artifacts);
        requirements.push((package, user));
    }
    let text = merged_requirements(pipeline, &requirements, problems);
    artifacts
        .files
        .shift_insert(at, "app/requirements.txt".to_owned(), text.into_bytes());
    artifacts.text("app/.funcignore", ".venv\n__pycache__\nlocal.settings.json\n");
    Ok(())
}

fn activity(packages: &[Package<'_>]) -> Result<String, minijinja::Error> {
    let steps: Vec<_> = packages
        .iter()
        .flat_map(|package| {
            package
                .functions
                .iter()
                .map(|function| json!({"name": function.step, "source": package.name}))
        })
        .collect();
    super::environment()?.get_template("activity")?.render(context! {
        steps => minijinja::Value::from(Serde(&steps)),
    })
}

fn function_app(pipeline: &Pipeline, app: &App<'_>) -> Result<String, minijinja::Error> {
    let orchestrator = names::orchestrator(pipeline);
    let activities: Vec<_> = pipeline
        .functions()
        .iter()
        .zip(&app.activities)
        .map(|(function, name)| {
            let activity = identifier(function.step);
            json!({
                "function": name,
                "activity": (activity != *name).then_some(activity),
                "description": function.description.map(one_line),
            })
        })
        .collect();
    let starters: Vec<_> = app.starters.iter().map(|starter| start(pipeline, starter)).collect();
    let has = |kind: &str| starters.iter().any(|starter| starter["kind"] == kind);
    let guarded = starters.iter().any(|starter| starter["guarded"] == true);
    let names = [
        ("Schedule", guarded),
        ("object_created", has("object_created")),
        ("start_once", has("object_created") || guarded),
    ];
    let start_names: Vec<&str> = names
        .into_iter()
        .filter(|(_, used)| *used)
        .map(|(name, _)| name)
        .collect();
    super::environment()?.get_template("function_app")?.render(context! {
        title => &pipeline.name,
        orchestrator => &app.orchestrator,
        orchestration => (orchestrator != app.orchestrator).then_some(&orchestrator),
        name => &orchestrator,
        items => pipeline
            .steps
            .iter()
            .any(|step| step.for_each.is_some())
            .then(|| names::items_orchestrator(pipeline)),
        stop => names::STOP,
        start_names => start_names.join(", "),
        guarded,
        reads_buckets => has("object_created"),
        starters => minijinja::Value::from(Serde(&starters)),
        activities => minijinja::Value::from(Serde(&activities)),
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
        TriggerKind::Schedule { cron, timezone } => {
            let timer = cron::timer(cron, timezone);
            let line = [
                &cron.minute,
                &cron.hour,
                &cron.day_of_month,
                &cron.month,
                &cron.day_of_week,
            ]
            .map(String::as_str)
            .join(" ");
            json!({
                "kind": "schedule",
                "ncrontab": timer.ncrontab,
                "guarded": timer.guarded,
                "constant": format!("SCHEDULE_{}", pipeline_place(pipeline, starter)),
                "cron": line,
                "timezone": timezone,
            })
        }
    };
    if let (Some(fields), serde_json::Value::Object(more)) = (fields.as_object_mut(), more) {
        fields.extend(more);
    }
    fields
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
    let longest = pipeline
        .functions()
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
fn merged_requirements(pipeline: &Pipeline, packages: &[(&Package<'_>, String)], problems: &mut Problems) -> String {
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
    let secrets = ["azure-identity", "azure-keyvault-secrets"]
        .into_iter()
        .filter(|_| !pipeline.secrets.is_empty());
    let zones = pipeline.triggers.iter().any(|trigger| match &trigger.kind {
        TriggerKind::Schedule { cron, timezone } => cron::timer(cron, timezone).guarded,
        TriggerKind::ObjectCreated { .. } => false,
    });
    let added: Vec<&str> = REQUIREMENTS
        .into_iter()
        .chain(secrets)
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
