//! `mlpipe status`

use std::path::PathBuf;

use serde_json::json;

use crate::desk::{Desk, EndpointRecord, MonitorRecord, Notification};

use super::{Exit, Format, load, output};

/// Arguments of `mlpipe status`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The pipeline file, or its folder.
    #[arg(default_value = ".")]
    file: PathBuf,
    /// How many messages to show, the latest ones.
    #[arg(long, default_value_t = 20)]
    messages: usize,
}

/// Shows what local runs left.
pub fn run(args: &Args, format: Format) -> Exit {
    let desk = Desk::beside(&load::folder(&args.file));
    let (endpoints, monitors) = match (desk.endpoints(), desk.monitors()) {
        (Ok(endpoints), Ok(monitors)) => (endpoints, monitors),
        (Err(message), _) | (_, Err(message)) => {
            output::failure(&message, format);
            return Exit::BadInput;
        }
    };
    let mut messages = desk.notifications();
    messages.drain(..messages.len().saturating_sub(args.messages));
    match format {
        Format::Json => output::json(&json!({
            "endpoints": endpoints,
            "monitors": monitors,
            "messages": messages,
        })),
        Format::Text => output::stdout(&text(&endpoints, &monitors, &messages)),
    }
    Exit::Done
}

fn text(endpoints: &[EndpointRecord], monitors: &[MonitorRecord], messages: &[Notification]) -> String {
    let mut lines = Vec::new();
    if endpoints.is_empty() && monitors.is_empty() && messages.is_empty() {
        lines.push("nothing yet: `mlpipe run` makes endpoints, monitors and messages".to_owned());
    }
    for endpoint in endpoints {
        lines.push(format!("endpoint {}", endpoint.name));
        let total: f64 = endpoint.variants.iter().map(|variant| variant.weight).sum();
        for variant in &endpoint.variants {
            let share = variant.weight / total * 100.0;
            lines.push(format!("  {} {share:.0} %  {}", variant.name, variant.model));
        }
    }
    for monitor in monitors {
        lines.push(format!(
            "monitor {}.{} of {}, {}",
            monitor.pipeline, monitor.step, monitor.endpoint, monitor.schedule
        ));
        let Some(check) = &monitor.last else {
            lines.push("  has not looked yet: it does while `mlpipe serve` runs".to_owned());
            continue;
        };
        let mut found = vec![format!("{} requests", check.requests)];
        found.extend(
            check
                .drift
                .iter()
                .map(|(feature, distance)| format!("{feature} {distance:.3}")),
        );
        found.extend(check.p95_ms.map(|p95| format!("p95 {p95:.0} ms")));
        found.extend(check.error_rate.map(|rate| format!("{:.1} % failed", rate * 100.0)));
        lines.push(format!("  {}  {}", check.time, found.join(", ")));
    }
    if !messages.is_empty() {
        lines.push("messages".to_owned());
    }
    for message in messages {
        lines.push(format!(
            "  {}  {}  {}  ({})",
            message.time, message.topic, message.message, message.from
        ));
    }
    lines.push(String::new());
    lines.join("\n")
}
