"""The wall clock of a program under test, moved from outside."""
import os
import struct
import time

import tpn_harness
from tpn_harness import check


class Clock:
    """The wall clock of one program: a file that clock_shim maps. Time goes on in it as it does outside."""

    def __init__(self, lab, name):
        self.path = lab.dir / f"{name}.clock"
        self.path.write_bytes(struct.pack("q", 0))

    def environment(self):
        shim = tpn_harness.BUILD_DIR / "tests" / "fault" / "libclock_shim.so"
        check(shim.exists(), f"{shim} is not built")
        # A sanitizer wants to be the first library, and works behind another one all the same.
        asan = os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
        return {"LD_PRELOAD": str(shim), "TPN_CLOCK_FILE": str(self.path), "ASAN_OPTIONS": asan}

    def step(self, offset_ms):
        """So far from the machine's own clock."""
        with open(self.path, "r+b") as file:
            file.write(struct.pack("q", offset_ms))

    def set(self, when):
        """To a datetime with a time zone."""
        self.step(int((when.timestamp() - time.time()) * 1000))
