"""The demo's screen (VALUE.md §7): the story's figures as lines of text, misses and false alerts as prominent as hits. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from rich.text import Text

from streams.local.demo.figures import FATES, Story, TeamStory, Told
from streams.windows.measures import DAY_US

WIDTH: Final = 100
_BARS: Final = "▁▂▃▄▅▆▇█"
_FATE_MARKS: Final = {
    "core": ("█", "core", "green"),
    "supporting": ("▓", "supporting", "cyan"),
    "enabling": ("▒", "review, on-call", "blue"),
    "in_flight": ("░", "in flight", "white"),
    "low_value": ("x", "LOW VALUE", "yellow"),
    "canceled": ("/", "canceled", "yellow"),
    "unattributed": ("?", "NO WORK ITEM", "red"),
    "stalled": ("s", "stalled", "yellow"),
    "after_close": ("c", "after close", "white"),
    "excluded": ("e", "excluded", "white"),
    "unknown_item": ("u", "unknown item", "red"),
}
_SHOWN_TEAMS: Final = 8


def render(story: Story) -> list[Text]:
    """The lines of the screen, top to bottom."""
    return [
        *_head(story),
        *_weeks(story),
        *_fates(story),
        *_teams(story),
        *_alerts(story),
        *_trust(story),
        *_next(story),
    ]


def sparkline(values: Sequence[float | None]) -> str:
    """One character a value, from 0 to the largest; a blank where there is none."""
    top = max((value for value in values if value is not None), default=0.0)
    return "".join(
        " "
        if value is None
        else _BARS[min(int(max(value, 0.0) / top * len(_BARS)), len(_BARS) - 1)]
        if top
        else _BARS[0]
        for value in values
    )


def change(before: float | None, after: float | None) -> str:
    """+31 %; a dot where there is nothing to compare."""
    if before is None or after is None or before <= 0:
        return "."
    percent = round(100 * (after / before - 1))
    return f"{percent:+d} %" if percent else "0 %"


def _head(story: Story) -> Iterator[Text]:
    yield Text.assemble(
        ("tokenworth demo", "bold"),
        f"   {story.days} days, {len(story.teams)} teams, {story.people} people, synthetic traffic with known labels, seed {story.seed}",
    )
    yield Text()
    spend, core = story.spend_usd, story.core_value
    if spend[0] is None or core[0] is None or spend[1] is None or core[1] is None:
        yield Text(f"  LAST WEEK: AI SPEND ${spend[1] or 0:,.0f}, CORE WORK {core[1] or 0:,.0f}", "bold")
        yield Text()
        return
    line = Text(f"  LAST WEEK: AI SPEND {change(*spend)}, CORE WORK {change(*core)}", "bold")
    extra = spend[1] - spend[0]
    if extra > 0 and story.drivers:
        share = round(100 * sum(usd for _, usd in story.drivers) / extra)
        told = f"    {share} % of the extra ${extra:,.0f} came from {len(story.drivers)} of {len(story.teams)} teams"
        line.append(told, "not bold")
    yield line
    yield Text()


def _weeks(story: Story) -> Iterator[Text]:
    rows = (
        ("AI spend a week", "${:,.0f}", story.spend_usd, story.daily_spend_usd, ""),
        ("core work a week", "{:,.0f}", story.core_value, story.daily_core_value, ""),
        ("core value per Mtok", "{:.3f}", story.core_per_mtok, story.daily_core_per_mtok, "   AI-assisted items"),
    )
    for name, form, (before, after), daily, note in rows:
        pair = " -> ".join("." if value is None else form.format(value) for value in (before, after))
        yield Text(f"  {name:<20}{pair:>18}    {sparkline(daily)}{note}")
    yield Text()


def _fates(story: Story) -> Iterator[Text]:
    total = sum(story.fates.values())
    yield Text(f"  Where the ${total / 1e9:,.1f}k of {story.days} days went, as known now")
    if not total:
        return
    shares = {name: story.fates.get(name, 0) / total for name in FATES}
    cells = WIDTH - 4
    bar, filled, reach = Text("  "), 0, 0.0
    for name in FATES:
        mark, _, style = _FATE_MARKS[name]
        reach += shares[name]
        upto = round(reach * cells)
        bar.append(mark * (upto - filled), style)
        filled = upto
    yield bar
    rounded = _rounded(shares)
    lines = [Text("  ")]
    for name in FATES:
        if not rounded[name]:
            continue
        mark, title, style = _FATE_MARKS[name]
        entry = f" {title} {rounded[name]} %  "
        if len(lines[-1]) + len(entry) + 1 > WIDTH:
            lines.append(Text("  "))
        lines[-1].append(mark, style)
        lines[-1].append(entry)
    sums = f"sums to {sum(rounded.values())} % of spend"
    if len(lines[-1]) + len(sums) > WIDTH:
        lines.append(Text("  "))
    lines[-1].append(sums.rjust(WIDTH - 2 - len(lines[-1])))
    yield from lines
    yield Text()


def _rounded(shares: dict[str, float]) -> dict[str, int]:
    """Whole percents that add up to 100, by largest remainder."""
    whole = {name: int(100 * share) for name, share in shares.items()}
    left = round(100 * sum(shares.values())) - sum(whole.values())
    for name in sorted(shares, key=lambda name: whole[name] - 100 * shares[name])[:left]:
        whole[name] += 1
    return whole


def _teams(story: Story) -> Iterator[Text]:
    yield Text(f"  {'by AI spend':<18}{'spend/wk':>15}   {'core work/wk':>14}   {'core per Mtok':>14}   reading")
    for rank, team in _shown(story.teams):
        ratio = "." if team.core_per_mtok is None or team.on_call else f"{team.core_per_mtok:.3f}"
        line = Text(
            f"  #{rank:<3}{team.team:<14}"
            f"{f'${team.spend_usd:,.0f}':>8}{change(team.spend_before_usd, team.spend_usd):>7}   "
            f"{f'{team.core_value:.0f}':>7}{change(team.core_value_before, team.core_value):>7}   "
            f"{ratio:>7}{change(team.core_per_mtok_before, team.core_per_mtok) if ratio != '.' else '.':>7}   "
        )
        line.append(team.reading, "yellow" if team.reading.startswith("!") else "")
        yield line
    if story.teams:
        top = story.teams[0]
        moved = change(top.core_value_before, top.core_value)
        verb = {"-": "fell ", "+": "rose ", "0": "changed by ", ".": ""}[moved[0]]
        work = f" Its core work {verb}{moved.lstrip('+-')}." if verb else ""
        yield Text(f"  A usage leaderboard would put {top.team} first.{work}")
    yield Text()


def _shown(teams: Sequence[TeamStory]) -> list[tuple[int, TeamStory]]:
    """The first three by spend, and those that there is something to say about."""
    ranked = list(enumerate(teams, start=1))
    telling = [entry for entry in ranked if entry[0] <= 3 or entry[1].reading]
    return telling[:_SHOWN_TEAMS]


def _alerts(story: Story) -> Iterator[Text]:
    found = sum(told.found for told in story.told)
    episodes = len(story.told)
    good = found == episodes and not story.false_alerts
    yield Text.assemble(
        ("  Alerts: ", "bold"),
        (
            f"{found} of {episodes} injected episodes found, {len(story.false_alerts)} false in {story.team_days:,} team-days",
            "bold green" if good else "bold red",
        ),
    )
    for told in sorted(story.told, key=lambda told: (told.found, told.found and told.kind != "page")):
        yield _told(told, story.begin_us)
    for alert in story.false_alerts:
        yield Text(
            f"    FALSE   {alert.team:<14} {alert.rule.replace('_', ' '):<26} began {_day(alert.started_us, story.begin_us)}",
            "red",
        )
    if story.quiet:
        yield Text(f"    quiet, as they should be: {', '.join(story.quiet)}")
    yield Text()


def _told(told: Told, begin_us: int) -> Text:
    episode = told.episode
    if not told.found:
        return Text(f"    MISSED  {episode.team:<14} {episode.what}; began {_day(episode.begin_us, begin_us)}", "red")
    first, *more = told.rules
    names = first.replace("_", " ") + (f" (+{len(more)})" if more else "")
    return Text(
        f"    {told.kind:<7} {episode.team:<14} {names:<26} began {_day(episode.begin_us, begin_us)}   told after {_duration(told.after_us)}"
    )


def _trust(story: Story) -> Iterator[Text]:
    records, verified = story.records, story.verified
    equal = "=" if records.add_up else "ARE NOT"
    sum_ = f"{records.applied:,} applied + {records.duplicate:,} duplicate + {records.dead:,} dead letters"
    yield Text.assemble(
        "  Can you trust it?  ", (f"{records.produced:,} records {equal} {sum_}", "" if records.add_up else "bold red")
    )
    yield Text.assemble(
        " " * 21,
        (
            f"{verified.rows:,} stored rows recomputed from the raw events: {verified.different:,} different",
            "" if not verified.different else "bold red",
        ),
    )
    yield Text(
        f"{'':21}tokens known for {100 * story.known_requests:.1f} % of requests, value rules fit {100 * story.rules_fit:.0f} % of items"
    )
    speed = story.speed
    yield Text(
        f"{'':21}{speed.events_per_s:,.0f} events/s on {speed.cores} cores, Kafka to windows in ClickHouse ({speed.seconds:.0f} s);"
        f" {speed.events_per_cpu_s:,.0f} per CPU second of the worker"
    )


def _next(story: Story) -> Iterator[Text]:
    if story.example:
        yield Text.assemble(
            "  Next   ", (f"tokenworth explain {story.example}", "bold"), "      why this item counts as it does"
        )


def _day(at_us: int, begin_us: int) -> str:
    moment = datetime.fromtimestamp(at_us / 1e6, UTC)
    return f"day {(at_us - begin_us) // DAY_US} {moment:%H:%M}"


def _duration(us: int) -> str:
    minutes = round(us / 60e6)
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes / 60:.0f} h" if minutes < 48 * 60 else f"{minutes / 1440:.0f} days"
