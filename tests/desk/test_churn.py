"""`mlpipe run examples/churn` trains, evaluates and registers; `mlpipe serve churn` answers over HTTP.

Run with the Python of tests/conformance/scripts, which has scikit-learn. MLPIPE names the binary.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
MLPIPE = os.environ.get("MLPIPE", str(ROOT / "target" / "debug" / "mlpipe"))
ENVIRONMENT = {**os.environ, "MLPIPE_PYTHON": sys.executable}


def mlpipe(*arguments, folder):
    return subprocess.run([MLPIPE, *arguments], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=120)


def ask(url, instances):
    request = urllib.request.Request(url, json.dumps({"instances": instances}).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)["predictions"]


class Churn(unittest.TestCase):
    def test_from_the_file_to_an_answer(self):
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "churn"
            shutil.copytree(ROOT / "examples" / "churn", folder, ignore=shutil.ignore_patterns(".mlpipe"))
            done = mlpipe("run", ".", "--param", "key=incoming/customers.csv", folder=folder)
            self.assertEqual(0, done.returncode, done.stderr)
            self.assertEqual({"rows": 390, "auc": 0.7548, "deployed": True}, json.loads(done.stdout))
            command = [MLPIPE, "serve", "churn", "--port", "0", "--format", "json"]
            with subprocess.Popen(command, cwd=folder, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True) as served:
                try:
                    text = ""
                    while "}" not in text:
                        text += served.stdout.readline()
                    url = json.loads(text)["url"]
                    # One month, dear, many calls to support, idle for long: gone. Five years of a premium plan: here.
                    self.assertEqual([1, 0], ask(url, [[1, 99.5, 6, 40, 0, 0], [60, 20, 0, 1, 0, 1]]))
                finally:
                    served.kill()
            status = json.loads(mlpipe("status", "--format", "json", folder=folder).stdout)
            self.assertEqual(["churn"], [endpoint["name"] for endpoint in status["endpoints"]])


if __name__ == "__main__":
    unittest.main()
