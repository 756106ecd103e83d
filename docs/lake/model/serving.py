"""A model that serves itself: whether a customer of so many months is likely to leave."""


def load(folder):
    return 12


def predict(model, instances):
    return [int(instance[0] < model) for instance in instances]
