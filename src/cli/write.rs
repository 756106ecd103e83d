//! Artifacts to disk and against it. Files of the user's are not touched: what mlpipe wrote is listed beside it.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;
use similar::TextDiff;

use crate::targets::Artifacts;

/// Lists the files that mlpipe wrote into a folder, a path a line.
const MANIFEST: &str = ".mlpipe-files";

/// What was done.
#[derive(Debug, Default)]
pub struct Written {
    /// Files with new content.
    pub written: Vec<String>,
    /// How many were current already.
    pub unchanged: usize,
    /// Files of an earlier run that are no longer part of the output.
    pub removed: Vec<String>,
}

/// A file that is not what would be written.
#[derive(Debug, Serialize)]
pub struct Difference {
    /// Its path.
    pub file: String,
    /// A unified diff from disk to what would be written.
    pub diff: String,
}

/// Writes each tree into its folder. Nothing is written where any file of the user's is in the way, unless `force`.
pub fn write(trees: &[(PathBuf, &Artifacts)], force: bool) -> Result<Written, String> {
    if !force {
        let foreign: Vec<String> = trees
            .iter()
            .flat_map(|(folder, artifacts)| in_the_way(folder, artifacts))
            .collect();
        if !foreign.is_empty() {
            return Err(format!(
                "mlpipe did not write these files and leaves them alone:\n  {}\nmove them, choose another `--output`, or overwrite them with `--force`",
                foreign.join("\n  ")
            ));
        }
    }
    let mut done = Written::default();
    for (folder, artifacts) in trees {
        let listed = manifest(folder);
        let mut list = String::new();
        for (path, bytes) in &artifacts.files {
            list.push_str(path);
            list.push('\n');
            put(&folder.join(path), bytes, &mut done)?;
        }
        for path in listed.iter().filter(|path| !artifacts.files.contains_key(*path)) {
            let full = folder.join(path);
            if std::fs::remove_file(&full).is_ok() {
                done.removed.push(full.display().to_string());
            }
            remove_empty_folders(folder, &full);
        }
        let mut uncounted = Written::default();
        put(&folder.join(MANIFEST), list.as_bytes(), &mut uncounted)?;
    }
    Ok(done)
}

/// Where the files on disk differ from the tree, in its order; then files that an earlier run left.
pub fn differences(folder: &Path, artifacts: &Artifacts) -> Vec<Difference> {
    let mut found = Vec::new();
    for (path, bytes) in &artifacts.files {
        let full = folder.join(path);
        let old = std::fs::read(&full).ok();
        if old.as_deref() != Some(bytes) {
            found.push(difference(&full, old.as_deref(), Some(bytes)));
        }
    }
    for path in manifest(folder)
        .iter()
        .filter(|path| !artifacts.files.contains_key(*path))
    {
        let full = folder.join(path);
        if let Ok(old) = std::fs::read(&full) {
            found.push(difference(&full, Some(&old), None));
        }
    }
    found
}

fn difference(path: &Path, old: Option<&[u8]>, new: Option<&[u8]>) -> Difference {
    let shown = path.display().to_string();
    let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
    let (old_text, new_text) = (text(old), text(new));
    let name = |there: bool| if there { shown.clone() } else { "/dev/null".to_owned() };
    let diff = TextDiff::from_lines(&old_text, &new_text)
        .unified_diff()
        .header(&name(old.is_some()), &name(new.is_some()))
        .to_string();
    let diff = if diff.is_empty() {
        format!("--- {}\n+++ {}\n", name(old.is_some()), name(new.is_some()))
    } else {
        diff
    };
    Difference { file: shown, diff }
}

/// Files on disk that would be overwritten with something else and that no manifest claims.
fn in_the_way(folder: &Path, artifacts: &Artifacts) -> Vec<String> {
    let listed = manifest(folder);
    artifacts
        .files
        .iter()
        .filter(|(path, _)| !listed.contains(*path))
        .filter_map(|(path, bytes)| {
            let full = folder.join(path);
            let there = std::fs::symlink_metadata(&full).is_ok();
            (there && std::fs::read(&full).ok().as_ref() != Some(bytes)).then(|| full.display().to_string())
        })
        .collect()
}

/// Paths listed by an earlier run; those that would lead out of the folder are not believed.
fn manifest(folder: &Path) -> BTreeSet<String> {
    let text = std::fs::read_to_string(folder.join(MANIFEST)).unwrap_or_default();
    text.lines()
        .filter(|line| !line.is_empty() && !line.starts_with('/') && !line.split('/').any(|part| part == ".."))
        .map(str::to_owned)
        .collect()
}

fn put(path: &Path, bytes: &[u8], done: &mut Written) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("cannot write `{}`: {error}", path.display());
    if std::fs::read(path).is_ok_and(|old| old == bytes) {
        done.unchanged += 1;
        return Ok(());
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(failed)?;
    let mut file = tempfile::Builder::new()
        .prefix(".mlpipe-")
        .tempfile_in(folder)
        .map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    open_to_others(file.path()).map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    done.written.push(path.display().to_string());
    Ok(())
}

/// A temporary file is the owner's alone; a generated one is as any other of the user's.
#[cfg(unix)]
fn open_to_others(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn open_to_others(_: &Path) -> std::io::Result<()> {
    Ok(())
}

fn remove_empty_folders(root: &Path, file: &Path) {
    let mut folder = file.parent();
    while let Some(path) = folder.filter(|path| *path != root && path.starts_with(root)) {
        if std::fs::remove_dir(path).is_err() {
            return;
        }
        folder = path.parent();
    }
}
