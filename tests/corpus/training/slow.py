"""A training script that has no end in time."""

import time

time.sleep(60)
