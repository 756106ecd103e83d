//! The state machine of small pipelines.

use std::collections::BTreeSet;

use indexmap::IndexMap;
use serde_json::Value;

use crate::check::handlers::AllThere;
use crate::diagnostics::Problems;
use crate::model::Pipeline;
use crate::targets::{Artifacts, Sources};
use crate::{check, plan, syntax};

const HEAD: &str = "mlpipe: v1\nname: churn\ndefaults: { function: { source: functions } }\n";

fn pipeline(text: &str) -> Pipeline {
    let text = format!("{HEAD}{text}");
    let mut problems = Problems::new();
    let document = syntax::read(&text, &mut problems).unwrap_or_else(|| panic!("{problems:?}"));
    check::check(&document, &crate::check::Input::new(&text, &AllThere), &mut problems)
        .unwrap_or_else(|| panic!("{problems:?}"))
}

fn artifacts(text: &str) -> Artifacts {
    let pipeline = pipeline(text);
    let plan = plan::plan(&pipeline);
    let mut sources = Sources::default();
    sources.folders.insert("functions".to_owned(), IndexMap::new());
    super::compile(&pipeline, &plan, &sources).unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn file(artifacts: &Artifacts, path: &str) -> String {
    String::from_utf8(artifacts.files[path].clone()).unwrap()
}

fn definition(text: &str) -> Value {
    serde_json::from_str(&file(&artifacts(text), super::DEFINITION)).unwrap()
}

fn names(definition: &Value) -> Vec<String> {
    definition["States"].as_object().unwrap().keys().cloned().collect()
}

#[test]
fn a_chain_is_one_state_a_step() {
    let definition = definition(
        "steps:
  a: { function: { handler: h.handler }, output: { n: integer } }
  b: { function: { handler: h.handler }, input: { n: '${{ steps.a.output.n }}' } }
  c: { function: { handler: h.handler }, input: { m: '${{ steps.b.output.m }}' } }
outputs: { last: '${{ steps.c.output }}', first: '${{ steps.a.output.n }}', deep: '${{ steps.c.output.x.y }}' }
",
    );
    assert_eq!(names(&definition), ["a", "b", "c", "Failed", "Fail"]);
    assert_eq!(definition["StartAt"], "a");
    let last = &definition["States"]["c"];
    assert_eq!(last["End"], true);
    assert_eq!(last["Output"]["last"], "{% $states.result.Payload %}");
    assert_eq!(last["Output"]["first"], "{% $a.n %}");
    // Input and outputs may both fail: the cause tells which did.
    let catch = last["Catch"][0]["Output"].as_str().unwrap();
    assert!(
        catch.contains(" for the field 'Output") && catch.contains("cannot evaluate `outputs`"),
        "{catch}"
    );
    // What only the outputs of the same state read needs no variable.
    assert_eq!(definition["States"]["b"]["Assign"]["b"], "{% $states.result.Payload %}");
    assert_eq!(last["Assign"], Value::Null);
}

/// Names that the states of a scope assign, with those of inner scopes apart.
fn check_scopes(states: &Value, outer: &BTreeSet<String>, seen: &mut BTreeSet<String>) {
    let mut own = BTreeSet::new();
    let states = states.as_object().unwrap();
    for (name, state) in states {
        assert!(seen.insert(name.clone()), "two states are called {name}");
        assert!(name.chars().count() <= 80, "{name}");
        let rules = state["Choices"].as_array().into_iter().flatten();
        let rules = rules.chain(state["Catch"].as_array().into_iter().flatten());
        for part in rules.chain([state]) {
            own.extend(
                part["Assign"]
                    .as_object()
                    .into_iter()
                    .flatten()
                    .map(|(name, _)| name.clone()),
            );
        }
        let targets = state["Choices"].as_array().into_iter().flatten();
        let targets = targets.chain(state["Catch"].as_array().into_iter().flatten());
        for next in targets.chain([state]).filter_map(|part| part["Next"].as_str()) {
            assert!(states.contains_key(next), "{name} leads to {next}");
        }
    }
    assert!(own.is_disjoint(outer), "{own:?} {outer:?}");
    let all: BTreeSet<String> = own.union(outer).cloned().collect();
    for state in states.values() {
        let branches = state["Branches"].as_array().into_iter().flatten();
        for branch in branches.chain(state.get("ItemProcessor")) {
            check_scopes(&branch["States"], &all, seen);
        }
    }
}

#[test]
fn inner_scopes_assign_no_outer_name() {
    let definition = definition(
        "params: { go: boolean, any: any }
steps:
  a: { function: { handler: h.handler } }
  b: { when: '${{ params.go }}', needs: [a], function: { handler: h.handler } }
  b2: { needs: [b], function: { handler: h.handler }, input: '${{ steps.b.output }}' }
  c: { needs: [a], when: '${{ params.any }}', function: { handler: h.handler } }
  c1: { needs: [c], function: { handler: h.handler } }
  c2: { needs: [c], wait: { duration: 5s } }
  sum: { needs: [b2, c1, c2], join: any, function: { handler: h.handler }, input: '${{ steps.c1.output }}' }
  no: { needs: [c2], when: '${{ steps.b.status == ''skipped'' }}', fail: { error: E, message: 'm ${{ params.any }}' } }
on_failure: { function: { handler: h.handler }, input: '${{ params.go }}' }
outputs: { b: '${{ steps.b.output }}', s: '${{ steps.c1.status }}', x: '${{ steps.sum.output }}' }
",
    );
    check_scopes(&definition["States"], &BTreeSet::new(), &mut BTreeSet::new());
}

#[test]
fn scopes_of_items_attempts_and_repetitions_are_apart() {
    let long = "a".repeat(38);
    let definition = definition(&format!(
        "params: {{ xs: [any], go: boolean }}
steps:
  a: {{ function: {{ handler: h.handler }} }}
  g:
    needs: [a]
    for_each: ${{{{ params.xs }}}}
    catch:
      - on: [Known]
        output: ${{{{ [item, steps.a.output, error.message] }}}}
      - do: {{ function: {{ handler: h.handler }}, input: '${{{{ index }}}}' }}
    repeat: {{ until: '${{{{ size(output.n) == 3 }}}}', max: 3, delay: 2s }}
    retry: {{ attempts: 2, delay: 1s, on: [all] }}
    steps:
      b: {{ when: '${{{{ params.go }}}}', function: {{ handler: h.handler }}, input: '${{{{ previous }}}}' }}
      c: {{ function: {{ handler: h.handler }}, catch: [{{ output: 1 }}] }}
      inner:
        for_each: ${{{{ [item] }}}}
        as: other
        steps:
          {long}:
            repeat: {{ until: '${{{{ output.go }}}}', max: 1 }}
            steps:
              {long}b: {{ function: {{ handler: h.handler }}, input: '${{{{ [item, other, steps.b.output] }}}}' }}
              d: {{ function: {{ handler: h.handler }}, catch: [{{ output: '${{{{ error.name }}}}' }}] }}
              e: {{ function: {{ handler: h.handler }}, input: '${{{{ steps.d.error }}}}' }}
            outputs: {{ go: '${{{{ steps.{long}b.output }}}}' }}
        outputs: {{ x: '${{{{ steps.{long}.output }}}}' }}
    outputs: {{ n: '${{{{ steps.inner.output }}}}', s: '${{{{ steps.b.status }}}}', e: '${{{{ steps.c.error }}}}' }}
outputs: {{ g: '${{{{ steps.g.output }}}}' }}
"
    ));
    check_scopes(&definition["States"], &BTreeSet::new(), &mut BTreeSet::new());
}

#[test]
fn a_call_catches_by_its_own_catchers() {
    let definition = definition(
        "steps:
  a:
    function: { handler: h.handler }
    catch:
      - { on: [NotEnoughData, timeout], output: { rows: 0 } }
      - { on: [transient], do: { function: { handler: h.handler } } }
  b: { needs: [a], function: { handler: h.handler }, input: '${{ steps.a.output }}' }
",
    );
    // No state is between the call and what follows.
    assert_eq!(names(&definition), ["a", "a.do", "b", "Failed", "Fail"]);
    let catch = &definition["States"]["a"]["Catch"];
    assert_eq!(
        catch[0]["ErrorEquals"],
        serde_json::json!(["NotEnoughData", "States.Timeout", "Sandbox.Timedout", "timeout"])
    );
    assert_eq!(catch[0]["Assign"]["a"]["rows"], 0);
    assert_eq!(catch[0]["Next"], "b");
    assert_eq!(catch[1]["Next"], "a.do");
    // Nothing reads the error: it is not kept.
    assert_eq!(catch[1]["Assign"], Value::Null);
    assert_eq!(definition["States"]["a.do"]["Next"], "b");
    assert_eq!(catch[3]["ErrorEquals"][0], "States.ALL");
    assert_eq!(catch[3]["Next"], "Failed");
}

#[test]
fn an_item_is_one_state_where_its_step_is() {
    let definition = definition(
        "params: { xs: { type: [string] } }
steps:
  a: { for_each: '${{ params.xs }}', as: x, max_concurrency: 40, function: { handler: h.handler }, input: '${{ x }}' }
outputs: { a: '${{ steps.a.output }}' }
",
    );
    let map = &definition["States"]["a"];
    assert_eq!(map["Items"], "{% $params.xs %}");
    assert_eq!(
        map["ItemSelector"],
        serde_json::json!({ "x": "{% $states.context.Map.Item.Value %}" })
    );
    // An inline Map state runs no more than 40 at once.
    assert_eq!(map["MaxConcurrency"], Value::Null);
    let states = map["ItemProcessor"]["States"].as_object().unwrap();
    assert_eq!(states.keys().collect::<Vec<_>>(), ["Run a", "Failed in a"]);
    assert_eq!(
        states["Run a"]["Arguments"]["Payload"]["input"],
        "{% $states.input.x %}"
    );
}

#[test]
fn a_list_past_a_quota_is_a_distributed_map_that_brings_along_what_its_items_read() {
    let text = "params: { xs: [string], n: integer }
steps:
  unread: { function: { handler: h.handler } }
  base: { function: { handler: h.handler } }
  a: { for_each: '${{ params.xs }}', as: x, max_concurrency: 41, function: { handler: h.handler }, input: ['${{ x }}', '${{ steps.base.output }}', '${{ run.id }}'] }
  long: { for_each: '${{ range(3572) }}', function: { handler: h.handler } }
  short: { for_each: '${{ range(3571) }}', function: { handler: h.handler } }
  round:
    for_each: ${{ params.xs }}
    steps:
      inner: { for_each: '${{ [1, 2] }}', max_concurrency: 10000, function: { handler: h.handler }, input: '${{ params.n }}' }
outputs: { a: '${{ steps.a.output }}' }
";
    let artifacts = artifacts(text);
    let definition: Value = serde_json::from_str(&file(&artifacts, super::DEFINITION)).unwrap();
    let maps = maps(&definition["States"]);
    let mode = |name: &str| maps[name]["ItemProcessor"]["ProcessorConfig"]["Mode"].as_str().unwrap();
    // 7 events an item: 3,571 of them are 24,997, one more is past 25,000.
    assert_eq!(
        ["a", "long", "short", "round", "round.inner"].map(mode),
        ["DISTRIBUTED", "DISTRIBUTED", "INLINE", "DISTRIBUTED", "DISTRIBUTED"]
    );
    let most = |name: &str| maps[name]["MaxConcurrency"].as_u64();
    assert_eq!(
        ["a", "long", "short", "round", "round.inner"].map(most),
        [Some(41), Some(40), None, Some(40), Some(10_000)]
    );
    let outside = maps["a"]["ItemSelector"]["outside"].as_object().unwrap();
    assert_eq!(outside.keys().collect::<Vec<_>>(), ["parentExecution", "base"]);
    // What the inner list reads goes through the item of the outer one.
    assert_eq!(maps["round"]["ItemSelector"]["outside"]["params"], "{% $params %}");
    let inner = &maps["round.inner"]["ItemSelector"]["outside"];
    assert_eq!(inner["params"], "{% $roundOutside.params %}");
    assert_eq!(
        inner["parentExecution"]["Name"],
        "{% $roundOutside.parentExecution.Name %}"
    );
    check_scopes(&definition["States"], &BTreeSet::new(), &mut BTreeSet::new());
    let template: Value = serde_yaml::from_str(&file(&artifacts, "template.yaml")).unwrap();
    let policy = &template["Resources"]["RunItems"]["Properties"];
    assert_eq!(policy["Roles"][0]["Ref"], "StateMachineRole");
    assert_eq!(
        policy["PolicyDocument"]["Statement"][0]["Resource"][0]["Ref"],
        "StateMachine"
    );
    assert!(
        file(&artifacts, "README.md").contains("`a`, `long`, `round`, `round.inner` run each item as an execution")
    );
}

/// All Map states by name.
fn maps(states: &Value) -> std::collections::BTreeMap<String, Value> {
    let mut found = std::collections::BTreeMap::new();
    for (name, state) in states.as_object().unwrap() {
        if state["Type"] == "Map" {
            found.insert(name.clone(), state.clone());
        }
        let branches = state["Branches"].as_array().into_iter().flatten();
        for branch in branches.chain(state.get("ItemProcessor")) {
            found.append(&mut maps(&branch["States"]));
        }
    }
    found
}

#[test]
fn a_group_alone_costs_no_state_but_its_outputs() {
    let definition = definition(
        "steps:
  g:
    steps:
      a: { function: { handler: h.handler }, output: integer }
    outputs: { n: '${{ steps.a.output }}' }
  b: { function: { handler: h.handler }, input: '${{ steps.g.output.n }}' }
  unread:
    needs: [b]
    steps:
      c: { function: { handler: h.handler } }
  d: { needs: [unread], function: { handler: h.handler } }
",
    );
    assert_eq!(
        names(&definition),
        ["g.a", "Outputs of g", "b", "unread.c", "d", "Failed", "Fail"]
    );
}

#[test]
fn a_bounded_group_is_a_state_machine_that_gets_what_it_reads() {
    let artifacts = artifacts(
        "params: { n: integer }
buckets: { raw: {} }
steps:
  a: { function: { handler: h.handler } }
  unread: { needs: [a], function: { handler: h.handler } }
  g:
    needs: [unread]
    timeout: 90s
    steps:
      b: { function: { handler: h.handler }, input: ['${{ steps.a.output }}', '${{ params.n }}', '${{ buckets.raw.uri }}', '${{ run.id }}'] }
    outputs: { b: '${{ steps.b.output }}' }
",
    );
    let main: Value = serde_json::from_str(&file(&artifacts, super::DEFINITION)).unwrap();
    let task = &main["States"]["g"];
    assert_eq!(task["TimeoutSeconds"], 90);
    let input = task["Arguments"]["Input"].as_object().unwrap();
    let passed: BTreeSet<&str> = input.keys().map(String::as_str).collect();
    let link = "AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID";
    assert_eq!(passed, BTreeSet::from([link, "a", "params", "parentExecution"]));
    let group: Value = serde_json::from_str(&file(&artifacts, "workflow.g.asl.json")).unwrap();
    assert_eq!(group["TimeoutSeconds"], 90);
    let call = &group["States"]["g.b"]["Arguments"]["Payload"];
    assert_eq!(call["run_id"], "{% $parentExecution.Name %}");
    assert_eq!(call["input"][3], "{% $parentExecution.Name %}");
    let template: Value = serde_yaml::from_str(&file(&artifacts, "template.yaml")).unwrap();
    let used = |id: &str| {
        let substitutions = &template["Resources"][id]["Properties"]["DefinitionSubstitutions"];
        substitutions.as_object().unwrap().keys().cloned().collect::<Vec<_>>()
    };
    assert_eq!(
        used("StateMachine"),
        ["AFunctionArn", "UnreadFunctionArn", "GStateMachineArn"]
    );
    assert_eq!(used("GStateMachine"), ["GBFunctionArn", "RawBucketName"]);
    assert!(file(&artifacts, "README.md").contains("`workflow.g.asl.json` | the state machine of `g`"));
}

/// The definitions of a pipeline of steps, each with some kilobytes of input.
fn machines(steps: impl Iterator<Item = String>) -> std::collections::BTreeMap<String, String> {
    let artifacts = artifacts(&format!("steps:\n{}", steps.collect::<String>()));
    let definitions = artifacts.files.keys().filter(|path| path.ends_with(".asl.json"));
    definitions.map(|path| (path.clone(), file(&artifacts, path))).collect()
}

/// All states of all definitions, by name; each definition fits and stands by itself.
fn states_of(machines: &std::collections::BTreeMap<String, String>) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    for (path, text) in machines {
        let deployed = super::workflow::deployed_bytes(text);
        assert!(deployed <= 1_048_576, "{path} has {deployed} bytes");
        let definition: Value = serde_json::from_str(text).unwrap();
        check_scopes(&definition["States"], &BTreeSet::new(), &mut seen);
    }
    seen
}

/// Which definitions of `before` are others in `after`.
fn changed(
    before: &std::collections::BTreeMap<String, String>,
    after: &std::collections::BTreeMap<String, String>,
) -> usize {
    let same = before.iter().filter(|(path, text)| after.get(*path) == Some(*text));
    before.len() - same.count()
}

#[test]
fn a_chain_past_the_bytes_of_a_definition_is_in_parts_whose_borders_stay() {
    let large = "x".repeat(12_000);
    let chain = |extra: bool| {
        let count = 110;
        let large = &large;
        machines((0..count).flat_map(move |i| {
            let step = |name: &str, before: &str| {
                format!("  {name}: {{ {before}function: {{ handler: h.handler }}, input: [{large}] }}\n")
            };
            let needs = match i {
                0 => String::new(),
                60 if extra => "needs: [more], ".to_owned(),
                _ => format!("needs: [s{}], ", i - 1),
            };
            let mut steps = vec![step(&format!("s{i}"), &needs)];
            if extra && i == 60 {
                steps.push(step("more", "needs: [s59], "));
            }
            steps
        }))
    };
    let machines = chain(false);
    assert!(machines.len() > 3, "{}", machines.len());
    let states = states_of(&machines);
    assert!((0..110).all(|i| states.contains(&format!("s{i}"))));
    // One more step changes the part that it stands in, and what starts it.
    assert!(changed(&machines, &chain(true)) <= 3);
}

#[test]
fn branches_past_the_bytes_of_a_definition_share_parts() {
    let large = "x".repeat(12_000);
    let machines =
        machines((0..110).map(|i| format!("  s{i}: {{ function: {{ handler: h.handler }}, input: [{large}] }}\n")));
    let states = states_of(&machines);
    assert!((0..110).all(|i| states.contains(&format!("s{i}"))));
    assert!((3..20).contains(&machines.len()), "{}", machines.len());
    let main: Value = serde_json::from_str(&machines[super::DEFINITION]).unwrap();
    let branches = main["States"]["Parallel s0"]["Branches"].as_array().unwrap();
    assert_eq!(branches.len(), machines.len() - 1);
}

#[test]
fn retries_say_what_is_not_the_default() {
    let definition = definition(
        "steps:
  a:
    function: { handler: h.handler }
    retry: { attempts: 4, delay: 5s, backoff: 2, max_delay: 8s, on: [all] }
  b:
    needs: [a]
    function: { handler: h.handler }
    retry: { attempts: 2, delay: 3s, backoff: 1.5, max_delay: 60s, on: [NotYet, timeout, ExpressionError] }
  c:
    needs: [b]
    function: { handler: h.handler }
    retry: { attempts: 3, delay: 9s, max_delay: 9s, on: [NotYet] }
",
    );
    let retry = |step: &str| definition["States"][step]["Retry"].to_string();
    assert_eq!(
        retry("a"),
        r#"[{"ErrorEquals":["States.QueryEvaluationError"],"MaxAttempts":0},{"ErrorEquals":["States.ALL"],"IntervalSeconds":5,"MaxAttempts":3,"BackoffRate":2,"MaxDelaySeconds":8}]"#
    );
    assert_eq!(
        retry("b"),
        r#"[{"ErrorEquals":["NotYet","States.Timeout","Sandbox.Timedout"],"IntervalSeconds":3,"MaxAttempts":1,"BackoffRate":1.5}]"#
    );
    assert_eq!(
        retry("c"),
        r#"[{"ErrorEquals":["NotYet"],"IntervalSeconds":9,"MaxAttempts":2,"BackoffRate":1}]"#
    );
}

#[test]
fn the_template_is_read_the_same_by_another_reader() {
    let artifacts = artifacts(
        "description: 'yes: a # b'
params: { key: string }
buckets: { raw: {}, old: { existing: { aws: acme-old } } }
secrets: { on: {} }
triggers:
  - object_created: { bucket: raw, prefix: in/, suffix: .csv }
    params: { key: '<${{ trigger.uri }}>' }
  - schedule: { cron: '0 3 * * *' }
    params: { key: k }
steps:
  a: { function: { handler: h.handler }, input: '${{ buckets.old.name }}' }
",
    );
    let template: Value = serde_yaml::from_str(&file(&artifacts, "template.yaml")).unwrap();
    assert_eq!(template["Description"], "yes: a # b");
    let machine = &template["Resources"]["StateMachine"]["Properties"];
    assert_eq!(machine["DefinitionSubstitutions"]["OldBucketName"], "acme-old");
    let events = &machine["Events"];
    let rule = &events["RawObjectCreated"]["Properties"];
    assert_eq!(rule["Pattern"]["detail"]["object"]["key"][0]["wildcard"], "in/*.csv");
    assert_eq!(
        rule["InputTransformer"]["InputTemplate"],
        r#"{"key": "\u003cs3://<bucket>/<key>\u003e"}"#
    );
    assert_eq!(
        events["Schedule"]["Properties"]["ScheduleExpression"],
        "cron(0 3 * * ? *)"
    );
    let variables = &template["Globals"]["Function"]["Environment"]["Variables"];
    assert_eq!(variables["MLPIPE_SECRET_ON"]["Ref"], "OnSecret");
    assert!(artifacts.files.contains_key("functions/functions/mlpipe_adapter.py"));
}

#[test]
fn quotas_are_checked() {
    let pipeline = pipeline(
        "steps:
  a: { function: { handler: h.handler, timeout: 1h, memory: 16GB } }
",
    );
    let codes: Vec<String> = super::check(&pipeline)
        .sorted()
        .iter()
        .map(|problem| problem.code())
        .collect();
    assert_eq!(codes, ["MLP0700", "MLP0701"]);
}

/// The template as the YAML says it.
fn template(artifacts: &Artifacts) -> Value {
    serde_yaml::from_str(&file(artifacts, "template.yaml")).unwrap()
}

#[test]
fn a_message_starts_the_pipeline_with_its_text_as_it_is() {
    let artifacts = artifacts(
        "topics: { data-ready: {} }
params: { text: string, kind: { type: string, default: plain } }
triggers:
  - topic: { name: data-ready }
    params: { text: 'It is: ${{ trigger.message }}', kind: message }
steps:
  a: { function: { handler: h.handler } }
",
    );
    let template = template(&artifacts);
    let resources = &template["Resources"];
    let subscription = &resources["DataReadySubscription"]["Properties"];
    // Without SNS's envelope, and without a template: a pipe reads a text that is JSON as what it says.
    assert_eq!(subscription["RawMessageDelivery"], true);
    let pipe = &resources["DataReadyPipe"]["Properties"];
    assert_eq!(pipe["TargetParameters"].as_object().unwrap().len(), 1);
    assert_eq!(pipe["SourceParameters"]["SqsQueueParameters"]["BatchSize"], 1);
    for queue in ["DataReadyQueue", "DataReadyDeadLetters"] {
        assert_eq!(resources[queue]["Properties"]["SqsManagedSseEnabled"], true, "{queue}");
    }
    let definition: Value = serde_json::from_str(&file(&artifacts, super::DEFINITION)).unwrap();
    assert_eq!(definition["StartAt"], "Message");
    let message = &definition["States"]["Message"];
    assert_eq!(message["Default"], "Params");
    let rule = &message["Choices"][0];
    assert_eq!(
        rule["Condition"],
        "{% $type($states.input) = 'array' and $states.input[0].eventSourceARN = '${DataReadyQueueArn}' %}"
    );
    assert_eq!(rule["Output"]["text"], "{% 'It is: ' & $states.input[0].body %}");
    assert_eq!(rule["Output"]["kind"], "message");
}

#[test]
fn whoever_starts_it_by_http_signs_the_request() {
    let artifacts = artifacts(
        "params: { n: integer }
triggers: [{ http: { auth: iam } }]
steps:
  a: { function: { handler: h.handler } }
",
    );
    let template = template(&artifacts);
    let api = &template["Resources"]["HttpApi"]["Properties"];
    assert_eq!(api["Auth"]["DefaultAuthorizer"], "AWS_IAM");
    let event = &template["Resources"]["StateMachine"]["Properties"]["Events"]["Http"];
    assert_eq!(event["Properties"]["Method"], "post");
    assert_eq!(event["Properties"]["RestApiId"]["Ref"], "HttpApi");
    assert!(file(&artifacts, "README.md").contains("--aws-sigv4"));
}

#[test]
fn a_training_has_the_image_of_its_framework_and_a_role_that_only_sagemaker_takes() {
    let artifacts = artifacts(
        "buckets: { raw: {} }
steps:
  fit:
    train:
      source: training
      entrypoint: fit.py
      framework: { name: pytorch, version: '2.0' }
      compute: { gpu: { type: a10g, count: 1 } }
      data: { train: '${{ buckets.raw.uri }}/rows/' }
      spot: true
      max_duration: 2h
  own:
    needs: [fit]
    train:
      source: training
      entrypoint: fit.py
      data: { given: 's3://company-data/rows/${{ run.id }}/', same: 's3://company-data/labels.csv', unknown: '${{ run.id }}' }
      image: { aws: '123456789012.dkr.ecr.eu-west-1.amazonaws.com/ml/score:1' }
",
    );
    let template = template(&artifacts);
    let machine = &template["Resources"]["StateMachine"]["Properties"];
    let image = &machine["DefinitionSubstitutions"]["FitImageUri"]["Fn::Sub"];
    assert_eq!(
        image[0],
        "${Account}.dkr.ecr.${AWS::Region}.${AWS::URLSuffix}/pytorch-training:2.0.1-gpu-py310"
    );
    assert_eq!(
        template["Mappings"]["TrainingImages"]["eu-west-1"]["Deep"],
        "763104351884"
    );
    let statements = &machine["Policies"][0]["Statement"];
    assert_eq!(
        statements[0]["Resource"][0]["Fn::Sub"],
        "arn:${AWS::Partition}:sagemaker:${AWS::Region}:${AWS::AccountId}:training-job/churn-fit-*"
    );
    assert_eq!(statements[1]["Action"][0], "iam:PassRole");
    assert_eq!(
        statements[1]["Condition"]["StringEquals"]["iam:PassedToService"],
        "sagemaker.amazonaws.com"
    );
    let policies = &template["Resources"]["TrainingRole"]["Properties"]["Policies"];
    let images = &policies[2]["PolicyDocument"]["Statement"][0]["Resource"];
    assert_eq!(
        images[0]["Fn::Sub"][0],
        "arn:${AWS::Partition}:ecr:${AWS::Region}:${Account}:repository/pytorch-training"
    );
    assert_eq!(
        images[1]["Fn::Sub"],
        "arn:${AWS::Partition}:ecr:eu-west-1:123456789012:repository/ml/score"
    );
    assert_eq!(policies[3]["PolicyName"], "Buckets");
    let data = &policies[4]["PolicyDocument"]["Statement"];
    assert_eq!(
        data[0]["Resource"],
        serde_json::json!([{ "Fn::Sub": "arn:${AWS::Partition}:s3:::company-data" }])
    );
    assert_eq!(
        data[1]["Resource"],
        serde_json::json!([
            { "Fn::Sub": "arn:${AWS::Partition}:s3:::company-data/rows/*" },
            { "Fn::Sub": "arn:${AWS::Partition}:s3:::company-data/labels.csv*" },
        ])
    );

    let definition: Value = serde_json::from_str(&file(&artifacts, crate::targets::aws::DEFINITION)).unwrap();
    let arguments = &definition["States"]["fit"]["Arguments"];
    assert_eq!(arguments["EnableManagedSpotTraining"], true);
    assert_eq!(arguments["StoppingCondition"]["MaxRuntimeInSeconds"], 7200);
    assert_eq!(arguments["StoppingCondition"]["MaxWaitTimeInSeconds"], 7200);
    assert_eq!(arguments["ResourceConfig"]["InstanceType"], "ml.g5.xlarge");
    assert!(artifacts.files.contains_key("training/training/mlpipe_launcher.py"));
}

#[test]
fn predictions_for_files_read_and_write_what_their_step_names_and_no_more() {
    let artifacts = artifacts(
        "steps:
  predict:
    batch_predict:
      model: 's3://company-models/churn/'
      input: 's3://company-data/rows/${{ run.id }}/'
      output: 's3://company-data/predicted/'
      framework: { name: xgboost, version: '1.7' }
      compute: { memory: 16GB }
      max_duration: 2h
",
    );
    let template = template(&artifacts);
    let machine = &template["Resources"]["StateMachine"]["Properties"];
    let statements = machine["Policies"][0]["Statement"].as_array().unwrap();
    assert_eq!(
        statements[0]["Resource"][0]["Fn::Sub"],
        "arn:${AWS::Partition}:sagemaker:${AWS::Region}:${AWS::AccountId}:processing-job/churn-predict-*"
    );
    assert_eq!(statements[0]["Action"][1], "sagemaker:CreateProcessingJob");
    // Neither the results of trainings nor anything else in a bucket.
    assert_eq!(statements.len(), 3);
    let policies = template["Resources"]["TrainingRole"]["Properties"]["Policies"]
        .as_array()
        .unwrap();
    let own = &policies[0]["PolicyDocument"]["Statement"];
    assert_eq!(own.as_array().unwrap().len(), 2);
    assert_eq!(own[1]["Action"], serde_json::json!(["s3:GetObject"]));
    let data = &policies[3]["PolicyDocument"]["Statement"];
    assert_eq!(
        data[1]["Resource"],
        serde_json::json!([
            { "Fn::Sub": "arn:${AWS::Partition}:s3:::company-models/churn/*" },
            { "Fn::Sub": "arn:${AWS::Partition}:s3:::company-data/rows/*" },
        ])
    );
    assert_eq!(
        data[3]["Resource"],
        serde_json::json!([{ "Fn::Sub": "arn:${AWS::Partition}:s3:::company-data/predicted/*" }])
    );

    let definition: Value = serde_json::from_str(&file(&artifacts, crate::targets::aws::DEFINITION)).unwrap();
    let task = &definition["States"]["predict"];
    assert_eq!(task["TimeoutSeconds"], 7200);
    let cluster = &task["Arguments"]["ProcessingResources"]["ClusterConfig"];
    assert_eq!(cluster["InstanceType"], "ml.r6i.large");
    assert_eq!(cluster["InstanceCount"], 1);
    assert!(
        artifacts
            .files
            .contains_key("training/mlpipe-predict/mlpipe_serving.py")
    );
    let readme = file(&artifacts, "README.md");
    assert!(readme.contains("aws s3 sync --delete training/mlpipe-predict"));
    assert!(!readme.contains("list-training-jobs"));
}

#[test]
fn a_monitor_sets_up_the_alarms_that_it_has_bounds_for_and_removes_the_others() {
    let artifacts = artifacts(
        "topics: { alerts: {}, news: {} }
steps:
  serve:
    endpoint:
      name: churn
      framework: { name: sklearn, version: '1.2' }
      variants:
        old: { model: 's3://models/old/', weight: 1 }
        new: { model: 's3://models/new/', weight: 1 }
  watch:
    needs: [serve]
    monitor: { endpoint: churn, schedule: '0 * * * *', latency: { p95_ms: 300 }, error_rate: 0.01, alert: alerts }
  again:
    needs: [watch]
    monitor: { endpoint: churn, schedule: '0 * * * *', latency: { p95_ms: 100 }, alert: alerts }
  tell: { needs: [again], notify: { topic: alerts, message: done } }
  tell_more: { needs: [tell], notify: { topic: news, message: done } }
",
    );
    let definition: Value = serde_json::from_str(&file(&artifacts, crate::targets::aws::DEFINITION)).unwrap();
    let states = &definition["States"];
    let latency = &states["watch"]["Arguments"];
    assert_eq!(latency["AlarmName"], "churn-churn-latency");
    assert_eq!(latency["Threshold"], 300_000.0);
    assert_eq!(latency["Metrics"][0]["Expression"], "MAX([latency0, latency1])");
    assert_eq!(
        latency["Metrics"][2]["MetricStat"]["Metric"]["Dimensions"][1]["Value"],
        "new"
    );
    assert_eq!(
        states["Errors of watch"]["Arguments"]["Metrics"][0]["Expression"],
        "IF((FILL(all0, 0) + FILL(all1, 0)) > 0, (FILL(failed0, 0) + FILL(failed1, 0)) / (FILL(all0, 0) + FILL(all1, 0)), 0)"
    );
    assert_eq!(states["again"]["Arguments"]["AlarmName"], "churn-churn-latency");
    let removed = &states["Errors of again"];
    assert_eq!(removed["Resource"], "arn:aws:states:::aws-sdk:cloudwatch:deleteAlarms");
    assert_eq!(
        removed["Arguments"],
        serde_json::json!({ "AlarmNames": ["churn-churn-errors"] })
    );

    let resources = &template(&artifacts)["Resources"];
    // The key that AWS has for topics is no use to alarms.
    assert_eq!(
        resources["AlertsTopic"]["Properties"]["KmsMasterKeyId"]["Fn::GetAtt"][0],
        "AlarmKey"
    );
    assert_eq!(resources["NewsTopic"]["Properties"]["KmsMasterKeyId"], "alias/aws/sns");
    assert!(resources["NewsTopicPolicy"].is_null());
    let policies = &resources["StateMachine"]["Properties"]["Policies"];
    assert_eq!(policies[0]["Statement"][1]["Action"][0], "kms:Decrypt");
    let alarms = &policies[1]["Statement"][0];
    assert_eq!(
        alarms["Action"],
        serde_json::json!(["cloudwatch:DeleteAlarms", "cloudwatch:PutMetricAlarm"])
    );
    assert_eq!(
        alarms["Resource"][1]["Fn::Sub"],
        "arn:${AWS::Partition}:cloudwatch:${AWS::Region}:${AWS::AccountId}:alarm:churn-churn-errors"
    );
    assert!(
        file(&artifacts, "README.md").contains("delete-alarms --alarm-names churn-churn-latency churn-churn-errors")
    );
}

#[test]
fn a_topic_that_only_alarms_publish_to_is_none_that_the_pipeline_may_publish_to() {
    let artifacts = artifacts(
        "topics: { alerts: {} }
steps:
  serve: { endpoint: { name: churn, model: 's3://models/old/', framework: { name: sklearn, version: '1.2' } } }
  watch: { needs: [serve], monitor: { endpoint: churn, schedule: '0 * * * *', error_rate: 0.01, alert: alerts } }
",
    );
    let machine = &template(&artifacts)["Resources"]["StateMachine"]["Properties"];
    assert!(!machine["Policies"].to_string().contains("sns:Publish"));
    assert_eq!(
        machine["DefinitionSubstitutions"]["AlertsTopicAlarmArn"]["Ref"],
        "AlertsTopic"
    );
}

#[test]
fn a_container_has_a_job_definition_and_roles_that_name_what_they_are_for() {
    let artifacts = artifacts(
        "buckets: { raw: {} }
steps:
  score:
    job:
      image: { aws: '123456789012.dkr.ecr.eu-west-1.amazonaws.com/ml/score:1' }
      env: { TO: '${{ buckets.raw.uri }}' }
      compute: { cpu: 1, memory: 3GB }
      max_duration: 30s
  a: { function: { handler: h.handler } }
",
    );
    let template = template(&artifacts);
    let resources = &template["Resources"];
    let container = &resources["ScoreJobDefinition"]["Properties"]["ContainerProperties"];
    let needs = &container["ResourceRequirements"];
    assert_eq!((&needs[0]["Value"], &needs[1]["Value"]), (&"1".into(), &"3072".into()));
    let images = &resources["JobStarterRole"]["Properties"]["Policies"][1]["PolicyDocument"]["Statement"][0];
    assert_eq!(
        images["Resource"][0]["Fn::Sub"],
        "arn:${AWS::Partition}:ecr:eu-west-1:123456789012:repository/ml/score"
    );
    assert_eq!(
        resources["JobRole"]["Properties"]["Policies"][0]["PolicyName"],
        "Buckets"
    );
    assert!(template["Parameters"]["JobSubnets"]["Default"].is_null());
    let definition: Value = serde_json::from_str(&file(&artifacts, super::DEFINITION)).unwrap();
    let state = definition.to_string();
    assert!(
        state.contains("batch:submitJob.sync") && !state.contains("\"Command\""),
        "{state}"
    );
    // The attempt ends after 30 seconds; Batch stops a container after 60 at the soonest.
    assert!(state.contains("\"TimeoutSeconds\":30") && state.contains("\"AttemptDurationSeconds\":60"));
}

#[test]
fn an_endpoint_is_one_by_its_name_and_keeps_what_is_monitored() {
    let artifacts = artifacts(
        "topics: { alerts: {} }
steps:
  serve:
    endpoint:
      name: scores
      framework: { name: pytorch, version: '2.0' }
      variants:
        plain: { model: 's3://company-models/a/', weight: 3 }
        fast: { model: 's3://company-models/b.tar.gz', instance: { aws: ml.g5.xlarge } }
      autoscale: { min: 2, max: 4 }
  again:
    needs: [serve]
    endpoint: { name: scores, model: 's3://company-models/b.tar.gz', image: { aws: acme/scores } }
  watch:
    needs: [again]
    monitor: { endpoint: scores, schedule: '0 * * * *', error_rate: 0.1, alert: alerts }
",
    );
    let template = template(&artifacts);
    let machine = &template["Resources"]["StateMachine"]["Properties"];
    let substitutions = &machine["DefinitionSubstitutions"];
    assert_eq!(
        substitutions["ScoresEndpointName"]["Fn::Sub"][0],
        "churn-scores-${Stack}"
    );
    assert!(substitutions["ScoresEndpoint2Name"].is_null());
    let image = |id: &str| substitutions[id]["Fn::Sub"][0].as_str().unwrap_or_default().to_owned();
    assert!(image("ServeServingImage1Uri").ends_with("/pytorch-inference:2.0.1-cpu-py310"));
    assert!(image("ServeServingImage2Uri").ends_with("/pytorch-inference:2.0.1-gpu-py310"));
    assert_eq!(substitutions["AgainServingImage1Uri"], "acme/scores");
    let policies = template["Resources"]["ServingRole"]["Properties"]["Policies"].to_string();
    assert!(policies.contains("${TrainingArtifacts.Arn}/captured/*") && !policies.contains("/runs/*"));
    assert!(policies.contains("s3:::company-models/b.tar.gz*"));

    let definition: Value = serde_json::from_str(&file(&artifacts, super::DEFINITION)).unwrap();
    let config = &definition["States"]["Configuration of serve"]["Arguments"];
    assert_eq!(
        config["DataCaptureConfig"]["DestinationS3Uri"],
        "s3://${TrainingArtifactsName}/captured/${ScoresEndpointName}"
    );
    assert_eq!(config["ProductionVariants"][0]["InitialInstanceCount"], 2);
    assert_eq!(config["ProductionVariants"][0]["InitialVariantWeight"], 3.0);
    assert_eq!(config["ProductionVariants"][1]["InstanceType"], "ml.g5.xlarge");
    assert_eq!(
        definition["States"]["Configuration of again"]["Arguments"]["ProductionVariants"][0]["InitialInstanceCount"],
        1
    );
    let own = definition["States"]["again"]["Arguments"]["PrimaryContainer"].to_string();
    assert!(!own.contains("SAGEMAKER_PROGRAM"), "{own}");
}
