"""One warm Lambda sandbox: loads a handler and answers events. Usage: lambda_worker.py MODULE.FUNCTION

One line on stdin `{"id", "event"}` -> one on the first stdout `{"id", "payload": text}` or `{"id", "error": text}`, both texts JSON.
Follows the Lambda runtime interface client for Python: only `Exception` is reported, what else ends the process.
"""

import importlib
import json
import os
import sys
import traceback


class Context:
    """What handlers read of Lambda's context object."""

    def __init__(self, request_id: str, remaining: float) -> None:
        self.aws_request_id = request_id
        self.function_name = os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "")
        self.function_version = "$LATEST"
        self.memory_limit_in_mb = os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
        self.invoked_function_arn = ""
        self._remaining = remaining

    def get_remaining_time_in_millis(self) -> int:
        return int(self._remaining * 1000)


def load(handler: str):
    """The handler, or the error that Lambda would report."""
    module_name, _, function_name = handler.rpartition(".")
    try:
        module = importlib.import_module(module_name.replace("/", "."))
    except SyntaxError as error:
        return None, report(f"Syntax error in module '{module_name}': {error}", "Runtime.UserCodeSyntaxError", [])
    except ImportError as error:
        return None, report(f"Unable to import module '{module_name}': {error}", "Runtime.ImportModuleError", [])
    if not hasattr(module, function_name):
        return None, report(f"Handler '{function_name}' missing on module '{module_name}'", "Runtime.HandlerNotFound", [])
    return getattr(module, function_name), None


def report(message: str, error_type: str, stack: list[str], request_id: str = "") -> dict:
    return {"errorMessage": message, "errorType": error_type, "requestId": request_id, "stackTrace": stack}


def call(function, event, context: Context) -> tuple[str, str]:
    """("payload" | "error", JSON text)"""
    try:
        result = function(event, context)
    except Exception as error:
        stack = traceback.format_list(traceback.extract_tb(error.__traceback__)[1:])
        return "error", json.dumps(report(str(error), type(error).__name__, stack, context.aws_request_id))
    try:
        return "payload", json.dumps(result, ensure_ascii=False)
    except Exception as error:
        message = f"Unable to marshal response: {error}"
        return "error", json.dumps(report(message, "Runtime.MarshalError", [], context.aws_request_id))


def main() -> None:
    requests = os.fdopen(os.dup(0), encoding="utf-8")
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="surrogatepass")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    sys.path[0] = os.getcwd()
    function, load_error = load(sys.argv[1])
    for line in requests:
        request = json.loads(line)
        if load_error is not None:
            kind, text = "error", json.dumps({**load_error, "requestId": request["id"]})
        else:
            kind, text = call(function, request["event"], Context(request["id"], request["timeout"]))
        sys.stdout.flush()
        sys.stderr.flush()
        answers.write(json.dumps({"id": request["id"], kind: text}) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
