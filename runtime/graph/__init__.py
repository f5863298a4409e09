"""A training step recorded once as a CUDA graph and then replayed: one launch instead of hundreds.

Nothing is imported here.

obstacles      what keeps a training from using a graph
loop           the loop over an epoch: which steps are replayed, which run as usual
capture        one recorded step: its static inputs, the recording, the replay
device_graph   CUDA's graph
optimizer      an optimizer whose step can be recorded: its learning rates live on the device
state          the tensors that a step changes: to run a step twice and compare
host           what a step does in Python, where a replay has no effect
"""
