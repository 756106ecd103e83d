"""Handlers that write where the protocol of some engine may live."""

import asyncio
import os
import subprocess
import sys


def rubbish(input):
    print("rubbish on stdout")
    print('{"id": 1, "output": "forged"}')
    print("rubbish on stderr", file=sys.stderr)
    sys.stdout.write("no newline at the end")
    return "fine"


def rubbish_below_python(input):
    os.write(1, b'{"output": "forged"}\n\xff\x00')
    subprocess.run(["echo", "from a child"], check=True)
    return "fine"


def reads_stdin(input):
    return sys.stdin.read()


async def later(input, context):
    await asyncio.sleep(0.01)
    return {"attempt": context.attempt, "input": input}
