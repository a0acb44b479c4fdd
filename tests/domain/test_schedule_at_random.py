"""Random graphs, lists, failures, waits, pauses and crashes on the schedule, against the oracle."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings

from domain.events import NodeStarted, RunCancelRequested
from domain.schedule import begin, decide, evolve
from tests.domain.oracle import foresee
from tests.domain.stepper import Case, Stepper, cases

EVERY_PLACE = 30
"""A log of up to so many events is cut behind every one of them, a longer one behind some that chance chooses."""

some = settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def ran(case: Case) -> Stepper:
    return Stepper(case, random.Random(case.seed)).run()


def check_end(case: Case, stepper: Stepper) -> None:
    """Compare with the oracle: exactly where order decides nothing, else as far as it does not."""
    foreseen, ends = foresee(case.steps), stepper.ends()
    is_canceled = any(isinstance(logged.event, RunCancelRequested) for logged in stepper.log)
    is_fast = case.definition.settings.failure_policy == "FAIL_FAST" and foreseen.run == "FAILED"
    if not is_canceled:
        assert stepper.status == foreseen.run
        if not is_fast:
            assert ends == list(foreseen.nodes)
            return
    else:
        assert stepper.status == "CANCELED"
    for end, wanted in zip(ends, foreseen.nodes, strict=True):
        if end == "CANCELED":
            assert wanted in {"SUCCEEDED", "FAILED"}, "only what may start can be cancelled"
        else:
            assert end in {wanted, None}


def check_items(case: Case, stepper: Stepper) -> None:
    """Compare how items ended with how they will, and with the end of their node."""
    slot_ends, plan = stepper.slot_ends(), stepper.plan
    for index, step in enumerate(case.steps):
        whole, items = slot_ends.get(index), step.items or ()
        ends = [slot_ends.get(plan.slot(index, item)) for item in range(len(items))]
        for end, fails in zip(ends, items, strict=True):
            assert end in {"FAILED" if fails else "SUCCEEDED", "CANCELED", None}
        if whole == "SUCCEEDED":
            assert all(end in {"SUCCEEDED", "FAILED"} for end in ends), "a list ends when all its items have"
        elif step.items is not None and whole == "FAILED":
            assert "FAILED" in ends
        elif whole in {"SKIPPED", None}:
            assert set(ends) <= {None}


@some
@given(case=cases(has_lists=True))
def test_a_run_ends_as_the_oracle_says_whatever_the_order(case: Case) -> None:
    stepper = ran(case)
    check_end(case, stepper)
    check_items(case, stepper)
    assert stepper.most_running <= case.definition.settings.max_parallel_nodes
    assert decide(stepper.state) == [], "nothing is left to be done after the end"


@settings(some, max_examples=100)
@given(case=cases(has_lists=True))
def test_a_run_recovered_behind_any_event_ends_as_if_nothing_had_happened(case: Case) -> None:
    check_recoveries(case)


@pytest.mark.long
@pytest.mark.timeout(300)
@some
@given(case=cases(has_lists=True))
def test_five_hundred_runs_recovered_behind_any_event_end_as_if_nothing_had_happened(case: Case) -> None:
    check_recoveries(case)


def check_recoveries(case: Case) -> None:
    whole = ran(case)
    calm = Case(case.definition, case.steps, case.faults, None, case.seed, case.waits, case.pauses)
    lengths = range(1, len(whole.log))
    if len(whole.log) > EVERY_PLACE:
        lengths = random.Random(case.seed).sample(lengths, EVERY_PLACE // 2)
    for length in lengths:
        recovered = Stepper(calm, random.Random(case.seed + length)).recover(whole.log[:length])
        check_end(calm, recovered)
        check_items(calm, recovered)
        assert recovered.most_running <= case.definition.settings.max_parallel_nodes
        for slot, end in recovered.slot_ends().items():
            if end in {"SUCCEEDED", "FAILED"} and not recovered.is_list(slot):
                # An attempt that was cut off costs no try: all that the node may fail, it fails.
                assert recovered.tries_before(slot) == recovered.faults_of(slot)


@some
@given(case=cases(has_lists=True))
def test_the_log_alone_tells_the_state_and_every_start_has_its_reason(case: Case) -> None:
    stepper = ran(case)
    folded = begin(stepper.plan)
    for logged in stepper.log:
        evolve(folded, logged.event, logged.at)
    assert folded == stepper.state
    starts: dict[int, list[int]] = {}
    for event in (logged.event for logged in stepper.log if isinstance(logged.event, NodeStarted)):
        starts.setdefault(stepper.plan.slot_of(event), []).append(event.execution)
    ends = stepper.slot_ends()
    assert all(slot in starts for slot, end in ends.items() if end != "SKIPPED")
    for slot, executions in starts.items():
        assert executions == list(range(1, len(executions) + 1))
        assert ends[slot] in {"SUCCEEDED", "FAILED", "CANCELED"}, "whoever began is told an end"
        if ends[slot] != "CANCELED":
            assert len(executions) == stepper.tries_before(slot) + 1
