"""The acoustic model: its layers, its outputs and loss, streaming, checkpoints, ONNX."""
