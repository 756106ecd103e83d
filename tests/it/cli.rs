//! The command line as a user meets it: exit codes, what is written and what is left alone, runs and their failures.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

const PIPELINE: &str = r#"
mlpipe: v1
name: demo
params:
  n: { type: integer, default: 2 }
steps:
  first:
    function: { handler: work.first }
    input: { n: "${{ params.n }}" }
    output: { n: integer }
  second:
    function: { handler: work.second }
    input: ${{ steps.first.output.n }}
outputs:
  n: ${{ steps.first.output.n }}
"#;

const WORK: &str = "
def first(input, context):
    return {'n': input['n'] * 2}


def second(input):
    print('second saw', input)
    return input
";

/// A folder with a pipeline and its functions.
pub struct Project {
    folder: TempDir,
}

impl Project {
    pub fn new(pipeline: &str, work: &str) -> Self {
        let project = Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
        };
        project.write("pipeline.yaml", pipeline);
        project.write("functions/work.py", work);
        project
    }

    fn demo() -> Self {
        Self::new(PIPELINE, WORK)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect(name)
    }

    pub fn mlpipe(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_mlpipe"))
            .current_dir(self.folder.path())
            .args(arguments)
            .output()
            .expect("mlpipe runs")
    }

    /// Runs the pipeline and gives its record; checks the exit code.
    pub fn outcome(&self, arguments: &[&str], exit: i32) -> Value {
        let mut all = vec!["run", "pipeline.yaml", "--no-wait", "--format", "json"];
        all.extend(arguments);
        let output = self.mlpipe(&all);
        assert_eq!(code(&output), exit, "{}", stderr(&output));
        serde_json::from_str(&stdout(&output)).expect("JSON on stdout")
    }
}

pub fn code(output: &Output) -> i32 {
    output.status.code().expect("an exit code")
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn single(handler: &str) -> String {
    format!("mlpipe: v1\nname: demo\nsteps:\n  a: {{ function: {{ handler: work.{handler}, timeout: 2s }} }}\n")
}

pub fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(folder).expect("below").to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    found
}

#[test]
fn run_prints_outputs_on_stdout_and_progress_on_stderr() {
    let project = Project::demo();
    let output = project.mlpipe(&["run", "pipeline.yaml", "--param", "n=21"]);
    assert_eq!(code(&output), 0);
    assert_eq!(
        serde_json::from_str::<Value>(&stdout(&output)).expect("JSON"),
        json!({ "n": 42 })
    );
    let progress = stderr(&output);
    for line in [
        "first   running",
        "first   succeeded",
        "second  | second saw 42",
        "second  succeeded",
    ] {
        assert!(progress.contains(line), "no `{line}` in\n{progress}");
    }
}

#[test]
fn params_come_from_a_file_and_from_arguments() {
    let project = Project::demo();
    project.write("params.json", r#"{"n": 1}"#);
    assert_eq!(
        project.outcome(&["--params", "params.json"], 0)["outputs"],
        json!({ "n": 2 })
    );
    assert_eq!(
        project.outcome(&["--params", "params.json", "--param", "n=5"], 0)["outputs"],
        json!({ "n": 10 })
    );
}

#[test]
fn params_that_do_not_fit_are_the_users_mistake() {
    let project = Project::demo();
    let outcome = project.outcome(&["--param", "n=many"], 1);
    assert_eq!(
        outcome["error"],
        json!({ "name": "ParamMismatch", "message": "param `n` must be integer", "step": "params" })
    );
    let output = project.mlpipe(&["run", "pipeline.yaml", "--param", "n"]);
    assert_eq!(code(&output), 1);
    assert!(
        stderr(&output).contains("`--param n` is not `NAME=VALUE`"),
        "{}",
        stderr(&output)
    );
}

/// What a handler does, the error that it is, and a line of its stderr that the user must see.
#[test]
fn handlers_fail_without_taking_the_engine_down() {
    let cases = [
        (
            "def a(input):\n    raise ValueError('bad rows')\n",
            "ValueError",
            "bad rows",
            "ValueError: bad rows",
        ),
        (
            "import sys\ndef a(input):\n    sys.exit('gone')\n",
            "SystemExit",
            "gone",
            "",
        ),
        (
            "import os, sys\ndef a(input):\n    print('last words', file=sys.stderr, flush=True)\n    os._exit(3)\n",
            "WorkerCrashed",
            "the function ended without an answer",
            "last words",
        ),
        (
            "import os\ndef a(input):\n    os.write(1, b'rubbish on stdout\\n')\n    return {1, 2}\n",
            "InvalidOutput",
            "output is not JSON",
            "rubbish on stdout",
        ),
        (
            "def a(input):\n    return 'x' * 300_000\n",
            "PayloadTooLarge",
            "output is larger than 256 KiB",
            "",
        ),
        (
            "import time\ndef a(input):\n    time.sleep(30)\n",
            "timeout",
            "the attempt ran longer than its timeout",
            "",
        ),
    ];
    for (work, name, message, line) in cases {
        let project = Project::new(&single("a"), work);
        let output = project.mlpipe(&["run", "pipeline.yaml", "--no-wait", "--format", "json"]);
        assert_eq!(code(&output), 3, "{name}: {}", stderr(&output));
        let outcome: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
        assert_eq!(outcome["error"]["name"], name);
        assert_eq!(outcome["error"]["step"], "a");
        let said = outcome["error"]["message"].as_str().expect("a message");
        assert!(said.contains(message), "{name}: {said}");
        assert!(
            stderr(&output).contains(line),
            "{name}: no `{line}` in\n{}",
            stderr(&output)
        );
    }
}

#[test]
fn secrets_reach_no_log_output_or_error() {
    let head = "mlpipe: v1\nname: demo\nsecrets: { api_key: {} }\nsteps:\n  a: { function: { handler: work.a } }\n";
    let read = "def a(input, context):\n    key = context.secrets['api_key']\n    print('key is', key)\n";
    for (last, exit) in [
        ("    return [key]\n", 0),
        ("    raise ValueError('bad key ' + key)\n", 3),
    ] {
        let project = Project::new(
            &format!("{head}outputs: {{ key: \"${{{{ steps.a.output }}}}\" }}\n"),
            &format!("{read}{last}"),
        );
        for format in ["text", "json"] {
            let output = Command::new(env!("CARGO_BIN_EXE_mlpipe"))
                .current_dir(project.folder.path())
                .args(["run", "pipeline.yaml", "--format", format])
                .env("MLPIPE_SECRET_API_KEY", "s3cr3t-value")
                .output()
                .expect("mlpipe runs");
            assert_eq!(code(&output), exit, "{}", stderr(&output));
            assert!(stderr(&output).contains("key is ***"), "{}", stderr(&output));
            assert!(!(stdout(&output) + &stderr(&output)).contains("s3cr3t-value"));
        }
    }
}

#[test]
fn compile_writes_what_check_then_accepts() {
    let project = Project::demo();
    assert_eq!(
        code(&project.mlpipe(&["compile", "pipeline.yaml", "--check"])),
        1,
        "nothing is on disk yet"
    );
    assert_eq!(code(&project.mlpipe(&["compile", "pipeline.yaml"])), 0);
    let written = files(&project.path("build"));
    for file in [
        "aws/template.yaml",
        "aws/workflow.asl.json",
        "aws/functions/functions/work.py",
        "gcp/main.tf.json",
        "gcp/workflow.yaml",
        "azure/main.json",
        "azure/app/function_app.py",
        "azure/app/host.json",
    ] {
        assert!(written.iter().any(|path| path == file), "no {file} in {written:?}");
    }
    assert_eq!(code(&project.mlpipe(&["compile", "pipeline.yaml", "--check"])), 0);

    project.write("functions/work.py", &WORK.replace("* 2", "* 3"));
    let output = project.mlpipe(&["compile", "pipeline.yaml", "--target", "aws", "--check"]);
    assert_eq!(code(&output), 1);
    let diff = stdout(&output);
    assert!(diff.contains("--- build/aws/functions/functions/work.py"), "{diff}");
    assert!(
        diff.contains("-    return {'n': input['n'] * 2}\n+    return {'n': input['n'] * 3}"),
        "{diff}"
    );
}

#[test]
fn compile_leaves_files_of_the_users_alone() {
    let project = Project::demo();
    project.write("build/aws/README.md", "mine\n");
    project.write("build/aws/notes.txt", "mine too\n");
    let output = project.mlpipe(&["compile", "pipeline.yaml", "--target", "aws"]);
    assert_eq!(code(&output), 1);
    assert!(stderr(&output).contains("build/aws/README.md"), "{}", stderr(&output));
    assert_eq!(
        files(&project.path("build/aws")),
        ["README.md", "notes.txt"],
        "nothing is written beside it"
    );
    assert_eq!(
        code(&project.mlpipe(&["compile", "pipeline.yaml", "--target", "aws", "--force"])),
        0
    );
    assert_ne!(project.read("build/aws/README.md"), "mine\n");
    assert_eq!(project.read("build/aws/notes.txt"), "mine too\n");
}

#[test]
fn compile_removes_what_it_wrote_before_and_nothing_else() {
    let project = Project::demo();
    project.write("functions/extra/helper.py", "X = 1\n");
    assert_eq!(
        code(&project.mlpipe(&["compile", "pipeline.yaml", "--target", "aws"])),
        0
    );
    project.write("build/aws/functions/mine.txt", "mine\n");
    assert!(project.path("build/aws/functions/functions/extra/helper.py").is_file());
    std::fs::remove_dir_all(project.path("functions/extra")).expect("removed");
    assert_eq!(
        code(&project.mlpipe(&["compile", "pipeline.yaml", "--target", "aws"])),
        0
    );
    assert!(!project.path("build/aws/functions/functions/extra").exists());
    assert_eq!(project.read("build/aws/functions/mine.txt"), "mine\n");
}

#[test]
fn compile_prints_one_file() {
    let project = Project::demo();
    let output = project.mlpipe(&["compile", "pipeline.yaml", "--stdout", "workflow.asl.json"]);
    assert_eq!(code(&output), 0);
    let definition: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    assert_eq!(definition["QueryLanguage"], "JSONata");
    assert!(!project.path("build").exists());
    assert_eq!(
        code(&project.mlpipe(&["compile", "pipeline.yaml", "--stdout", "README.md"])),
        2,
        "three targets have one"
    );
    assert_eq!(
        code(&project.mlpipe(&["compile", "pipeline.yaml", "--stdout", "aws/README.md"])),
        0
    );
}

#[test]
fn the_same_bytes_come_out_twice() {
    let project = Project::demo();
    let compile = |out: &str| assert_eq!(code(&project.mlpipe(&["compile", "pipeline.yaml", "-o", out])), 0);
    compile("one");
    compile("two");
    let names = files(&project.path("one"));
    assert_eq!(names, files(&project.path("two")));
    for name in names {
        assert_eq!(
            project.read(&format!("one/{name}")),
            project.read(&format!("two/{name}")),
            "{name}"
        );
    }
}

#[test]
fn a_chain_of_functions_is_as_many_states() {
    let project = Project::demo();
    let chain = "mlpipe: v1\nname: chain\nsteps:\n  a: { function: { handler: work.second } }\n  b: { function: { handler: work.second }, input: \"${{ steps.a.output }}\" }\n  c: { function: { handler: work.second }, input: \"${{ steps.b.output }}\" }\n";
    project.write("pipeline.yaml", chain);
    let output = project.mlpipe(&[
        "compile",
        "pipeline.yaml",
        "--target",
        "aws",
        "--stdout",
        "workflow.asl.json",
    ]);
    let definition: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    let mut passed = Vec::new();
    let mut state = definition["StartAt"].as_str();
    while let Some(name) = state {
        passed.push(name.to_owned());
        state = definition["States"][name]["Next"].as_str();
    }
    assert_eq!(passed, ["a", "b", "c"]);
}

#[test]
fn problems_come_as_data_too() {
    let project = Project::demo();
    project.write(
        "pipeline.yaml",
        &PIPELINE
            .replace("work.second", "work.secnd")
            .replace("params.n }", "params.m }"),
    );
    let output = project.mlpipe(&["validate", "pipeline.yaml", "--format", "json"]);
    assert_eq!(code(&output), 1);
    let report: Value = serde_json::from_str(&stdout(&output)).expect("JSON");
    let problems = report["problems"].as_array().expect("a list");
    assert_eq!(problems.len(), 2, "{report:#}");
    assert_eq!(problems[0]["labels"][0]["line"], 9);
    assert_eq!(problems[1]["code"], "MLP0603");
    assert_eq!(problems[1]["help"], "did you mean `work.second`?");
}

#[test]
fn the_small_commands_work() {
    let project = Project::demo();
    let valid = project.mlpipe(&["validate", "pipeline.yaml"]);
    assert_eq!(
        stdout(&valid),
        "pipeline.yaml is valid: 2 steps, checked for aws, gcp, azure\n"
    );
    let mermaid = project.mlpipe(&["graph", "pipeline.yaml"]);
    assert!(
        stdout(&mermaid).contains("step_first -.-> step_second"),
        "{}",
        stdout(&mermaid)
    );
    let dot = project.mlpipe(&["graph", "pipeline.yaml", "--syntax", "dot"]);
    assert!(stdout(&dot).contains("\"first\" -> \"second\""), "{}", stdout(&dot));
    let nested = Project::demo();
    nested.write(
        "pipeline.yaml",
        "mlpipe: v1\nname: n\nsteps:\n  box: { steps: { in-side: { wait: { duration: 1s } } } }\n  \
         last: { needs: [box], fail: { error: E, message: m }, catch: [{ do: { wait: { duration: 1s } } }] }\n",
    );
    let mermaid = stdout(&nested.mlpipe(&["graph", "pipeline.yaml"]));
    assert_eq!(
        mermaid,
        "flowchart TD\n    subgraph step_box[\"box\"]\n        step_box_in_side([\"in-side\"])\n    end\n    \
         step_last[[\"last\"]]\n    step_box --> step_last\n    step_last -. catch .-> step_last_do[\"last.do\"]\n"
    );
    let page = project.mlpipe(&["explain", "mlp0401"]);
    assert_eq!(code(&page), 0, "{}", stderr(&page));
    assert!(stdout(&page).starts_with("MLP0401: "));
    assert_eq!(code(&project.mlpipe(&["explain", "MLP9999"])), 2);
    assert_eq!(code(&project.mlpipe(&["completions", "bash"])), 0);
    assert_eq!(code(&project.mlpipe(&["validate", "missing.yaml"])), 1);
    assert_eq!(code(&project.mlpipe(&["validat", "pipeline.yaml"])), 2);
}

#[test]
fn compile_says_what_steps_run_on() {
    let pipeline = "
mlpipe: v1
name: demo
steps:
  asked: { job: { image: acme/prepare, compute: { cpu: 2, memory: 4GB } } }
  named: { job: { image: acme/prepare, instance: { aws: 4cpu-16gb, gcp: 4cpu-16gb } } }
";
    let project = Project::new(pipeline, WORK);
    let done = project.mlpipe(&["compile", "pipeline.yaml", "--target", "aws", "--verbose", "-o", "out"]);
    let said = stderr(&done);
    assert!(
        said.contains("aws: asked runs on 1 `2cpu-4gb` (2 CPUs, 4 GB, $"),
        "{said}"
    );
    assert!(
        said.contains("the smallest of AWS Batch on Fargate for `{ cpu: 2, memory: 4GB }`"),
        "{said}"
    );
    assert!(said.contains("aws: named runs on 1 `4cpu-16gb`"), "{said}");
    assert!(said.contains("an hour each): the file names it"), "{said}");
    let quiet = project.mlpipe(&["compile", "pipeline.yaml", "--target", "aws", "-o", "other"]);
    assert!(!stderr(&quiet).contains("runs on"));
}
