"""Endpoints: the subworkflow that makes and updates them, on the fake of Vertex AI; and the server that answers in their containers."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
sys.path.insert(0, str(HERE))

from workflows import Execution, Outcome, World, load  # noqa: E402
from workflows.serving import Endpoints  # noqa: E402

ENVIRONMENT = {"GOOGLE_CLOUD_PROJECT_ID": "test", "GOOGLE_CLOUD_LOCATION": "here"}
NAME = "projects/test/locations/here/endpoints/p-churn"
HELPERS = ("run_endpoint", "find_endpoint", "drop_models", "vertex", "vertex_get", "await_operation")
RESOURCES = {"machineSpec": {"machineType": "e2-standard-2"}, "minReplicaCount": 1, "maxReplicaCount": 1}


def _serve(endpoints: Endpoints, seconds: int = 3600, **variants: tuple[str, int]) -> Outcome:
    container = {"imageUri": "acme/x", "command": ["python3"], "args": ["-c"]}
    listed = [
        {"name": name, "model": model, "percent": percent, "container": container, "resources": RESOURCES}
        for name, (model, percent) in variants.items()
    ]
    endpoint = {"id": "p-churn", "name": "churn", "pipeline": "p", "variants": listed}
    call = {"call": "run_endpoint", "args": {"endpoint": endpoint, "step": "a", "seconds": seconds}, "result": "x"}
    all_helpers = yaml.safe_load((ROOT / "targets/gcp/helpers.yaml").read_text())
    source = {"main": {"steps": [{"a": call}, {"b": {"return": "${x}"}}]}, **{name: all_helpers[name] for name in HELPERS}}
    return Execution(load(json.dumps(source)), ENVIRONMENT, World(endpoints=endpoints)).run()


@pytest.fixture
def endpoints(tmp_path: Path) -> Endpoints:
    for name in ("old", "new"):
        (tmp_path / "b" / name).mkdir(parents=True)
        (tmp_path / "b" / name / "model.json").write_text("{}")
    return Endpoints(True, "p", tmp_path)


def test_an_update_leaves_nothing_of_what_was_before(endpoints: Endpoints) -> None:
    assert not _serve(endpoints, main=("gs://b/old", 100)).failed
    outcome = _serve(endpoints, main=("gs://b/old/", 90), canary=("gs://b/new", 10))
    assert not outcome.failed, outcome.error
    endpoint = endpoints.endpoints[NAME]
    split = {endpoint.deployed[number]["displayName"]: percent for number, percent in endpoint.split.items()}
    assert split == {"main": 90, "canary": 10}
    assert len(endpoint.deployed) == len(endpoints.models) == 2
    assert outcome.result == {"endpoint_name": "p-churn", "url": f"https://here-aiplatform.googleapis.com/v1/{NAME}:predict"}


def test_what_served_goes_on_where_an_update_fails(endpoints: Endpoints) -> None:
    _serve(endpoints, main=("gs://b/old", 100))
    before = dict(endpoints.endpoints[NAME].split)
    outcome = _serve(endpoints, main=("gs://b/new", 50), canary=("gs://b/none", 50))
    assert outcome.error == {"name": "EndpointFailed", "message": "the endpoint `churn` did not come into service", "step": "a"}
    assert endpoints.endpoints[NAME].split == before
    assert len(endpoints.endpoints[NAME].deployed) == len(endpoints.models) == 1


def test_late(endpoints: Endpoints) -> None:
    outcome = _serve(endpoints, seconds=1, main=("gs://b/old", 100))
    assert outcome.error["name"] == "timeout"


def test_without_the_role(endpoints: Endpoints) -> None:
    endpoints.allowed = False
    assert _serve(endpoints, main=("gs://b/old", 100)).failed


class _Google(BaseHTTPRequestHandler):
    """The metadata server, and a bucket `b` with the objects of `files`, one a page."""

    files: dict[str, bytes] = {}

    def do_GET(self) -> None:
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        if url.path.endswith("/token"):
            known, body = self.headers["Metadata-Flavor"] == "Google", json.dumps({"access_token": "t"}).encode()
        elif url.path == "/storage/v1/b/b/o":
            names = [name for name in sorted(self.files) if name.startswith(query["prefix"])]
            at = int(query.get("pageToken", "0"))
            more = {"nextPageToken": str(at + 1)} if at + 1 < len(names) else {}
            known, body = self._token(), json.dumps({"items": [{"name": names[at]}], **more}).encode()
        else:
            name = urllib.parse.unquote(url.path.removeprefix("/storage/v1/b/b/o/"))
            known, body = self._token() and query == {"alt": "media"}, self.files[name]
        self.send_response(200 if known else 403)
        self.end_headers()
        self.wfile.write(body)

    def _token(self) -> bool:
        return self.headers["Authorization"] == "Bearer t"

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    """The container's server, with a model that multiplies by two."""
    code = "def load(folder):\n    return open(folder + '/more/by').read()\n\n\ndef predict(model, instances):\n    return [x * int(model) for x in instances]\n"
    _Google.files = {"m/1/serving.py": code.encode(), "m/1/more/by": b"2", "m/1/more/": b"", "m/10": b""}
    google = ThreadingHTTPServer(("127.0.0.1", 0), _Google)
    threading.Thread(target=google.serve_forever, daemon=True).start()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = f"127.0.0.1:{google.server_port}"
    texts = [(ROOT / path).read_text() for path in ("targets/gcp/server.py", "targets/adapter/serving.py")]
    environment = {
        **os.environ,
        "GCE_METADATA_HOST": address,
        "STORAGE_EMULATOR_HOST": f"http://{address}",
        "AIP_STORAGE_URI": "gs://b/m/1",
        "AIP_HTTP_PORT": str(port),
        "AIP_HEALTH_ROUTE": "/ping",
        "AIP_PREDICT_ROUTE": "/invocations",
    }
    process = subprocess.Popen([sys.executable, "-u", "-c", *texts], env=environment)
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()
        google.shutdown()


def _post(url: str, body: bytes) -> tuple[int, Any]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, method="POST")) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_the_server_answers(server: str) -> None:
    with urllib.request.urlopen(f"{server}/ping") as answer:
        assert answer.status == 200
    assert _post(f"{server}/invocations", b'{"instances": [1, 2]}') == (200, {"predictions": [2, 4]})
    assert _post(f"{server}/invocations", b'{"instances": [null]}')[0] == 500
    assert _post(f"{server}/invocations", b"[]") == (400, {"error": 'send {"instances": [...]}'})
    assert _post(f"{server}/other", b"{}")[0] == 404
