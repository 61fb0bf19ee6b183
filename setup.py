"""Puts the zoo (firmware/models) into wheels, as ebnn/models; everything else stands in pyproject.toml."""

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class WithModels(build_py):
    """The usual copying of the package, then that of the models; an editable install finds them in the checkout."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        for source in sorted(Path("firmware/models").glob("*/*.*")):
            target = Path(self.build_lib, "ebnn", "models", source.parent.name, source.name)
            self.mkpath(str(target.parent))
            self.copy_file(str(source), str(target))


setup(cmdclass={"build_py": WithModels})
