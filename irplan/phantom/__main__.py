"""``python -m irplan.phantom --out DIR``."""

import sys

from irplan.phantom.command import main

sys.exit(main())
