"""A warm worker of `mlpipe run`: says that it is ready, then answers one JSON line on stdout for each JSON line on stdin.
What a request printed has left stderr, with END_OF_LOG behind it, before its answer is given.

Usage: python worker.py SOURCE_FOLDER, with mlpipe_core.py beside this file.
"""

import contextlib
import json
import os
import sys

END_OF_LOG = b"\0\n"


def main(source):
    requests, answers = take_over_streams()
    sys.dont_write_bytecode = True
    from mlpipe_core import invoke

    sys.path.insert(0, source)
    answers.write('{"ready":true}\n')
    answers.flush()
    for line in requests:
        request = json.loads(line)
        answer = {"id": request["id"], **invoke(request["envelope"], read_secret)}
        with contextlib.suppress(Exception):  # a handler may have closed or replaced it
            sys.stdout.flush()
            sys.stderr.flush()
        with contextlib.suppress(OSError):  # a handler may have closed the file descriptor
            os.write(2, END_OF_LOG)
        answers.write(json.dumps(answer, ensure_ascii=False, separators=(",", ":")) + "\n")
        answers.flush()


def take_over_streams():
    """Keeps stdin and stdout for the protocol: handlers read nothing, and what they print goes to stderr."""
    requests = open(os.dup(0), encoding="utf-8")
    answers = open(os.dup(1), "w", encoding="utf-8", newline="\n")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True)
    return requests, answers


class SecretNotFound(LookupError):
    pass


def read_secret(name):
    variable = "MLPIPE_SECRET_" + name.upper().replace("-", "_")
    try:
        return os.environ[variable]
    except KeyError:
        raise SecretNotFound(f"secret `{name}` has no value: set {variable}") from None


if __name__ == "__main__":
    main(os.path.abspath(sys.argv[1]))
