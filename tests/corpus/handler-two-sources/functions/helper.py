def mark(value):
    return {"own": value}
