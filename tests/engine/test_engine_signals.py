import signal

import pytest

from apps.engine.signals import StopSignal

NUMBERS = [
    number
    for name in ("SIGTERM", "SIGINT", "SIGUSR1", "SIGHUP")
    if (number := getattr(signal, name, None))
]


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_asks_and_the_former_handler_comes_back(number):
    former = signal.getsignal(number)
    with StopSignal() as stop:
        assert not stop.requested
        signal.raise_signal(number)
        assert stop.requested
        assert stop.received == number.name
    assert signal.getsignal(number) is former


def test_a_second_interrupt_insists():
    with StopSignal() as stop:
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert stop.requested


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="Windows has no SIGHUP")
def test_a_hangup_that_is_ignored_stays_so():
    former = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as `nohup` has it
    with StopSignal() as stop:
        signal.raise_signal(signal.SIGHUP)
        assert not stop.requested
    assert signal.signal(signal.SIGHUP, former) is signal.SIG_IGN
