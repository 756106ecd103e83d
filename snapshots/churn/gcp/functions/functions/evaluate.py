class NothingToTest(Exception):
    pass


def handler(input):
    """The area under the ROC curve: how often a customer who left scores higher than one who stayed."""
    pairs = list(zip(input["test"]["scores"], input["test"]["churned"]))
    left = [score for score, churned in pairs if churned]
    stayed = [score for score, churned in pairs if not churned]
    if not left or not stayed:
        raise NothingToTest(f"all {len(pairs)} customers of the test part are of one kind")
    wins = sum((a > b) + (a == b) / 2 for a in left for b in stayed)
    return {"auc": round(wins / (len(left) * len(stayed)), 4), "positives": len(left)}
