"""What a run keeps in its folder `inside`, for its page: layers, weights as numbers, distributions.

layers          layers.json: the layers in order of depth, with shapes and numbers of parameters
weights         weights.csv: every weight of a small network over the steps
table_units     weights_table_units.csv: the same for inputs and targets as they stand in the table
distributions   distributions.npz: histograms of weights and activations of each layer, when pictures are drawn
"""

from callbacks.inside.distributions import Distributions
from callbacks.inside.layers import LayerTable
from callbacks.inside.weights import WeightTable

__all__ = ["Distributions", "LayerTable", "WeightTable"]
