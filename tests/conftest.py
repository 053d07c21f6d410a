"""One setting for all tests, made before torch is imported; the commands that tests start inherit it."""

import os
import signal

from hypothesis import settings

# a script that starts the tests with & has Ctrl-C ignored, and their children would inherit that
signal.signal(signal.SIGINT, signal.default_int_handler)

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the work here is small; machines that test are shared
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # else threads that wait burn the processor

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
