"""check_terraform.py DIR…: checks each DIR/main.tf.json against the Google provider's schema.

The schema is read from the npm package @cdktf/provider-google (pinned in package.json). Prints each
problem with its path; exits 1 where there is one.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from schema import Provider, check_folder  # noqa: E402

PACKAGE = (
    Path(__file__).resolve().parents[3]
    / "target/conformance/gcp/node_modules/@cdktf/provider-google"
)


def main(folders: list[str]) -> int:
    """The exit code."""
    if not folders:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        provider = Provider(PACKAGE)
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
        return 1
    problems = [problem for folder in folders for problem in check_folder(Path(folder), provider)]
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
