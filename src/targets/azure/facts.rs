//! Azure's facts: `targets/azure/*.yaml`, compiled in.

use std::sync::LazyLock;

use serde::Deserialize;

/// `limits.yaml`.
#[derive(Debug, Default, Deserialize)]
pub struct Limits {
    /// Versions of runtimes that Flex Consumption has.
    pub runtimes: Runtimes,
    /// Sizes of an instance of Flex Consumption.
    pub instance_memory: InstanceMemory,
    /// Names of functions.
    pub function_name: FunctionName,
    /// Resources in one template.
    pub template_resources: TemplateResources,
    /// Names that a package may not have.
    pub taken_packages: TakenPackages,
}

/// Versions of runtimes.
#[derive(Debug, Default, Deserialize)]
pub struct Runtimes {
    /// Of Python: `3.12`, ascending.
    pub python: Vec<String>,
}

/// Sizes of an instance.
#[derive(Debug, Default, Deserialize)]
pub struct InstanceMemory {
    /// In MiB, ascending.
    pub mib: Vec<u64>,
}

/// Names of functions.
#[derive(Debug, Default, Deserialize)]
pub struct FunctionName {
    /// In characters.
    pub longest: usize,
}

/// Resources in one template.
#[derive(Debug, Default, Deserialize)]
pub struct TemplateResources {
    /// At most.
    pub most: usize,
}

/// Names of modules beside the packages.
#[derive(Debug, Default, Deserialize)]
pub struct TakenPackages {
    /// Without `.py`.
    pub names: Vec<String>,
    /// What further ones start with.
    pub start: String,
}

/// `resources.yaml`.
#[derive(Debug, Default, Deserialize)]
pub struct Resources {
    /// Versions of the providers' APIs.
    pub api_versions: ApiVersions,
    /// Ids of built-in roles.
    pub roles: Roles,
}

/// A version for each provider that the template uses.
#[derive(Debug, Default, Deserialize)]
pub struct ApiVersions {
    /// Microsoft.App
    pub app: String,
    /// Microsoft.Authorization
    pub authorization: String,
    /// Microsoft.ContainerRegistry
    pub container_registry: String,
    /// Microsoft.Resources/deployments
    pub deployments: String,
    /// Microsoft.EventGrid
    pub event_grid: String,
    /// Microsoft.Insights/components
    pub insights: String,
    /// Microsoft.KeyVault
    pub key_vault: String,
    /// Microsoft.MachineLearningServices
    pub machine_learning: String,
    /// Microsoft.ManagedIdentity
    pub managed_identity: String,
    /// Microsoft.OperationalInsights
    pub operational_insights: String,
    /// Microsoft.Storage
    pub storage: String,
    /// Microsoft.Web
    pub web: String,
}

/// Ids of built-in roles.
#[derive(Debug, Default, Deserialize)]
pub struct Roles {
    /// AcrPull.
    pub acr_pull: String,
    /// AzureML Data Scientist.
    pub azureml_data_scientist: String,
    /// AzureML Metrics Writer (preview).
    pub azureml_metrics_writer: String,
    /// Container Apps Jobs Operator.
    pub container_apps_jobs_operator: String,
    /// EventGrid Data Sender.
    pub event_grid_data_sender: String,
    /// Key Vault Secrets User
    pub key_vault_secrets_user: String,
    /// Managed Identity Operator.
    pub managed_identity_operator: String,
    /// Monitoring Reader
    pub monitoring_reader: String,
    /// Monitoring Metrics Publisher
    pub monitoring_metrics_publisher: String,
    /// Storage Blob Data Contributor
    pub storage_blob_data_contributor: String,
    /// Storage Blob Data Owner
    pub storage_blob_data_owner: String,
    /// Storage Blob Data Reader.
    pub storage_blob_data_reader: String,
    /// Storage Queue Data Contributor
    pub storage_queue_data_contributor: String,
    /// Storage Table Data Contributor
    pub storage_table_data_contributor: String,
}

// A test holds that both files parse.

/// What Azure allows.
pub static LIMITS: LazyLock<Limits> =
    LazyLock::new(|| serde_yaml::from_str(include_str!("../../../targets/azure/limits.yaml")).unwrap_or_default());

/// What the template refers to.
pub static RESOURCES: LazyLock<Resources> =
    LazyLock::new(|| serde_yaml::from_str(include_str!("../../../targets/azure/resources.yaml")).unwrap_or_default());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_parse() {
        assert_eq!(LIMITS.instance_memory.mib, [512, 2048, 4096]);
        assert_eq!(RESOURCES.roles.storage_blob_data_owner.len(), 36);
    }
}
