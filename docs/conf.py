"""How the documentation is built: ``sphinx-build -W docs docs/_build`` from the root of the repository.

Pages of components, modules and commands are generated from the code (``docs/_ext``), and the tutorials in
``docs/gallery`` run while it builds, so neither can say what is no longer true.
"""

import sys
from pathlib import Path

import slotaudio

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "slotaudio"
author = "The slotaudio developers"
project_copyright = "2026, The slotaudio developers. Apache-2.0"
version = release = slotaudio.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.intersphinx",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "myst_parser",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
    # ours, in _ext
    "repository",
    "shapes",
    "papers",
    "api_pages",
    "command_pages",
    "component_pages",
]
exclude_patterns = ["_build", "gallery", "sg_execution_times.rst", "**/sg_execution_times.rst", "README.md"]
nitpicky = False
default_role = "py:obj"
suppress_warnings = [
    "config.cache",  # the gallery's scraper is a function, which cannot be pickled
    "myst.header",  # pages of results, which are also read elsewhere, may begin where they like
    "misc.highlighting_failure",  # sessions with an ellipsis
    "ref.python",  # a parameter in a docstring may have the name of more than one attribute elsewhere
]

# -- the code ---------------------------------------------------------------------------------------------------
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_inherit_docstrings = False
autodoc_mock_imports = ["gradio"]  # an extra that the documentation does not need
autodoc_default_options = {"members": True, "special-members": "__call__", "ignore-module-all": True}
python_use_unqualified_type_names = True
maximum_signature_line_length = 80
napoleon_use_param = False  # several parameters share a line: "gap, pause: seconds"
napoleon_use_rtype = False
napoleon_preprocess_types = False
viewcode_line_numbers = True

# Links to other projects need the network: `SLOTAUDIO_DOCS_ONLINE=1 sphinx-build ...` makes them.
import os  # noqa: E402

intersphinx_mapping = (
    {
        "python": ("https://docs.python.org/3", None),
        "torch": ("https://docs.pytorch.org/docs/stable", None),
    }
    if os.environ.get("SLOTAUDIO_DOCS_ONLINE")
    else {}
)

# -- the text ---------------------------------------------------------------------------------------------------
myst_enable_extensions = ["colon_fence", "deflist", "fieldlist", "dollarmath", "attrs_inline"]
myst_heading_anchors = 3
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
linkcheck_timeout = 20
linkcheck_anchors = False
linkcheck_ignore = [r"http://127\.0\.0\.1"]  # the page of `demo --web`
linkcheck_exclude_documents = [r"reference/api/.*"]  # papers there are on the components' pages too
linkcheck_report_timeouts_as_broken = False
linkcheck_allowed_redirects = {r"https://doi\.org/.*": r".*", r"https://pluggy\.readthedocs\.io": r".*"}

# -- the tutorials ----------------------------------------------------------------------------------------------
smartquotes = False  # an option has two dashes, also in a sentence
sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "tutorials",
    "filename_pattern": r"\.py$",
    "within_subsection_order": "FileNameSortKey",
    "image_scrapers": ("gallery.scrape",),
    "reset_modules": ("gallery.reset",),
    "capture_repr": ("_repr_html_", "__repr__"),
    "ignore_repr_types": r"matplotlib\.figure",
    "abort_on_example_error": False,
    "only_warn_on_example_error": False,
    "show_memory": False,
    "min_reported_time": 1000,
    "default_thumb_file": str(Path(__file__).parent / "_static" / "thumbnail.png"),
    "download_all_examples": False,
    "remove_config_comments": True,
    "plot_gallery": True,
    "copyfile_regex": r".*\.(toml|csv)$",
}

# -- the pages --------------------------------------------------------------------------------------------------
html_theme = "furo"
html_title = "slotaudio"
html_static_path = ["_static"]
html_css_files = ["slotaudio.css"]
html_favicon = "_static/mark.svg"
html_logo = "_static/mark.svg"
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "sidebar_hide_name": False,
    "navigation_with_keys": True,
    "light_css_variables": {"color-brand-primary": "#1971c2", "color-brand-content": "#1864ab"},
    "dark_css_variables": {"color-brand-primary": "#74c0fc", "color-brand-content": "#74c0fc"},
}
