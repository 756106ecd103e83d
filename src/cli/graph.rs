//! `mlpipe graph`

use clap::ValueEnum;
use serde_json::json;

use crate::model::{Kind, Pipeline, Step};

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
                "id": step.id, "kind": kind(step), "conditional": step.when.is_some(),
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
                from: &pipeline.step(from).id,
                to: &step.id,
                needs: step.needs.contains(&from),
            })
        })
        .collect()
}

fn kind(step: &Step) -> &'static str {
    match step.kind {
        Kind::Function(_) => "function",
        Kind::Wait(_) => "wait",
        Kind::Group(_) => "steps",
        Kind::Fail { .. } => "fail",
    }
}

/// Mermaid ids take no `-`; ids are distinct after `-` became `_`, and the prefix keeps `end` and its like legal.
fn node_id(id: &str) -> String {
    format!("step_{}", id.replace('-', "_"))
}

fn mermaid(pipeline: &Pipeline) -> String {
    let mut text = String::from("flowchart TD\n");
    for step in &pipeline.steps {
        let (open, close) = match (&step.kind, step.when.is_some()) {
            (Kind::Function(_), false) => ("[", "]"),
            (Kind::Function(_), true) => ("{{", "}}"),
            (Kind::Wait(_), _) => ("([", "])"),
            (Kind::Fail { .. }, _) => ("[[", "]]"),
            (Kind::Group(_), _) => ("[/", "/]"),
        };
        text.push_str(&format!("    {}{open}\"{}\"{close}\n", node_id(&step.id), step.id));
    }
    for edge in edges(pipeline) {
        let arrow = if edge.needs { "-->" } else { "-.->" };
        text.push_str(&format!("    {} {arrow} {}\n", node_id(edge.from), node_id(edge.to)));
    }
    text
}

fn dot(pipeline: &Pipeline) -> String {
    let mut text = format!("digraph \"{}\" {{\n    node [shape=box];\n", pipeline.name);
    for step in &pipeline.steps {
        let shape = match (&step.kind, step.when.is_some()) {
            (Kind::Function(_), false) => "",
            (Kind::Function(_), true) => " [shape=hexagon]",
            (Kind::Wait(_), _) => " [shape=ellipse]",
            (Kind::Fail { .. }, _) => " [shape=octagon]",
            (Kind::Group(_), _) => " [shape=folder]",
        };
        text.push_str(&format!("    \"{}\"{shape};\n", step.id));
    }
    for edge in edges(pipeline) {
        let style = if edge.needs { "" } else { " [style=dashed]" };
        text.push_str(&format!("    \"{}\" -> \"{}\"{style};\n", edge.from, edge.to));
    }
    text.push_str("}\n");
    text
}
