"""Classify what an accelerometer measures: still, walk or shake.

Needs the model of firmware/models/motion as ebnn_model; pretend() stands in for a sensor. It prints

    still
    walk
    shake
"""

import math
import time

import machine

import ebnn

Timer = getattr(machine, "Timer", None)  # some ports have none: there the loop looks at the clock


class Windows:
    """Two buffers, made once: samples go into one while the other is classified; ``count`` were full."""

    def __init__(self, read, size):
        self.read, self.filling, self.full, self.at, self.count = read, bytearray(size), bytearray(size), 0, 0

    def tick(self, _timer=None):
        """Take a sample; allocates nothing if read() does not."""
        self.filling[self.at] = self.read()
        self.at += 1
        if self.at == len(self.filling):
            self.filling, self.full, self.at = self.full, self.filling, 0
            self.count += 1


def pretend():
    """Samples of standing still, of walking (2 Hz) and of shaking (5 Hz), 64 each, again and again."""
    while True:
        for hertz, height in ((0, 0), (2, 0.3), (5, 1)):
            for i in range(64):
                yield round(64 * (1 + height * math.sin(2 * math.pi * hertz * i / 50)))


def main(read=None, count=3, period=20):  # milliseconds from sample to sample, as the model was trained
    """Classify ``count`` windows; read() gives the magnitude of the acceleration, 64 is 1 g, at most 255."""
    model = ebnn.load()
    windows = Windows(read or pretend().__next__, model.input_size)
    timer, due = Timer and Timer(-1, period=period, callback=windows.tick), time.ticks_ms()  # some ports count from 0
    for number in range(1, count + 1):
        while windows.count < number:
            if not timer and time.ticks_diff(time.ticks_ms(), due) >= 0:
                due = time.ticks_add(due, period)
                windows.tick()
        print(model.labels[model.infer(windows.full)])
    if timer:
        timer.deinit()


if __name__ == "__main__":
    main()
