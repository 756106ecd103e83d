//! The Python that runs the functions of a source folder: its `requirements.txt` goes into an environment of its own.

use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where mlpipe keeps what it makes beside a pipeline file.
pub const WORK_FOLDER: &str = ".mlpipe";

/// The interpreter for a source folder. `say` is told about an installation before it begins.
pub fn for_source(pipeline_folder: &Path, source: &Path, say: &mut dyn FnMut(&str)) -> Result<PathBuf, String> {
    let base = PathBuf::from(std::env::var_os("MLPIPE_PYTHON").unwrap_or_else(|| "python3".into()));
    let requirements = source.join("requirements.txt");
    let text = std::fs::read_to_string(&requirements).unwrap_or_default();
    let asks_for_something = text
        .lines()
        .any(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
    if !asks_for_something {
        return Ok(base);
    }
    let folder = pipeline_folder
        .join(WORK_FOLDER)
        .join("python")
        .join(fingerprint(&text, &base));
    let python = folder.join("bin").join("python");
    let complete = folder.join("complete");
    if complete.is_file() {
        return Ok(python);
    }
    say(&format!("installing {}", requirements.display()));
    let _ = std::fs::remove_dir_all(&folder);
    quiet(
        Command::new(&base).args(["-m", "venv"]).arg(&folder),
        "cannot make a Python environment",
    )?;
    quiet(
        Command::new(&python)
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"])
            .arg(&requirements),
        &format!("cannot install {}", requirements.display()),
    )?;
    std::fs::write(&complete, "").map_err(|error| format!("cannot write `{}`: {error}", complete.display()))?;
    Ok(python)
}

fn fingerprint(requirements: &str, python: &Path) -> String {
    let mut hasher = std::hash::DefaultHasher::new();
    (requirements, python).hash(&mut hasher);
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
