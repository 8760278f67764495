"""What the server answers to each question, as plain data."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from campaign.analysis.rows import METRICS, Metric
from campaign.dashboard.trials import Page, command_of, trials_of
from campaign.dashboard.view import Filter, View
from campaign.dashboard.watch import Watch, WatchedCampaign
from campaign.errors import SpecError

Query = Mapping[str, Sequence[str]]
"""Name -> its values, as `urllib.parse.parse_qs` gives them."""


class Answers:
    """Answers questions about what is watched.

    Every method takes the query of the question and raises SpecError where it makes no sense.

    Args:
        watch: The campaigns.
        links: Name -> address of what else is served, such as MLflow; may grow meanwhile.
    """

    def __init__(self, watch: Watch, links: Mapping[str, str]) -> None:
        self._watch, self._links = watch, links

    def routes(self) -> dict[str, Callable[[Query], dict[str, Any]]]:
        """Path -> what answers it."""
        return {
            "/api/campaigns": self.campaigns,
            "/api/campaign": self.campaign,
            "/api/trials": self.trials,
            "/api/trial": self.trial,
        }

    def campaigns(self, query: Query) -> dict[str, Any]:
        """All campaigns in brief."""
        found = [campaign.overview for campaign in self._watch.campaigns.values()]
        return {"root": str(self._watch.root), "links": dict(self._links), "campaigns": found}

    def campaign(self, query: Query) -> dict[str, Any]:
        """One campaign: its progress, and the curves that pass the filters."""
        campaign = self._campaign(query)
        view = campaign.ask()
        if view is None:
            return {"overview": campaign.overview, "details": None, "chart": None}
        metric = _one(query, "metric", "top1")
        if metric not in METRICS:
            raise SpecError(f"metric: got {metric!r}; allowed: {', '.join(METRICS)}")
        wanted = Filter(
            cast("Metric", metric),
            _one(query, "model"),
            _one(query, "dtype"),
            _one(query, "variant"),
            tuple(query.get("method", ())),
            tuple(query.get("t", ())),
        )
        chart = view.chart(wanted)
        return {"overview": view.overview, "details": view.details, "chart": chart}

    def trials(self, query: Query) -> dict[str, Any]:
        """The trials behind a point of a curve."""
        page = Page(
            _one(query, "setup"),
            _number(query, "ber", float),
            _one(query, "sort", "seed"),
            _one(query, "down") == "1",
            _number(query, "offset", int, "0"),
            _number(query, "limit", int, "100"),
        )
        return trials_of(self._view(query)[1].snapshot, page)

    def trial(self, query: Query) -> dict[str, Any]:
        """One trial whole, and the command that runs it again."""
        campaign, view = self._view(query)
        trial_id = _one(query, "id")
        row = campaign.whole_row(trial_id, view)
        command = command_of(view.folder, trial_id, runs_code=row["model"] in view.run_code)
        return {"row": row, "command": command, "read": time.time()}

    def _view(self, query: Query) -> tuple[WatchedCampaign, View]:
        campaign = self._campaign(query)
        view = campaign.ask()
        if view is None:
            raise SpecError(f"name: {campaign.name} is not read yet; try again in a moment")
        return campaign, view

    def _campaign(self, query: Query) -> WatchedCampaign:
        name = _one(query, "name")
        campaign = self._watch.campaigns.get(name)
        if campaign is None:
            raise SpecError(f"name: no campaign {name!r} under {self._watch.root}")
        return campaign


def _one(query: Query, name: str, usual: str = "") -> str:
    return query[name][0] if query.get(name) else usual


def _number(query: Query, name: str, kind: Callable[[str], Any], usual: str = "") -> Any:  # noqa: ANN401
    text = _one(query, name, usual)
    try:
        return kind(text)
    except ValueError:
        raise SpecError(f"{name}: got {text!r}; allowed: a number") from None
