"""What a run's lines come to, and which runs are refused."""

import pytest

from benchmarks.figures import MEASURES, REST, Figures, Refused, Sample, check, figures, read_line, summary, with_steps

RIGHT = {"records": 4, "tokens": 10, "lines": 2, "panes": 3, "line_tokens": 9, "pane_tokens": 10}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"records": 5}\n', {"records": 5}),
        ('{"records": 5, "tokens": 7}', {"records": 5, "tokens": 7}),
        ("2026-11-23 INFO started", None),
        ('{"level": "info"}', None),
        ('{"records": "5"}', None),
        ('{"records": true}', None),
        ("[1]", None),
        ("", None),
    ],
)
def test_only_counts_are_read(line: str, said: dict[str, int] | None) -> None:
    assert read_line(line) == said


def test_rates_leave_out_what_came_before_the_first_record() -> None:
    samples = [Sample(1, 100.0, 7.0), Sample(51, 101.0, 9.0), Sample(101, 105.0, 10.0)]
    found = figures(samples, 3_000_000)
    assert found == Figures(
        events_per_cpu_s=100 / 3, warm_events_per_cpu_s=50.0, events_per_s=20.0, rss_mb=3.0, cpu_s_whole=10.0
    )


def test_without_a_line_in_the_second_half_nothing_is_called_warm() -> None:
    assert figures([Sample(0, 0.0, 0.0), Sample(10, 1.0, 1.0)], 0).warm_events_per_cpu_s == 0.0


@pytest.mark.parametrize("counts", [[], [5], [1, 9, 8]])
def test_too_few_lines_or_a_count_that_falls_are_refused(counts: list[int]) -> None:
    with pytest.raises(Refused):
        figures([Sample(count, float(i), float(i)) for i, count in enumerate(counts)], 0)


def test_right_results_pass() -> None:
    check("peer", RIGHT, RIGHT)
    check("limit", {"records": 4}, RIGHT, least=("records",))


@pytest.mark.parametrize("key", RIGHT)
def test_a_wrong_or_missing_result_is_refused_and_named(key: str) -> None:
    with pytest.raises(Refused, match=rf"{key} \d+ instead of {RIGHT[key]}"):
        check("peer", {**RIGHT, key: RIGHT[key] + 1}, RIGHT)
    with pytest.raises(Refused, match=f"no {key}"):
        check("peer", {name: value for name, value in RIGHT.items() if name != key}, RIGHT)


def test_what_need_not_be_said_is_checked_all_the_same() -> None:
    with pytest.raises(Refused, match="tokens 11 instead of 10"):
        check("limit", {"records": 4, "tokens": 11}, RIGHT, least=("records",))


def test_the_summary_holds_medians_beside_their_runs() -> None:
    found = summary([Figures(value, 2 * value, 3.0, 4.0, 5.0) for value in (1.0, 9.0, 2.0)], version="1.0")
    assert found["events_per_cpu_s"] == 2.0
    assert found["warm_events_per_cpu_s"] == 4.0
    assert found["version"] == "1.0"
    runs = found["runs"]
    assert isinstance(runs, dict)
    assert set(runs) == set(MEASURES)
    assert runs["events_per_cpu_s"] == [1.0, 9.0, 2.0]


def test_the_steps_of_a_worker_come_to_all_of_its_time() -> None:
    """What no step accounts for is the rest."""
    found = with_steps(Figures(250_000.0, 0.0, 1.0, 1.0, 1.0), 1_000_000, {"decode": 1.0, "insert": 0.5})
    assert found.steps == pytest.approx({"decode": 1.0, "insert": 0.5, REST: 2.5})
    assert summary([found, found])["steps"] == pytest.approx(dict(found.steps))
    assert "steps" not in summary([Figures(1.0, 1.0, 1.0, 1.0, 1.0)])
