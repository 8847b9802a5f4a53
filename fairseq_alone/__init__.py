"""Transformers whose embedding table is computed instead of stored, as a fairseq plugin.

Importing this package, or its ``modules``, imports no fairseq and changes nothing in one that is loaded. Architectures,
criterions, tasks and optimizers are registered by :func:`fairseq_alone.plugin.register`, which runs when fairseq loads
the package for ``--user-dir`` and when ``fairseq_alone.models``, ``criterions``, ``tasks`` or ``optim`` is imported.
"""

__version__ = "0.1.0"

# The modules of the package import one another by this name; a copy of the folder under another name would mix with an
# installed package, if there is one.
if __name__ != "fairseq_alone":
    raise ImportError(
        f"the folder of this package must be called fairseq_alone, but --user-dir or an import calls it {__name__}: "
        "rename it, or give --user-dir the folder that `fairseq-alone path` prints"
    )


class _PackagePath(list):
    # For --user-dir, fairseq imports the package and all files of tasks/ and models/, but only where nobody imported
    # the package before. Else it just looks whether the folder is among those of the package: here.
    def __contains__(self, folder: object) -> bool:
        found = super().__contains__(folder)
        if found:
            from fairseq_alone import plugin

            plugin.register()
        return found


__path__ = _PackagePath(__path__)
