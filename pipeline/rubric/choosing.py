"""Which rubric judges which call: by queue, team and direction, as the settings say."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from functools import cached_property

from pipeline.rubric.calibration import read_calibration
from pipeline.rubric.load import Rubric, load_rubric
from pipeline.schema import Recording
from pipeline.settings import Settings, config_path
from pipeline.text.intents import IntentReader


@dataclass
class Rubrics:
    """The rubric of each call, each file loaded once."""

    settings: Settings
    _loaded: dict[str, Rubric] = field(default_factory=dict)

    @cached_property
    def meaning(self) -> IntentReader:
        """What reads the intents of all rubrics: one embedder, loaded once."""
        return IntentReader.from_settings(self.settings.intents)

    def of(self, recording: Recording) -> Rubric:
        """The rubric that judges this recording."""
        rules = self.settings.compliance
        name = (
            rules.rubric_by_queue.get(recording.queue or "")
            or rules.rubric_by_team.get(recording.team or "")
            or (rules.rubric_outbound if recording.direction == "outbound" else None)
            or rules.rubric
        )
        return self.load(name)

    def load(self, name: str) -> Rubric:
        """Load one rubric file, once."""
        if name not in self._loaded:
            rubric = load_rubric(
                config_path(name),
                meaning=self.meaning,
                min_judged_share=self.settings.compliance.min_judged_share,
            )
            limit = self.settings.compliance.min_probability
            if limit is not None:
                own = hashlib.sha256(f"{rubric.sha256} {limit}".encode()).hexdigest()
                hearing = rubric.hearing.model_copy(update={"min_probability": limit})
                rubric = replace(rubric, hearing=hearing, sha256=own)
            if (file := self.settings.compliance.calibration) is not None:
                coefficients = read_calibration(config_path(file))
                said = json.dumps(coefficients, sort_keys=True)
                own = hashlib.sha256(f"{rubric.sha256} {said}".encode()).hexdigest()
                rubric = replace(rubric, coefficients=coefficients, sha256=own)
            self._loaded[name] = rubric
        return self._loaded[name]

    def all(self) -> tuple[Rubric, ...]:
        """Load every rubric the settings name, so that a mistake is known before the night.

        Heads of intents are trained here where they are not ready, once and not in every worker.

        Raises
        ------
        RubricError, SettingsError
            If one is not valid or not there.
        """
        rules = self.settings.compliance
        names = [rules.rubric, *rules.rubric_by_queue.values(), *rules.rubric_by_team.values()]
        names += [rules.rubric_outbound] if rules.rubric_outbound else []
        rubrics = tuple(self.load(name) for name in dict.fromkeys(names))
        for rubric in rubrics:
            rubric.meaning.prepare((), rubric.intents)
        return rubrics

    def item_names(self) -> dict[str, str]:
        """Chinese name of each item by its id, over all rubrics of the settings."""
        return {item.id: item.name_zh for rubric in self.all() for item in rubric.items}
