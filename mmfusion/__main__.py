"""``python -m mmfusion``, as the command ``mmfusion``."""

import sys

from .console import main

if __name__ == '__main__':
    sys.exit(main())
