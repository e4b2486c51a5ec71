"""The engine of this process: one recording after the other, nothing to start, nothing to guard.

A recording that crashes the interpreter ends the run here; use it to debug and in notebooks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from pipeline.batch.engines import Done, Job, Task
from pipeline.errors import RecordingError
from pipeline.judgement import judge_again
from pipeline.run import run_call
from pipeline.schema import CallResult, Failure, Recording, Seconds
from pipeline.speech.models import Models


class InlineEngine:
    """Works on each task in the calling thread; the models are loaded with the first need."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._models: Models | None = None

    def run(self, tasks: Iterable[Task]) -> Iterator[Done]:
        """Work on tasks in order."""
        for task in tasks:
            yield Done(task, self.work(task))

    def work(
        self, task: Task, decoded: Callable[[Seconds], None] = lambda seconds: None
    ) -> CallResult | Failure:
        """Do one task; ``decoded`` is told the length of the audio as soon as it is known."""
        recording = task.recording
        try:
            rubric = self._job.rubrics.of(recording)
            if task.earlier is not None and task.repeated is None:
                return judge_again(task.earlier, recording, self._job.settings, rubric)
            self.load()
            assert self._models is not None
            return run_call(
                recording,
                self._job.settings,
                self._models,
                rubric,
                decoded,
                task.usual,
                earlier=task.earlier,
                repeated=task.repeated or {},
            )
        except RecordingError as error:
            return failure(recording, error)

    def load(self) -> None:
        """Load the models, once."""
        self._models = self._models or self._job.load(self._job.settings)

    def close(self) -> None:
        """Free the models."""
        self._models = None


def failure(recording: Recording, error: RecordingError) -> Failure:
    """The row that one recording costs."""
    return Failure(
        path=recording.path,
        call_id=recording.call_id,
        stage=error.stage,
        error_type=type(error).__name__,
        message=error.message,
        hint=error.hint,
    )
