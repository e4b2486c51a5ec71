"""What pyproject.toml cannot say: configs and the manifest of weights travel inside the package."""

from pathlib import Path
from shutil import copytree

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
CARRIED = ("configs", "models")  # folders at the top of the project, found in the package by name


class BuildWithConfigs(build_py):
    """Copy the user's folders into the package that is built; an editable install reads them in place."""

    def run(self) -> None:
        """Build the package, then add the folders."""
        super().run()
        if not self.editable_mode:
            for name in CARRIED:
                copytree(ROOT / name, Path(self.build_lib, "pipeline", name), dirs_exist_ok=True)


setup(cmdclass={"build_py": BuildWithConfigs})
