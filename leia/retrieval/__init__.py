"""Pretraining for cross-lingual retrieval (doi 10.1145/3442381.3449830): aligned sections, a re-ranker, its MAP."""
