"""Value rules against the table of VALUE.md §4, written out again here, and against naive loops."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.errors import ConfigError
from streams.value.documents import FIRST_EVENT_US, NOTICE_US
from streams.value.rules import Rules, RuleSet

SHIPPED = RuleSet.shipped()

# number, words, base value, sized, class: the rules that look at type and labels
TABLE: list[tuple[int, str, int, bool, str]] = [
    (1, "epic|initiative|theme|milestone|release|project", 0, False, "excluded"),
    (3, "revert", 0, False, "supporting"),
    (5, "security|vulnerability|cve|compliance", 1000, True, "core"),
    (6, "incident|outage|sev*|postmortem", 500, False, "supporting"),
    (7, "dependencies|renovate|dependabot", 100, False, "low_value"),
    (8, "format|lint|typo|rename|style", 100, False, "low_value"),
    (9, "admin|status report|meeting|slides|timesheet|newsletter", 100, False, "low_value"),
    (10, "feature|story|feat|improvement|perf|customer request", 1000, True, "core"),
    (11, "bug|defect|fix", 500, True, "core"),
    (12, "tech debt|refactor|migration|infra|build|ci|test", 500, True, "supporting"),
    (13, "docs|runbook", 250, False, "supporting"),
    (14, "spike|research|design|discovery", 250, False, "supporting"),
    (15, "service request|support|question|access", 250, False, "supporting"),
]
LABELS = {"value:core": (1000, "core"), "value:supporting": (500, "supporting"), "value:low": (100, "low_value")}


def naive(item_type: str, labels: list[str], evidence: bool, worked: bool) -> tuple[int, int, bool, str]:
    texts = [text.casefold().replace("-", " ").replace("_", " ") for text in (item_type, *labels)]

    def hit(words: str) -> bool:
        return any(
            text == word or (word.endswith("*") and text.startswith(word[:-1]))
            for word in words.split("|")
            for text in texts
        )

    found = next((row for row in TABLE if hit(row[1])), (16, "", 500, False, "supporting"))
    if found[0] == 1:
        return 1, 0, False, "excluded"
    if evidence:
        return 2, 0, False, "excluded"
    if not worked:
        return 4, 0, False, "excluded"
    if found[0] > 4:
        for label, (base, work_class) in LABELS.items():
            if label in texts[1:]:
                return found[0], base, False, work_class
    return found[0], found[2], found[3], found[4]


def spelt(word: str) -> st.SearchStrategy[str]:
    word = word.replace("*", "1")
    return st.sampled_from(
        [word, word.upper(), word.title(), word.replace(" ", "-"), word.replace(" ", "_"), word + "s", " " + word]
    )


words = st.sampled_from(
    [w for row in TABLE for w in row[1].split("|")] + list(LABELS) + ["", "sev", "task", "Straße"]
).flatmap(spelt)


@given(words, st.lists(words, max_size=3), st.booleans(), st.booleans())
def test_matches_the_table_in_its_order(item_type: str, labels: list[str], evidence: bool, worked: bool) -> None:
    got = SHIPPED.match(item_type, labels, evidence=evidence, worked=worked)
    assert (got.rule, got.base_milli, got.sized, got.work_class) == naive(item_type, labels, evidence, worked)
    assert got.container == (got.rule == 1)
    assert got.excluded == (got.work_class == "excluded")


@pytest.mark.parametrize(
    ("item_type", "labels", "rule"),
    [("Bug", [], 11), ("", ["Tech_Debt"], 12), ("SEV-2", ["bug"], 6), ("bugfix", [], 16)],
)
def test_whole_words_in_any_case(item_type: str, labels: list[str], rule: int) -> None:
    assert SHIPPED.match(item_type, labels, evidence=False, worked=True).rule == rule


def test_the_strongest_label_wins_and_only_as_a_label() -> None:
    got = SHIPPED.match("bug", ["value:low", "VALUE:core"], evidence=False, worked=True)
    assert (got.rule, got.base_milli, got.sized, got.work_class, got.label) == (11, 1000, False, "core", "value:core")
    assert SHIPPED.match("value:core", [], evidence=False, worked=True).unclassified
    assert SHIPPED.match("revert", ["value:core"], evidence=False, worked=True).base_milli == 0


def test_a_label_classifies_what_no_rule_knows() -> None:
    assert SHIPPED.match("thing", [], evidence=False, worked=True).unclassified
    assert not SHIPPED.match("thing", ["value:low"], evidence=False, worked=True).unclassified


def half_up(number: Fraction) -> int:
    return (number + Fraction(1, 2)).__floor__()


@given(
    st.sampled_from(["feature", "bug", "docs"]),
    st.integers(-5, 1_000_005) | st.integers(800, 9000) | st.none(),
    st.sampled_from(["", "search"]),
)
def test_value_is_one_fraction_rounded_half_up(item_type: str, size: int | None, team: str) -> None:
    rules = RuleSet(SHIPPED.effective_from, SHIPPED.rules, SHIPPED.labels, {"": 3000, "search": 5000})
    found = rules.match(item_type, [], evidence=False, worked=True)
    factor = Fraction(1)
    if found.sized and size is not None and 1 <= size <= 1_000_000:
        factor = min(max(Fraction(size, 5000 if team else 3000), Fraction(1, 3)), Fraction(8, 3))
    assert rules.value_milli(found, size, team) == half_up(found.base_milli * factor)


def test_the_cache_stays_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.value.rules.CACHED_MATCHES", 10)
    rules = RuleSet.shipped()
    for n in range(100):
        assert rules.match("bug", [f"label {n}"], evidence=False, worked=True).rule == 11
    assert len(rules._cache) <= 10


def test_rows_hold_the_whole_set() -> None:
    rows = SHIPPED.rows_for_tables()
    assert RuleSet.from_rows(rows) == SHIPPED
    assert RuleSet.from_rows(reversed(rows)) == SHIPPED
    assert {row["kind"] for row in rows} == {
        "container",
        "evidence",
        "closed_without_work",
        "match",
        "unclassified",
        "label",
        "reference",
    }


def test_the_set_in_force_applies() -> None:
    later = RuleSet(FIRST_EVENT_US + 1000, SHIPPED.rules, SHIPPED.labels, {"": 5000})
    rules = Rules.from_rows([*later.rows_for_tables(), *SHIPPED.rows_for_tables()])
    assert [rules.at(FIRST_EVENT_US + t).reference_milli[""] for t in (-1, 0, 999, 1000, 5000)] == [
        3000,
        3000,
        3000,
        5000,
        5000,
    ]


def test_rules_must_cover_every_event_once() -> None:
    with pytest.raises(ConfigError, match="no rules in force"):
        Rules([])
    with pytest.raises(ConfigError, match="no rules in force"):
        Rules([RuleSet(FIRST_EVENT_US + 1, SHIPPED.rules, SHIPPED.labels, {"": 1})])
    with pytest.raises(ConfigError, match="two sets"):
        Rules([SHIPPED, SHIPPED])


def test_a_change_needs_an_hours_notice() -> None:
    now = SHIPPED.effective_from - NOTICE_US
    SHIPPED.check_effective(now)
    with pytest.raises(ConfigError, match=r"default_rules\.toml: effective_from 2015-01-01T00:00:00Z") as refused:
        SHIPPED.check_effective(now + 1)
    assert "2015-01-01T01:00:00Z or later" in refused.value.remedy


HEAD = 'effective_from = 2026-01-01\nreference_points = 3\n[[label]]\nname = "value:core"\nvalue = 1\nclass = "core"\n'
TAIL = """
[[rule]]
number = 2
kind = "evidence"
value = 0
class = "excluded"
[[rule]]
number = 4
kind = "closed_without_work"
value = 0
class = "excluded"
[[rule]]
number = 16
kind = "unclassified"
value = 0.5
class = "supporting"
"""
ONE = '[[rule]]\nnumber = 5\nmatch = ["bug"]\nvalue = 0.5\nclass = "core"\n'


def test_a_minimal_document_is_accepted() -> None:
    rules = RuleSet.from_toml(HEAD + ONE + TAIL, "my.toml")
    assert rules.effective_from == 1_767_225_600_000_000
    assert rules.match("BUG", [], evidence=False, worked=True).base_milli == 500


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("effective_from = soon", r"my\.toml:1: not valid TOML"),
        (HEAD + ONE, "exactly one rule of kind evidence"),
        (HEAD.replace("2026-01-01", '"2026"') + ONE + TAIL, "effective_from is not an instant"),
        (HEAD.replace("2026-01-01", "2026-01-01T00:00:00") + ONE + TAIL, "effective_from is not an instant"),
        (HEAD.replace("points = 3", "points = 0") + ONE + TAIL, "reference of team '': 0 milli-points"),
        (HEAD.replace("points = 3", "point = 3") + ONE + TAIL, "unknown name 'reference_point'"),
        (HEAD + ONE.replace("0.5", "0.00051") + TAIL, "rule 5: value is not a number in steps of 0.001"),
        (HEAD + ONE.replace("0.5", "true") + TAIL, "rule 5: value is not a number"),
        (HEAD + ONE.replace("0.5", '"x"') + TAIL, "rule 5: value is not a number"),
        (HEAD + ONE.replace("0.5", "inf") + TAIL, "rule 5: value is not a number"),
        (HEAD + ONE.replace("0.5", "-1") + TAIL, "rule 5: value -1000 milli is out of range"),
        (HEAD + ONE.replace("core", "major") + TAIL, "rule 5: unknown class 'major'"),
        (HEAD + ONE.replace("core", "excluded") + TAIL, "rule 5: kind match cannot have class excluded"),
        (HEAD + ONE.replace('["bug"]', '"bug"') + TAIL, "rule 5: match is not a list of strings"),
        (HEAD + ONE.replace('"bug"', '"bug", "*"') + TAIL, r"rule 5: pattern '\*' cannot match"),
        (HEAD + ONE.replace('"bug"', '"b*g"') + TAIL, r"rule 5: pattern 'b\*g' cannot match"),
        (HEAD + ONE.replace('"bug"', "") + TAIL, "rule 5: kind match needs patterns"),
        (HEAD + ONE.replace("number = 5", "number = 17") + TAIL, "rule 17: stands after unclassified"),
        (HEAD + ONE.replace("number = 5", "number = 1") + TAIL, "rule 2: evidence stands after a match"),
        (HEAD + ONE.replace("number = 5", 'nr = "5"') + TAIL, "number is missing"),
        (HEAD + ONE + ONE + TAIL, "rule 5: the number is used twice"),
        (
            HEAD + ONE + ONE.replace("= 5", "= 6").replace("bug", "Bug") + TAIL,
            "rule 6: pattern 'bug' is already in rule 5",
        ),
        (HEAD + ONE + "sized = 1\n" + TAIL, "rule 5: sized is not true or false"),
        (HEAD + ONE + 'kind = "best"\n' + TAIL, "rule 5: unknown kind 'best'"),
        (HEAD.replace('"core"', '"excluded"') + ONE + TAIL, "label value:core: is not usable"),
    ],
)
def test_a_wrong_document_names_file_rule_and_remedy(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as refused:
        RuleSet.from_toml(text, "my.toml")
    assert refused.value.setting.partition(":")[0] == "my.toml"
    assert refused.value.remedy
