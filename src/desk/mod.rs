//! What mlpipe keeps beside a pipeline file for the services that it stands for on the desk: endpoints, what they were
//! asked, monitors, messages. The engine writes it, `mlpipe serve` serves and checks it, `mlpipe status` shows it.

pub mod drift;
pub mod serve;
pub mod watch;

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::model::DriftMetric;

/// Where `mlpipe serve` listens unless it is told otherwise.
pub const PORT: u16 = 8080;

/// How drift is measured on the desk where the file does not say.
pub const METRIC: DriftMetric = DriftMetric::JensenShannon;

/// The files that a model folder may hold, one of which is the model.
const MODEL_FILES: [&str; 10] = [
    "serving.py",
    "model.joblib",
    "model.pkl",
    "model.json",
    "model.ubj",
    "model.bst",
    "model.pt",
    "model.keras",
    "saved_model.pb",
    "model.tar.gz",
];

/// True where a folder holds a model that can be loaded by its name.
pub fn holds_model(folder: &Path) -> bool {
    MODEL_FILES.iter().any(|name| folder.join(name).exists())
}

/// An endpoint that a run made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EndpointRecord {
    /// Its name.
    pub name: String,
    /// The framework of its models and the version; None: an image of the user's.
    pub framework: Option<(String, String)>,
    /// At least one.
    pub variants: Vec<VariantRecord>,
    /// True where its requests are kept.
    pub captured: bool,
}

/// A variant of an endpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VariantRecord {
    /// Its name.
    pub name: String,
    /// The URI of its model's folder.
    pub model: String,
    /// Its share of the requests.
    pub weight: f64,
}

/// A monitor that a run set up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MonitorRecord {
    /// The pipeline's name.
    pub pipeline: String,
    /// The step's path.
    pub step: String,
    /// The endpoint's name.
    pub endpoint: String,
    /// The CSV file of the baseline.
    pub baseline: Option<PathBuf>,
    /// A cron line of five fields, in UTC.
    pub schedule: String,
    /// Greatest distance of a feature.
    pub drift: Option<f64>,
    /// How the distance is measured.
    pub metric: Metric,
    /// Bound of the latency's 95th percentile.
    pub latency_p95_ms: Option<f64>,
    /// Bound of the share of failed requests.
    pub error_rate: Option<f64>,
    /// The topic that is told.
    pub alert: String,
    /// What the last check found; None: there was none.
    pub last: Option<watch::Check>,
}

/// A distance, by its name in the language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Jensen-Shannon divergence.
    JensenShannon,
    /// Population stability index.
    Psi,
    /// Greatest difference of the shares of one bin.
    LInfinity,
}

impl From<DriftMetric> for Metric {
    fn from(metric: DriftMetric) -> Self {
        match metric {
            DriftMetric::JensenShannon => Self::JensenShannon,
            DriftMetric::Psi => Self::Psi,
            DriftMetric::LInfinity => Self::LInfinity,
        }
    }
}

/// A message to a topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notification {
    /// RFC 3339, UTC.
    pub time: String,
    /// The topic's id.
    pub topic: String,
    /// The text.
    pub message: String,
    /// The pipeline and the step that sent it: `churn.reject`.
    pub from: String,
}

/// The folder of it all.
#[derive(Clone, Debug)]
pub struct Desk {
    folder: PathBuf,
}

impl Desk {
    /// That of the pipelines in a folder.
    pub fn beside(folder: &Path) -> Self {
        Self {
            folder: folder.join(crate::engine::interpreter::WORK_FOLDER),
        }
    }

    /// Keeps an endpoint, in place of one of that name.
    pub fn write_endpoint(&self, record: &EndpointRecord) -> Result<(), String> {
        write(&self.endpoint_file(&record.name), record)
    }

    /// Where an endpoint's record is.
    pub fn endpoint_file(&self, name: &str) -> PathBuf {
        self.folder.join("endpoints").join(format!("{name}.json"))
    }

    /// Where the server's own files are.
    pub fn server_folder(&self) -> PathBuf {
        self.folder.join("serve")
    }

    /// All endpoints, by name.
    pub fn endpoints(&self) -> Result<Vec<EndpointRecord>, String> {
        read_all(&self.folder.join("endpoints"))
    }

    /// Where the requests to an endpoint are kept, a JSON value a line.
    pub fn captured_file(&self, endpoint: &str) -> PathBuf {
        self.folder.join("captured").join(format!("{endpoint}.jsonl"))
    }

    /// Keeps a monitor; what its last check found stays.
    pub fn write_monitor(&self, record: &MonitorRecord) -> Result<(), String> {
        let file = self
            .folder
            .join("monitors")
            .join(format!("{}.{}.json", record.pipeline, record.step));
        let mut record = record.clone();
        if record.last.is_none() {
            record.last = read::<MonitorRecord>(&file).ok().and_then(|earlier| earlier.last);
        }
        write(&file, &record)
    }

    /// All monitors, by pipeline and step.
    pub fn monitors(&self) -> Result<Vec<MonitorRecord>, String> {
        read_all(&self.folder.join("monitors"))
    }

    /// Those of an endpoint.
    pub fn monitors_of(&self, endpoint: &str) -> Result<Vec<MonitorRecord>, String> {
        let mut monitors = self.monitors()?;
        monitors.retain(|monitor| monitor.endpoint == endpoint);
        Ok(monitors)
    }

    /// Adds to the log of messages.
    pub fn notify(&self, notification: &Notification) -> Result<(), String> {
        let file = self.notifications_file();
        let say = |error: std::io::Error| format!("cannot write `{}`: {error}", file.display());
        std::fs::create_dir_all(&self.folder).map_err(say)?;
        let mut line = serde_json::to_string(notification).map_err(|error| error.to_string())?;
        line.push('\n');
        // One write of a line: those of several runs do not mix.
        let mut log = OpenOptions::new().append(true).create(true).open(&file).map_err(say)?;
        log.write_all(line.as_bytes()).map_err(say)
    }

    /// All messages, the oldest first. A line that is no message is left out.
    pub fn notifications(&self) -> Vec<Notification> {
        let text = std::fs::read_to_string(self.notifications_file()).unwrap_or_default();
        text.lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    fn notifications_file(&self) -> PathBuf {
        self.folder.join("notifications.jsonl")
    }
}

/// Whole or not at all.
fn write(file: &Path, value: &impl Serialize) -> Result<(), String> {
    let say = |error: std::io::Error| format!("cannot write `{}`: {error}", file.display());
    let folder = file.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(say)?;
    let mut staged = tempfile::NamedTempFile::new_in(folder).map_err(say)?;
    let text = serde_json::to_string_pretty(value).map_err(|error| error.to_string())?;
    writeln!(staged, "{text}").map_err(say)?;
    staged.persist(file).map_err(|error| say(error.error))?;
    Ok(())
}

fn read<T: DeserializeOwned>(file: &Path) -> Result<T, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("cannot read `{}`: {error}", file.display()))?;
    serde_json::from_str(&text).map_err(|error| format!("cannot read `{}`: {error}", file.display()))
}

fn read_all<T: DeserializeOwned>(folder: &Path) -> Result<Vec<T>, String> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Ok(Vec::new());
    };
    let mut files: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    files.sort();
    files.iter().map(|file| read(file)).collect()
}
