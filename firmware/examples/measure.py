"""Measure a model on your own board: time of an inference, and what it takes of the heap.

Needs a model as ebnn_model; any will do, and the input is all zeros. On the emulated board mps2-an385, with 1.024 us
counted for each instruction, the model of firmware/models/mnist printed

    <ebnn.Model 28x28x1 uint8 -> 10 scores, 1980 bytes, arena 592>
    heap: 159712 bytes free, 157760 with model and input, 157760 after 21 inferences
    an inference: 1093242 us at least, 1093243 us in the median
"""

import gc
import time
from array import array

import ebnn

try:
    from micropython import heap_lock, heap_unlock
except ImportError:  # a port without them
    heap_lock = heap_unlock = gc.collect


def measure(model, image, times):
    """Fill ``times``, an array('I'), with the microseconds of an inference each; with the heap locked."""
    heap_lock()  # what allocated would raise MemoryError
    try:
        for i in range(len(times)):
            start = time.ticks_us()
            model.infer(image)
            times[i] = time.ticks_diff(time.ticks_us(), start)
    finally:
        heap_unlock()


def main(count=21):
    """Load the model, measure ``count`` inferences, print the least and the median time."""
    gc.collect()
    empty = gc.mem_free()
    model = ebnn.load()
    image, times = bytes(model.input_size), array("I", [0] * count)
    gc.collect()
    loaded = gc.mem_free()
    measure(model, image, times)
    after = gc.mem_free()
    print(model)
    print(f"heap: {empty} bytes free, {loaded} with model and input, {after} after {count} inferences")
    ordered = sorted(times)
    print(f"an inference: {ordered[0]} us at least, {ordered[count // 2]} us in the median")


if __name__ == "__main__":
    main()
