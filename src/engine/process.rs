//! Processes that run side by side to their end: the workers of a training, a container.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::worker::{OnLine, own_group};

/// How often the processes are looked at.
const POLL: Duration = Duration::from_millis(20);

/// How they ended.
#[derive(Debug)]
pub enum Ended {
    /// All of them well.
    Well,
    /// One of them badly, with this exit code where it was not a signal; the others were ended.
    Badly(Option<i32>),
    /// They ran too long and were ended.
    Late,
}

/// Runs the commands until all have ended well, one has not, or the time is up. What they print is told line by line.
/// An `Err` is the host's fault.
pub fn run(commands: Vec<Command>, limit: Duration, on_line: &OnLine) -> Result<Ended, String> {
    let mut running = Running(Vec::new());
    let mut readers = Vec::new();
    for mut command in commands {
        own_group(&mut command);
        let program = command.get_program().to_string_lossy().into_owned();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("cannot start `{program}`: {error}"))?;
        readers.extend(child.stdout.take().map(|out| told(out, on_line)));
        readers.extend(child.stderr.take().map(|out| told(out, on_line)));
        running.0.push(child);
    }
    let ended = wait(&mut running, limit)?;
    drop(running);
    // A grandchild may hold a stream open: its lines are not waited for.
    let patience = Instant::now() + Duration::from_secs(1);
    while readers.iter().any(|reader| !reader.is_finished()) && Instant::now() < patience {
        thread::sleep(Duration::from_millis(2));
    }
    Ok(ended)
}

fn wait(running: &mut Running, limit: Duration) -> Result<Ended, String> {
    let began = Instant::now();
    loop {
        let mut open = 0;
        for child in &mut running.0 {
            match child.try_wait().map_err(|error| error.to_string())? {
                None => open += 1,
                Some(status) if status.success() => {}
                Some(status) => return Ok(Ended::Badly(status.code())),
            }
        }
        if open == 0 {
            return Ok(Ended::Well);
        }
        if began.elapsed() > limit {
            return Ok(Ended::Late);
        }
        thread::sleep(POLL);
    }
}

fn told(stream: impl std::io::Read + Send + 'static, on_line: &OnLine) -> thread::JoinHandle<()> {
    let on_line = OnLine::clone(on_line);
    thread::spawn(move || {
        let mut stream = BufReader::new(stream);
        let mut line = Vec::new();
        while stream.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
            on_line(String::from_utf8_lossy(&line).trim_end());
            line.clear();
        }
    })
}

/// Whatever happens, nothing keeps running.
struct Running(Vec<Child>);

impl Drop for Running {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
