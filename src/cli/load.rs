//! Reads a pipeline file and all that lies beside it.

use std::path::{Path, PathBuf};

use ignore::WalkBuilder;
use indexmap::IndexMap;

use crate::check::{self, handlers::Files};
use crate::diagnostics::Problems;
use crate::diagnostics::render::SourceFile;
use crate::model::Pipeline;
use crate::targets::Sources;
use crate::{syntax, validate};

use super::{Exit, Format, output};

/// What a pipeline file is called where only its folder is named.
const IN_FOLDER: &str = "pipeline.yaml";

/// Which pipeline of which file: arguments of every command that reads one.
#[derive(Debug, clap::Args)]
pub struct PipelineFile {
    /// The pipeline file, or a folder with a `pipeline.yaml`.
    pub file: PathBuf,
    /// Lay this stage of the file over it.
    #[arg(long, value_name = "NAME")]
    pub stage: Option<String>,
}

impl PipelineFile {
    /// The file itself: of a folder, the `pipeline.yaml` in it.
    pub fn path(&self) -> PathBuf {
        if self.file.is_dir() {
            return self.file.join(IN_FOLDER);
        }
        self.file.clone()
    }
}

/// A pipeline file that passed every check of its own; `problems` holds warnings only.
pub struct Loaded {
    /// The file.
    pub file: SourceFile,
    /// The folder that it lies in.
    pub folder: PathBuf,
    /// What it means.
    pub pipeline: Pipeline,
    /// Warnings.
    pub problems: Problems,
}

/// Loads a pipeline, or prints what is wrong.
pub fn load(args: &PipelineFile, format: Format) -> Result<Loaded, Exit> {
    let path = args.path();
    let (file, folder) = read(&path, format)?;
    let mut problems = Problems::new();
    let pipeline = syntax::parse(file.text(), &mut problems)
        .and_then(|staged| staged.select(args.stage.as_deref(), &mut problems))
        .and_then(|tree| {
            let input = check::Input {
                text: file.text(),
                file: &file_name(&path),
                stage: args.stage.as_deref(),
                files: &Disk { folder: &folder },
            };
            validate::check_tree(&tree, &input, &mut problems)
        });
    match pipeline {
        Some(pipeline) if !problems.has_errors() => Ok(Loaded {
            file,
            folder,
            pipeline,
            problems,
        }),
        _ => {
            output::problems(&problems, &file, format);
            Err(Exit::BadInput)
        }
    }
}

/// A file's name in its folder.
pub fn file_name(path: &Path) -> String {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// The text of a pipeline file and the folder it lies in, or prints why not.
pub fn read(path: &Path, format: Format) -> Result<(SourceFile, PathBuf), Exit> {
    let bytes = std::fs::read(path).map_err(|error| {
        output::failure(&format!("cannot read `{}`: {error}", path.display()), format);
        Exit::BadInput
    })?;
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let at = error.utf8_error().valid_up_to();
            output::failure(
                &format!("`{}` is not UTF-8: byte {at} begins no character", path.display()),
                format,
            );
            return Err(Exit::BadInput);
        }
    };
    Ok((SourceFile::new(path.display().to_string(), text), folder(path)))
}

/// The folder that a file lies in.
pub fn folder(path: &Path) -> PathBuf {
    if path.is_dir() {
        return path.to_owned();
    }
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// The disk beside the pipeline file.
pub struct Disk<'a> {
    /// The folder that the file lies in.
    pub folder: &'a Path,
}

impl Files for Disk<'_> {
    fn is_folder(&self, path: &str) -> bool {
        self.folder.join(path).is_dir()
    }

    fn read(&self, path: &str) -> Option<String> {
        let bytes = std::fs::read(self.folder.join(path)).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn python_files(&self, folder: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.join(folder))
            .into_iter()
            .flatten()
            .flatten();
        let mut names: Vec<String> = entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| name.ends_with(".py"))
            .collect();
        names.sort();
        names
    }
}

/// Reads every source folder of the pipeline: what git and `.mlpipeignore` ignore, hidden files and byte code stay out.
pub fn sources(loaded: &Loaded) -> Result<Sources, String> {
    let mut folders = IndexMap::new();
    for source in loaded.pipeline.family().into_iter().flat_map(Pipeline::sources) {
        if !folders.contains_key(source) {
            folders.insert(source.to_owned(), source_files(&loaded.folder.join(source))?);
        }
    }
    Ok(Sources { folders })
}

fn source_files(folder: &Path) -> Result<IndexMap<String, Vec<u8>>, String> {
    let mut walk = WalkBuilder::new(folder);
    walk.add_custom_ignore_filename(".mlpipeignore")
        .git_global(false)
        .require_git(false)
        .filter_entry(|entry| entry.file_name() != "__pycache__");
    let mut files = IndexMap::new();
    for entry in walk.build() {
        let entry = entry.map_err(|error| error.to_string())?;
        if !entry.file_type().is_some_and(|kind| kind.is_file()) {
            continue;
        }
        let path = entry.path();
        let relative = path.strip_prefix(folder).unwrap_or(path);
        let name = relative
            .components()
            .map(|part| part.as_os_str().to_string_lossy())
            .collect::<Vec<_>>()
            .join("/");
        let bytes = std::fs::read(path).map_err(|error| format!("cannot read `{}`: {error}", path.display()))?;
        files.insert(name, bytes);
    }
    files.sort_keys();
    Ok(files)
}
