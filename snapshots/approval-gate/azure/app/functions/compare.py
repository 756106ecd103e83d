CLEAR = 0.05


def handler(input):
    gain = round(input["candidate"] - input["current"], 3)
    return {"gain": gain, "clear": gain >= CLEAR}
