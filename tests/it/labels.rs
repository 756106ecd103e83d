//! Labels reach every resource of every cloud that takes them, and leave no trace where there are none.

use serde_json::{Value, json};

use crate::cli::{Project, code, stderr, stdout};

const PIPELINE: &str = r#"mlpipe: v1
name: demo
labels: { team: risk, cost-center: "1234" }
buckets: { raw: {} }
secrets: { api_key: {} }
triggers:
  - object_created: { bucket: raw }
  - schedule: { cron: "0 3 * * *" }
steps:
  a: { function: { handler: work.a } }
"#;

fn file(pipeline: &str, name: &str) -> String {
    let project = Project::new(pipeline, "def a(input):\n    return input\n");
    let output = project.mlpipe(&["compile", "pipeline.yaml", "--stdout", name]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    stdout(&output)
}

fn labels() -> Value {
    json!({ "team": "risk", "cost-center": "1234" })
}

fn without() -> String {
    PIPELINE
        .lines()
        .filter(|line| !line.starts_with("labels"))
        .map(|line| format!("{line}\n"))
        .collect()
}

#[test]
fn aws_tags_every_resource_that_takes_tags() {
    let template: Value = serde_yaml::from_str(&file(PIPELINE, "template.yaml")).expect("YAML");
    assert_eq!(template["Globals"]["Function"]["Tags"], labels());
    let list = json!([{ "Key": "team", "Value": "risk" }, { "Key": "cost-center", "Value": "1234" }]);
    for (id, resource) in template["Resources"].as_object().expect("resources") {
        let tags = &resource["Properties"]["Tags"];
        match resource["Type"].as_str().expect("a type") {
            "AWS::Serverless::Function" => assert!(tags.is_null(), "{id} has them from the globals"),
            "AWS::Serverless::StateMachine" => {
                assert_eq!(*tags, labels(), "{id}");
                assert_eq!(
                    resource["Properties"]["PropagateTags"], true,
                    "the role and the rule are SAM's"
                );
            }
            "AWS::S3::BucketPolicy" => assert!(tags.is_null(), "{id} takes none"),
            _ => assert_eq!(*tags, list, "{id}"),
        }
    }
    assert!(!file(&without(), "template.yaml").contains("Tags"));
}

#[test]
fn the_google_provider_has_the_labels_as_its_defaults() {
    let terraform: Value = serde_json::from_str(&file(PIPELINE, "main.tf.json")).expect("JSON");
    assert_eq!(terraform["provider"]["google"]["default_labels"], labels());
    assert!(!file(&without(), "main.tf.json").contains("labels"));
}

#[test]
fn azure_tags_every_resource_of_its_own() {
    let template: Value = serde_json::from_str(&file(PIPELINE, "main.json")).expect("JSON");
    let mut tagged = Vec::new();
    for resource in template["resources"].as_array().expect("resources") {
        let kind = resource["type"].as_str().expect("a type");
        if resource["tags"].is_null() {
            // Parts of another resource, and roles.
            assert!(
                kind.matches('/').count() > 1 || kind.ends_with("roleAssignments"),
                "{kind}"
            );
        } else {
            assert_eq!(resource["tags"], labels(), "{kind}");
            tagged.push(kind.rsplit('/').next().unwrap_or(kind));
        }
    }
    for kind in [
        "workspaces",
        "components",
        "storageAccounts",
        "userAssignedIdentities",
        "vaults",
        "serverfarms",
        "sites",
        "systemTopics",
    ] {
        assert!(tagged.contains(&kind), "{kind} is not among {tagged:?}");
    }
    assert!(!file(&without(), "main.json").contains("tags"));
}
