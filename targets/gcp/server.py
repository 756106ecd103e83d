"""Serves a model on Vertex AI. Usage: python3 -c THIS SERVING, where SERVING is the text of mlpipe_serving.

Variables and routes: Vertex AI docs, "Custom container requirements for prediction". The model is loaded before anything listens: an instance
whose model cannot be loaded does not come into service.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import traceback
import types
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

METADATA = "http://" + os.environ.get("GCE_METADATA_HOST", "metadata.google.internal")
STORAGE = os.environ.get("STORAGE_EMULATOR_HOST", "https://storage.googleapis.com")


def install(requirements):
    if requirements:
        subprocess.run([sys.executable, "-m", "pip", "install", *requirements], check=True)


def module(text):
    made = types.ModuleType("mlpipe_serving")
    exec(compile(text, "mlpipe_serving.py", "exec"), vars(made))
    return made


def token():
    path = "/computeMetadata/v1/instance/service-accounts/default/token"
    request = urllib.request.Request(METADATA + path, headers={"Metadata-Flavor": "Google"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)["access_token"]


def read(path):
    request = urllib.request.Request(STORAGE + path, headers={"Authorization": f"Bearer {token()}"})
    return urllib.request.urlopen(request, timeout=300)


def names(bucket, prefix):
    page = ""
    while page is not None:
        query = urllib.parse.urlencode({"prefix": prefix, **({"pageToken": page} if page else {})})
        with read(f"/storage/v1/b/{bucket}/o?{query}") as answer:
            found = json.load(answer)
        yield from (item["name"] for item in found.get("items", []))
        page = found.get("nextPageToken")


def download(uri):
    """The folder with what is below a gs:// URI."""
    bucket, _, prefix = uri.removeprefix("gs://").rstrip("/").partition("/")
    prefix = prefix and f"{prefix}/"
    folder = tempfile.mkdtemp(prefix="mlpipe-")
    for name in names(bucket, prefix):
        path = os.path.join(folder, name.removeprefix(prefix))
        if name.endswith("/"):
            continue
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with read(f"/storage/v1/b/{bucket}/o/{urllib.parse.quote(name, safe='')}?alt=media") as source, open(path, "wb") as file:
            shutil.copyfileobj(source, file)
    return folder


class Requests(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        known = self.path == os.environ.get("AIP_HEALTH_ROUTE", "/ping")
        self.say(200 if known else 404, {})

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path != os.environ.get("AIP_PREDICT_ROUTE", "/invocations"):
            return self.say(404, {})
        try:
            instances = json.loads(body)["instances"]
            if not isinstance(instances, list):
                raise TypeError
        except (ValueError, TypeError, KeyError):
            return self.say(400, {"error": 'send {"instances": [...]}'})
        try:
            return self.say(200, {"predictions": self.server.predict(instances)})
        except Exception as error:  # the model's own trouble must not end the server
            traceback.print_exc()
            return self.say(500, {"error": f"{type(error).__name__}: {error}"})

    def say(self, status, value):
        text = json.dumps(value, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, form, *values):
        pass


def main(serving):
    install(os.environ.get("MLPIPE_REQUIREMENTS", "").split())
    serving = module(serving)
    model = serving.load(download(os.environ["AIP_STORAGE_URI"]))
    server = ThreadingHTTPServer(("", int(os.environ.get("AIP_HTTP_PORT", "8080"))), Requests)
    server.predict = lambda instances: serving.predict(model, instances)
    server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1])
