"""LEIA: cross-lingual adaptation of language models by English names beside Wikipedia links (arXiv 2402.11485).

The rooms, in the order in which an article walks through them: `corpus` (dumps to articles), `data` (articles to
training blocks), `training` (blocks to a model), `evaluation` and `tasks` (a model to scores), `tables` and `reports`.
All stand on `base`.
"""
