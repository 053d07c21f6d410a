"""Text to speech in many voices."""
