"""In place of pip in what managed services run: the Python there has what it needs. What is asked of it has to make sense."""

import re
import sys

REQUIREMENT = re.compile(r"[A-Za-z][A-Za-z0-9._-]*([=<>~!]=?[0-9][0-9.]*(\.\*)?)?")

if __name__ == "__main__":
    install, *words = sys.argv[1:]
    if install != "install" or not words:
        sys.exit(f"no command of pip here: {sys.argv[1:]}")
    if words[0] == "-r":
        with open(words[1], encoding="utf-8") as file:
            words = [line.partition("#")[0].strip() for line in file]
    for word in filter(None, words):
        if not REQUIREMENT.fullmatch(word):
            sys.exit(f"no requirement: {word}")
