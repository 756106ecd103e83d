"""The area under the ROC curve over the customers held back."""

import model


def handler(input):
    fitted = model.load(input["model"])
    _, rows, labels = model.read_rows(input["data"])
    scores = [round(model.predict(fitted, row), 6) for row in rows]
    return {"auc": round(auc(scores, labels), 6), "rows": len(rows)}


def auc(scores, labels):
    """How often one who churned scores above one who stayed; a tie counts half."""
    churned = [score for score, label in zip(scores, labels) if label == 1]
    stayed = [score for score, label in zip(scores, labels) if label == 0]
    wins = sum((a > b) + 0.5 * (a == b) for a in churned for b in stayed)
    return wins / (len(churned) * len(stayed))
