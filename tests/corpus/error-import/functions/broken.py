import no_such_module_anywhere


def handler(input):
    return 1
