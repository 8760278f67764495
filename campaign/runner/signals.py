"""Ctrl-C and SIGTERM: stop leasing, keep what is finished, end with a code of its own."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType


class StoppedAtOnce(BaseException):
    """A signal that leaves no time to drain; no KeyboardInterrupt, which Typer would turn to 130.

    Args:
        number: The signal.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(number)


class Signals:
    """While entered, the first SIGINT or SIGTERM asks for a stop, the second interrupts.

    Outside of the main thread (a notebook, a test) signals are left alone.

    Args:
        note: Told a line when a signal arrives.
    """

    def __init__(self, note: Callable[[str], None]) -> None:
        self.note = note
        self.received: int | None = None
        self._stop: Callable[[], None] | None = None
        self._held: dict[int, object] = {}

    def __enter__(self) -> Signals:
        self.install()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._held.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._held.clear()

    def stop_with(self, stop: Callable[[], None]) -> None:
        """Call `stop` at the first signal; installs the handlers anew, for Ray replaces them."""
        self._stop = stop
        self.install()
        if self.received is not None:
            stop()

    def install(self) -> None:
        """Take the two signals, also after a library has taken them."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in (signal.SIGINT, signal.SIGTERM):
            previous = signal.signal(number, self._handle)
            self._held.setdefault(number, previous)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None or self._stop is None:
            self.received = number
            raise StoppedAtOnce(number)
        self.received = number
        self.note("stopping: finished trials are kept; once more to stop at once")
        self._stop()
