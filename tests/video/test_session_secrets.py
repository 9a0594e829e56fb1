"""Accounts and addresses are nowhere: not in logs, output, states, reasons, reprs, threads or errors."""

import logging
import threading

import pytest

from safecity.clock import SystemClock
from safecity.model.source import CameraState
from safecity.simulator.camera import Fault, SimulatedCamera
from safecity.video.stream.admission import Admission, account_key

from .conftest import PASSWORD, USER, wait_for
from .recording import Taker

QUOTED = "Xk3%2Fp%40ss%3Aword"


@pytest.mark.parametrize("fault", [None, Fault.DROP, Fault.PASSWORD, Fault.CORRUPT])
def test_nothing_that_is_said_or_shown_holds_the_account(open_street, capfd, caplog, fault):
    caplog.set_level(logging.DEBUG)
    street = open_street("small")
    config = street.config(0)
    with Taker(config) as taker:
        wait_for(lambda: len(taker.packets) > 10, "pictures")
        street.set_fault(0, fault)
        if fault in {Fault.DROP, Fault.PASSWORD}:
            wait_for(lambda: taker.session.state[0] is not CameraState.LIVE, "the end")
        else:
            wait_for(lambda: len(taker.packets) > 40, "more pictures")
    captured = capfd.readouterr()
    shown = [
        captured.out,
        captured.err,
        caplog.text,
        repr(taker.states),
        repr(taker.ends),
        repr(taker.session),
        repr(taker.session.counters),
        repr(config),
        f"{config}",
        repr(threading.enumerate()),
    ]
    for text in shown:
        for secret in (PASSWORD, QUOTED, f"{USER}:", f":{street.port}"):
            assert secret not in text


def test_the_account_is_in_no_repr_and_no_key(open_street):
    config = open_street("small").config(0)
    admission = Admission(SystemClock())
    key = account_key(config, config.setup.url)
    admission.refused(key, 30.0)
    camera = SimulatedCamera(path="/cam/0", user=USER, password=PASSWORD)
    for thing in (config, admission, vars(admission), key, camera, [config], {"config": config}):
        assert PASSWORD not in repr(thing)


def test_errors_that_the_session_raises_inside_do_not_hold_the_address(open_street):
    street = open_street("small")
    with Taker(street.config(0, password="wrong")) as taker:
        wait_for(lambda: taker.states, "the refusal")
        source = taker.session._source()
        with pytest.raises(Exception) as raised:  # noqa: PT011  any error must be clean
            next(source.parts())
    assert str(street.port) not in str(raised.value)
    assert raised.value.__suppress_context__ or raised.value.__context__ is None
