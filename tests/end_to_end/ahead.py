"""``stembridge`` on a machine whose clock is an hour ahead of all others."""

import time

_real, _real_ns = time.time, time.time_ns
time.time = lambda: _real() + 3600
time.time_ns = lambda: _real_ns() + 3600 * 10**9

if __name__ == "__main__":
    # What is imported now takes that clock for its own.
    import sys

    from plugin_core.__main__ import main

    sys.exit(main())
