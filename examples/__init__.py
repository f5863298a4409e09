"""Small projects of several kinds, each with a model, its data and a config, to start one's own from."""
