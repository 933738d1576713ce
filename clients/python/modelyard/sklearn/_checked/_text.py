"""Vectorizers: each value of a vocabulary is the index of a column, which nothing checks again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from modelyard.sklearn._checked._entry import Entry, Table
from modelyard.sklearn._checked._kinds import (
    Contradiction,
    Kind,
    Owner,
    boolean,
    floats,
    none,
    one_of,
    optional,
    part,
    row,
    sequence,
    text,
    whole,
)
from modelyard.sklearn._checked._preprocessing import element_type

_ATOM = r"(?:\\[wWdDsS]|\[[^\[\]\\]*(?:\\[wWdDsS.\-][^\[\]\\]*)*\]|[A-Za-z0-9 _@#-])"
# One repeated set of characters at the end, so that a search never goes back over the text.
_LINEAR_PATTERN = re.compile(
    rf"(?:\(\?u\))?(?P<begin>\\b)?{_ATOM}*(?P<last>{_ATOM})(?:\+|\{{\d,?\}})?(?P<end>\\b)?"
)
_LONGEST_PATTERN = 100
_ENCODINGS = one_of("utf-8", "utf8", "ascii", "latin-1", "latin1", "iso-8859-1", "cp1252", "utf-16")


def _pattern(value: Any, owner: Owner) -> None:
    """Accept a token pattern whose search takes time in proportion to the text."""
    text(value, owner)
    found = _LINEAR_PATTERN.fullmatch(value)
    long = len(value) > _LONGEST_PATTERN
    if long or found is None or (found["end"] and not found["begin"]):
        raise Contradiction(
            "is none of the patterns that are known to be quick, such as '(?u)\\b\\w\\w+\\b'"
        )


def _vocabulary(value: Any, owner: Owner) -> None:
    """Accept terms with the columns 0 to n - 1, each of them once."""
    if type(value) is not dict:
        raise Contradiction(f"is a {type(value).__name__}, not a dict")
    for term, column in value.items():
        text(term, owner)
        whole(0, len(value))(column, owner)
    if len(set(value.values())) != len(value):
        raise Contradiction("has a column of two terms")


_WORDS: Mapping[str, Kind] = {
    "token_pattern": optional(_pattern),
    "encoding": _ENCODINGS,
    "dtype": element_type,
    "preprocessor": none,
    "tokenizer": none,
    "analyzer": one_of("word", "char", "char_wb"),
    "ngram_range": row(whole(1, 1001), whole(1, 1001)),
}
_COUNTED: Mapping[str, Kind] = {
    "fixed_vocabulary_": boolean,
    "_stop_words_id": whole(),
    "vocabulary_": _vocabulary,
    "stop_words_": lambda value, owner: sequence(text)(sorted(map(str, value)), owner),
}


def _records(owner: Owner) -> None:
    owner.require("vocabulary_", "feature_names_")
    if len(owner.attributes["feature_names_"]) != len(owner.attributes["vocabulary_"]):
        raise Contradiction("has names of other features than its own")


TABLE: Table = {
    "sklearn.feature_extraction.text.CountVectorizer": Entry(
        parameters=_WORDS, fitted=_COUNTED, width=False
    ),
    "sklearn.feature_extraction.text.TfidfVectorizer": Entry(
        parameters=_WORDS,
        always={"_tfidf": part("sklearn.feature_extraction.text.TfidfTransformer")},
        fitted=_COUNTED,
        width=False,
    ),
    "sklearn.feature_extraction.text.TfidfTransformer": Entry(fitted={"idf_": floats("features")}),
    "sklearn.feature_extraction.text.HashingVectorizer": Entry(
        parameters=_WORDS, fitted={}, width=False
    ),
    "sklearn.feature_extraction.FeatureHasher": Entry(
        parameters={"dtype": element_type}, fitted={}, width=False
    ),
    "sklearn.feature_extraction.DictVectorizer": Entry(
        parameters={"dtype": element_type},
        fitted={"feature_names_": sequence(text), "vocabulary_": _vocabulary},
        width=False,
        further=_records,
    ),
    "sklearn.feature_extraction.image.PatchExtractor": Entry(
        parameters={"patch_size": optional(row(whole(1), whole(1)))}, fitted={}, width=False
    ),
}
