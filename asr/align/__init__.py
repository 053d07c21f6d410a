"""When each word was said, and how sure it is."""
