//! `mlpipe serve`

use std::path::PathBuf;

use serde_json::json;

use crate::desk::Desk;
use crate::desk::serve::{self, Event};
use crate::syntax::suggest;

use super::{Exit, Format, load, output};

/// Arguments of `mlpipe serve`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The endpoint's name, as in the pipeline file.
    name: String,
    /// The pipeline file whose run made it, or its folder.
    #[arg(default_value = ".")]
    file: PathBuf,
    /// Where to listen on 127.0.0.1; 0 takes a free port.
    #[arg(long, default_value_t = crate::desk::PORT)]
    port: u16,
    /// Let the endpoint's monitors look at what it was asked, now, and end.
    #[arg(long, conflicts_with = "port")]
    check: bool,
}

/// Serves an endpoint until it is ended.
pub fn run(args: &Args, format: Format) -> Exit {
    let folder = load::folder(&args.file);
    let done = if args.check {
        serve::look(&Desk::beside(&folder), &args.name, &mut |event| {
            show(&args.name, &event, format);
        })
    } else {
        served(args, &folder, format)
    };
    match done {
        Ok(()) => Exit::Done,
        Err(message) => {
            output::failure(&message, format);
            Exit::BadInput
        }
    }
}

fn served(args: &Args, folder: &std::path::Path, format: Format) -> Result<(), String> {
    let endpoints = Desk::beside(folder).endpoints()?;
    let Some(record) = endpoints.iter().find(|endpoint| endpoint.name == args.name) else {
        let names: Vec<&str> = endpoints.iter().map(|endpoint| endpoint.name.as_str()).collect();
        let help = if names.is_empty() {
            "`mlpipe run` makes the endpoints of a pipeline".to_owned()
        } else {
            suggest::help(&args.name, names, "endpoints")
        };
        return Err(format!(
            "no run made an endpoint `{}` in `{}`: {help}",
            args.name,
            folder.display()
        ));
    };
    serve::serve(folder, record, args.port, &mut |event| show(&args.name, &event, format))
}

fn show(name: &str, event: &Event<'_>, format: Format) {
    match (event, format) {
        (Event::Ready(port), Format::Text) => {
            output::stdout(&format!("serving `{name}` at http://127.0.0.1:{port}/invocations\n"))
        }
        (Event::Ready(port), Format::Json) => output::json(&json!({
            "endpoint": name,
            "url": format!("http://127.0.0.1:{port}/invocations"),
        })),
        (Event::Updated, _) => output::stderr(&format!("`{name}` was updated\n")),
        (Event::Line(line), _) => output::stderr(&format!("{line}\n")),
        (Event::Looked(monitor, check), Format::Text) => {
            let step = format!("{}.{}", monitor.pipeline, monitor.step);
            output::stdout(&format!("{step} saw {} requests\n", check.requests));
            for alert in &check.alerts {
                output::stdout(&format!("{step} tells `{}`: {alert}\n", monitor.alert));
            }
        }
        (Event::Looked(monitor, check), Format::Json) => output::json(&json!({
            "pipeline": monitor.pipeline,
            "step": monitor.step,
            "check": check,
        })),
    }
}
