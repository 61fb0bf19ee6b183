"""Classify in one asyncio task while another one blinks.

An inference is one call, in which no other task runs. Row by row there is a turn for the others after each row; the
layers behind the first run with the last row. Needs a model as ebnn_model (firmware/models/mnist), ebnn_samples and
asyncio. On the emulated board mps2-an385, with 1.024 us counted for each instruction, it printed

    in one call: class 7, the light waited 1136027 us at most
    row by row: class 7, the light waited 501426 us at most
"""

import asyncio
import time

import ebnn_samples

import ebnn


async def blink(waits, switch):
    """Switch a light on and off; note the longest wait for the next turn, in microseconds, in waits[0]."""
    on, last = False, time.ticks_us()
    while True:
        switch(on)
        on = not on
        await asyncio.sleep_ms(0)
        now = time.ticks_us()
        waits[0], last = max(waits[0], time.ticks_diff(now, last)), now


async def whole(model, image):
    """The class of an image, in one call."""
    await asyncio.sleep_ms(0)
    return model.infer(image)


async def by_rows(model, image):
    """The class of an image, a row at a time."""
    size, rows = model.row_size, memoryview(image)
    for at in range(0, len(image), size):
        await asyncio.sleep_ms(0)
        label = model.feed(rows[at : at + size])
    return label


async def main(switch=lambda on: None):
    """Classify both ways; ``switch`` sets the light, for example machine.Pin("LED").value."""
    model = ebnn.load()
    for name, classify in (("in one call", whole), ("row by row", by_rows)):
        waits = [0]
        task = asyncio.create_task(blink(waits, switch))
        label = await classify(model, ebnn_samples.images[7])
        await asyncio.sleep_ms(0)  # the light's turn
        task.cancel()
        print(f"{name}: class {label}, the light waited {waits[0]} us at most")


if __name__ == "__main__":
    asyncio.run(main())
