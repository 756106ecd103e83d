//! The Python that runs the code of a source folder: what it asks for goes into an environment of its own.

use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::model::Runtime;
use crate::targets::packages::{self, numbers};

/// Where mlpipe keeps what it makes beside a pipeline file.
pub const WORK_FOLDER: &str = ".mlpipe";

/// Names the Python to take, which has the frameworks that the user wants: none is installed for it.
const PYTHON: &str = "MLPIPE_PYTHON";

/// What a piece of code asks of Python.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// A package and its version, or the start of it.
    framework: Option<(String, String)>,
    /// What goes with it.
    also: Vec<String>,
    /// A requirements file of the user's, and its text.
    file: Option<(PathBuf, String)>,
}

impl Wanted {
    /// What code in an image of the cloud's would find there.
    pub fn of(runtime: &Runtime) -> Self {
        match runtime {
            Runtime::Framework(framework, version) => Self::framework(framework.name(), version),
            Runtime::Image(_) => Self::default(),
        }
    }

    /// The same, by the framework's name as typed.
    pub fn framework(name: &str, version: &str) -> Self {
        let Some(package) = packages::package(name, version) else {
            return Self::default();
        };
        Self {
            framework: Some((package.name.to_owned(), version.to_owned())),
            also: package.also.into_iter().map(str::to_owned).collect(),
            file: None,
        }
    }

    /// The `requirements.txt` of a folder, too.
    pub fn with_requirements(mut self, source: &Path) -> Self {
        let file = source.join("requirements.txt");
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let mut asked = text.lines().map(str::trim);
        if asked.any(|line| !line.is_empty() && !line.starts_with('#')) {
            self.file = Some((file, text));
        }
        self
    }

    fn is_met_by(&self, python: &Path) -> bool {
        match (&self.framework, &self.file) {
            (None, None) => true,
            (_, Some(_)) => false,
            (Some((package, version)), None) => {
                installed(python, package).is_some_and(|found| numbers(&found).starts_with(&numbers(version)))
            }
        }
    }

    /// The same, but for the framework.
    fn without_framework(&self) -> Self {
        Self {
            file: self.file.clone(),
            ..Self::default()
        }
    }

    /// What pip gets for the framework.
    fn packages(&self) -> Vec<String> {
        let framework = self
            .framework
            .iter()
            .map(|(package, version)| format!("{package}=={version}.*"));
        framework.chain(self.also.iter().cloned()).collect()
    }

    fn name(&self) -> String {
        let framework = self
            .framework
            .iter()
            .map(|(package, version)| format!("{package} {version}"));
        let file = self.file.iter().map(|(file, _)| file.display().to_string());
        framework.chain(file).collect::<Vec<_>>().join(" and ")
    }
}

fn installed(python: &Path, package: &str) -> Option<String> {
    let output = Command::new(python)
        .args([
            "-c",
            "import importlib.metadata, sys; print(importlib.metadata.version(sys.argv[1]))",
        ])
        .arg(package)
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let found = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| found.trim().to_owned())
}

/// The interpreter for a source folder. `say` is told about an installation before it begins.
pub fn for_source(pipeline_folder: &Path, source: &Path, say: &mut dyn FnMut(&str)) -> Result<PathBuf, String> {
    python(pipeline_folder, &Wanted::default().with_requirements(source), say)
}

/// The interpreter that has what is wanted: the one at hand (`MLPIPE_PYTHON`, else `python3`), or an environment made for it.
pub fn python(pipeline_folder: &Path, wanted: &Wanted, say: &mut dyn FnMut(&str)) -> Result<PathBuf, String> {
    let chosen = std::env::var_os(PYTHON).map(PathBuf::from);
    let wanted = match &chosen {
        Some(_) => &wanted.without_framework(),
        None => wanted,
    };
    let base = chosen.unwrap_or_else(|| "python3".into());
    if wanted.is_met_by(&base) {
        return Ok(base);
    }
    // Whoever starts it may do so from another folder.
    let folder = std::path::absolute(pipeline_folder)
        .map_err(|error| format!("cannot make a Python environment: {error}"))?
        .join(WORK_FOLDER)
        .join("python")
        .join(fingerprint(wanted, &base));
    let python = folder.join("bin").join("python");
    let complete = folder.join("complete");
    if complete.is_file() {
        return Ok(python);
    }
    let name = wanted.name();
    say(&format!("installing {name}"));
    let _ = std::fs::remove_dir_all(&folder);
    quiet(
        Command::new(&base).args(["-m", "venv"]).arg(&folder),
        "cannot make a Python environment",
    )?;
    let mut install = Command::new(&python);
    install
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
        .args(wanted.packages());
    if let Some((file, _)) = &wanted.file {
        install.arg("-r").arg(file);
    }
    quiet(&mut install, &format!("cannot install {name}"))?;
    std::fs::write(&complete, "").map_err(|error| format!("cannot write `{}`: {error}", complete.display()))?;
    Ok(python)
}

fn fingerprint(wanted: &Wanted, python: &Path) -> String {
    let mut hasher = std::hash::DefaultHasher::new();
    let text = wanted.file.as_ref().map(|(_, text)| text);
    (wanted.packages(), text, python).hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

fn quiet(command: &mut Command, what: &str) -> Result<(), String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{what}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last: Vec<&str> = said.lines().rev().take(10).collect();
    Err(format!(
        "{what}:\n{}",
        last.into_iter().rev().collect::<Vec<_>>().join("\n")
    ))
}
