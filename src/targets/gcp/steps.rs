//! The Workflows language as typed values that serialise to its YAML.

use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use serde_saphyr::{CommentPosition, Commented, FlowMap, FlowSeq, SingleQuoted};

/// `main` or a subworkflow.
#[derive(Clone, Debug)]
pub struct Routine {
    /// Its name.
    pub name: String,
    /// A line above it; empty: none.
    pub comment: String,
    /// Its parameters.
    pub params: Vec<String>,
    /// What it does.
    pub steps: Vec<Step>,
}

/// A named step.
#[derive(Clone, Debug)]
pub struct Step {
    /// Unique within its routine.
    pub name: String,
    /// A line above it; empty: none.
    pub comment: String,
    /// What it does.
    pub action: Action,
    /// Set on the first step of a node of the plan.
    pub node: Option<Node>,
}

/// The steps that stand for a node of the plan, from this one on: they can move to a workflow of their own.
#[derive(Clone, Debug)]
pub struct Node {
    /// After its first step.
    pub id: String,
    /// How many they are.
    pub len: usize,
    /// What it is.
    pub kind: NodeKind,
    /// The variables with failures beside it that end it, where it moves; none: nothing does.
    pub stops: Vec<String>,
}

/// What a node of the plan is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeKind {
    /// A step, or steps side by side.
    Plain,
    /// Steps behind a condition.
    Condition,
    /// A slice of a list, which is always a workflow of its own.
    Slice,
}

/// What a step does.
#[derive(Clone, Debug)]
pub enum Action {
    /// Variables, in order; 50 at most.
    Assign(Vec<(String, Value)>),
    /// A call.
    Call(Call),
    /// The first entry whose condition holds; 50 at most.
    Switch(Vec<Case>),
    /// Steps side by side.
    Parallel {
        /// Variables of the outside that the branches assign.
        shared: Vec<String>,
        /// The branches, by name; 10 at most.
        branches: Vec<(String, Vec<Step>)>,
    },
    /// A loop.
    For {
        /// The loop's variable.
        value: String,
        /// What it goes through.
        items: Items,
        /// A turn.
        steps: Vec<Step>,
    },
    /// A loop whose turns run side by side.
    ParallelFor {
        /// Variables of the outside that the turns assign.
        shared: Vec<String>,
        /// The loop's variable.
        value: String,
        /// What it goes through.
        items: Value,
        /// Most turns at once; None: as many as Workflows runs.
        limit: Option<u32>,
        /// A turn.
        steps: Vec<Step>,
    },
    /// Steps with a retry and a handler.
    Try {
        /// What is tried.
        body: Body,
        /// When it is tried again.
        retry: Option<Retry>,
        /// The variable with the error, and what happens then; None: the error goes on.
        except: Option<(String, Vec<Step>)>,
    },
    /// Fails.
    Raise(Value),
    /// Ends the routine with a value.
    Return(Value),
}

/// What a loop goes through.
#[derive(Clone, Debug)]
pub enum Items {
    /// A list.
    In(Value),
    /// The integers from the first to the second, both included.
    Range(Value, Value),
}

/// What a `try` tries.
#[derive(Clone, Debug)]
pub enum Body {
    /// One call.
    Call(Call),
    /// Several steps.
    Steps(Vec<Step>),
}

/// `call`, `args`, `result`.
#[derive(Clone, Debug)]
pub struct Call {
    /// A subworkflow, or a function of the standard library.
    pub target: String,
    /// Its arguments by name.
    pub args: Map<String, Value>,
    /// The variable that takes the result.
    pub result: Option<String>,
}

/// An entry of a `switch`.
#[derive(Clone, Debug)]
pub struct Case {
    /// A condition, without `${}`.
    pub condition: String,
    /// What happens where it holds.
    pub then: Then,
}

/// What an entry of a `switch` does.
#[derive(Clone, Debug)]
pub enum Then {
    /// Runs steps, then goes on behind the switch.
    Steps(Vec<Step>),
    /// Fails.
    Raise(Value),
    /// Ends the routine.
    Return(Value),
    /// Goes to a step of the same list, or to `break`.
    Next(String),
}

/// When a `try` is repeated.
#[derive(Clone, Debug)]
pub struct Retry {
    /// The subworkflow that decides.
    pub predicate: String,
    /// Tries after the first.
    pub max_retries: u32,
    /// Seconds before the second try.
    pub initial_delay: u64,
    /// Most seconds between two.
    pub max_delay: u64,
    /// Growth from one wait to the next.
    pub multiplier: f64,
}

impl Step {
    /// A step without a comment.
    pub fn new(name: impl Into<String>, action: Action) -> Self {
        Self {
            name: name.into(),
            comment: String::new(),
            action,
            node: None,
        }
    }

    /// The same step with a line above it.
    pub fn with_comment(mut self, comment: impl Into<String>) -> Self {
        self.comment = comment.into();
        self
    }
}

impl Call {
    /// A call without a result.
    pub fn new(target: impl Into<String>, args: impl IntoIterator<Item = (&'static str, Value)>) -> Self {
        Self {
            target: target.into(),
            args: args.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            result: None,
        }
    }
}

/// An expression as a YAML value.
pub fn expression(text: impl AsRef<str>) -> Value {
    Value::String(format!("${{{}}}", text.as_ref()))
}

/// A routine as YAML, under its comment.
pub fn to_yaml(routine: &Routine) -> Result<String, serde_saphyr::ser::Error> {
    let options = serde_saphyr::ser_options! {
        compact_list_indent: false,
        prefer_block_scalars: false,
        comment_position: CommentPosition::Above,
    };
    let text = serde_saphyr::to_string_with_options(&One(&routine.name, routine), options)?;
    let comment = routine.comment.lines().map(|line| format!("# {line}\n"));
    Ok(comment.chain([above_items(&text)]).collect())
}

/// The writer puts an item's comment behind its dash; here it goes above. No string spans lines, so a lone dash is never part of one.
fn above_items(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(indent) = line.strip_suffix("- ").filter(|indent| indent.trim().is_empty()) else {
            out.push_str(line);
            out.push('\n');
            continue;
        };
        for line in lines.by_ref() {
            let text = line.trim_start();
            if text.starts_with('#') {
                out.push_str(&format!("{indent}{text}\n"));
            } else {
                out.push_str(&format!("{indent}- {text}\n"));
                break;
            }
        }
    }
    out
}

/// A value whose strings are quoted where they are expressions.
struct Plain<'a>(&'a Value);

impl Serialize for Plain<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::String(text) if text.starts_with("${") && text.chars().all(is_shown) => {
                SingleQuoted(text).serialize(serializer)
            }
            Value::Array(items) if items.is_empty() => FlowSeq::<Vec<()>>(Vec::new()).serialize(serializer),
            Value::Array(items) => serializer.collect_seq(items.iter().map(Plain)),
            Value::Object(fields) => serializer.collect_map(fields.iter().map(|(name, value)| (name, Plain(value)))),
            other => other.serialize(serializer),
        }
    }
}

/// True of what may stand in single quotes; the rest needs the escapes of double quotes, which the writer chooses by itself.
fn is_shown(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

impl Serialize for Routine {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if !self.params.is_empty() {
            map.serialize_entry("params", &FlowSeq(&self.params))?;
        }
        map.serialize_entry("steps", &Steps(&self.steps))?;
        map.end()
    }
}

struct Steps<'a>(&'a [Step]);

impl Serialize for Steps<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(Some(self.0.len()))?;
        for step in self.0 {
            let named = One(&step.name, &step.action);
            if step.comment.is_empty() {
                seq.serialize_element(&named)?;
            } else {
                seq.serialize_element(&Commented(named, step.comment.clone()))?;
            }
        }
        seq.end()
    }
}

/// A map of one entry.
struct One<'a, T>(&'a str, &'a T);

impl<T: Serialize> Serialize for One<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(self.0, self.1)?;
        map.end()
    }
}

impl Serialize for Action {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match self {
            Self::Assign(variables) => map.serialize_entry("assign", &Assignments(variables))?,
            Self::Call(call) => call.entries(&mut map)?,
            Self::Switch(cases) => map.serialize_entry("switch", cases)?,
            Self::Parallel { shared, branches } => {
                map.serialize_entry("parallel", &ParallelBranches { shared, branches })?;
            }
            Self::For { value, items, steps } => map.serialize_entry("for", &Loop { value, items, steps })?,
            Self::ParallelFor {
                shared,
                value,
                items,
                limit,
                steps,
            } => map.serialize_entry(
                "parallel",
                &ParallelLoop {
                    shared,
                    limit: *limit,
                    turns: Loop {
                        value,
                        items: &Items::In(items.clone()),
                        steps,
                    },
                },
            )?,
            Self::Try { body, retry, except } => {
                map.serialize_entry("try", body)?;
                if let Some(retry) = retry {
                    map.serialize_entry("retry", retry)?;
                }
                if let Some((error, except)) = except {
                    map.serialize_entry("except", &Except { error, except })?;
                }
            }
            Self::Raise(value) => map.serialize_entry("raise", &Plain(value))?,
            Self::Return(value) => map.serialize_entry("return", &Plain(value))?,
        }
        map.end()
    }
}

struct Assignments<'a>(&'a [(String, Value)]);

impl Serialize for Assignments<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(Some(self.0.len()))?;
        for (name, value) in self.0 {
            seq.serialize_element(&One(name, &Plain(value)))?;
        }
        seq.end()
    }
}

impl Call {
    fn entries<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry("call", &self.target)?;
        if !self.args.is_empty() {
            map.serialize_entry("args", &Args(&self.args))?;
        }
        if let Some(result) = &self.result {
            map.serialize_entry("result", result)?;
        }
        Ok(())
    }
}

struct Args<'a>(&'a Map<String, Value>);

impl Serialize for Args<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in self.0 {
            match value {
                Value::Object(fields) if name == "auth" => map.serialize_entry(name, &FlowMap(fields))?,
                value => map.serialize_entry(name, &Plain(value))?,
            }
        }
        map.end()
    }
}

impl Serialize for Case {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        let condition = expression(&self.condition);
        map.serialize_entry("condition", &Plain(&condition))?;
        match &self.then {
            Then::Steps(steps) => map.serialize_entry("steps", &Steps(steps))?,
            Then::Raise(value) => map.serialize_entry("raise", &Plain(value))?,
            Then::Return(value) => map.serialize_entry("return", &Plain(value))?,
            Then::Next(target) => map.serialize_entry("next", target)?,
        }
        map.end()
    }
}

struct ParallelBranches<'a> {
    shared: &'a [String],
    branches: &'a [(String, Vec<Step>)],
}

impl Serialize for ParallelBranches<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if !self.shared.is_empty() {
            map.serialize_entry("shared", &FlowSeq(self.shared))?;
        }
        map.serialize_entry("branches", &Branches(self.branches))?;
        map.end()
    }
}

struct Branches<'a>(&'a [(String, Vec<Step>)]);

impl Serialize for Branches<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(Some(self.0.len()))?;
        for (name, steps) in self.0 {
            seq.serialize_element(&One(name, &One("steps", &Steps(steps))))?;
        }
        seq.end()
    }
}

struct Loop<'a> {
    value: &'a str,
    items: &'a Items,
    steps: &'a [Step],
}

impl Serialize for Loop<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("value", self.value)?;
        match self.items {
            Items::In(items) => map.serialize_entry("in", &Plain(items))?,
            Items::Range(first, last) => map.serialize_entry("range", &FlowSeq([Plain(first), Plain(last)]))?,
        }
        map.serialize_entry("steps", &Steps(self.steps))?;
        map.end()
    }
}

struct ParallelLoop<'a> {
    shared: &'a [String],
    limit: Option<u32>,
    turns: Loop<'a>,
}

impl Serialize for ParallelLoop<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if !self.shared.is_empty() {
            map.serialize_entry("shared", &FlowSeq(self.shared))?;
        }
        if let Some(limit) = self.limit {
            map.serialize_entry("concurrency_limit", &limit)?;
        }
        map.serialize_entry("for", &self.turns)?;
        map.end()
    }
}

impl Serialize for Body {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match self {
            Self::Call(call) => call.entries(&mut map)?,
            Self::Steps(steps) => map.serialize_entry("steps", &Steps(steps))?,
        }
        map.end()
    }
}

struct Except<'a> {
    error: &'a str,
    except: &'a [Step],
}

impl Serialize for Except<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("as", self.error)?;
        map.serialize_entry("steps", &Steps(self.except))?;
        map.end()
    }
}

impl Serialize for Retry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Backoff {
            initial_delay: u64,
            max_delay: u64,
            multiplier: Value,
        }
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("predicate", &Plain(&expression(&self.predicate)))?;
        map.serialize_entry("max_retries", &self.max_retries)?;
        map.serialize_entry(
            "backoff",
            &Backoff {
                initial_delay: self.initial_delay,
                max_delay: self.max_delay,
                multiplier: number(self.multiplier),
            },
        )?;
        map.end()
    }
}

/// A number without a fraction where it has none.
fn number(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < 9.0e15 {
        Value::from(value as i64)
    } else {
        Value::from(value)
    }
}
