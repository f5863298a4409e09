"""What is wrong before the first step: checks on copies of the module and a few batches, which leave no trace.

callback    Checkup, the callback
check       what a check is, and running all of them
checks      the checks, one file per subject, in the order of their worth
subject     what they look at: copies, batches, a traced training step
copying     a copy of a module with its optimizers, which trains without a Trainer
stand_in    what a copied module takes for its Trainer
functions   the functions of torch that a traced step called
stepping    some real training steps of a copy, and what they did to weights and gradients
planning    how long the training will be, and a dry run of its schedulers
watching    what runs inside a step: calls of modules, dropout, sizes of batches
batches     the tensors of a batch, batches from loaders
samples     single samples: which tensor is the target, fingerprints of rows
untouched   random numbers and loaders as they were
report      what it prints
"""

from callbacks.checkup.callback import Checkup

__all__ = ["Checkup"]
