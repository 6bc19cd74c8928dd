"""`import leia` as a notebook uses it: quick to import, the same rows and blocks as the scripts, the user's own text."""

import subprocess
import sys
from html import unescape
from itertools import islice

import pytest
from test_alignment import KINDS  # every kind of tokenizer
