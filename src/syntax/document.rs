//! The language as the user writes it. The JSON Schema in `schemas/` comes from these types and their comments.

use std::borrow::Cow;

use indexmap::IndexMap;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

use super::node::Node;
use super::scalars::{Duration, LABEL_PATTERN, Memory, Spanned};

/// A mlpipe pipeline.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// The version of the language.
    pub mlpipe: Version,
    /// The pipeline's name. Names of cloud resources derive from it.
    #[schemars(regex(pattern = r"^[a-z][a-z0-9-]{0,39}$"))]
    pub name: Spanned<String>,
    /// What the pipeline does.
    pub description: Option<String>,
    /// Labels (tags) of every cloud resource that takes them.
    #[serde(default)]
    #[schemars(extend("additionalProperties" = { "type": "string", "pattern": LABEL_PATTERN }))]
    pub labels: IndexMap<Spanned<String>, String>,
    /// An execution's typed input, by name.
    #[serde(default)]
    pub params: IndexMap<Spanned<String>, ParamNode>,
    /// Buckets by logical name.
    #[serde(default)]
    pub buckets: IndexMap<Spanned<String>, Bucket>,
    /// Topics by logical name: what `notify` and approvals publish to.
    #[serde(default)]
    pub topics: IndexMap<Spanned<String>, Topic>,
    /// Secrets by name. Values live in the cloud's secret store, locally in `MLPIPE_SECRET_<NAME>`.
    #[serde(default)]
    pub secrets: IndexMap<Spanned<String>, Secret>,
    /// What starts the pipeline.
    #[serde(default)]
    pub triggers: Vec<Spanned<Trigger>>,
    /// Settings that steps inherit.
    #[serde(default)]
    pub defaults: Defaults,
    /// The steps: a directed acyclic graph, by id.
    pub steps: IndexMap<Spanned<String>, Spanned<Step>>,
    /// Runs once when the pipeline failed; its expressions may read `error.name`, `error.message` and `error.step`.
    pub on_failure: Option<Spanned<Handler>>,
    /// What a successful execution gives, by name.
    #[serde(default)]
    pub outputs: IndexMap<Spanned<String>, Node>,
    /// What only one target needs.
    #[serde(default)]
    pub targets: Targets,
}

/// The version of the language.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum Version {
    /// The first.
    #[serde(rename = "v1")]
    V1,
}

/// A param: a type, or `{ type, default, description, enum, minimum, maximum }`.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct ParamNode(pub Node);

impl JsonSchema for ParamNode {
    fn schema_name() -> Cow<'static, str> {
        "Param".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "array", "object"],
            "description": "A type (`string`, `number`, `integer`, `boolean`, `any`, `[T]`, `{ field: T }`, `optional T`), or `{ type, default, description, enum, minimum, maximum }`.",
            "examples": ["string", { "type": "number", "default": 0.85 }]
        })
    }
}

/// A type: `string`, `number`, `integer`, `boolean`, `any`, `[T]`, `{ field: T }`, `optional T`.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct TypeNode(pub Node);

impl JsonSchema for TypeNode {
    fn schema_name() -> Cow<'static, str> {
        "Type".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "array", "object"],
            "description": "`string`, `number`, `integer`, `boolean`, `any`, `[T]`, `{ field: T }`, `optional T`.",
            "examples": ["string", ["string"], { "rows": "integer" }]
        })
    }
}

impl JsonSchema for Node {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Value".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({})
    }
}

/// A bucket.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bucket {
    /// Keep old versions of objects.
    #[serde(default)]
    pub versioning: bool,
    /// Delete objects so long after they were written; whole days.
    pub expire_after: Option<Duration>,
    /// Names of buckets that exist already, by cloud.
    pub existing: Option<Existing>,
}

/// Names of buckets that exist already.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Existing {
    /// S3 bucket.
    pub aws: Option<String>,
    /// Cloud Storage bucket.
    pub gcp: Option<String>,
    /// `account/container`.
    #[schemars(regex(pattern = r"^[a-z0-9]{3,24}/[a-z0-9-]{3,63}$"))]
    pub azure: Option<String>,
}

/// A topic. It has no settings.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Topic {}

/// A secret. It has no settings.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Secret {}

/// What starts the pipeline: exactly one event, and the params it gives.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = super::schema::one_trigger)]
pub struct Trigger {
    /// An object was created or replaced in a bucket.
    pub object_created: Option<ObjectCreated>,
    /// A time, again and again.
    pub schedule: Option<Schedule>,
    /// A message was published to a topic.
    pub topic: Option<TopicMessage>,
    /// An HTTP request; its body, a JSON object, is the params.
    pub http: Option<Http>,
    /// The execution's params. May read `trigger.key`, `trigger.bucket` and `trigger.uri` of an object, `trigger.message` of a topic.
    #[serde(default)]
    pub params: IndexMap<Spanned<String>, Node>,
}

/// An object was created or replaced in a bucket.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ObjectCreated {
    /// The bucket's logical name.
    pub bucket: Spanned<String>,
    /// Only keys that start with this.
    #[serde(default)]
    pub prefix: String,
    /// Only keys that end with this.
    #[serde(default)]
    pub suffix: String,
}

/// A message was published to a topic.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TopicMessage {
    /// The topic's logical name.
    pub name: Spanned<String>,
}

/// An HTTP request by somebody who may.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// How the caller proves who they are.
    #[serde(default)]
    pub auth: Auth,
}

/// How the caller of an HTTP trigger proves who they are.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum Auth {
    /// By the cloud's own identities: IAM on AWS and Google Cloud, a function key on Azure.
    #[default]
    #[serde(rename = "iam")]
    Iam,
}

/// A cron schedule.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Minute, hour, day of month, month, day of week. At most one of the two day fields may be restricted.
    #[schemars(extend("examples" = ["0 3 * * MON-FRI"]))]
    pub cron: Spanned<String>,
    /// An IANA time zone; `UTC` where nothing is written.
    #[schemars(extend("examples" = ["Europe/Zurich"]))]
    pub timezone: Option<Spanned<String>>,
}

/// Settings that steps inherit.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Defaults {
    /// For every function.
    #[serde(default)]
    pub function: FunctionDefaults,
    /// For every step.
    pub retry: Option<Retry>,
}

/// Settings of every function that does not have its own.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FunctionDefaults {
    /// The language runtime; `python3.12` where nothing is written.
    pub runtime: Option<Runtime>,
    /// Memory; `512MB` where nothing is written.
    pub memory: Option<Memory>,
    /// Longest run of the function; `60s` where nothing is written.
    pub timeout: Option<Duration>,
    /// Folder of the code, relative to this file; `functions` where nothing is written.
    pub source: Option<Spanned<String>>,
}

/// A language runtime.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, PartialEq, Eq)]
#[schemars(inline)]
pub enum Runtime {
    /// Python 3.10.
    #[serde(rename = "python3.10")]
    Python310,
    /// Python 3.11.
    #[serde(rename = "python3.11")]
    Python311,
    /// Python 3.12.
    #[serde(rename = "python3.12")]
    Python312,
    /// Python 3.13.
    #[serde(rename = "python3.13")]
    Python313,
}

impl Runtime {
    /// As written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Python310 => "python3.10",
            Self::Python311 => "python3.11",
            Self::Python312 => "python3.12",
            Self::Python313 => "python3.13",
        }
    }
}

/// A step: exactly one kind, and how it runs.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = super::schema::one_kind)]
pub struct Step {
    /// What the step does.
    pub description: Option<String>,
    /// Runs your code: one JSON value in, one out.
    pub function: Option<Function>,
    /// Pauses.
    pub wait: Option<Wait>,
    /// Ends the pipeline, failed.
    pub fail: Option<Fail>,
    /// Runs a container to its end.
    pub job: Option<Job>,
    /// Trains a model. Gives `{ job_name, model_uri, metrics }`.
    pub train: Option<Train>,
    /// Serves a model: creates an endpoint, or updates it in place. Gives `{ endpoint_name, url }`.
    pub endpoint: Option<Endpoint>,
    /// Predictions of a model for all files of a folder. Gives `{ job_name, output_uri, predictions }`.
    pub batch_predict: Option<BatchPredict>,
    /// Watches an endpoint, and tells a topic of what is wrong with it.
    pub monitor: Option<Monitor>,
    /// Publishes a message to a topic.
    pub notify: Option<Notify>,
    /// Waits for a person's answer. Gives `{ approved, by, comment }`.
    pub approval: Option<Approval>,
    /// Runs another pipeline and waits for it. Gives its outputs.
    pub pipeline: Option<Child>,
    /// A group: a directed acyclic graph of its own. Its steps see those outside; outside only the group's outputs are seen.
    pub steps: Option<IndexMap<Spanned<String>, Spanned<Step>>>,
    /// What a group gives, by name: the fields of its output.
    pub outputs: Option<Spanned<IndexMap<Spanned<String>, Node>>>,
    /// Steps that must have ended before; the step is skipped where they were.
    #[serde(default)]
    pub needs: Vec<Spanned<String>>,
    /// Skipped when any of `needs` was skipped (`all`, the default), or only when all were (`any`).
    pub join: Option<Join>,
    /// The step is skipped where this expression is false.
    pub when: Option<Node>,
    /// The step runs once for each item of this list; its output is the list of the outputs. `input`, `retry`, `timeout` and `catch` are then of one item.
    pub for_each: Option<Node>,
    /// The item's name in expressions; `item` where nothing is written.
    #[serde(rename = "as")]
    pub item: Option<Spanned<String>>,
    /// The name of the item's position, from 0; `index` where nothing is written.
    pub index: Option<Spanned<String>>,
    /// Most items that run at once.
    #[schemars(range(min = 1, max = 10_000))]
    pub max_concurrency: Option<Spanned<u32>>,
    /// The step runs again and again until a condition holds.
    pub repeat: Option<Spanned<Repeat>>,
    /// What takes the place of the output where the step failed: the first entry that matches.
    #[serde(default)]
    pub catch: Vec<Spanned<Catch>>,
    /// What the function receives: any value, with `${{ … }}` expressions.
    pub input: Option<Spanned<Node>>,
    /// The shape of what the function gives; checked when it ran.
    pub output: Option<TypeNode>,
    /// More attempts after a failure.
    pub retry: Option<Spanned<Retry>>,
    /// Longest time of one attempt.
    pub timeout: Option<Spanned<Duration>>,
    /// What to expect of a run, for planning.
    pub expect: Option<Expect>,
}

/// Runs your code.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Function {
    /// `file.function`, below the source folder: `train.handler` is `handler` in `train.py`.
    #[schemars(regex(pattern = r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)+$"))]
    pub handler: Spanned<String>,
    /// The language runtime.
    pub runtime: Option<Runtime>,
    /// Memory.
    pub memory: Option<Memory>,
    /// Longest run of the function.
    pub timeout: Option<Duration>,
    /// Folder of the code, relative to this file.
    pub source: Option<Spanned<String>>,
}

/// Pauses: for a time, or to a point in time.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = super::schema::one_wait)]
pub struct Wait {
    /// How long.
    pub duration: Option<Duration>,
    /// To when: an RFC 3339 time, or a number of seconds since 1970. One that has passed is no wait.
    #[schemars(extend("examples" = ["2030-01-31T08:00:00Z"]))]
    pub until: Option<Node>,
}

/// Runs the step until a condition holds.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Repeat {
    /// Evaluated after each run; may read `output`, and ends it where it is true.
    pub until: Node,
    /// Most runs; after the last one the step fails with `RepeatLimit`.
    #[schemars(range(min = 1, max = 10_000))]
    pub max: u32,
    /// Pause between one run and the next; none where nothing is written.
    pub delay: Option<Duration>,
}

/// What takes the place of a failed step's output.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Catch {
    /// Which errors: their names, `transient`, `timeout`, `all`; `[all]` where nothing is written.
    pub on: Option<Vec<Spanned<String>>>,
    /// A value in place of the output; may read `error`. null where neither it nor `do` is written.
    pub output: Option<Spanned<Node>>,
    /// A step whose output is taken; its expressions may read `error`.
    #[serde(rename = "do")]
    pub fallback: Option<Spanned<InPlace>>,
}

/// A step written in place: exactly one kind.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = super::schema::one_kind_in_place)]
pub struct InPlace {
    /// What it does.
    pub description: Option<String>,
    /// Runs your code.
    pub function: Option<Function>,
    /// Pauses.
    pub wait: Option<Wait>,
    /// Ends the pipeline, failed.
    pub fail: Option<Fail>,
    /// Publishes a message to a topic.
    pub notify: Option<Notify>,
    /// Waits for a person's answer. Gives `{ approved, by, comment }`.
    pub approval: Option<Approval>,
    /// Runs another pipeline and waits for it. Gives its outputs.
    pub pipeline: Option<Child>,
    /// What the function receives.
    pub input: Option<Spanned<Node>>,
    /// The shape of what the function gives; checked when it ran.
    pub output: Option<TypeNode>,
    /// More attempts after a failure.
    pub retry: Option<Spanned<Retry>>,
    /// Longest time of one attempt.
    pub timeout: Option<Spanned<Duration>>,
}

impl InPlace {
    /// The step that it is.
    pub fn as_step(&self) -> Step {
        Step {
            description: self.description.clone(),
            function: self.function.clone(),
            wait: self.wait.clone(),
            fail: self.fail.clone(),
            notify: self.notify.clone(),
            approval: self.approval.clone(),
            pipeline: self.pipeline.clone(),
            input: self.input.clone(),
            output: self.output.clone(),
            retry: self.retry.clone(),
            timeout: self.timeout.clone(),
            ..Step::default()
        }
    }
}

/// Ends the pipeline, failed.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fail {
    /// The error's name.
    pub error: Node,
    /// The error's message.
    pub message: Node,
}

/// Runs a container to its end.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Job {
    /// The container's image, or one a cloud.
    pub image: ImageNode,
    /// What runs in it; may hold expressions. What the image says where nothing is written.
    #[serde(default)]
    pub command: Vec<Node>,
    /// Variables of its environment; may hold expressions.
    #[serde(default)]
    pub env: IndexMap<Spanned<String>, Node>,
    /// What it runs on.
    #[serde(default)]
    pub compute: Compute,
    /// What it runs on, by name.
    #[serde(default)]
    pub instance: PerCloud,
    /// Longest run; `1h` where nothing is written.
    pub max_duration: Option<Duration>,
}

/// Trains a model.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = super::schema::one_runtime)]
pub struct Train {
    /// Folder of the code, relative to this file.
    pub source: Spanned<String>,
    /// The script, below the source folder.
    #[schemars(regex(pattern = r"^[A-Za-z0-9_][A-Za-z0-9_./-]*\.py$"))]
    pub entrypoint: Spanned<String>,
    /// The framework whose image of the cloud's own it runs in.
    pub framework: Option<Framework>,
    /// The image that it runs in, or one a cloud.
    pub image: Option<ImageNode>,
    /// What it runs on.
    #[serde(default)]
    pub compute: Compute,
    /// What it runs on, by name.
    #[serde(default)]
    pub instance: PerCloud,
    /// What the script gets as `--name value`; may hold expressions.
    #[serde(default)]
    pub hyperparameters: IndexMap<Spanned<String>, Node>,
    /// URIs by channel: `train` is a folder at `MLPIPE_DATA_TRAIN`. May hold expressions.
    #[serde(default)]
    pub data: IndexMap<Spanned<String>, Node>,
    /// Longest run; `1d` where nothing is written.
    pub max_duration: Option<Duration>,
    /// On machines that the cloud may take back, for less.
    #[serde(default)]
    pub spot: bool,
}

/// Serves a model.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = super::schema::one_runtime)]
pub struct Endpoint {
    /// The endpoint's name. The same name again is the same endpoint, updated in place.
    #[schemars(regex(pattern = r"^[a-z][a-z0-9-]{0,19}$"))]
    pub name: Spanned<String>,
    /// The URI of the model of each variant that has none of its own; may hold expressions.
    pub model: Option<Node>,
    /// The framework whose serving container of the cloud's own it runs in.
    pub framework: Option<Framework>,
    /// The serving container's image, or one a cloud.
    pub image: Option<ImageNode>,
    /// Production variants by name; one called `main` where nothing is written.
    #[serde(default)]
    pub variants: IndexMap<Spanned<String>, Variant>,
    /// How the number of instances of each variant follows the load.
    pub autoscale: Option<Spanned<Autoscale>>,
}

/// A production variant: a model on instances of its own, with a share of the requests.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    /// The URI of its model; may hold expressions. The endpoint's where nothing is written.
    pub model: Option<Node>,
    /// What it runs on.
    #[serde(default)]
    pub compute: Compute,
    /// What it runs on, by name.
    #[serde(default)]
    pub instance: PerCloud,
    /// Its share of the requests, against the weights of the others; 1 where nothing is written.
    #[schemars(range(min = 0, max = 1_000_000))]
    pub weight: Option<Spanned<f64>>,
}

/// How many instances serve.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Autoscale {
    /// Fewest instances of a variant.
    #[schemars(range(min = 1, max = 1000))]
    pub min: u32,
    /// Most instances of a variant.
    #[schemars(range(min = 1, max = 1000))]
    pub max: u32,
    /// Requests a minute that one instance should have; 100 where nothing is written.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub target_invocations: Option<u32>,
}

/// Predictions for files.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = super::schema::one_runtime)]
pub struct BatchPredict {
    /// The model's URI; may hold expressions.
    pub model: Node,
    /// The URI of a folder of `.csv` and `.jsonl` files; may hold expressions.
    pub input: Node,
    /// The URI of the folder that the predictions go to; may hold expressions.
    pub output: Node,
    /// The framework that the model is of.
    pub framework: Option<Framework>,
    /// The image that it runs in, or one a cloud.
    pub image: Option<ImageNode>,
    /// What it runs on.
    #[serde(default)]
    pub compute: Compute,
    /// What it runs on, by name.
    #[serde(default)]
    pub instance: PerCloud,
    /// Longest run; `1d` where nothing is written.
    pub max_duration: Option<Duration>,
}

/// Watches an endpoint.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Monitor {
    /// The name of an endpoint that a step of this file creates.
    pub endpoint: Spanned<String>,
    /// The URI of a CSV file with the features as they were in training, under a line of their names; may hold expressions.
    pub baseline: Option<Node>,
    /// When it looks: minute, hour, day of month, month, day of week, in UTC.
    #[schemars(extend("examples" = ["0 * * * *"]))]
    pub schedule: Spanned<String>,
    /// Tells of features that moved away from the baseline.
    pub drift: Option<Spanned<Drift>>,
    /// Tells of answers that take too long.
    pub latency: Option<Latency>,
    /// Tells where more than this share of the requests fails: 0.01 is one in a hundred.
    #[schemars(range(min = 0, max = 1))]
    pub error_rate: Option<f64>,
    /// The logical name of the topic that is told.
    pub alert: Spanned<String>,
}

/// How far features may move away from the baseline.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Drift {
    /// Greatest distance of a feature.
    #[schemars(range(min = 0))]
    pub threshold: f64,
    /// How the distance is measured; what the cloud's monitor measures by itself where nothing is written.
    pub metric: Option<Spanned<DriftMetric>>,
}

/// Distances between two distributions of a feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum DriftMetric {
    /// Jensen-Shannon divergence, from 0 to 1.
    JensenShannon,
    /// Population stability index, from 0.
    Psi,
    /// Greatest difference of the shares of one bin (L-infinity), from 0 to 1.
    LInfinity,
}

/// How long answers may take.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Latency {
    /// The 95th percentile of a window, in milliseconds.
    #[schemars(range(min = 1))]
    pub p95_ms: f64,
}

/// A framework and its version.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Framework {
    /// Which.
    pub name: FrameworkName,
    /// Its version, in quotes: `"1.2"`.
    #[schemars(regex(pattern = r"^[0-9]+(\.[0-9]+)*$"))]
    pub version: Spanned<String>,
}

/// The frameworks that every cloud has images of.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum FrameworkName {
    /// scikit-learn.
    Sklearn,
    /// XGBoost.
    Xgboost,
    /// PyTorch.
    Pytorch,
    /// TensorFlow.
    Tensorflow,
}

/// What a step runs on: the smallest instances that have all of it.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Compute {
    /// Virtual CPUs, at least.
    #[schemars(range(min = 0.25, max = 1024))]
    pub cpu: Option<f64>,
    /// Memory, at least.
    pub memory: Option<Memory>,
    /// GPUs of each instance.
    pub gpu: Option<Gpu>,
    /// Instances; 1 where nothing is written.
    #[schemars(range(min = 1, max = 100))]
    pub count: Option<Spanned<u32>>,
}

/// GPUs of an instance.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gpu {
    /// Which.
    #[serde(rename = "type")]
    pub kind: GpuKind,
    /// How many, at least; 1 where nothing is written.
    #[schemars(range(min = 1, max = 16))]
    pub count: Option<u32>,
}

/// Types of GPU.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum GpuKind {
    /// NVIDIA T4.
    T4,
    /// NVIDIA V100.
    V100,
    /// NVIDIA A10G.
    A10g,
    /// NVIDIA L4.
    L4,
    /// NVIDIA A100.
    A100,
    /// NVIDIA H100.
    H100,
}

/// A name a cloud.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PerCloud {
    /// On AWS.
    pub aws: Option<String>,
    /// On Google Cloud.
    pub gcp: Option<String>,
    /// On Azure.
    pub azure: Option<String>,
}

/// A container's image, the same on all clouds or one a cloud.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct ImageNode(pub Node);

impl JsonSchema for ImageNode {
    fn schema_name() -> Cow<'static, str> {
        "Image".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "object"],
            "description": "A container's image, or `{ aws, gcp, azure }` with one a cloud.",
            "examples": ["docker.io/acme/prepare:1.4", { "aws": "123456789012.dkr.ecr.eu-central-1.amazonaws.com/prepare:1.4" }]
        })
    }
}

/// Publishes a message to a topic.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Notify {
    /// The topic's logical name.
    pub topic: Spanned<String>,
    /// The text; may hold expressions.
    pub message: Node,
}

/// Waits for a person's answer.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// The logical name of the topic that the request is published to. An approval needs one.
    pub topic: Option<Spanned<String>>,
    /// What the person reads; may hold expressions. The step's name where nothing is written.
    pub message: Option<Node>,
    /// How long to wait for the answer, then the step fails with `timeout`; `7d` where nothing is written.
    pub timeout: Option<Duration>,
}

/// Runs another pipeline.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Child {
    /// The other pipeline's file, relative to this one.
    #[schemars(extend("examples" = ["prepare/pipeline.yaml"]))]
    pub file: Spanned<String>,
    /// Its params, by name.
    #[serde(default)]
    pub params: IndexMap<Spanned<String>, Node>,
}

/// How a step follows skips of what it needs.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Join {
    /// Skipped when any was.
    All,
    /// Skipped when all were.
    Any,
}

/// More attempts after a failure.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// How often the step is tried, the first try included.
    #[schemars(range(min = 1, max = 1000))]
    pub attempts: u32,
    /// Wait before the second try; `1s` where nothing is written.
    pub delay: Option<Duration>,
    /// Factor from one wait to the next; 2 where nothing is written.
    #[schemars(range(min = 1, max = 100))]
    pub backoff: Option<f64>,
    /// Longest wait; `60s` where nothing is written.
    pub max_delay: Option<Duration>,
    /// Which errors are tried again: names of errors, `transient`, `timeout`, `all`; `[transient]` where nothing is written.
    pub on: Option<Vec<String>>,
}

/// What to expect of a run.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// How long the step usually takes.
    pub duration: Duration,
}

/// A step written in place: exactly one kind.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = super::schema::one_kind_of_handler)]
pub struct Handler {
    /// What it does.
    pub description: Option<String>,
    /// Runs your code.
    pub function: Option<Function>,
    /// Publishes a message to a topic.
    pub notify: Option<Notify>,
    /// What the function receives.
    pub input: Option<Spanned<Node>>,
    /// More attempts after a failure.
    pub retry: Option<Spanned<Retry>>,
    /// Longest time of one attempt.
    pub timeout: Option<Spanned<Duration>>,
}

/// What only one target needs.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Targets {
    /// AWS.
    #[serde(default)]
    pub aws: Aws,
    /// Google Cloud.
    #[serde(default)]
    pub gcp: Gcp,
    /// Azure.
    #[serde(default)]
    pub azure: Azure,
    /// `mlpipe run`.
    #[serde(default)]
    pub local: Local,
}

/// What only AWS needs.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Aws {
    /// The region, such as `eu-central-1`.
    #[schemars(regex(pattern = r"^[a-z]{2}(-[a-z]+)+-[0-9]$"))]
    pub region: Option<String>,
}

/// What only Google Cloud needs.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gcp {
    /// The project's id.
    pub project: Option<String>,
    /// The region, such as `europe-west6`.
    pub region: Option<String>,
}

/// What only Azure needs.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Azure {
    /// The location, such as `westeurope`.
    pub location: Option<String>,
}

/// What only `mlpipe run` needs.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Local {
    /// The folder that stands for a bucket, relative to this file; `.mlpipe/buckets/<name>` where nothing is written.
    #[serde(default)]
    pub buckets: IndexMap<Spanned<String>, String>,
    /// What runs the containers of `job` steps; `docker` where nothing is written.
    pub containers: Option<Containers>,
}

/// What runs containers.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Containers {
    /// Docker.
    Docker,
    /// Podman.
    Podman,
    /// Nothing: a job's command runs as a plain process.
    Process,
}
