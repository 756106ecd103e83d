//! An endpoint served on loopback, by a Python process that has its framework; its monitors look when they are due.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use crate::engine::interpreter::{self, Wanted};
use crate::targets::package;

use super::watch::{self, Check};
use super::{Desk, EndpointRecord, MonitorRecord};

const SERVER: &str = include_str!("../../targets/local/serve.py");
/// How often updates of the endpoint and monitors that are due are looked for.
const TICK: Duration = Duration::from_millis(500);

/// What happens while an endpoint is served.
#[derive(Debug)]
pub enum Event<'a> {
    /// It answers on this port.
    Ready(u16),
    /// A run updated it.
    Updated,
    /// What the server printed, or an installation.
    Line(&'a str),
    /// A monitor looked.
    Looked(&'a MonitorRecord, &'a Check),
}

/// Serves until the process is ended. An `Err` says why it cannot.
pub fn serve(
    folder: &Path,
    record: &EndpointRecord,
    port: u16,
    on_event: &mut dyn FnMut(Event<'_>),
) -> Result<(), String> {
    let desk = Desk::beside(folder);
    let mut due = Due::default();
    let mut record = record.clone();
    loop {
        let mut server = Server::start(folder, &desk, &record, port, on_event)?;
        loop {
            match server.lines.recv_timeout(TICK) {
                Ok(line) => match line.strip_prefix("ready ").and_then(|port| port.parse().ok()) {
                    Some(port) => on_event(Event::Ready(port)),
                    None => on_event(Event::Line(&line)),
                },
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return match server.child.wait().map_err(|error| error.to_string())? {
                        status if status.success() => Ok(()),
                        _ => Err(format!("the server of `{}` ended", record.name)),
                    };
                }
            }
            due.look(&desk, &record.name, on_event)?;
            let now = desk.endpoints()?.into_iter().find(|now| now.name == record.name);
            if let Some(now) = now.filter(|now| *now != record) {
                record = now;
                on_event(Event::Updated);
                break;
            }
        }
    }
}

/// Lets every monitor of an endpoint look now.
pub fn look(desk: &Desk, endpoint: &str, on_event: &mut dyn FnMut(Event<'_>)) -> Result<(), String> {
    for monitor in desk.monitors_of(endpoint)? {
        let check = watch::look(desk, &monitor, jiff::Timestamp::now())?;
        on_event(Event::Looked(&monitor, &check));
    }
    Ok(())
}

/// When each monitor looks next, by pipeline and step.
#[derive(Default)]
struct Due(BTreeMap<(String, String), i64>);

impl Due {
    fn look(&mut self, desk: &Desk, endpoint: &str, on_event: &mut dyn FnMut(Event<'_>)) -> Result<(), String> {
        let now = jiff::Timestamp::now();
        for monitor in desk.monitors_of(endpoint)? {
            let key = (monitor.pipeline.clone(), monitor.step.clone());
            let Some(next) = next(&monitor.schedule, now.as_second()) else {
                continue;
            };
            let due = *self.0.entry(key.clone()).or_insert(next);
            if now.as_second() >= due {
                self.0.insert(key, next);
                let check = watch::look(desk, &monitor, now)?;
                on_event(Event::Looked(&monitor, &check));
            }
        }
        Ok(())
    }
}

/// Unix seconds of the first time after `now` that a cron line names, in UTC.
fn next(schedule: &str, now: i64) -> Option<i64> {
    let cron = croner::Cron::from_str(schedule).ok()?;
    let now = chrono::DateTime::from_timestamp(now, 0)?;
    Some(cron.find_next_occurrence(&now, false).ok()?.timestamp())
}

/// A server; it goes when it is dropped.
struct Server {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Server {
    fn start(
        folder: &Path,
        desk: &Desk,
        record: &EndpointRecord,
        port: u16,
        on_event: &mut dyn FnMut(Event<'_>),
    ) -> Result<Self, String> {
        let say = |error: std::io::Error| format!("cannot serve `{}`: {error}", record.name);
        let wanted = match &record.framework {
            Some((name, version)) => Wanted::framework(name, version),
            None => Wanted::default(),
        };
        let python = interpreter::python(folder, &wanted, &mut |line| on_event(Event::Line(line)))?;
        // Not a temporary folder: whoever ends this by a signal would leave it behind.
        let staged = desk.server_folder();
        std::fs::create_dir_all(&staged).map_err(say)?;
        std::fs::write(staged.join("serve.py"), SERVER).map_err(say)?;
        std::fs::write(staged.join(package::SERVING_MODULE), package::SERVING).map_err(say)?;
        let captured = desk.captured_file(&record.name);
        if let Some(folder) = captured.parent() {
            std::fs::create_dir_all(folder).map_err(say)?;
        }
        let mut child = Command::new(python)
            .arg("-u")
            .arg(staged.join("serve.py"))
            .arg(desk.endpoint_file(&record.name))
            .arg(captured)
            .arg(port.to_string())
            // The server ends with this pipe.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(say)?;
        let (sender, lines) = mpsc::channel();
        if let Some(out) = child.stdout.take() {
            forward(out, sender.clone());
        }
        if let Some(out) = child.stderr.take() {
            forward(out, sender);
        }
        Ok(Self { child, lines })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn forward(stream: impl std::io::Read + Send + 'static, sender: Sender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
}
