"""Small training programs: each fault next to its healthy twin, healthy programs of many kinds, and known networks."""

from benchmarks.fault_programs import (
    controls,
    controls_data,
    healthy_batches,
    healthy_branches,
    healthy_common,
    healthy_generative,
    healthy_networks,
    healthy_sequences,
    healthy_tasks,
    initialization,
    inputs,
    language,
    losses,
    manual,
    modes,
    optimization,
    recurrent,
    splits,
    wiring,
)
from benchmarks.fault_programs.base import FAULTS, HEALTHY, Program, Run

__all__ = ["FAULTS", "HEALTHY", "Program", "Run"]

FAMILIES = [losses, wiring, optimization, modes, initialization, inputs, splits, recurrent, language, manual]
HEALTHY_FAMILIES = [controls, controls_data, healthy_common, healthy_networks, healthy_sequences]
HEALTHY_FAMILIES += [healthy_batches, healthy_branches, healthy_generative, healthy_tasks]
