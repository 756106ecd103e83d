//! Names: variables and steps of the workflow, resources in Google Cloud.

use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;

use super::family::Service;
use super::helpers;
use crate::expr::Local;
use crate::model::{Kind, ON_FAILURE, Pipeline, TriggerKind, identifier};
use crate::plan::Plan;

/// Names of Workflows' own that a variable cannot take: literals, operators, modules and functions of the standard library.
const BUILTINS: [&str; 33] = [
    "and",
    "or",
    "not",
    "in",
    "true",
    "false",
    "null",
    "base64",
    "events",
    "experimental",
    "googleapis",
    "hash",
    "http",
    "json",
    "list",
    "map",
    "math",
    "retry",
    "sys",
    "text",
    "time",
    "uuid",
    "default",
    "double",
    "get_type",
    "if",
    "int",
    "keys",
    "len",
    "string",
    "bool",
    "type",
    "main",
];

/// Variables and subworkflows that mlpipe makes.
const OURS: [&str; 16] = [
    "args",
    "params",
    "failure",
    "error",
    "e",
    "object",
    "branch",
    "started_at",
    "run_id",
    "function_urls",
    "call_function",
    "call_with_retry",
    "object_params",
    "message_params",
    "x",
    "found",
];

/// Hands out names, each once.
#[derive(Clone, Debug, Default)]
pub struct Taken {
    names: BTreeSet<String>,
    /// How often a name was asked for.
    asked: BTreeMap<String, usize>,
}

impl Taken {
    /// With these names gone.
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        Self {
            names: names.into_iter().collect(),
            asked: BTreeMap::new(),
        }
    }

    /// `wanted`, or the same with a number where it is gone.
    pub fn name(&mut self, wanted: &str) -> String {
        let asked = self.asked.entry(wanted.to_owned()).or_default();
        loop {
            *asked += 1;
            let name = if *asked == 1 {
                wanted.to_owned()
            } else {
                format!("{wanted}_{asked}")
            };
            if self.names.insert(name.clone()) {
                return name;
            }
        }
    }

    /// All that are gone.
    pub fn all(&self) -> &BTreeSet<String> {
        &self.names
    }
}

/// The name of a step's workflow step: its id, but for the words that `next` takes.
pub fn step_name(id: &str) -> String {
    match id {
        "end" | "break" | "continue" => format!("{id}_step"),
        id => identifier(id),
    }
}

/// The variables of a workflow.
#[derive(Clone, Debug)]
pub struct Variables {
    /// With a step's output, by step path; only of those that something reads.
    pub outputs: IndexMap<String, String>,
    /// With what a step's `catch` caught, likewise.
    pub errors: IndexMap<String, String>,
    /// With what modifiers add, by step path.
    pub locals: BTreeMap<(String, Local), String>,
    /// With a step's status, likewise.
    pub statuses: IndexMap<String, String>,
    /// With the number of a step's attempt, by step path; only of those that are tried again.
    pub attempts: IndexMap<String, String>,
    /// All names that are gone.
    pub taken: Taken,
}

/// Names the variables of a pipeline: after the step, and kept clear of what Workflows and mlpipe name themselves.
pub fn variables(pipeline: &Pipeline, plan: &Plan) -> Variables {
    let reserved = BUILTINS.iter().chain(&OURS).map(|name| (*name).to_owned());
    let mut taken = Taken::new(reserved.chain(helpers::names().map(str::to_owned)));
    let ids: BTreeSet<String> = pipeline.steps.iter().map(|step| identifier(&step.path)).collect();
    // A variable that cannot be named after its step must not take another's name.
    let fresh = |taken: &mut Taken, wanted: String| {
        let mut wanted = wanted;
        while ids.contains(&wanted) {
            wanted.push('_');
        }
        taken.name(&wanted)
    };
    let mut outputs = IndexMap::new();
    let mut statuses = IndexMap::new();
    let mut errors = IndexMap::new();
    let mut locals = BTreeMap::new();
    let mut attempts = IndexMap::new();
    for (index, step) in pipeline.steps.iter().enumerate() {
        let reads = plan.reads.get(index).copied().unwrap_or_default();
        let id = identifier(&step.path);
        let nothing = matches!(
            step.kind,
            Kind::Wait(_) | Kind::Fail { .. } | Kind::Notify(_) | Kind::Job(_)
        );
        let gives = !nothing || !step.is_plain();
        if reads.output && gives {
            let variable = if taken.all().contains(&id) {
                fresh(&mut taken, format!("{id}_output"))
            } else {
                taken.name(&id)
            };
            outputs.insert(step.path.clone(), variable);
        }
        if reads.status {
            let variable = fresh(&mut taken, format!("{id}_status"));
            statuses.insert(step.path.clone(), variable);
        }
        if reads.error && step.for_each.is_none() {
            let variable = fresh(&mut taken, format!("{id}_error"));
            errors.insert(step.path.clone(), variable);
        }
        let mut local = |what, wanted: String| {
            let variable = fresh(&mut taken, wanted);
            locals.insert((step.path.clone(), what), variable);
        };
        if let Some(for_each) = &step.for_each {
            local(Local::Item, for_each.item.clone());
            local(Local::Index, for_each.index.clone());
        }
        if step.repeat.is_some() {
            local(Local::Previous, format!("{id}_previous"));
            local(Local::Output, format!("{id}_run_output"));
        }
        if matches!(step.kind, Kind::Function(_)) && step.retry.attempts > 1 {
            let variable = fresh(&mut taken, format!("{id}_attempt"));
            attempts.insert(step.path.clone(), variable);
        }
    }
    if pipeline
        .on_failure
        .as_ref()
        .is_some_and(|handler| handler.retry.attempts > 1)
    {
        let variable = fresh(&mut taken, format!("{ON_FAILURE}_attempt"));
        attempts.insert(ON_FAILURE.to_owned(), variable);
    }
    Variables {
        outputs,
        errors,
        locals,
        statuses,
        attempts,
        taken,
    }
}

/// Buckets that the workflow must know by name: those of triggers and expressions, in file order.
pub fn used_buckets(pipeline: &Pipeline) -> Vec<&str> {
    let mut used: BTreeSet<&str> = BTreeSet::new();
    for trigger in &pipeline.triggers {
        if let TriggerKind::ObjectCreated { bucket, .. } = &trigger.kind {
            used.insert(bucket);
        }
    }
    each_expr(pipeline, &mut |expr| {
        expr.walk(&mut |part| {
            use crate::expr::ExprKind::{BucketName, BucketUri};
            if let BucketUri(bucket) | BucketName(bucket) = &part.kind {
                used.insert(bucket);
            }
        });
    });
    pipeline
        .buckets
        .iter()
        .map(|bucket| bucket.id.as_str())
        .filter(|id| used.contains(id))
        .collect()
}

/// Every expression of the workflow.
pub fn each_expr<'a>(pipeline: &'a Pipeline, visit: &mut dyn FnMut(&'a crate::expr::Expr)) {
    for step in &pipeline.steps {
        step.each_expr(visit);
    }
    if let Some(handler) = &pipeline.on_failure {
        handler.each_expr(visit);
    }
    for (_, output) in &pipeline.root.outputs {
        output.each_expr(visit);
    }
}

/// The environment of a workflow: values by name, 20 at most (Workflows quotas, "User-defined environment variables").
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// The variable with a function's URL, by step; empty where they share variables.
    pub urls: IndexMap<String, String>,
    /// Variables with several functions' URLs as a JSON object, each with its steps.
    pub url_maps: IndexMap<String, Vec<String>>,
    /// The variable with a bucket's name, by bucket id.
    pub buckets: IndexMap<String, String>,
}

/// Characters of a service account's name.
pub const ACCOUNT: usize = 30;
/// Bucket names have 63 characters, and projects 30: what is left beside the project and a dash.
pub const BUCKET: usize = 32;
/// Characters of a function's name: Cloud Run's rule for services.
pub const SERVICE: usize = 63;
/// How many variables a workflow may have.
const ENVIRONMENT: usize = 20;
/// Bytes of one variable.
const VARIABLE: usize = 4096;
/// What a URL has beside the function's name, with its quotes and its comma: `https://NAME-PROJECTNUMBER.REGION.run.app`.
const URL: usize = 72;

/// Lays out the environment.
pub fn environment(pipeline: &Pipeline, services: &IndexMap<String, Service>) -> Environment {
    let mut taken = Taken::default();
    let mut environment = Environment::default();
    for bucket in used_buckets(pipeline) {
        let name = taken.name(&variable(bucket, "BUCKET"));
        environment.buckets.insert(bucket.to_owned(), name);
    }
    if services.len() + environment.buckets.len() <= ENVIRONMENT {
        for step in services.keys() {
            let name = taken.name(&variable(step, "URL"));
            environment.urls.insert(step.to_owned(), name);
        }
    } else {
        let mut room = 0;
        for (step, service) in services {
            let size = step.len() + service.name.len() + URL;
            if room < size {
                environment.url_maps.insert(taken.name("FUNCTION_URLS"), Vec::new());
                room = VARIABLE - 2;
            }
            room -= size;
            if let Some((_, steps)) = environment.url_maps.last_mut() {
                steps.push(step.to_owned());
            }
        }
    }
    environment
}

/// `TRAIN_URL`; names that start with GOOGLE or WORKFLOWS are Google's.
fn variable(id: &str, suffix: &str) -> String {
    let name = format!("{}_{suffix}", identifier(id).to_ascii_uppercase());
    if name.starts_with("GOOGLE") || name.starts_with("WORKFLOWS") {
        format!("MY_{name}")
    } else {
        name
    }
}

impl Environment {
    /// The variables that a workflow reads.
    pub fn read_by<'a>(&'a self, text: &str) -> BTreeSet<&'a str> {
        let names = self
            .urls
            .values()
            .chain(self.url_maps.keys())
            .chain(self.buckets.values());
        names
            .map(String::as_str)
            .filter(|name| text.contains(&format!("sys.get_env(\"{name}\")")))
            .collect()
    }
}

/// `parts` joined by dashes, in letters, digits and dashes, within `limit` characters. Where that changes more than `_` to `-`, a hash of the
/// whole keeps it apart from others; the last part, which tells them apart to a reader, is kept whole.
pub fn resource(parts: &[&str], limit: usize) -> String {
    let whole = parts.join("-");
    let name = whole.replace(['_', '.'], "-");
    if name.len() <= limit && !name.ends_with('-') {
        return name;
    }
    let hash = format!("{:08x}", fnv(&whole));
    let last = parts
        .last()
        .map_or("", |part| part.trim_end_matches(['-', '_']))
        .replace(['_', '.'], "-");
    // Of a long path the end tells more than the beginning.
    let most = limit.saturating_sub(hash.len() + 3);
    let last: String = last.chars().skip(last.chars().count().saturating_sub(most)).collect();
    let last = last.trim_start_matches('-');
    let left = limit.saturating_sub(hash.len() + last.len() + 2);
    let head: String = name.chars().take(left).collect();
    match head.trim_end_matches('-') {
        // A name starts with a letter.
        "" => format!("n{hash}-{last}"),
        head => format!("{head}-{hash}-{last}"),
    }
}

/// A long identifier cut, with a hash of the whole at its end.
pub fn short(name: &str, limit: usize) -> String {
    if name.len() <= limit {
        return name.to_owned();
    }
    let head: String = name.chars().take(limit.saturating_sub(9)).collect();
    format!("{head}_{:08x}", fnv(name))
}

/// FNV-1a of 32 bits: short, and the same on every machine.
pub fn fnv(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}
