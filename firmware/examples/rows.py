"""Classify an image that comes row by row, as a camera reads it out, without ever holding all of it.

Needs a model as ebnn_model (firmware/models/mnist) and ebnn_samples, which stands in for the camera:

    ebnn firmware --board mps2-an385 --model firmware/models/mnist --samples mnist

It prints

    a row of 28 bytes and a window of 140, not an image of 784
    row 27 completes the image: 7
"""

import ebnn


def camera(size):
    """The rows of an image, each in the same buffer: replace this by your camera's read-out."""
    import ebnn_samples

    image, row = memoryview(ebnn_samples.images[7]), bytearray(size)
    for at in range(0, len(image), size):
        row[:] = image[at : at + size]
        yield row


def main(rows=None):
    """Feed the rows of one image (buffers of model.row_size bytes) and print the answer."""
    model = ebnn.load()
    print(f"a row of {model.row_size} bytes and a window of {model.window_size}, not an image of {model.input_size}")
    for number, row in enumerate(rows or camera(model.row_size)):
        label = model.feed(row)  # None while rows are missing; the window is made at the first row and stays
        if label is not None:
            print(f"row {number} completes the image: {label}")


if __name__ == "__main__":
    main()
