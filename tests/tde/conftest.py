"""The fixtures of encrypted.py, where pytest looks for them."""

from encrypted import make, work  # noqa: F401
