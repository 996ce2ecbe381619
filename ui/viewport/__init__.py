"""The path in 3D, by viser: a scene is a value, drawn part by part; gestures come back as messages.

`ui.session` makes the `scene.ViewportScene` and owns a `lazy.LazyViewport`, which is a `viewport.Viewport` as soon as a
page looks; `ui.page` may take colours from `palette` and the shape of a frustum from `frustum_shape`, so that plots
look alike. Of the editor only `ui.document` is used here. Read `scene` (what can be shown), `viewport` (what draws it,
the camera, clicks), then the part in question: `frusta`, `paths`, `clouds`, `gizmo`, `surroundings`, `overview` (from
where all of it is seen), `placing` (poses to the bit), `inner_server` (viser without a port).
"""
