"""Video models of others behind the pipeline's seam: they make the last step of the editor, its take.

Such a model takes cameras, or a warped film with a mask of what it shows; it finds no cameras, so these come from
`rap.reconstruction` alone. `kinds` (which checkpoints are known, without torch) may be read by whoever starts a
process; `request` is what a model is asked, made of a scene of `rap.views`; `adapter` runs a pipeline of diffusers as
`rap.pipeline` runs its own: a stream of progress that can be closed; `vace` and `sana_wm` say it in each one's words;
`loading` loads one. Read them in this order. Nothing here is imported before a checkpoint is one of theirs.
"""
