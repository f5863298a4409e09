"""The command line: `main` answers what can be answered without PyTorch, and leaves the rest to `cli.build`."""

from cli.main import main

__all__ = ["main"]
