# The serial REPL of a board (raw, raw-paste and friendly), spoken on stdin and stdout by MicroPython's unix
# port, which has none of its own: so that one harness serves it and the boards. Run by MicroPython:
#     micropython unix_repl.py
# The line must be raw (no echo, no translation) and SIGINT stands for Ctrl-C in a running program.
import gc
import io
import sys

CTRL_A, CTRL_B, CTRL_C, CTRL_D, CTRL_E = range(1, 6)
BANNER = "MicroPython {}; {}\r\n".format(sys.version.split("; ")[1], sys.implementation._machine)
HELP = 'Type "help()" for more information.\r\n'
WINDOW = 128  # bytes that raw-paste mode takes before it asks for more

names = {}
first_modules = set(sys.modules)


def write(data):
    sys.stdout.buffer.write(data)


def read():
    while True:
        try:
            data = sys.stdin.buffer.read(1)
        except KeyboardInterrupt:
            continue
        if not data:
            sys.exit()  # the line was closed
        return data[0]


def soft_reset():
    write("MPY: soft reboot\r\n")
    for name in set(sys.modules) - first_modules:
        del sys.modules[name]
    names.clear()
    names["__name__"] = "__main__"
    gc.collect()


def run(code, mode):
    try:
        exec(compile(str(code, "utf-8"), "<stdin>", mode), names)
    except SystemExit:
        soft_reset()
    except BaseException as error:
        return error


def show(error):
    text = io.StringIO()
    sys.print_exception(error, text)
    for line in text.getvalue().rstrip().split("\n"):
        if __file__ not in line:  # a board's traceback does not show its REPL either
            write(line + "\r\n")


def run_raw(code):
    error = run(code, "exec")
    write(b"\x04")
    if error is not None:
        show(error)
    write(b"\x04>")


def paste():
    write(b"R\x01" + bytes([WINDOW, 0, 1]))
    code = bytearray()
    while True:
        byte = read()
        if byte in (CTRL_C, CTRL_D):
            write(b"\x04")
            return run_raw(code if byte == CTRL_D else b"raise KeyboardInterrupt")
        code.append(byte)
        if len(code) % WINDOW == 0:
            write(b"\x01")


def raw_repl():
    write("raw REPL; CTRL-B to exit\r\n>")
    code = bytearray()
    while True:
        byte = read()
        if byte == CTRL_A and code == b"\x05A":
            paste()
        elif byte == CTRL_A:
            write("raw REPL; CTRL-B to exit\r\n>")
        elif byte == CTRL_B:
            return write("\r\n")
        elif byte == CTRL_D:
            write("OK")
            if code:
                run_raw(code)
            else:
                write("\r\n")
                soft_reset()
                write("raw REPL; CTRL-B to exit\r\n>")
        elif byte != CTRL_C:
            code.append(byte)
            continue
        code = bytearray()


def read_line(prompt):
    write(prompt)
    line = ""
    while True:
        byte = read()
        if byte == 13 or byte == 10:
            write("\r\n")
            return line
        if byte in (8, 127) and line:
            line = line[:-1]
            write("\b \b")
        elif byte == CTRL_C or (byte in (CTRL_A, CTRL_B, CTRL_D) and not line):
            return chr(byte)
        elif byte >= 32:
            line += chr(byte)
            write(chr(byte))


def read_statement():
    text = line = read_line(">>> ")
    while line.rstrip().endswith(":") or (line and text != line):
        line = read_line("... ")
        if line == "\x03":
            return line
        text += "\n" + line
    return text


def friendly_repl():
    write(BANNER + HELP)
    while True:
        text = read_statement()
        if text == "\x01":
            return
        if text == "\x02" or text == "\x04":
            write("\r\n")
            if text == "\x04":
                soft_reset()
            write(BANNER + HELP)
        elif text == "\x03":
            write("\r\n")
        elif text.strip():
            error = run((text + "\n").encode(), "single")
            if error is not None:
                show(error)


names["__name__"] = "__main__"
while True:
    friendly_repl()
    raw_repl()
