"""What a user adds to any Trainer; nothing here changes what is learnt.

    pl.Trainer(callbacks=[GradientMonitor(), ActivationMonitor(), NonFiniteGuard(), Diagnosis()])

diagnostics   what the network does inside, and what is wrong with it
pictures      what it has learnt
predictions   predictions.csv
progress      a progress bar that costs little
files         files that are whole or not there
"""

from callbacks.diagnostics import ActivationMonitor, Diagnosis, GradientMonitor, NonFiniteGuard
from callbacks.pictures import DepthPlot
from callbacks.predictions import PredictionWriter
from callbacks.progress import Progress

__all__ = [
    "ActivationMonitor",
    "DepthPlot",
    "Diagnosis",
    "GradientMonitor",
    "NonFiniteGuard",
    "PredictionWriter",
    "Progress",
]
