"""Packaging of `leia`, with loose ranges; `requirements.txt` pins what the figures were measured with."""

from setuptools import find_packages, setup

setup(
    name="leia",
    version="0.1.0",
    description="Lightweight Entity-based Inter-language Adaptation of language models (arXiv 2402.11485)",
    license="Apache-2.0",
    python_requires=">=3.11,<3.15",
    packages=find_packages(include=["leia", "leia.*"]),
    package_data={
        "leia": [
            *("py.typed", "corpus/*.json", "reports/*.html"),
            *("tasks/**/*.yaml", "tasks/**/*_yaml", "tasks/**/*.py", "tasks/**/*.md"),
        ]
    },
    install_requires=[
        "accelerate>=1.10",
        "click>=8.1",
        "datasets>=4.0",
        "msgspec>=0.19",
        "numpy>=1.26",
        "psutil>=5.9",
        "pyarrow>=17",
        "pyyaml>=6.0",
        "rapidgzip>=0.14",
        "tokenizers>=0.21",
        "torch>=2.6",
        "tqdm>=4.66",
        "transformers>=5.0",
        "wikiextractor>=3.0.7",
        "xxhash>=3.4",
    ],
    extras_require={
        "train": ["deepspeed>=0.16", "matplotlib>=3.9", "peft>=0.17", "tensorboard>=2.18"],
        "eval": ["lm-eval>=0.4.9", "matplotlib>=3.9", "scipy>=1.13"],
        # unidic-lite alone is exact: another dictionary splits other words
        "japanese": ["emoji>=2.8", "fugashi>=1.3", "neologdn>=0.5.2", "rapidfuzz>=3.9", "unidic-lite==1.0.8"],
        "test": [
            "beautifulsoup4>=4.12",  # `scripts/benchmark.py corpus` compares with it, too
            *("hypothesis>=6.100", "playwright>=1.45", "ruff>=0.9"),
            *("pytest>=8", "pytest-timeout>=2.3", "pytest-xdist>=3.6"),
        ],
    },
)
