//! `mlpipe explain`

use serde_json::json;

use crate::diagnostics::explain;
use crate::syntax::suggest;

use super::{Exit, Format, output};

/// Arguments of `mlpipe explain`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The code, such as `MLP0401`; leave it out for a list.
    code: Option<String>,
}

/// Prints the page of a code.
pub fn run(args: &Args, format: Format) -> Exit {
    let Some(code) = &args.code else {
        match format {
            Format::Text => {
                explain::pages().for_each(|page| output::stdout(&format!("{}  {}\n", page.code, page.title)))
            }
            Format::Json => output::json(
                &explain::pages()
                    .map(|page| json!({ "code": page.code, "title": page.title }))
                    .collect::<Vec<_>>(),
            ),
        }
        return Exit::Done;
    };
    let code = code.to_ascii_uppercase();
    match explain::pages().find(|page| page.code == code) {
        Some(page) => {
            match format {
                Format::Text => output::stdout(&format!("{}: {}\n\n{}\n", page.code, page.title, page.text)),
                Format::Json => {
                    output::json(&json!({ "code": page.code, "title": page.title, "text": page.text }));
                }
            }
            Exit::Done
        }
        None => {
            let help = match suggest::nearest(&code, explain::pages().map(|page| page.code)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "`mlpipe explain` lists the codes".to_owned(),
            };
            output::failure(&format!("there is no code `{code}`: {help}"), format);
            Exit::BadUsage
        }
    }
}
