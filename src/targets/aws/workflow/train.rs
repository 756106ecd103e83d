//! A training, run to its end by SageMaker; then its result is read from the bucket.

use serde_json::{Value, json};

use super::finish::{Exit, Finish, Given, Piece, next};
use super::sagemaker::{self, NAME, VOLUME};
use super::{Scope, Writer};
use crate::expr::jsonata::{self, braced, constant_code, string_literal};
use crate::expr::{Expr, ExprKind, Function, Template, Type, eval};
use crate::model::{StepIx, Train};
use crate::targets::aws::failure;
use crate::targets::aws::states::{Catcher, Retrier, State, Task};
use crate::targets::aws::training::{self, BUCKET_NAME, LAUNCHER_MODULE, ROLE_ARN, Work};
use crate::targets::aws::variables::ANSWER;

/// The call that starts a job and waits for its end.
pub(in crate::targets::aws) const CREATE: &str = "arn:aws:states:::sagemaker:createTrainingJob.sync";
const STOP: &str = "arn:aws:states:::aws-sdk:sagemaker:stopTrainingJob";
const READ: &str = "arn:aws:states:::aws-sdk:s3:getObject";
/// The channel of the code: no name of the user's has a dash.
const CODE: &str = "mlpipe-code";

impl Writer<'_> {
    /// Trains.
    pub(super) fn train(&mut self, ix: StepIx, train: &Train, scope: &mut Scope, finish: &Finish, name: &str) -> Piece {
        let path = &self.pipeline.step(ix).path;
        let failed = scope.catch();
        let read = self.name(&format!("Result of {path}"));
        let ended_badly = self.name(&format!("Failure of {path}"));
        let stop = self.name(&format!("Stop {path}"));
        let entry = self.name_job(ix, scope, name);
        let create = self.create(ix, train, scope, (&read, &stop, &ended_badly));
        scope.states.insert(name.to_owned(), State::Task(create));
        let exits = self.read(ix, scope, finish, &read);
        scope.states.insert(ended_badly, State::Task(failure_of(path, &failed)));
        let stopping = sagemaker::stop(STOP, "TrainingJobName", path, &failed);
        scope.states.insert(stop, stopping);
        Piece {
            entry: Some(entry),
            exits,
        }
    }

    fn create(
        &self,
        ix: StepIx,
        train: &Train,
        scope: &mut Scope,
        (read, stop, ended_badly): (&str, &str, &str),
    ) -> Task {
        let step = self.pipeline.step(ix);
        let path = &step.path;
        let bucket = jsonata::placeholder(BUCKET_NAME);
        let folder = |rest: &str| {
            braced(&format!(
                "{} & {NAME}{rest}",
                string_literal(&format!("s3://{bucket}/runs/"))
            ))
        };
        let channel = |name: &str, uri: Value| {
            json!({
                "ChannelName": name,
                "DataSource": { "S3DataSource": {
                    "S3DataType": "S3Prefix",
                    "S3DataDistributionType": "FullyReplicated",
                    "S3Uri": uri,
                } },
            })
        };
        let data: Vec<(&String, Value)> = train
            .data
            .iter()
            .map(|(name, uri)| (name, self.text_code(uri, scope)))
            .collect();
        let code = channel(CODE, Value::String(format!("s3://{bucket}/code/{}/", train.package)));
        let channels = data.iter().map(|(name, uri)| channel(name, uri.clone()));
        let image = self.placeholders.images.get(path).map(String::as_str);
        let machine = training::machine(Work::Train, step, &train.machines).ok();
        let seconds = step.attempt_timeout();
        let mut arguments = json!({
            "TrainingJobName": braced(NAME),
            "RoleArn": jsonata::placeholder(ROLE_ARN),
            "AlgorithmSpecification": {
                "TrainingImage": jsonata::placeholder(image.unwrap_or_default()),
                "TrainingInputMode": "File",
                "ContainerEntrypoint": ["python3", format!("/opt/ml/input/data/{CODE}/{LAUNCHER_MODULE}")],
                "ContainerArguments": [train.entrypoint],
            },
            "InputDataConfig": std::iter::once(code).chain(channels).collect::<Value>(),
            "OutputDataConfig": { "S3OutputPath": format!("s3://{bucket}/runs") },
            "CheckpointConfig": { "S3Uri": folder(" & '/checkpoints'") },
            "ResourceConfig": {
                "InstanceType": machine.map(|machine| machine.machine()),
                "InstanceCount": train.machines.compute.count,
                "VolumeSizeInGB": VOLUME,
            },
            "StoppingCondition": { "MaxRuntimeInSeconds": seconds },
            "Tags": self.tags(path, scope),
        });
        if !train.hyperparameters.is_empty() {
            let parameters = train.hyperparameters.iter();
            let parameters = parameters.map(|(name, value)| (name.clone(), self.scalar(value, scope)));
            arguments["HyperParameters"] = Value::Object(parameters.collect());
        }
        if train.spot {
            arguments["EnableManagedSpotTraining"] = Value::Bool(true);
            arguments["StoppingCondition"]["MaxWaitTimeInSeconds"] = Value::from(seconds);
        }
        let failed = scope.catch();
        let mut catch = vec![
            failure::expression_catcher("train", path, &failed),
            sagemaker::late(stop),
        ];
        catch.push(Catcher {
            output: Some(failure::input_too_large(path)),
            ..failure::size_catcher(path, &failed)
        });
        catch.push(Catcher {
            error_equals: vec!["States.ALL".to_owned()],
            output: Some(json!({ "name": braced(NAME), "failure": braced(&ended(path, &data)) })),
            next: ended_badly.to_owned(),
            ..Catcher::default()
        });
        Task {
            comment: self.comment(ix),
            resource: CREATE,
            arguments,
            timeout_seconds: Some(seconds),
            catch,
            output: Some(json!({
                "name": braced(NAME),
                "model_uri": "{% $states.result.ModelArtifacts.S3ModelArtifacts %}",
            })),
            then: next(read),
            ..Task::default()
        }
    }

    /// Reads what came of a job that ended well.
    fn read(&mut self, ix: StepIx, scope: &mut Scope, finish: &Finish, name: &str) -> Vec<Exit> {
        let path = &self.pipeline.step(ix).path;
        let failed = scope.catch();
        // It raises where there are none, which is caught here.
        let output = format!(
            "($theSaid := $parse($states.result.Body); $exists($theSaid.metrics) ? {{'job_name': {NAME}, \
             'model_uri': $states.input.model_uri, 'metrics': $theSaid.metrics}} : $error('no metrics'))"
        );
        let mut done = self.done(finish, scope, &Given::code(&output));
        if done.assign.is_empty() && !done.then.end {
            let answer = self.variables.private(ix, ANSWER);
            done.assign.insert(answer, Value::String(braced(&output)));
        }
        let catch = vec![
            failure::size_catcher(path, &failed),
            Catcher {
                error_equals: NOTHING.map(str::to_owned).to_vec(),
                output: Some(crashed(path)),
                next: failed.clone(),
                ..Catcher::default()
            },
            Catcher {
                error_equals: vec!["States.ALL".to_owned()],
                output: Some(failure::unavailable(path)),
                next: failed,
                ..Catcher::default()
            },
        ];
        let index = scope.states.len();
        let exits = done.exits(index);
        let task = Task {
            resource: READ,
            arguments: result_object(),
            retry: again(),
            catch,
            assign: done.assign,
            output: done.output,
            then: done.then,
            ..Task::default()
        };
        scope.states.insert(name.to_owned(), State::Task(task));
        exits
    }

    /// A hyperparameter, as `string()` writes it.
    fn scalar(&self, template: &Template, scope: &Scope) -> Value {
        let text = match template {
            Template::Constant(value) => eval::string(value).map(|text| Template::Constant(Value::String(text))),
            Template::Expr(expr) if expr.ty != Type::String => Some(Template::Expr(Expr {
                kind: ExprKind::Call(Function::String, vec![expr.clone()]),
                ty: Type::String,
                safe: expr.safe && expr.ty.is_scalar(),
                span: expr.span,
            })),
            Template::Expr(_) | Template::Text(_) | Template::List(_) | Template::Object(_) => None,
        };
        self.text_code(text.as_ref().unwrap_or(template), scope)
    }
}

/// Reads what the launcher said of a job that ended badly, if it did.
fn failure_of(path: &str, failed: &str) -> Task {
    let step = string_literal(path);
    let told = format!(
        "($theSaid := $parse($states.result.Body); $exists($theSaid.error.name) \
         ? {{'Error': $theSaid.error.name, 'Message': $theSaid.error.message, 'Step': {step}}} : $states.input.failure)"
    );
    let untold = failure::EVERY.map(|error| Catcher {
        error_equals: vec![error.to_owned()],
        output: Some(json!("{% $states.input.failure %}")),
        next: failed.to_owned(),
        ..Catcher::default()
    });
    Task {
        resource: READ,
        arguments: result_object(),
        retry: again(),
        catch: untold.to_vec(),
        output: Some(Value::String(braced(&told))),
        then: next(failed),
        ..Task::default()
    }
}

fn result_object() -> Value {
    json!({
        "Bucket": jsonata::placeholder(BUCKET_NAME),
        "Key": braced(&format!("'runs/' & {NAME} & '/checkpoints/mlpipe-result.json'")),
    })
}

/// A result that is not there, or is none.
const NOTHING: [&str; 2] = ["S3.NoSuchKeyException", failure::QUERY_ERROR];

/// What was long in the making is not lost where S3 does not answer at once.
fn again() -> Vec<Retrier> {
    let mut retriers = vec![Retrier {
        error_equals: NOTHING.map(str::to_owned).to_vec(),
        interval_seconds: None,
        max_attempts: 0,
        backoff_rate: None,
        max_delay_seconds: None,
    }];
    retriers.push(Retrier {
        error_equals: vec!["States.TaskFailed".to_owned()],
        interval_seconds: Some(2),
        max_attempts: 5,
        backoff_rate: Some(json!(2)),
        max_delay_seconds: None,
    });
    retriers
}

fn crashed(path: &str) -> Value {
    failure::known(
        Value::from("WorkerCrashed"),
        Value::from("the training ended without an answer"),
        path,
    )
}

/// How a job failed that said nothing itself: the cause of one that ran is what DescribeTrainingJob tells of it, with its
/// reason (API reference, DescribeTrainingJob: FailureReason, SecondaryStatus). Else it could not be created.
fn ended(path: &str, data: &[(&String, Value)]) -> String {
    let cause = format!("{}.Cause", failure::CAUGHT);
    let reason_has = |text: &str| format!("$contains($theReason, '{text}')");
    // A cause that was cut is no JSON.
    let mut code = format!(
        "($theJob := $substring({cause}, 0, 1) = '{{' and $substring({cause}, -1) = '}}' ? $parse({cause}) : {{}}; \
         $theReason := $exists($theJob.FailureReason) ? $theJob.FailureReason : {cause}; "
    );
    if !data.is_empty() {
        let channels = data.iter().map(|(name, uri)| {
            let uri = match uri {
                Value::String(text) => code_of(text),
                other => constant_code(other),
            };
            format!("{{'name': {}, 'uri': {uri}}}", string_literal(name))
        });
        let channels: Vec<String> = channels.collect();
        code.push_str(&format!(
            "$theEmpty := ([{}][$contains($theReason, uri)])[0]; {} and $exists($theEmpty) \
             ? {{'Error': 'DataNotFound', 'Message': 'channel `' & $theEmpty.name & '`: there is nothing at ' & $theEmpty.uri, \
             'Step': {}}} : ",
            channels.join(", "),
            reason_has("No S3 objects found"),
            string_literal(path)
        ));
    }
    code.push_str(&format!(
        "$theJob.SecondaryStatus in ['MaxRuntimeExceeded', 'MaxWaitTimeExceeded'] ? {} \
         : $exists($theJob.TrainingJobStatus) and $not({} or {}) ? {} : {})",
        constant_code(&failure::timeout(path)),
        reason_has("CapacityError"),
        reason_has("InternalServerError"),
        constant_code(&crashed(path)),
        constant_code(&failure::unavailable(path)),
    ));
    code
}

/// The code of a value that is in `{% %}`, or a constant's.
pub(super) fn code_of(text: &str) -> String {
    match text.strip_prefix("{%").and_then(|rest| rest.strip_suffix("%}")) {
        Some(code) => format!("({})", code.trim()),
        None => string_literal(text),
    }
}
