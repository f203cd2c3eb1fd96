"""The demo's facts for machines: what the screen shows, in the units of the store."""

from __future__ import annotations

from typing import Any

from streams.local.demo.figures import Story


def as_facts(story: Story, seconds: float) -> dict[str, Any]:
    """The document of `tokenworth demo --json`. Money in micro-USD of standard cost, value in milli-items, times in seconds."""
    return {
        "seed": story.seed,
        "days": story.days,
        "people": story.people,
        "seconds": round(seconds, 1),
        "events": {
            "produced": story.records.produced,
            "applied": story.records.applied,
            "duplicate": story.records.duplicate,
            "dead": story.records.dead,
        },
        "verify": {"rows": story.verified.rows, "different": story.verified.different},
        "alerts": {
            "episodes": len(story.told),
            "detected": sum(told.found for told in story.told),
            "false": len(story.false_alerts),
            "told": [
                {
                    "kind": told.episode.kind,
                    "team": told.episode.team,
                    "rules": list(told.rules),
                    "after_s": told.after_us // 1_000_000 if told.found else None,
                }
                for told in story.told
            ],
        },
        "fates": dict(story.fates),
        "events_per_s": round(story.speed.events_per_s),
        "events_per_cpu_s": round(story.speed.events_per_cpu_s),
        "known_requests": round(story.known_requests, 4),
        "rules_fit": round(story.rules_fit, 4),
        "teams": [
            {
                "team": team.team,
                "standard_cost_micro_usd": round(team.spend_usd * 1e6),
                "standard_cost_before_micro_usd": _micro(team.spend_before_usd),
                "core_value_milli": round(team.core_value * 1000),
                "core_value_before_milli": None
                if team.core_value_before is None
                else round(team.core_value_before * 1000),
                "core_per_mtok": team.core_per_mtok,
                "core_per_mtok_before": team.core_per_mtok_before,
                "reopened": team.reopened,
                "shares": {fate: round(share, 4) for fate, share in team.shares.items()},
                "reading": team.reading,
            }
            for team in story.teams
        ],
    }


def _micro(usd: float | None) -> int | None:
    return None if usd is None else round(usd * 1e6)
