"""What the network does inside, and what is wrong with it.

observer      Observer, which drives all others while a Trainer trains
probe         the layers of any LightningModule, and hooks on them
monitor       what those share that measure, and at which steps they do
gradients     GradientMonitor; measurement: what one optimizer step found
activations   ActivationMonitor
nonfinite     NonFiniteGuard; origin: where a NaN comes from
diagnosis     Diagnosis; rules: what is wrong at a step; verdicts: what holds; report: in words, as a file
reduction     norms and sums, over all tensors and processes
"""

from callbacks.diagnostics.activations import ActivationMonitor
from callbacks.diagnostics.diagnosis import Diagnosis
from callbacks.diagnostics.gradients import GradientMonitor
from callbacks.diagnostics.nonfinite import NonFiniteGuard

__all__ = ["ActivationMonitor", "Diagnosis", "GradientMonitor", "NonFiniteGuard"]
