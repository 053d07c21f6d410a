"""A phrase in the outputs of a CTC model: the second stage of detectors, and phrases without training."""
