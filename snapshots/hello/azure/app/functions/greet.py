def handler(input):
    return {"greeting": "hello, world"}
