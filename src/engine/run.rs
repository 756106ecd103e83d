//! A run from params to outputs, and what all of its parts share.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::{Map, Value};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};

use crate::expr::Env;
use crate::model::{Containers, HandlerAction, ON_FAILURE, OnError, Pipeline};
use crate::targets::package;

use super::call::{self, Call};
use super::scope::{Execution, Layer, Scope, World};
use super::worker::{OnLine, Pool};
use super::{Event, Failure, Message, Options, Outcome, RunStatus, block, interpreter, params, step};

/// 256 KiB, less 4 KiB for the envelope that a cloud puts round it.
const MAX_PAYLOAD: usize = 258_048;
/// Functions that run at once.
const MAX_RUNNING: usize = 16;

/// Runs a pipeline. An `Err` is the host's fault (no Python, no disk), not the pipeline's.
pub fn run(pipeline: &Pipeline, options: &Options, on_event: &mut dyn FnMut(Event<'_>)) -> Result<Outcome, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        // A paused clock leaps to the next event whenever nothing runs.
        .start_paused(options.no_wait)
        .build()
        .map_err(|error| format!("cannot start the engine: {error}"))?;
    let pools = pools(pipeline, options, on_event)?;
    let (log, logged) = mpsc::unbounded_channel();
    let host = Host {
        options,
        pools,
        on_event: RefCell::new(on_event),
        log,
        logged: RefCell::new(logged),
        room: Semaphore::new(MAX_RUNNING),
        attempts: RefCell::default(),
        waits: RefCell::default(),
        published: RefCell::default(),
        entered: RefCell::default(),
        containers: pipeline.targets.local.containers,
        children: Cell::new(0),
    };
    let execution = Execution {
        id: options.run_id.clone(),
        started_at: options.started_at.clone(),
        prefix: String::new(),
        label: String::new(),
    };
    let shared = Shared {
        pipeline,
        execution: &execution,
        host: &host,
    };
    runtime.block_on(host.listening(outcome(&shared)))
}

async fn outcome(shared: &Shared<'_, '_>) -> Result<Outcome, String> {
    let host = shared.host;
    let (outputs, error) = match whole(shared, host.options.params.clone()).await {
        Ok(outputs) => (Some(outputs), None),
        Err(Stop::Host(message)) => return Err(message),
        Err(Stop::Failed(failed)) => (None, Some(failed.failure)),
    };
    let entered = host.entered.borrow();
    Ok(Outcome {
        status: match error {
            None => RunStatus::Succeeded,
            Some(_) => RunStatus::Failed,
        },
        outputs,
        error,
        attempts: host.attempts.borrow().clone(),
        waits: host.waits.borrow().clone(),
        published: host.published.borrow().clone(),
        skipped: shared
            .pipeline
            .leaves()
            .map(|ix| &shared.pipeline.step(ix).path)
            .filter(|path| !entered.contains(*path))
            .cloned()
            .collect(),
        run_id: shared.execution.id.clone(),
    })
}

/// A pipeline from its params to its outputs, its failure handler included.
pub async fn whole(shared: &Shared<'_, '_>, params: Map<String, Value>) -> Result<Map<String, Value>, Stop> {
    let mut world = World::new(shared.pipeline, shared.host.options, shared.execution);
    let bound = params::bind(&shared.pipeline.params, &params);
    let (given, mismatch) = match bound {
        Ok(bound) => (bound, None),
        Err(message) => (params, Some(message)),
    };
    world.params = Value::Object(given);
    let scope = Scope::of(&world);
    let result = match mismatch {
        Some(message) => Err(Stop::failed(params::PARAM_MISMATCH, &message, "params")),
        None => block::run(shared, &shared.pipeline.root, &scope, "outputs").await,
    };
    if let Err(Stop::Failed(failed)) = &result {
        shared.tell_failed(failed);
        handler(shared, &scope, &failed.failure).await?;
    }
    result
}

/// Runs the failure handler; its own failure changes nothing.
async fn handler(shared: &Shared<'_, '_>, scope: &Scope<'_>, failure: &Failure) -> Result<(), Stop> {
    let Some(handler) = &shared.pipeline.on_failure else {
        return Ok(());
    };
    let scope = scope.with(Layer::Error(failure));
    let done = match &handler.action {
        HandlerAction::Function { call: function, input } => {
            let call = Call {
                name: ON_FAILURE,
                function,
                timeout: handler.attempt_timeout(),
            };
            let output = call::with_retries(shared, &call, input, &handler.retry, &scope).await;
            output.map(|_| ())
        }
        HandlerAction::Notify(message) => step::notify(shared, message, ON_FAILURE, &scope.label(ON_FAILURE), &scope),
    };
    match done {
        Ok(()) => Ok(()),
        Err(host @ Stop::Host(_)) => Err(host),
        Err(Stop::Failed(failed)) => {
            shared.tell_failed(&failed);
            Ok(())
        }
    }
}

/// A pool for each package.
fn pools(
    pipeline: &Pipeline,
    options: &Options,
    on_event: &mut dyn FnMut(Event<'_>),
) -> Result<IndexMap<String, Arc<Pool>>, String> {
    let mut pools = IndexMap::new();
    for member in pipeline.family() {
        for package in package::packages(member) {
            let source = options.folder.join(package.source);
            let python = interpreter::for_source(&options.folder, &source, &mut |line| {
                on_event(Event::Log { step: "mlpipe", line });
            })?;
            let core = package::core_module(&package.functions, &member.secrets).map_err(|error| error.to_string())?;
            let pool =
                Pool::new(python, &source, &core).map_err(|error| format!("cannot stage the adapter: {error}"))?;
            pools.insert(package.name.to_owned(), Arc::new(pool));
        }
    }
    Ok(pools)
}

/// What all parts of a run share, those of the pipelines that it runs too.
pub struct Host<'e> {
    pub options: &'e Options,
    /// By package.
    pub pools: IndexMap<String, Arc<Pool>>,
    on_event: RefCell<&'e mut dyn FnMut(Event<'_>)>,
    /// Lines that functions print, with the step's label.
    log: UnboundedSender<(String, String)>,
    logged: RefCell<UnboundedReceiver<(String, String)>>,
    /// A permit for each function that runs.
    pub room: Semaphore,
    attempts: RefCell<BTreeMap<String, u32>>,
    waits: RefCell<Vec<f64>>,
    published: RefCell<Vec<Message>>,
    entered: RefCell<BTreeSet<String>>,
    /// What runs containers.
    pub containers: Containers,
    /// How many executions of other pipelines, and containers, were started.
    children: Cell<u32>,
}

/// What all parts of an execution share.
#[derive(Clone, Copy)]
pub struct Shared<'a, 'e> {
    pub pipeline: &'a Pipeline,
    pub execution: &'a Execution,
    pub host: &'a Host<'e>,
}

impl Host<'_> {
    /// What takes the lines of a step's process to the log, from whichever thread.
    pub fn lines_of(&self, label: &str) -> OnLine {
        let log = self.log.clone();
        let of = label.to_owned();
        Arc::new(move |line: &str| {
            let _ = log.send((of.clone(), line.to_owned()));
        })
    }

    /// The number of the next execution of another pipeline, from 1.
    pub fn next_child(&self) -> u32 {
        self.children.set(self.children.get() + 1);
        self.children.get()
    }

    fn drain(&self) {
        while let Ok((step, line)) = {
            let mut logged = self.logged.borrow_mut();
            logged.try_recv()
        } {
            (self.on_event.borrow_mut())(Event::Log {
                step: &step,
                line: &line,
            });
        }
    }

    /// The work, with lines shown as they come.
    async fn listening<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        std::future::poll_fn(|context| {
            loop {
                let line = self.logged.borrow_mut().poll_recv(context);
                let std::task::Poll::Ready(Some((step, line))) = line else {
                    break;
                };
                (self.on_event.borrow_mut())(Event::Log {
                    step: &step,
                    line: &line,
                });
            }
            work.as_mut().poll(context)
        })
        .await
    }
}

impl Shared<'_, '_> {
    /// Tells of an event, after all that was logged before it.
    pub fn tell(&self, event: Event<'_>) {
        self.host.drain();
        (self.host.on_event.borrow_mut())(event);
    }

    fn tell_failed(&self, failed: &Failed) {
        let failure = &failed.failure;
        self.tell(Event::Failed {
            failure: &Failure {
                step: format!("{}{}", self.execution.label, failure.step),
                ..failure.clone()
            },
            detail: &failed.detail,
        });
    }

    /// The path of a step, from the root's steps on.
    pub fn path(&self, path: &str) -> String {
        format!("{}{path}", self.execution.prefix)
    }

    /// Keeps what was published.
    pub fn publish(&self, topic: &str, message: String) {
        let topic = topic.to_owned();
        self.host.published.borrow_mut().push(Message { topic, message });
    }

    /// Counts an attempt of a function.
    pub fn count(&self, path: &str) {
        *self.host.attempts.borrow_mut().entry(self.path(path)).or_default() += 1;
    }

    /// Notes that a step was not skipped.
    pub fn enter(&self, path: &str) {
        let path = self.path(path);
        self.host.entered.borrow_mut().insert(path);
    }

    /// Waits, and keeps for how long.
    pub async fn wait(&self, seconds: f64, label: &str, after: Option<&str>) {
        self.tell(Event::Waiting {
            step: label,
            seconds,
            after,
        });
        self.host.waits.borrow_mut().push(seconds);
        tokio::time::sleep(duration(seconds)).await;
    }
}

/// A length of time; one that is too long for the clock is as long as it can be.
pub fn duration(seconds: f64) -> std::time::Duration {
    std::time::Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(std::time::Duration::MAX)
}

/// Why something did not end well.
#[derive(Debug)]
pub enum Stop {
    /// A step failed.
    Failed(Failed),
    /// The host failed: no Python, no process.
    Host(String),
}

/// A failure, and what the engine knows beyond its message: where an expression failed, the function's last lines.
#[derive(Debug)]
pub struct Failed {
    /// The failure.
    pub failure: Failure,
    /// Lines for a person.
    pub detail: Vec<String>,
}

impl Stop {
    /// A failed step.
    pub fn failed(name: &str, message: &str, step: &str) -> Self {
        Self::Failed(Failed {
            failure: Failure {
                name: name.to_owned(),
                message: message.to_owned(),
                step: step.to_owned(),
            },
            detail: Vec::new(),
        })
    }

    /// An expression that has no value.
    pub fn expression(place: &str, detail: &str, step: &str) -> Self {
        match Self::failed("ExpressionError", &format!("cannot evaluate `{place}`"), step) {
            Self::Failed(failed) => Self::Failed(Failed {
                detail: vec![detail.to_owned()],
                ..failed
            }),
            host => host,
        }
    }

    /// The failed attempt of a function or a group that ran out of time.
    pub fn timeout(step: &str) -> Self {
        Self::failed("timeout", "the attempt ran longer than its timeout", step)
    }
}

/// The value of a template, or why the step failed.
pub fn value(template: &crate::expr::Template, place: &str, step: &str, scope: &Scope<'_>) -> Result<Value, Stop> {
    crate::expr::eval_template(template, scope as &dyn Env)
        .map_err(|error| Stop::expression(place, &error.message, step))
}

/// The text of a template of type string.
pub fn text(template: &crate::expr::Template, place: &str, step: &str, scope: &Scope<'_>) -> Result<String, Stop> {
    match value(template, place, step, scope)? {
        Value::String(text) => Ok(text),
        _ => Err(Stop::expression(place, "it is not a string", step)),
    }
}

/// Refuses what is too large to travel; `what` is `input` or `output`.
pub fn fitting(value: Value, what: &str, step: &str) -> Result<Value, Stop> {
    if value.to_string().len() > MAX_PAYLOAD {
        let message = format!("{what} is larger than 256 KiB");
        return Err(Stop::failed("PayloadTooLarge", &message, step));
    }
    Ok(value)
}

/// True where one of the classes and names is this error's. What `all` leaves out is the caller's business.
pub fn matches(on: &[OnError], name: &str) -> bool {
    on.contains(&OnError::All) || on.iter().any(|on| on.names().contains(&name))
}

/// True where a retry may mend the error.
pub fn retries(on: &[OnError], name: &str) -> bool {
    const HOPELESS: [&str; 2] = ["ExpressionError", params::PARAM_MISMATCH];
    if HOPELESS.contains(&name) {
        on.iter()
            .any(|on| matches!(on, OnError::Name(listed) if listed == name))
    } else {
        matches(on, name)
    }
}
