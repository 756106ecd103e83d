"""What a handler sees of its run."""

import time


def about(input, context):
    return {"run_id": context.run_id, "step": context.step, "attempt": context.attempt}


def seconds_left(input, context):
    return {"enough": input["at_least"] < context.deadline - time.time() <= input["at_most"]}


def keyword_only(input, *, context):
    return context.step


def no_secrets(input, context):
    return list(context.secrets)
