"""`python -m judges`: the judges without cgpo's command line."""

import sys

from judges.cli import main

if __name__ == "__main__":
    sys.exit(main())
