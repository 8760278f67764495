from __future__ import annotations

from campaign.engines.executors.causes import Died, died, raised


class ActorDiedError(Exception):
    preempted = False


DEATH = """The actor died unexpectedly before finishing this task.
\tclass_name: TrialActor
\tpid: 9563
The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR Worker \
exit detail: Worker unexpectedly exits with a connection error code 2. End of file. Some common \
causes include: (1) the process was killed by the OOM killer due to high memory usage."""


def test_a_death_is_told_in_one_line_without_guesses() -> None:
    death = died(ActorDiedError(DEATH))
    assert death.kind == "ActorDiedError"
    expected = "Worker unexpectedly exits with a connection error code 2. End of file."
    assert death.text == expected
    assert not death.memory
    assert not death.preempted


def test_a_worker_killed_for_memory_leaves_oom_rows() -> None:
    death = died(ActorDiedError("The node was running low on memory; the worker was killed."))
    assert death.blame(3).status == "oom"
    assert died(ActorDiedError(DEATH)).blame(3).status == "crashed"


def test_a_preempted_node_is_known_as_such() -> None:
    error = ActorDiedError("the node was drained")
    error.preempted = True
    assert died(error).preempted


def test_the_blame_counts_the_deaths() -> None:
    failure = Died("ActorDiedError", "end of file").blame(3)
    assert (failure.attempt, failure.error_type) == (3, "ActorDiedError")
    assert failure.error == "worker died 3 times, at last with this trial alone: end of file"


def test_the_cause_of_a_wrapped_exception_is_named() -> None:
    wrapped = RuntimeError("ray::TrialActor.open() and a long traceback")
    wrapped.cause = ValueError("no such file\nand more")  # type: ignore[attr-defined]
    assert (raised(wrapped).kind, raised(wrapped).text) == ("ValueError", "no such file")


def test_an_exception_that_cannot_travel_is_named_from_its_traceback() -> None:
    class UnserializableException(Exception):
        pass

    lost = raised(
        UnserializableException("Failed to deserialize\nTraceback\nmodule.Odd: it is odd")
    )
    assert (lost.kind, lost.text) == ("Odd", "it is odd")
