"""Classify digits: images from a file, or the samples in the firmware where there is no such file.

Needs a model as ebnn_model (firmware/models/mnist), and digits.bin on the board: images of 784 bytes, one after the
other. The first ten test images of MNIST come into such a file with

    python -c "from ebnn.train import load; open('digits.bin', 'wb').write(load('mnist').x_test[:10].tobytes())"

Without the file it takes ebnn_samples, which ebnn firmware --samples mnist puts into the firmware: one image of each
digit, in this order. One of them is hard. It prints

    image 0: 0
    image 1: 1
    image 2: 2
    image 3: 5
    image 4: 4
    image 5: 5
    image 6: 6
    image 7: 7
    image 8: 8
    image 9: 9
"""

import ebnn


def images(path, size):
    """The images of a file, each in the same buffer; those of ebnn_samples where there is no file."""
    try:
        file = open(path, "rb")  # noqa: SIM115 (closed below)
    except OSError:
        import ebnn_samples

        yield from ebnn_samples.images
        return
    image = bytearray(size)
    with file:
        while file.readinto(image) == size:
            yield image


def main(path="digits.bin"):
    """Print what each image shows: its label, or the number of its class where the model has no labels."""
    model = ebnn.load()
    names = model.labels or range(model.classes)
    for number, image in enumerate(images(path, model.input_size)):
        print(f"image {number}: {names[model.infer(image)]}")


if __name__ == "__main__":
    main()
