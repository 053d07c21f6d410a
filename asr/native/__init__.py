"""What is compiled, where there is a compiler when the package is installed; asr.compiled_search uses it."""
