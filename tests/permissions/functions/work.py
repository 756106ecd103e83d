def handler(input):
    return input
