def handler(input):
    return {"score": round(1 - input["loss"], 3)}
