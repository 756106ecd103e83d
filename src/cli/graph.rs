//! `mlpipe graph`

use clap::ValueEnum;
use serde_json::json;

use crate::model::{Block, Kind, Pipeline, Step, identifier};

use super::{Exit, Format, load, output};

/// Arguments of `mlpipe graph`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    pipeline: load::PipelineFile,
    /// The language of the graph.
    #[arg(long, value_enum, default_value_t = Syntax::Mermaid)]
    syntax: Syntax,
}

/// A graph language.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Syntax {
    /// Mermaid, which GitHub and GitLab draw.
    Mermaid,
    /// Graphviz.
    Dot,
}

/// Prints the graph on stdout; with `--format json` its nodes and edges.
pub fn run(args: &Args, format: Format) -> Exit {
    let loaded = match load::load(&args.pipeline, format) {
        Ok(loaded) => loaded,
        Err(exit) => return exit,
    };
    match (format, args.syntax) {
        (Format::Json, _) => output::json(&json!({
            "name": loaded.pipeline.name,
            "nodes": loaded.pipeline.steps.iter().map(|step| json!({
                "id": step.path, "kind": kind(step), "conditional": step.when.is_some(),
                "in": step.parent.map(|parent| &loaded.pipeline.step(parent).path),
            })).collect::<Vec<_>>(),
            "edges": edges(&loaded.pipeline).into_iter().map(|edge| json!({
                "from": edge.from, "to": edge.to, "needs": edge.needs,
            })).collect::<Vec<_>>(),
        })),
        (Format::Text, Syntax::Mermaid) => output::stdout(&mermaid(&loaded.pipeline)),
        (Format::Text, Syntax::Dot) => output::stdout(&dot(&loaded.pipeline)),
    }
    Exit::Done
}

struct Edge<'a> {
    from: &'a str,
    to: &'a str,
    /// False for a mere reference, which orders but carries no skip.
    needs: bool,
}

fn edges(pipeline: &Pipeline) -> Vec<Edge<'_>> {
    pipeline
        .steps
        .iter()
        .flat_map(|step| {
            step.after.iter().map(|&from| Edge {
                from: &pipeline.step(from).path,
                to: &step.path,
                needs: step.needs.contains(&from),
            })
        })
        .collect()
}

fn kind(step: &Step) -> &'static str {
    match step.kind {
        Kind::Function(_) => "function",
        Kind::Wait(_) => "wait",
        Kind::Job(_) => "job",
        Kind::Train(_) => "train",
        Kind::Endpoint(_) => "endpoint",
        Kind::BatchPredict(_) => "batch_predict",
        Kind::Monitor(_) => "monitor",
        Kind::Notify(_) => "notify",
        Kind::Approval(_) => "approval",
        Kind::Pipeline(_) => "pipeline",
        Kind::Group(_) => "steps",
        Kind::Fail { .. } => "fail",
    }
}

/// Mermaid ids take no `-`; paths are distinct after `.` and `-` became `_`, and the prefix keeps `end` and its like legal.
fn node_id(path: &str) -> String {
    format!("step_{}", identifier(path))
}

/// A step that another's `catch` runs in its place.
fn fallbacks(pipeline: &Pipeline) -> impl Iterator<Item = (&str, &Step)> {
    let of = |step: &'_ Step| step.fallbacks().collect::<Vec<_>>();
    pipeline.steps.iter().flat_map(move |step| {
        let fallbacks = of(step).into_iter();
        fallbacks.map(move |fallback| (step.path.as_str(), pipeline.step(fallback)))
    })
}

fn mermaid(pipeline: &Pipeline) -> String {
    let mut text = String::from("flowchart TD\n");
    mermaid_block(pipeline, &pipeline.root, 1, &mut text);
    for edge in edges(pipeline) {
        let arrow = if edge.needs { "-->" } else { "-.->" };
        text.push_str(&format!("    {} {arrow} {}\n", node_id(edge.from), node_id(edge.to)));
    }
    for (step, fallback) in fallbacks(pipeline) {
        let (path, to) = (&fallback.path, node_id(&fallback.path));
        text.push_str(&format!("    {} -. catch .-> {to}[\"{path}\"]\n", node_id(step)));
    }
    text
}

/// A group is a box round its steps.
fn mermaid_block(pipeline: &Pipeline, block: &Block, depth: usize, text: &mut String) {
    let indent = "    ".repeat(depth);
    for step in block.steps.iter().map(|ix| pipeline.step(*ix)) {
        let node = node_id(&step.path);
        let (open, close) = match (&step.kind, step.when.is_some()) {
            (Kind::Function(_), false) => ("[", "]"),
            (Kind::Function(_), true) => ("{{", "}}"),
            (Kind::Wait(_), _) => ("([", "])"),
            (Kind::Fail { .. }, _) => ("[[", "]]"),
            (Kind::Job(_) | Kind::Train(_) | Kind::BatchPredict(_), false) => ("[[", "]]"),
            (Kind::Job(_) | Kind::Train(_) | Kind::BatchPredict(_), true) => ("{{", "}}"),
            (Kind::Endpoint(_), _) => ("((", "))"),
            (Kind::Monitor(_), _) => (">", "]"),
            (Kind::Notify(_), _) => (">", "]"),
            (Kind::Approval(_), _) => ("[/", "/]"),
            (Kind::Pipeline(_), _) => ("[(", ")]"),
            (Kind::Group(inner), _) => {
                text.push_str(&format!("{indent}subgraph {node}[\"{}\"]\n", step.id));
                mermaid_block(pipeline, inner, depth + 1, text);
                text.push_str(&format!("{indent}end\n"));
                continue;
            }
        };
        text.push_str(&format!("{indent}{node}{open}\"{}\"{close}\n", step.id));
    }
}

fn dot(pipeline: &Pipeline) -> String {
    let mut text = format!("digraph \"{}\" {{\n    node [shape=box];\n", pipeline.name);
    dot_block(pipeline, &pipeline.root, 1, &mut text);
    for edge in edges(pipeline) {
        let style = if edge.needs { "" } else { " [style=dashed]" };
        text.push_str(&format!("    \"{}\" -> \"{}\"{style};\n", edge.from, edge.to));
    }
    for (step, fallback) in fallbacks(pipeline) {
        let to = &fallback.path;
        text.push_str(&format!("    \"{step}\" -> \"{to}\" [style=dotted, label=catch];\n"));
    }
    text.push_str("}\n");
    text
}

/// A group is a folder in a box with its steps: Graphviz draws edges between nodes only.
fn dot_block(pipeline: &Pipeline, block: &Block, depth: usize, text: &mut String) {
    let indent = "    ".repeat(depth);
    for step in block.steps.iter().map(|ix| pipeline.step(*ix)) {
        let path = &step.path;
        let shape = match (&step.kind, step.when.is_some()) {
            (Kind::Function(_), false) => "",
            (Kind::Function(_), true) => " [shape=hexagon]",
            (Kind::Wait(_), _) => " [shape=ellipse]",
            (Kind::Fail { .. }, _) => " [shape=octagon]",
            (Kind::Job(_) | Kind::Train(_) | Kind::BatchPredict(_), _) => " [shape=box3d]",
            (Kind::Endpoint(_), _) => " [shape=circle]",
            (Kind::Monitor(_), _) => " [shape=note]",
            (Kind::Notify(_), _) => " [shape=note]",
            (Kind::Approval(_), _) => " [shape=parallelogram]",
            (Kind::Pipeline(_), _) => " [shape=component]",
            (Kind::Group(inner), _) => {
                text.push_str(&format!("{indent}subgraph \"cluster_{path}\" {{\n"));
                text.push_str(&format!("{indent}    \"{path}\" [shape=folder];\n"));
                dot_block(pipeline, inner, depth + 1, text);
                text.push_str(&format!("{indent}}}\n"));
                continue;
            }
        };
        text.push_str(&format!("{indent}\"{path}\"{shape};\n"));
    }
}
