"""An answer is of the bytes that it names, even if files and models change between and during reads."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.hpa_sdk.identity.runs import Runs
from tests.hpa_sdk.identity.world import DEEDS, World


class AnyOrder(RuleBasedStateMachine):
    """Deeds, streams and resumed runs in any order."""

    def __init__(self) -> None:
        super().__init__()
        self._opened = ExitStack()

    @initialize(
        seed=st.integers(0, 2**32), comparison=st.sampled_from(["time", "content"]), share=st.sampled_from([0, 0.1])
    )
    def begin(self, seed: int, comparison: str, share: float) -> None:
        folder = Path(self._opened.enter_context(TemporaryDirectory()))
        self.world = World(folder / "world", fields=2, seed=seed)
        self.runs = Runs(self.world, folder / "out.csv", "time" if comparison == "time" else "content")
        self._disturbed = self._opened.enter_context(ExitStack())
        self._disturbed.enter_context(self.world.disturbed(share))

    @rule(deed=st.sampled_from(sorted(DEEDS)))
    def do(self, deed: str) -> None:
        self.world.do(deed)

    @rule()
    def load(self) -> None:
        self.runs.load()

    @rule()
    def begin_stream(self) -> None:
        self.runs.begin_stream()

    @rule()
    def begin_run(self) -> None:
        self.runs.begin_run()

    @rule()
    def step(self) -> None:
        self.runs.step()
        assert not self.runs.wrong

    @rule()
    def kill(self) -> None:
        self.runs.stop()

    def teardown(self) -> None:
        if hasattr(self, "runs"):
            self.runs.finish()
            self._disturbed.close()
            # A last run, undisturbed: of what lies there now, and of nothing else.
            self.runs.begin_run()
            self.runs.finish()
            assert not self.runs.wrong
        self._opened.close()


AnyOrder.TestCase.settings = settings(
    max_examples=30, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck)
)
TestAnyOrder = AnyOrder.TestCase
