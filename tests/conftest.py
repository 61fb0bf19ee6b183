"""Shared fixtures. That this file stands here lets every test import the modules of this folder by name."""
