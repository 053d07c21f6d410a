"""The acoustic model as a torch network, for training: layers, encoder, heads and loss, its checkpoints."""
