//! `main.json`: the ARM template.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::facts::{LIMITS, RESOURCES};
use super::functions::Starter;
use super::limits::{self, AzureProblem};
use super::names::{self, Place};
use super::orchestrator::account_setting;
use crate::diagnostics::Problems;
use crate::expr::Type;
use crate::model::{Bucket, Pipeline, TriggerKind};

const SCHEMA: &str = "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#";
const APP_ID: &str = "resourceId('Microsoft.Web/sites', variables('app'))";
const HOST: &str = "hostStorage";

/// The template.
pub fn template(pipeline: &Pipeline, starters: &[Starter<'_>], problems: &mut Problems) -> Value {
    let accounts = Accounts::of(pipeline);
    let existing = existing_buckets(pipeline);
    let mut resources = monitoring();
    resources.extend(host_storage());
    for versioned in accounts.versioned() {
        resources.extend(accounts.resources(versioned));
    }
    resources.extend(function_app(pipeline, &accounts));
    resources.extend(host_roles());
    resources.extend(accounts.roles());
    resources.extend(existing.iter().map(|bucket| grant_existing(bucket)));
    if !pipeline.secrets.is_empty() {
        resources.extend(key_vault());
    }
    resources.extend(event_grid(pipeline, starters));
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
        "variables": variables(pipeline, &accounts),
        "resources": resources,
        "outputs": outputs(pipeline),
    })
}

/// True where an Event Grid subscription starts the pipeline.
pub fn delivers_events(starters: &[Starter<'_>]) -> bool {
    starters
        .iter()
        .any(|starter| matches!(starter.trigger.kind, TriggerKind::ObjectCreated { .. }))
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
    if delivers_events(starters) {
        parameters.insert(
            "deliverEvents".to_owned(),
            json!({
                "type": "bool",
                "defaultValue": false,
                "metadata": {"description": "Subscribe the app to new objects: true once its code is published."},
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

fn variables(pipeline: &Pipeline, accounts: &Accounts<'_>) -> Value {
    let mut variables = Map::new();
    let mut add = |name: &str, value: String| variables.insert(name.to_owned(), Value::from(value));
    add(
        "suffix",
        format!("[uniqueString(resourceGroup().id, '{}')]", pipeline.name),
    );
    add("app", format!("[concat('{}-', variables('suffix'))]", pipeline.name));
    add(HOST, "[concat('host', variables('suffix'))]".to_owned());
    for versioned in accounts.versioned() {
        let prefix = if versioned { "kept" } else { "data" };
        add(
            account_variable(versioned),
            format!("[concat('{prefix}', variables('suffix'))]"),
        );
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
        let name = format!("bucket_{}", names::identifier(&bucket.id));
        match names::place(bucket) {
            Place::Made { versioned, container } => {
                let account = account_variable(versioned);
                add(
                    &name,
                    format!("[concat('abfs://{container}@', variables('{account}'), '.dfs.core.windows.net')]"),
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
    if !pipeline.secrets.is_empty() {
        add("keyVault", "[variables('keyVault')]".to_owned());
    }
    Value::Object(outputs)
}

/// A literal string: one that starts with a bracket would be taken for an expression.
fn text(value: &str) -> String {
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

fn account_id(variable: &str) -> String {
    format!("resourceId('Microsoft.Storage/storageAccounts', variables('{variable}'))")
}

fn blob_service_id(variable: &str) -> String {
    format!("resourceId('Microsoft.Storage/storageAccounts/blobServices', variables('{variable}'), 'default')")
}

fn container_id(variable: &str, container: &str) -> String {
    format!(
        "resourceId('Microsoft.Storage/storageAccounts/blobServices/containers', variables('{variable}'), 'default', '{container}')"
    )
}

/// A storage account that takes no keys, with its blob service.
fn storage_account(variable: &str, versioned: bool) -> Vec<Value> {
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

fn container(variable: &str, name: &str) -> Value {
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

fn account_variable(versioned: bool) -> &'static str {
    if versioned { "versionedStorage" } else { "dataStorage" }
}

/// The accounts of new buckets: versions of blobs are kept for a whole account or not at all, so there may be two.
struct Accounts<'a> {
    buckets: BTreeMap<bool, Vec<(&'a Bucket, String)>>,
}

impl<'a> Accounts<'a> {
    fn of(pipeline: &'a Pipeline) -> Self {
        let mut buckets: BTreeMap<bool, Vec<_>> = BTreeMap::new();
        for bucket in &pipeline.buckets {
            if let Place::Made { versioned, container } = names::place(bucket) {
                buckets.entry(versioned).or_default().push((bucket, container));
            }
        }
        Self { buckets }
    }

    /// The accounts there are, by whether they keep versions.
    fn versioned(&self) -> impl Iterator<Item = bool> {
        self.buckets.keys().copied()
    }

    fn buckets(&self, versioned: bool) -> &[(&'a Bucket, String)] {
        self.buckets.get(&versioned).map_or(&[], Vec::as_slice)
    }

    fn resources(&self, versioned: bool) -> Vec<Value> {
        let variable = account_variable(versioned);
        let buckets = self.buckets(versioned);
        let mut resources = storage_account(variable, versioned);
        resources.extend(buckets.iter().map(|(_, name)| container(variable, name)));
        let rules: Vec<Value> = buckets
            .iter()
            .filter_map(|(bucket, name)| lifecycle_rule(bucket, name))
            .collect();
        if !rules.is_empty() {
            resources.push(json!({
                "type": "Microsoft.Storage/storageAccounts/managementPolicies",
                "apiVersion": RESOURCES.api_versions.storage,
                "name": format!("[concat(variables('{variable}'), '/default')]"),
                "properties": {"policy": {"rules": rules}},
                "dependsOn": [format!("[{}]", account_id(variable)), format!("[{}]", blob_service_id(variable))],
            }));
        }
        resources
    }

    /// The app reads and writes each bucket, and no other container.
    fn roles(&self) -> Vec<Value> {
        let all = self
            .buckets
            .iter()
            .flat_map(|(versioned, buckets)| buckets.iter().map(move |bucket| (*versioned, bucket)));
        all.map(|(versioned, (_, name))| {
            let scope = container_id(account_variable(versioned), name);
            role(&scope, &RESOURCES.roles.storage_blob_data_contributor)
        })
        .collect()
    }
}

fn lifecycle_rule(bucket: &Bucket, container: &str) -> Option<Value> {
    let days = bucket.expire_after_days?;
    let mut actions = Map::new();
    actions.insert(
        "baseBlob".to_owned(),
        json!({"delete": {"daysAfterModificationGreaterThan": days}}),
    );
    if bucket.versioning {
        actions.insert(
            "version".to_owned(),
            json!({"delete": {"daysAfterCreationGreaterThan": days}}),
        );
    }
    Some(json!({
        "enabled": true,
        "name": format!("expire-{container}"),
        "type": "Lifecycle",
        "definition": {
            "filters": {"blobTypes": ["blockBlob"], "prefixMatch": [format!("{container}/")]},
            "actions": actions,
        },
    }))
}

fn function_app(pipeline: &Pipeline, accounts: &Accounts<'_>) -> Vec<Value> {
    let api = &RESOURCES.api_versions;
    let plan = "resourceId('Microsoft.Web/serverfarms', variables('app'))";
    let insights = "resourceId('Microsoft.Insights/components', variables('app'))";
    let host_blobs = format!(
        "reference({}, '{}').primaryEndpoints.blob",
        account_id(HOST),
        api.storage
    );
    let runtime = pipeline.functions().first().map_or("3.12".to_owned(), |function| {
        limits::python_version(&function.call.runtime).to_owned()
    });
    let mut settings = vec![
        ("AzureWebJobsStorage__accountName", format!("[variables('{HOST}')]")),
        (
            "APPLICATIONINSIGHTS_CONNECTION_STRING",
            format!("[reference({insights}, '{}').ConnectionString]", api.insights),
        ),
        (
            "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
            "Authorization=AAD".to_owned(),
        ),
    ];
    if !pipeline.buckets.is_empty() {
        // adlfs, which opens abfs:// for fsspec, uses no identity unless told so.
        settings.push(("AZURE_STORAGE_ANON", "false".to_owned()));
    }
    for versioned in accounts.versioned() {
        settings.push((
            account_setting(versioned),
            format!("[variables('{}')]", account_variable(versioned)),
        ));
    }
    let mut depends_on = vec![plan.to_owned(), insights.to_owned(), container_id(HOST, "deployments")];
    if !pipeline.secrets.is_empty() {
        let vault = "resourceId('Microsoft.KeyVault/vaults', variables('keyVault'))";
        settings.push((
            "MLPIPE_KEY_VAULT_URL",
            format!("[reference({vault}, '{}').vaultUri]", api.key_vault),
        ));
        depends_on.push(vault.to_owned());
    }
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
            "identity": {"type": "SystemAssigned"},
            "properties": {
                "serverFarmId": format!("[{plan}]"),
                "httpsOnly": true,
                "siteConfig": {"minTlsVersion": "1.2", "appSettings": settings},
                "functionAppConfig": {
                    "deployment": {
                        "storage": {
                            "type": "blobContainer",
                            "value": format!("[concat({host_blobs}, 'deployments')]"),
                            "authentication": {"type": "SystemAssignedIdentity"},
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
fn role(scope: &str, id: &str) -> Value {
    json!({
        "type": "Microsoft.Authorization/roleAssignments",
        "apiVersion": RESOURCES.api_versions.authorization,
        "name": format!("[guid({scope}, variables('app'), '{id}')]"),
        "scope": format!("[{scope}]"),
        "properties": role_properties(&principal(), id),
        "dependsOn": [format!("[{scope}]"), format!("[{APP_ID}]")],
    })
}

fn principal() -> String {
    format!(
        "[reference({APP_ID}, '{}', 'Full').identity.principalId]",
        RESOURCES.api_versions.web
    )
}

fn role_properties(principal: &str, id: &str) -> Value {
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

/// A bucket in an account that is the user's.
struct Existing<'a> {
    bucket: &'a Bucket,
    account: &'a str,
    container: &'a str,
}

impl Existing<'_> {
    /// The parameter with the resource group of its account.
    fn group_parameter(&self) -> String {
        format!("{}_resourceGroup", names::identifier(&self.bucket.id))
    }
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
fn deployment(bucket: &Existing<'_>, name: &str, parameters: &[(&str, String)], resource: &Value) -> Value {
    let declared: Map<String, Value> = parameters
        .iter()
        .map(|(name, _)| ((*name).to_owned(), json!({"type": "string"})))
        .collect();
    let values: Map<String, Value> = parameters
        .iter()
        .map(|(name, value)| ((*name).to_owned(), json!({"value": value})))
        .collect();
    json!({
        "type": "Microsoft.Resources/deployments",
        "apiVersion": RESOURCES.api_versions.deployments,
        "name": name,
        "resourceGroup": format!("[parameters('{}')]", bucket.group_parameter()),
        "properties": {
            "mode": "Incremental",
            "expressionEvaluationOptions": {"scope": "inner"},
            "parameters": values,
            "template": {
                "$schema": SCHEMA,
                "contentVersion": "1.0.0.0",
                "parameters": declared,
                "resources": [resource],
            },
        },
        "dependsOn": [format!("[{APP_ID}]")],
    })
}

fn grant_existing(bucket: &Existing<'_>) -> Value {
    let scope = format!(
        "resourceId('Microsoft.Storage/storageAccounts/blobServices/containers', '{}', 'default', '{}')",
        bucket.account, bucket.container
    );
    let id = &RESOURCES.roles.storage_blob_data_contributor;
    let resource = json!({
        "type": "Microsoft.Authorization/roleAssignments",
        "apiVersion": RESOURCES.api_versions.authorization,
        "name": format!("[guid({scope}, parameters('principalId'), '{id}')]"),
        "scope": format!("[{scope}]"),
        "properties": role_properties("[parameters('principalId')]", id),
    });
    let name = format!("grant-{}", bucket.bucket.id.replace('_', "-"));
    deployment(bucket, &name, &[("principalId", principal())], &resource)
}

/// The subscriptions of the starters. An account has one system topic.
fn event_grid(pipeline: &Pipeline, starters: &[Starter<'_>]) -> Vec<Value> {
    let mut resources = Vec::new();
    let mut topics = BTreeSet::new();
    for starter in starters {
        let TriggerKind::ObjectCreated { bucket, prefix, suffix } = &starter.trigger.kind else {
            continue;
        };
        let Some(bucket) = pipeline.buckets.iter().find(|other| other.id == *bucket) else {
            continue;
        };
        match names::place(bucket) {
            Place::Made { versioned, container } => {
                let variable = account_variable(versioned);
                let topic = format!("resourceId('Microsoft.EventGrid/systemTopics', variables('{variable}'))");
                if topics.insert(versioned) {
                    resources.push(system_topic(variable));
                }
                let function = format!("{APP_ID}, '/functions/{}'", starter.name);
                resources.push(json!({
                    "condition": "[parameters('deliverEvents')]",
                    "type": "Microsoft.EventGrid/systemTopics/eventSubscriptions",
                    "apiVersion": RESOURCES.api_versions.event_grid,
                    "name": format!("[concat(variables('{variable}'), '/{}')]", starter.id),
                    "properties": subscription(&format!("[concat({function})]"), &container, prefix, suffix),
                    "dependsOn": [format!("[{topic}]"), format!("[{APP_ID}]")],
                }));
            }
            Place::Existing { account, container } => {
                let existing = Existing {
                    bucket,
                    account,
                    container,
                };
                let resource = json!({
                    "type": "Microsoft.EventGrid/eventSubscriptions",
                    "apiVersion": RESOURCES.api_versions.event_grid,
                    "name": format!("{}-{}", pipeline.name, starter.id),
                    "scope": format!("[resourceId('Microsoft.Storage/storageAccounts', '{account}')]"),
                    "properties": subscription("[parameters('functionId')]", container, prefix, suffix),
                });
                let function = format!("[concat({APP_ID}, '/functions/{}')]", starter.name);
                let mut deployment = deployment(&existing, &starter.id, &[("functionId", function)], &resource);
                if let Some(fields) = deployment.as_object_mut() {
                    fields.shift_insert(0, "condition".to_owned(), json!("[parameters('deliverEvents')]"));
                }
                resources.push(deployment);
            }
        }
    }
    resources
}

fn system_topic(variable: &str) -> Value {
    json!({
        "type": "Microsoft.EventGrid/systemTopics",
        "apiVersion": RESOURCES.api_versions.event_grid,
        "name": format!("[variables('{variable}')]"),
        "location": "[parameters('location')]",
        "properties": {
            "source": format!("[{}]", account_id(variable)),
            "topicType": "Microsoft.Storage.StorageAccounts",
        },
        "dependsOn": [format!("[{}]", account_id(variable))],
    })
}

/// New objects of one container. Blobs are there when one of these calls has ended: an account with a hierarchical
/// namespace also tells of their beginning (Microsoft Learn, "Azure Blob Storage as an Event Grid source").
fn subscription(function: &str, container: &str, prefix: &str, suffix: &str) -> Value {
    let mut filter = json!({
        "includedEventTypes": ["Microsoft.Storage.BlobCreated"],
        "isSubjectCaseSensitive": true,
        "subjectBeginsWith": format!("/blobServices/default/containers/{container}/blobs/{prefix}"),
    });
    if let Some(fields) = filter.as_object_mut() {
        if !suffix.is_empty() {
            fields.insert("subjectEndsWith".to_owned(), Value::from(text(suffix)));
        }
        fields.insert(
            "advancedFilters".to_owned(),
            json!([{
                "operatorType": "StringIn",
                "key": "data.api",
                "values": ["PutBlob", "PutBlockList", "CopyBlob", "FlushWithClose"],
            }]),
        );
    }
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
