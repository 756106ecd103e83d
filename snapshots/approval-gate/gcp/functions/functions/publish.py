def handler(input):
    print(f"{input['model']} is published by {input['by']}")
    return {"version": input["model"]}
