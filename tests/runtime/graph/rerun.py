"""A stand-in for CUDA's graph that runs the recorded function again: all but the device's own part can be tested."""

import torch


class Rerun:
    device_type = "cpu"
    optimizer_flags = ("fused",)

    def record(self, function, generators):
        self.function, self.generators = function, list(generators)
        function()

    def replay(self):
        with torch.enable_grad():
            self.function()


class Exact(Rerun):
    """Leaves the optimizer's arithmetic as it is, so that weights are the same to the bit."""

    optimizer_flags = ()
