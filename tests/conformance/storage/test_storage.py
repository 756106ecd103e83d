"""Tests the views with the fsspec of the harness's `local` venv (or whichever runs this)."""

import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent


def python(code: str, buckets: dict[str, str] | None) -> str:
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(HERE), "PYTHONDONTWRITEBYTECODE": "1"}
    if buckets is not None:
        env["MLPIPE_TEST_BUCKETS"] = json.dumps(buckets)
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    return done.stdout + done.stderr


class Storage(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = tempfile.mkdtemp()
        (Path(self.folder) / "in").mkdir()
        (Path(self.folder) / "in" / "a.csv").write_text("x\n1\n")

    def test_reads_and_writes(self) -> None:
        for uri, scheme in (("s3://b", "s3"), ("gs://b", "gs"), ("abfs://b@acct.dfs.core.windows.net", "abfs")):
            code = (
                "import fsspec\n"
                f"print(repr(fsspec.open('{uri}/in/a.csv', 'rt').open().read()))\n"
                f"with fsspec.open('{uri}/out/deep/b.txt', 'w') as f: f.write('hé')\n"
                f"fs = fsspec.filesystem('{scheme}')\n"
                f"print(fs.ls('{uri}/', detail=False), fs.glob('{uri}/**/*.txt'), fs.exists('{uri}/no'))\n"
                f"fs.rm('{uri}/out/deep/b.txt'); print(fs.exists('{uri}/out'))\n"
                f"fs2, path = fsspec.core.url_to_fs('{uri}/in'); print(fs2.find(path))\n"
            )
            out = python(code, {uri: self.folder})
            self.assertEqual("'x\\n1\\n'\n['b/in', 'b/out'] ['b/out/deep/b.txt'] False\nFalse\n['b/in/a.csv']\n", out, uri)

    def test_no_such_bucket_and_no_way_out(self) -> None:
        for path in ("s3://other/a", "s3://b/../../etc/passwd"):
            self.assertIn("FileNotFoundError", python(f"import fsspec; fsspec.open('{path}').open()", {"s3://b": self.folder}))

    def test_silent_without_buckets_or_fsspec(self) -> None:
        self.assertEqual("ok\n", python("print('ok')", {}))
        self.assertEqual("ok\n", python("print('ok')", None))


if __name__ == "__main__":
    unittest.main()
