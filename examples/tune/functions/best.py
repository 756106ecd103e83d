def handler(input):
    return max(input, key=lambda trial: (trial["auc"], -trial["depth"]))
