//! An endpoint on the desk: made by a run, served on loopback, updated in place, watched.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};

use crate::support::{copy_folder, root};

const PIPELINE: &str = r#"
mlpipe: v1
name: leaving
params: { canary: { type: number, default: 0 } }
buckets: { lake: {} }
topics: { alerts: {} }
targets: { local: { buckets: { lake: lake } } }
steps:
  serve:
    endpoint:
      name: leaving
      framework: { name: sklearn, version: "1.2" }
      variants:
        main: { model: "${{ buckets.lake.uri + '/model/' }}", weight: 1 }
        other: { model: "${{ buckets.lake.uri + '/other/' }}", weight: 0 }
  watch:
    needs: [serve]
    monitor:
      endpoint: leaving
      baseline: ${{ buckets.lake.uri + '/baseline.csv' }}
      schedule: "0 3 1 1 *"
      drift: { threshold: 0.5, metric: l_infinity }
      error_rate: 0.4
      alert: alerts
"#;

fn mlpipe(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mlpipe"))
        // The model serves itself: no framework is needed.
        .env("MLPIPE_PYTHON", "python3")
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("mlpipe runs")
}

/// `mlpipe serve`, and the port it answers on. It ends with the test.
struct Served {
    child: Child,
    out: BufReader<std::process::ChildStdout>,
}

impl Served {
    fn start(folder: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_mlpipe"))
            .env("MLPIPE_PYTHON", "python3")
            .args(["serve", "leaving", "--port", "0"])
            .current_dir(folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("mlpipe serves");
        let out = BufReader::new(child.stdout.take().expect("its output"));
        Self { child, out }
    }

    fn port(&mut self) -> u16 {
        let mut line = String::new();
        self.out.read_line(&mut line).expect("a line");
        let (_, rest) = line.split_once("127.0.0.1:").expect("an address");
        rest.split('/')
            .next()
            .and_then(|port| port.parse().ok())
            .expect("a port")
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn ask(port: u16, header: &str, body: &str) -> (u16, Value) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
    let length = body.len();
    write!(
        stream,
        "POST /invocations HTTP/1.1\r\nHost: desk\r\nConnection: close\r\n{header}Content-Length: {length}\r\n\r\n{body}"
    )
    .expect("a request");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    let status = text
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .expect("a status");
    let (_, body) = text.split_once("\r\n\r\n").expect("a body");
    (status, serde_json::from_str(body).expect("JSON"))
}

fn desk() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    copy_folder(&root().join("docs/lake"), &folder.path().join("lake"));
    let other = folder.path().join("lake/other");
    std::fs::create_dir(&other).expect("a folder");
    let model = "def load(folder):\n    return None\n\n\ndef predict(model, instances):\n    return [7 / instance[1] for instance in instances]\n";
    std::fs::write(other.join("serving.py"), model).expect("a model");
    std::fs::write(folder.path().join("pipeline.yaml"), PIPELINE).expect("a pipeline");
    let done = mlpipe(folder.path(), &["run", "."]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    folder
}

#[test]
fn an_endpoint_answers_and_is_watched() {
    let folder = desk();
    let mut served = Served::start(folder.path());
    let port = served.port();
    // 3 months are fewer than the model's 12, 40 are more.
    let body = r#"{"instances": [[3, 1], [40, 1]]}"#;
    assert_eq!(ask(port, "", body), (200, json!({ "predictions": [1, 0] })));
    assert_eq!(
        ask(port, "X-Variant: other\r\n", body),
        (200, json!({ "predictions": [7.0, 7.0] }))
    );
    assert_eq!(ask(port, "X-Variant: none\r\n", body).0, 404);
    assert_eq!(ask(port, "", "{}").0, 400);
    let (status, answer) = ask(port, "X-Variant: other\r\n", r#"{"instances": [[500, 0]]}"#);
    assert_eq!(status, 500);
    assert_eq!(answer, json!({ "error": "ZeroDivisionError: division by zero" }));

    // Of three requests that a model answered one failed; five instances, none of them like the baseline.
    let done = mlpipe(folder.path(), &["serve", "leaving", "--check"]);
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(said.contains("leaving.watch saw 3 requests"), "{said}");
    assert!(!said.contains("failed"), "a third is below the bound: {said}");
    let status = mlpipe(folder.path(), &["status", "--format", "json"]);
    let record: Value = serde_json::from_slice(&status.stdout).expect("JSON");
    assert_eq!(record["monitors"][0]["last"]["requests"], 3);
    assert_eq!(record["endpoints"][0]["variants"][1]["name"], "other");

    // All requests since then are far from the baseline's 3 to 40 months.
    for _ in 0..3 {
        ask(
            port,
            "",
            r#"{"instances": [{"months": 500, "calls": 1}, {"months": 600, "calls": 1}]}"#,
        );
    }
    let done = mlpipe(folder.path(), &["serve", "leaving", "--check"]);
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(said.contains("leaving.watch saw 3 requests"), "{said}");
    assert!(
        said.contains("tells `alerts`: leaving: `months` drifted by 0.7"),
        "{said}"
    );
    let status = mlpipe(folder.path(), &["status"]);
    let said = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(said.contains("`months` drifted"), "the message is in the log: {said}");
}

#[test]
fn a_run_updates_what_is_served() {
    let folder = desk();
    let mut served = Served::start(folder.path());
    let body = r#"{"instances": [[3, 1]]}"#;
    assert_eq!(ask(served.port(), "", body).1, json!({ "predictions": [1] }));
    let swapped = PIPELINE
        .replace("weight: 1", "weight: x")
        .replace("weight: 0", "weight: 1")
        .replace("weight: x", "weight: 0");
    std::fs::write(folder.path().join("pipeline.yaml"), swapped).expect("a pipeline");
    assert!(mlpipe(folder.path(), &["run", "."]).status.success());
    let port = served.port();
    assert_eq!(ask(port, "", body).1, json!({ "predictions": [7.0] }));
}

#[test]
fn what_is_not_there_is_not_served() {
    let folder = desk();
    let done = mlpipe(folder.path(), &["serve", "leavin"]);
    assert_eq!(done.status.code(), Some(1));
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(said.contains("did you mean `leaving`?"), "{said}");
    std::fs::remove_file(folder.path().join("lake/model/serving.py")).expect("the model");
    let done = mlpipe(folder.path(), &["serve", "leaving", "--port", "0"]);
    assert_eq!(done.status.code(), Some(1));
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(
        said.contains("cannot load the model of leaving: the model folder has none of"),
        "{said}"
    );
}
