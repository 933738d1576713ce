"""Why an answer differs from MLflow's."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """A decision of ours, or a defect of MLflow's, in a sentence for the page."""

    ALIASES = "Aliases are told wherever a version is told, in searches and `latest_versions` too."
    ALIAS_NAMES = (
        "An alias may not be the name of a stage or a number: a version is also found by its stage."
    )
    BY_STAGE = "A version is found by its number, its stage or its alias."
    CODE = (
        "Refused by both with 400; the code says what is wrong where MLflow's says something else."
    )
    CRASH = "MLflow answers 500 or an HTML page; here it works, or is refused with 400."
    DEFAULTS = "What is left out has a default, where MLflow insists on it."
    GRAMMAR = (
        "Filters understand more: OR, NOT, parentheses, IN, IS NULL, and every attribute by name."
    )
    GRAMMAR_STRICT = "A filter that breaks off, or that runs two conditions together, is refused."
    INFINITE = (
        'Infinities are kept and told as "Infinity" and "-Infinity", not as the largest number.'
    )
    LIMITS = (
        "What is longer than the documented limit is refused; MLflow cuts params and tags off, and "
        "does not check names and descriptions."
    )
    LOCATION = "Artifacts lie where the server puts them; another `artifact_location` is refused."
    LOGGED_STATUS = "A filter on a logged model's status finds it; MLflow's matches nothing."
    MORE = "The answer says more: what was stored and MLflow leaves out."
    MULTIPART = "Uploads in parts work; MLflow's server offers them with some stores only."
    NOT_FOUND = "What does not exist is answered with 404, where MLflow answers 400 or success."
    NOW = "A time that is left out is now."
    NUMBERS = (
        "The numbers of versions are never used again: not after a model was deleted, and no model "
        "takes a name that has had versions."
    )
    ONE_HOLDER = (
        "At most one version is in Staging and one in Production; its predecessor moves on."
    )
    OWNERS = (
        "Artifacts belong to a run, a logged model or a pinned manifest; other paths do not exist."
    )
    PINNED = (
        "A source of this server is read when it is registered: it must be there, and the version "
        "says where its bytes come from."
    )
    PRESIGNED = (
        "Expiring URLs of single files work; MLflow's server offers them with some stores only."
    )
    REPEAT = "Saying the same again succeeds and changes nothing."
    STAGE_ORDER = "The latest version of each stage is told in the order of the stages."
    STATE = (
        "Writing to what is deleted is refused as INVALID_STATE; MLflow calls it an invalid "
        "parameter, or writes."
    )
    STRICT = (
        "Wrong input is refused with 400 and changes nothing; MLflow answers with success and "
        "drops it, or takes it for something else."
    )
    UNVERIFIED = (
        "A source that is not of this server is kept as text, shown as not verified, and never "
        "opened by a service."
    )
    VERSION = "It says what this server is and offers."
