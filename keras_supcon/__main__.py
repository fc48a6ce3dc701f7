"""The command `keras-supcon`, as `python -m keras_supcon`."""

import sys

from keras_supcon.cli import main

if __name__ == "__main__":
    sys.exit(main())
