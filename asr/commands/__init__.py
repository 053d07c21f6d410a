"""The subcommands of `asr`, each in a module of its own."""
