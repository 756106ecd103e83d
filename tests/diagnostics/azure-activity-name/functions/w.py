def f(input):
    return input
