"""What a user can add to any Trainer; nothing here changes what is learned.

    pl.Trainer(callbacks=[GradientMonitor(), ActivationMonitor(), NonFiniteGuard(), Diagnosis()])

checkup       what is wrong before the first step
diagnostics   what the network does inside, and what is wrong with it
pictures      what it has learned
inside        layers, weights and distributions as files, for the page of a run
predictions   predictions.csv, with masks and images as files
staging       files that are replaced together
progress      a progress bar that costs little
summary       the layers and their sizes, before training
steps         the step at which everything is logged
figures       metrics with an interval, next to a constant answer
model_graph   the graph of the network, for TensorBoard
files         files that are complete or absent
layer_labels  what a layer is called: "hidden 1", "output"
"""

from callbacks.checkup import Checkup
from callbacks.diagnostics import ActivationMonitor, Diagnosis, GradientMonitor, NonFiniteGuard
from callbacks.pictures import DepthPlot
from callbacks.predictions import PredictionWriter
from callbacks.progress import Progress
from callbacks.summary import LayerSummary

__all__ = [
    "ActivationMonitor",
    "Checkup",
    "DepthPlot",
    "Diagnosis",
    "GradientMonitor",
    "LayerSummary",
    "NonFiniteGuard",
    "PredictionWriter",
    "Progress",
]
