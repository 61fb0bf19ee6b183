"""The exception tree. Every error a person can cause has a sentence that says what would be right."""

from __future__ import annotations


class EbnnError(Exception):
    """Base of all errors raised on purpose by this package; the CLI prints its text and exits with 1."""


class NetworkError(EbnnError):
    """A network that cannot be: shapes, ranges or values that contradict each other."""


class ModelError(EbnnError):
    """Model bytes that are damaged, foreign, too new or too large.

    ``code`` is the name in the engine's error enum (``ops.ERRORS``), so that Python's reader and the C
    reader can be compared.
    """

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class DataError(EbnnError):
    """Training or test data that are missing, truncated or of another kind."""


class ConfigError(EbnnError):
    """An option or a configuration file that says something impossible."""


class ExportError(EbnnError):
    """A trained chain that has no exact integer form."""


class BuildError(EbnnError):
    """A firmware or engine build that failed."""


class BoardError(EbnnError):
    """A board that cannot be reached, or answers wrongly."""
