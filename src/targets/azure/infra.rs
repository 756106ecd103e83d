//! `main.json`: the ARM template.

use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use super::facts::{LIMITS, RESOURCES};
use super::functions::{self, Starter, all_functions};
use super::jobs;
use super::limits::{self, AzureProblem};
use super::monitoring;
use super::names::{self, Place};
use super::orchestrator::ACCOUNT_SETTING;
use super::serving::{self, SERVING_IDENTITY_ID};
use super::training;
use crate::diagnostics::Problems;
use crate::expr::Type;
use crate::model::{Bucket, Pipeline, Topic, TriggerKind, identifier};

const SCHEMA: &str = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#";
const APP_ID: &str = "resourceId('Microsoft.Web/sites', variables('app'))";
/// The app's identity.
pub const IDENTITY_ID: &str = "resourceId('Microsoft.ManagedIdentity/userAssignedIdentities', variables('app'))";
/// The identity of what runs outside of the app.
pub const JOBS_IDENTITY_ID: &str =
    "resourceId('Microsoft.ManagedIdentity/userAssignedIdentities', concat(variables('app'), '-jobs'))";
const HOST: &str = "hostStorage";
const DATA: &str = "dataStorage";

/// The template.
pub fn template(pipeline: &Pipeline, starters: &[Starter<'_>], problems: &mut Problems) -> Value {
    let made = made_buckets(pipeline);
    let existing = existing_buckets(pipeline);
    let mut resources = monitoring();
    resources.extend(host_storage());
    resources.extend(data_storage(&made));
    resources.push(identity("variables('app')"));
    resources.extend(host_roles());
    let roles = &RESOURCES.roles;
    let mut identities = vec![("grant", IDENTITY_ID, &roles.storage_blob_data_contributor)];
    let trains = training::used(pipeline);
    if trains || jobs::all(pipeline).next().is_some() {
        resources.push(identity("concat(variables('app'), '-jobs')"));
        identities.push(("grant-jobs", JOBS_IDENTITY_ID, &roles.storage_blob_data_contributor));
    }
    if serving::used(pipeline) {
        resources.push(identity("concat(variables('app'), '-serving')"));
        identities.push(("grant-serving", SERVING_IDENTITY_ID, &roles.storage_blob_data_reader));
    }
    for (grant, identity, id) in identities {
        let of_made = made
            .iter()
            .map(|(_, name)| role_of(identity, &container_id(DATA, name), id));
        resources.extend(of_made);
        resources.extend(
            existing
                .iter()
                .map(|bucket| grant_existing(bucket, grant, identity, id)),
        );
    }
    if !pipeline.secrets.is_empty() {
        resources.extend(key_vault());
    }
    for topic in &pipeline.topics {
        resources.extend(custom_topic(pipeline, topic));
    }
    resources.extend(jobs::resources(pipeline));
    resources.extend(training::resources(pipeline));
    resources.extend(serving::resources(pipeline));
    resources.extend(function_app(pipeline, !made.is_empty()));
    resources.extend(event_grid(pipeline, starters));
    resources.extend(monitoring::resources(pipeline, APP_ID));
    if !pipeline.labels.is_empty() {
        resources
            .iter_mut()
            .for_each(|resource| tag(resource, &pipeline.labels));
    }
    if resources.len() > LIMITS.template_resources.most {
        problems.push(AzureProblem::Resources {
            most: LIMITS.template_resources.most,
            found: resources.len(),
        });
    }
    json!({
        "$schema": SCHEMA,
        "contentVersion": "1.0.0.0",
        "parameters": parameters(pipeline, starters, &existing),
        "variables": variables(pipeline, !made.is_empty()),
        "resources": resources,
        "outputs": outputs(pipeline),
    })
}

/// Tags a resource with the labels. What has a location is a resource of its own, and takes tags; the rest belongs to one.
fn tag(resource: &mut Value, labels: &IndexMap<String, String>) {
    if let Some(fields) = resource.as_object_mut()
        && let Some(at) = fields.keys().position(|key| key == "location")
    {
        match fields.get_mut("tags").and_then(Value::as_object_mut) {
            Some(tags) => tags.extend(labels.iter().map(|(name, value)| (name.clone(), json!(value)))),
            None => {
                fields.shift_insert(at + 1, "tags".to_owned(), json!(labels));
            }
        }
    }
}

/// True where an Event Grid subscription calls the app.
pub fn delivers_events(pipeline: &Pipeline, starters: &[Starter<'_>]) -> bool {
    let mut starters = starters.iter();
    monitoring::drifts(pipeline)
        || starters.any(|starter| {
            matches!(
                starter.trigger.kind,
                TriggerKind::ObjectCreated { .. } | TriggerKind::Topic { .. }
            )
        })
}

/// A value of the type, for an example.
pub fn example_value(ty: &Type) -> Value {
    match ty {
        Type::Any | Type::Null | Type::Optional(_) => Value::Null,
        Type::Boolean => Value::Bool(false),
        Type::Integer | Type::Number => Value::from(1),
        Type::String => Value::from("…"),
        Type::List(_) => Value::Array(Vec::new()),
        Type::Object(fields) => Value::Object(
            fields
                .iter()
                .map(|(name, ty)| (name.clone(), example_value(ty)))
                .collect(),
        ),
    }
}

fn parameters(pipeline: &Pipeline, starters: &[Starter<'_>], existing: &[Existing<'_>]) -> Value {
    let location = pipeline
        .targets
        .azure
        .location
        .as_deref()
        .map_or("[resourceGroup().location]".to_owned(), text);
    let mut parameters = Map::new();
    parameters.insert(
        "location".to_owned(),
        json!({"type": "string", "defaultValue": location, "metadata": {"description": "Where everything is made."}}),
    );
    if delivers_events(pipeline, starters) {
        parameters.insert(
            "deliverEvents".to_owned(),
            json!({
                "type": "bool",
                "defaultValue": false,
                "metadata": {"description": "Subscribe the app to the events that start it: true once its code is published."},
            }),
        );
    }
    for bucket in existing {
        parameters.insert(
            bucket.group_parameter(),
            json!({
                "type": "string",
                "defaultValue": "[resourceGroup().name]",
                "metadata": {"description": format!("The resource group of the storage account {}.", bucket.account)},
            }),
        );
    }
    Value::Object(parameters)
}

fn variables(pipeline: &Pipeline, has_data: bool) -> Value {
    let mut variables = Map::new();
    let mut add = |name: &str, value: String| variables.insert(name.to_owned(), Value::from(value));
    add(
        "suffix",
        format!("[uniqueString(resourceGroup().id, '{}')]", pipeline.name),
    );
    add("app", format!("[concat('{}-', variables('suffix'))]", pipeline.name));
    add(HOST, "[concat('host', variables('suffix'))]".to_owned());
    if has_data {
        add(DATA, "[concat('data', variables('suffix'))]".to_owned());
    }
    if training::has_workspace(pipeline) {
        add(training::STORAGE, "[concat('ml', variables('suffix'))]".to_owned());
    }
    if !pipeline.secrets.is_empty() {
        add("keyVault", "[concat('kv-', variables('suffix'))]".to_owned());
    }
    Value::Object(variables)
}

fn outputs(pipeline: &Pipeline) -> Value {
    let mut outputs = Map::new();
    let mut add =
        |name: &str, value: String| outputs.insert(name.to_owned(), json!({"type": "string", "value": value}));
    add("functionApp", "[variables('app')]".to_owned());
    let site = format!("reference({APP_ID}, '{}')", RESOURCES.api_versions.web);
    add("url", format!("[concat('https://', {site}.defaultHostName)]"));
    for bucket in &pipeline.buckets {
        let name = format!("bucket_{}", identifier(&bucket.id));
        match names::place(bucket) {
            Place::Made { container } => {
                add(
                    &name,
                    format!("[concat('abfs://{container}@', variables('{DATA}'), '.dfs.core.windows.net')]"),
                );
            }
            Place::Existing { account, container } => {
                add(
                    &name,
                    text(&format!("abfs://{container}@{account}.dfs.core.windows.net")),
                );
            }
        }
    }
    for topic in &pipeline.topics {
        add(
            &format!("topic_{}", identifier(&topic.id)),
            format!("[{}]", topic_name(pipeline, topic)),
        );
    }
    if training::has_workspace(pipeline) {
        add("trainingStorage", format!("[variables('{}')]", training::STORAGE));
    }
    if !pipeline.secrets.is_empty() {
        add("keyVault", "[variables('keyVault')]".to_owned());
    }
    Value::Object(outputs)
}

/// A literal string: one that starts with a bracket would be taken for an expression.
pub fn text(value: &str) -> String {
    if value.starts_with('[') {
        format!("[{value}")
    } else {
        value.to_owned()
    }
}

fn monitoring() -> Vec<Value> {
    let api = &RESOURCES.api_versions;
    let workspace = "resourceId('Microsoft.OperationalInsights/workspaces', variables('app'))";
    vec![
        json!({
            "type": "Microsoft.OperationalInsights/workspaces",
            "apiVersion": api.operational_insights,
            "name": "[variables('app')]",
            "location": "[parameters('location')]",
            "properties": {"sku": {"name": "PerGB2018"}, "retentionInDays": 30},
        }),
        json!({
            "type": "Microsoft.Insights/components",
            "apiVersion": api.insights,
            "name": "[variables('app')]",
            "location": "[parameters('location')]",
            "kind": "web",
            "properties": {
                "Application_Type": "web",
                "WorkspaceResourceId": format!("[{workspace}]"),
                "DisableLocalAuth": true,
            },
            "dependsOn": [format!("[{workspace}]")],
        }),
    ]
}

/// An account.
pub fn account_id(variable: &str) -> String {
    format!("resourceId('Microsoft.Storage/storageAccounts', variables('{variable}'))")
}

fn blob_service_id(variable: &str) -> String {
    format!("resourceId('Microsoft.Storage/storageAccounts/blobServices', variables('{variable}'), 'default')")
}

/// A container of an account.
pub fn container_id(variable: &str, container: &str) -> String {
    format!(
        "resourceId('Microsoft.Storage/storageAccounts/blobServices/containers', variables('{variable}'), 'default', '{container}')"
    )
}

/// A storage account that takes no keys, with its blob service.
pub fn storage_account(variable: &str, versioned: bool) -> Vec<Value> {
    let api = &RESOURCES.api_versions.storage;
    vec![
        json!({
            "type": "Microsoft.Storage/storageAccounts",
            "apiVersion": api,
            "name": format!("[variables('{variable}')]"),
            "location": "[parameters('location')]",
            "sku": {"name": "Standard_LRS"},
            "kind": "StorageV2",
            "properties": {
                "allowBlobPublicAccess": false,
                "allowSharedKeyAccess": false,
                "minimumTlsVersion": "TLS1_2",
                "supportsHttpsTrafficOnly": true,
            },
        }),
        json!({
            "type": "Microsoft.Storage/storageAccounts/blobServices",
            "apiVersion": api,
            "name": format!("[concat(variables('{variable}'), '/default')]"),
            "properties": if versioned { json!({"isVersioningEnabled": true}) } else { json!({}) },
            "dependsOn": [format!("[{}]", account_id(variable))],
        }),
    ]
}

/// A container that nobody else reads.
pub fn container(variable: &str, name: &str) -> Value {
    json!({
        "type": "Microsoft.Storage/storageAccounts/blobServices/containers",
        "apiVersion": RESOURCES.api_versions.storage,
        "name": format!("[concat(variables('{variable}'), '/default/{name}')]"),
        "properties": {"publicAccess": "None"},
        "dependsOn": [format!("[{}]", blob_service_id(variable))],
    })
}

/// The account of the host: the app's package, and the queues and tables of Durable Functions.
fn host_storage() -> Vec<Value> {
    let mut resources = storage_account(HOST, false);
    resources.push(container(HOST, "deployments"));
    resources
}

/// The account of the new buckets, a container each. Versions of blobs are kept for a whole account or not at all: where one
/// bucket keeps them, the others' are deleted after a day. So a bucket that starts to keep versions stays where it is, which
/// is why the account has no hierarchical namespace, beside which there are no versions.
fn data_storage(buckets: &[(&Bucket, String)]) -> Vec<Value> {
    if buckets.is_empty() {
        return Vec::new();
    }
    let versioned = buckets.iter().any(|(bucket, _)| bucket.versioning);
    let mut resources = storage_account(DATA, versioned);
    resources.extend(buckets.iter().map(|(_, name)| container(DATA, name)));
    let rules: Vec<Value> = buckets
        .iter()
        .filter_map(|(bucket, name)| lifecycle_rule(bucket, name, versioned))
        .collect();
    if !rules.is_empty() {
        resources.push(json!({
            "type": "Microsoft.Storage/storageAccounts/managementPolicies",
            "apiVersion": RESOURCES.api_versions.storage,
            "name": format!("[concat(variables('{DATA}'), '/default')]"),
            "properties": {"policy": {"rules": rules}},
            "dependsOn": [format!("[{}]", account_id(DATA)), format!("[{}]", blob_service_id(DATA))],
        }));
    }
    resources
}

fn lifecycle_rule(bucket: &Bucket, container: &str, versioned: bool) -> Option<Value> {
    let mut actions = Map::new();
    if let Some(days) = bucket.expire_after_days {
        actions.insert(
            "baseBlob".to_owned(),
            json!({"delete": {"daysAfterModificationGreaterThan": days}}),
        );
    }
    let version_days = if bucket.versioning {
        bucket.expire_after_days
    } else {
        versioned.then_some(1)
    };
    if let Some(days) = version_days {
        actions.insert(
            "version".to_owned(),
            json!({"delete": {"daysAfterCreationGreaterThan": days}}),
        );
    }
    (!actions.is_empty()).then(|| {
        json!({
            "enabled": true,
            "name": format!("expire-{container}"),
            "type": "Lifecycle",
            "definition": {
                "filters": {"blobTypes": ["blockBlob"], "prefixMatch": [format!("{container}/")]},
                "actions": actions,
            },
        })
    })
}

/// An identity, apart from what has it: an app that is made anew finds its roles.
fn identity(name: &str) -> Value {
    json!({
        "type": "Microsoft.ManagedIdentity/userAssignedIdentities",
        "apiVersion": RESOURCES.api_versions.managed_identity,
        "name": format!("[{name}]"),
        "location": "[parameters('location')]",
    })
}

fn function_app(pipeline: &Pipeline, has_data: bool) -> Vec<Value> {
    let api = &RESOURCES.api_versions;
    let plan = "resourceId('Microsoft.Web/serverfarms', variables('app'))";
    let insights = "resourceId('Microsoft.Insights/components', variables('app'))";
    let host_blobs = format!(
        "reference({}, '{}').primaryEndpoints.blob",
        account_id(HOST),
        api.storage
    );
    let runtime = all_functions(pipeline).first().map_or("3.12".to_owned(), |function| {
        limits::python_version(&function.call.runtime).to_owned()
    });
    let client_id = format!("reference({IDENTITY_ID}, '{}').clientId", api.managed_identity);
    let mut settings = vec![
        ("AzureWebJobsStorage__accountName", format!("[variables('{HOST}')]")),
        ("AzureWebJobsStorage__credential", "managedidentity".to_owned()),
        ("AzureWebJobsStorage__clientId", format!("[{client_id}]")),
        (
            "APPLICATIONINSIGHTS_CONNECTION_STRING",
            format!("[reference({insights}, '{}').ConnectionString]", api.insights),
        ),
        (
            "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
            format!("[concat('ClientId=', {client_id}, ';Authorization=AAD')]"),
        ),
        // The identity that azure-identity finds.
        ("AZURE_CLIENT_ID", format!("[{client_id}]")),
    ];
    if !pipeline.buckets.is_empty() {
        // adlfs, which opens abfs:// for fsspec, uses no identity unless told so.
        settings.push(("AZURE_STORAGE_ANON", "false".to_owned()));
    }
    if has_data {
        settings.push((ACCOUNT_SETTING, format!("[variables('{DATA}')]")));
    }
    let mut depends_on = vec![
        plan.to_owned(),
        insights.to_owned(),
        IDENTITY_ID.to_owned(),
        account_id(HOST),
        container_id(HOST, "deployments"),
    ];
    if !pipeline.secrets.is_empty() {
        let vault = "resourceId('Microsoft.KeyVault/vaults', variables('keyVault'))";
        settings.push((
            "MLPIPE_KEY_VAULT_URL",
            format!("[reference({vault}, '{}').vaultUri]", api.key_vault),
        ));
        depends_on.push(vault.to_owned());
    }
    if training::used(pipeline) {
        depends_on.push(JOBS_IDENTITY_ID.to_owned());
    }
    // By name: endpoints and their monitors may tell the same.
    let jobs: IndexMap<String, String> = jobs::all(pipeline)
        .map(|(member, step, _)| {
            let id = jobs::id(pipeline, member, step);
            (jobs::setting(member, step), format!("[{id}]"))
        })
        .chain(training::settings(pipeline))
        .chain(monitoring::settings(pipeline))
        .chain(serving::settings(pipeline))
        .collect();
    settings.extend(jobs.iter().map(|(name, value)| (name.as_str(), value.clone())));
    let topics: Vec<[(String, String); 2]> = pipeline
        .topics
        .iter()
        .map(|topic| {
            let id = topic_id(pipeline, topic);
            depends_on.push(id.clone());
            let [name, endpoint] = names::topic_settings(topic);
            [
                (name, format!("[{}]", topic_name(pipeline, topic))),
                (endpoint, format!("[reference({id}, '{}').endpoint]", api.event_grid)),
            ]
        })
        .collect();
    let topics = topics.iter().flatten();
    settings.extend(topics.map(|(name, value)| (name.as_str(), value.clone())));
    let settings: Vec<Value> = settings
        .into_iter()
        .map(|(name, value)| json!({"name": name, "value": value}))
        .collect();
    let depends_on: Vec<String> = depends_on.into_iter().map(|id| format!("[{id}]")).collect();
    vec![
        json!({
            "type": "Microsoft.Web/serverfarms",
            "apiVersion": api.web,
            "name": "[variables('app')]",
            "location": "[parameters('location')]",
            "kind": "functionapp",
            "sku": {"name": "FC1", "tier": "FlexConsumption"},
            "properties": {"reserved": true},
        }),
        json!({
            "type": "Microsoft.Web/sites",
            "apiVersion": api.web,
            "name": "[variables('app')]",
            "location": "[parameters('location')]",
            "kind": "functionapp,linux",
            "identity": {"type": "UserAssigned", "userAssignedIdentities": {format!("[{IDENTITY_ID}]"): {}}},
            "properties": {
                "serverFarmId": format!("[{plan}]"),
                "httpsOnly": true,
                "siteConfig": {"minTlsVersion": "1.2", "http20Enabled": true, "appSettings": settings},
                "functionAppConfig": {
                    "deployment": {
                        "storage": {
                            "type": "blobContainer",
                            "value": format!("[concat({host_blobs}, 'deployments')]"),
                            "authentication": {
                                "type": "UserAssignedIdentity",
                                "userAssignedIdentityResourceId": format!("[{IDENTITY_ID}]"),
                            },
                        },
                    },
                    "scaleAndConcurrency": {
                        "maximumInstanceCount": 100,
                        "instanceMemoryMB": limits::instance_memory(pipeline),
                    },
                    "runtime": {"name": "python", "version": runtime},
                },
            },
            "dependsOn": depends_on,
        }),
    ]
}

/// A role of the app's identity on a resource.
pub fn role(scope: &str, id: &str) -> Value {
    role_of(IDENTITY_ID, scope, id)
}

/// A role of an identity on a resource.
pub fn role_of(identity: &str, scope: &str, id: &str) -> Value {
    json!({
        "type": "Microsoft.Authorization/roleAssignments",
        "apiVersion": RESOURCES.api_versions.authorization,
        "name": format!("[guid({scope}, {identity}, '{id}')]"),
        "scope": format!("[{scope}]"),
        "properties": role_properties(identity, id),
        "dependsOn": [format!("[{scope}]"), format!("[{identity}]")],
    })
}

fn role_properties(identity: &str, id: &str) -> Value {
    let principal = format!(
        "[reference({identity}, '{}').principalId]",
        RESOURCES.api_versions.managed_identity
    );
    json!({
        "roleDefinitionId": format!("[subscriptionResourceId('Microsoft.Authorization/roleDefinitions', '{id}')]"),
        "principalId": principal,
        "principalType": "ServicePrincipal",
    })
}

/// What the Functions host and Durable Functions need (Microsoft Learn, "Configure Durable Functions with managed identity").
fn host_roles() -> Vec<Value> {
    let roles = &RESOURCES.roles;
    let storage = account_id(HOST);
    vec![
        role(&storage, &roles.storage_blob_data_owner),
        role(&storage, &roles.storage_queue_data_contributor),
        role(&storage, &roles.storage_table_data_contributor),
        role(
            "resourceId('Microsoft.Insights/components', variables('app'))",
            &roles.monitoring_metrics_publisher,
        ),
    ]
}

fn key_vault() -> Vec<Value> {
    let vault = "resourceId('Microsoft.KeyVault/vaults', variables('keyVault'))";
    vec![
        json!({
            "type": "Microsoft.KeyVault/vaults",
            "apiVersion": RESOURCES.api_versions.key_vault,
            "name": "[variables('keyVault')]",
            "location": "[parameters('location')]",
            "properties": {
                "tenantId": "[subscription().tenantId]",
                "sku": {"family": "A", "name": "standard"},
                "enableRbacAuthorization": true,
            },
        }),
        role(vault, &RESOURCES.roles.key_vault_secrets_user),
    ]
}

/// The name of a topic, as an expression.
fn topic_name(pipeline: &Pipeline, topic: &Topic) -> String {
    let stem = names::topic_stem(topic);
    format!(
        "concat('{stem}-', uniqueString(resourceGroup().id, '{}', '{}'))",
        pipeline.name, topic.id
    )
}

fn topic_id(pipeline: &Pipeline, topic: &Topic) -> String {
    format!(
        "resourceId('Microsoft.EventGrid/topics', {})",
        topic_name(pipeline, topic)
    )
}

/// A topic that takes no keys, and the app's right to publish to it where it does.
fn custom_topic(pipeline: &Pipeline, topic: &Topic) -> Vec<Value> {
    let publishes = pipeline
        .family()
        .into_iter()
        .any(|member| functions::published_topics(member).any(|published| published == topic.id));
    let role = publishes.then(|| role(&topic_id(pipeline, topic), &RESOURCES.roles.event_grid_data_sender));
    let mut resources = vec![json!({
        "type": "Microsoft.EventGrid/topics",
        "apiVersion": RESOURCES.api_versions.event_grid,
        "name": format!("[{}]", topic_name(pipeline, topic)),
        "location": "[parameters('location')]",
        "properties": {"inputSchema": "EventGridSchema", "disableLocalAuth": true, "minimumTlsVersionAllowed": "1.2"},
    })];
    resources.extend(role);
    resources
}

/// A bucket in an account that is the user's.
struct Existing<'a> {
    bucket: &'a Bucket,
    account: &'a str,
    container: &'a str,
}

impl Existing<'_> {
    /// The parameter with the resource group of its account.
    fn group_parameter(&self) -> String {
        format!("{}_resourceGroup", identifier(&self.bucket.id))
    }
}

fn made_buckets(pipeline: &Pipeline) -> Vec<(&Bucket, String)> {
    let places = pipeline.buckets.iter().map(|bucket| (bucket, names::place(bucket)));
    places
        .filter_map(|(bucket, place)| match place {
            Place::Made { container } => Some((bucket, container)),
            Place::Existing { .. } => None,
        })
        .collect()
}

fn existing_buckets(pipeline: &Pipeline) -> Vec<Existing<'_>> {
    let places = pipeline.buckets.iter().map(|bucket| (bucket, names::place(bucket)));
    places
        .filter_map(|(bucket, place)| match place {
            Place::Existing { account, container } => Some(Existing {
                bucket,
                account,
                container,
            }),
            Place::Made { .. } => None,
        })
        .collect()
}

/// A deployment into the resource group of an existing account: resources of another group need one of their own.
/// Its expressions are evaluated in the outer template.
fn deployment(bucket: &Existing<'_>, name: &str, resource: &Value, depends_on: &str) -> Value {
    json!({
        "type": "Microsoft.Resources/deployments",
        "apiVersion": RESOURCES.api_versions.deployments,
        "name": format!("[concat('{name}-', variables('suffix'))]"),
        "resourceGroup": format!("[parameters('{}')]", bucket.group_parameter()),
        "properties": {
            "mode": "Incremental",
            "template": {
                "$schema": SCHEMA,
                "contentVersion": "1.0.0.0",
                "resources": [resource],
            },
        },
        "dependsOn": [format!("[{depends_on}]")],
    })
}

fn grant_existing(bucket: &Existing<'_>, grant: &str, identity: &str, id: &str) -> Value {
    let scope = format!(
        "resourceId(parameters('{}'), 'Microsoft.Storage/storageAccounts/blobServices/containers', '{}', 'default', '{}')",
        bucket.group_parameter(),
        bucket.account,
        bucket.container
    );
    let resource = json!({
        "type": "Microsoft.Authorization/roleAssignments",
        "apiVersion": RESOURCES.api_versions.authorization,
        "name": format!("[guid({scope}, {identity}, '{id}')]"),
        "scope": format!("[{scope}]"),
        "properties": role_properties(identity, id),
    });
    let name = format!("{grant}-{}", bucket.bucket.id.replace('_', "-"));
    deployment(bucket, &name, &resource, identity)
}

/// The subscriptions of the starters. An account has one system topic.
fn event_grid(pipeline: &Pipeline, starters: &[Starter<'_>]) -> Vec<Value> {
    let mut resources = Vec::new();
    let mut has_topic = false;
    for starter in starters {
        let (bucket, prefix, suffix) = match &starter.trigger.kind {
            TriggerKind::ObjectCreated { bucket, prefix, suffix } => (bucket, prefix, suffix),
            TriggerKind::Topic { topic } => {
                let topic = pipeline.topics.iter().find(|other| other.id == *topic);
                resources.extend(topic.map(|topic| topic_subscription(pipeline, topic, starter)));
                continue;
            }
            TriggerKind::Schedule { .. } | TriggerKind::Http => continue,
        };
        let Some(bucket) = pipeline.buckets.iter().find(|other| other.id == *bucket) else {
            continue;
        };
        let function = starter_function(starter);
        match names::place(bucket) {
            Place::Made { container } => {
                if !has_topic {
                    resources.push(system_topic());
                    has_topic = true;
                }
                resources.push(json!({
                    "condition": "[parameters('deliverEvents')]",
                    "type": "Microsoft.EventGrid/systemTopics/eventSubscriptions",
                    "apiVersion": RESOURCES.api_versions.event_grid,
                    "name": format!("[concat(variables('{DATA}'), '/{}')]", starter.id),
                    "properties": subscription(&function, &container, prefix, suffix, false),
                    "dependsOn": [format!("[{TOPIC_ID}]"), format!("[{APP_ID}]")],
                }));
            }
            Place::Existing { account, container } => {
                let existing = Existing {
                    bucket,
                    account,
                    container,
                };
                let group = existing.group_parameter();
                let resource = json!({
                    "type": "Microsoft.EventGrid/eventSubscriptions",
                    "apiVersion": RESOURCES.api_versions.event_grid,
                    "name": format!("{}-{}", pipeline.name, starter.id),
                    "scope": format!("[resourceId(parameters('{group}'), 'Microsoft.Storage/storageAccounts', '{account}')]"),
                    "properties": subscription(&function, container, prefix, suffix, true),
                });
                let mut deployment = deployment(&existing, &starter.id, &resource, APP_ID);
                if let Some(fields) = deployment.as_object_mut() {
                    fields.shift_insert(0, "condition".to_owned(), json!("[parameters('deliverEvents')]"));
                }
                resources.push(deployment);
            }
        }
    }
    resources
}

/// The function of a starter.
fn starter_function(starter: &Starter<'_>) -> String {
    format!("[concat({APP_ID}, '/functions/{}')]", starter.name)
}

/// Every message on a topic of the stack.
fn topic_subscription(pipeline: &Pipeline, topic: &Topic, starter: &Starter<'_>) -> Value {
    json!({
        "condition": "[parameters('deliverEvents')]",
        "type": "Microsoft.EventGrid/topics/eventSubscriptions",
        "apiVersion": RESOURCES.api_versions.event_grid,
        "name": format!("[concat({}, '/{}')]", topic_name(pipeline, topic), starter.id),
        "properties": delivery(&starter_function(starter), json!({})),
        "dependsOn": [format!("[{}]", topic_id(pipeline, topic)), format!("[{APP_ID}]")],
    })
}

const TOPIC_ID: &str = "resourceId('Microsoft.EventGrid/systemTopics', variables('dataStorage'))";

fn system_topic() -> Value {
    json!({
        "type": "Microsoft.EventGrid/systemTopics",
        "apiVersion": RESOURCES.api_versions.event_grid,
        "name": format!("[variables('{DATA}')]"),
        "location": "[parameters('location')]",
        "properties": {
            "source": format!("[{}]", account_id(DATA)),
            "topicType": "Microsoft.Storage.StorageAccounts",
        },
        "dependsOn": [format!("[{}]", account_id(DATA))],
    })
}

/// New objects of one container. An account that may have a hierarchical namespace also tells of files that were begun
/// and hold nothing yet (Microsoft Learn, "Azure Blob Storage as an Event Grid source").
fn subscription(function: &str, container: &str, prefix: &str, suffix: &str, hierarchical: bool) -> Value {
    let mut filter = Map::new();
    filter.insert(
        "includedEventTypes".to_owned(),
        json!(["Microsoft.Storage.BlobCreated"]),
    );
    filter.insert("isSubjectCaseSensitive".to_owned(), Value::Bool(true));
    filter.insert(
        "subjectBeginsWith".to_owned(),
        Value::from(format!("/blobServices/default/containers/{container}/blobs/{prefix}")),
    );
    if !suffix.is_empty() {
        filter.insert("subjectEndsWith".to_owned(), Value::from(text(suffix)));
    }
    if hierarchical {
        let begun = json!({"operatorType": "StringNotIn", "key": "data.api", "values": ["CreateFile", "SftpCreate"]});
        filter.insert("advancedFilters".to_owned(), json!([begun]));
    }
    delivery(function, Value::Object(filter))
}

/// What an event subscription tells: one event a call, tried again for a day.
pub fn delivery(function: &str, filter: Value) -> Value {
    json!({
        "destination": {
            "endpointType": "AzureFunction",
            "properties": {"resourceId": function, "maxEventsPerBatch": 1, "preferredBatchSizeInKilobytes": 64},
        },
        "filter": filter,
        "eventDeliverySchema": "EventGridSchema",
        "retryPolicy": {"maxDeliveryAttempts": 30, "eventTimeToLiveInMinutes": 1440},
    })
}
