"""What the network does inside, and what is wrong with it.

observer      Observer, which drives all others while a Trainer trains
probe         the layers of any LightningModule, and hooks on them
monitor       what the measuring callbacks share, and at which steps they measure
gradients     GradientMonitor; measurement: the numbers of one optimizer step
activations   ActivationMonitor
learning_rate LearningRate; histograms: of weights and activations
nonfinite     NonFiniteGuard; origin: where a NaN comes from
verdict       Verdict: what was found, how bad it is, what to try
diagnosis     Diagnosis; rules: what is wrong at one step; history: what holds over several; report: as text and file
learning      what the whole training means; record: what it needs of it; curve: the course of a loss
losses        watches the loss functions; loss_calls: which ones a step calls; tallies: what they get, added up;
              evidence: what that says, next to the best constant answer
upkeep        gradients that are not cleared, modes that are left wrong
causes        which finding explains which
reduction     norms and sums over all tensors and processes
"""

from callbacks.diagnostics.activations import ActivationMonitor
from callbacks.diagnostics.diagnosis import Diagnosis
from callbacks.diagnostics.gradients import GradientMonitor
from callbacks.diagnostics.nonfinite import NonFiniteGuard

__all__ = ["ActivationMonitor", "Diagnosis", "GradientMonitor", "NonFiniteGuard"]
