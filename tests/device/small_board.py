# Frozen into the firmware of the tests of the module for the least memory: a small heap has no room for their text.
import gc

from small_cases import CASES, DAMAGED

import ebnn

# Names of the test's own, which take no memory where the firmware has them.
a = b = m = x = out = micropython = heap_lock = heap_unlock = None


def run(index):
    """A case's predictions and scores."""
    gc.collect()
    blob, inputs = CASES[index]
    model = ebnn.Model(blob)
    for data in inputs:
        print(model.infer(data), *model.scores(data))


def shifted(index, offset):
    """The same with model, input and arena at odd addresses."""
    gc.collect()
    blob, inputs = CASES[index]
    blob = memoryview(bytearray(offset) + blob)[offset:]
    data = memoryview(bytearray(offset) + inputs[0])[offset:]
    model = ebnn.Model(blob, arena=memoryview(bytearray(300))[offset:])
    print(model.infer(data), *model.scores(data))


def refuse(first, last):
    """What each damaged model raises."""
    for blob in DAMAGED[first:last]:
        gc.collect()
        try:
            ebnn.Model(blob)
            print(0)
        except ValueError as error:
            print(error)
