"""Write docs/recipe.md, the page of verdicts and moves, from the tables.

python docs/make_recipe.py
"""

import sys
from pathlib import Path

from sk_deep.recipe import MOVES, RULES

PAGE = Path(__file__).with_name("recipe.md")
HEAD = """# The recipe: verdicts and moves

`diagnose` asks two questions: good results on the training data? Good results on the
testing data? `RecipeSearchCV` asks them again and again, and makes moves. Both measure
against yardsticks, so that no absolute idea of a good score is needed: a constant
prediction and a linear model, and the diagnosis a plain network, too. Differences of
scores are counted in parts of the *span*, from the constant to the best of them. This
page is written by `python docs/make_recipe.py`.
"""
VERDICTS = """## Verdicts

In the order in which causes are looked for. The first suggestion of each that holds is
tried on the same folds, until one helps: that verdict comes first. All but noise,
imbalance, overfitting and a need of data are looked for only where the network is
behind: a yardstick's validation score is clearly better. Overfitting and a need of data
are not looked for where training is the trouble."""
QUESTIONS = {
    "training": "## Moves: good results on the training data?",
    "testing": "## Moves: good results on the testing data?",
}


def table(titles: list[str], rows: list[list[str]]) -> str:
    """Return a table in Markdown."""
    cells = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    lines = [titles, ["---"] * len(titles), *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def page() -> str:
    """Return the page."""
    verdicts = [[f"`{key}`", row.message, row.rule] for key, row in RULES.items()]
    parts = [HEAD.rstrip(), VERDICTS, table(["verdict", "what", "rule"], verdicts)]
    for question, heading in QUESTIONS.items():
        rows = [
            [f"`{key}`", row.title, row.sentence]
            for key, row in MOVES.items()
            if row.question == question
        ]
        parts += [heading, table(["move", "what", "why"], rows)]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
    sys.stdout.write(f"wrote {PAGE.name}\n")
