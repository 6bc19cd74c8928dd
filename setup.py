"""Packaging of `leia`. No lower version has been tried (docs/reliability.md); `requirements.txt` pins the newest."""

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
        "accelerate>=1.15",
        "ahocorasick-rs>=1.0",
        "click>=8.5",
        "datasets>=5.2",
        "msgspec>=0.22",
        "numpy>=2.4",
        "psutil>=7.2",
        "pyarrow>=26.0",
        "pyyaml>=6.0",
        "rapidgzip>=0.16",
        "sentencex>=1.0",
        "tokenizers>=0.23",
        "torch>=2.11",
        "tqdm>=4.70",
        "transformers>=5.17",
        "wikiextractor>=3.1",
        "xxhash>=4.1",
    ],
    extras_require={
        "train": ["deepspeed>=0.19", "matplotlib>=3.11", "peft>=0.21", "tensorboard>=2.21"],
        "eval": ["lm-eval>=0.4.13", "matplotlib>=3.11", "scipy>=1.17"],
        # unidic-lite alone is exact: another dictionary splits other words
        "japanese": ["emoji>=2.16", "fugashi>=1.5", "neologdn>=0.5.6", "rapidfuzz>=3.14", "unidic-lite==1.0.8"],
        "retrieval": ["ir-datasets>=0.6", "ir-measures>=0.4", "scipy>=1.17", "sentence-transformers>=6.2"],
        "test": [
            "beautifulsoup4>=4.15",  # `scripts/benchmark.py corpus` compares with it, too
            *("hypothesis>=6.170", "playwright>=1.65", "ruff>=0.17"),
            *("pytest>=9.2", "pytest-timeout>=2.4", "pytest-xdist>=3.8"),
        ],
    },
)
