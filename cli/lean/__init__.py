"""Lightning's loop over the batches of an epoch, without its detours: what a small network waits for most of the time.

For each step Lightning calls some 900 functions to find out what does not change within an epoch: which hooks are
implemented, which strategy, precision and profiler there are, whether batches are accumulated. Here that is asked once
per epoch. What is left are the same hooks in the same order with the same arguments, the same counters and the same
arithmetic. A training that needs more is left to Lightning's own loop.

This is built on what Lightning keeps for itself: `_TrainingEpochLoop`, its counters, its results, `_logger_connector`.
"""

from cli.lean.loop import use_lean_loop

__all__ = ["use_lean_loop"]
