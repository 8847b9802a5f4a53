"""The two kinds of error that mean "your input", never "a bug in this package"."""


class SettingError(ValueError):
    """A setting of a module is outside its range.

    Args:
        setting: the name of the keyword argument, for example ``zero_probability``. The fairseq glue turns it into
            the name of the flag.
        problem: what is wrong, as the rest of the sentence: "must be ..., got ...".
    """

    def __init__(self, setting: str, problem: str):
        super().__init__(f"{setting} {problem}")
        self.setting = setting
        self.problem = problem


class UserError(ValueError):
    """Bad input: one sentence that names the flag, file or line. Commands print it without a traceback."""
