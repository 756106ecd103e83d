//! `workflow.yaml`: the plan as Workflows steps, named after the pipeline's.

mod managed;
mod others;
mod units;

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::expr::ast::RunField;
use crate::expr::workflows::{Library, Names, Printer, field_path, quote};
use crate::expr::{Expr, ExprKind, Template};
use crate::model::{Handler, HandlerAction, Join, Kind, ON_FAILURE, Pipeline, Retry, StepIx, identifier};
use crate::plan::Guard;
use crate::targets::gcp::calls::{self, Calls, Of};
use crate::targets::gcp::family::{self, Family, Member};
use crate::targets::gcp::frames::{self, First, Frame, Layout, Tree, Unit};
use crate::targets::gcp::names::{self, Environment, Taken, Variables, step_name};
use crate::targets::gcp::parts::{self, Splitter, URLS};
use crate::targets::gcp::steps::{Action, Body, Call, Case, Node, NodeKind, Routine, Step, Then, expression, to_yaml};
use crate::targets::gcp::{helpers, inputs, routines};

/// Assignments of one step: Workflows quotas, "Assignments per step".
pub const ASSIGNMENTS: usize = 50;
/// Conditions of one `switch`: Workflows quotas, "Conditions per switch".
pub const CONDITIONS: usize = 50;
/// Branches of one parallel step: Workflows quotas, "Branches per parallel step".
const BRANCHES: usize = 10;
/// Statuses that one condition lists in place.
const STATUSES: usize = 8;

/// A pipeline's workflows.
#[derive(Clone, Debug)]
pub struct Workflows {
    /// The text of `workflow.yaml`.
    pub text: String,
    /// What it runs as workflows of their own.
    pub parts: Vec<PartText>,
}

/// A part as text.
#[derive(Clone, Debug)]
pub struct PartText {
    /// After its first step; distinct.
    pub id: String,
    /// The workflow's name in Google Cloud.
    pub name: String,
    /// Its definition.
    pub text: String,
}

/// How a workflow is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Each step calls its function itself.
    Plain,
    /// Subworkflows call the functions, which costs memory: a step's input is held twice.
    Compact,
    /// Likewise, and what is too much for one workflow is in parts.
    Parts,
}

/// The workflows of a pipeline, none larger than `limit` where that can be done.
///
/// `taken` are the names of workflows that are gone.
pub fn workflows(
    family: &Family<'_>,
    member: &Member<'_>,
    limit: usize,
    taken: &BTreeSet<String>,
) -> Result<Workflows, serde_saphyr::ser::Error> {
    let fits = |workflows: &Workflows| {
        let texts = workflows.parts.iter().map(|part| &part.text);
        texts.chain([&workflows.text]).all(|text| text.len() <= limit)
    };
    for form in [Form::Plain, Form::Compact] {
        let written = written(family, member, form, limit, taken)?;
        if fits(&written) && (form == Form::Plain || written.parts.is_empty()) {
            return Ok(written);
        }
    }
    written(family, member, Form::Parts, limit, taken)
}

fn written(
    family: &Family<'_>,
    member: &Member<'_>,
    form: Form,
    limit: usize,
    taken: &BTreeSet<String>,
) -> Result<Workflows, serde_saphyr::ser::Error> {
    let Member {
        pipeline,
        plan,
        environment,
        ..
    } = member;
    let narrow;
    let plan = if form == Form::Parts {
        narrow = parts::narrow(pipeline, plan);
        &narrow
    } else {
        *plan
    };
    let variables = names::variables(pipeline, plan);
    let (tree, layout) = frames::layout(pipeline, plan, &variables);
    let names = Names {
        pipeline: pipeline.name.clone(),
        outputs: variables.outputs.clone(),
        statuses: variables.statuses.clone(),
        errors: variables.errors.clone(),
        locals: variables.locals.clone(),
        buckets: environment
            .buckets
            .iter()
            .map(|(bucket, name)| (bucket.clone(), format!("sys.get_env(\"{name}\")")))
            .collect(),
        topics: family
            .root
            .topics
            .iter()
            .map(|topic| (topic.id.clone(), quote(&family::topic(family.root, &topic.id))))
            .collect(),
        taken: variables.taken.all().clone(),
    };
    let ids = pipeline.steps.iter().map(|step| step_name(&step.path));
    let mut writer = Writer {
        family,
        member,
        pipeline,
        child: !member.folder.is_empty(),
        names: &names,
        layout: &layout,
        environment,
        variables,
        library: Library::default(),
        calls: Calls::new(form == Form::Parts),
        steps: Taken::new(ids.chain([ON_FAILURE.to_owned()])),
        failures: vec![Failure::new("failure")],
        stops: Vec::new(),
        deadlines: Vec::new(),
        again: false,
        branch_loops: vec!["branch".to_owned()],
        loops_around: 0,
        compact: form != Form::Plain,
    };
    let mut main = writer.main(&tree);
    let mut routines = Vec::new();
    if !writer.child {
        routines.extend(inputs::trigger_routines(
            pipeline,
            environment,
            &names,
            &mut writer.library,
        ));
    }
    routines.extend(inputs::type_routines(pipeline, &mut writer.library));
    routines.extend(writer.calls.routines(&mut writer.library));
    routines.extend(writer.library.routines.iter().map(routines::of_expression));
    let shared: Vec<(String, String)> = routines
        .iter()
        .map(|routine| to_yaml(routine).map(|text| (routine.name.clone(), text)))
        .collect::<Result<_, _>>()?;
    let text = |main: &Routine| to_yaml(main).map(|main| with_called(main, &shared));
    let urls = writer.urls();
    let splitter = Splitter::new(
        &member.workflow,
        taken.clone(),
        &mut writer.variables.taken,
        &mut writer.steps,
        urls,
    );
    let parts = match form {
        Form::Plain | Form::Compact => splitter.nest(&mut main),
        Form::Parts => splitter.fit(&mut main, limit, &text)?,
    };
    if parts.is_empty() {
        let texts = std::iter::once(to_yaml(&main)).chain(shared.into_iter().map(|(_, text)| Ok(text)));
        let texts: Vec<String> = texts.collect::<Result<_, _>>()?;
        return Ok(Workflows {
            text: texts.join("\n") + &helpers::text(&writer.library.helpers),
            parts: Vec::new(),
        });
    }
    writer.need_urls(&mut main)?;
    let parts = parts
        .into_iter()
        .map(|mut part| {
            writer.need_urls(&mut part.main)?;
            Ok(PartText {
                id: part.id,
                name: part.name,
                text: text(&part.main)?,
            })
        })
        .collect::<Result<_, serde_saphyr::ser::Error>>()?;
    Ok(Workflows {
        text: text(&main)?,
        parts,
    })
}

/// A workflow with those of the subworkflows that it calls.
fn with_called(main: String, shared: &[(String, String)]) -> String {
    let mut wanted: Vec<bool> = vec![false; shared.len()];
    let mut stack = vec![main.as_str()];
    while let Some(text) = stack.pop() {
        for ((name, called), wanted) in shared.iter().zip(&mut wanted) {
            if !*wanted && helpers::calls(text, name) {
                *wanted = true;
                stack.push(called);
            }
        }
    }
    let called = shared.iter().zip(wanted).filter(|(_, wanted)| *wanted);
    let mut text = main.clone();
    for ((_, called), _) in called {
        text.push('\n');
        text.push_str(called);
    }
    let helpers = helpers::text(&helpers::called_in(&text));
    text + &helpers
}

/// A function to call.
struct Invocation<'a> {
    step: &'a str,
    timeout: u64,
    retry: &'a Retry,
    input: Value,
    /// True where the input surely evaluates.
    safe: bool,
    result: Option<String>,
}

/// The variable by which branches tell each other of a failure.
struct Failure {
    variable: String,
    /// True where something sets it: then it is declared.
    used: bool,
}

impl Failure {
    fn new(variable: impl Into<String>) -> Self {
        Self {
            variable: variable.into(),
            used: false,
        }
    }
}

struct Writer<'a> {
    family: &'a Family<'a>,
    member: &'a Member<'a>,
    pipeline: &'a Pipeline,
    /// True where another pipeline runs it: it gives its failure as a value.
    child: bool,
    names: &'a Names,
    layout: &'a Layout,
    environment: &'a Environment,
    variables: Variables,
    library: Library,
    calls: Calls,
    /// Names of steps of `main`.
    steps: Taken,
    /// The failure variables of the blocks and loops round the step at hand, the inner ones last.
    failures: Vec<Failure>,
    /// Those of them that another branch may set meanwhile.
    stops: Vec<String>,
    /// The deadlines of the groups round the step at hand: the variable, and the group's path.
    deadlines: Vec<(String, String)>,
    /// True where the step at hand runs more than once without its variables being new.
    again: bool,
    /// The variables of loops over branches, of which one may stand within another.
    branch_loops: Vec<String>,
    /// How many such loops are round the step at hand.
    loops_around: usize,
    /// True where subworkflows call the functions.
    compact: bool,
}

impl Writer<'_> {
    fn main(&mut self, tree: &Tree) -> Routine {
        let mut body = inputs::check_steps(self.pipeline, self.names, &mut self.library, &mut self.steps);
        self.tree(tree, None, &mut body);
        self.outputs(&mut body);
        let mut steps = self.init();
        if !self.child {
            steps.extend(inputs::trigger_steps(self.pipeline, &mut self.steps));
        }
        steps.extend(inputs::default_steps(
            self.pipeline,
            self.names,
            &mut self.library,
            &mut self.steps,
        ));
        let except = match &self.pipeline.on_failure {
            Some(handler) => Some(self.on_failure(handler)),
            None => self.child.then(|| vec![self.end_failed()]),
        };
        match except {
            Some(except) => {
                steps.push(Step::new(
                    self.steps.name("pipeline"),
                    Action::Try {
                        body: Body::Steps(body),
                        retry: None,
                        except: Some(("error".to_owned(), except)),
                    },
                ));
            }
            None => steps.extend(body),
        }
        Routine {
            name: "main".to_owned(),
            comment: self.title(),
            params: vec!["args".to_owned()],
            steps,
        }
    }

    fn title(&self) -> String {
        let written = "Written by mlpipe from pipeline.yaml.";
        if self.child {
            return format!(
                "{} as a step of {}.\n{written}",
                self.pipeline.name, self.family.root.name
            );
        }
        match &self.pipeline.description {
            Some(text) => format!("{}\n{written}", one_line(text)),
            None => written.to_owned(),
        }
    }

    /// Declares what steps of conditions and branches assign.
    fn init(&mut self) -> Vec<Step> {
        let mut assign = Vec::new();
        let tells = |step: &crate::model::Step| matches!(step.kind, Kind::Approval(_) | Kind::Notify(_));
        let handler = self.pipeline.on_failure.as_ref().map(|handler| &handler.action);
        if !self.pipeline.functions().is_empty()
            || self.pipeline.steps.iter().any(tells)
            || matches!(handler, Some(HandlerAction::Notify(_)))
            || reads_run(self.pipeline, RunField::Id)
        {
            let id = expression("sys.get_env(\"GOOGLE_CLOUD_WORKFLOW_EXECUTION_ID\")");
            assign.push(("run_id".to_owned(), id));
        }
        if reads_run(self.pipeline, RunField::StartedAt) {
            assign.push(("started_at".to_owned(), expression("time.format(sys.now())")));
        }
        assign.extend(self.urls());
        if self.failures.first().is_some_and(|failure| failure.used) {
            assign.push(("failure".to_owned(), Value::Null));
        }
        assign.extend(self.declared(frames::ROOT));
        self.assign("init", assign)
    }

    /// Assigns the functions' URLs, where they share variables of the environment.
    fn urls(&self) -> Vec<(String, Value)> {
        self.urls_of(&|_| true)
    }

    /// Likewise those of the steps that are called.
    fn urls_of(&self, called: &dyn Fn(&str) -> bool) -> Vec<(String, Value)> {
        let maps = self.environment.url_maps.iter();
        let maps = maps.filter(|(_, steps)| steps.iter().any(|step| called(&identifier(step))));
        maps.map(|(name, _)| name)
            .enumerate()
            .map(|(index, name)| {
                let map = format!("json.decode(sys.get_env(\"{name}\"))");
                let value = if index == 0 {
                    map
                } else {
                    format!("map.merge({URLS}, {map})")
                };
                (URLS.to_owned(), expression(value))
            })
            .collect()
    }

    /// Leaves to a workflow that is one of several the URLs that it calls.
    fn need_urls(&self, main: &mut Routine) -> Result<(), serde_saphyr::ser::Error> {
        let mut called = BTreeSet::new();
        let text = to_yaml(main)?;
        for (at, _) in text.match_indices(&format!("{URLS}.")) {
            let rest = text.get(at + URLS.len() + 1..).unwrap_or_default();
            let end = rest
                .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .unwrap_or(rest.len());
            called.extend(rest.get(..end).map(str::to_owned));
        }
        let urls = self.urls_of(&|step| called.contains(step));
        let mut first = true;
        main.steps.retain_mut(|step| {
            let Action::Assign(variables) = &mut step.action else {
                return true;
            };
            let Some(at) = variables.iter().position(|(variable, _)| variable == URLS) else {
                return true;
            };
            variables.retain(|(variable, _)| variable != URLS);
            if std::mem::take(&mut first) {
                variables.splice(at..at, urls.iter().cloned());
            }
            !variables.is_empty()
        });
        Ok(())
    }

    fn declared(&self, frame: Frame) -> Vec<(String, Value)> {
        let variables = self.layout.declared.get(&frame).into_iter().flatten();
        variables
            .filter(|variable| !(self.compact && variable.first == First::Zero))
            .map(|variable| {
                let first = match variable.first {
                    First::Null => Value::Null,
                    First::Skipped => json!("skipped"),
                    First::Zero => json!(0),
                };
                (variable.name.clone(), first)
            })
            .collect()
    }

    fn assign(&mut self, name: &str, variables: Vec<(String, Value)>) -> Vec<Step> {
        variables
            .chunks(ASSIGNMENTS)
            .map(|chunk| Step::new(self.steps.name(name), Action::Assign(chunk.to_vec())))
            .collect()
    }

    /// Adds the steps of a tree. `branch` is Some within a branch: true once it has started a step.
    fn tree(&mut self, tree: &Tree, mut branch: Option<&mut bool>, out: &mut Vec<Step>) {
        match tree {
            Tree::Seq(nodes) => {
                for node in nodes {
                    self.tree(node, branch.as_deref_mut(), out);
                }
            }
            Tree::Run(unit) => {
                self.stop(unit.ix, branch, out);
                let start = out.len();
                self.run(unit, out);
                self.mark(unit.ix, start, NodeKind::Plain, out);
            }
            Tree::Par { id, branches } => {
                if let Some(first) = branches.first().and_then(|(_, tree)| first(tree)) {
                    self.stop(first, branch, out);
                }
                let start = out.len();
                self.parallel_step(*id, branches, out);
                if let Some(first) = first(tree) {
                    self.mark(first, start, NodeKind::Plain, out);
                }
            }
            Tree::If { guard, then } => {
                let mut started = false;
                let mut inside = Vec::new();
                let before = branch.as_deref().copied();
                self.tree(then, branch.as_mut().map(|_| &mut started), &mut inside);
                // A guarded step may be the first of its branch, or not: what went before decides.
                if before == Some(true) {
                    let mut stop = Vec::new();
                    self.stop(guard.step, branch.as_deref_mut(), &mut stop);
                    stop.append(&mut inside);
                    inside = stop;
                }
                if let Some(branch) = branch {
                    *branch = true;
                }
                let start = out.len();
                self.guarded(guard, inside, out);
                self.mark(guard.step, start, NodeKind::Condition, out);
            }
        }
    }

    /// Notes that the steps from `start` on are a node of the plan, which begins with that step.
    fn mark(&self, ix: StepIx, start: usize, kind: NodeKind, out: &mut [Step]) {
        let len = out.len().saturating_sub(start);
        if let Some(first) = out.get_mut(start) {
            first.node = Some(Node {
                id: self.pipeline.step(ix).path.clone(),
                len,
                kind,
                stops: Vec::new(),
            });
        }
    }

    /// In a branch, before every step but the first: ends the branch where another has failed.
    fn stop(&mut self, ix: StepIx, branch: Option<&mut bool>, out: &mut Vec<Step>) {
        let Some(started) = branch else { return };
        if std::mem::replace(started, true) {
            let id = identifier(&self.pipeline.step(ix).path);
            let stop = raise_failure(&self.stops);
            out.push(Step::new(self.steps.name(&format!("before_{id}")), stop));
        }
    }

    fn run(&mut self, unit: &Unit, out: &mut Vec<Step>) {
        let ix = unit.ix;
        let step = self.pipeline.step(ix);
        let start = out.len();
        self.unit(unit, out);
        let status = self.names.statuses.get(&step.path);
        let mut after: Vec<(String, Value)> = status
            .map(|status| (status.clone(), json!("succeeded")))
            .into_iter()
            .collect();
        let freed = self.layout.freed.get(&ix).into_iter().flatten();
        after.extend(freed.map(|variable| (variable.clone(), Value::Null)));
        let last = out.len().saturating_sub(1);
        if let (
            true,
            Some(Step {
                action: Action::Assign(assign),
                ..
            }),
        ) = (last > start, out.get_mut(last))
        {
            assign.extend(after);
        } else if !after.is_empty() {
            let name = self.steps.name(&format!("after_{}", step_name(&step.path)));
            out.push(Step::new(name, Action::Assign(after)));
        }
        if let (Some(comment), Some(step)) = (&step.description, out.get_mut(start)) {
            step.comment = one_line(comment);
        }
    }

    /// The call of a function, and behind it what is kept of its answer.
    fn function(&mut self, function: Invocation<'_>, out: &mut Vec<Step>) {
        if self.compact {
            let call = self.compact_call(&function);
            let action = if function.safe {
                Action::Call(call)
            } else {
                self.attempt(function.step, "input", Body::Call(call))
            };
            out.push(Step::new(step_name(function.step), action));
            return;
        }
        let name = step_name(function.step);
        let attempts = self.variables.attempts.get(function.step).cloned();
        let mut call = calls::post(
            self.url(function.step),
            self.within(function.timeout),
            calls::Envelope {
                step: json!(function.step),
                attempt: attempts.as_ref().map_or(json!(1), expression),
                input: function.input,
            },
        );
        call.result.clone_from(&function.result);
        let fail = calls::fail_step(json!(function.step));
        self.library.helpers.insert("fail_step");
        let mut except = self.out_of_time(&name);
        except.push(Step::new(
            self.steps.name(&format!("{name}_failed")),
            Action::Call(fail),
        ));
        let (outer, body) = match attempts {
            Some(attempts) => {
                if self.again {
                    let first = Action::Assign(vec![(attempts.clone(), json!(0))]);
                    out.push(Step::new(self.steps.name(&format!("{name}_first")), first));
                }
                let count = Action::Assign(vec![(attempts.clone(), expression(format!("{attempts} + 1")))]);
                let steps = vec![
                    Step::new(self.steps.name(&format!("{name}_attempt")), count),
                    Step::new(name.clone(), Action::Call(call)),
                ];
                (self.steps.name(&format!("{name}_attempts")), Body::Steps(steps))
            }
            None => (name.clone(), Body::Call(call)),
        };
        let retry = self.calls.retry(function.retry, Of::Call);
        out.push(Step::new(
            outer,
            Action::Try {
                body,
                retry,
                except: Some(("e".to_owned(), except)),
            },
        ));
        if let Some(result) = function.result {
            let name = self.steps.name(&format!("{name}_output"));
            let body = expression(format!("{result}.body"));
            out.push(Step::new(name, Action::Assign(vec![(result, body)])));
        }
    }

    /// The URL of a step's function.
    fn url(&self, step: &str) -> Value {
        expression(match self.environment.urls.get(step) {
            Some(name) => format!("sys.get_env(\"{name}\")"),
            None => field_path("function_urls", &identifier(step)),
        })
    }

    /// The call of a step's function through the routine of its retry policy.
    fn compact_call(&mut self, function: &Invocation<'_>) -> Call {
        let args = [
            ("step", json!(function.step)),
            ("url", self.url(function.step)),
            ("timeout", self.within(function.timeout)),
            ("input", function.input.clone()),
        ];
        let run = self.calls.in_parts.then(|| ("run_id", expression("run_id")));
        Call {
            result: function.result.clone(),
            ..Call::new(self.calls.policy(function.retry), args.into_iter().chain(run))
        }
    }

    /// Tries what evaluates an expression of a step.
    fn attempt(&mut self, step: &str, part: &str, body: Body) -> Action {
        self.library.helpers.insert("fail_expression");
        let name = self.steps.name(&format!("{}_failed", identifier(step)));
        let args = [("step", json!(step)), ("part", json!(part)), ("e", expression("e"))];
        let fail = Action::Call(Call::new("fail_expression", args));
        Action::Try {
            body,
            retry: None,
            except: Some(("e".to_owned(), vec![Step::new(name, fail)])),
        }
    }

    fn guarded(&mut self, guard: &Guard, then: Vec<Step>, out: &mut Vec<Step>) {
        let step = self.pipeline.step(guard.step);
        let id = identifier(&step.path);
        let when = step.when.as_ref().filter(|_| guard.when);
        let mut ran_steps = Vec::new();
        let ran = self.ran(guard, &id, &mut ran_steps);
        out.append(&mut ran_steps);
        let Some(when) = when else {
            if let Some(condition) = ran {
                out.push(self.switch(&format!("if_{id}"), condition, then));
            } else {
                out.extend(then);
            }
            return;
        };
        let condition = self.printer().condition(when, &format!("{id}_when"));
        let sure = when.safe && when.ty == crate::expr::Type::Boolean;
        if sure {
            let both = match &ran {
                Some(ran) if when_is_loose(when) => format!("{ran} and ({condition})"),
                Some(ran) => format!("{ran} and {condition}"),
                None => condition.clone(),
            };
            if both.chars().count() <= crate::expr::workflows::LENGTH {
                out.push(self.switch(&format!("when_{id}"), both, then));
                return;
            }
        }
        let mut inner = Vec::new();
        if sure {
            inner.push(self.switch(&format!("when_{id}"), condition, then));
        } else {
            let variable = self.variables.taken.name(&format!("{id}_condition"));
            let name = self.steps.name(&format!("evaluate_{id}"));
            let assign = Action::Assign(vec![(variable.clone(), expression(condition))]);
            let evaluate = self.attempt(&step.path, "when", Body::Steps(vec![Step::new(name, assign)]));
            inner.push(Step::new(self.steps.name(&format!("condition_{id}")), evaluate));
            inner.push(self.switch(&format!("when_{id}"), variable, then));
        }
        match ran {
            Some(ran) => out.push(self.switch(&format!("if_{id}"), ran, inner)),
            None => out.extend(inner),
        }
    }

    /// The condition that the steps before were not skipped.
    fn ran(&mut self, guard: &Guard, id: &str, out: &mut Vec<Step>) -> Option<String> {
        let statuses: Vec<&String> = guard
            .ran
            .iter()
            .filter_map(|ix| self.names.statuses.get(&self.pipeline.step(*ix).path))
            .collect();
        let list = match statuses.as_slice() {
            [] => return None,
            [status] => return Some(format!("{status} == \"succeeded\"")),
            some if some.len() <= STATUSES => {
                let names: Vec<&str> = some.iter().map(|name| name.as_str()).collect();
                format!("[{}]", names.join(", "))
            }
            many => {
                let variable = self.variables.taken.name(&format!("{id}_needs"));
                let list = many.iter().map(|name| expression(name.as_str())).collect();
                let name = self.steps.name(&format!("{id}_needs"));
                out.push(Step::new(name, Action::Assign(vec![(variable.clone(), list)])));
                variable
            }
        };
        Some(match guard.join {
            Join::All => format!("not (\"skipped\" in {list})"),
            Join::Any => format!("(\"succeeded\" in {list})"),
        })
    }

    fn switch(&mut self, name: &str, condition: String, then: Vec<Step>) -> Step {
        let case = Case {
            condition,
            then: Then::Steps(then),
        };
        Step::new(self.steps.name(name), Action::Switch(vec![case]))
    }

    /// The failure variable of the block at hand, which from now on is declared.
    fn failure(&mut self) -> String {
        match self.failures.last_mut() {
            Some(failure) => {
                failure.used = true;
                failure.variable.clone()
            }
            None => "failure".to_owned(),
        }
    }

    fn parallel_step(&mut self, id: usize, branches: &[(Frame, Tree)], out: &mut Vec<Step>) {
        let failure = self.failure();
        let mut shared = vec![failure.clone()];
        shared.extend(self.layout.shared.get(&id).into_iter().flatten().cloned());
        let name = self.steps.name("parallel");
        let many = branches.len() > BRANCHES;
        self.loops_around += usize::from(many);
        let branches: Vec<(String, Vec<Step>)> = branches
            .iter()
            .map(|(frame, tree)| self.branch(*frame, tree, many, &failure))
            .collect();
        self.loops_around -= usize::from(many);
        let action = if many {
            self.turns(shared, branches)
        } else {
            Action::Parallel { shared, branches }
        };
        out.push(Step::new(&name, action).with_comment(format!(
            "A branch that fails sets `{failure}`; then the others start no further step."
        )));
        let failed = raise_failure(&[failure]);
        out.push(Step::new(self.steps.name(&format!("after_{name}")), failed));
    }

    /// A branch: its name, after its first step, and its steps.
    fn branch(&mut self, frame: Frame, tree: &Tree, started: bool, failure: &str) -> (String, Vec<Step>) {
        let id = first(tree).map_or_else(String::new, |ix| identifier(&self.pipeline.step(ix).path));
        let name = self.steps.name(&format!("{id}_branch"));
        let mut body = self.assign(&format!("init_{name}"), self.declared(frame));
        let mut started = started;
        self.stops.push(failure.to_owned());
        self.tree(tree, Some(&mut started), &mut body);
        self.stops.pop();
        let note = Step::new(
            self.steps.name(&format!("{name}_failed")),
            Action::Assign(vec![(failure.to_owned(), expression(format!("default({failure}, e)")))]),
        );
        let attempt = Step::new(
            self.steps.name(&format!("try_{name}")),
            Action::Try {
                body: Body::Steps(body),
                retry: None,
                except: Some(("e".to_owned(), vec![note])),
            },
        );
        (name, vec![attempt])
    }

    /// More branches than a parallel step takes: a parallel loop over their names.
    fn turns(&mut self, shared: Vec<String>, branches: Vec<(String, Vec<Step>)>) -> Action {
        let items = branches.iter().map(|(name, _)| json!(name)).collect();
        while self.branch_loops.len() <= self.loops_around {
            self.branch_loops.push(self.variables.taken.name("branch"));
        }
        let variable = self.branch_loops.get(self.loops_around).cloned().unwrap_or_default();
        let mut cases: Vec<Case> = branches
            .into_iter()
            .map(|(name, steps)| Case {
                condition: format!("{variable} == \"{name}\""),
                then: Then::Steps(steps),
            })
            .collect();
        let mut steps = Vec::new();
        while !cases.is_empty() {
            let rest = cases.split_off(cases.len().min(CONDITIONS));
            steps.push(Step::new(self.steps.name("by_branch"), Action::Switch(cases)));
            cases = rest;
        }
        Action::ParallelFor {
            shared,
            value: variable,
            items,
            limit: None,
            steps,
        }
    }

    fn outputs(&mut self, out: &mut Vec<Step>) {
        let pipeline = self.pipeline;
        let values = self.output_values(&pipeline.root.outputs, "");
        if pipeline.root.outputs.iter().all(|(_, template)| template.is_safe()) {
            let given = self.given(values);
            out.push(Step::new(self.steps.name("outputs"), given));
            return;
        }
        let variable = self.variables.taken.name("outputs");
        let name = self.steps.name("evaluate_outputs");
        let assign = Action::Assign(vec![(variable.clone(), values)]);
        let evaluate = self.attempt("outputs", "outputs", Body::Steps(vec![Step::new(name, assign)]));
        out.push(Step::new(self.steps.name("outputs"), evaluate));
        let given = self.given(expression(variable));
        out.push(Step::new(self.steps.name("done"), given));
    }

    /// The outputs of a block as a map; `prefix` names the routines that they may need.
    fn output_values(&mut self, outputs: &[(String, Template)], prefix: &str) -> Value {
        let mut printer = self.printer();
        let values: Map<String, Value> = outputs
            .iter()
            .map(|(name, template)| {
                let hint = format!("{prefix}{}_output", identifier(name));
                (name.clone(), printer.template(template, &hint))
            })
            .collect();
        values.into()
    }

    /// Runs the handler, whose own failure is dropped, and fails with the error.
    fn on_failure(&mut self, handler: &Handler) -> Vec<Step> {
        let comment = handler.description.as_deref().map(one_line).unwrap_or_default();
        let mut steps = match &handler.action {
            HandlerAction::Notify(notify) => {
                let steps = self.notify_of_failure(handler, notify);
                let action = Action::Try {
                    body: Body::Steps(steps),
                    retry: None,
                    except: Some(("e".to_owned(), vec![self.keep_error()])),
                };
                vec![Step::new(self.steps.name(ON_FAILURE), action).with_comment(comment)]
            }
            HandlerAction::Function { input, .. } => self.handler_function(handler, input, &comment),
        };
        steps.push(self.end_failed());
        steps
    }

    /// The call of a handler's function.
    fn handler_function(&mut self, handler: &Handler, given: &Template, comment: &str) -> Vec<Step> {
        let input = self.printer().template(given, "on_failure_input");
        let function = Invocation {
            step: ON_FAILURE,
            timeout: handler.attempt_timeout(),
            retry: &handler.retry,
            input,
            safe: given.is_safe(),
            result: None,
        };
        let mut steps = Vec::new();
        self.function(function, &mut steps);
        let keep = self.keep_error();
        for step in &mut steps {
            comment.clone_into(&mut step.comment);
            if let Action::Try { except, .. } = &mut step.action {
                *except = Some(("e".to_owned(), vec![keep.clone()]));
            } else if let Action::Call(call) = &step.action {
                step.action = Action::Try {
                    body: Body::Call(call.clone()),
                    retry: None,
                    except: Some(("e".to_owned(), vec![keep.clone()])),
                };
            }
        }
        steps
    }

    /// Drops the error of a handler.
    fn keep_error(&mut self) -> Step {
        Step::new(
            self.steps.name("keep_error"),
            Action::Assign(vec![("e".to_owned(), Value::Null)]),
        )
        .with_comment("The pipeline fails with its own error, whatever the handler did.")
    }

    /// Ends the execution with `error`.
    fn end_failed(&mut self) -> Step {
        let error = expression("error");
        let action = if self.child {
            Action::Return(json!({ "failure": error }))
        } else {
            Action::Raise(error)
        };
        Step::new(self.steps.name("fail"), action)
    }

    /// What the execution gives.
    fn given(&self, outputs: Value) -> Action {
        Action::Return(if self.child {
            json!({ "outputs": outputs })
        } else {
            outputs
        })
    }

    fn printer(&mut self) -> Printer<'_> {
        Printer::new(self.names, &mut self.library)
    }
}

/// A failure of another branch raised where there is one, an outer one first.
fn raise_failure(failures: &[String]) -> Action {
    let cases = failures.iter().map(|failure| Case {
        condition: format!("{failure} != null"),
        then: Then::Raise(expression(failure)),
    });
    Action::Switch(cases.collect())
}

fn first(tree: &Tree) -> Option<StepIx> {
    match tree {
        Tree::Run(unit) => Some(unit.ix),
        Tree::Seq(nodes) => nodes.iter().find_map(first),
        Tree::Par { branches, .. } => branches.iter().find_map(|(_, tree)| first(tree)),
        Tree::If { guard, .. } => Some(guard.step),
    }
}

/// True where a condition binds more loosely than `and`.
fn when_is_loose(when: &Expr) -> bool {
    matches!(when.kind, ExprKind::Binary(crate::expr::BinaryOp::Or, ..))
}

/// A comment: one line of the text.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// True where an expression reads that field of `run`.
fn reads_run(pipeline: &Pipeline, field: RunField) -> bool {
    let mut found = false;
    names::each_expr(pipeline, &mut |expr| {
        expr.walk(&mut |part| found |= part.kind == ExprKind::Run(field));
    });
    found
}
