"""How Sphinx makes the site: `make docs`, offline, and a warning is an error."""

import inspect
import sys
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import make_pictures

import sk_deep

project = "sk_deep"
author = "The sk_deep developers"
version = release = sk_deep.__version__
extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build"]
templates_path = ["_templates"]
html_theme = "pydata_sphinx_theme"
html_title = "sk_deep"
html_theme_options = {
    "navigation_with_keys": False,
    "show_toc_level": 2,
    "secondary_sidebar_items": ["page-toc"],
}
html_show_sourcelink = False
pygments_style = "a11y-high-contrast-light"

autosummary_generate = True
autodoc_typehints = "none"  # the docstrings tell more
numpydoc_show_class_members = False
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence"]
# scikit-learn's own docstrings refer to its glossary and its guide
suppress_warnings = ["ref.term", "ref.ref"]

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "subsection_order": [
        f"../examples/{section}"
        for section in ("start", "training", "testing", "tasks", "tools")
    ],
    "within_subsection_order": "gallery_conf.ByLesson",
    "reset_modules": ("gallery_conf.reset",),
    "filename_pattern": "/plot_",
    "download_all_examples": False,
    "show_signature": False,
    "abort_on_example_error": True,
}


def setup(app):
    """Write the pages of options; examples may train few epochs without a word."""
    warnings.filterwarnings("ignore", message=".*Maximum iterations")
    app.connect("autodoc-skip-member", _skip)
    make_pictures.write_pages()


def _skip(app, what, name, obj, skip, options):
    """Leave out what scikit-learn adds for metadata routing."""
    is_routing = name.startswith("set_") and name.endswith("_request")
    return True if is_routing or inspect.ismodule(obj) else skip
