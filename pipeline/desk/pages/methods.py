"""The methods page: what every number is, how wrong it is, and what the calls were heard with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pipeline.commands.documents import measured, pooled
from pipeline.desk.pages.call import TRIAL_PRESETS, error_text
from pipeline.desk.queries import methods as queries
from pipeline.desk.view import View
from pipeline.measures import KINDS, MEASURES, SCORES


@dataclass(frozen=True, slots=True)
class Method:
    """One measure as it is explained."""

    id: str
    name: str
    unit: str
    definition: str
    formula: str
    pooled: str
    source: str
    target: str
    settings: str
    errors: tuple[tuple[str, str], ...]
    error: str  # of stereo, in short
    of: str  # per speaker or per call


@dataclass(frozen=True, slots=True)
class Heard:
    """Calls of the store that were heard by one preset under one version, settings and rubric."""

    preset: str
    version: str
    settings: str
    rubric: str
    calls: int
    is_trial: bool


@dataclass(frozen=True, slots=True)
class MethodsPage:
    """All that the methods page shows."""

    heard: tuple[Heard, ...]
    measures: tuple[Method, ...]


def measure_data() -> list[dict[str, Any]]:
    """All measures as data, for programs."""
    return [
        {
            "id": one.id,
            "zh": one.zh,
            "en": one.en,
            "kind": one.kind,
            "unit_zh": KINDS[one.kind].unit_zh,
            "unit_en": KINDS[one.kind].unit_en,
            "per": one.per,
            "definition": one.definition,
            "definition_zh": one.definition_zh,
            "formula": one.formula,
            "source": one.source,
            "pool": one.pool,
            "better": one.better,
            "delta": one.delta,
            "delta_is_relative": one.relative,
            "target": one.target,
            "measured": measured(one),
        }
        for one in (*SCORES, *MEASURES)
    ]


def methods_page(view: View) -> MethodsPage:
    """Gather the page."""
    words, scope = view.words, view.scope
    rows = view.figures.known(scope, "heard with", queries.heard_with())
    heard = []
    for row in rows:
        outline = scope.document("rubrics", row.rubric_hash)
        name = f"{words.pick(**outline['name'])} {outline['version']} " if outline else ""
        heard.append(
            Heard(
                preset=row.preset,
                version=row.program_version or "",
                settings=(row.settings_hash or "")[:12],
                rubric=f"{name}{(row.rubric_hash or '')[:12]}",
                calls=row.calls,
                is_trial=row.preset in TRIAL_PRESETS,
            )
        )
    measures = tuple(
        Method(
            id=one.id,
            name=words.pick(one.zh, one.en),
            unit=words.unit(one.kind),
            definition=words.pick(one.definition_zh, one.definition),
            formula=one.formula,
            pooled=pooled(one),
            source=one.source,
            target=one.target,
            settings=", ".join(one.settings),
            errors=tuple(measured(one).items()),
            error=error_text(one, words, is_mono=False),
            of=words(f"methods.per_{one.per}"),
        )
        for one in (*SCORES, *MEASURES)
    )
    return MethodsPage(tuple(heard), measures)
