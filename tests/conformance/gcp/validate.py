"""validate.py DIR…: checks each DIR/main.tf.json against the Google provider's schema, and the connector calls of each workflow
against the discovery documents of their services. Prints each problem; exits 1 where there is one.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import check_terraform  # noqa: E402
from workflows import discovery  # noqa: E402


def main(folders: list[str]) -> int:
    """The exit code."""
    code = check_terraform.main(folders)
    for folder in folders:
        for workflow in sorted(Path(folder).rglob("workflow.yaml")):
            for problem in discovery.check(workflow.read_text(encoding="utf-8")):
                print(f"{workflow}: {problem}")
                code = code or 1
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
