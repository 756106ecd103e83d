//! Amazon States Language, as far as pipelines need it, with `QueryLanguage` JSONata.

use indexmap::IndexMap;
use serde::Serialize;
use serde_json::Value;

/// Named states, in the order of the file.
pub type States = IndexMap<String, State>;

/// A definition: the whole file.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Definition {
    /// What the user says the pipeline does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// `JSONata`: for every state.
    pub query_language: &'static str,
    /// Bound of an execution.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u64>,
    /// The first state.
    pub start_at: String,
    /// All states but those of branches.
    pub states: States,
}

/// A branch of a Parallel state.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Branch {
    /// The first state.
    pub start_at: String,
    /// Its states.
    pub states: States,
}

/// A state.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "Type")]
pub enum State {
    /// Calls a service.
    Task(Task),
    /// Computes.
    Pass(Pass),
    /// Decides.
    Choice(Choice),
    /// Waits.
    Wait(Wait),
    /// Runs branches side by side.
    Parallel(Parallel),
    /// Runs the same states for each item of a list.
    Map(Map),
    /// Ends well.
    Succeed(Succeed),
    /// Ends badly.
    Fail(Fail),
}

/// Where a state leads: `Next` or `End`.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Then {
    /// The next state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// True: the last one.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub end: bool,
}

/// A call of a Lambda function.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Task {
    /// For the reader.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// The integration.
    pub resource: &'static str,
    /// What it is called with.
    pub arguments: Value,
    /// Bound of one attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u64>,
    /// Tried in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub retry: Vec<Retrier>,
    /// Tried in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub catch: Vec<Catcher>,
    /// Variables that it sets.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub assign: IndexMap<String, Value>,
    /// What the next state receives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// Where it leads.
    #[serde(flatten)]
    pub then: Then,
}

/// A rule of retries.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Retrier {
    /// Error names.
    pub error_equals: Vec<String>,
    /// Before the first retry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval_seconds: Option<u64>,
    /// Retries, not counting the first try; 0: never.
    pub max_attempts: u32,
    /// From one wait to the next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backoff_rate: Option<Value>,
    /// Cap of one wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_delay_seconds: Option<u64>,
}

/// A rule of what follows an error.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Catcher {
    /// Error names.
    pub error_equals: Vec<String>,
    /// Variables that it sets.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub assign: IndexMap<String, Value>,
    /// What the next state receives; the error itself where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// The next state.
    pub next: String,
}

/// A computation.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Pass {
    /// For the reader.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Variables that it sets.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub assign: IndexMap<String, Value>,
    /// What the next state receives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// Where it leads.
    #[serde(flatten)]
    pub then: Then,
}

/// A decision.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Choice {
    /// For the reader.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// The first that holds.
    pub choices: Vec<Rule>,
    /// Variables that are set where no rule holds.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub assign: IndexMap<String, Value>,
    /// What the next state receives where no rule holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// The next state where no rule holds.
    pub default: String,
}

/// A rule of a [`Choice`].
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Rule {
    /// JSONata of a boolean, in `{% %}`.
    pub condition: String,
    /// Variables that it sets.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub assign: IndexMap<String, Value>,
    /// What the next state receives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// The next state.
    pub next: String,
}

/// A pause.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Wait {
    /// For the reader.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// How long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
    /// Until when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<String>,
    /// Variables that it sets.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub assign: IndexMap<String, Value>,
    /// What the next state receives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// Where it leads.
    #[serde(flatten)]
    pub then: Then,
}

/// Branches side by side.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Parallel {
    /// For the reader.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// All start at once.
    pub branches: Vec<Branch>,
    /// Tried in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub retry: Vec<Retrier>,
    /// Tried in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub catch: Vec<Catcher>,
    /// Variables that it sets.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub assign: IndexMap<String, Value>,
    /// What the next state receives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// Where it leads.
    #[serde(flatten)]
    pub then: Then,
}

/// The same states for each item of a list.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Map {
    /// For the reader.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// The list.
    pub items: Value,
    /// What an item's first state receives; the item itself where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item_selector: Option<Value>,
    /// Part of the name of a Distributed Map's runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Most items at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_concurrency: Option<u32>,
    /// The states.
    pub item_processor: ItemProcessor,
    /// Tried in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub catch: Vec<Catcher>,
    /// Variables that it sets.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub assign: IndexMap<String, Value>,
    /// What the next state receives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// Where it leads.
    #[serde(flatten)]
    pub then: Then,
}

/// The states of a [`Map`].
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ItemProcessor {
    /// Where they run.
    pub processor_config: ProcessorConfig,
    /// The first state.
    pub start_at: String,
    /// The states.
    pub states: States,
}

/// Where the items of a [`Map`] run.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ProcessorConfig {
    /// `INLINE`: in the same execution; `DISTRIBUTED`: in an execution each.
    pub mode: &'static str,
    /// Of those executions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub execution_type: Option<&'static str>,
}

/// A good end.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Succeed {
    /// The result.
    pub output: Value,
}

/// A bad end.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Fail {
    /// For the reader.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// The error's name.
    pub error: Value,
    /// The error's cause.
    pub cause: Value,
}
