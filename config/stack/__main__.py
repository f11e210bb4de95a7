"""`python -m config.stack`: what `make run` starts."""

import sys

from config.stack.run import main

sys.exit(main())
