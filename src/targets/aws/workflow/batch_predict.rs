//! Predictions for files: a processing job of SageMaker, which tells its result when it is described.

use serde_json::{Value, json};

use super::finish::{Finish, Given, Piece};
use super::sagemaker::{self, NAME, VOLUME};
use super::train::code_of;
use super::{Scope, Writer};
use crate::expr::jsonata::{self, braced, constant_code, string_literal};
use crate::model::{BatchPredict, StepIx};
use crate::targets::aws::failure;
use crate::targets::aws::states::{Catcher, State, Task};
use crate::targets::aws::training::{self, BUCKET_NAME, PREDICT_PACKAGE, PREDICTOR_MODULE, ROLE_ARN, Work};
use crate::targets::aws::variables::ANSWER;

/// The call that starts a job and waits for its end.
const CREATE: &str = "arn:aws:states:::sagemaker:createProcessingJob.sync";
const STOP: &str = "arn:aws:states:::aws-sdk:sagemaker:stopProcessingJob";
/// All paths of a job are below it (API reference, ProcessingS3Input: LocalPath).
const FOLDER: &str = "/opt/ml/processing";
/// What a job says that ended without telling.
const SILENT: &str = "the job ended without an answer";

impl Writer<'_> {
    /// Predicts for all files of a folder.
    pub(super) fn batch_predict(
        &mut self,
        ix: StepIx,
        batch: &BatchPredict,
        scope: &mut Scope,
        finish: &Finish,
        name: &str,
    ) -> Piece {
        let step = self.pipeline.step(ix);
        let path = &step.path;
        let failed = scope.catch();
        let stop = self.name(&format!("Stop {path}"));
        let entry = self.name_job(ix, scope, name);
        let reads = [
            ("model", self.text_code(&batch.model, scope)),
            ("input", self.text_code(&batch.input, scope)),
        ];
        let output = self.text_code(&batch.output, scope);
        let catch = vec![
            Catcher {
                output: Some(Value::String(braced(&unanswered(path)))),
                ..failure::expression_catcher("batch_predict", path, &failed)
            },
            sagemaker::late(&stop),
            Catcher {
                output: Some(failure::input_too_large(path)),
                ..failure::size_catcher(path, &failed)
            },
            Catcher {
                error_equals: vec!["States.ALL".to_owned()],
                output: Some(Value::String(braced(&ended(path, &reads)))),
                next: failed.clone(),
                ..Catcher::default()
            },
        ];
        let arguments = self.processing(ix, batch, (&reads, output), scope);
        let answer = answer();
        let mut done = self.done(finish, scope, &Given::code(&answer));
        if done.assign.is_empty() && !done.then.end {
            // Without an answer it fails, whoever reads it.
            let variable = self.variables.private(ix, ANSWER);
            done.assign.insert(variable, Value::String(braced(&answer)));
        }
        let index = scope.states.len();
        let exits = done.exits(index);
        let task = Task {
            comment: self.comment(ix),
            resource: CREATE,
            arguments,
            timeout_seconds: Some(step.attempt_timeout()),
            catch,
            assign: done.assign,
            output: done.output,
            then: done.then,
            ..Task::default()
        };
        scope.states.insert(name.to_owned(), State::Task(task));
        let stopping = sagemaker::stop(STOP, "ProcessingJobName", path, &failed);
        scope.states.insert(stop, stopping);
        Piece {
            entry: Some(entry),
            exits,
        }
    }

    /// What the job is created with.
    fn processing(
        &self,
        ix: StepIx,
        batch: &BatchPredict,
        (reads, output): (&[(&str, Value)], Value),
        scope: &Scope,
    ) -> Value {
        let step = self.pipeline.step(ix);
        let image = self.placeholders.images.get(&step.path).map(String::as_str);
        let machine = training::machine(Work::Predict, step, &batch.machines).ok();
        let input = |name: &str, uri: Value| {
            json!({
                "InputName": name,
                "S3Input": {
                    "S3Uri": uri,
                    "LocalPath": format!("{FOLDER}/{name}"),
                    "S3DataType": "S3Prefix",
                    "S3InputMode": "File",
                    "S3DataDistributionType": "FullyReplicated",
                },
            })
        };
        let bucket = jsonata::placeholder(BUCKET_NAME);
        let code = input("code", Value::String(format!("s3://{bucket}/code/{PREDICT_PACKAGE}/")));
        let reads = reads.iter().map(|(name, uri)| input(name, uri.clone()));
        json!({
            "ProcessingJobName": braced(NAME),
            "RoleArn": jsonata::placeholder(ROLE_ARN),
            "AppSpecification": {
                "ImageUri": jsonata::placeholder(image.unwrap_or_default()),
                "ContainerEntrypoint": ["python3", format!("{FOLDER}/code/{PREDICTOR_MODULE}")],
            },
            "ProcessingInputs": std::iter::once(code).chain(reads).collect::<Value>(),
            "ProcessingOutputConfig": { "Outputs": [{
                "OutputName": "output",
                "S3Output": {
                    "S3Uri": output,
                    "LocalPath": format!("{FOLDER}/output"),
                    "S3UploadMode": "EndOfJob",
                },
            }] },
            "ProcessingResources": { "ClusterConfig": {
                "InstanceType": machine.map(|machine| machine.machine()),
                "InstanceCount": 1,
                "VolumeSizeInGB": VOLUME,
            } },
            "StoppingCondition": { "MaxRuntimeInSeconds": step.attempt_timeout() },
            "Tags": self.tags(&step.path, scope),
        })
    }
}

/// What came of a job that ended well: `ExitMessage` is what the container wrote (SageMaker Developer Guide, "Save and Access
/// Metadata Information About Your Processing Job").
fn answer() -> String {
    let job = "$states.result";
    format!(
        "($theSaid := $exists({job}.ExitMessage) ? $match({job}.ExitMessage, /^{{\"predictions\": ([0-9]+)}}$/) : []; \
         $exists($theSaid[0]) ? {{'job_name': {NAME}, \
         'output_uri': {job}.ProcessingOutputConfig.Outputs[0].S3Output.S3Uri, \
         'predictions': $number($theSaid[0].groups[0])}} : $error({}))",
        string_literal(SILENT)
    )
}

/// An expression that failed: one of the user's, or that of the answer, which tells itself in the cause.
fn unanswered(path: &str) -> String {
    format!(
        "$contains({}.Cause, {}) ? {} : {}",
        failure::CAUGHT,
        string_literal(SILENT),
        constant_code(&crashed(path)),
        constant_code(&failure::expression_error("batch_predict", path)),
    )
}

fn crashed(path: &str) -> Value {
    failure::known(Value::from("WorkerCrashed"), Value::from(SILENT), path)
}

/// How a job failed: the cause of one that ran is what DescribeProcessingJob tells of it, with what the container said
/// or else the reason of the service. Without that it could not be created.
fn ended(path: &str, reads: &[(&str, Value)]) -> String {
    let cause = format!("{}.Cause", failure::CAUGHT);
    let reason_has = |text: &str| format!("$contains($theReason, '{text}')");
    // What was cut is no JSON.
    let whole = |text: &str| format!("$substring({text}, 0, 1) = '{{' and $substring({text}, -1) = '}}'");
    let reads: Vec<String> = reads
        .iter()
        .map(|(name, uri)| {
            let uri = match uri {
                Value::String(text) => code_of(text),
                other => constant_code(other),
            };
            format!("{{'name': {}, 'uri': {uri}}}", string_literal(name))
        })
        .collect();
    let step = string_literal(path);
    format!(
        "($theJob := {} ? $parse({cause}) : {{}}; \
         $theReason := $exists($theJob.FailureReason) ? $theJob.FailureReason : {cause}; \
         $theSaid := $exists($theJob.ExitMessage) and {} ? $parse($theJob.ExitMessage) : {{}}; \
         $theEmpty := ([{}][$contains($theReason, uri)])[0]; \
         $exists($theSaid.error.name) ? {{'Error': $theSaid.error.name, 'Message': $theSaid.error.message, 'Step': {step}}} \
         : {} and $exists($theEmpty) ? {{'Error': 'DataNotFound', \
         'Message': $theEmpty.name & ': there is nothing at ' & $theEmpty.uri, 'Step': {step}}} \
         : $exists($theJob.ProcessingJobStatus) and $not({} or {}) ? {} : {})",
        whole(&cause),
        whole("$theJob.ExitMessage"),
        reads.join(", "),
        reason_has("No S3 objects found"),
        reason_has("CapacityError"),
        reason_has("InternalServerError"),
        constant_code(&crashed(path)),
        constant_code(&failure::unavailable(path)),
    )
}
