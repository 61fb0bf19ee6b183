# What a native module cannot do in C: run what is pending, or a function, and hand an exception over as a result.


def _guard(call, args):
    try:
        try:
            if call:  # a jump: here the interpreter looks for Ctrl-C and scheduled callbacks
                return call(*args)
            return None  # behind the block it would look once more
        except BaseException as error:  # so it does where it compares
            return error
    except:  # noqa: E722 (a second Ctrl-C meanwhile; nothing is compared)
        return KeyboardInterrupt
