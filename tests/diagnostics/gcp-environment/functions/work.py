def handler(input, context):
    return input
