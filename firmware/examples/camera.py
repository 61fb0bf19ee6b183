"""Classify what a camera sees: a part of an RGB565 frame, averaged down to the model's input.

Needs a model of digits as ebnn_model (firmware/models/mnist). capture() stands in for a camera and draws a seven with
framebuf, dark on white paper; the model knows white digits on black. It prints

            @@@@@@@@@@@@*
                      =@@:
                     =@@:
                    =@@:
                   =@@:
                  =@@:
                 =@@:
                =@@:
               =@@:
    class 7
"""

import framebuf

import ebnn

WIDTH, HEIGHT = 96, 96
PAPER, INK = 0xFFFF, 0x0000


def capture(frame):
    """Take a picture into a buffer: replace this by your camera's function."""
    canvas = framebuf.FrameBuffer(frame, WIDTH, HEIGHT, framebuf.RGB565)
    canvas.fill(PAPER)
    canvas.fill_rect(30, 22, 38, 8, INK)
    for y in range(30, 76):
        canvas.fill_rect(62 - (y - 30) // 2, y, 8, 1, INK)


def show(image, width):
    """Draw an input with characters, every second row, without empty ones."""
    for at in range(0, len(image), 2 * width):
        row = image[at : at + width]
        if any(row):
            print("".join(" .:-=+*#%@"[gray * 10 // 256] for gray in row).rstrip())


def main(capture=capture, format=ebnn.RGB565):
    """Print the class of what is in the middle of a frame; many cameras send ebnn.RGB565_SWAPPED."""
    model = ebnn.load()
    frame = bytearray(2 * WIDTH * HEIGHT)
    prepare = ebnn.Input(model, WIDTH, HEIGHT, format, crop=(6, 6, 84, 84), invert=True)
    capture(frame)
    image = prepare(frame)  # always the same buffer: nothing is allocated from the second frame on
    show(image, model.input_shape[1])
    print("class", model.infer(image))


if __name__ == "__main__":
    main()
