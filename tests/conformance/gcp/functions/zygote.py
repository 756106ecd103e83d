"""Forks one server process for each function instance, with the framework already imported.

One JSON line asks for an instance, one answers with its process id and port. Every instance is a
process of its own, with the function's own environment and folder, as on Cloud Run.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import Any

import flask  # noqa: F401 - imported before the forks
import functions_framework
from werkzeug.serving import WSGIRequestHandler, make_server


class _Handler(WSGIRequestHandler):
    """Says nothing on success."""

    def log_request(self, code: Any = "-", size: Any = "-") -> None:
        pass


def serve(request: dict[str, Any], listener: socket.socket) -> None:
    """The life of an instance: loads the source and answers requests until it is killed."""
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["source"])
    if storage := request["storage"]:
        sys.path.insert(0, storage)
        sys.modules.pop("sitecustomize", None)
        if (Path(storage) / "sitecustomize.py").exists():
            __import__("sitecustomize")
    sys.path.insert(0, request["source"])
    source = str(Path(request["source"]) / "main.py")
    app = functions_framework.create_app(request["entry_point"], source, "http")
    make_server(
        "127.0.0.1", 0, app, threaded=True, request_handler=_Handler, fd=listener.fileno()
    ).serve_forever()


def start(request: dict[str, Any]) -> dict[str, int]:
    """Forks an instance that listens already."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    port = listener.getsockname()[1]
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        try:
            serve(request, listener)
        except BaseException:  # noqa: BLE001 - the process ends with it
            traceback.print_exc()
        finally:
            os._exit(1)
    listener.close()
    return {"pid": pid, "port": port}


def main() -> None:
    """Answers requests until standard input ends."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        print(json.dumps(start(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
