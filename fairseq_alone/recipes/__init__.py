"""From text to numbers: prepare data, train, generate, evaluate, for translation, headlines and language models.

The commands ``fairseq-alone prepare``, ``train``, ``generate`` and ``evaluate`` are thin layers over these modules.
What differs between presets is data: ``presets/*.toml``.

==================  ====================================================================================
presets             what the recipes know about each preset
values              numbers and choices of the user, checked
work_folder         WORK and its ``prepare.settings``
prepare             the steps from text to ``data-bin``; one module more for each recipe
train               options, command, run folder, workers and batch of a training; one module more for each recipe
execute             runs trainings: processes, log, progress, Ctrl-C
decode, evaluate    average, translate or generate, score
old_variables       the shell scripts' variables, for one release
==================  ====================================================================================
"""
