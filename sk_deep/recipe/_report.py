"""The report of a diagnosis, as text and as a page."""

import base64
import html as escape
import io
import textwrap
from collections.abc import Iterator

import numpy as np

from sk_deep.plots import DiagnosisDisplay
from sk_deep.recipe._measure import Scores

_WIDTH = 88
_OUTCOMES = {
    None: "The first suggestion was not tried.",
    True: "The first suggestion helps, on the same splits.",
    False: "The first suggestion does not help, on the same splits.",
}


# ---- as text -----------------------------------------------------------------------


def text(diagnosis) -> str:
    """Write a diagnosis as a readable report."""
    lines = _lines_of_scores(diagnosis)
    for i, verdict in enumerate(diagnosis.verdicts, start=1):
        lines += ["", *_lines_of_verdict(i, verdict)]
    return "\n".join(lines)


def _lines_of_scores(diagnosis) -> list[str]:
    """Write the name, and the scores beside those of the yardsticks."""
    m = diagnosis.measurements
    lines = [
        f"Diagnosis of {diagnosis.name}: {m.facts.n_samples} rows, "
        f"{m.facts.n_features} features, {diagnosis.n_fits} fits",
        "",
        f"{'scores':18}{'training':>18}{'validation':>18}",
        *(_line_of_scores(*pair) for pair in m.contenders().items()),
    ]
    if m.test_score is not None:
        lines.append(f"{'on the test data':36}{_number(m.test_score, '.3f'):>18}")
    if m.errors:
        failure = f"The network failed, splits: {len(m.errors)}. {m.errors[0]}"
        lines += ["", *_wrapped(failure, "  ")]
    return lines


def _line_of_scores(title: str, scores: Scores) -> str:
    return (
        f"{title:18}{_mean_and_std(scores.train):>18}{_mean_and_std(scores.test):>18}"
    )


def _mean_and_std(values) -> str:
    if not np.isfinite(values).all():
        return "failed"
    return f"{np.mean(values):z.3f} +- {np.std(values):.3f}"


def _number(value: float, form: str = ".4g") -> str:
    """Write a number; it is not finite where fits failed."""
    return format(value, form) if np.isfinite(value) else "failed"


def _lines_of_verdict(i: int, verdict) -> Iterator[str]:
    """Write a verdict, the first with all suggestions, the others with one."""
    yield from _wrapped(f"{i}. {verdict.key}: {verdict.message}", "   ")
    numbers = [f"{name} {_number(value)}" for name, value in verdict.evidence.items()]
    yield from _wrapped(f"   Numbers: {', '.join(numbers)}.", "     ")
    yield from _wrapped(f"   Rule: {verdict.rule}.", "     ")
    yield f"   {_OUTCOMES[verdict.is_confirmed]}"
    for suggestion in verdict.suggestions[: None if i == 1 else 1]:
        yield from _wrapped(f"   Try: {suggestion.sentence}", "     ")
        yield from _wrapped(f"     {suggestion.param_grid}", "      ")


def _wrapped(line: str, indent: str) -> list[str]:
    return textwrap.wrap(line, _WIDTH, subsequent_indent=indent)


# ---- as a page ---------------------------------------------------------------------


def html(diagnosis) -> str:
    """Write a diagnosis as self-contained HTML, with the figures."""
    rows = "".join(_row_of_verdict(verdict) for verdict in diagnosis.verdicts)
    head = escape.escape("\n".join(_lines_of_scores(diagnosis)))
    return (
        f"<div><pre>{head}</pre><table><thead><tr><th>verdict</th><th>numbers</th>"
        f"<th>try</th></tr></thead><tbody>{rows}</tbody></table>"
        f"{_picture(diagnosis)}</div>"
    )


def _row_of_verdict(verdict) -> str:
    numbers = "<br>".join(f"{k}: {_number(v)}" for k, v in verdict.evidence.items())
    tries = "".join(
        f"<li>{escape.escape(suggestion.sentence)}<br>"
        f"<code>{escape.escape(repr(suggestion.param_grid))}</code></li>"
        for suggestion in verdict.suggestions
    )
    cells = [
        f"<b>{verdict.key}</b><br>{escape.escape(verdict.message)}"
        f"<br><small>{escape.escape(verdict.rule)}</small>",
        numbers,
        f"<ol>{tries}</ol>{_OUTCOMES[verdict.is_confirmed]}",
    ]
    style = 'style="text-align: left; vertical-align: top"'
    return f"<tr>{''.join(f'<td {style}>{cell}</td>' for cell in cells)}</tr>"


def _picture(diagnosis) -> str:
    """Embed the figures; without matplotlib return an empty text."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return ""
    figure = Figure(figsize=(12, 6.5), layout="constrained")  # no window
    DiagnosisDisplay(diagnosis.measurements).plot(figure)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=72)
    data = base64.b64encode(file.getvalue()).decode()
    return f'<img alt="what was measured" src="data:image/png;base64,{data}">'
