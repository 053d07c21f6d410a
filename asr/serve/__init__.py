"""`asr serve`: the recogniser for other programs, by HTTP, WebSocket, Wyoming, and a page in the browser.

One thread does all recognition (`engine`); the event loop does everything else. docs/serving.md says what clients see.
"""
