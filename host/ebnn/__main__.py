"""``python -m ebnn`` is the command ``ebnn``."""

import sys

from ebnn.cli import main

sys.exit(main())
