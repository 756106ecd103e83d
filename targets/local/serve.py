"""Serves an endpoint of `mlpipe serve` on loopback. Usage: python serve.py ENDPOINT CAPTURED PORT, with mlpipe_serving.py beside this file.

ENDPOINT is the endpoint's record. Each request is added to CAPTURED, a line of JSON, where the record says so.
"""

import json
import os
import random
import sys
import threading
import time
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import mlpipe_serving

MAX_BODY = 32 * 1024 * 1024


class Endpoint:
    def __init__(self, record, captured):
        self.variants = {}
        for variant in record["variants"]:
            model = mlpipe_serving.load(variant["model"].removeprefix("file://"))
            self.variants[variant["name"]] = (variant["weight"], model)
        self.captured = captured if record["captured"] else None
        self.lock = threading.Lock()

    def choose(self, wanted):
        if wanted is not None:
            return wanted if wanted in self.variants else None
        names = list(self.variants)
        return random.choices(names, [self.variants[name][0] for name in names])[0]

    def answer(self, body, wanted):
        """Status, JSON value, variant."""
        began = time.monotonic()
        variant = self.choose(wanted)
        if variant is None:
            return 404, {"error": f"no variant {wanted}"}, None
        instances = None
        try:
            instances = json.loads(body)["instances"]
            if not isinstance(instances, list):
                raise TypeError
        except (ValueError, TypeError, KeyError):
            status, value = 400, {"error": 'send {"instances": [...]}'}
        else:
            status, value = self.predict(variant, instances)
        if self.captured and status != 400:
            self.capture(variant, instances, status, value, time.monotonic() - began)
        return status, value, variant

    def predict(self, variant, instances):
        try:
            return 200, {"predictions": mlpipe_serving.predict(self.variants[variant][1], instances)}
        except Exception as error:  # the model's own trouble must not end the server
            traceback.print_exc()
            return 500, {"error": f"{type(error).__name__}: {error}"}

    def capture(self, variant, instances, status, value, seconds):
        line = {
            "time": time.time(),
            "variant": variant,
            "instances": instances,
            "predictions": value.get("predictions"),
            "status": status,
            "ms": round(seconds * 1000, 3),
        }
        with self.lock, open(self.captured, "a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


class Requests(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path in ("/ping", "/health"):
            self.say(200, {"status": "healthy"})
        else:
            self.say(404, {"error": "POST to /invocations"})

    def do_POST(self):
        length = int(self.headers.get("Content-Length") or 0)
        if length > MAX_BODY:
            self.close_connection = True
            return self.say(413, {"error": "the body is too large"})
        body = self.rfile.read(length)
        if self.path not in ("/invocations", "/predict"):
            return self.say(404, {"error": "POST to /invocations"})
        status, value, variant = self.server.endpoint.answer(body, self.headers.get("X-Variant"))
        return self.say(status, value, variant)

    def say(self, status, value, variant=None):
        text = json.dumps(value, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        if variant:
            self.send_header("X-Variant", variant)
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, form, *values):
        print(form % values, flush=True)


def end_with_parent():
    """Whoever started this holds the other end of stdin."""
    sys.stdin.buffer.read()
    os._exit(0)


def main(record, captured, port):
    with open(record, encoding="utf-8") as file:
        record = json.load(file)
    try:
        endpoint = Endpoint(record, captured)
    except Exception as error:  # a model can fail in any way
        traceback.print_exc()
        sys.exit(f"cannot load the model of {record['name']}: {error}")
    try:
        server = ThreadingHTTPServer(("127.0.0.1", int(port)), Requests)
    except OSError as error:
        sys.exit(f"cannot listen on port {port}: {error.strerror}")
    threading.Thread(target=end_with_parent, daemon=True).start()
    server.endpoint = endpoint
    print(f"ready {server.server_port}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main(*sys.argv[1:])
