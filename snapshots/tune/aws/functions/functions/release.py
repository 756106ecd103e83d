def warm_up(input):
    asked = input["asked"] + 1
    return {"ready": asked >= 3, "asked": asked}


def publish(input, context):
    return {"version": f"depth-{input['depth']}"}
