//! Warm Python processes: one JSON line a request, one a reply. A worker that dies or runs too long is replaced.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::targets::package;

const WORKER: &str = include_str!("../../targets/local/worker.py");
/// Lines of a function's own output that are kept for its error.
const KEPT_LINES: usize = 20;
/// How long the interpreter may take to start; this is not part of any attempt.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How long the last lines of a log may take to arrive behind an answer.
const LOG_LIMIT: Duration = Duration::from_secs(1);
/// What the worker writes behind all that a request printed.
const END_OF_LOG: char = '\0';

/// How an attempt ended.
#[derive(Debug)]
pub enum Answer {
    /// The function gave this.
    Output(Value),
    /// The function, or a rule about its output, failed.
    Error {
        /// Error name.
        name: String,
        /// Error message.
        message: String,
    },
    /// The process ended without an answer.
    Crashed,
    /// The attempt ran longer than it may.
    TimedOut,
}

/// The workers of one source folder.
pub struct Pool {
    python: PathBuf,
    source: PathBuf,
    staged: TempDir,
    idle: Mutex<Vec<Worker>>,
}

/// Called with each line that a function prints.
pub type OnLine = Arc<dyn Fn(&str) + Send + Sync>;

impl Pool {
    /// Stages the adapter; `core` is the text of its core module.
    pub fn new(python: PathBuf, source: &Path, core: &str) -> std::io::Result<Self> {
        let staged = tempfile::Builder::new().prefix("mlpipe-").tempdir()?;
        std::fs::write(staged.path().join("worker.py"), WORKER)?;
        std::fs::write(staged.path().join(package::CORE_MODULE), core)?;
        Ok(Self {
            python,
            source: source.to_owned(),
            staged,
            idle: Mutex::new(Vec::new()),
        })
    }

    /// Runs one attempt; the lines that the function printed last come with the answer. Errors are the host's: no Python, no process.
    pub fn call(&self, envelope: &Value, timeout: Duration, on_line: &OnLine) -> Result<(Answer, Vec<String>), String> {
        let warm = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut worker = match warm {
            Some(worker) => worker,
            None => self.start()?,
        };
        let answer = worker.call(envelope, timeout, on_line);
        let lines = worker.lines();
        if matches!(answer, Answer::Output(_) | Answer::Error { .. }) {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(worker);
        }
        Ok((answer, lines))
    }

    fn start(&self) -> Result<Worker, String> {
        let mut command = Command::new(&self.python);
        command
            .arg(self.staged.path().join("worker.py"))
            .arg(&self.source)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        own_group(&mut command);
        let mut child = command.spawn().map_err(|error| {
            format!(
                "cannot start `{}`: {error}; functions need Python 3.10 or newer, `MLPIPE_PYTHON` names another one",
                self.python.display()
            )
        })?;
        let (Some(stdin), Some(stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err("a worker has no streams".to_owned());
        };
        let (sender, answers) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let log = Arc::new(Mutex::new(Log::default()));
        let writer = Arc::clone(&log);
        let (end_of_log, log_ended) = mpsc::channel();
        let reader = thread::spawn(move || {
            let mut stderr = BufReader::new(stderr);
            let mut line = Vec::new();
            while stderr.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                line.clear();
                let ended = text.ends_with(END_OF_LOG);
                let text = text.trim_end_matches(END_OF_LOG);
                if !(ended && text.is_empty()) {
                    let listener = writer.lock().unwrap_or_else(PoisonError::into_inner).add(text);
                    if let Some(listener) = listener {
                        listener(text);
                    }
                }
                if ended {
                    let _ = end_of_log.send(());
                }
            }
        });
        let mut worker = Worker {
            child,
            stdin,
            answers,
            log,
            log_ended,
            reader: Some(reader),
        };
        if worker.answers.recv_timeout(START_LIMIT).is_err() {
            worker.end();
            return Err(format!(
                "`{}` did not start:\n{}",
                self.python.display(),
                worker.lines().join("\n")
            ));
        }
        Ok(worker)
    }
}

/// Ctrl-C is for mlpipe, which ends its workers; a handler shall not see it as its own error.
#[cfg(unix)]
pub(super) fn own_group(command: &mut Command) {
    use std::os::unix::process::CommandExt;
    command.process_group(0);
}

#[cfg(not(unix))]
pub(super) fn own_group(_: &mut Command) {}

#[derive(Default)]
struct Log {
    last: VecDeque<String>,
    listener: Option<OnLine>,
}

impl Log {
    fn add(&mut self, line: &str) -> Option<OnLine> {
        if self.last.len() == KEPT_LINES {
            self.last.pop_front();
        }
        self.last.push_back(line.to_owned());
        self.listener.clone()
    }
}

struct Worker {
    child: Child,
    stdin: ChildStdin,
    answers: Receiver<String>,
    log: Arc<Mutex<Log>>,
    log_ended: Receiver<()>,
    reader: Option<thread::JoinHandle<()>>,
}

#[derive(Deserialize)]
struct Reply {
    output: Option<Value>,
    error: Option<ReplyError>,
}

#[derive(Deserialize)]
struct ReplyError {
    name: String,
    message: String,
}

impl Worker {
    fn call(&mut self, envelope: &Value, timeout: Duration, on_line: &OnLine) -> Answer {
        *self.log.lock().unwrap_or_else(PoisonError::into_inner) = Log {
            last: VecDeque::new(),
            listener: Some(Arc::clone(on_line)),
        };
        while self.log_ended.try_recv().is_ok() {}
        let request = format!("{}\n", json!({ "id": 0, "envelope": envelope }));
        if self
            .stdin
            .write_all(request.as_bytes())
            .and_then(|()| self.stdin.flush())
            .is_err()
        {
            self.end();
            return Answer::Crashed;
        }
        match self.answers.recv_timeout(timeout) {
            Ok(line) => {
                let _ = self.log_ended.recv_timeout(LOG_LIMIT);
                match serde_json::from_str::<Reply>(&line) {
                    Ok(Reply {
                        error: Some(ReplyError { name, message }),
                        ..
                    }) => Answer::Error { name, message },
                    Ok(Reply { output, error: None }) => Answer::Output(output.unwrap_or(Value::Null)),
                    Err(_) => {
                        self.end();
                        Answer::Crashed
                    }
                }
            }
            Err(RecvTimeoutError::Timeout) => {
                self.end();
                Answer::TimedOut
            }
            Err(RecvTimeoutError::Disconnected) => {
                self.end();
                Answer::Crashed
            }
        }
    }

    fn lines(&self) -> Vec<String> {
        self.log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .last
            .iter()
            .cloned()
            .collect()
    }

    /// Ends the process and waits until all that it printed was read.
    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        // A grandchild may hold the stream open; what it prints later is no part of this attempt.
        for _ in 0..50 {
            if self.reader.as_ref().is_none_or(thread::JoinHandle::is_finished) {
                break;
            }
            thread::sleep(Duration::from_millis(2));
        }
        self.reader = None;
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
