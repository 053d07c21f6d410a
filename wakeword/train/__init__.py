"""All of `wakeword train`: clips, mixing, the network, held-out voices."""
