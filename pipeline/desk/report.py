"""``callcoach report``: a page of the desk as one file, without script, to send, hear and print.

The page object and the template are those of the page; styles and charts stand in the file, and up to
``MOST_CLIPS`` moments are in it as sound. Nothing in it leads to another host.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files
from typing import Any

import soundfile
from markupsafe import Markup

from pipeline.desk.audit import audit
from pipeline.desk.figures import Figures
from pipeline.desk.pages.agent import AgentPage, Heard, agent_page
from pipeline.desk.pages.call import CallPage, call_page
from pipeline.desk.pages.team import team_page
from pipeline.desk.playback import Recordings
from pipeline.desk.queries import calls as queries
from pipeline.desk.queries.filters import Filters
from pipeline.desk.scope import Scope
from pipeline.desk.view import View, templates
from pipeline.desk.words import LANGUAGES, Words
from pipeline.errors import CallcoachError, UsageError, close_to, nearest
from pipeline.settings import Settings
from pipeline.store import Store, slug_of

MOST_CLIPS, MOST_CLIP_S, LEAD_S = 12, 15.0, 1.0
LOOKED_THROUGH = 5000  # of the newest calls, for an id like one that is none
OPUS_RATES = (8000, 12000, 16000, 24000, 48000)
_LINK = re.compile(r"<a\b[^>]*>(.*?)</a>", re.DOTALL)


def report(
    store: Store,
    settings: Settings,
    *,
    agent: str | None = None,
    team: str | None = None,
    call: str | None = None,
    first: str = "",
    last: str = "",
    language: str = "zh",
    clips: bool = True,
    scope: Scope | None = None,
) -> str:
    """The page of an agent, a team or a call as one HTML file.

    Parameters
    ----------
    store : Store
    settings : Settings
    agent, team, call : str, optional
        Id of the agent, name of the team, or id of the call; one of them.
    first, last : str
        ISO weeks, both included; by default the newest 13 with calls. Not of a call.
    language : {"zh", "en"}
    clips : bool
        Whether moments are in the file as sound.
    scope : Scope, optional
        What the reader may see; by default all of the store.

    Raises
    ------
    UsageError
        If none or several are given, there is none such, or the language is none.
    ParameterError
        If a week or the team is none.
    """
    chosen = next((one for one in LANGUAGES if one == language), None)
    if chosen is None:
        raise UsageError(f'--lang "{language}" is not known.', nearest(language, LANGUAGES))
    if sum(one is not None for one in (agent, team, call)) != 1:
        raise UsageError(
            "A report is of one agent, one team or one call.",
            "Give --agent ID, --team NAME or --call ID.",
        )
    if call is not None and (first or last):
        raise UsageError("A call has no weeks.", "Leave --from and --to out.")
    asked = {"from": first, "to": last} | ({"team": team} if team is not None else {})
    query = tuple((name, value) for name, value in asked.items() if value)
    view = View(
        scope or Scope(store),
        Figures(),
        Words(chosen, settings.time.zone),
        "light",
        "/report",
        query,
    )
    sounds: Mapping[str, str] = {}
    page: Any
    recordings = Recordings(settings.recordings.roots, settings.desk.cache_mib)
    _check_there(view, agent, call)
    try:
        if agent is not None:
            template, page = "agent.html", agent_page(view, slug_of(agent))
            sounds = dict(_clips(view.scope, _of_agent(page), recordings)) if clips else {}
        elif call is not None:
            template, page = "call_report.html", call_page(view, slug_of(call), recordings)
            sounds = dict(_clips(view.scope, _of_call(page), recordings)) if clips else {}
        else:
            template, page = "team.html", team_page(view)
            if not page.rows:
                raise UsageError(
                    f'There is no team "{team}" in these weeks.', "Check --team, --from, --to."
                )
    finally:
        recordings.close()
    audit(view.scope, "report", agent or team or call or "", f"{first}-{last}")
    style = files("pipeline.desk").joinpath("static/desk.css").read_text("utf-8")
    html = (
        templates()
        .get_template(template)
        .render(
            view=view,
            t=view.words,
            page=page,
            layout="report.html",
            inline=True,
            clips=sounds,
            style=Markup(style),  # our own file
            made=view.words.today().isoformat(),
        )
    )
    # A point of a chart stays as it is: within an SVG a span would end it.
    return _LINK.sub(
        lambda link: link[1] if link[1].startswith("<circle") else f"<span>{link[1]}</span>", html
    )


def _check_there(view: View, agent: str | None, call: str | None) -> None:
    """Refuse an agent or a call that the store does not hold, with the nearest id that it does."""
    kind, asked = ("agent", agent) if agent is not None else ("call", call)
    if asked is None:
        return
    if kind == "agent":
        known = list(view.figures.pool(view.scope, Filters()).agents_known)
    else:
        wanted = (queries.of_slug(slug_of(asked)), queries.newest_ids(LOOKED_THROUGH))
        found = (view.scope.rows(view.scope.calls(query)) for query in wanted)
        known = [call_id for rows in found for (call_id,) in rows]
    if slug_of(asked) not in map(slug_of, known):
        close = close_to(asked, known, least=0.0)
        hint = f'The nearest that it holds is "{close}".' if close else "It holds none."
        raise UsageError(f'There is no {kind} "{asked}" in this store.', hint)


def _of_agent(page: AgentPage) -> list[Heard]:
    """The moments of an agent's page, in its order."""
    groups = [one.moments for one in page.praise]
    groups += [page.focus.moments if page.focus else (), page.listen]
    return [one for group in (*groups, *(h.moments for h in page.habits)) for one in group]


def _of_call(page: CallPage) -> list[Heard]:
    """The moments of a call's verdicts: what to change first, then what was well done."""
    return [
        Heard(page.slug, page.name, card.item, "", card.evidence.moment, name == "pass")
        for name in ("fail", "pass", "cannot_tell")
        for card in page.tabs.get(name, ())
    ]


def _clips(
    scope: Scope, moments: Iterable[Heard], recordings: Recordings
) -> Iterator[tuple[str, str]]:
    """The first moments as ``data:`` addresses, by call and second."""
    wanted = {key_of(one): one for one in moments if one.moment is not None}
    made = 0
    for key, one in wanted.items():
        if made == MOST_CLIPS:
            return
        sound = _clip(scope, one, recordings)
        if sound is not None:
            made += 1
            yield key, sound


def key_of(one: Heard) -> str:
    """What names a moment among the clips."""
    return f"{one.slug}@{one.moment.start:.2f}" if one.moment else ""


def _clip(scope: Scope, one: Heard, recordings: Recordings) -> str | None:
    """One moment as Opus, from 1 s before to 1 s after; None where the recording cannot be had."""
    assert one.moment is not None
    row = scope.call(one.slug)
    try:
        found = recordings.of_call(scope, row)
        if found is None:
            return None
        start = max(0.0, one.moment.start - LEAD_S)
        end = min(one.moment.end + LEAD_S, start + MOST_CLIP_S)
        with soundfile.SoundFile(found.path) as file:
            rate = file.samplerate
            file.seek(min(round(start * rate), file.frames))
            samples = file.read(round((end - start) * rate), dtype="float32", always_2d=True)
        out = io.BytesIO()
        kind = "OPUS" if rate in OPUS_RATES else "VORBIS"
        soundfile.write(out, samples, rate, format="OGG", subtype=kind)
    except (CallcoachError, soundfile.LibsndfileError, OSError):
        return None
    return "data:audio/ogg;base64," + base64.b64encode(out.getvalue()).decode()
