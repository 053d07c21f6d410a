"""`asr serve`: the recogniser for other programs, by HTTP, WebSocket, Wyoming, and a page in the browser.

One thread does all recognition (`engine`), the event loop everything else. What the clients are told is in
docs/serving.md. Wake words come from `wakeword`, by its name in wake_words.py: `asr` imports nothing of it.
"""
