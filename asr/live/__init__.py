"""A microphone's blocks to partial and final results."""
