# What a native module cannot do in C: run what is pending, or a function, and hand an exception over as a result.


def _guard(call, args):
    try:
        if call:  # a jump: here the interpreter looks for Ctrl-C and scheduled callbacks
            return call(*args)
    except BaseException as error:
        return error
