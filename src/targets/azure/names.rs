//! What things are called: on Azure and in the generated Python.

use std::collections::BTreeSet;

use crate::model::{Bucket, Pipeline, Topic, identifier};

/// Python's reserved words that a step may be called, and `host`, which Functions reserves.
const RESERVED: [&str; 36] = [
    "and", "as", "assert", "async", "await", "break", "class", "continue", "def", "del", "elif", "else", "except",
    "finally", "for", "from", "global", "host", "if", "import", "in", "is", "lambda", "nonlocal", "not", "or", "pass",
    "raise", "return", "try", "while", "with", "yield", "match", "case", "type",
];

/// Gives out names of functions in `function_app.py`, each once.
pub struct FunctionNames {
    taken: BTreeSet<String>,
}

impl FunctionNames {
    /// With the names that the module itself uses.
    pub fn new(used: &[&str]) -> Self {
        let taken = RESERVED.iter().chain(used).map(|&name| name.to_owned()).collect();
        Self { taken }
    }

    /// The name, with as many `_` after it as make it free.
    pub fn give(&mut self, name: &str) -> String {
        let mut name = name.to_owned();
        while !self.taken.insert(name.clone()) {
            name.push('_');
        }
        name
    }
}

/// The name of the orchestrator.
pub fn orchestrator(pipeline: &Pipeline) -> String {
    identifier(&pipeline.name)
}

/// The orchestrator of a slice of a list. No pipeline's name as an identifier, and no step's, has a dash.
pub fn items_orchestrator(pipeline: &Pipeline) -> String {
    format!("{}-items", pipeline.name)
}

/// The activity that ends a sub-orchestration.
pub const STOP: &str = "mlpipe-stop";

/// The activity that publishes to topics.
pub const PUBLISH: &str = "mlpipe-publish";

/// The orchestrator of what managed services run.
pub const SERVICE: &str = "mlpipe-service";

/// The app settings with the name and the endpoint of a topic.
pub fn topic_settings(topic: &Topic) -> [String; 2] {
    let id = identifier(&topic.id).to_ascii_uppercase();
    ["NAME", "ENDPOINT"].map(|what| format!("MLPIPE_TOPIC_{what}_{id}"))
}

/// The start of a topic's name: 3 to 50 of letters, digits and `-` (Microsoft Learn, "Naming rules for Azure resources"), of
/// which `-` and a `uniqueString` take 14. The names of a region are distinct.
pub fn topic_stem(topic: &Topic) -> String {
    topic.id.replace('_', "-").chars().take(36).collect()
}

/// The task hub: letters and digits, 3 to 45 of them (Microsoft Learn, "Task hubs in Durable Functions").
pub fn task_hub(pipeline: &Pipeline) -> String {
    let words = pipeline.name.split('-').filter(|word| !word.is_empty());
    let mut name: String = words
        .map(|word| {
            let (first, rest) = word.split_at(1);
            format!("{}{rest}", first.to_ascii_uppercase())
        })
        .collect();
    if name.len() < 3 {
        name.push_str("Hub");
    }
    name
}

/// Where a bucket lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place<'a> {
    /// In the account that the template makes.
    Made {
        /// The container.
        container: String,
    },
    /// In an account of the user's.
    Existing {
        /// The account.
        account: &'a str,
        /// The container.
        container: &'a str,
    },
}

/// Where the bucket lies. An `existing` name that is not `account/container` is taken for a container (the checks refuse it before).
pub fn place(bucket: &Bucket) -> Place<'_> {
    match bucket.existing.get("azure") {
        Some(name) => {
            let (account, container) = name.split_once('/').unwrap_or(("", name));
            Place::Existing { account, container }
        }
        None => Place::Made {
            container: container(&bucket.id),
        },
    }
}

/// The container of a new bucket; a name of less than 3 characters is lengthened.
fn container(id: &str) -> String {
    let name = id.replace('_', "-");
    if name.len() < 3 { format!("data-{name}") } else { name }
}

/// Containers: 3 to 63 of `a-z`, `0-9` and `-`, each `-` between two others (Microsoft Learn, "Naming and referencing containers").
pub fn is_container(name: &str) -> bool {
    (3..=63).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !name.starts_with('-')
        && !name.ends_with('-')
        && !name.contains("--")
}

/// Storage accounts: 3 to 24 of `a-z` and `0-9` (Microsoft Learn, "Storage account overview").
pub fn is_account(name: &str) -> bool {
    (3..=24).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}
