"""`asr serve`: the recogniser for other programs, by HTTP, WebSocket, Wyoming, and a page in the browser.

One thread does all recognition (`engine`), the event loop everything else. What the clients are told is in
docs/serving.md. Imports `wakeword` when it starts; nothing else in `asr` does.
"""
