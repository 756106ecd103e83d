//! Where things are, and a pipeline's way through the library.

use std::path::{Path, PathBuf};

use mlpipe::check::Input;
pub use mlpipe::check::handlers::AllThere;
use mlpipe::check::handlers::Files;
use mlpipe::diagnostics::Problems;
use mlpipe::diagnostics::render::{self, SourceFile};
use mlpipe::model::Pipeline;
use mlpipe::targets::Target;
use mlpipe::validate;

/// Copies a folder with all that is in it.
pub fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let place = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &place);
        } else {
            std::fs::copy(entry.path(), place).expect("a file");
        }
    }
}

/// Holds the part of a page below `heading` to what is made now, `current`; with `UPDATE` set, writes it. `test` is the filter to run.
pub fn page_is_current(page: &str, heading: &str, current: &str, test: &str) {
    let path = root().join("docs").join(page);
    let page = std::fs::read_to_string(&path).expect("the page");
    let (text, committed) = page.split_at(page.find(heading).expect("the heading of what is written"));
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, format!("{text}{current}")).expect("the page");
    } else {
        assert!(committed == current, "run `UPDATE=1 cargo test {test}`");
    }
}

/// The project's folder.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below a folder with this name or extension, sorted.
pub fn files(folder: &Path, wanted: &dyn Fn(&Path) -> bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(folder) else {
        return found;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path, wanted));
        } else if wanted(&path) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// Every `pipeline.yaml` of the examples and the corpus.
pub fn good_pipelines() -> Vec<PathBuf> {
    let is_pipeline = |path: &Path| path.file_name().is_some_and(|name| name == "pipeline.yaml");
    let mut found = files(&root().join("examples"), &is_pipeline);
    found.extend(files(&root().join("tests/corpus"), &is_pipeline));
    assert!(found.len() > 2, "no pipelines found");
    found
}

/// The codes that the sources declare, sorted, each once.
pub fn codes() -> Vec<String> {
    let code = regex::Regex::new(r"code\((MLP[0-9]{4})\)").expect("a regular expression");
    let sources = files(&root().join("src"), &|path| path.extension().is_some_and(|e| e == "rs"));
    let mut found: Vec<String> = sources
        .iter()
        .flat_map(|path| {
            let text = std::fs::read_to_string(path).expect("a source file");
            code.captures_iter(&text)
                .map(|found| found[1].to_owned())
                .collect::<Vec<_>>()
        })
        .collect();
    found.sort();
    found.dedup();
    assert!(found.len() > 50, "no codes found");
    found
}

/// The disk beside a pipeline file.
pub struct Disk(pub PathBuf);

impl Files for Disk {
    fn is_folder(&self, path: &str) -> bool {
        self.0.join(path).is_dir()
    }

    fn read(&self, path: &str) -> Option<String> {
        std::fs::read_to_string(self.0.join(path)).ok()
    }

    fn python_files(&self, folder: &str) -> Vec<String> {
        let is_python = |path: &Path| path.extension().is_some_and(|e| e == "py");
        files(&self.0.join(folder), &is_python)
            .iter()
            .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
            .collect()
    }
}

/// What `mlpipe validate` finds: form, meaning, then the quotas of every cloud; also with each stage.
pub fn validate(text: &str, files: &dyn Files) -> (Option<Pipeline>, Problems) {
    let mut problems = Problems::new();
    let found = validate::validate(&Input::new(text, files), &Target::ALL, &mut problems);
    (found.pipeline, problems)
}

/// Problems as a person sees them, without color.
pub fn rendered(problems: &Problems, text: &str) -> String {
    render::text(problems, &SourceFile::new("pipeline.yaml", text), false)
}

/// Runs a test on a stack as large as the program's own.
pub fn on_big_stack(test: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(512 * 1024 * 1024).spawn(test);
    if let Err(panic) = thread.expect("a thread").join() {
        std::panic::resume_unwind(panic);
    }
}
