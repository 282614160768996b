"""``/previews``: every pull request's decision and its reason, for people and for tools."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, StrictUndefined

from previews.admission import Admission, Snapshot
from previews.decision import Decision
from previews.moments import moment

__all__ = ["MOST_LISTED", "as_html", "as_json"]

MOST_LISTED = 500

_PAGE = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True).from_string("""\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Previews</title>
<h1>Previews</h1>
<p>{{ places.taken }} of {{ places.most }} places are taken.
{% if taken %}Facts of <time>{{ taken }}</time>.{% else %}Nobody has asked yet.{% endif %}</p>
{% if trouble %}
<p role="alert">Nothing newer is known: {{ trouble }}</p>
{% endif %}
<table>
<thead><tr><th scope="col">Pull request<th scope="col">Decision<th scope="col">Reason<th scope="col">Head
<th scope="col">Until<th scope="col">Tier<th scope="col">Host</tr></thead>
<tbody>
{% for each in pullRequests %}
<tr><th scope="row">#{{ each.number }}<td>{{ each.verdict }}<td>{{ each.reason }}<td><code>{{ each.head }}</code>
<td>{{ each.expires or "" }}<td>{{ each.tier or "" }}<td>{{ each.host or "" }}</tr>
{% endfor %}
</tbody>
</table>
{% if leftOff %}
<p>{{ leftOff }} more are not listed.</p>
{% endif %}
</html>
""")


def as_json(admission: Admission) -> dict[str, Any]:
    """What was last decided; nothing is asked for it. At most MOST_LISTED pull requests, the oldest first."""
    last = admission.last
    decisions = [decision for _, decision in sorted(last.decisions.items())] if last else []
    return {
        "taken": moment(last.facts.now) if last else None,
        "trouble": str(admission.trouble) if admission.trouble else None,
        "places": {"taken": _taken(last), "most": admission.bounds.max_count},
        "pullRequests": [_row(decision) for decision in decisions[:MOST_LISTED]],
        "leftOff": max(0, len(decisions) - MOST_LISTED),
    }


def as_html(admission: Admission) -> str:
    """The same as a page that loads nothing."""
    return _PAGE.render(as_json(admission))


def _taken(last: Snapshot | None) -> int:
    return len(last.facts.live) if last else 0


def _row(decision: Decision) -> dict[str, Any]:
    item = decision.item
    return {
        "number": decision.number,
        "head": decision.head,
        "verdict": decision.verdict.value,
        "cause": decision.cause.value,
        "reason": decision.reason,
        "expires": moment(item.expires) if item else None,
        "tier": item.running.tier.value if item else None,
        "host": item.host if item else None,
    }
