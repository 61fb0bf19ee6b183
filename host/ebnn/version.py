"""The version of the host package and of the device module: one number for both."""

__version__ = "0.1.0"
