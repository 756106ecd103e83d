class Diverged(Exception):
    """The loss grew without end."""


def handler(input):
    depth = input["depth"]
    if depth > 12:
        raise Diverged(f"depth {depth}")
    return {"depth": depth, "auc": round(0.9 - abs(depth - 6) * 0.02, 3)}
