"""Text that strangers wrote (titles, names, labels), made harmless where it is shown: terminal, Markdown, LaTeX."""

_STEERING = (
    *range(0x80, 0xA0),  # control characters of eight bits
    *(0x2028, 0x2029),  # line and paragraph separators
    *range(0x202A, 0x202F),  # these two: text set against its own direction
    *range(0x2066, 0x206A),
)
_SYMBOLS = {
    **{code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\n\t"},
    0x7F: "\u2421",
    **{code: f"\\u{code:04x}" for code in _STEERING},
}
_MARKDOWN = {ord(letter): f"\\{letter}" for letter in "\\`*_[]<>|&#~$"}
_LATEX = str.maketrans(
    {
        **{letter: f"\\{letter}" for letter in "{}$&#%_"},
        **{"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"},
        **{"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}"},
    }
)


def visible(text: str) -> str:
    """`text` with each control character, escape and override of the writing direction as a symbol (`\u241b`)."""
    return text.translate(_SYMBOLS)


def one_line(text: str) -> str:
    """`visible`, in one line."""
    return visible(" ".join(text.split()))


def markdown(text: str) -> str:
    """`text` in one line with nothing in it that Markdown or a table of it would act on."""
    return one_line(text).translate(_MARKDOWN)


def latex(text: str) -> str:
    """`text` in one line with nothing in it that LaTeX would act on."""
    return one_line(text).translate(_LATEX)
