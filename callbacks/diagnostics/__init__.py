"""What the network does inside, and what is wrong with it.

probe         the layers of any LightningModule, and hooks on them
monitor       at which steps the network is observed
gradients     GradientMonitor; measurement: what one optimizer step found
activations   ActivationMonitor
nonfinite     NonFiniteGuard; origin: where a NaN comes from
diagnosis     Diagnosis; rules: what is wrong; report: in words, as a file
reduction     norms and sums, over all tensors and processes
"""

from callbacks.diagnostics.activations import ActivationMonitor
from callbacks.diagnostics.diagnosis import Diagnosis
from callbacks.diagnostics.gradients import GradientMonitor
from callbacks.diagnostics.nonfinite import NonFiniteGuard

__all__ = ["ActivationMonitor", "Diagnosis", "GradientMonitor", "NonFiniteGuard"]
