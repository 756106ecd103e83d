"""A node of a graph that says what it waited for."""


def node(input, context):
    """`c(a,b)` for the step c with the input [a, b]; `a` for a step without input."""
    return context.step + (f"({','.join(input)})" if input else "")
