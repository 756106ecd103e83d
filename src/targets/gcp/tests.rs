//! The workflow and the resources of small pipelines.

use std::collections::BTreeSet;

use indexmap::IndexMap;
use serde_json::Value;

use crate::check::handlers::{AllThere, Files};
use crate::diagnostics::Problems;
use crate::model::Pipeline;
use crate::targets::{Artifacts, Sources};
use crate::{check, plan, syntax};

const HEAD: &str = "mlpipe: v1\nname: churn\ndefaults: { function: { source: functions } }\n";
const STEP: &str = "function: { handler: h.handler }";

fn pipeline(text: &str) -> Pipeline {
    let text = format!("{HEAD}{text}");
    let mut problems = Problems::new();
    let document = syntax::read(&text, &mut problems).unwrap_or_else(|| panic!("{problems:?}"));
    check::check(&document, &crate::check::Input::new(&text, &AllThere), &mut problems)
        .unwrap_or_else(|| panic!("{problems:?}"))
}

fn sources(files: &[&str]) -> Sources {
    let mut sources = Sources::default();
    let files = files
        .iter()
        .map(|name| ((*name).to_owned(), Vec::new()))
        .collect::<IndexMap<_, _>>();
    sources.folders.insert("functions".to_owned(), files);
    sources
}

fn artifacts(text: &str) -> Artifacts {
    let pipeline = pipeline(text);
    super::compile(&pipeline, &plan::plan(&pipeline), &sources(&[])).unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn file(artifacts: &Artifacts, path: &str) -> String {
    String::from_utf8(artifacts.files[path].clone()).unwrap()
}

/// The workflow, as another YAML reader sees it.
fn workflow(text: &str) -> Value {
    let text = file(&artifacts(text), "workflow.yaml");
    let value: Value = serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    within_quotas(&value, 0);
    calls_are_there(&text, &value);
    value
}

fn terraform(text: &str) -> Value {
    serde_json::from_str(&file(&artifacts(text), "main.tf.json")).unwrap()
}

fn codes(text: &str) -> Vec<String> {
    let pipeline = pipeline(text);
    let mut problems = super::check(&pipeline);
    if let Err(found) = super::compile(&pipeline, &plan::plan(&pipeline), &sources(&[])) {
        problems.extend(found);
    }
    problems.sorted().iter().map(|problem| problem.code()).collect()
}

/// Workflows quotas that a compiler can pass: lengths and counts.
fn within_quotas(value: &Value, nesting: usize) {
    match value {
        Value::String(text) if text.starts_with("${") => assert!(text.chars().count() <= 403, "{text}"),
        Value::Array(items) => items.iter().for_each(|item| within_quotas(item, nesting)),
        Value::Object(fields) => {
            for (key, value) in fields {
                let count = value.as_array().map_or(0, Vec::len);
                match key.as_str() {
                    "assign" | "switch" => assert!((1..=50).contains(&count), "{count} in a {key}"),
                    "branches" => assert!((2..=10).contains(&count), "{count} branches"),
                    "steps" => assert!(count > 0, "no steps"),
                    _ => {}
                }
                let deeper =
                    nesting + usize::from(key == "parallel" && value.is_object() && value.get("shared").is_some());
                assert!(deeper <= 2, "parallel steps nest deeper than 2");
                within_quotas(value, deeper);
            }
        }
        _ => {}
    }
}

/// Every subworkflow that is called is there, and every one that is there is called.
fn calls_are_there(text: &str, value: &Value) {
    let there: BTreeSet<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    for helper in super::helpers::names() {
        let called = text.contains(&format!("{helper}(")) || text.contains(&format!("call: {helper}\n"));
        assert_eq!(called, there.contains(helper), "{helper}");
    }
}

/// All steps by name, wherever they stand.
fn steps(value: &Value) -> IndexMap<String, Value> {
    let mut found = IndexMap::new();
    let mut stack = vec![value];
    while let Some(value) = stack.pop() {
        match value {
            Value::Array(items) => stack.extend(items.iter().rev()),
            Value::Object(fields) => {
                for (key, value) in fields {
                    // A variable may have its step's name.
                    if value.is_object() {
                        found.insert(key.clone(), value.clone());
                    }
                    stack.push(value);
                }
            }
            _ => {}
        }
    }
    found
}

#[test]
fn a_chain_is_one_call_a_step() {
    let workflow = workflow(&format!(
        "steps:\n  a: {{ {STEP}, output: {{ n: integer }} }}\n  b: {{ {STEP}, input: \"${{{{ steps.a.output.n }}}}\" }}\n"
    ));
    let main = workflow["main"]["steps"].as_array().unwrap();
    let names: Vec<&String> = main.iter().flat_map(|step| step.as_object().unwrap().keys()).collect();
    assert_eq!(names, ["init", "a", "a_output", "b", "outputs"]);
    assert_eq!(main[1]["a"]["try"]["result"], "a");
    assert_eq!(main[3]["b"]["try"]["args"]["body"]["input"], "${a.n}");
    assert!(main[3]["b"]["try"].get("result").is_none(), "nothing reads it");
}

#[test]
fn what_may_fail_to_evaluate_is_the_steps_error() {
    let workflow = workflow(&format!(
        "steps:\n  a: {{ {STEP} }}\n  b: {{ {STEP}, when: \"${{{{ steps.a.output.go }}}}\", input: \"${{{{ steps.a.output.n }}}}\" }}\n"
    ));
    let steps = steps(&workflow);
    assert_eq!(steps["evaluate_b"]["assign"][0]["b_condition"], "${boolean_of(a.go)}");
    assert_eq!(
        steps["condition_b"]["except"]["steps"][0]["b_failed_2"]["args"]["part"],
        "when"
    );
    assert_eq!(steps["b_failed"]["call"], "fail_step");
}

#[test]
fn names_keep_clear_of_workflows_own() {
    let workflow = workflow(&format!(
        "steps:\n  text: {{ {STEP} }}\n  end: {{ {STEP}, needs: [text] }}\n  my-step: {{ {STEP}, needs: [end] }}\noutputs:\n  t: ${{{{ steps.text.output }}}}\n  m: ${{{{ steps['my-step'].output }}}}\n"
    ));
    let steps = steps(&workflow);
    assert_eq!(steps["text"]["try"]["result"], "text_output");
    assert_eq!(steps["my_step"]["try"]["result"], "my_step");
    assert!(steps.contains_key("end_step"));
}

#[test]
fn many_branches_are_a_parallel_loop() {
    let mut text = format!("steps:\n  s: {{ {STEP} }}\n");
    for i in 0..70 {
        text.push_str(&format!("  b{i}: {{ {STEP}, needs: [s] }}\n"));
    }
    text.push_str("  z: { wait: { duration: 1s }, needs: [b0, b1, b2, b3, b4, b5, b6, b7, b8, b9] }\n");
    let workflow = workflow(&text);
    assert_eq!(steps(&workflow)["for"]["value"], "branch");
}

#[test]
fn deep_nests_stay_within_the_quotas() {
    let mut text = format!("steps:\n  s: {{ {STEP} }}\n");
    for path in ["s", "s0", "s1", "s00", "s01", "s10", "s11"] {
        for side in ["0", "1"] {
            text.push_str(&format!("  {path}{side}: {{ {STEP}, needs: [{path}] }}\n"));
        }
    }
    workflow(&text);
}

#[test]
fn more_functions_than_variables_share_them() {
    let mut text = format!("steps:\n  s0: {{ {STEP} }}\n");
    for i in 1..80 {
        text.push_str(&format!("  s{i}: {{ {STEP}, needs: [s{}] }}\n", i - 1));
    }
    let workflow = workflow(&text);
    assert_eq!(steps(&workflow)["s29"]["try"]["args"]["url"], "${function_urls.s29}");
    let variables = &terraform(&text)["resource"]["google_workflows_workflow"]["pipeline"]["user_env_vars"];
    assert_eq!(variables.as_object().unwrap().len(), 2);
}

#[test]
fn memory_is_freed_behind_the_last_reader() {
    let workflow = workflow(&format!(
        "steps:\n  a: {{ {STEP} }}\n  b: {{ {STEP}, input: \"${{{{ steps.a.output }}}}\" }}\n  c: {{ {STEP}, input: \"${{{{ steps.b.output }}}}\" }}\n"
    ));
    let steps = steps(&workflow);
    assert_eq!(
        steps["b_output"]["assign"],
        serde_json::json!([{ "b": "${b.body}" }, { "a": null }])
    );
    assert_eq!(steps["after_c"]["assign"], serde_json::json!([{ "b": null }]));
}

#[test]
fn large_workflows_share_their_calls() {
    let retry = "retry: { attempts: 3, delay: 1s, on: [timeout, Busy] }";
    let mut text = format!("steps:\n  s0: {{ {STEP}, {retry} }}\n");
    for i in 1..200 {
        text.push_str(&format!(
            "  s{i}: {{ {STEP}, {retry}, input: {{ n: \"${{{{ steps.s{}.output.n }}}}\" }} }}\n",
            i - 1
        ));
    }
    let workflow = workflow(&text);
    assert_eq!(steps(&workflow)["s9"]["try"]["call"], "call_with_retry");
    assert_eq!(
        workflow["is_retried"]["steps"][1]["answer"]["return"],
        r#"${error.name in ["timeout", "Busy"]}"#
    );
}

#[test]
fn long_expressions_are_split() {
    let long = vec!["params.s"; 100].join(" + ");
    let items = vec!["params.s"; 80].join(", ");
    let workflow = workflow(&format!(
        "params: {{ s: string }}\nsteps:\n  a: {{ {STEP}, input: [\"${{{{ {long} }}}}\", \"${{{{ [{items}] }}}}\", \"{}${{{{ params.s }}}}\"] }}\n",
        "x".repeat(500)
    ));
    assert_eq!(
        steps(&workflow)["a"]["try"]["args"]["body"]["input"][0],
        "${a_input(params)}"
    );
}

#[test]
fn a_text_that_looks_like_an_expression_stays_a_text() {
    let workflow = workflow(&format!("steps:\n  a: {{ {STEP}, input: \"cost: ${{x}}\" }}\n"));
    assert_eq!(
        steps(&workflow)["a"]["try"]["args"]["body"]["input"],
        "${\"cost: $\" + \"{x}\"}"
    );
}

#[test]
fn params_of_a_schedule_are_a_terraform_expression() {
    let terraform = terraform(&format!(
        "params: {{ k: string }}\ntriggers:\n  - schedule: {{ cron: \"0 3 * * MON\", timezone: Europe/Zurich }}\n    params: {{ k: 'a\"${{b}}' }}\nsteps:\n  a: {{ {STEP} }}\n"
    ));
    let job = &terraform["resource"]["google_cloud_scheduler_job"]["schedule"];
    assert_eq!(job["time_zone"], "Europe/Zurich");
    assert_eq!(
        job["http_target"]["body"],
        r#"${base64encode(jsonencode({ argument = jsonencode({ "k" = "a\"$${b}" }) }))}"#
    );
}

#[test]
fn resource_names_are_short_and_apart() {
    let long = "a-pipeline-with-a-name-of-40-characters-";
    let account = super::names::resource(&[long, "workflow"], 30);
    assert!(account.len() <= 30 && account.ends_with("-workflow"), "{account}");
    let one = super::names::resource(&[long, "step_with_a_name_of_forty_characters__a"], 63);
    let other = super::names::resource(
        &[
            "a-pipeline-with-a-name-of-40-characters",
            "step_with_a_name_of_forty_characters__a",
        ],
        63,
    );
    assert!(one.len() <= 63 && one != other, "{one}");
    assert_eq!(super::names::resource(&["churn", "on_failure"], 63), "churn-on-failure");
}

#[test]
fn quotas_are_problems() {
    let step = "function: { handler: h.handler, timeout: 2h }";
    assert_eq!(codes(&format!("steps:\n  a: {{ {step} }}\n")), ["MLP0720"]);
    let step = "function: { handler: h.handler, timeout: 40m }";
    assert_eq!(codes(&format!("steps:\n  a: {{ {step} }}\n")), ["MLP0721"]);
    assert!(codes(&format!("steps:\n  a: {{ {step}, timeout: 20m }}\n")).is_empty());
    let step = "function: { handler: h.handler, memory: 64GB }";
    assert_eq!(codes(&format!("steps:\n  a: {{ {step} }}\n")), ["MLP0722"]);
    let mut text = format!("steps:\n  s0: {{ {STEP} }}\n");
    for i in 1..1200 {
        text.push_str(&format!("  s{i}: {{ {STEP}, needs: [s{}] }}\n", i - 1));
    }
    assert!(codes(&text).is_empty());
    let names: Vec<String> = (0..21).map(|i| format!("b{i}")).collect();
    let buckets: Vec<String> = names.iter().map(|name| format!("{name}: {{}}")).collect();
    let uris: Vec<String> = names
        .iter()
        .map(|name| format!("\"${{{{ buckets.{name}.uri }}}}\""))
        .collect();
    assert_eq!(
        codes(&format!(
            "buckets: {{ {} }}\nsteps:\n  a: {{ {STEP}, input: [{}, {}] }}\n",
            buckets.join(", "),
            uris.join(", "),
            "x".repeat(140_000),
        )),
        ["MLP0725", "MLP0725", "MLP0724"]
    );
}

#[test]
fn a_file_of_the_adapters_name_is_a_problem() {
    let pipeline = pipeline(&format!("steps:\n  a: {{ {STEP} }}\n"));
    let found = super::compile(&pipeline, &plan::plan(&pipeline), &sources(&["main.py"])).unwrap_err();
    assert_eq!(
        found.sorted().iter().map(|problem| problem.code()).collect::<Vec<_>>(),
        ["MLP0726"]
    );
}

/// An expression as an input of a step behind one that declares no output.
fn printed(expression: &str) -> Value {
    let workflow = workflow(&format!(
        "params: {{ n: number, i: integer, s: string, xs: [number], o: {{ k: string }}, any: any }}\nbuckets: {{ raw: {{}} }}\nsteps:\n  a: {{ {STEP}, output: {{ n: integer, s: string }} }}\n  u: {{ {STEP} }}\n  z: {{ {STEP}, needs: [a, u], input: {{ v: \"${{{{ {expression} }}}}\" }} }}\n"
    ));
    steps(&workflow)["z"]["try"]["args"]["body"]["input"]["v"].clone()
}

#[test]
fn expressions_are_what_a_person_would_write() {
    for (expression, expected) in [
        (
            "params.n > 1 && params.s == 'x'",
            r#"${params.n > 1 and params.s == "x"}"#,
        ),
        ("!(params.n > 1)", "${not (params.n > 1)}"),
        ("steps.a.output.n + 1", "${a.n + 1}"),
        ("steps.a.output.n + steps.a.output.n", "${1.0 * a.n + a.n}"),
        ("params.n * 100", "${whole(params.n * 100.0)}"),
        ("params.n * 0.01", "${params.n * 0.01}"),
        ("params.n * params.i", "${whole(1.0 * params.n * params.i)}"),
        ("params.n / 2", "${params.n / 2}"),
        ("params.n % 2", "${remainder(params.n, 2)}"),
        (
            "(params.n - 1) / (params.n + 1)",
            "${whole((params.n - 1) / (params.n + 1))}",
        ),
        ("steps.u.output.n + 1", "${plus(u.n, 1)}"),
        ("steps.u.output.n <= 1", "${not less(1, u.n)}"),
        ("steps.u.output['a-b']", r#"${u["a-b"]}"#),
        ("steps.u.output.xs[params.i]", "${get_item(u.xs, params.i)}"),
        ("string(steps.a.output.n)", "${string(a.n)}"),
        ("string(params.n)", "${string_of(params.n)}"),
        (
            "default(steps.u.output.a.b, 'x')",
            r#"${default(map.get(u, ["a", "b"]), "x")}"#,
        ),
        ("has(params.any.k)", r#"${map.get(params, ["any", "k"]) != null}"#),
        (
            "buckets.raw.uri + '/' + params.s",
            r#"${"gs://" + sys.get_env("RAW_BUCKET") + "/" + params.s}"#,
        ),
        ("1 in params.xs", "${1 in params.xs}"),
        ("'k' in params.o", r#"${"k" in params.o}"#),
        ("params.n > 1 ? 'a' : 'b'", r#"${if(params.n > 1, "a", "b")}"#),
        ("params.s.split(',')", r#"${text.split(params.s, ",")}"#),
        ("min(params.n, 1, 2)", "${math.min(math.min(params.n, 1), 2)}"),
        ("1e21 * params.n", r#"${whole(double("1e+21") * params.n)}"#),
        ("-params.n", "${-params.n}"),
        ("1 - (2 - params.n)", "${1 - (2.0 - params.n)}"),
    ] {
        assert_eq!(printed(expression), expected, "{expression}");
    }
}

#[test]
fn lazy_operands_are_guarded() {
    let routine = workflow(&format!(
        "params: {{ any: any }}\nsteps:\n  a: {{ {STEP}, input: \"${{{{ params.any.go ? params.any.x : 'none' }}}}\" }}\n"
    ));
    assert_eq!(
        steps(&routine)["a"]["try"]["args"]["body"]["input"],
        "${a_input(params)}"
    );
    let body = &routine["a_input"]["steps"];
    assert_eq!(
        body[1]["if_2"]["switch"][0]["condition"],
        "${boolean_of(params.any.go)}"
    );
}

#[test]
fn names_of_deep_steps_fit() {
    let deep = ["a-long-name-of-forty-characters-exactly-"; 3].join(".");
    let name = super::names::resource(&["churn", &deep], super::names::SERVICE);
    assert!(
        name.len() <= super::names::SERVICE,
        "{name} has {} characters",
        name.len()
    );
    assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'), "{name}");
}

/// The workflows of a pipeline, as another YAML reader sees them: by their files' names.
fn all_workflows(text: &str, limit: usize) -> IndexMap<String, Value> {
    let pipeline = pipeline(text);
    let artifacts = super::compile_within(&pipeline, &plan::plan(&pipeline), &sources(&[]), limit)
        .unwrap_or_else(|problems| panic!("{problems:?}"));
    let names = artifacts.files.keys().filter(|path| path.ends_with(".yaml"));
    names
        .map(|path| {
            let text = file(&artifacts, path);
            assert!(text.len() <= limit, "{path} has {} bytes", text.len());
            let value: Value = serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
            within_quotas(&value, 0);
            calls_are_there(&text, &value);
            (path.clone(), value)
        })
        .collect()
}

/// Steps in a row, each of which reads the one before.
fn row(count: usize) -> String {
    row_of(&(0..count).map(|i| format!("s{i}")).collect::<Vec<_>>())
}

fn row_of(ids: &[String]) -> String {
    let mut text = "steps:\n".to_owned();
    let mut before = None::<&String>;
    for id in ids {
        let input = before.map_or(String::new(), |before| {
            format!(", input: {{ n: \"${{{{ steps.{before}.output.n }}}}\" }}")
        });
        text.push_str(&format!("  {id}: {{ {STEP}{input} }}\n"));
        before = Some(id);
    }
    text
}

#[test]
fn a_large_workflow_runs_in_parts() {
    let workflows = all_workflows(&row(400), 40_000);
    let parts: Vec<&String> = workflows.keys().filter(|path| path.starts_with("parts/")).collect();
    assert!((10..100).contains(&parts.len()), "{parts:?}");
    // A part gets what it reads, and gives what is read behind it.
    let steps = steps(&workflows["workflow.yaml"]);
    let calls: Vec<&Value> = steps.values().filter(|step| step["call"] == "run_part").collect();
    assert_eq!(calls.len(), parts.len());
    let second = &calls[1]["args"]["value"];
    let names: Vec<&String> = second.as_object().unwrap().keys().collect();
    assert_eq!(names.len(), 2, "{second}");
    assert!(names.iter().any(|name| *name == "run_id"), "{second}");
}

#[test]
fn a_new_step_changes_the_parts_near_it_only() {
    let mut ids: Vec<String> = (0..400).map(|i| format!("s{i}")).collect();
    let before = all_workflows(&row_of(&ids), 40_000);
    ids.insert(200, "more".to_owned());
    let after = all_workflows(&row_of(&ids), 40_000);
    let changed = after
        .iter()
        .filter(|(path, workflow)| before.get(*path) != Some(workflow))
        .count();
    assert!(after.len() > 10 && changed <= 4, "{changed} of {} files", after.len());
}

#[test]
fn many_steps_side_by_side_run_in_parts() {
    let mut text = "steps:\n".to_owned();
    for i in 0..500 {
        text.push_str(&format!("  s{i}: {{ {STEP} }}\n"));
    }
    let workflows = all_workflows(&text, 80_000);
    assert!(workflows.len() > 10, "{}", workflows.len());
}

#[test]
fn a_group_too_large_for_its_place_is_split_within() {
    let inner: String = row(60).lines().skip(1).map(|line| format!("    {line}\n")).collect();
    let text = format!(
        "steps:\n  before: {{ {STEP} }}\n  each:\n    for_each: ${{{{ steps.before.output }}}}\n    catch: [{{ on: [all], output: null }}]\n    retry: {{ attempts: 2 }}\n    steps:\n{inner}    outputs: {{ n: \"${{{{ steps.s59.output }}}}\" }}\noutputs: {{ all: \"${{{{ steps.each.output }}}}\" }}\n"
    );
    let workflows = all_workflows(&text, 16_000);
    assert!(
        workflows.keys().any(|path| path.starts_with("parts/each_s")),
        "{:?}",
        workflows.keys()
    );
}

#[test]
fn parallel_steps_beyond_the_second_level_are_workflows_of_their_own() {
    let text = format!(
        "steps:\n  a:\n    for_each: [1]\n    steps:\n      b:\n        for_each: [1]\n        steps:\n          c: {{ for_each: [1], {STEP}, input: \"${{{{ item }}}}\" }}\n"
    );
    let workflows = all_workflows(&text, 131_072);
    let names: Vec<&String> = workflows.keys().collect();
    assert_eq!(names, ["workflow.yaml", "parts/a_b_c.yaml"]);
    let role = &terraform(&text)["resource"]["google_project_iam_member"]["workflow_workflows"];
    assert_eq!(role["role"], "roles/workflows.invoker");
}

#[test]
fn a_wide_list_runs_in_slices() {
    let text = |most: u32| {
        format!(
            "params: {{ xs: [any] }}\nsteps:\n  a: {{ for_each: \"${{{{ params.xs }}}}\", max_concurrency: {most}, {STEP} }}\n"
        )
    };
    assert_eq!(all_workflows(&text(20), 131_072).len(), 1);
    let wide = all_workflows(&text(50), 131_072);
    let deal = &steps(&wide["workflow.yaml"])["a_slices"]["args"];
    assert_eq!(
        (&deal["most"], &deal["share"]),
        (&serde_json::json!(5), &serde_json::json!(10))
    );
    // Where another slice has failed it is ended.
    let watched = &steps(&wide["workflow.yaml"])["a_slice_part_state"]["switch"][1];
    assert_eq!(watched["condition"], "${a_slices_failure != null}");
    assert_eq!(watched["steps"][0]["end_a_slice_part"]["call"], "end_part");
    let mut nested = format!("{{ for_each: [1], max_concurrency: 30, {STEP} }}");
    for number in 0..4 {
        nested = format!("{{ steps: {{ n{number}-of-a-name-that-has-forty-characters: {nested} }} }}");
    }
    all_workflows(&format!("steps:\n  a: {nested}\n"), 131_072);
    let turns = &steps(&wide["parts/a_slice.yaml"])["a_each"]["parallel"];
    assert_eq!(turns["concurrency_limit"], 10);
}

#[test]
fn a_family_is_one_stack() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/approval-child");
    let folder = Folder(root.clone());
    let text = std::fs::read_to_string(root.join("pipeline.yaml")).unwrap();
    let mut problems = Problems::new();
    let document = syntax::read(&text, &mut problems).unwrap();
    let pipeline = check::check(&document, &check::Input::new(&text, &folder), &mut problems).unwrap();
    let artifacts = super::compile(&pipeline, &plan::plan(&pipeline), &sources(&[])).unwrap();
    let terraform: Value = serde_json::from_str(&file(&artifacts, "main.tf.json")).unwrap();
    let resources = &terraform["resource"];
    let workflows = resources["google_workflows_workflow"].as_object().unwrap();
    let names: Vec<&Value> = workflows.values().map(|workflow| &workflow["name"]).collect();
    assert_eq!(names, ["approval-child", "approval-child-asks"]);
    // The child's topic is the stack's, and its workflow publishes to it.
    let topic = &resources["google_pubsub_topic"]["approvals"]["name"];
    assert_eq!(topic, "approval-child-approvals");
    let member = &resources["google_pubsub_topic_iam_member"]["workflow_approvals"];
    assert_eq!(member["role"], "roles/pubsub.publisher");
    let invoker = &resources["google_project_iam_member"]["workflow_workflows"];
    assert_eq!(invoker["role"], "roles/workflows.invoker");
    let child = file(&artifacts, "children/asks/workflow.yaml");
    assert!(child.contains("topic: approval-child-approvals\n"), "{child}");
    assert!(
        child.contains("failure: '${error}'"),
        "it gives its failure as a value: {child}"
    );
    let readme = file(&artifacts, "README.md");
    assert!(readme.contains("gcloud auth print-access-token"), "{readme}");
}

#[test]
fn wide_branches_within_wide_branches_have_variables_of_their_own() {
    let wait = "wait: { duration: 1s }";
    let mut text = "steps:\n  g:\n    steps:\n".to_owned();
    for i in 0..11 {
        text.push_str(&format!("      s{i}: {{ {wait} }}\n"));
    }
    for i in 0..11 {
        text.push_str(&format!("  t{i}: {{ {wait} }}\n"));
    }
    let text = file(&artifacts(&text), "workflow.yaml");
    assert_eq!(text.matches("value: branch\n").count(), 1);
    assert_eq!(text.matches("value: branch_2\n").count(), 1);
}

/// A folder on the disk.
struct Folder(std::path::PathBuf);

impl Files for Folder {
    fn is_folder(&self, path: &str) -> bool {
        self.0.join(path).is_dir()
    }

    fn read(&self, path: &str) -> Option<String> {
        std::fs::read_to_string(self.0.join(path)).ok()
    }

    fn python_files(&self, folder: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.join(folder)).into_iter().flatten().flatten();
        entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect()
    }
}

/// The artifacts of `$PIPELINE` in `$OUTPUT/gcp`, in workflows of `$LIMIT` bytes: what `tests/conformance/gcp/split` runs.
#[test]
#[ignore = "writes files: tests/conformance/gcp/split calls it"]
fn writes_small_workflows() {
    let variable = |name: &str| std::env::var(name).unwrap_or_else(|error| panic!("{name}: {error}"));
    let file = std::path::PathBuf::from(variable("PIPELINE"));
    let folder = Folder(file.parent().unwrap().to_owned());
    let text = std::fs::read_to_string(&file).unwrap();
    let mut problems = Problems::new();
    let document = syntax::read(&text, &mut problems).unwrap_or_else(|| panic!("{problems:?}"));
    let pipeline = check::check(&document, &check::Input::new(&text, &folder), &mut problems)
        .unwrap_or_else(|| panic!("{problems:?}"));
    let mut sources = Sources::default();
    for function in pipeline.family().iter().flat_map(|member| member.functions()) {
        let mut files = IndexMap::new();
        for entry in std::fs::read_dir(folder.0.join(&function.call.source))
            .unwrap()
            .flatten()
        {
            if entry.path().is_file() {
                let name = entry.file_name().into_string().unwrap();
                files.insert(name, std::fs::read(entry.path()).unwrap());
            }
        }
        files.sort_keys();
        sources.folders.insert(function.call.source.clone(), files);
    }
    let limit = variable("LIMIT").parse().unwrap();
    let artifacts = super::compile_within(&pipeline, &plan::plan(&pipeline), &sources, limit)
        .unwrap_or_else(|problems| panic!("{problems:?}"));
    for (path, bytes) in &artifacts.files {
        let path = std::path::Path::new(&variable("OUTPUT")).join("gcp").join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

#[test]
fn a_message_carries_its_origin_and_a_handler_drops_what_fails() {
    let text = "topics: { alerts: {} }\nsteps:\n  tell: { notify: { topic: alerts, message: done } }\non_failure: { retry: { attempts: 3 }, notify: { topic: alerts, message: \"${{ error.message }}\" } }\n";
    let workflow = workflow(text);
    let main = &workflow["main"]["steps"];
    // The run's id is known, though no function is there that would need it.
    let id = main[0]["init"]["assign"][0]["run_id"].as_str().unwrap();
    assert!(id.contains("GOOGLE_CLOUD_WORKFLOW_EXECUTION_ID"), "{id}");
    let pipeline = &main[1]["pipeline"];
    let tell = &pipeline["try"]["steps"][0]["tell"];
    assert_eq!(tell["call"], "publish_text");
    assert_eq!(tell["args"]["topic"], "churn-alerts");
    assert_eq!(tell["args"]["message"], "done");
    assert_eq!(tell["args"]["attributes"]["step"], "tell");
    assert_eq!(tell["args"]["attributes"]["pipeline"], "churn");
    // Retried as the handler says; whatever it raises is dropped, and the pipeline's own error raised.
    let handler = &pipeline["except"]["steps"];
    let told = &handler[0]["on_failure_2"];
    assert!(told["except"]["steps"][0]["keep_error"].is_object(), "{handler:#}");
    assert!(told.to_string().contains("\"max_retries\":2"), "{told:#}");
    assert_eq!(handler[1]["fail"]["raise"], "${error}");
    let readme = file(&artifacts(text), "README.md");
    assert!(
        readme.contains("## Messages") && !readme.contains("## Approve"),
        "{readme}"
    );
}

#[test]
fn a_long_message_takes_no_name_of_a_subworkflow() {
    let long = "long ".repeat(90);
    for kind in ["approval", "notify"] {
        let text = format!(
            "topics: {{ t: {{}} }}\nsteps:\n  a: {{ {kind}: {{ topic: t, message: \"${{{{ {{'n': -9, 's': '{long}'}}.s }}}}\" }} }}\n"
        );
        let workflow = workflow(&text);
        assert!(workflow.get("a_message_text").is_some(), "{workflow:#}");
        assert!(workflow.get("a_message").is_none(), "{workflow:#}");
    }
}

#[test]
fn a_message_on_a_topic_starts_the_workflow() {
    let text = "params: { text: { type: string }, from: { type: string, default: '' } }\ntopics: { in-box: {}, other: {} }\ntriggers:\n  - { topic: { name: in-box }, params: { text: \"${{ trigger.message }}\" } }\n  - { topic: { name: other }, params: { text: \"<${{ trigger.message }}>\", from: other } }\nsteps: { a: { wait: { duration: 1s } } }\n";
    let workflow = workflow(text);
    let event = &workflow["main"]["steps"][0]["event"]["switch"][0];
    assert_eq!(
        event["condition"],
        "${map.get(args, \"type\") == \"google.cloud.pubsub.topic.v1.messagePublished\"}"
    );
    let params = &event["steps"][0]["message_params"]["assign"][0]["args"];
    let decoded = "text.decode(base64.decode(default(map.get(args, [\"data\", \"message\", \"data\"]), \"\")))";
    assert_eq!(params, &format!("${{message_params(args.source, {decoded})}}"));
    let cases = &workflow["message_params"]["steps"][0]["by_trigger"]["switch"];
    assert_eq!(cases[0]["condition"], "${ends_with(source, \"/topics/churn-in-box\")}");
    assert_eq!(cases[0]["return"]["text"], "${message}");
    assert_eq!(cases[1]["return"]["text"], "${\"<\" + message + \">\"}");
    let terraform = terraform(text);
    let trigger = &terraform["resource"]["google_eventarc_trigger"]["topic_in_box"];
    assert_eq!(
        trigger["transport"]["pubsub"]["topic"],
        "${google_pubsub_topic.in_box.id}"
    );
    assert_eq!(trigger["service_account"], "${google_service_account.trigger.email}");
    // The receiver of events of other kinds is not needed.
    assert!(
        terraform["resource"]["google_project_iam_member"]
            .get("trigger_events")
            .is_none()
    );
}

#[test]
fn a_request_starts_the_workflow_by_the_api_that_is_there() {
    let text = "triggers: [{ http: { auth: iam } }]\nsteps: { a: { wait: { duration: 1s } } }\n";
    let terraform = terraform(text);
    assert!(terraform["resource"]["google_service_account"].get("trigger").is_none());
    assert!(terraform["resource"].get("google_project_iam_member").is_none());
    let readme = file(&artifacts(text), "README.md");
    assert!(readme.contains("/executions\" \\\n"), "{readme}");
}

#[test]
fn a_container_is_a_job_with_its_own_account() {
    let text = "buckets: { raw: {} }\nparams: { n: integer }\nsteps:\n  a-b: { job: { image: acme/x, command: [python, -m, score, \"${{ string(params.n) }}\"], env: { N: \"${{ string(params.n) }}\" }, compute: { cpu: 4, memory: 8GB } } }\n  any: { job: { image: { gcp: acme/y }, command: [\"${{ string(params.n) }}\"], max_duration: 30m } }\n  gpu: { job: { image: acme/z, compute: { gpu: { type: l4, count: 1 } } } }\n";
    let terraform = terraform(text);
    let jobs = &terraform["resource"]["google_cloud_run_v2_job"];
    let task = &jobs["a_b"]["template"]["template"];
    assert_eq!(jobs["a_b"]["name"], "churn-a-b");
    assert_eq!(jobs["a_b"]["annotations"]["mlpipe/step"], "a-b");
    assert_eq!(task["containers"][0]["image"], "acme/x");
    // The program stands in the job: a run overrides what follows it.
    assert_eq!(task["containers"][0]["command"], serde_json::json!(["python"]));
    let limits = serde_json::json!({ "cpu": "4", "memory": "8192Mi" });
    assert_eq!(task["containers"][0]["resources"]["limits"], limits);
    // Cloud Run ends it only where the workflow has not: a minute after the hour.
    assert_eq!((&task["timeout"], &task["max_retries"]), (&"3660s".into(), &0.into()));
    assert_eq!(task["service_account"], "${google_service_account.jobs.email}");
    let any = &jobs["any"]["template"]["template"]["containers"][0];
    assert_eq!(any["command"], serde_json::json!(["env"]));
    let gpu = &jobs["gpu"]["template"]["template"];
    assert_eq!(gpu["node_selector"]["accelerator"], "nvidia-l4");
    assert_eq!(gpu["containers"][0]["resources"]["limits"]["nvidia.com/gpu"], "1");
    assert!(gpu["containers"][0].get("command").is_none());
    // The workflow may run these jobs and no others, the containers may use the buckets, and there are no functions.
    let run = &terraform["resource"]["google_cloud_run_v2_job_iam_member"]["run_a_b"];
    assert_eq!(run["name"], "${google_cloud_run_v2_job.a_b.name}");
    assert_eq!(run["member"], "${google_service_account.workflow.member}");
    let buckets = &terraform["resource"]["google_storage_bucket_iam_member"];
    assert_eq!(buckets["jobs_raw"]["member"], "${google_service_account.jobs.member}");
    assert!(buckets.get("functions_raw").is_none());
    assert!(terraform["resource"].get("google_project_iam_member").is_none());
    let main = &workflow(text)["main"]["steps"];
    let written = main.to_string();
    assert!(written.contains("\"job\":\"churn-a-b\""), "{written}");
    assert!(written.contains("[\"-m\",\"score\","), "{written}");
}

#[test]
fn containers_that_do_not_fit_are_refused() {
    let job = |text: &str| codes(&format!("steps: {{ a: {{ job: {{ {text} }} }} }}\n"));
    assert_eq!(job("image: { aws: x }"), ["MLP0728"]);
    assert_eq!(job("image: x, instance: { gcp: 3cpu-1gb }"), ["MLP0729"]);
    assert_eq!(job("image: x, compute: { cpu: 64 }"), ["MLP0729"]);
    assert_eq!(job("image: x, max_duration: 10d"), ["MLP0730"]);
    let gpu = "image: x, compute: { gpu: { type: l4, count: 1 } }";
    assert_eq!(job(&format!("{gpu}, max_duration: 2h")), ["MLP0730"]);
    assert!(job(gpu).is_empty());
    assert!(job("image: x, max_duration: 7d").is_empty());
}

#[test]
fn a_training_is_a_custom_job_with_a_bucket_and_an_account_of_its_own() {
    let text = "buckets: { raw: {} }\nparams: { n: integer }\nsteps:\n  fit: { train: { source: t, entrypoint: fit.py, framework: { name: pytorch, version: \"2.4\" }, compute: { gpu: { type: t4, count: 1 }, count: 3 }, hyperparameters: { n: \"${{ params.n }}\", rate: 0.1 }, data: { rows: \"${{ buckets.raw.uri }}\" }, spot: true, max_duration: 2h } }\n";
    let text_of = workflow(text).to_string();
    let machine = "\"machine\":{\"machineType\":\"n1-standard-4\",\"acceleratorType\":\"NVIDIA_TESLA_T4\",\"acceleratorCount\":1}";
    assert!(text_of.contains(machine), "{text_of}");
    assert!(
        text_of.contains("vertex-ai/training/pytorch-gpu.2-4.py310:latest"),
        "{text_of}"
    );
    // Vertex AI ends it only where the workflow has not: a minute later.
    let scheduling = "\"scheduling\":{\"timeout\":\"7260s\",\"strategy\":\"SPOT\",\"restartJobOnWorkerRestart\":true}";
    assert!(text_of.contains(scheduling), "{text_of}");
    assert!(text_of.contains("\"others\":{\"replicaCount\":2}"), "{text_of}");
    assert!(text_of.contains("\"--rate\",\"0.1\""), "{text_of}");
    let terraform = terraform(text);
    let resources = &terraform["resource"];
    // The job reads the pipeline's buckets, and writes below one folder of its own.
    let members = &resources["google_storage_bucket_iam_member"];
    assert_eq!(members["training_data_raw"]["role"], "roles/storage.objectViewer");
    let under =
        "resource.name.startsWith(\"projects/_/buckets/${google_storage_bucket.training_.name}/objects/runs/\")";
    assert_eq!(members["training_writes"]["condition"]["expression"], under);
    // The workflow may start jobs as that account and as no other.
    let acts = &resources["google_service_account_iam_member"]["workflow_training"];
    assert_eq!(acts["service_account_id"], "${google_service_account.training.name}");
    let permissions = &resources["google_project_iam_custom_role"]["training_"]["permissions"];
    assert_eq!(permissions.as_array().map(Vec::len), Some(3));
    let readme = file(&artifacts(text), "README.md");
    let copy = "training/t \"$(terraform output -raw training)/code/t\"";
    assert!(readme.contains(copy), "{readme}");
}

#[test]
fn predictions_write_where_their_output_is_and_nowhere_else() {
    let text = "buckets: { raw: {}, done: {} }\nsteps:\n  p: { batch_predict: { model: \"${{ buckets.raw.uri + '/m/' }}\", input: \"${{ buckets.raw.uri + '/in/' }}\", output: \"${{ buckets.done.uri + '/out/' }}\", framework: { name: pytorch, version: \"2.4\" }, max_duration: 2h } }\n";
    let artifacts = artifacts(text);
    let workflow = file(&artifacts, "workflow.yaml");
    assert!(workflow.contains("vertex-ai/training/pytorch-"), "{workflow}");
    assert!(workflow.contains("7260s"), "{workflow}");
    let terraform = terraform(text);
    let resources = &terraform["resource"];
    let members = &resources["google_storage_bucket_iam_member"];
    let role = |key: &str| members[key]["role"].as_str().unwrap_or_default();
    assert_eq!(role("training_predicting_data_done"), "roles/storage.objectUser");
    assert_eq!(role("training_predicting_data_raw"), "roles/storage.objectViewer");
    // Nothing trains: no account does.
    assert!(members["training_reads"].is_null() && resources["google_service_account"]["training"].is_null());
    let acts = &resources["google_service_account_iam_member"]["workflow_predicting"];
    assert_eq!(acts["service_account_id"], "${google_service_account.predicting.name}");
    for file in [
        "mlpipe_launcher.py",
        "mlpipe_predicting.py",
        "mlpipe_serving.py",
        "mlpipe_training.py",
    ] {
        assert!(
            artifacts
                .files
                .contains_key(&format!("training/mlpipe-predicting/{file}")),
            "{file}"
        );
    }
}

#[test]
fn trainings_that_do_not_fit_are_refused() {
    let train = |text: &str| {
        codes(&format!(
            "steps: {{ a: {{ train: {{ source: t, entrypoint: fit.py, {text} }} }} }}\n"
        ))
    };
    assert!(train("framework: { name: sklearn, version: \"1.2\" }").is_empty());
    assert_eq!(train("image: { aws: x }"), ["MLP0728"]);
    assert_eq!(train("image: x, instance: { gcp: n1-standard-3 }"), ["MLP0729"]);
    assert_eq!(
        train("image: x, compute: { gpu: { type: a10g, count: 1 } }"),
        ["MLP0729"]
    );
    assert!(train("framework: { name: sklearn, version: \"1\" }").is_empty());
}

const SERVED: &str = "topics: { alerts: {} }\nsteps:\n  serve: { endpoint: { name: churn, model: \"gs://m/a/\", framework: { name: sklearn, version: \"1.2\" } } }\n";

#[test]
fn a_monitor_is_alert_policies_that_tell_its_topic() {
    let text = format!(
        "{SERVED}  watch: {{ needs: [serve], monitor: {{ endpoint: churn, schedule: \"0 * * * *\", latency: {{ p95_ms: 300 }}, error_rate: 0.01, alert: alerts }} }}\n"
    );
    let terraform = terraform(&text);
    let resources = &terraform["resource"];
    let policies = &resources["google_monitoring_alert_policy"];
    let condition = |key: &str| &policies[key]["conditions"][0]["condition_threshold"];
    let latency = condition("churn_latency");
    assert_eq!(latency["threshold_value"], 300.0);
    assert_eq!(latency["aggregations"][0]["per_series_aligner"], "ALIGN_PERCENTILE_95");
    // Those of one endpoint, by the id that the workflow gives it.
    let filter = latency["filter"].as_str().expect("a filter");
    assert!(filter.contains("endpoint_id = \"churn-churn\""), "{filter}");
    assert!(workflow(&text).to_string().contains("\"id\":\"churn-churn\""));
    // 4xx are the caller's: of all answers only 5xx count.
    let errors = condition("churn_errors");
    let [failed, all] = ["filter", "denominator_filter"].map(|key| errors[key].as_str().expect("a filter"));
    assert!(failed.starts_with(all), "{failed}");
    assert!(failed.ends_with("response_code = starts_with(\"5\")"), "{failed}");
    let channel = &resources["google_monitoring_notification_channel"]["alerts"];
    assert_eq!(channel["labels"]["topic"], "${google_pubsub_topic.alerts.id}");
    let publishes = &resources["google_pubsub_topic_iam_member"]["monitoring_alerts"];
    assert_eq!(publishes["role"], "roles/pubsub.publisher");
    // The workflow itself publishes nothing.
    assert!(resources["google_pubsub_topic_iam_member"]["workflow_alerts"].is_null());
    let readme = file(&artifacts(&text), "README.md");
    assert!(readme.contains("## Monitors"), "{readme}");
}

#[test]
fn of_several_monitors_of_an_endpoint_the_last_to_run_counts() {
    // In the file it stands first.
    let text = format!(
        "{SERVED}  again: {{ needs: [watch], monitor: {{ endpoint: churn, schedule: \"0 * * * *\", error_rate: 0.05, alert: alerts }} }}\n  watch: {{ needs: [serve], monitor: {{ endpoint: churn, schedule: \"0 * * * *\", latency: {{ p95_ms: 300 }}, alert: alerts }} }}\n"
    );
    let terraform = terraform(&text);
    let policies = terraform["resource"]["google_monitoring_alert_policy"]
        .as_object()
        .expect("policies");
    let keys: Vec<&String> = policies.keys().collect();
    assert_eq!(keys, ["churn_errors"]);
}
