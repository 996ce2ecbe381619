"""The page, by Gradio: one file a panel, and beside it `..._words`, its sentences and button labels as pure functions.

`ui/app.py` imports `quick_start` before all else and builds the page by `layout`; nobody imports a panel but `layout`.
These files may use all of `ui`, but load before torch is there: what brings it is imported for types, or where it is
used. Read `parts` (how a panel shows a session and sends it messages), `layout` (the panels together), then a panel
with its words: input, path (and in it timeline), frame, keys and shape (the Edit tab; frame and shape share
`edit_words`), import, result, verify, compare, keep. `common_words` are those that all panels use, `help_words` the
sheet of shortcuts; `plots` and `raxel_view` are drawn in panels, `api` is what programs call. A button without numbers
that edits the whole path is a pair in `shape_panel.PLAIN_EDITS`.
"""
