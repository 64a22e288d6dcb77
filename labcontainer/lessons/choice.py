"""A prediction in the browser: one choice, then the explanation. Built of ipywidgets alone, so it follows the theme."""

from __future__ import annotations

from typing import Any

import ipywidgets  # type: ignore[import-untyped]

from labcontainer.lessons.prediction import Prediction, paragraph, prose


def choice(prediction: Prediction) -> ipywidgets.Widget:
    """A fresh widget for `prediction`: a radio group which, once used, is locked and explained."""
    question = ipywidgets.HTML(paragraph(f"<strong>Predict:</strong> {prose(prediction.question)}"))
    options = ipywidgets.RadioButtons(
        options=[(f"{letter}:  {text.replace('`', '')}", letter) for letter, text in prediction.options.items()],
        value=None,
        layout=ipywidgets.Layout(width="100%"),
        tooltip="Your prediction",
    )
    explanation = ipywidgets.HTML(paragraph("<em>Choose, and the explanation opens.</em>"))

    def answered(change: dict[str, Any]) -> None:
        if change["new"] is None:
            return
        options.disabled = True  # a prediction is made once; running the cell again asks again
        explanation.value = prediction.answer(change["new"]).html

    options.observe(answered, names="value")
    return ipywidgets.VBox([question, options, explanation])
