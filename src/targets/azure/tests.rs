use indexmap::IndexMap;
use serde_json::json;

use super::facts::RESOURCES;
use super::*;
use crate::check::handlers::AllThere;
use crate::targets::Sources;

const PIPELINE: &str = "
mlpipe: v1
name: full
params:
  key: { type: string }
buckets:
  raw: { expire_after: 30d }
  x: {}
  models: { versioning: true }
  archive: { existing: { azure: acmestore/archive } }
secrets: { api_key: {} }
triggers:
  - object_created: { bucket: raw, prefix: in/, suffix: '[x].csv' }
    params: { key: '${{ trigger.key }}' }
  - object_created: { bucket: archive }
    params: { key: '${{ trigger.uri }}' }
steps:
  import:
    function: { handler: train.run, source: a, memory: 600MB, timeout: 45m }
  host:
    function: { handler: train.run, source: b }
  full:
    needs: [import, host]
    join: any
    function: { handler: train.run, source: a }
outputs: { a: 1 }
";

fn pipeline(text: &str) -> Pipeline {
    let mut problems = Problems::new();
    let document = crate::syntax::read(text, &mut problems).expect("the document");
    let pipeline = crate::check::check(&document, &crate::check::Input::new(text, &AllThere), &mut problems);
    pipeline.unwrap_or_else(|| panic!("{problems:?}"))
}

fn sources(requirements: [&str; 2]) -> Sources {
    let folder = |requirements: &str| {
        let files = [("requirements.txt", requirements), ("train.py", "")];
        files
            .into_iter()
            .map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()))
            .collect::<IndexMap<_, _>>()
    };
    let [a, b] = requirements;
    let folders = [("a".to_owned(), folder(a)), ("b".to_owned(), folder(b))];
    Sources {
        folders: folders.into_iter().collect(),
    }
}

fn artifacts(requirements: [&str; 2]) -> Result<Artifacts, Problems> {
    let pipeline = pipeline(PIPELINE);
    compile(&pipeline, &crate::plan::plan(&pipeline), &sources(requirements))
}

fn text(artifacts: &Artifacts, path: &str) -> String {
    String::from_utf8(artifacts.files[path].clone()).expect("UTF-8")
}

fn codes(problems: &Problems) -> Vec<String> {
    problems.sorted().iter().map(|problem| problem.code()).collect()
}

#[test]
fn names_of_steps_that_python_or_azure_reserve() {
    let artifacts = artifacts(["", ""]).expect("artifacts");
    let app = text(&artifacts, "app/function_app.py");
    for part in [
        "activity=\"import\")\ndef import_(envelope):",
        "activity=\"host\")\ndef host_(envelope):",
        "input_name=\"envelope\")\ndef full(envelope):",
        "orchestration=\"full\")\ndef full_(context",
    ] {
        assert!(app.contains(part), "{part} is not in\n{app}");
    }
}

#[test]
fn one_list_of_requirements() {
    let artifacts = artifacts(["fsspec\nnumpy==1.26\n", "numpy==1.26\n-r more.txt\n"]).expect("artifacts");
    let expected = "fsspec\nnumpy==1.26\n-r b/more.txt\nazure-functions>=1.21,<2\nazure-functions-durable>=1.3,<2\n\
                    azure-identity\nazure-keyvault-secrets\nadlfs\n";
    assert_eq!(text(&artifacts, "app/requirements.txt"), expected);
}

#[test]
fn requirements_that_cannot_live_together() {
    let problems = super::tests::artifacts(["numpy==1.26", "NumPy==2.0"]).expect_err("a problem");
    assert_eq!(codes(&problems), ["MLP0745"]);
}

#[test]
fn the_template_names_what_it_needs() {
    let artifacts = artifacts(["", ""]).expect("artifacts");
    let template: serde_json::Value = serde_json::from_slice(&artifacts.files["main.json"]).expect("JSON");
    let resources = template["resources"].as_array().expect("a list");
    let of = |kind: &str| -> Vec<&serde_json::Value> {
        resources.iter().filter(|resource| resource["type"] == kind).collect()
    };
    let containers: Vec<&str> = of("Microsoft.Storage/storageAccounts/blobServices/containers")
        .iter()
        .filter_map(|container| container["name"].as_str())
        .collect();
    let names = [
        "hostStorage'), '/default/deployments",
        "dataStorage'), '/default/raw",
        "dataStorage'), '/default/data-x",
    ];
    for name in names {
        assert!(
            containers.iter().any(|container| container.contains(name)),
            "{name}: {containers:?}"
        );
    }
    // Versions are a matter of the whole account: buckets that keep none lose theirs after a day.
    let rules = &of("Microsoft.Storage/storageAccounts/managementPolicies")[0]["properties"]["policy"]["rules"];
    assert_eq!(
        rules[0]["definition"]["actions"]["version"]["delete"]["daysAfterCreationGreaterThan"],
        1
    );
    assert_eq!(rules[1]["name"], "expire-data-x");
    assert_eq!(rules.as_array().map(Vec::len), Some(2));
    let filter = &of("Microsoft.EventGrid/systemTopics/eventSubscriptions")[0]["properties"]["filter"];
    assert_eq!(
        filter["subjectBeginsWith"],
        "/blobServices/default/containers/raw/blobs/in/"
    );
    assert_eq!(filter["subjectEndsWith"], "[[x].csv");
    assert_eq!(of("Microsoft.Resources/deployments").len(), 2);
    let scale = &of("Microsoft.Web/sites")[0]["properties"]["functionAppConfig"]["scaleAndConcurrency"];
    assert_eq!(scale["instanceMemoryMB"], 2048);
    let host: serde_json::Value = serde_json::from_slice(&artifacts.files["app/host.json"]).expect("JSON");
    assert_eq!(host["functionTimeout"], "00:46:00");
    assert_eq!(host["extensions"]["durableTask"], json!({"hubName": "Full"}));
}

#[test]
fn control_flow_reads_like_the_file() {
    let pipeline = pipeline(
        "
mlpipe: v1
name: flow
params: { files: { type: [string] }, at: { type: string } }
steps:
  load:
    for_each: '${{ params.files }}'
    as: file
    max_concurrency: 5
    catch: [{ on: [Empty], output: 0 }, { do: { fail: { error: Bad, message: '${{ file + error.message }}' } } }]
    function: { handler: train.run, source: a }
    input: { file: '${{ file }}', n: '${{ index }}' }
  tune:
    needs: [load]
    repeat: { until: '${{ output.score > 1 }}', max: 4, delay: 1m }
    timeout: 2h
    retry: { attempts: 2, delay: 5s, on: [timeout] }
    steps:
      fit: { function: { handler: train.run, source: a }, input: '${{ previous }}', output: number }
      rest: { needs: [fit], wait: { until: '${{ params.at }}' } }
    outputs: { score: '${{ steps.fit.output }}' }
",
    );
    let text = orchestrator::module(&pipeline).expect("the module");
    let (_, steps) = text.split_once("        steps=[\n").expect("steps");
    assert_eq!(
        steps,
        r#"            Function(
                "load",
                for_each=ForEach(lambda: params["files"], max_concurrency=5),
                catch=[
                    Catch(["Empty"], output=0),
                    Catch(
                        ["all"],
                        do=Fail("load.do", error="Bad", message=lambda error: steps["load"].item + error.message),
                    ),
                ],
                input=lambda: {"file": steps["load"].item, "n": steps["load"].index},
                timeout=60,
            ),
            Group(
                "tune",
                needs=["load"],
                repeat=Repeat(lambda: steps["tune"].output["score"] > 1, max=4, delay=60),
                timeout=7200,
                retry=Retry(attempts=2, delay=5, backoff=2, max_delay=60, on=["timeout"]),
                steps=[
                    Function("tune.fit", input=lambda: steps["tune"].previous, timeout=60),
                    Wait("tune.rest", needs=["tune.fit"], until=lambda: params["at"]),
                ],
                outputs=lambda: {"score": steps["tune.fit"].output},
            ),
        ],
    )
"#
    );
}

#[test]
fn quotas() {
    let text = PIPELINE
        .replace("memory: 600MB", "memory: 5GB, runtime: python3.11")
        .replace("source: b", "source: azure")
        .replace("acmestore/archive", "acmestore/a--b")
        .replace("  x: {}", "  x--y: {}");
    let problems = check(&pipeline(&text));
    let mut codes = codes(&problems);
    codes.sort();
    codes.dedup();
    assert_eq!(codes, ["MLP0740", "MLP0742", "MLP0743", "MLP0744", "MLP0746"]);
}

#[test]
fn paths_that_are_too_long_for_a_function() {
    let nested = |groups: &[&str]| {
        let mut text = "mlpipe: v1\nname: p\nsteps:\n".to_owned();
        for (depth, group) in groups.iter().enumerate() {
            text.push_str(&format!("{:2$}{group}:\n{:2$}  steps:\n", "", "", 2 + 4 * depth));
        }
        let indent = 2 + 4 * groups.len();
        text.push_str(&format!(
            "{:indent$}a: {{ function: {{ handler: train.run, source: a }} }}\n",
            ""
        ));
        codes(&check(&pipeline(&text)))
    };
    let [x, y, z] = ["x", "y", "z"].map(|letter| letter.repeat(40));
    assert!(nested(&[&x, &y, &z]).is_empty());
    assert_eq!(nested(&[&x, &y, &z, "four"]), ["MLP0748"]);
}

/// A folder with one more pipeline.
struct WithPart;

impl crate::check::handlers::Files for WithPart {
    fn is_folder(&self, _: &str) -> bool {
        true
    }

    fn read(&self, path: &str) -> Option<String> {
        let part = "
mlpipe: v1
name: the-part
topics: { ask: {}, quiet: {} }
params: { n: { type: integer } }
steps:
  work: { function: { handler: train.run, source: a, memory: 3GB }, input: '${{ params.n }}' }
  gate: { needs: [work], approval: { topic: ask, message: '${{ topics.quiet.name }}' } }
  each: { needs: [gate], for_each: [1], wait: { duration: 1s } }
";
        Some(if path.ends_with(".yaml") {
            part.to_owned()
        } else {
            "from everything import *\n".to_owned()
        })
    }

    fn python_files(&self, _: &str) -> Vec<String> {
        Vec::new()
    }
}

#[test]
fn another_pipeline_with_a_topic() {
    let text = "
mlpipe: v1
name: whole
steps:
  the-part-work: { function: { handler: train.run, source: a } }
  part: { pipeline: { file: part.yaml, params: { n: 3 } }, timeout: 1h }
";
    let mut problems = Problems::new();
    let document = crate::syntax::read(text, &mut problems).expect("the document");
    let pipeline = crate::check::check(&document, &crate::check::Input::new(text, &WithPart), &mut problems)
        .unwrap_or_else(|| panic!("{problems:?}"));
    assert!(codes(&check(&pipeline)).is_empty());
    let artifacts = compile(&pipeline, &crate::plan::plan(&pipeline), &sources(["", ""])).expect("artifacts");

    let app = super::tests::text(&artifacts, "app/function_app.py");
    for part in [
        "mlpipe_run.run(context, mlpipe_pipeline_the_part, \"the_part-\")".to_owned(),
        "orchestration=\"the-part-items\")\ndef the_part_items(".to_owned(),
        // The step of one and the activity of the other would be of one name in Python.
        "@app.activity_trigger(input_name=\"envelope\")\ndef the_part_work(".to_owned(),
        "activity=\"the_part-work\")\ndef the_part_work_(".to_owned(),
        "activity=\"mlpipe-stop\"".to_owned(),
        "activity=\"mlpipe-publish\"".to_owned(),
    ] {
        assert!(app.contains(&part), "{part} is not in\n{app}");
    }
    let root = super::tests::text(&artifacts, "app/mlpipe_pipeline.py");
    assert!(
        root.contains("Child(\"part\", pipeline=\"the_part\", params={\"n\": 3}, timeout=3600)"),
        "{root}"
    );
    let child = super::tests::text(&artifacts, "app/mlpipe_pipeline_the_part.py");
    assert!(child.contains("message=lambda: topics[\"quiet\"].name"), "{child}");
    let requirements = super::tests::text(&artifacts, "app/requirements.txt");
    assert!(
        requirements.contains("azure-identity\nazure-eventgrid\n"),
        "{requirements}"
    );

    let template: serde_json::Value = serde_json::from_slice(&artifacts.files["main.json"]).expect("JSON");
    let resources = template["resources"].as_array().expect("a list");
    let topics: Vec<_> = resources
        .iter()
        .filter(|resource| resource["type"] == "Microsoft.EventGrid/topics")
        .map(|topic| topic["name"].as_str().unwrap_or_default())
        .collect();
    assert_eq!(
        topics,
        [
            "[concat('ask-', uniqueString(resourceGroup().id, 'whole', 'ask'))]",
            "[concat('quiet-', uniqueString(resourceGroup().id, 'whole', 'quiet'))]",
        ]
    );
    // Only the topic that is published to needs a role.
    let sender = resources.iter().filter(|resource| {
        resource["properties"]["roleDefinitionId"]
            .as_str()
            .is_some_and(|role| role.contains("d5a91429-5739-47e2-a06b-3470a27159e7"))
    });
    let scopes: Vec<_> = sender.map(|role| role["scope"].as_str().unwrap_or_default()).collect();
    assert_eq!(scopes.len(), 1);
    assert!(scopes[0].contains("'ask-'"), "{scopes:?}");
    let site = resources
        .iter()
        .find(|resource| resource["type"] == "Microsoft.Web/sites")
        .expect("the app");
    assert_eq!(
        site["properties"]["functionAppConfig"]["scaleAndConcurrency"]["instanceMemoryMB"],
        4096
    );
    let settings = site["properties"]["siteConfig"]["appSettings"].to_string();
    for setting in ["MLPIPE_TOPIC_NAME_QUIET", "MLPIPE_TOPIC_ENDPOINT_ASK"] {
        assert!(settings.contains(setting), "{setting} is not in {settings}");
    }
}

#[test]
fn a_slice_is_told_what_its_items_read() {
    let pipeline = pipeline(
        "
mlpipe: v1
name: reads
params: { a: { type: integer }, b: { type: integer }, c: { type: [integer] } }
steps:
  one: { function: { handler: train.run, source: a } }
  two: { fail: { error: E, message: m }, catch: [{ output: 1 }] }
  outer:
    for_each: [1, 2]
    as: row
    steps:
      inner:
        when: '${{ params.b > 0 }}'
        for_each: '${{ params.c }}'
        as: cell
        catch: [{ on: [E], output: '${{ steps.two.error }}' }, { do: { function: { handler: train.run, source: a }, input: '${{ params.a }}' } }]
        steps:
          x: { function: { handler: train.run, source: a }, input: '${{ [row, cell, steps.one.output] }}' }
          y: { function: { handler: train.run, source: a }, input: '${{ steps.x.status }}' }
",
    );
    let text = orchestrator::module(&pipeline).expect("the module");
    let (_, inner) = text.split_once("\"outer.inner\",").expect("the list");
    // Not what `when` and the list itself read: `b` and `c`.
    for part in [
        "params=[\"a\"]",
        "steps={\"one\": [\"output\"], \"outer\": [\"item\"], \"two\": [\"error\"]}",
    ] {
        assert!(inner.contains(part), "{part} is not in\n{inner}");
    }
}

#[test]
fn messages_are_published_with_the_right_to_do_so() {
    let pipeline = pipeline(
        "
mlpipe: v1
name: tells
topics: { alerts: {}, unused: {} }
steps:
  say: { notify: { topic: alerts, message: done }, timeout: 5s }
on_failure: { notify: { topic: alerts, message: '${{ error.name }}' } }
",
    );
    let module = orchestrator::module(&pipeline).expect("the module");
    for part in [
        "from mlpipe_dag import Notify, Pipeline, Topic\n",
        "Notify(\"say\", topic=topics[\"alerts\"], message=\"done\", timeout=5)",
        "on_failure=Notify(\"on_failure\", topic=topics[\"alerts\"], message=lambda error: error.name)",
    ] {
        assert!(module.contains(part), "{part} is not in\n{module}");
    }
    let artifacts = compile(&pipeline, &crate::plan::plan(&pipeline), &sources(["", ""])).expect("artifacts");
    assert!(text(&artifacts, "app/requirements.txt").contains("azure-eventgrid\n"));
    let template: serde_json::Value = serde_json::from_slice(&artifacts.files["main.json"]).expect("JSON");
    let resources = template["resources"].as_array().expect("a list");
    let scopes: Vec<&str> = resources
        .iter()
        .filter(|resource| resource["type"] == "Microsoft.Authorization/roleAssignments")
        .filter_map(|role| role["scope"].as_str())
        .filter(|scope| scope.contains("EventGrid"))
        .collect();
    assert!(matches!(scopes[..], [scope] if scope.contains("alerts")), "{scopes:?}");
}

#[test]
fn messages_and_requests_start_it() {
    let pipeline = pipeline(
        "
mlpipe: v1
name: starts
params: { text: { type: string } }
topics: { arrivals: {} }
triggers:
  - topic: { name: arrivals }
    params: { text: '${{ trigger.message }}' }
  - http: { auth: iam }
steps:
  pause: { wait: { duration: 1s } }
",
    );
    let artifacts = compile(&pipeline, &crate::plan::plan(&pipeline), &sources(["", ""])).expect("artifacts");
    let app = text(&artifacts, "app/function_app.py");
    for part in [
        "from mlpipe_start import start_by_request, start_once, topic_message\n",
        "    trigger = topic_message(event)\n    params = {\"text\": trigger.message}\n    \
         await start_once(client, \"starts\", f\"topic-1-{trigger.id}\", params)\n",
        "@app.route(route=\"start\", methods=[\"POST\"], auth_level=func.AuthLevel.FUNCTION)\n",
        "    return await start_by_request(client, \"starts\", req)\n",
    ] {
        assert!(app.contains(part), "{part} is not in\n{app}");
    }
    let template: serde_json::Value = serde_json::from_slice(&artifacts.files["main.json"]).expect("JSON");
    let resources = template["resources"].as_array().expect("a list");
    let subscription = resources
        .iter()
        .find(|resource| resource["type"] == "Microsoft.EventGrid/topics/eventSubscriptions")
        .expect("the subscription");
    assert_eq!(subscription["condition"], "[parameters('deliverEvents')]");
    assert_eq!(subscription["properties"]["filter"], json!({}));
    assert_eq!(
        subscription["properties"]["destination"]["properties"]["resourceId"],
        "[concat(resourceId('Microsoft.Web/sites', variables('app')), '/functions/start_on_topic_1')]"
    );
    // It publishes nothing: it has no right to.
    assert!(!template.to_string().contains(&RESOURCES.roles.event_grid_data_sender));
}

#[test]
fn an_endpoint_runs_as_an_identity_that_reads() {
    let pipeline = pipeline(
        "
mlpipe: v1
name: serves
buckets: { models: {} }
steps:
  serve:
    endpoint:
      name: churn
      model: ${{ buckets.models.uri + '/m/' }}
      framework: { name: sklearn, version: '1.2' }
      variants: { main: { weight: 2 }, new: { weight: 1 } }
",
    );
    let artifacts = compile(&pipeline, &crate::plan::plan(&pipeline), &Sources::default()).expect("artifacts");
    for file in [
        "app/mlpipe_endpoint.py",
        "serving/score.py",
        "serving/mlpipe_serving.py",
    ] {
        assert!(artifacts.files.contains_key(file), "{file}");
    }
    let module = text(&artifacts, "app/mlpipe_pipeline.py");
    let variants = r#""main": {"instance": "Standard_D2as_v4", "count": 1, "percent": 67}"#;
    assert!(module.contains(variants), "{module}");
    let template: serde_json::Value = serde_json::from_slice(&artifacts.files["main.json"]).expect("JSON");
    let resources = template["resources"].as_array().expect("a list");
    let whole = |kind: &str| {
        let of_kind = resources.iter().filter(|resource| resource["type"] == kind);
        of_kind.map(ToString::to_string).collect::<Vec<_>>()
    };
    let roles = &RESOURCES.roles;
    let may: Vec<String> = whole("Microsoft.Authorization/roleAssignments")
        .into_iter()
        .filter(|grant| grant.contains("reference(resourceId('Microsoft.ManagedIdentity/userAssignedIdentities', concat(variables('app'), '-serving'))"))
        .collect();
    let reads = may
        .iter()
        .filter(|grant| grant.contains(&roles.storage_blob_data_reader));
    assert_eq!(reads.count(), 2); // the bucket and the workspace's container
    assert!(!may.concat().contains(&roles.storage_blob_data_contributor));
    let environment = whole("Microsoft.MachineLearningServices/workspaces/environments/versions").concat();
    assert!(environment.contains("scikit-learn==1.2.*"), "{environment}");
    // Nothing trains: no identity of jobs.
    assert!(!template.to_string().contains("'-jobs'"));
}

const MONITORED: &str = "
mlpipe: v1
name: watched
buckets: { lake: {} }
topics: { alerts: {}, others: {} }
steps:
  serve:
    endpoint: { name: churn, model: 'abfs://x@y.dfs.core.windows.net/m', framework: { name: sklearn, version: '1.5' } }
  drift:
    monitor:
      endpoint: churn
      baseline: ${{ buckets.lake.uri + '/b.csv' }}
      schedule: '30 3 * * MON'
      drift: { threshold: 0.25, metric: jensen_shannon }
      alert: alerts
  errors:
    monitor: { endpoint: churn, schedule: '*/10 * * * *', error_rate: 0.05, alert: alerts }
";

#[test]
fn monitors() {
    let pipeline = pipeline(MONITORED);
    let artifacts = compile(&pipeline, &crate::plan::plan(&pipeline), &Sources::default()).expect("artifacts");
    let steps = text(&artifacts, "app/mlpipe_pipeline.py");
    // Azure's distance is the root of the divergence.
    for part in [
        "\"threshold\": 0.5,",
        "\"numerical\": \"JensenShannonDistance\"",
        "\"window\": \"P7D\"",
        "\"schedule\": \"30 3 * * MON\"",
    ] {
        assert!(steps.contains(part), "{part}\n{steps}");
    }
    assert_eq!(steps.matches("drift={").count(), 1);
    let app = text(&artifacts, "app/function_app.py");
    for part in [
        "schedule=\"0 */10 * * * *\")\ndef watch_errors(timer",
        "error_rate=0.05",
        "\"watched-drift\": mlpipe_monitor.Bounds(",
    ] {
        assert!(app.contains(part), "{part}\n{app}");
    }
    // No timer where there is no bound to look at, and no event of drift where nothing looks for it.
    assert!(!app.contains("watch_drift"));
    let template = text(&artifacts, "main.json");
    assert!(template.contains("Microsoft.MachineLearningServices.Workspaces"));
    let publishes = &RESOURCES.roles.event_grid_data_sender;
    assert_eq!(
        template.matches(&format!("roleDefinitions', '{publishes}'")).count(),
        1,
        "to the topic that is told"
    );
    let bare = MONITORED.replace(
        "      drift: { threshold: 0.25, metric: jensen_shannon }\n",
        "      error_rate: 0.1\n",
    );
    let bare = bare.replace("      baseline: ${{ buckets.lake.uri + '/b.csv' }}\n", "");
    let pipeline = self::pipeline(&bare);
    let artifacts = compile(&pipeline, &crate::plan::plan(&pipeline), &Sources::default()).expect("artifacts");
    assert!(!text(&artifacts, "app/function_app.py").contains("drift_detected"));
    assert!(!text(&artifacts, "main.json").contains("deliverEvents"));
}
