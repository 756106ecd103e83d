"""Says why no model was published."""


def handler(input):
    message = f"not published: AUC {input['auc']} is below {input['min_auc']}"
    print(message)
    return {"message": message}
