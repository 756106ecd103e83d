//! `docs/permissions.md` tells who may do what on each cloud, by kind of step and of trigger, as compiled from `tests/permissions`.
//! `UPDATE=1 cargo test` writes its tables.

use std::fmt::Write;
use std::process::Command;

use mlpipe::targets::Target;
use regex::Regex;
use serde_json::Value;

use crate::support::{page_is_current, root};

/// What comes after it is written by this test.
const HEADING: &str = "## What is granted\n";

/// Pipeline, title, and the pipeline whose grants are left out.
const KINDS: [(&str, &str, Option<&str>); 16] = [
    ("function", "`function`", None),
    (
        "buckets_and_secrets",
        "A bucket and a secret, beside a function",
        Some("function"),
    ),
    ("job", "`job`, with a bucket", Some("function")),
    ("train", "`train`, with a bucket", Some("function")),
    ("endpoint", "`endpoint`, with a bucket", Some("function")),
    ("batch_predict", "`batch_predict`, with a bucket", Some("function")),
    ("monitor", "`monitor`, beside an `endpoint`", Some("endpoint")),
    ("notify", "`notify`", Some("function")),
    ("approval", "`approval`", Some("function")),
    ("pipeline", "`pipeline`", Some("function")),
    ("group", "A group with a `timeout`", Some("function")),
    (
        "for_each",
        "`for_each` with a `max_concurrency` above 40",
        Some("function"),
    ),
    (
        "object_created",
        "Trigger `object_created`",
        Some("buckets_and_secrets"),
    ),
    ("schedule", "Trigger `schedule`", Some("function")),
    ("topic", "Trigger `topic`", Some("function")),
    ("http", "Trigger `http`", Some("function")),
];

/// One line of a table.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Grant {
    who: String,
    may: String,
    on: String,
    only_if: String,
}

/// The file of a target that holds its resources, or None where it leaves a kind of step out.
fn compiled(pipeline: &str, target: Target) -> Option<Value> {
    let file = match target {
        Target::Aws => "template.yaml",
        Target::Gcp => "main.tf.json",
        Target::Azure => "main.json",
    };
    let output = Command::new(env!("CARGO_BIN_EXE_mlpipe"))
        .current_dir(root().join("tests/permissions"))
        .args(["compile", &format!("{pipeline}.yaml"), "--target", target.name()])
        .args(["--stdout", file])
        .output()
        .expect("mlpipe runs");
    if output.status.success() {
        // JSON is YAML.
        return Some(serde_yaml::from_slice(&output.stdout).expect("a mapping"));
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("MLP0709"), "{pipeline} on {}: {said}", target.name());
    None
}

fn grants(pipeline: &str, target: Target) -> Option<Vec<Grant>> {
    let document = compiled(pipeline, target)?;
    let mut found = match target {
        Target::Aws => aws(&document),
        Target::Gcp => gcp(&document),
        Target::Azure => azure(&document),
    };
    found.sort();
    found.dedup();
    Some(found)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

fn list(value: &Value, shown: &dyn Fn(&Value) -> String) -> String {
    let items: Vec<String> = match value {
        Value::Array(items) => items.iter().map(shown).collect(),
        Value::Null => Vec::new(),
        one => vec![shown(one)],
    };
    items.iter().map(|item| code(item)).collect::<Vec<_>>().join(", ")
}

/// Visits an object and all objects in it.
fn walk(value: &Value, visit: &mut dyn FnMut(&serde_json::Map<String, Value>)) {
    match value {
        Value::Object(fields) => {
            visit(fields);
            fields.values().for_each(|field| walk(field, visit));
        }
        Value::Array(items) => items.iter().for_each(|item| walk(item, visit)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A value of a CloudFormation template: a resource is its logical id.
fn aws_value(value: &Value) -> String {
    if let Some(id) = value.get("Ref") {
        return match text(id) {
            "AWS::AccountId" => "ACCOUNT".to_owned(),
            id => id.to_owned(),
        };
    }
    if let Some(path) = value.get("Fn::GetAtt").and_then(Value::as_array) {
        return text(&path[0]).to_owned();
    }
    let Some(sub) = value.get("Fn::Sub") else {
        return value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    };
    let arn = Regex::new(r"\$\{(\w+)\.(?:Arn|Name)\}").expect("a regular expression");
    // Of one with values of its own, the text.
    let written = sub.get(0).unwrap_or(sub);
    arn.replace_all(text(written), "$1")
        .replace("${AWS::Partition}", "aws")
        .replace("${AWS::Region}", "REGION")
        .replace("${AWS::AccountId}", "ACCOUNT")
}

fn aws_condition(condition: &Value) -> String {
    let mut tests = Vec::new();
    for (operator, keys) in condition.as_object().into_iter().flatten() {
        for (key, value) in keys.as_object().into_iter().flatten() {
            tests.push(format!("`{key}` {operator} {}", list(value, &aws_value)));
        }
    }
    tests.join(" and ")
}

fn aws(template: &Value) -> Vec<Grant> {
    let mut found = Vec::new();
    for (id, resource) in template["Resources"].as_object().expect("resources") {
        let kind = text(&resource["Type"]);
        let properties = &resource["Properties"];
        // SAM names the role that it makes after the resource.
        let holder = match kind {
            "AWS::IAM::ManagedPolicy" if properties["Roles"].is_array() => list(&properties["Roles"], &aws_value),
            _ if kind.starts_with("AWS::Serverless::") => code(&format!("{id}Role")),
            _ => code(id),
        };
        walk(properties, &mut |fields| {
            let statements = fields.get("Statement").and_then(Value::as_array);
            found.extend(
                statements
                    .into_iter()
                    .flatten()
                    .map(|statement| aws_statement(statement, &holder)),
            );
        });
        for (name, event) in properties["Events"].as_object().into_iter().flatten() {
            let service = match text(&event["Type"]) {
                "EventBridgeRule" => "events",
                "ScheduleV2" => "scheduler",
                "Api" => "apigateway",
                other => panic!("who starts the state machine on an event {other}?"),
            };
            found.push(Grant {
                who: format!("{} (`{service}.amazonaws.com`)", code(&format!("{id}{name}Role"))),
                may: code("states:StartExecution"),
                on: code(id),
                only_if: String::new(),
            });
        }
    }
    found
}

fn aws_statement(statement: &Value, holder: &str) -> Grant {
    let principal = &statement["Principal"];
    let (who, on) = match principal {
        Value::Null => (holder.to_owned(), list(&statement["Resource"], &aws_value)),
        Value::Object(kinds) => {
            let who: Vec<String> = kinds.values().map(|names| list(names, &aws_value)).collect();
            (who.join(", "), list(&statement["Resource"], &aws_value))
        }
        anyone => (list(anyone, &aws_value), list(&statement["Resource"], &aws_value)),
    };
    let actions = list(&statement["Action"], &aws_value);
    Grant {
        who,
        may: match text(&statement["Effect"]) {
            "Allow" => actions,
            _ => format!("**not** {actions}"),
        },
        // A role's own statements have no resource: it is the role.
        on: if on.is_empty() { holder.to_owned() } else { on },
        only_if: aws_condition(&statement["Condition"]),
    }
}

/// `${google_storage_bucket.raw.name}` is `google_storage_bucket.raw`.
fn gcp_value(value: &Value) -> String {
    let reference = Regex::new(r"^\$\{(.*)\.\w+\}$").expect("a regular expression");
    if text(value) == "${var.project}" {
        return "PROJECT".to_owned();
    }
    reference
        .captures(text(value))
        .map_or_else(|| text(value).to_owned(), |found| found[1].to_owned())
}

fn gcp(document: &Value) -> Vec<Grant> {
    let mut found = Vec::new();
    for (kind, resources) in document["resource"].as_object().expect("resources") {
        assert!(
            !kind.ends_with("_iam_binding") && !kind.ends_with("_iam_policy"),
            "{kind} takes rights from others"
        );
        if !kind.ends_with("_iam_member") {
            continue;
        }
        for body in resources.as_object().expect("resources by name").values() {
            let fields = body.as_object().expect("fields").iter();
            let other = [
                "role",
                "member",
                "condition",
                "depends_on",
                "for_each",
                "location",
                "region",
            ];
            let on = fields.filter(|(name, _)| !other.contains(&name.as_str()));
            let on: Vec<String> = on.map(|(_, value)| code(&gcp_value(value))).collect();
            found.push(Grant {
                who: code(&gcp_value(&body["member"])),
                may: code(text(&body["role"])),
                on: on.join(", "),
                only_if: match &body["condition"] {
                    Value::Null => String::new(),
                    condition => code(text(&condition["expression"])),
                },
            });
        }
    }
    found
}

/// `resourceId('Microsoft.Web/sites', variables('app'))` is `Microsoft.Web/sites` and `app`.
fn azure_resource(expression: &str) -> String {
    let id = Regex::new(r"resourceId\((?:parameters\('\w+'\), )?'([\w./]+)', (.*)\)").expect("a regular expression");
    let Some(found) = id.captures(expression) else {
        return code(expression);
    };
    let unique = Regex::new(r"concat\('([^']*)', uniqueString\(.*\)\)").expect("a regular expression");
    let variable = Regex::new(r"variables\('(\w+)'\)").expect("a regular expression");
    let names = unique.replace_all(&found[2], "${1}…");
    let names = variable.replace_all(&names, "$1");
    let names = names.split("), ").next().unwrap_or_default();
    let names: Vec<&str> = names.split(", ").map(|name| name.trim_matches('\'')).collect();
    format!("`{}` `{}`", &found[1], names.join("/"))
}

fn azure(template: &Value) -> Vec<Grant> {
    let facts = std::fs::read_to_string(root().join("targets/azure/resources.yaml")).expect("the facts");
    let facts: Value = serde_yaml::from_str(&facts).expect("YAML");
    let roles = facts["roles"].as_object().expect("roles");
    let mut found = Vec::new();
    walk(&template["resources"], &mut |fields| {
        if fields.get("type").map(text) != Some("Microsoft.Authorization/roleAssignments") {
            return;
        }
        let properties = &fields["properties"];
        let definition = text(&properties["roleDefinitionId"]);
        let role = roles.iter().find(|(_, id)| definition.contains(text(id)));
        let (role, _) = role.unwrap_or_else(|| panic!("resources.yaml has no role {definition}"));
        let words: Vec<String> = role.split('_').map(capital).collect();
        found.push(Grant {
            who: azure_resource(text(&properties["principalId"])),
            may: words.join(" "),
            on: azure_resource(fields.get("scope").map_or("the resource group", text)),
            only_if: properties.get("condition").map_or_else(String::new, |c| code(text(c))),
        });
    });
    found
}

fn capital(word: &str) -> String {
    let (first, rest) = word.split_at(word.len().min(1));
    format!("{}{rest}", first.to_ascii_uppercase())
}

fn write_grants(page: &mut String, target: Target, grants: Option<Vec<Grant>>) {
    let cloud = match target {
        Target::Aws => "AWS",
        Target::Gcp => "Google Cloud",
        Target::Azure => "Azure",
    };
    match grants {
        None => write!(page, "\n{cloud}: not yet.\n").expect("a text"),
        Some(grants) if grants.is_empty() => write!(page, "\n{cloud}: nothing more.\n").expect("a text"),
        Some(grants) => {
            write!(page, "\n{cloud}:\n\n| who | may | on | only if |\n|---|---|---|---|\n").expect("a text");
            for Grant { who, may, on, only_if } in grants {
                writeln!(page, "| {who} | {may} | {on} | {only_if} |").expect("a text");
            }
        }
    }
}

fn tables() -> String {
    let mut page = HEADING.to_owned();
    for (pipeline, title, base) in KINDS {
        write!(page, "\n### {title}\n").expect("a text");
        if let Some(base) = base.filter(|base| *base != "function") {
            write!(
                page,
                "\nMore than [`{base}.yaml`](../tests/permissions/{base}.yaml) has:\n"
            )
            .expect("a text");
        }
        for target in Target::ALL {
            let known = base.and_then(|base| grants(base, target)).unwrap_or_default();
            let more = grants(pipeline, target).map(|grants| {
                let more = grants.into_iter().filter(|grant| !known.contains(grant));
                more.collect()
            });
            write_grants(&mut page, target, more);
        }
    }
    page
}

#[test]
fn the_page_on_permissions_is_current() {
    page_is_current("permissions.md", HEADING, &tables(), "permissions");
}

/// A pipeline there that no table shows would be forgotten.
#[test]
fn every_pipeline_has_a_table() {
    let folder = std::fs::read_dir(root().join("tests/permissions")).expect("a folder");
    let names = folder.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    let mut pipelines: Vec<String> = names
        .filter_map(|name| name.strip_suffix(".yaml").map(str::to_owned))
        .collect();
    pipelines.sort();
    let mut shown = KINDS.map(|(pipeline, _, _)| pipeline);
    shown.sort_unstable();
    assert_eq!(pipelines, shown);
}
