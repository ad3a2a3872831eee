"""A timed mock interview for AI engineers, with a grade that can be checked."""

__version__ = "0.1.0"
