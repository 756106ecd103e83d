//! An endpoint: its models and its configuration are made new each time, then it is created with them or updated to them, and
//! looked at until it serves them.

use indexmap::IndexMap;
use serde_json::{Value, json};

use super::finish::{Exit, Finish, Given, Piece, next};
use super::{Scope, Writer};
use crate::expr::jsonata::{self, braced, constant_code, string_literal};
use crate::model::{Autoscale, Endpoint, Runtime, StepIx};
use crate::targets::aws::failure;
use crate::targets::aws::serving::{self, CAPTURED, Called, INFERENCE_MODULE, ROLE_ARN};
use crate::targets::aws::states::{
    Catcher, Choice, ItemProcessor, Map, Parallel, ProcessorConfig, Retrier, Rule, State, Succeed, Task, Wait,
};
use crate::targets::aws::training::BUCKET_NAME;

const CREATE_MODEL: &str = "arn:aws:states:::aws-sdk:sagemaker:createModel";
const CREATE_CONFIG: &str = "arn:aws:states:::aws-sdk:sagemaker:createEndpointConfig";
const DESCRIBE: &str = "arn:aws:states:::aws-sdk:sagemaker:describeEndpoint";
const DELETE: &str = "arn:aws:states:::aws-sdk:sagemaker:deleteEndpoint";
const CREATE: &str = "arn:aws:states:::aws-sdk:sagemaker:createEndpoint";
const UPDATE: &str = "arn:aws:states:::aws-sdk:sagemaker:updateEndpoint";
const REGISTER: &str = "arn:aws:states:::aws-sdk:applicationautoscaling:registerScalableTarget";
const DEREGISTER: &str = "arn:aws:states:::aws-sdk:applicationautoscaling:deregisterScalableTarget";
const POLICY: &str = "arn:aws:states:::aws-sdk:applicationautoscaling:putScalingPolicy";
/// Seconds between two looks.
pub(in crate::targets::aws) const PAUSE: u64 = 30;
/// What each state hands on: `name` of the configuration, which models' begin with, `models`, `end` of the attempt.
const NAME: &str = "$states.input.name";
const INPUT: &str = "{% $states.input %}";
/// When a state is entered, in milliseconds.
const NOW: &str = "$toMillis($states.context.State.EnteredTime)";
const LATE: &str = "$toMillis($states.context.State.EnteredTime) >= $states.input.end";
/// API reference, DescribeEndpoint: EndpointStatus.
const BUSY: &str = "$states.input.status in ['Creating', 'Updating', 'SystemUpdating', 'RollingBack']";

/// The names of an endpoint's states.
struct Names {
    config: String,
    before: String,
    found: String,
    settle: String,
    delete: String,
    free: String,
    create: String,
    update: String,
    look: String,
    seen: String,
    pause: String,
    scale: String,
}

impl Writer<'_> {
    /// Brings an endpoint into service.
    pub(super) fn endpoint(
        &mut self,
        ix: StepIx,
        endpoint: &Endpoint,
        scope: &mut Scope,
        finish: &Finish,
        name: &str,
    ) -> Piece {
        let step = self.pipeline.step(ix);
        let path = &step.path;
        let called = self.placeholders.endpoints.get(path).cloned().unwrap_or_default();
        let names = Names {
            config: self.name(&format!("Configuration of {path}")),
            before: self.name(&format!("State of {path}")),
            found: self.name(&format!("Found {path}")),
            settle: self.name(&format!("Let {path} settle")),
            delete: self.name(&format!("Delete failed {path}")),
            free: self.name(&format!("End scaling of {path}")),
            create: self.name(&format!("Create {path}")),
            update: self.name(&format!("Update {path}")),
            look: self.name(&format!("Look at {path}")),
            seen: self.name(&format!("Seen {path}")),
            pause: self.name(&format!("Pause before {path}")),
            scale: self.name(&format!("Scale {path}")),
        };
        let entry = self.models(ix, endpoint, scope, name);
        let mut model = name.to_owned();
        for number in 0..endpoint.variants.len() {
            let following = match endpoint.variants.get(number + 1) {
                Some(variant) => self.name(&format!("Model {} of {path}", variant.name)),
                None => names.config.clone(),
            };
            let arguments = self.model(ix, endpoint, (number, &called), scope);
            let mut task = call(CREATE_MODEL, arguments, endpoint, path, scope, &following);
            task.comment = if number == 0 { self.comment(ix) } else { None };
            scope.states.insert(model, State::Task(task));
            model = following;
        }
        let arguments = self.configuration(ix, endpoint, &called, scope);
        let task = call(CREATE_CONFIG, arguments, endpoint, path, scope, &names.before);
        scope.states.insert(names.config.clone(), State::Task(task));
        self.settle(endpoint, path, &called, &names, scope);
        let target = jsonata::placeholder(&called.name);
        let mut create = json!({ "EndpointName": target, "EndpointConfigName": braced(NAME) });
        let task = call(UPDATE, create.clone(), endpoint, path, scope, &names.look);
        scope.states.insert(names.update.clone(), State::Task(task));
        create["Tags"] = self.tags(path, scope);
        let task = call(CREATE, create, endpoint, path, scope, &names.look);
        scope.states.insert(names.create.clone(), State::Task(task));
        let look = Task {
            resource: DESCRIBE,
            arguments: json!({ "EndpointName": jsonata::placeholder(&called.name) }),
            retry: again(),
            catch: vec![unavailable(path, scope)],
            output: Some(json!(
                "{% $merge([$states.input, {'status': $states.result.EndpointStatus, 'serves': $states.result.EndpointConfigName, \
                 'reason': $exists($states.result.FailureReason) ? $states.result.FailureReason : ''}]) %}"
            )),
            then: next(&names.seen),
            ..Task::default()
        };
        scope.states.insert(names.look.clone(), State::Task(look));
        scope.states.insert(names.pause.clone(), pause(&names.look));
        Piece {
            entry: Some(entry),
            exits: self.seen(ix, endpoint, &called, (scope, finish), &names),
        }
    }

    /// Evaluates the models' URIs, for all that follows. Gives the state's name.
    fn models(&mut self, ix: StepIx, endpoint: &Endpoint, scope: &mut Scope, then: &str) -> String {
        let step = self.pipeline.step(ix);
        let prefix = serving::prefix(&self.pipeline.name, &step.path);
        let models: Vec<Value> = endpoint
            .variants
            .iter()
            .map(|variant| self.text_code(&variant.model, scope))
            .collect();
        let value = json!({
            "name": braced(&format!("{} & $uuid()", string_literal(&format!("{prefix}-")))),
            "models": models,
        });
        let milliseconds = step.attempt_timeout().saturating_mul(1000);
        let parallel = self.evaluated("endpoint", &step.path, value, scope);
        let entry = self.name(&format!("Models of {}", step.path));
        let mut catch = parallel.catch;
        catch.push(Catcher {
            output: Some(failure::input_too_large(&step.path)),
            ..failure::size_catcher(&step.path, &scope.catch())
        });
        let parallel = Parallel {
            catch,
            output: Some(Value::String(braced(&format!(
                "$merge([$states.result[0], {{'end': {NOW} + {milliseconds}}}])"
            )))),
            then: next(then),
            ..parallel
        };
        scope.states.insert(entry.clone(), State::Parallel(parallel));
        entry
    }

    fn model(&self, ix: StepIx, endpoint: &Endpoint, (number, called): (usize, &Called), scope: &Scope) -> Value {
        let image = called.images.get(number).map(|image| jsonata::placeholder(image));
        let image = string_literal(&image.unwrap_or_default());
        let uri = format!("$states.input.models[{number}]");
        // A training's model is an archive, other models are folders.
        let folder = format!(
            "{{'ModelDataSource': {{'S3DataSource': {{'S3Uri': $substring({uri}, -1) = '/' ? {uri} : {uri} & '/', \
             'S3DataType': 'S3Prefix', 'CompressionType': 'None'}}}}}}"
        );
        let environment = match endpoint.runtime {
            Runtime::Framework(..) => format!(
                "{{'Environment': {{'SAGEMAKER_PROGRAM': '{INFERENCE_MODULE}', 'SAGEMAKER_SUBMIT_DIRECTORY': '/opt/ml/model/code'}}}}"
            ),
            Runtime::Image(_) => "{}".to_owned(),
        };
        json!({
            "ModelName": braced(&format!("{NAME} & '-{number}'")),
            "PrimaryContainer": braced(&format!(
                "$merge([{{'Image': {image}}}, $substring({uri}, -7) = '.tar.gz' ? {{'ModelDataUrl': {uri}}} : {folder}, {environment}])"
            )),
            "ExecutionRoleArn": jsonata::placeholder(ROLE_ARN),
            "Tags": self.tags(&self.pipeline.step(ix).path, scope),
        })
    }

    fn configuration(&self, ix: StepIx, endpoint: &Endpoint, called: &Called, scope: &Scope) -> Value {
        let step = self.pipeline.step(ix);
        let variants = endpoint.variants.iter().enumerate().map(|(number, variant)| {
            let machine = serving::machine(step, variant).ok();
            let count = endpoint
                .autoscale
                .map_or(variant.machines.compute.count, |scale| scale.min);
            json!({
                "VariantName": variant.name,
                "ModelName": braced(&format!("{NAME} & '-{number}'")),
                "InstanceType": machine.map(|machine| machine.machine()),
                "InitialInstanceCount": count,
                "InitialVariantWeight": variant.weight,
            })
        });
        let mut arguments = json!({
            "EndpointConfigName": braced(NAME),
            "ProductionVariants": variants.collect::<Value>(),
            "Tags": self.tags(&step.path, scope),
        });
        if endpoint.captured {
            let (bucket, name) = (jsonata::placeholder(BUCKET_NAME), jsonata::placeholder(&called.name));
            arguments["DataCaptureConfig"] = json!({
                "EnableCapture": true,
                "InitialSamplingPercentage": 100,
                "DestinationS3Uri": format!("s3://{bucket}/{CAPTURED}/{name}"),
                "CaptureOptions": [{ "CaptureMode": "Input" }, { "CaptureMode": "Output" }],
                "CaptureContentTypeHeader": { "JsonContentTypes": ["application/json"] },
            });
        }
        arguments
    }

    /// Finds out whether there is an endpoint: another execution may be at it, one that never served is deleted. Ends where it can be
    /// created or updated.
    fn settle(&mut self, endpoint: &Endpoint, path: &str, called: &Called, names: &Names, scope: &mut Scope) {
        let target = jsonata::placeholder(&called.name);
        let failed = scope.catch();
        let status = |code: &str| Value::String(braced(&format!("$merge([$states.input, {code}])")));
        let before = Task {
            resource: DESCRIBE,
            arguments: json!({ "EndpointName": target }),
            catch: vec![Catcher {
                error_equals: vec!["States.ALL".to_owned()],
                output: Some(status(&format!(
                    "{{'status': $contains({}.Cause, 'Could not find endpoint') ? 'None' : 'Unknown'}}",
                    failure::CAUGHT
                ))),
                next: names.found.clone(),
                ..Catcher::default()
            }],
            output: Some(status(
                "{'status': $states.result.EndpointStatus, 'variants': [$states.result.ProductionVariants.VariantName]}",
            )),
            then: next(&names.found),
            ..Task::default()
        };
        scope.states.insert(names.before.clone(), State::Task(before));
        let rule = |condition: &str, output: Option<Value>, next: &str| Rule {
            condition: braced(condition),
            output,
            next: next.to_owned(),
            ..Rule::default()
        };
        let found = Choice {
            choices: vec![
                rule("$states.input.status = 'None'", None, &names.create),
                rule(LATE, Some(failure::timeout(path)), &failed),
                rule("$states.input.status = 'Failed'", None, &names.delete),
                rule(
                    "$states.input.status = 'Unknown'",
                    Some(failure::unavailable(path)),
                    &failed,
                ),
                rule(
                    &format!("{BUSY} or $states.input.status = 'Deleting'"),
                    None,
                    &names.settle,
                ),
            ],
            default: names.free.clone(),
            ..Choice::default()
        };
        scope.states.insert(names.found.clone(), State::Choice(found));
        scope.states.insert(names.settle.clone(), pause(&names.before));
        let delete = json!({ "EndpointName": jsonata::placeholder(&called.name) });
        let delete = call(DELETE, delete, endpoint, path, scope, &names.settle);
        scope.states.insert(names.delete.clone(), State::Task(delete));
        // SageMaker refuses to change instances that something scales.
        let end = self.name(&format!("End of {}", names.free));
        let one = self.name(&format!("{} of a variant", names.free));
        let states = IndexMap::from([
            (
                one.clone(),
                State::Task(Task {
                    resource: DEREGISTER,
                    arguments: target_of(&called.name),
                    catch: vec![Catcher {
                        error_equals: vec!["States.ALL".to_owned()],
                        output: Some(json!({})),
                        next: end.clone(),
                        ..Catcher::default()
                    }],
                    output: Some(json!({})),
                    then: next(&end),
                    ..Task::default()
                }),
            ),
            (end, State::Succeed(Succeed { output: json!({}) })),
        ]);
        let free = Map {
            comment: Some("Most have no scaling to end".to_owned()),
            items: json!("{% $states.input.variants %}"),
            item_processor: inline(one, states),
            output: Some(json!(INPUT)),
            then: next(&names.update),
            ..Map::default()
        };
        scope.states.insert(names.free.clone(), State::Map(free));
    }

    /// Judges what was seen, and scales what serves.
    fn seen(
        &mut self,
        ix: StepIx,
        endpoint: &Endpoint,
        called: &Called,
        (scope, finish): (&mut Scope, &Finish),
        names: &Names,
    ) -> Vec<Exit> {
        let path = &self.pipeline.step(ix).path;
        let failed = scope.catch();
        let output = format!(
            "{{'endpoint_name': {}, 'url': {}}}",
            string_literal(&jsonata::placeholder(&called.name)),
            string_literal(&jsonata::placeholder(&called.url))
        );
        let given = Given::code(&output);
        let index = scope.states.len();
        scope
            .states
            .insert(names.seen.clone(), State::Choice(Choice::default()));
        let (mut served, exits) = match endpoint.autoscale {
            None => self.done_by_rule(finish, scope, &given, (index, 0)),
            Some(scale) => {
                let done = self.done(finish, scope, &given);
                let place = scope.states.len();
                let exits = done.exits(place);
                let map = Map {
                    assign: done.assign,
                    output: done.output,
                    then: done.then,
                    ..self.scale(endpoint, scale, called, (path, &failed))
                };
                scope.states.insert(names.scale.clone(), State::Map(map));
                let rule = Rule {
                    next: names.scale.clone(),
                    ..Rule::default()
                };
                (rule, exits)
            }
        };
        served.condition = braced(&format!(
            "$states.input.status = 'InService' and $states.input.serves = {NAME}"
        ));
        let rule = |condition: &str, output: Option<Value>, next: &str| Rule {
            condition: braced(condition),
            output,
            next: next.to_owned(),
            ..Rule::default()
        };
        scope.states[index] = State::Choice(Choice {
            choices: vec![
                served,
                rule(&format!("{BUSY} and {LATE}"), Some(failure::timeout(path)), &failed),
                rule(BUSY, None, &names.pause),
                rule(
                    &lacks("$states.input.reason"),
                    Some(failure::unavailable(path)),
                    &failed,
                ),
            ],
            output: Some(not_in_service(endpoint, path)),
            default: failed,
            ..Choice::default()
        });
        exits
    }

    fn scale(&mut self, endpoint: &Endpoint, scale: Autoscale, called: &Called, (path, failed): (&str, &str)) -> Map {
        let register = self.name(&format!("Register a variant of {path}"));
        let policy = self.name(&format!("Bound a variant of {path}"));
        let mut bounds = target_of(&called.name);
        bounds["MinCapacity"] = json!(scale.min);
        bounds["MaxCapacity"] = json!(scale.max);
        let mut target = target_of(&called.name);
        target["PolicyName"] = json!("mlpipe-requests");
        target["PolicyType"] = json!("TargetTrackingScaling");
        target["TargetTrackingScalingPolicyConfiguration"] = json!({
            "TargetValue": scale.target_invocations,
            "PredefinedMetricSpecification": { "PredefinedMetricType": "SageMakerVariantInvocationsPerInstance" },
        });
        let task = |resource, arguments, then| {
            State::Task(Task {
                resource,
                arguments,
                retry: again(),
                output: Some(json!(INPUT)),
                then,
                ..Task::default()
            })
        };
        let states = IndexMap::from([
            (register.clone(), task(REGISTER, bounds, next(&policy))),
            (policy, task(POLICY, target, super::finish::END)),
        ]);
        Map {
            items: endpoint.variants.iter().map(|variant| variant.name.as_str()).collect(),
            item_processor: inline(register, states),
            catch: vec![Catcher {
                error_equals: vec!["States.ALL".to_owned()],
                output: Some(failure::unavailable(path)),
                next: failed.to_owned(),
                ..Catcher::default()
            }],
            ..Map::default()
        }
    }
}

/// A call that hands on what it was given.
fn call(
    resource: &'static str,
    arguments: Value,
    endpoint: &Endpoint,
    path: &str,
    scope: &mut Scope,
    then: &str,
) -> Task {
    let cause = format!("{}.Cause", failure::CAUGHT);
    // What the service does not take is the endpoint's own fault; that it has too much to do, or too little, is not.
    let refused = format!(
        "$contains({cause}, 'Status Code: 400') and $not($contains({cause}, 'Rate exceeded') or $contains({cause}, 'not authorized') \
         or $contains({}.Error, 'LimitExceeded')) ? {} : {}",
        failure::CAUGHT,
        constant_code(&not_in_service(endpoint, path)),
        constant_code(&failure::unavailable(path)),
    );
    Task {
        resource,
        arguments,
        catch: vec![Catcher {
            error_equals: vec!["States.ALL".to_owned()],
            output: Some(Value::String(braced(&refused))),
            next: scope.catch(),
            ..Catcher::default()
        }],
        output: Some(json!(INPUT)),
        then: next(then),
        ..Task::default()
    }
}

fn unavailable(path: &str, scope: &mut Scope) -> Catcher {
    Catcher {
        error_equals: vec!["States.ALL".to_owned()],
        output: Some(failure::unavailable(path)),
        next: scope.catch(),
        ..Catcher::default()
    }
}

fn not_in_service(endpoint: &Endpoint, path: &str) -> Value {
    let message = format!("the endpoint `{}` did not come into service", endpoint.name);
    failure::known(Value::from("EndpointFailed"), Value::from(message), path)
}

/// Whether a reason is that SageMaker had no machines.
fn lacks(reason: &str) -> String {
    let has = |text: &str| format!("$contains({reason}, '{text}')");
    format!("{} or {}", has("CapacityError"), has("InsufficientInstanceCapacity"))
}

/// A variant of an endpoint, whose name is the state's input, as Application Auto Scaling knows it.
fn target_of(name: &str) -> Value {
    let resource = format!("endpoint/{}/variant/", jsonata::placeholder(name));
    json!({
        "ServiceNamespace": "sagemaker",
        "ResourceId": braced(&format!("{} & $states.input", string_literal(&resource))),
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    })
}

fn inline(start_at: String, states: IndexMap<String, State>) -> ItemProcessor {
    ItemProcessor {
        processor_config: ProcessorConfig {
            mode: "INLINE",
            execution_type: None,
        },
        start_at,
        states,
    }
}

/// Waits for the next look, but no longer than the attempt has.
fn pause(then: &str) -> State {
    let milliseconds = PAUSE * 1000;
    State::Wait(Wait {
        timestamp: Some(braced(&format!(
            "$fromMillis($min([{NOW} + {milliseconds}, $states.input.end]))"
        ))),
        then: next(then),
        ..Wait::default()
    })
}

/// What was long in the making is not lost where the service does not answer at once.
fn again() -> Vec<Retrier> {
    vec![Retrier {
        error_equals: vec!["States.TaskFailed".to_owned()],
        interval_seconds: Some(2),
        max_attempts: 5,
        backoff_rate: Some(json!(2)),
        max_delay_seconds: None,
    }]
}
