import helper


def echo(input):
    return helper.mark(input)
