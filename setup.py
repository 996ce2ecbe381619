"""What pyproject.toml cannot say: packages that are found, and one more whose folder has another name.

`assets` stays at the top of the checkout, where the cards and pictures link to it, and is installed as `rap/assets`.
"""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["rap", "rap.*", "ui", "ui.*"]), "rap.assets"],
    package_dir={"rap.assets": "assets"},
    package_data={"rap": ["py.typed"], "ui": ["py.typed"], "rap.assets": ["*", "**/*"]},
    include_package_data=False,  # only the above: not what else a source distribution holds
)
