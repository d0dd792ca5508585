"""The version of the package. On its own, so that what sends it need not import the package's front door."""

__version__ = "0.1.0"
