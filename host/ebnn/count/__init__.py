"""The instruction bench: counts what the engine executes on each core, exactly, under QEMU.

``python -m ebnn.count`` builds the engine bare-metal, runs every case, compares every score and every node's output
with the simulator, and prints the counts. Nothing here is timed, and an estimate of cycles never shares a column
with a count.
"""
