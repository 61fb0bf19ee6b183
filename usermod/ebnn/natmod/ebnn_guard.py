# What a native module cannot do in C: catch exceptions, and run what is pending.


def _guard(call, arg):
    # The result or the exception. Nothing runs before the call, whose caller has addresses of what may move.
    try:
        try:
            return call(arg)
        except BaseException as error:  # where it compares, the interpreter looks for Ctrl-C once more
            return error
    except:  # noqa: E722 (nothing is compared)
        return KeyboardInterrupt


def _pending():
    if _guard:  # a jump: here the interpreter looks for Ctrl-C and scheduled callbacks
        pass
