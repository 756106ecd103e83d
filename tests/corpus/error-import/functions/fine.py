def handler(input):
    return "fine"
