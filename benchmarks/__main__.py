"""The full run, beside the peers: `python -m benchmarks --help`."""

import sys

from benchmarks.peers import main

sys.exit(main())
