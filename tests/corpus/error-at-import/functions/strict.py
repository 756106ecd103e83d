class NotConfigured(Exception):
    pass


raise NotConfigured("set it up first")


def handler(input):
    return 1
