//! Runs the graph: each step as soon as all that it follows has ended.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use crate::expr::ast::{ErrorField, Local, RunField, TriggerField};
use crate::expr::{Env, Template, eval, eval_template};
use crate::model::{FunctionCall, Join, Kind, ON_FAILURE, OnError, Pipeline, Retry, StepIx, Wait};
use crate::targets::package;

use super::clock::Clock;
use super::worker::{Answer, OnLine, Pool};
use super::{Event, Failure, Options, Outcome, RunStatus, interpreter, params};

/// 256 KiB, less 4 KiB for the envelope that a cloud puts round it.
const MAX_PAYLOAD: usize = 258_048;
/// Functions that run at once.
const MAX_RUNNING: usize = 16;

/// Runs a pipeline. An `Err` is the host's fault (no Python, no disk), not the pipeline's.
pub fn run(pipeline: &Pipeline, options: &Options, on_event: &mut dyn FnMut(Event<'_>)) -> Result<Outcome, String> {
    let mut world = World::new(pipeline, options);
    match params::bind(&pipeline.params, &options.params) {
        Ok(bound) => world.params = Value::Object(bound),
        Err(message) => {
            world.params = Value::Object(options.params.clone());
            let failure = failure(params::PARAM_MISMATCH, &message, "params");
            on_event(Event::Failed {
                failure: &failure,
                detail: &[],
            });
            world.failure = Some(failure);
        }
    }
    let (sender, receiver) = mpsc::channel();
    let mut runner = Runner {
        pipeline,
        options,
        pools: pools(pipeline, options, on_event)?,
        on_event,
        clock: Clock::new(options.no_wait),
        sender,
        receiver,
        states: pipeline
            .steps
            .iter()
            .map(|step| State::Pending(step.after.len()))
            .collect(),
        followers: followers(pipeline),
        queue: VecDeque::new(),
        running: 0,
        attempts: BTreeMap::new(),
        waits: Vec::new(),
        world,
    };
    runner.graph()?;
    runner.finish()
}

fn followers(pipeline: &Pipeline) -> Vec<Vec<StepIx>> {
    let mut followers = vec![Vec::new(); pipeline.steps.len()];
    for ix in pipeline.indices() {
        for earlier in &pipeline.step(ix).after {
            followers[earlier.0].push(ix);
        }
    }
    followers
}

fn failure(name: &str, message: &str, step: &str) -> Failure {
    Failure {
        name: name.to_owned(),
        message: message.to_owned(),
        step: step.to_owned(),
    }
}

/// A pool for each source folder.
fn pools(
    pipeline: &Pipeline,
    options: &Options,
    on_event: &mut dyn FnMut(Event<'_>),
) -> Result<IndexMap<String, Arc<Pool>>, String> {
    let mut pools = IndexMap::new();
    for package in package::packages(pipeline) {
        let source = options.folder.join(package.source);
        let python = interpreter::for_source(&options.folder, &source, &mut |line| {
            on_event(Event::Log { step: "mlpipe", line });
        })?;
        let core = package::core_module(&package.functions, &pipeline.secrets).map_err(|error| error.to_string())?;
        let pool = Pool::new(python, &source, &core).map_err(|error| format!("cannot stage the adapter: {error}"))?;
        pools.insert(package.source.to_owned(), Arc::new(pool));
    }
    Ok(pools)
}

/// What expressions see.
struct World<'a> {
    pipeline: &'a Pipeline,
    options: &'a Options,
    params: Value,
    outputs: BTreeMap<String, Value>,
    statuses: BTreeMap<String, &'static str>,
    bucket_uris: IndexMap<&'a str, String>,
    bucket_names: IndexMap<&'a str, String>,
    failure: Option<Failure>,
}

impl<'a> World<'a> {
    fn new(pipeline: &'a Pipeline, options: &'a Options) -> Self {
        let folders = || {
            pipeline
                .buckets
                .iter()
                .filter_map(|b| Some((b.id.as_str(), options.buckets.get(&b.id)?)))
        };
        Self {
            pipeline,
            options,
            params: Value::Null,
            outputs: BTreeMap::new(),
            statuses: BTreeMap::new(),
            bucket_uris: folders()
                .map(|(id, folder)| (id, format!("file://{}", folder.display())))
                .collect(),
            bucket_names: folders().map(|(id, _)| (id, id.to_owned())).collect(),
            failure: None,
        }
    }
}

impl Env for World<'_> {
    fn params(&self) -> &Value {
        &self.params
    }

    fn output(&self, step: &str) -> Option<&Value> {
        self.outputs.get(step)
    }

    fn status(&self, step: &str) -> Option<&str> {
        self.statuses.get(step).copied()
    }

    fn error_of(&self, _: &str) -> Option<&Value> {
        None
    }

    fn local(&self, _: &str, _: Local) -> Option<&Value> {
        None
    }

    fn bucket_uri(&self, id: &str) -> Option<&str> {
        self.bucket_uris.get(id).map(String::as_str)
    }

    fn bucket_name(&self, id: &str) -> Option<&str> {
        self.bucket_names.get(id).map(String::as_str)
    }

    fn run(&self, field: RunField) -> &str {
        match field {
            RunField::Id => &self.options.run_id,
            RunField::Name => &self.pipeline.name,
            RunField::StartedAt => &self.options.started_at,
        }
    }

    fn error(&self, field: ErrorField) -> Option<&str> {
        let failure = self.failure.as_ref()?;
        Some(match field {
            ErrorField::Name => &failure.name,
            ErrorField::Message => &failure.message,
            ErrorField::Step => &failure.step,
        })
    }

    fn trigger(&self, _: TriggerField) -> Option<&str> {
        None
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// So many of the steps that it follows have not ended.
    Pending(usize),
    Active,
    Ended,
}

/// A function call that is under way: a step's, or the failure handler's.
#[derive(Clone)]
struct Call {
    step: Option<StepIx>,
    name: String,
    function: FunctionCall,
    retry: Retry,
    timeout: u64,
    input: Value,
    attempt: u32,
}

enum Wake {
    /// A `wait` step is over.
    Waited(StepIx),
    /// A call's next attempt is due.
    Retry(Box<Call>),
}

enum Message {
    Log {
        step: String,
        line: String,
    },
    Answered {
        call: Box<Call>,
        answer: Result<(Answer, Vec<String>), String>,
        seconds: f64,
    },
}

struct Runner<'a, 'e> {
    pipeline: &'a Pipeline,
    options: &'a Options,
    pools: IndexMap<String, Arc<Pool>>,
    on_event: &'e mut dyn FnMut(Event<'_>),
    clock: Clock<Wake>,
    sender: Sender<Message>,
    receiver: Receiver<Message>,
    states: Vec<State>,
    /// Per step: who follows it; taken when it ends.
    followers: Vec<Vec<StepIx>>,
    queue: VecDeque<Call>,
    running: usize,
    attempts: BTreeMap<String, u32>,
    waits: Vec<f64>,
    world: World<'a>,
}

impl Runner<'_, '_> {
    /// Runs all steps, or until one fails; then the failure handler.
    fn graph(&mut self) -> Result<(), String> {
        for ix in self.pipeline.indices() {
            if self.states[ix.0] == State::Pending(0) {
                self.begin(ix);
            }
        }
        self.pump(|runner| runner.world.failure.is_some())?;
        if self.world.failure.is_some() {
            self.handle_failure()?;
        }
        Ok(())
    }

    /// Handles what happens until nothing is under way, or `done`.
    fn pump(&mut self, done: impl Fn(&Self) -> bool) -> Result<(), String> {
        while !done(self) {
            let wait = self.clock.until_next();
            let message = match (self.running > 0, wait) {
                (false, None) => return Ok(()),
                (true, None) => self.receiver.recv().ok(),
                // A virtual clock moves only when no function runs.
                (true, Some(_)) if self.clock.is_virtual() => self.receiver.recv().ok(),
                (_, Some(wait)) => self.receiver.recv_timeout(wait).ok(),
            };
            match message {
                Some(Message::Log { step, line }) => (self.on_event)(Event::Log {
                    step: &step,
                    line: &line,
                }),
                Some(Message::Answered { call, answer, seconds }) => {
                    self.running -= 1;
                    let (answer, lines) = answer?;
                    self.answered(*call, answer, seconds, &lines);
                    self.dispatch();
                }
                None => match self.clock.pop() {
                    Some(Wake::Waited(ix)) => self.succeed(ix, Value::Null, 0.0),
                    Some(Wake::Retry(call)) => self.submit(*call),
                    None => {}
                },
            }
        }
        Ok(())
    }

    /// All that the step follows has ended: skip it or start it.
    fn begin(&mut self, ix: StepIx) {
        if self.world.failure.is_some() {
            return;
        }
        let step = self.pipeline.step(ix);
        self.states[ix.0] = State::Active;
        let skipped = |need: &StepIx| self.world.statuses.get(&self.pipeline.step(*need).id) == Some(&"skipped");
        let skip = match step.join {
            Join::All => step.needs.iter().any(skipped),
            Join::Any => !step.needs.is_empty() && step.needs.iter().all(skipped),
        };
        let runs = if skip {
            false
        } else {
            match step.when.as_ref().map(|when| eval(when, &self.world)) {
                None | Some(Ok(Value::Bool(true))) => true,
                Some(Ok(Value::Bool(false))) => false,
                Some(Ok(_)) => return self.fail_expression(&step.id, "when", "it is not true or false"),
                Some(Err(error)) => return self.fail_expression(&step.id, "when", &error.message),
            }
        };
        if !runs {
            (self.on_event)(Event::Skipped { step: &step.id });
            self.world.statuses.insert(step.id.clone(), "skipped");
            return self.ended(ix);
        }
        match &step.kind {
            Kind::Wait(Wait::Duration(seconds)) => {
                (self.on_event)(Event::Waiting {
                    step: &step.id,
                    seconds: *seconds as f64,
                    after: None,
                });
                self.waits.push(*seconds as f64);
                self.clock.after(*seconds as f64, Wake::Waited(ix));
            }
            Kind::Wait(Wait::Until(_)) | Kind::Group(_) => {}
            Kind::Fail { error, message } => {
                let name = self.text(error);
                let message = self.text(message);
                match name.and_then(|name| Ok((name, message?))) {
                    Ok((name, message)) => self.fail(failure(&name, &message, &step.id), &[]),
                    Err(detail) => self.fail_expression(&step.id, "fail", &detail),
                }
            }
            Kind::Function(function) => {
                let call = Call {
                    step: Some(ix),
                    name: step.id.clone(),
                    function: function.clone(),
                    retry: step.retry.clone(),
                    timeout: step.attempt_timeout(),
                    input: Value::Null,
                    attempt: 1,
                };
                if let Some(call) = self.with_input(call, &step.input) {
                    self.submit(call);
                }
            }
        }
    }

    fn text(&self, template: &Template) -> Result<String, String> {
        match eval_template(template, &self.world) {
            Ok(Value::String(text)) => Ok(text),
            Ok(_) => Err("it is not a string".to_owned()),
            Err(error) => Err(error.message),
        }
    }

    /// Evaluates the input, once for all attempts; None where that failed the call.
    fn with_input(&mut self, mut call: Call, input: &Template) -> Option<Call> {
        match eval_template(input, &self.world) {
            Ok(input) => call.input = input,
            Err(error) => {
                self.fail_expression(&call.name, "input", &error.message);
                return None;
            }
        }
        if call.input.to_string().len() > MAX_PAYLOAD {
            self.fail(
                failure("PayloadTooLarge", "input is larger than 256 KiB", &call.name),
                &[],
            );
            return None;
        }
        Some(call)
    }

    fn submit(&mut self, call: Call) {
        if self.world.failure.is_some() && call.step.is_some() {
            return;
        }
        self.queue.push_back(call);
        self.dispatch();
    }

    /// Starts queued calls while there is room.
    fn dispatch(&mut self) {
        while self.running < MAX_RUNNING {
            let Some(call) = self.queue.pop_front() else { return };
            let Some(pool) = self.pools.get(&call.function.source).map(Arc::clone) else {
                continue;
            };
            *self.attempts.entry(call.name.clone()).or_default() += 1;
            (self.on_event)(Event::Started {
                step: &call.name,
                attempt: call.attempt,
            });
            self.running += 1;
            let sender = self.sender.clone();
            let logs = self.sender.clone();
            let step = call.name.clone();
            let on_line: OnLine = Arc::new(move |line: &str| {
                let _ = logs.send(Message::Log {
                    step: step.clone(),
                    line: line.to_owned(),
                });
            });
            let envelope = json!({
                "run_id": self.options.run_id, "step": call.name, "attempt": call.attempt, "input": call.input,
            });
            thread::spawn(move || {
                let began = Instant::now();
                let answer = pool.call(&envelope, Duration::from_secs(call.timeout), &on_line);
                let _ = sender.send(Message::Answered {
                    call: Box::new(call),
                    answer,
                    seconds: began.elapsed().as_secs_f64(),
                });
            });
        }
    }

    fn answered(&mut self, mut call: Call, answer: Answer, seconds: f64, lines: &[String]) {
        let (name, message) = match answer {
            Answer::Output(output) => {
                match call.step {
                    Some(ix) if self.world.failure.is_none() => self.succeed(ix, output, seconds),
                    Some(_) => {}
                    None => (self.on_event)(Event::Succeeded {
                        step: &call.name,
                        seconds,
                    }),
                }
                return;
            }
            Answer::Error { name, message } => (name, message),
            Answer::Crashed => (
                "WorkerCrashed".to_owned(),
                "the function ended without an answer".to_owned(),
            ),
            Answer::TimedOut => (
                "timeout".to_owned(),
                "the attempt ran longer than its timeout".to_owned(),
            ),
        };
        if call.attempt < call.retry.attempts && retries(&call.retry, &name) {
            if self.world.failure.is_some() && call.step.is_some() {
                return;
            }
            call.attempt += 1;
            let wait = call.retry.wait_before(call.attempt);
            (self.on_event)(Event::Waiting {
                step: &call.name,
                seconds: wait,
                after: Some(&name),
            });
            self.waits.push(wait);
            self.clock.after(wait, Wake::Retry(Box::new(call)));
            return;
        }
        self.fail(failure(&name, &message, &call.name), lines);
    }

    fn succeed(&mut self, ix: StepIx, output: Value, seconds: f64) {
        let id = &self.pipeline.step(ix).id;
        (self.on_event)(Event::Succeeded { step: id, seconds });
        self.world.statuses.insert(id.clone(), "succeeded");
        self.world.outputs.insert(id.clone(), output);
        self.ended(ix);
    }

    fn ended(&mut self, ix: StepIx) {
        self.states[ix.0] = State::Ended;
        for next in std::mem::take(&mut self.followers[ix.0]) {
            if let State::Pending(open) = &mut self.states[next.0] {
                *open -= 1;
                if *open == 0 {
                    self.begin(next);
                }
            }
        }
    }

    fn fail_expression(&mut self, step: &str, place: &str, detail: &str) {
        let failure = failure("ExpressionError", &format!("cannot evaluate `{place}`"), step);
        self.fail(failure, &[detail.to_owned()]);
    }

    /// The first failure is the pipeline's; a handler's own failure changes nothing.
    fn fail(&mut self, failure: Failure, detail: &[String]) {
        (self.on_event)(Event::Failed {
            failure: &failure,
            detail,
        });
        if self.world.failure.is_none() {
            self.world.failure = Some(failure);
            self.queue.clear();
        }
    }

    fn handle_failure(&mut self) -> Result<(), String> {
        let Some(handler) = &self.pipeline.on_failure else {
            return Ok(());
        };
        self.clock = Clock::new(self.options.no_wait);
        let call = Call {
            step: None,
            name: ON_FAILURE.to_owned(),
            function: handler.function.clone(),
            retry: handler.retry.clone(),
            timeout: handler.attempt_timeout(),
            input: Value::Null,
            attempt: 1,
        };
        if let Some(call) = self.with_input(call, &handler.input) {
            self.submit(call);
        }
        self.pump(|_| false)
    }

    fn finish(mut self) -> Result<Outcome, String> {
        let mut outputs = Map::new();
        if self.world.failure.is_none() {
            for (name, template) in &self.pipeline.root.outputs {
                match eval_template(template, &self.world) {
                    Ok(value) => {
                        outputs.insert(name.clone(), value);
                    }
                    Err(error) => {
                        self.fail_expression("outputs", "outputs", &error.message);
                        self.handle_failure()?;
                        break;
                    }
                }
            }
        }
        let failed = self.world.failure.is_some();
        let skipped = self
            .pipeline
            .steps
            .iter()
            .filter(|step| self.world.statuses.get(&step.id) == Some(&"skipped"))
            .map(|step| step.id.clone())
            .collect();
        Ok(Outcome {
            status: if failed {
                RunStatus::Failed
            } else {
                RunStatus::Succeeded
            },
            outputs: (!failed).then_some(outputs),
            error: self.world.failure,
            attempts: self.attempts,
            waits: self.waits,
            skipped,
            run_id: self.options.run_id.clone(),
        })
    }
}

fn retries(retry: &Retry, name: &str) -> bool {
    const TRANSIENT: [&str; 2] = ["WorkerCrashed", "ServiceUnavailable"];
    retry.on.iter().any(|on| match on {
        OnError::All => true,
        OnError::Transient => TRANSIENT.contains(&name),
        OnError::Timeout => name == "timeout",
        OnError::Name(listed) => listed == name,
    })
}
