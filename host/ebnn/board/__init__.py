"""Boards: targets, serial lines, the REPL, flashing and measuring. Knows nothing of networks.

The only package that imports pyserial, and only where a line is opened: ``targets`` works without it.
"""
