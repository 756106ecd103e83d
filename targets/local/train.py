"""Starts a training script of `mlpipe run`. Usage: python train.py SCRIPT RESULT [ARGUMENT...], with mlpipe_training.py beside this file."""

import sys

from mlpipe_training import launch

if __name__ == "__main__":
    sys.exit(launch(sys.argv[1], sys.argv[3:], sys.argv[2]))
